//! Nets that read a window in order: all rows but the last one are run before that arrives.
//!
//! What the net makes of a row alone is kept for as long as a window holds the row, so that only the recurrence and what follows
//! it is run for every window.

use super::ahead::Ahead;
use super::past::Past;
use crate::bundle::Arrival;
use crate::columns::answer::Finish;
use crate::columns::{Head, IntakeWork};
use crate::error::RunError;
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{Contexts, OpenNet, RowTerms, RowsNet, RowsWork};
use crate::session::Sample;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// A window whose last row is awaited, and the terms of its rows, which stay from one window to the next.
pub(super) struct Rolled {
    /// Rows by their number in the window.
    intake: IntakeWork,
    head: Head,
    work: RowsWork,
    finish: Finish,
    pub(super) past: Past,
    /// A ring of `lookback` places.
    terms: RowTerms,
    ahead: Ahead,
    /// Remarks about the row at every place.
    remarks: Vec<Flags>,
    /// Place of the window's first row.
    first: usize,
    /// Rows of the window whose terms are there.
    n_terms: usize,
    /// Rows that were run.
    n_run: usize,
    /// Remarks about the rows that were run.
    flags: Flags,
    /// Whether the next answer was given once already, with the last row once more.
    is_rehearsed: bool,
}

/// Whether a net may run all rows but the last before that arrives.
pub(super) fn pre_rolls(model: &Model, net: &RowsNet) -> bool {
    model.schema().arrival == Arrival::PreRolled && net.has_terms() && model.intake.pre_rolls()
}

