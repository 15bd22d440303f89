//! Nets that read a window in order: all rows but the last one are run before that arrives.

use super::past::Past;
use crate::bundle::Arrival;
use crate::columns::IntakeWork;
use crate::columns::answer::Finish;
use crate::error::{RunError, StateError};
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{Contexts, OpenNet, RowsNet, RowsWork};
use crate::saved::{Reader, Writer};
use crate::session::Sample;

/// A window whose last row is awaited.
pub(super) struct Rolled {
    intake: IntakeWork,
    work: RowsWork,
    finish: Finish,
    past: Past,
    /// Rows that were run.
    n_run: usize,
    /// Remarks about the rows before the last.
    flags: Flags,
}

/// Whether a net may run all rows but the last before that arrives.
pub(super) fn pre_rolls(model: &Model, net: &RowsNet) -> bool {
    model.schema().arrival == Arrival::PreRolled && net.pre_rolls() && model.intake.pre_rolls()
}

impl Rolled {
    /// No rows.
    pub(super) fn new(model: &Model, net: &RowsNet) -> Self {
        Self {
            intake: model.intake.work(),
            work: net.work(),
            finish: Finish::new(model.schema()),
            past: Past::new(model),
            n_run: 0,
            flags: Flags::NONE,
        }
    }

    /// The answer for the window that `row` ends, if that `is_due`.
    pub(super) fn answer<S: Sample>(
        &mut self,
        model: &Model,
        row: &[S],
        is_due: bool,
        out: &mut [f32],
    ) -> Result<Option<Flags>, RunError> {
        self.past.lay(model, row)?;
        match &model.net {
            OpenNet::Rows(net) if is_due => self.finish(model, net, out).map(Some),
            _ => Ok(None),
        }
    }

    /// The answer for the row that was laid last.
    fn finish(&mut self, model: &Model, net: &RowsNet, out: &mut [f32]) -> Result<Flags, RunError> {
        self.roll(model, net, usize::MAX)?;
        let mut flags = self.flags;
        flags.insert(model.intake.read_last(self.past.window(), &mut self.intake)?);
        let rows = model.intake.rows(&self.intake);
        let z = bytemuck::must_cast_slice(net.finish(model.kernels, &mut self.work, rows));
        let (scalings, targets) = (&model.intake.scalings, &self.intake.targets);
        flags.insert(self.finish.step(model.kernels, scalings, targets, z, out));
        Ok(flags)
    }

    /// Runs up to `budget` of the rows before the last; whether none is left.
    fn roll(&mut self, model: &Model, net: &RowsNet, budget: usize) -> Result<bool, RunError> {
        let lookback = model.schema().lookback();
        self.past.move_up();
        let to = (lookback - 1).min(self.n_run.saturating_add(budget));
        if self.n_run == 0 && to > 0 {
            let window = self.past.window();
            self.flags = model.intake.read_first(window, lookback - 1, &mut self.intake)?;
        }
        if self.n_run < to {
            let rows = model.intake.rows(&self.intake);
            net.pre_roll(model.kernels, &mut self.work, rows, self.n_run..to);
            self.n_run = to;
        }
        Ok(to + 1 == lookback)
    }

    /// Keeps the row of the last answer.
    pub(super) fn take(&mut self) {
        self.past.take();
        self.n_run = 0;
    }

    /// Runs some of the rows before the last where the next one `is_due` an answer; whether nothing is left.
    pub(super) fn prepare(&mut self, model: &Model, is_due: bool, budget: usize) -> bool {
        match &model.net {
            // Every row was checked when it was taken.
            OpenNet::Rows(net) if is_due => self.roll(model, net, budget).unwrap_or(true),
            _ => true,
        }
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        self.past.reset();
        self.n_run = 0;
    }

    /// Writes the last `n` rows taken.
    pub(super) fn save(&self, n: usize, to: &mut Writer<'_>) {
        self.past.save(n, to);
    }

    /// Whether a window could hold each of `n` saved rows.
    pub(super) fn check(&mut self, model: &Model, n: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        self.past.check(model, n, from)
    }

    /// Takes `n` saved rows that were checked.
    pub(super) fn restore(
        &mut self,
        model: &Model,
        n: usize,
        from: &mut Reader<'_>,
    ) -> Result<(), StateError> {
        self.reset();
        for row in 0..n {
            let laid = self.past.lay_saved(model, from)?;
            laid.map_err(|_| StateError::Row { row })?;
            self.take();
        }
        Ok(())
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        self.past.copy_from(&source.past);
        self.intake.copy_from(&source.intake);
        self.work.copy_from(&source.work);
        (self.n_run, self.flags) = (source.n_run, source.flags);
    }

    /// Attends to these contexts from the next answer on.
    pub(super) fn set_contexts(&mut self, model: &Model, contexts: &Contexts) -> Result<(), RunError> {
        let net = model.net.with_contexts()?;
        let RowsWork::Xtrend(work) = &mut self.work else {
            return Err(RunError::NoContexts);
        };
        net.set_contexts(work, contexts)?;
        self.n_run = 0;
        Ok(())
    }
}
