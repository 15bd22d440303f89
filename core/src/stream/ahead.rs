//! The rows of the future that a decoder reads, and their terms: kept for as long as the rows say the same.
//!
//! With every row that arrives the future moves up by one row, so that all terms but those of its last row are there already.

use super::past::Past;
use crate::columns::{Head, IntakeWork};
use crate::error::RunError;
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{RowTerms, RowsNet, RowsWork};
use alloc::vec;
use alloc::vec::Vec;

/// Terms of rows of the future, row by row.
pub(super) struct Ahead {
    terms: RowTerms,
    /// What terms are of: `[n_ahead, columns]` raw.
    known: Vec<f64>,
    /// The columns that are known in advance.
    columns: Vec<usize>,
    /// Remarks about every row whose terms are there.
    remarks: Vec<Option<Flags>>,
    /// Whether the series has moved on by a row and the terms have not moved up yet.
    is_behind: bool,
}

impl Ahead {
    /// No rows.
    pub(super) fn new(model: &Model, net: &RowsNet) -> Self {
        let (n_ahead, columns) = (
            model.schema().net.n_ahead(),
            model.intake.known_columns().collect::<Vec<_>>(),
        );
        Self {
            terms: net.terms_ahead(),
            known: vec![0.0; n_ahead * columns.len()],
            columns,
            remarks: vec![None; n_ahead],
            is_behind: false,
        }
    }

    /// The series moves on by a row.
    pub(super) fn take(&mut self) {
        // Twice would need two steps.
        match self.is_behind {
            true => self.forget(),
            false => self.is_behind = true,
        }
    }

    /// Forgets all terms, such as those of other statics.
    pub(super) fn forget(&mut self) {
        self.remarks.fill(None);
        self.is_behind = false;
    }

    /// Moves terms up by a row, unless they depend on a row's number.
    pub(super) fn move_up(&mut self, model: &Model) {
        if core::mem::take(&mut self.is_behind) && model.intake.shares_rows() && !self.remarks.is_empty() {
            self.terms.keep(1..self.remarks.len());
            self.known.copy_within(self.columns.len().., 0);
            self.remarks.copy_within(1.., 0);
            if let Some(last) = self.remarks.last_mut() {
                *last = None;
            }
        }
    }

    /// The terms of the first `n` rows of the future behind `past`, for a head that began; remarks about them.
    pub(super) fn add(
        &mut self,
        model: &Model,
        net: &RowsNet,
        (past, n): (&Past, usize),
        head: &Head,
        (intake, work): (&mut IntakeWork, &mut RowsWork),
    ) -> Result<Flags, RunError> {
        self.move_up(model);
        let (mut flags, lookback) = (Flags::NONE, model.schema().lookback());
        for place in 0..n {
            let (row, width) = (lookback + place, self.columns.len());
            let known = &mut self.known[place * width..][..width];
            let is_same = replace(known, past.row(row), &self.columns);
            let remark = match self.remarks[place].take() {
                Some(remark) if is_same => remark,
                _ => {
                    let remark = model
                        .intake
                        .read_ahead(past.row(row), [0, row], head, intake, row)?;
                    let rows = model.intake.rows(intake).from(row);
                    net.add_ahead(model.kernels, work, rows, place, &mut self.terms);
                    remark
                }
            };
            self.remarks[place] = Some(remark);
            flags.insert(remark);
        }
        Ok(flags)
    }

    /// Rows of the future whose terms are there, from the first one on.
    pub(super) fn n_kept(&self) -> usize {
        self.remarks.iter().take_while(|remark| remark.is_some()).count()
    }

    /// The terms, row by row.
    pub(super) fn terms(&mut self) -> &mut RowTerms {
        &mut self.terms
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        let Self {
            terms,
            known,
            columns: _,
            remarks,
            is_behind,
        } = self;
        terms.copy_from(&source.terms);
        known.copy_from_slice(&source.known);
        remarks.copy_from_slice(&source.remarks);
        *is_behind = source.is_behind;
    }
}

/// Keeps these columns of a row; whether they had the same bits before.
fn replace(known: &mut [f64], row: &[f64], columns: &[usize]) -> bool {
    let mut is_same = true;
    for (to, column) in known.iter_mut().zip(columns) {
        is_same &= to.to_bits() == row[*column].to_bits();
        *to = row[*column];
    }
    is_same
}
