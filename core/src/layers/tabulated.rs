//! A variable's network behind its table: interpolated where the table reaches, run itself everywhere else.

use super::selection::{Branch, Rows};
use crate::bundle::{self, View};
use crate::kernels::{Column, Grid, Kernels, Knots, step_entry};
use crate::simd::Lane;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A table of a real's network.
pub(crate) struct ScalarTable {
    column: usize,
    grid: Grid,
    /// An entry for every finest step.
    steps: Vec<u16>,
    /// `[n_intervals + 1, 2, lanes]`.
    rows: View<Lane>,
}

/// A table with the network it stands for.
pub(crate) struct Tabulated {
    pub(crate) table: ScalarTable,
    pub(crate) exact: Branch,
}

/// Interval and width of every finest step, from the knots' `places` in finest steps.
///
/// # Errors
/// Places that are not increasing whole numbers from 0 to `2^depth` with a width of `2^k`, k below 16, at a multiple of it.
pub(crate) fn steps(places: &[f32], depth: u32) -> Result<Vec<u16>, String> {
    let n_steps = 1_usize << depth;
    let mut steps = Vec::with_capacity(n_steps);
    for (interval, ends) in places.windows(2).enumerate() {
        let (from, to) = (ends[0] as usize, ends[1] as usize);
        let is_whole = ends[0] == from as f32 && ends[1] == to as f32 && from == steps.len();
        let width = to.saturating_sub(from);
        if !(is_whole && width.is_power_of_two() && from.is_multiple_of(width) && to <= n_steps) {
            return Err(format!(
                "knots {interval} and {}: expected a step of 2^k at a multiple of it from {} on, found {} to {}",
                interval + 1,
                steps.len(),
                ends[0],
                ends[1]
            ));
        }
        steps.resize(to, step_entry(interval, width.ilog2()));
    }
    match steps.len() == n_steps {
        true => Ok(steps),
        false => Err(format!(
            "last knot: expected at step {n_steps}, found {}",
            steps.len()
        )),
    }
}

impl ScalarTable {
    /// The table of the real in `column`; `places` of `knots.n_intervals + 1` knots.
    ///
    /// # Errors
    /// As [`steps`].
    pub(crate) fn new(
        column: usize,
        knots: bundle::Knots,
        places: &[f32],
        rows: View<Lane>,
    ) -> Result<Self, String> {
        Ok(Self {
            column,
            grid: Grid::new(knots.low, knots.high, knots.n_steps()),
            steps: steps(places, knots.depth)?,
            rows,
        })
    }

    fn knots(&self) -> Knots<'_> {
        Knots {
            grid: self.grid,
            steps: &self.steps,
            rows: &self.rows,
        }
    }
}

impl Tabulated {
    /// `sum += weight * answer` for some rows; scratch for one row of the network.
    pub(super) fn add(
        &self,
        kernels: &Kernels,
        rows: Rows<'_>,
        weight: Column<'_>,
        scratch: &mut [Lane],
        lanes: usize,
        sum: &mut [Lane],
    ) {
        let (x, knots) = (rows.column(self.table.column), self.table.knots());
        if kernels.interpolate(x, knots, weight, lanes, sum) == 0 {
            return;
        }
        for (row, sum) in sum.chunks_exact_mut(lanes).enumerate() {
            if !knots.grid.covers(x.row(row)) {
                let weight = weight.from(row);
                self.exact
                    .add(kernels, rows.from(row), weight, scratch, lanes, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_knows_its_interval() {
        let found = steps(&[0.0, 4.0, 6.0, 7.0, 8.0], 3).unwrap();
        let entries = [(0, 2), (0, 2), (0, 2), (0, 2), (1, 1), (1, 1), (2, 0), (3, 0)];
        let expected: Vec<u16> = entries.map(|(i, k)| step_entry(i, k)).to_vec();
        assert_eq!(found, expected);
        assert_eq!(steps(&[0.0, 1.0], 0), Ok(alloc::vec![step_entry(0, 0)]));
    }

    #[test]
    fn knots_elsewhere_are_refused() {
        for (places, depth, what) in [
            (&[0.0, 4.0][..], 3, "last knot"),
            (&[0.0, 8.0, 16.0], 3, "knots 1 and 2"),
            (&[0.0, 2.0, 6.0, 8.0], 3, "knots 1 and 2"),
            (&[0.0, 3.0, 4.0, 8.0], 3, "knots 0 and 1"),
            (&[0.0, 0.5, 1.0], 0, "knots 0 and 1"),
            (&[1.0, 2.0], 1, "knots 0 and 1"),
            (&[0.0, 4.0, 4.0, 8.0], 3, "knots 1 and 2"),
            (&[0.0, 4.0, 2.0, 8.0], 3, "knots 1 and 2"),
            (&[-1.0, 0.0, 1.0], 0, "knots 0 and 1"),
            (&[0.0, 3e38], 3, "knots 0 and 1"),
            (&[0.0], 3, "last knot"),
        ] {
            let error = steps(places, depth).unwrap_err();
            assert!(error.starts_with(what), "{places:?}: {error}");
        }
    }
}
