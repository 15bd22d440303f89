//! Tables of networks of one real: where their knots lie, what they hold, and how far off they are.
//!
//! An interval is halved until cubic Hermite interpolation between its ends, in f64, is near enough at every sample of it.
//! Widths differ: a network bends at the bends of its ELUs and where its norm sees little variance, and is nearly straight far
//! from zero. What is recorded is measured afterwards, on the rounded table and with the kernel that will read it.

use super::packed::PackedTensor;
use super::scalar::{Dual, ScalarNet};
use crate::bundle::{self, MAX_DEPTH, MAX_INTERVALS, Tables, Tabulated, n_blocks};
use crate::error::OpenError;
use crate::kernels::{Column, Grid, Kernels, Knots};
use crate::layers::steps;
use crate::simd::{LANES, Lane, Level};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Intervals to begin with, as a power of two: features narrower than their samples would be missed.
const FIRST_DEPTH: u32 = 5;
/// Samples of an interval while it may still be halved, and when the table is measured.
const SAMPLES: usize = 8;
const MEASURED: usize = 16;
/// What intervals are halved to, as shares of the tolerance: rounding to f32 comes on top of it.
const TARGETS: [f64; 2] = [0.75, 0.4];
/// Bytes of all tables of a model at most.
const MAX_BYTES: usize = 256 << 20;

/// A network under the name of its tensors.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) network: ScalarNet,
}

/// The tables that `wish` asks for, and what they hold.
///
/// # Errors
/// [`OpenError::Schema`] where they would be too large.
pub(super) fn make(wish: &Tables, all: &[Named]) -> Result<(Tables, Vec<PackedTensor>), OpenError> {
    let (mut networks, mut tensors, mut n_bytes) = (Vec::new(), Vec::new(), 0);
    for Named { name, network } in all {
        let (found, table) = tabulate(name, wish, network);
        networks.push(found);
        let Some(table) = table else { continue };
        n_bytes += size_of_val(&table.rows[..]);
        if n_bytes > MAX_BYTES {
            return Err(OpenError::Schema(format!(
                "tables: expected {MAX_BYTES} bytes or less, found more at `{name}`: ask for a larger tolerance or a smaller range"
            )));
        }
        tensors.extend(table.into_tensors(name));
    }
    let tables = Tables {
        networks,
        ..wish.clone()
    };
    Ok((tables, tensors))
}

/// By how much goldens may be farther off with these tables: twenty times the largest share of their size. A selected row is a
/// weighted mean of variables, hence no farther off than the worst of them; what the layers behind it make of that has no
/// bound, and twenty is a small part of what rounding to f32 is allowed.
pub(super) fn golden_share(tables: &Tables, output: &[f32]) -> f32 {
    let size = output.iter().fold(1.0_f32, |top, v| top.max(v.abs()));
    (20.0 * tables.largest_share()) as f32 * size
}

/// A network as its table will be known, and the table if it is good enough.
fn tabulate(name: &str, wish: &Tables, network: &ScalarNet) -> (Tabulated, Option<Table>) {
    let range = output_range(wish, network);
    let mut found = Tabulated {
        network: name.into(),
        knots: None,
        error: 0.0,
        share: 0.0,
    };
    for target in TARGETS {
        let intervals = refine(wish, network, target * wish.tolerance * range);
        let table = Table::new(wish, network, &intervals);
        let error = table.measure(network);
        found.error = rounded_up(error);
        found.share = rounded_up(error / range);
        if found.share <= wish.tolerance {
            found.knots = Some(table.knots);
            return (found, Some(table));
        }
    }
    (found, None)
}

/// Range of all outputs over the table's range; one where they are all zero.
fn output_range(wish: &Tables, network: &ScalarNet) -> f64 {
    let n = SAMPLES << FIRST_DEPTH;
    let width = (wish.high - wish.low) / n as f64;
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for i in 0..=n {
        for y in network.at(wish.low + i as f64 * width).value {
            (low, high) = (low.min(y), high.max(y));
        }
    }
    [high - low, high.abs(), 1.0]
        .into_iter()
        .find(|r| *r > 0.0)
        .unwrap_or(1.0)
}

/// Two digits, and no less than `x`. Between samples a table may be farther off than at them: a share of `x` is added.
fn rounded_up(x: f64) -> f64 {
    let text = format!("{:.1e}", x * 1.06);
    text.parse().unwrap_or(x)
}

/// From `start`, `1 << log_width` finest steps.
#[derive(Clone, Copy)]
struct Interval {
    start: usize,
    log_width: u32,
}

/// `x` of a finest step.
fn x_of(wish: &Tables, step: f64) -> f64 {
    wish.low + (wish.high - wish.low) * (step / f64::from(1_u32 << MAX_DEPTH))
}

