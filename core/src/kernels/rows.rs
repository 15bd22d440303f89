//! Row-wise work: scaling raw inputs, softmax.

use super::activation::exp;
use crate::simd::{Isa, LANES, Lane};

/// A scaler as the kernel uses it: `z = (x - center) * recip` in f64, rounded once to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Subtracted first.
    pub center: f64,
    /// Reciprocal of the scale.
    pub recip: f64,
}

/// Zero for a subnormal number, over which many CPUs stumble in every product; any other number as it is.
#[inline(always)]
pub(crate) fn keep_normal(z: f32) -> f32 {
    if z.abs() < f32::MIN_POSITIVE { 0.0 } else { z }
}

/// Scales rows `[n, F]` into `out [n, stride]`, whose columns from F on are left alone. Returns whether every result
/// is finite.
#[inline(always)]
pub(super) fn scale_rows<T: Copy + Into<f64>>(
    x: &[T],
    scalers: &[Affine],
    out: &mut [f32],
    stride: usize,
) -> bool {
    let mut finite = true;
    for (x, out) in x.chunks_exact(scalers.len()).zip(out.chunks_mut(stride)) {
        for ((x, s), z) in x.iter().zip(scalers).zip(out) {
            *z = keep_normal((((*x).into() - s.center) * s.recip) as f32);
            finite &= z.is_finite();
        }
    }
    finite
}

/// Softmax in place, the largest entry subtracted first; all NaN if one entry is.
///
/// Lanes are added to one accumulator lane, which is added up in the end; the tail is filled with what changes nothing.
/// (Loops instead of closures: a closure is a function of its own, without the features of its level.)
#[inline(always)]
pub(super) fn softmax<I: Isa>(isa: I, x: &mut [f32]) {
    let mut top = isa.splat(f32::NEG_INFINITY);
    let mut poison = false;
    let (whole, tail) = x.as_chunks::<LANES>();
    for chunk in whole {
        top = isa.max(isa.load(&Lane(*chunk)), top);
        poison |= chunk.iter().any(|v| v.is_nan());
    }
    top = isa.max(isa.load(&filled(tail, f32::NEG_INFINITY)), top);
    poison |= tail.iter().any(|v| v.is_nan());
    let top = isa.splat(isa.max_lane(top));

    let mut total = isa.splat(0.0);
    let (whole, tail) = x.as_chunks_mut::<LANES>();
    for chunk in whole.iter_mut() {
        let e = exp(isa, isa.sub(isa.load(&Lane(*chunk)), top));
        total = isa.add(total, e);
        store(isa, e, chunk);
    }
    let e = exp(isa, isa.sub(isa.load(&filled(tail, f32::NEG_INFINITY)), top));
    total = isa.add(total, e);
    store(isa, e, tail);

    let total = isa.splat(if poison { f32::NAN } else { isa.sum(total) });
    for chunk in whole {
        store(isa, isa.div(isa.load(&Lane(*chunk)), total), chunk);
    }
    store(isa, isa.div(isa.load_part(tail), total), tail);
}

/// A tail as a whole lane.
#[inline(always)]
fn filled(tail: &[f32], rest: f32) -> Lane {
    let mut lane = Lane([rest; LANES]);
    lane.0[..tail.len()].copy_from_slice(tail);
    lane
}

/// The first numbers of a lane.
#[inline(always)]
fn store<I: Isa>(isa: I, x: I::F, to: &mut [f32]) {
    let mut lane = Lane::ZERO;
    isa.store(x, &mut lane);
    to.copy_from_slice(&lane.0[..to.len()]);
}
