//! Products of integers: weights as i16 in units of their output, activations as integers in units of their row.
//!
//! A row's unit is its largest magnitude over [`LIMIT`]. Sums of integers are exact (whoever packs weights keeps every possible
//! sum within i32), so that no order of them matters; only rounding an activation to its unit, and the sum times both
//! units in the end, lose something.

use super::dense::four_chains;
use super::gates::{Gates, Rows, block_sums};
use super::linear::{LINEAR_ROWS, panel_sums};
use super::lstm::{self, LastStep};
use super::panel::Panel;
use crate::simd::{FixedLane, Isa, LANES, Lane};

/// The largest magnitude of an activation in its units.
pub(super) const LIMIT: f32 = FixedLane::LIMIT as f32;

/// k of a row that are integers at the same time.
pub(crate) const MAX_FIXED: usize = 512;

/// A row counts as zeros below this magnitude, whose reciprocal would not be a number.
const SMALLEST: f32 = 1e-30;

/// Sixteen integers in pairs.
type Words = [u32; LANES / 2];

/// The rounded numbers of up to [`MAX_FIXED`] k.
type Integers = [Words; MAX_FIXED / LANES];

/// No numbers.
const NONE: Integers = [[0; LANES / 2]; MAX_FIXED / LANES];

/// A row's unit and what its numbers are multiplied by, from its largest magnitude; NaN of NaN and infinity.
#[inline(always)]
pub(super) fn unit(largest: f32) -> (f32, f32) {
    if largest < SMALLEST {
        return (0.0, 0.0);
    }
    (largest * (1.0 / LIMIT), LIMIT / largest)
}

/// The largest magnitude; NaN if one number is.
#[inline(always)]
pub(super) fn largest<I: Isa>(isa: I, x: &[f32]) -> f32 {
    let mut top = isa.splat(0.0);
    let (whole, tail) = x.as_chunks::<LANES>();
    for chunk in whole {
        top = larger(isa, isa.load(&Lane(*chunk)), top);
    }
    if !tail.is_empty() {
        top = larger(isa, isa.load_part(tail), top);
    }
    let poison = isa.sum(isa.sub(top, top));
    isa.max_lane(top) + poison
}

/// The larger magnitude; NaN where either is.
#[inline(always)]
fn larger<I: Isa>(isa: I, x: I::F, top: I::F) -> I::F {
    isa.keep_nan(x, isa.max(isa.abs(x), top))
}

/// Whole lanes times `inverse` as integers.
#[inline(always)]
pub(super) fn encode<I: Isa>(isa: I, x: &[Lane], inverse: f32, to: &mut [Words]) {
    let inverse = isa.splat(inverse);
    for (x, to) in x.iter().zip(to) {
        isa.round_words(isa.mul(isa.load(x), inverse), to);
    }
}

/// Some numbers of a row times `inverse` as integers.
#[inline(always)]
fn encode_row<I: Isa>(isa: I, x: &[f32], inverse: f32, to: &mut Integers) {
    let inverse = isa.splat(inverse);
    let (whole, tail) = x.as_chunks::<LANES>();
    for (x, to) in whole.iter().zip(to.iter_mut()) {
        isa.round_words(isa.mul(isa.load(&Lane(*x)), inverse), to);
    }
    if !tail.is_empty() {
        isa.round_words(isa.mul(isa.load_part(tail), inverse), &mut to[whole.len()]);
    }
}

/// Units of `R` rows, and what their numbers are multiplied by.
#[inline(always)]
fn units<I: Isa, const R: usize>(isa: I, rows: Rows<'_, f32>) -> ([f32; R], [f32; R]) {
    let (mut units, mut inverses) = ([0.0; R], [0.0; R]);
    for r in 0..R {
        let x = &rows.x[r * rows.stride..][..rows.n_k];
        (units[r], inverses[r]) = unit(largest(isa, x));
    }
    (units, inverses)
}

/// The k from `from` on of `R` rows as integers, and how many words of a row count.
#[inline(always)]
fn encode_rows<I: Isa, const R: usize>(
    isa: I,
    rows: Rows<'_, f32>,
    from: usize,
    inverses: &[f32; R],
    to: &mut [Integers; LINEAR_ROWS],
) -> usize {
    let n = (rows.n_k - from).min(MAX_FIXED);
    for r in 0..R {
        encode_row(
            isa,
            &rows.x[r * rows.stride + from..][..n],
            inverses[r],
            &mut to[r],
        );
    }
    n.div_ceil(2)
}

