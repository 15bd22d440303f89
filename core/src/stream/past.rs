//! The raw rows of one window, for the ways that read whole windows.

use crate::columns::RawWindow;
use crate::error::{RunError, StateError};
use crate::model::Model;
use crate::saved::{Reader, Writer};
use crate::session::Sample;
use alloc::vec;
use alloc::vec::Vec;

/// The last rows of a series, the newest of them under way.
pub(super) struct Past {
    /// `[lookback, n_features]` raw, oldest first; the last row is the one under way.
    rows: Vec<f64>,
    n_features: usize,
    /// Whether the last row has been taken and the others have not moved up yet.
    is_full: bool,
}

impl Past {
    /// No rows.
    pub(super) fn new(model: &Model) -> Self {
        let schema = model.schema();
        Self {
            rows: vec![0.0; schema.lookback() * schema.n_features()],
            n_features: schema.n_features(),
            is_full: false,
        }
    }

    /// Lays a row behind the others, if a window could hold it.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, row: &[S]) -> Result<(), RunError> {
        self.move_up();
        let newest = self.rows.len() - self.n_features;
        for (to, value) in self.rows[newest..].iter_mut().zip(row) {
            *to = (*value).into();
        }
        self.check_newest(model)
    }

    fn check_newest(&self, model: &Model) -> Result<(), RunError> {
        let newest = self.rows.len() - self.n_features;
        let row = self.rows.len() / self.n_features - 1;
        model.intake.check_row(&self.rows[newest..], row)
    }

    /// Keeps the row that was laid last.
    pub(super) fn take(&mut self) {
        self.is_full = true;
    }

    /// Makes room for the next row.
    pub(super) fn move_up(&mut self) {
        if core::mem::take(&mut self.is_full) {
            self.rows.copy_within(self.n_features.., 0);
        }
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        self.rows.fill(0.0);
        self.is_full = false;
    }

    /// A row of the window.
    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.rows[row * self.n_features..][..self.n_features]
    }

    /// The last `n` rows taken, `[n, n_features]`; fewer than the lookback.
    fn taken(&self, n: usize) -> &[f64] {
        let under_way = if self.is_full { 0 } else { self.n_features };
        let end = self.rows.len() - under_way;
        &self.rows[end - n * self.n_features..end]
    }

    /// Writes the last `n` rows taken.
    pub(super) fn save(&self, n: usize, to: &mut Writer<'_>) {
        to.f64s(self.taken(n));
    }

    /// Whether a window could hold each of `n` saved rows.
    pub(super) fn check(&mut self, model: &Model, n: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        (0..n).try_for_each(|row| {
            let laid = self.lay_saved(model, from)?;
            laid.map_err(|_| StateError::Row { row })
        })
    }

    /// Reads a row and lays it behind the others, if a window could hold it.
    pub(super) fn lay_saved(
        &mut self,
        model: &Model,
        from: &mut Reader<'_>,
    ) -> Result<Result<(), RunError>, StateError> {
        self.move_up();
        let newest = self.rows.len() - self.n_features;
        from.f64s(&mut self.rows[newest..])?;
        Ok(self.check_newest(model))
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        self.rows.copy_from_slice(&source.rows);
        self.is_full = source.is_full;
    }

    /// `[lookback, n_features]`, oldest row first.
    pub(super) fn values(&self) -> &[f64] {
        &self.rows
    }

    /// The same as a window of the past alone.
    pub(super) fn window(&self) -> RawWindow<'_, f64> {
        RawWindow {
            values: &self.rows,
            n_encoder: self.rows.len() / self.n_features,
            n_decoder: 0,
            index: 0,
        }
    }
}
