//! The rows of a series and its windows, and which window refuses one of them.

use crate::bundle::Missing;
use crate::columns::{Intake, IntakeWork, RawWindow, RowChecks};
use crate::error::RunError;
use crate::model::Model;
use crate::session::{Sample, refused};

/// Raw rows, and the windows over them.
#[derive(Clone, Copy)]
pub(super) struct Series<'a, S> {
    /// `[rows, n_features]`, oldest first.
    pub(super) values: &'a [S],
    pub(super) n_features: usize,
    /// Of a window.
    pub(super) n_rows: usize,
    /// Rows from one window to the next.
    pub(super) stride: usize,
    pub(super) n_windows: usize,
}

/// One window and its number.
#[derive(Clone, Copy)]
pub(super) struct Window<'a, S> {
    pub(super) values: &'a [S],
    pub(super) index: usize,
}

impl<'a, S: Sample> Series<'a, S> {
    /// A row.
    pub(super) fn row(self, row: usize) -> &'a [S] {
        &self.values[row * self.n_features..][..self.n_features]
    }

    /// A window.
    pub(super) fn window(self, index: usize) -> Window<'a, S> {
        let from = index * self.stride * self.n_features;
        Window {
            values: &self.values[from..][..self.n_rows * self.n_features],
            index,
        }
    }

    /// The first window that holds a row, and the row's number in it.
    pub(super) fn place(self, row: usize) -> [usize; 2] {
        let window = match row.checked_sub(self.n_rows) {
            Some(behind) => behind / self.stride + 1,
            None => 0,
        };
        [window, row - window * self.stride]
    }

    /// Rows that some window holds, with their numbers.
    fn held_rows(self) -> impl DoubleEndedIterator<Item = (usize, &'a [S])> {
        let last = self.n_windows.checked_sub(1);
        let end = last.map_or(0, |last| last * self.stride + self.n_rows);
        let rows = (0..end).filter(move |row| row % self.stride < self.n_rows);
        rows.map(move |row| (row, self.row(row)))
    }

    /// Refuses the first row of observed reals that has a value to refuse.
    pub(super) fn check_reals(self, model: &Model, missing: &[Missing]) -> Result<(), RunError> {
        for (row, values) in self.held_rows() {
            if let Some(column) = refused(model, missing, values) {
                let [window, row] = self.place(row);
                return Err(RunError::NonFinite { window, row, column });
            }
        }
        Ok(())
    }

    /// Refuses the first window that has a value to refuse. Only windows with a row that some window could refuse are read.
    pub(super) fn check(
        self,
        intake: &Intake,
        checks: Option<&RowChecks>,
        lengths: [usize; 2],
        work: &mut IntakeWork,
    ) -> Result<(), RunError> {
        let mut windows = 0..self.n_windows;
        if let Some(checks) = checks {
            let mut doubtful = self
                .held_rows()
                .filter(|(_, values)| !intake.is_sound(checks, values));
            let Some((first, _)) = doubtful.next() else {
                return Ok(());
            };
            let last = doubtful.next_back().map_or(first, |(last, _)| last);
            windows = self.place(first)[0]..self.n_windows.min(last / self.stride + 1);
        }
        for index in windows {
            let window = self.window(index);
            let [n_encoder, n_decoder] = lengths;
            let window = RawWindow {
                values: window.values,
                n_encoder,
                n_decoder,
                index,
            };
            intake.read(window, work)?;
        }
        Ok(())
    }
}
