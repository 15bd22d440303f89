//! Activations as integers in units of their row, for weights that are i16 in units of their output.
//!
//! A row's unit is its largest magnitude over [`LIMIT`]. Sums of integers are exact (whoever packs weights keeps every possible
//! sum within i32), so that no order of them matters; only rounding an activation to its unit, and the sum times both
//! units in the end, lose something.

use crate::simd::{FixedLane, Isa, LANES, Lane};

/// The largest magnitude of an activation in its units.
pub(super) const LIMIT: f32 = FixedLane::LIMIT as f32;

/// A row counts as zeros below this magnitude, whose reciprocal would not be a number.
const SMALLEST: f32 = 1e-30;

/// Sixteen integers in pairs.
type Words = [u32; LANES / 2];

/// A row's unit and what its numbers are multiplied by, from its largest magnitude; NaN of NaN and infinity.
#[inline(always)]
pub(super) fn unit(largest: f32) -> (f32, f32) {
    if largest < SMALLEST {
        return (0.0, 0.0);
    }
    if !largest.is_finite() {
        return (f32::NAN, f32::NAN);
    }
    (largest * (1.0 / LIMIT), LIMIT / largest)
}

/// The largest magnitude; NaN if one number is.
#[inline(always)]
pub(super) fn largest<I: Isa>(isa: I, x: &[f32]) -> f32 {
    let mut top = isa.splat(0.0);
    let (whole, tail) = x.as_chunks::<LANES>();
    for chunk in whole {
        top = isa.max_abs(isa.load(&Lane(*chunk)), top);
    }
    if !tail.is_empty() {
        top = isa.max_abs(isa.load_part(tail), top);
    }
    isa.max_abs_lane(top)
}

/// Whole lanes times `inverse` as integers.
#[inline(always)]
pub(super) fn encode<I: Isa>(isa: I, x: &[Lane], inverse: f32, to: &mut [Words]) {
    let inverse = isa.splat(inverse);
    for (x, to) in x.iter().zip(to) {
        isa.round_words(isa.mul(isa.load(x), inverse), to);
    }
}

/// Rows `[n, n_in]` every `stride` as integers `[n, words / n]`, and their units; zeros behind a row up to the next sixteen numbers.
#[inline(always)]
pub(super) fn round_rows<I: Isa>(
    isa: I,
    x: &[f32],
    [stride, n_in]: [usize; 2],
    words: &mut [u32],
    units: &mut [f32],
) {
    let n_words = words.len() / units.len();
    for (row, (to, unit_of)) in words.chunks_exact_mut(n_words).zip(units).enumerate() {
        let x = &x[row * stride..][..n_in];
        let (unit, inverse) = unit(largest(isa, x));
        *unit_of = unit;
        let inverse = isa.splat(inverse);
        let to = to.as_chunks_mut().0;
        let (whole, tail) = x.as_chunks::<LANES>();
        for (x, to) in whole.iter().zip(to.iter_mut()) {
            isa.round_words(isa.mul(isa.load(&Lane(*x)), inverse), to);
        }
        if !tail.is_empty() {
            isa.round_words(isa.mul(isa.load_part(tail), inverse), &mut to[whole.len()]);
        }
    }
}
