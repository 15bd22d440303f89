//! How answers come about: one of three ways, chosen by the net.

use super::bank::Bank;
use super::rolled::{Rolled, pre_rolls};
use super::whole::Whole;
use crate::error::{RunError, StateError};
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{Contexts, OpenNet};
use crate::saved::{Reader, Writer};
use crate::session::Sample;
use alloc::sync::Arc;

/// One way with its rows.
#[allow(
    clippy::large_enum_variant,
    reason = "one per stream, and it stays where it is"
)]
pub(super) enum Way {
    /// All windows under way at once.
    Bank(Bank),
    /// All rows but the last one of the window are run before that arrives.
    Rolled(Rolled),
    /// The whole window when its last row arrives.
    Whole(Whole),
}

impl Way {
    /// The way of this model, without rows.
    pub(super) fn new(model: &Arc<Model>) -> Self {
        match &model.net {
            OpenNet::Lstm(net) => Self::Bank(Bank::new(model, net)),
            OpenNet::Rows(net) if pre_rolls(model, net) => Self::Rolled(Rolled::new(model, net)),
            OpenNet::Rows(_) => Self::Whole(Whole::new(model)),
        }
    }

    /// The answer for the window that `row` ends, rows of the future behind it, if that `is_due`. The row lies ready to be kept.
    pub(super) fn answer<S: Sample>(
        &mut self,
        model: &Model,
        row: &[S],
        is_due: bool,
        out: &mut [f32],
    ) -> Result<Option<Flags>, RunError> {
        match self {
            Self::Bank(way) => way.answer(model, row, out),
            Self::Rolled(way) => way.answer(model, row, is_due, out),
            Self::Whole(way) => way.answer(model, row, is_due, out),
        }
    }

    /// Lays a row ready to be kept, without an answer.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, row: &[S]) -> Result<(), RunError> {
        match (self, &model.net) {
            (Self::Bank(way), OpenNet::Lstm(net)) => way.lay(model, net, row),
            // One model has one way.
            (Self::Bank(_), OpenNet::Rows(_)) => Ok(()),
            (Self::Rolled(way), _) => way.lay(model, row),
            (Self::Whole(way), _) => way.lay(model, row),
        }
    }

    /// Keeps the row of the last answer.
    pub(super) fn take(&mut self) {
        match self {
            Self::Bank(way) => way.take(),
            Self::Rolled(way) => way.take(),
            Self::Whole(way) => way.take(),
        }
    }

    /// Does up to `budget` steps of what the next row, which `is_due` an answer or not, need not wait for; whether nothing is left.
    pub(super) fn prepare(&mut self, model: &Model, is_due: bool, budget: usize) -> bool {
        match self {
            Self::Bank(way) => way.prepare(model, budget),
            Self::Rolled(way) => way.prepare(model, is_due, budget),
            Self::Whole(way) => way.prepare(),
        }
    }

    /// Gives the next answer, which is due and prepared, once for nobody: what it reads is then in the nearest caches.
    pub(super) fn rehearse(&mut self, model: &Model) {
        match self {
            Self::Bank(way) => way.rehearse(model),
            Self::Rolled(way) => way.rehearse(model),
            Self::Whole(_) => {}
        }
    }

    /// Does what these rows of the future, which are likely to come with the next row, allow already; all else is prepared.
    pub(super) fn expect(&mut self, model: &Model, future: &[f64]) {
        if let Self::Rolled(way) = self {
            way.expect(model, future);
        }
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        match self {
            Self::Bank(way) => way.reset(),
            Self::Rolled(way) => way.reset(),
            Self::Whole(way) => way.reset(),
        }
    }

    /// Writes the last `n` rows taken, fewer than the lookback.
    pub(super) fn save(&self, model: &Model, n: usize, to: &mut Writer<'_>) {
        match self {
            Self::Bank(way) => way.save(model.schema().lookback(), to),
            Self::Rolled(Rolled { past, .. }) | Self::Whole(Whole { past, .. }) => past.save(n, to),
        }
    }

    /// Bytes of `n` saved rows.
    pub(super) fn n_bytes(&self, model: &Model, n: usize) -> usize {
        let n_features = model.schema().n_features();
        match self {
            Self::Bank(_) => size_of::<u64>() + n * n_features * size_of::<f32>(),
            Self::Rolled(_) | Self::Whole(_) => n * n_features * size_of::<f64>(),
        }
    }

    /// Whether a window could hold each of `n` saved rows; nothing is taken.
    pub(super) fn check(&mut self, model: &Model, n: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        match self {
            Self::Bank(way) => way.check(model.schema().lookback(), n, from),
            Self::Rolled(Rolled { past, .. }) | Self::Whole(Whole { past, .. }) => past.check(model, n, from),
        }
    }

    /// Begins anew with `n` saved rows that were checked.
    pub(super) fn restore(
        &mut self,
        model: &Model,
        n: usize,
        from: &mut Reader<'_>,
    ) -> Result<(), StateError> {
        self.reset();
        match self {
            Self::Bank(way) => way.restore(model.schema().lookback(), n, from),
            Self::Rolled(Rolled { past, .. }) | Self::Whole(Whole { past, .. }) => {
                past.restore(model, n, from)
            }
        }
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        match (self, source) {
            (Self::Bank(way), Self::Bank(source)) => way.copy_from(source),
            (Self::Rolled(way), Self::Rolled(source)) => way.copy_from(source),
            (Self::Whole(way), Self::Whole(source)) => way.copy_from(source),
            // One model has one way.
            _ => {}
        }
    }

    /// Attends to these contexts from the next answer on.
    pub(super) fn set_contexts(&mut self, model: &Model, contexts: &Contexts) -> Result<(), RunError> {
        match self {
            Self::Bank(_) => Err(RunError::NoContexts),
            Self::Rolled(way) => way.set_contexts(model, contexts),
            Self::Whole(way) => way.set_contexts(contexts),
        }
    }
}
