//! Contexts of an X-Trend: raw rows of features to what its encoders read, scaled as the columns of a window are.

use super::intake::{Intake, Kind};
use super::normalize::CenterScale;
use alloc::vec::Vec;

impl Intake {
    /// Columns of a raw context: the reals, and the return behind them where there is one.
    fn raw_column(&self, column: usize) -> usize {
        match self.columns[column].kind {
            Kind::Code { place, .. } | Kind::Real { place, .. } | Kind::Derived { place, .. } => place,
        }
    }

    /// Rows `[n, n_columns]` of one context of `entity` to `out [n, stride]`: reals scaled by their inputs, what stands
    /// behind them as it is.
    pub(crate) fn read_context(
        &self,
        raw: &[f32],
        n_columns: usize,
        entity: u32,
        out: &mut [f32],
        stride: usize,
    ) {
        let n_rows = raw.len() / n_columns;
        let value = |row: usize, column: usize| f64::from(raw[row * n_columns + self.raw_column(column)]);
        let targets = self
            .scalings
            .iter()
            .map(|s| s.of_window(&[entity], n_rows, value));
        let targets: Vec<CenterScale> = targets.collect();
        let rows = raw.chunks_exact(n_columns).zip(out.chunks_exact_mut(stride));
        for (raw, out) in rows {
            out[self.n_reals..n_columns].copy_from_slice(&raw[self.n_reals..]);
            for column in &self.columns {
                match column.kind {
                    Kind::Code { .. } => {}
                    Kind::Real { place, scale } => {
                        out[place] = self.scaled(f64::from(raw[place]), scale, &targets);
                    }
                    Kind::Derived { place, scale, .. } => {
                        out[place] = ((f64::from(raw[place]) - scale.center) / scale.scale) as f32;
                    }
                }
            }
        }
    }
}