/// `out [n, blocks, 4, 16] = bias [blocks, 4, 16] + W x [n, n_k]`, gate panels.
#[inline(always)]
pub(super) fn project<I: Isa>(
    isa: I,
    weights: Gates<'_, FixedLane>,
    bias: &[[Lane; 4]],
    rows: Rows<'_, f32>,
    out: &mut [[Lane; 4]],
) {
    let tile_out = bias.len() * I::TILE_ROWS;
    let tiles = rows.x.chunks(rows.stride * I::TILE_ROWS);
    let mut own = [NONE; LINEAR_ROWS];
    for (x, out) in tiles.zip(out.chunks_mut(tile_out)) {
        let rows = Rows { x, ..rows };
        match (x.len() / rows.stride).min(I::TILE_ROWS) {
            6 => project_tile::<I, 6>(isa, weights, bias, rows, &mut own, out),
            5 => project_tile::<I, 5>(isa, weights, bias, rows, &mut own, out),
            4 => project_tile::<I, 4>(isa, weights, bias, rows, &mut own, out),
            3 => project_tile::<I, 3>(isa, weights, bias, rows, &mut own, out),
            2 => project_tile::<I, 2>(isa, weights, bias, rows, &mut own, out),
            _ => project_tile::<I, 1>(isa, weights, bias, rows, &mut own, out),
        }
    }
}

/// All blocks of `R` rows; sums of more k than fit wait in `out`.
#[inline(always)]
fn project_tile<I: Isa, const R: usize>(
    isa: I,
    weights: Gates<'_, FixedLane>,
    bias: &[[Lane; 4]],
    rows: Rows<'_, f32>,
    integers: &mut [Integers; LINEAR_ROWS],
    out: &mut [[Lane; 4]],
) {
    let (n_blocks, n_words) = (bias.len(), rows.n_k.div_ceil(2));
    let (row_units, inverses) = units::<I, R>(isa, rows);
    for from in (0..rows.n_k).step_by(MAX_FIXED) {
        let n_k = encode_rows::<I, R>(isa, rows, from, &inverses, integers);
        let x = integers.as_flattened().as_flattened();
        let stride = MAX_FIXED / 2;
        let at = Place::of(from, rows.n_k);
        for (block, bias) in bias.iter().enumerate() {
            let panels = &weights.panels[block * n_words + from / 2..][..n_k];
            let zero = [[isa.zero_int(); 4]; R];
            let sums = block_sums::<I, FixedLane, R>(isa, panels, Rows { x, stride, n_k }, zero);
            for r in 0..R {
                let to = &mut out[r * n_blocks + block];
                let units = weights.units(isa, block, row_units[r]);
                for gate in 0..4 {
                    keep(isa, sums[r][gate], units[gate], &bias[gate], at, &mut to[gate]);
                }
            }
        }
    }
}

/// Which part of a row's k a pass takes.
#[derive(Clone, Copy)]
struct Place {
    is_first: bool,
    is_last: bool,
}

impl Place {
    #[inline(always)]
    fn of(from: usize, n_k: usize) -> Self {
        let (is_first, is_last) = (from == 0, from + MAX_FIXED >= n_k);
        Self { is_first, is_last }
    }
}

/// The sums of a pass to `to`, where those of the passes before wait as integers.
#[inline(always)]
fn keep<I: Isa>(isa: I, sum: I::Int, unit: I::F, bias: &Lane, at: Place, to: &mut Lane) {
    let sum = if at.is_first {
        sum
    } else {
        isa.add_int(sum, isa.load_int(to))
    };
    if at.is_last {
        isa.store(<FixedLane as Panel<I>>::end(isa, sum, unit, isa.load(bias)), to);
    } else {
        isa.store_int(sum, to);
    }
}

/// The last step of one window from its row `x`, at most [`MAX_FIXED`] numbers.
#[inline(always)]
pub(super) fn last_step<I: Isa>(
    isa: I,
    weights: Gates<'_, FixedLane>,
    bias: &[[Lane; 4]],
    x: &[f32],
    step: &mut LastStep<'_>,
) {
    let (unit, inverse) = unit(largest(isa, x));
    let mut integers = NONE;
    encode_row(isa, x, inverse, &mut integers);
    let words = &integers.as_flattened()[..x.len().div_ceil(2)];
    lstm::last_step(isa, weights, bias, words, unit, step);
}

