//! Nets that read a window at once: all of it is run when its last row arrives.

use super::past::Past;
use crate::error::RunError;
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::Contexts;
use crate::session::{Sample, Session};
use alloc::sync::Arc;

/// The rows of the window, and what runs it.
pub(super) struct Whole {
    session: Session,
    pub(super) past: Past,
    /// What the session attends to, of an X-Trend.
    contexts: Option<Contexts>,
}

impl Whole {
    /// No rows.
    pub(super) fn new(model: &Arc<Model>) -> Self {
        Self {
            session: Session::new(model, 1),
            past: Past::new(model),
            contexts: model.contexts().cloned(),
        }
    }

    /// The answer for the window that `row` ends, rows of the future behind it, if that `is_due`.
    pub(super) fn answer<S: Sample>(
        &mut self,
        model: &Model,
        row: &[S],
        is_due: bool,
        out: &mut [f32],
    ) -> Result<Option<Flags>, RunError> {
        let n_ahead = self.past.lay(model, row)?;
        if !is_due {
            return Ok(None);
        }
        let (values, n_encoder) = (self.past.window(n_ahead).values, model.schema().lookback());
        let flags = self.session.run_lengths(values, n_encoder, n_ahead, out)?;
        Ok(Some(flags))
    }

    /// Lays a row ready to be kept, without an answer.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, row: &[S]) -> Result<(), RunError> {
        self.past.lay(model, row).map(drop)
    }

    /// Keeps the row of the last answer.
    pub(super) fn take(&mut self) {
        self.past.take();
    }

    /// Makes room for the next row; nothing else can be done before it is known.
    pub(super) fn prepare(&mut self) -> bool {
        self.past.move_up();
        true
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        self.past.reset();
    }

    /// Attends to these contexts from the next answer on.
    pub(super) fn set_contexts(&mut self, contexts: &Contexts) -> Result<(), RunError> {
        self.session.set_contexts(contexts)?;
        self.contexts = Some(contexts.clone());
        Ok(())
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        self.past.copy_from(&source.past);
        if let Some(contexts) = &source.contexts {
            // Contexts of the same model: nothing to refuse.
            let _ = self.set_contexts(contexts);
        }
    }
}