impl Rolled {
    /// No rows.
    pub(super) fn new(model: &Model, net: &RowsNet) -> Self {
        let lookback = model.schema().lookback();
        Self {
            intake: model.intake.work(),
            head: Head::new(&model.intake),
            work: net.work(),
            finish: Finish::new(model.schema()),
            past: Past::new(model),
            terms: net.terms(lookback),
            ahead: Ahead::new(model, net),
            remarks: vec![Flags::NONE; lookback],
            first: 0,
            n_terms: 0,
            n_run: 0,
            flags: Flags::NONE,
            is_rehearsed: false,
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
        match &model.net {
            OpenNet::Rows(net) if is_due => self.finish(model, net, n_ahead, out).map(Some),
            _ => Ok(None),
        }
    }

    /// The answers for the row that was laid last and so many of the future.
    fn finish(
        &mut self,
        model: &Model,
        net: &RowsNet,
        n_ahead: usize,
        out: &mut [f32],
    ) -> Result<Flags, RunError> {
        let (lookback, kernels) = (model.schema().lookback(), model.kernels);
        self.roll(model, net, usize::MAX)?;
        self.add_terms(model, net, lookback - 1..lookback)?;
        let place = self.place(lookback - 1);
        let mut flags = self.flags;
        flags.insert(self.remarks[place]);
        flags.insert(self.add_ahead(model, net, n_ahead)?);
        let (terms, ahead) = ((&mut self.terms, place), (self.ahead.terms(), n_ahead));
        let z = net.finish(kernels, &mut self.work, terms, ahead);
        let (scalings, targets) = (&model.intake.scalings, self.head.targets());
        let n = self.finish.n_columns();
        let steps = z
            .chunks_exact(z.len() * n / out.len())
            .zip(out.chunks_exact_mut(n));
        for (z, out) in steps {
            let z = bytemuck::must_cast_slice(z);
            flags.insert(self.finish.step(kernels, scalings, targets, z, out));
        }
        Ok(flags)
    }

    fn add_ahead(&mut self, model: &Model, net: &RowsNet, n: usize) -> Result<Flags, RunError> {
        let buffers = (&mut self.intake, &mut self.work);
        self.ahead.add(model, net, (&self.past, n), &self.head, buffers)
    }

    /// Has the terms of rows of the future that are likely to come with the next row, which is due an answer.
    pub(super) fn expect(&mut self, model: &Model, future: &[f64]) {
        let OpenNet::Rows(net) = &model.net else { return };
        if self.n_run + 1 != model.schema().lookback() {
            return;
        }
        self.past.lay_ahead(future);
        // What no window could hold is refused when it comes.
        let _ = self.add_ahead(model, net, future.len() / model.schema().n_features());
    }

    /// Runs up to `budget` of the rows before the last; whether none is left.
    fn roll(&mut self, model: &Model, net: &RowsNet, budget: usize) -> Result<bool, RunError> {
        let lookback = model.schema().lookback();
        self.past.move_up();
        self.ahead.move_up(model);
        let to = (lookback - 1).min(self.n_run.saturating_add(budget));
        if self.n_run == 0 && to > 0 {
            self.begin(model, net)?;
        }
        if self.n_run < to {
            self.add_terms(model, net, self.n_terms..to)?;
            for (part, place) in self.pieces(self.n_run..to) {
                self.remarks[place..place + part.len()]
                    .iter()
                    .for_each(|flags| self.flags.insert(*flags));
                net.pre_roll(model.kernels, &mut self.work, &mut self.terms, part, place);
            }
            self.n_run = to;
        }
        Ok(to + 1 == lookback)
    }

    /// What the first row says. Terms hold for other statics than theirs no more, nor where they depend on a row's number.
    fn begin(&mut self, model: &Model, net: &RowsNet) -> Result<(), RunError> {
        let (flags, has_changed) = self.head.read(&model.intake, self.past.window(0))?;
        self.flags = flags;
        if has_changed {
            self.head.keep();
            let head = self.head.row(&model.intake);
            net.begin(model.kernels, &mut self.work, head);
            self.ahead.forget();
        }
        if has_changed || !model.intake.shares_rows() {
            self.n_terms = 0;
        }
        Ok(())
    }

    /// The terms of some rows of the window.
    fn add_terms(&mut self, model: &Model, net: &RowsNet, rows: Range<usize>) -> Result<(), RunError> {
        for (part, place) in self.pieces(rows.clone()) {
            for row in part.clone() {
                let values = self.past.row(row);
                self.remarks[place + row - part.start] =
                    model
                        .intake
                        .read_behind(values, [0, row], &self.head, &mut self.intake, row)?;
            }
            let (places, from) = (place..place + part.len(), part.start);
            let rows = model.intake.rows(&self.intake).from(from);
            net.add_terms(model.kernels, &mut self.work, rows, places, &mut self.terms);
        }
        self.n_terms = self.n_terms.max(rows.end);
        Ok(())
    }

    /// Place of a row of the window.
    fn place(&self, row: usize) -> usize {
        (self.first + row) % self.remarks.len()
    }

    /// Rows of the window as one or two runs of neighbouring places, each with its first.
    fn pieces(&self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> + use<> {
        let to_end = self.remarks.len() - self.first;
        let middle = to_end.clamp(rows.start, rows.end.max(rows.start));
        let (front, back) = (rows.start..middle, middle..rows.end);
        let places = [self.place(rows.start), self.place(middle)];
        [front, back]
            .into_iter()
            .zip(places)
            .filter(|(part, _)| !part.is_empty())
    }

    /// Lays a row ready to be kept, without an answer.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, row: &[S]) -> Result<(), RunError> {
        // Terms in the last place are those of a row that was only looked at.
        self.n_terms = self.n_terms.min(model.schema().lookback() - 1);
        self.past.lay(model, row).map(drop)
    }

    /// Keeps the row of the last answer.
    pub(super) fn take(&mut self) {
        self.past.take();
        self.ahead.take();
        self.n_run = 0;
        self.is_rehearsed = false;
        self.n_terms = self.n_terms.saturating_sub(1);
        self.first = self.place(1);
    }

    /// Runs some of the rows before the last where the next one `is_due` an answer; whether nothing is left.
    pub(super) fn prepare(&mut self, model: &Model, is_due: bool, budget: usize) -> bool {
        match &model.net {
            // Every row was checked when it was taken.
            OpenNet::Rows(net) if is_due => self.roll(model, net, budget).unwrap_or(true),
            _ => true,
        }
    }

    /// Answers the last row once more.
    pub(super) fn rehearse(&mut self, model: &Model) {
        let OpenNet::Rows(net) = &model.net else { return };
        if core::mem::replace(&mut self.is_rehearsed, true) {
            return;
        }
        let (last, n_ahead) = (model.schema().lookback() - 1, self.ahead.n_kept());
        if n_ahead == 0 && model.schema().net.n_ahead() > 0
            || self.add_terms(model, net, last..last + 1).is_err()
        {
            return;
        }
        let place = self.place(last);
        let terms = (&mut self.terms, place);
        let ahead = (self.ahead.terms(), n_ahead);
        net.finish(model.kernels, &mut self.work, terms, ahead);
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        self.past.reset();
        (self.n_run, self.n_terms, self.is_rehearsed) = (0, 0, false);
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        let Self {
            intake: _,
            head,
            work,
            finish: _,
            past,
            terms,
            ahead,
            remarks,
            first,
            n_terms,
            n_run,
            flags,
            is_rehearsed,
        } = self;
        head.copy_from(&source.head);
        work.copy_from(&source.work);
        past.copy_from(&source.past);
        terms.copy_from(&source.terms);
        ahead.copy_from(&source.ahead);
        remarks.copy_from_slice(&source.remarks);
        (*first, *n_terms, *n_run, *flags) = (source.first, source.n_terms, source.n_run, source.flags);
        *is_rehearsed = false;
    }

    /// Attends to these contexts from the next answer on.
    pub(super) fn set_contexts(&mut self, model: &Model, contexts: &Contexts) -> Result<(), RunError> {
        let net = model.net.with_contexts()?;
        let RowsWork::Xtrend(work) = &mut self.work else {
            return Err(RunError::NoContexts);
        };
        net.set_contexts(work, contexts)?;
        (self.n_run, self.is_rehearsed) = (0, false);
        Ok(())
    }
}