/// Weights `[panels, n_k, 16]` and the unit of every output `[panels, 16]`.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    pub(super) panels: &'a [FixedLane],
    pub(super) units: &'a [Lane],
}

/// `out [n, panels, 16] = bias [panels, 16] + W x [n, n_k]`; rows of `out` lie `panels` lanes apart.
#[inline(always)]
pub(super) fn linear<I: Isa>(
    isa: I,
    weights: Panels<'_>,
    bias: &[Lane],
    rows: Rows<'_, f32>,
    out: &mut [Lane],
) {
    let n_panels = bias.len();
    let n_rows = out.len() / n_panels;
    let mut own = [NONE; LINEAR_ROWS];
    let mut row = 0;
    while row < n_rows {
        let x = &rows.x[row * rows.stride..];
        let rows = Rows { x, ..rows };
        let out = &mut out[row * n_panels..];
        row += match n_rows - row {
            LINEAR_ROWS.. => linear_tile::<I, LINEAR_ROWS>(isa, weights, bias, rows, &mut own, out),
            3..LINEAR_ROWS => linear_tile::<I, 3>(isa, weights, bias, rows, &mut own, out),
            _ => linear_tile::<I, 1>(isa, weights, bias, rows, &mut own, out),
        };
    }
}

/// All panels of `R` rows; returns `R`.
#[inline(always)]
fn linear_tile<I: Isa, const R: usize>(
    isa: I,
    weights: Panels<'_>,
    bias: &[Lane],
    rows: Rows<'_, f32>,
    integers: &mut [Integers; LINEAR_ROWS],
    out: &mut [Lane],
) -> usize {
    let (row_units, inverses) = units::<I, R>(isa, rows);
    for from in (0..rows.n_k).step_by(MAX_FIXED) {
        let n_k = encode_rows::<I, R>(isa, rows, from, &inverses, integers);
        let x = integers.as_flattened().as_flattened();
        let part = Part {
            rows: Rows {
                x,
                stride: MAX_FIXED / 2,
                n_k,
            },
            n_words: rows.n_k.div_ceil(2),
            from: from / 2,
            at: Place::of(from, rows.n_k),
        };
        let mut at = 0;
        while at < bias.len() {
            let take = (bias.len() - at).min(I::BLOCKS);
            match take {
                4 => panels::<I, 4, R>(isa, weights, bias, at, &part, &row_units, out),
                3 => panels::<I, 3, R>(isa, weights, bias, at, &part, &row_units, out),
                2 => panels::<I, 2, R>(isa, weights, bias, at, &part, &row_units, out),
                _ => panels::<I, 1, R>(isa, weights, bias, at, &part, &row_units, out),
            }
            at += take;
        }
    }
    R
}

/// Some words of every row, and where they stand.
struct Part<'a> {
    rows: Rows<'a, u32>,
    /// Words of a whole row.
    n_words: usize,
    from: usize,
    at: Place,
}

/// `P` panels from `at` on of `R` rows.
#[inline(always)]
fn panels<I: Isa, const P: usize, const R: usize>(
    isa: I,
    weights: Panels<'_>,
    bias: &[Lane],
    at: usize,
    part: &Part<'_>,
    row_units: &[f32; R],
    out: &mut [Lane],
) {
    let rows = part.rows;
    let panels: [&[FixedLane]; P] =
        core::array::from_fn(|p| &weights.panels[(at + p) * part.n_words + part.from..][..rows.n_k]);
    let mut sums = [[isa.zero_int(); P]; R];
    if R == 1 {
        sums[0] = four_chains::<I, FixedLane, P>(isa, panels, &rows.x[..rows.n_k]);
    } else {
        sums = panel_sums::<I, FixedLane, P, R>(isa, panels, rows, sums);
    }
    for r in 0..R {
        let to = &mut out[r * bias.len() + at..][..P];
        for p in 0..P {
            let unit = <FixedLane as Panel<I>>::unit(isa, Some(&weights.units[at + p]), row_units[r]);
            keep(isa, sums[r][p], unit, &bias[at + p], part.at, &mut to[p]);
        }
    }
}

const _: () = assert!(LINEAR_ROWS == 6, "as many rows as a tile of gates");
