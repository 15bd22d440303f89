//! A function of one scalar out of a table: cubic Hermite interpolation between knots, added with a weight.
//!
//! With `t` in 0..=1 between the knots `a` and `b`, which lie `width` apart, values `v` and slopes `s`:
//!
//! ```text
//! y = (1 - t)^2 (1 + 2t) v_a + t (1 - t)^2 width s_a + t^2 (3 - 2t) v_b - t^2 (1 - t) width s_b
//! ```
//! Intervals have widths of `2^k` finest steps, so that a step, not a search, says which interval a value lies in. `t` and
//! the four factors are computed in f64 and rounded once: the lanes of all levels see the same numbers.

use super::select::Column;
use crate::simd::{Isa, Lane};

/// Bits of a step's entry that hold the logarithm of its interval's width; the number of the interval is above them.
const WIDTH_BITS: u32 = 4;

/// The range of a table in equal steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    low: f64,
    high: f64,
    steps_per_unit: f64,
    units_per_step: f64,
}

impl Grid {
    pub(crate) fn new(low: f64, high: f64, n_steps: usize) -> Self {
        Self {
            low,
            high,
            steps_per_unit: n_steps as f64 / (high - low),
            units_per_step: (high - low) / n_steps as f64,
        }
    }

    /// Whether the table answers `x`.
    #[inline(always)]
    pub(crate) fn covers(&self, x: f32) -> bool {
        let x = f64::from(x);
        x >= self.low && x <= self.high
    }

    /// `x` after so many steps.
    pub(crate) fn at(&self, steps: f64) -> f64 {
        self.low + steps * self.units_per_step
    }
}

/// The table of a function of `lanes` lanes.
#[derive(Clone, Copy)]
pub(crate) struct Knots<'a> {
    pub(crate) grid: Grid,
    /// For every finest step: which interval it belongs to, and that one's width: [`step_entry`].
    pub(crate) steps: &'a [u16],
    /// `[n_intervals + 1, 2, lanes]`: values, and slopes per unit.
    pub(crate) rows: &'a [Lane],
}

/// The entry of a step that belongs to an interval of `2^log_width` steps.
pub(crate) fn step_entry(interval: usize, log_width: u32) -> u16 {
    debug_assert!(log_width < 1 << WIDTH_BITS && interval < 1 << (u16::BITS - WIDTH_BITS));
    (interval << WIDTH_BITS) as u16 | log_width as u16
}

impl Knots<'_> {
    /// Interval of a covered `x`, and the factors of value and slope of its left knot, then of its right one.
    #[inline(always)]
    fn place(&self, x: f32) -> (usize, [f32; 4]) {
        let at = (f64::from(x) - self.grid.low) * self.grid.steps_per_unit;
        let step = (at as usize).min(self.steps.len() - 1);
        let entry = self.steps[step];
        let log_width = u32::from(entry) & ((1 << WIDTH_BITS) - 1);
        let first = step >> log_width << log_width;
        let width = power_of_two(log_width as i32);
        let t = (at - first as f64) * power_of_two(-(log_width as i32));
        (
            usize::from(entry >> WIDTH_BITS),
            factors(t, width * self.grid.units_per_step),
        )
    }
}

/// `2^n`.
#[inline(always)]
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((1023 + n) as u64) << 52)
}

#[inline(always)]
fn factors(t: f64, width: f64) -> [f32; 4] {
    let rest = 1.0 - t;
    let (left, right) = (rest * rest, t * t);
    [
        (left * (1.0 + 2.0 * t)) as f32,
        (t * left * width) as f32,
        (right * (3.0 - 2.0 * t)) as f32,
        (-right * rest * width) as f32,
    ]
}