/// Intervals in ascending order, none farther off than `error` if the limits allow that.
fn refine(wish: &Tables, network: &ScalarNet, error: f64) -> Vec<Interval> {
    let log_width = MAX_DEPTH - FIRST_DEPTH;
    let first = (0..1 << FIRST_DEPTH).map(|i| Interval {
        start: i << log_width,
        log_width,
    });
    let (mut todo, mut done): (Vec<Interval>, Vec<Interval>) = (first.collect(), Vec::new());
    while !todo.is_empty() {
        let (near, far): (Vec<Interval>, Vec<Interval>) = todo
            .into_iter()
            .partition(|interval| interval.log_width == 0 || interval.error(wish, network) <= error);
        done.extend(near);
        todo = if done.len() + 2 * far.len() > MAX_INTERVALS {
            done.extend(far);
            Vec::new()
        } else {
            far.into_iter().flat_map(Interval::halves).collect()
        };
    }
    done.sort_unstable_by_key(|interval| interval.start);
    done
}

impl Interval {
    fn end(self) -> usize {
        self.start + (1 << self.log_width)
    }

    fn halves(self) -> [Self; 2] {
        let log_width = self.log_width - 1;
        [self.start, self.start + (1 << log_width)].map(|start| Self { start, log_width })
    }

    /// Largest distance from the network at the samples.
    fn error(self, wish: &Tables, network: &ScalarNet) -> f64 {
        let ends = [self.start, self.end()].map(|step| x_of(wish, step as f64));
        let [a, b] = ends.map(|x| network.at(x));
        let width = ends[1] - ends[0];
        let at = |i: usize| {
            let t = (i as f64 + 0.5) / SAMPLES as f64;
            distance(&between(&a, &b, width, t), &network.at(ends[0] + t * width).value)
        };
        (0..SAMPLES).map(at).fold(0.0, f64::max)
    }
}

/// Cubic Hermite interpolation.
fn between(a: &Dual, b: &Dual, width: f64, t: f64) -> Vec<f64> {
    let rest = 1.0 - t;
    let (left, right) = (rest * rest, t * t);
    let one = |i: usize| {
        left * ((1.0 + 2.0 * t) * a.value[i] + t * width * a.slope[i])
            + right * ((3.0 - 2.0 * t) * b.value[i] - rest * width * b.slope[i])
    };
    (0..a.value.len()).map(one).collect()
}

/// Largest difference; infinite where one is no number.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let apart = |(a, b): (&f64, &f64)| {
        let apart = (a - b).abs();
        if apart.is_nan() { f64::INFINITY } else { apart }
    };
    a.iter().zip(b).map(apart).fold(0.0, f64::max)
}

/// A column of one row.
fn one(x: &[f32; 1]) -> Column<'_> {
    Column { x, stride: 1, at: 0 }
}

/// Where a table is measured between two knots.
fn samples(from: f32, to: f32) -> impl Iterator<Item = f64> {
    let share = |i: usize| (i as f64 + 0.5) / MEASURED as f64;
    (0..MEASURED).map(move |i| f64::from(from) + share(i) * f64::from(to - from))
}

/// A table as the file holds it.
struct Table {
    knots: bundle::Knots,
    /// Of the knots, in finest steps.
    places: Vec<f32>,
    /// `[n_intervals + 1, 2, lanes]`.
    rows: Vec<Lane>,
    lanes: usize,
}

impl Table {
    fn new(wish: &Tables, network: &ScalarNet, intervals: &[Interval]) -> Self {
        let finest = intervals.iter().map(|i| i.log_width).min().unwrap_or(0);
        let lanes = n_blocks(network.n_out());
        let ends: Vec<usize> = intervals
            .iter()
            .map(|i| i.start)
            .chain([1 << MAX_DEPTH])
            .collect();
        let mut rows = vec![Lane::ZERO; ends.len() * 2 * lanes];
        for (step, rows) in ends.iter().zip(rows.chunks_exact_mut(2 * lanes)) {
            let at = network.at(x_of(wish, *step as f64));
            let (value, slope) = rows.split_at_mut(lanes);
            fill(value, &at.value);
            fill(slope, &at.slope);
        }
        Self {
            knots: bundle::Knots {
                low: wish.low,
                high: wish.high,
                n_intervals: intervals.len(),
                depth: MAX_DEPTH - finest,
            },
            places: ends.iter().map(|step| (step >> finest) as f32).collect(),
            rows,
            lanes,
        }
    }

    /// Largest distance of the table from its network, as the kernel reads it.
    fn measure(&self, network: &ScalarNet) -> f64 {
        let kernels = Kernels::for_level(Level::Portable).expect("every machine runs it");
        let steps = steps(&self.places, self.knots.depth).expect("halves of halves");
        let knots = Knots {
            grid: Grid::new(self.knots.low, self.knots.high, self.knots.n_steps()),
            steps: &steps,
            rows: &self.rows,
        };
        let mut worst = 0.0_f64;
        let mut found = vec![Lane::ZERO; self.lanes];
        for step in self.places.windows(2).flat_map(|ends| samples(ends[0], ends[1])) {
            let x = knots.grid.at(step) as f32;
            found.fill(Lane::ZERO);
            if kernels.interpolate(one(&[x]), knots, one(&[1.0]), self.lanes, &mut found) == 0 {
                let found: &[f32] = bytemuck::must_cast_slice(&found);
                let found: Vec<f64> = found.iter().map(|v| f64::from(*v)).collect();
                worst = worst.max(distance(&found, &network.at(f64::from(x)).value));
            }
        }
        worst
    }

