//! Contexts of an X-Trend: raw rows of features to what its encoders read, scaled as the columns of a window are.

use super::intake::{Intake, Kind};
use super::normalize::CenterScale;
use alloc::vec::Vec;

impl Intake {
    /// Column of a raw context for a column of the schema: its place among the reals.
    fn raw_column(&self, column: usize) -> usize {
        match self.columns[column].kind {
            Kind::Code { place, .. } | Kind::Real { place, .. } | Kind::Derived { place, .. } => place,
        }
    }

    /// Rows `[n, n_columns]` of one context of `entity` to `out [n, stride]`: reals scaled by their inputs, what stands
    /// behind them as it is.
    pub(crate) fn read_context<S: Copy + Into<f64>>(
        &self,
        raw: &[S],
        n_columns: usize,
        entity: u32,
        out: &mut [f32],
        stride: usize,
    ) {
        let n_rows = raw.len() / n_columns;
        let value = |row: usize, column: usize| raw[row * n_columns + self.raw_column(column)].into();
        let targets = self
            .scalings
            .iter()
            .map(|s| s.of_window(&[entity], n_rows, value));
        let targets: Vec<CenterScale> = targets.collect();
        let rows = raw.chunks_exact(n_columns).zip(out.chunks_exact_mut(stride));
        for (raw, out) in rows {
            let behind = out[self.n_reals..n_columns].iter_mut();
            for (to, value) in behind.zip(&raw[self.n_reals..]) {
                *to = (*value).into() as f32;
            }
            for column in &self.columns {
                match column.kind {
                    Kind::Code { .. } => {}
                    Kind::Real { place, scale } => {
                        out[place] = self.scaled(raw[place].into(), scale, &targets);
                    }
                    Kind::Derived { place, scale, .. } => {
                        out[place] = ((raw[place].into() - scale.center) / scale.scale) as f32;
                    }
                }
            }
        }
    }
}
