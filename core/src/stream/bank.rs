//! Stacks of LSTM layers: all windows are under way at once.

use crate::bundle::Missing;
use crate::columns::CenterScale;
use crate::columns::answer::Finish;
use crate::error::{RunError, StateError};
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{LstmBank, LstmNet, Member, OpenNet};
use crate::saved::{Reader, Writer};
use crate::session::{Sample, impute, refused};
use alloc::vec;
use alloc::vec::Vec;

/// The windows of a stack, and what is done before and after the net.
pub(super) struct Bank {
    bank: LstmBank,
    missing: Vec<Missing>,
    /// The scaled row of the last answer.
    x: Vec<f32>,
    /// Whether a value of it was replaced.
    is_imputed: bool,
    /// Rows since one in which a value was replaced; the lookback and more for never.
    since_imputed: usize,
    finish: Finish,
    targets: Vec<CenterScale>,
    /// Whether the next answer was given once already, with the last row once more, and where it went.
    is_rehearsed: bool,
    rehearsal: Vec<f32>,
}

impl Bank {
    /// No rows.
    pub(super) fn new(model: &Model, net: &LstmNet) -> Self {
        let schema = model.schema();
        Self {
            bank: net.bank(),
            missing: schema.inputs.iter().map(|i| i.missing).collect(),
            x: vec![0.0; net.x_stride],
            is_imputed: false,
            since_imputed: usize::MAX,
            finish: Finish::new(schema),
            targets: model.intake.fixed_targets(),
            is_rehearsed: false,
            rehearsal: vec![0.0; schema.n_outputs()],
        }
    }

    /// The answer for the window that `row` ends, where enough rows lie before it.
    pub(super) fn answer<S: Sample>(
        &mut self,
        model: &Model,
        row: &[S],
        out: &mut [f32],
    ) -> Result<Option<Flags>, RunError> {
        let OpenNet::Lstm(net) = &model.net else {
            return Ok(None);
        };
        self.lay(model, net, row)?;
        Ok(self.answer_laid(model, net, out))
    }

    /// The answer for the window that the laid row ends, where enough rows lie before it.
    pub(super) fn answer_laid(&mut self, model: &Model, net: &LstmNet, out: &mut [f32]) -> Option<Flags> {
        let remarks = self.remarks(model.schema().lookback());
        let z = self.bank.answer(net, model.kernels, &self.x)?;
        let (scalings, targets) = (&model.intake.scalings, &self.targets);
        let mut flags = self.finish.step(model.kernels, scalings, targets, z, out);
        flags.insert(remarks);
        Some(flags)
    }

    /// What is to be said of the window that the laid row ends.
    fn remarks(&self, lookback: usize) -> Flags {
        match self.is_imputed || self.since_imputed < lookback {
            true => Flags::IMPUTED,
            false => Flags::NONE,
        }
    }

    /// The windows and the laid row, to be answered beside those of other banks.
    pub(super) fn member(&mut self) -> Member<'_> {
        Member {
            bank: &mut self.bank,
            x: &self.x,
        }
    }

    /// The answer from the head values that came of it.
    pub(super) fn write(&mut self, model: &Model, z: &[f32], out: &mut [f32]) -> Flags {
        let (scalings, targets) = (&model.intake.scalings, &self.targets);
        let mut flags = self.finish.step(model.kernels, scalings, targets, z, out);
        flags.insert(self.remarks(model.schema().lookback()));
        flags
    }

    /// Scales a row, if a window could hold it.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, net: &LstmNet, row: &[S]) -> Result<(), RunError> {
        self.is_imputed = !S::scale(model.kernels, row, &model.scalers, &mut self.x, net.x_stride);
        if self.is_imputed {
            if let Some(column) = refused(model, &self.missing, row) {
                return Err(RunError::NonFinite {
                    window: 0,
                    row: model.schema().lookback() - 1,
                    column,
                });
            }
            impute(&mut self.x, net.x_stride, self.missing.len());
        }
        Ok(())
    }

    /// Keeps the row of the last answer.
    pub(super) fn take(&mut self) {
        self.since_imputed = match self.is_imputed {
            true => 1,
            false => self.since_imputed.saturating_add(1),
        };
        self.bank.take(&self.x);
        self.is_rehearsed = false;
    }

    /// Moves windows on; whether nothing is left.
    pub(super) fn prepare(&mut self, model: &Model, budget: usize) -> bool {
        let OpenNet::Lstm(net) = &model.net else {
            return true;
        };
        self.bank.prepare(net, model.kernels, budget)
    }

    /// Answers the last row once more: preparing went through all states and weights, so that those which the next row waits for are no
    /// longer in the nearest caches.
    pub(super) fn rehearse(&mut self, model: &Model) {
        let OpenNet::Lstm(net) = &model.net else { return };
        if core::mem::replace(&mut self.is_rehearsed, true) {
            return;
        }
        let mut out = core::mem::take(&mut self.rehearsal);
        // Nothing to answer while rows are missing; and nobody asks what the flags say.
        let _unread = self.answer_laid(model, net, &mut out);
        self.rehearsal = out;
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        self.since_imputed = usize::MAX;
        self.is_rehearsed = false;
        self.bank.reset();
    }

    /// Writes the scaled rows that windows have still to read, and when a value was replaced.
    pub(super) fn save(&self, lookback: usize, to: &mut Writer<'_>) {
        to.count(self.since_imputed.min(lookback));
        for row in self.bank.rows() {
            row[..self.missing.len()].iter().for_each(|value| to.f32(*value));
        }
    }

    /// Whether a window could hold each of `n` saved rows.
    pub(super) fn check(&self, lookback: usize, n: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        from.count("rows since a replaced value", lookback)?;
        for row in 0..n {
            for _ in &self.missing {
                if !from.f32()?.is_finite() {
                    return Err(StateError::Row { row });
                }
            }
        }
        Ok(())
    }

    /// Takes `n` saved rows that were checked, without rows before them.
    pub(super) fn restore(
        &mut self,
        lookback: usize,
        n: usize,
        from: &mut Reader<'_>,
    ) -> Result<(), StateError> {
        self.since_imputed = from.count("rows since a replaced value", lookback)?;
        self.x.fill(0.0);
        for _ in 0..n {
            for value in self.x.iter_mut().take(self.missing.len()) {
                *value = from.f32()?;
            }
            self.bank.take(&self.x);
        }
        Ok(())
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        self.bank.copy_from(&source.bank);
        self.is_rehearsed = false;
        self.since_imputed = source.since_imputed;
    }
}
