//! The raw rows of one window, for the ways that read whole windows.

use crate::columns::RawWindow;
use crate::error::{RunError, StateError};
use crate::model::Model;
use crate::saved::{Reader, Writer};
use crate::session::Sample;
use alloc::vec;
use alloc::vec::Vec;

/// The last rows of a series, the newest of them under way, and the rows of the future that came with it.
pub(super) struct Past {
    /// `[lookback + n_ahead, n_features]` raw, oldest first; row `lookback - 1` is the one under way.
    rows: Vec<f64>,
    lookback: usize,
    n_features: usize,
    /// Whether the row under way has been taken and the others have not moved up yet.
    is_full: bool,
}

impl Past {
    /// No rows.
    pub(super) fn new(model: &Model) -> Self {
        let schema = model.schema();
        Self {
            rows: vec![0.0; schema.n_rows() * schema.n_features()],
            lookback: schema.lookback(),
            n_features: schema.n_features(),
            is_full: false,
        }
    }

    /// Lays a row behind the others with rows of the future behind it, if a window could hold them; how many those are.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, row: &[S]) -> Result<usize, RunError> {
        self.move_up();
        let newest = (self.lookback - 1) * self.n_features;
        for (to, value) in self.rows[newest..].iter_mut().zip(row) {
            *to = (*value).into();
        }
        self.check_newest(model)?;
        let end = self.lookback - 1 + row.len() / self.n_features;
        (self.lookback..end).try_for_each(|row| model.intake.check_ahead(self.row(row), row))?;
        Ok(end - self.lookback)
    }

    /// Lays rows of the future where those of the next row are awaited.
    pub(super) fn lay_ahead(&mut self, future: &[f64]) {
        self.rows[self.lookback * self.n_features..][..future.len()].copy_from_slice(future);
    }

    fn check_newest(&self, model: &Model) -> Result<(), RunError> {
        let row = self.lookback - 1;
        model.intake.check_row(self.row(row), row)
    }

    /// Keeps the row that was laid last.
    pub(super) fn take(&mut self) {
        self.is_full = true;
    }

    /// Makes room for the next row.
    pub(super) fn move_up(&mut self) {
        if core::mem::take(&mut self.is_full) {
            let end = self.lookback * self.n_features;
            self.rows.copy_within(self.n_features..end, 0);
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
        let end = self.lookback - usize::from(!self.is_full);
        &self.rows[(end - n) * self.n_features..end * self.n_features]
    }

    /// Writes the last `n` rows taken.
    pub(super) fn save(&self, n: usize, to: &mut Writer<'_>) {
        to.f64s(self.taken(n));
    }

    /// Whether a window could hold each of `n` saved rows. None is taken.
    pub(super) fn check(&mut self, model: &Model, n: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        (0..n).try_for_each(|row| self.lay_saved(model, from, row))
    }

    /// Begins anew with `n` saved rows that were checked.
    pub(super) fn restore(
        &mut self,
        model: &Model,
        n: usize,
        from: &mut Reader<'_>,
    ) -> Result<(), StateError> {
        self.reset();
        for row in 0..n {
            self.lay_saved(model, from, row)?;
            self.take();
        }
        Ok(())
    }

    /// Reads saved row `row` and lays it behind the others, if a window could hold it.
    fn lay_saved(&mut self, model: &Model, from: &mut Reader<'_>, row: usize) -> Result<(), StateError> {
        self.move_up();
        let newest = (self.lookback - 1) * self.n_features;
        from.f64s(&mut self.rows[newest..][..self.n_features])?;
        self.check_newest(model).map_err(|_| StateError::Row { row })
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        self.rows.copy_from_slice(&source.rows);
        self.is_full = source.is_full;
    }

    /// The window with `n_ahead` rows of the future, oldest row first.
    pub(super) fn window(&self, n_ahead: usize) -> RawWindow<'_, f64> {
        RawWindow {
            values: &self.rows[..(self.lookback + n_ahead) * self.n_features],
            n_encoder: self.lookback,
            n_decoder: n_ahead,
            index: 0,
        }
    }
}