    fn into_tensors(self, name: &str) -> [PackedTensor; 2] {
        let n = self.places.len();
        let mut places = self.places;
        places.resize(n.next_multiple_of(LANES), 0.0);
        [
            PackedTensor::f32(format!("run.{name}.places"), &[n_blocks(n), LANES], &places),
            PackedTensor::f32(
                format!("run.{name}.knots"),
                &[n, 2, self.lanes, LANES],
                &self.rows,
            ),
        ]
    }
}

fn fill(lanes: &mut [Lane], values: &[f64]) {
    let lanes: &mut [f32] = bytemuck::must_cast_slice_mut(lanes);
    lanes.iter_mut().zip(values).for_each(|(to, v)| *to = *v as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::fold::Mat;
    use crate::nets::scalar::{Line, Residual};

    /// Reproducible numbers in -1 to 1.
    fn noise(seed: usize, n: usize) -> Vec<f64> {
        let one = |i: usize| libm::sin((seed * 1009 + i * 37) as f64 * 12.9898) * 43_758.547 % 1.0;
        (0..n).map(one).collect()
    }

    /// A network of 20 units whose 24 hidden units bend between -1 and 1.
    fn network(seed: usize, gated: bool) -> ScalarNet {
        let line = |seed: usize, n: usize| Line {
            slope: noise(seed, n),
            offset: noise(seed + 1, n),
        };
        let n_out = if gated { 40 } else { 20 };
        let residual = gated.then(|| Residual {
            skip: line(seed + 2, 20),
            skip_norm: None,
            norm: [noise(seed + 4, 20), noise(seed + 5, 20)],
            eps: 1e-3,
        });
        let weight = Mat::new(n_out, 24, noise(seed + 6, n_out * 24));
        ScalarNet::new(line(seed, 24), &weight, &noise(seed + 7, n_out), residual)
    }

    fn table(wish: &Tables, network: &ScalarNet) -> (Tabulated, Table) {
        let (found, table) = tabulate("a", wish, network);
        (found, table.expect("a table"))
    }

    #[test]
    fn no_value_is_farther_off_than_recorded() {
        for (seed, gated, tolerance) in [(1, true, 1e-6), (31, true, 1e-4), (61, false, 1e-6)] {
            let (net, wish) = (network(seed, gated), Tables::wish(tolerance, -8.0, 8.0));
            let (found, table) = table(&wish, &net);
            assert!(found.share <= tolerance && found.error > 0.0);
            let steps = steps(&table.places, table.knots.depth).unwrap();
            let knots = Knots {
                grid: Grid::new(-8.0, 8.0, table.knots.n_steps()),
                steps: &steps,
                rows: &table.rows,
            };
            let mut worst = 0.0_f64;
            for x in noise(seed + 100, 20_000).iter().map(|v| (8.0 * v) as f32) {
                let mut y = vec![Lane::ZERO; table.lanes];
                let kernels = Kernels::for_level(Level::detect()).unwrap();
                assert_eq!(
                    kernels.interpolate(one(&[x]), knots, one(&[1.0]), table.lanes, &mut y),
                    0
                );
                let y: Vec<f64> = y.iter().flat_map(|lane| lane.0).map(f64::from).collect();
                worst = worst.max(distance(&y, &net.at(f64::from(x)).value));
                assert!(y[20..].iter().all(|v| *v == 0.0), "padding stays zero");
            }
            assert!(
                worst <= found.error && worst >= found.error / 4.0,
                "{worst} recorded as {}",
                found.error
            );
        }
    }

    #[test]
    fn a_network_that_no_table_meets_stays_exact_and_says_by_how_much() {
        let (found, table) = tabulate("a", &Tables::wish(1e-12, -8.0, 8.0), &network(1, true));
        assert!(table.is_none() && found.knots.is_none());
        assert!(found.share > 1e-12 && found.error.is_finite());
    }

    #[test]
    fn a_constant_needs_the_first_intervals_only() {
        let line = Line {
            slope: vec![0.0; 3],
            offset: vec![1.0; 3],
        };
        for bias in [0.0, 0.25] {
            let net = ScalarNet::new(line.clone(), &Mat::zeros(2, 3), &[bias; 2], None);
            let (found, table) = table(&Tables::wish(1e-6, -8.0, 8.0), &net);
            assert_eq!(
                (table.knots.n_intervals, found.error, found.share),
                (32, 0.0, 0.0)
            );
            assert_eq!(table.knots.depth, FIRST_DEPTH);
        }
    }

    #[test]
    fn figures_are_rounded_up_to_two_digits() {
        for x in [0.0, 1e-9, 1.04e-7, 9.99e-7, 2.71, 12345.6] {
            let found = rounded_up(x);
            assert!(found >= x && found <= 1.13 * x, "{x} {found}");
        }
        assert_eq!(rounded_up(3.0e-7), 3.2e-7);
    }
}