/// `sum [n, lanes] += weight[row] y(x[row])` for the rows whose `x` the table covers; returns how many it does not.
#[inline(always)]
pub(super) fn interpolate<I: Isa>(
    isa: I,
    x: Column<'_>,
    knots: Knots<'_>,
    weight: Column<'_>,
    lanes: usize,
    sum: &mut [Lane],
) -> usize {
    let mut n_outside = 0;
    for (row, sum) in sum.chunks_exact_mut(lanes).enumerate() {
        let x = x.row(row);
        if !knots.grid.covers(x) {
            n_outside += 1;
            continue;
        }
        let (interval, factors) = knots.place(x);
        let factors = factors.map(|f| isa.splat(f));
        let weight = isa.splat(weight.row(row));
        let rows = &knots.rows[interval * 2 * lanes..][..4 * lanes];
        let (left, right) = rows.split_at(2 * lanes);
        let (left, right) = (left.split_at(lanes), right.split_at(lanes));
        let rows = left.0.iter().zip(left.1).zip(right.0.iter().zip(right.1));
        for (sum, ((v_a, s_a), (v_b, s_b))) in sum.iter_mut().zip(rows) {
            let y = isa.mul(factors[0], isa.load(v_a));
            let y = isa.mul_acc(factors[1], isa.load(s_a), y);
            let y = isa.mul_acc(factors[2], isa.load(v_b), y);
            let y = isa.mul_acc(factors[3], isa.load(s_b), y);
            isa.store(isa.mul_acc(weight, y, isa.load(sum)), sum);
        }
    }
    n_outside
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::kernels::Kernels;
    use crate::kernels::agreement::{assert_close, on_every_level, vector};
    use crate::simd::{LANES, Level};
    use std::vec;
    use std::vec::Vec;

    /// Intervals of 4, 1, 1 and 2 of eight steps over -2 to 6.
    const LOG_WIDTHS: [u32; 4] = [2, 0, 0, 1];
    const PLACES: [f64; 5] = [0.0, 4.0, 5.0, 6.0, 8.0];

    fn steps() -> Vec<u16> {
        let each = LOG_WIDTHS.iter().enumerate();
        each.flat_map(|(i, k)| core::iter::repeat_n(step_entry(i, *k), 1 << k))
            .collect()
    }

    fn rows(lanes: usize) -> Vec<Lane> {
        let values = vector(50, PLACES.len() * 2 * lanes * LANES);
        let (lanes, _) = values.as_chunks();
        lanes.iter().map(|lane| Lane(*lane)).collect()
    }

    /// Formula of the file's head, straight from the places.
    fn expected(rows: &[Lane], lanes: usize, x: f64, unit: usize) -> f64 {
        let step = x + 2.0;
        let i = PLACES[1..4].iter().filter(|p| **p <= step).count();
        let width = PLACES[i + 1] - PLACES[i];
        let t = (step - PLACES[i]) / width;
        let at = |knot: usize, part: usize| {
            let lane = rows[(knot * 2 + part) * lanes + unit / LANES];
            f64::from(lane.0[unit % LANES])
        };
        (1.0 - t) * (1.0 - t) * (1.0 + 2.0 * t) * at(i, 0)
            + t * (1.0 - t) * (1.0 - t) * width * at(i, 1)
            + t * t * (3.0 - 2.0 * t) * at(i + 1, 0)
            - t * t * (1.0 - t) * width * at(i + 1, 1)
    }

    /// Values at knots, between them, at both ends, and outside.
    const X: [f32; 12] = [
        -2.0, -1.3, 2.0, 1.999, 2.4, 3.0, 3.5, 4.1, 6.0, 6.1, -2.001, 5.999,
    ];

    fn answer(kernels: &Kernels, lanes: usize) -> (usize, Vec<Lane>) {
        let x: Vec<f32> = X.iter().flat_map(|x| [f32::NAN, *x, 0.0]).collect();
        let weights = vector(51, X.len());
        let (steps, rows) = (steps(), rows(lanes));
        let knots = Knots {
            grid: Grid::new(-2.0, 6.0, 8),
            steps: &steps,
            rows: &rows,
        };
        let column = |x, stride, at| Column { x, stride, at };
        let mut sum = vec![Lane([0.5; LANES]); X.len() * lanes];
        let n = kernels.interpolate(column(&x, 3, 1), knots, column(&weights, 1, 0), lanes, &mut sum);
        (n, sum)
    }

    #[test]
    fn rows_are_the_cubic_between_their_knots_and_what_lies_outside_is_left_alone() {
        on_every_level("interpolate", |kernels| {
            for lanes in [1, 2, 5] {
                let (n_outside, sum) = answer(kernels, lanes);
                let (rows, weights) = (rows(lanes), vector(51, X.len()));
                assert_eq!(n_outside, 2);
                for (row, found) in sum.chunks_exact(lanes).enumerate() {
                    let x = f64::from(X[row]);
                    for (unit, found) in found.iter().flat_map(|lane| lane.0).enumerate() {
                        let added = match (-2.0..=6.0).contains(&x) {
                            true => f64::from(weights[row]) * expected(&rows, lanes, x, unit),
                            false => 0.0,
                        };
                        assert_close(found, 0.5 + added, 4e-7, "interpolate");
                    }
                }
            }
        });
    }

    #[test]
    fn a_value_that_is_no_number_is_outside() {
        let grid = Grid::new(-2.0, 6.0, 8);
        assert!(grid.covers(-2.0) && grid.covers(6.0));
        assert!(
            ![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -2.1, 6.1]
                .iter()
                .any(|x| grid.covers(*x))
        );
    }

    #[test]
    fn fused_levels_interpolate_to_the_same_bits() {
        let tables = [Level::Avx2, Level::Avx512, Level::Avx512Bf16];
        let answers: Vec<_> = tables
            .into_iter()
            .filter_map(Kernels::for_level)
            .map(|kernels| answer(kernels, 3))
            .collect();
        assert!(answers.windows(2).all(|two| two[0] == two[1]));
    }
}
