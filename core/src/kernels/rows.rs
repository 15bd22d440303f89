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
            *z = (((*x).into() - s.center) * s.recip) as f32;
            finite &= z.is_finite();
        }
    }
    finite
}

/// Softmax in place, the largest entry subtracted first; all NaN if one entry is.
#[inline(always)]
pub(super) fn softmax<I: Isa>(isa: I, x: &mut [f32]) {
    let top = isa.splat(fold(
        isa,
        x,
        f32::NEG_INFINITY,
        |isa, acc, lane| isa.max(lane, acc),
        Isa::max_lane,
    ));
    let poison = x.iter().any(|v| v.is_nan());
    map(isa, x, |isa, lane| exp(isa, isa.sub(lane, top)));
    let total = fold(isa, x, 0.0, Isa::add, Isa::sum);
    let total = isa.splat(if poison { f32::NAN } else { total });
    map(isa, x, |isa, lane| isa.div(lane, total));
}

/// Folds lanes into one accumulator lane and that into a number; the tail is filled with `neutral`.
#[inline(always)]
fn fold<I: Isa>(
    isa: I,
    x: &[f32],
    neutral: f32,
    step: impl Fn(I, I::F, I::F) -> I::F,
    finish: impl Fn(I, I::F) -> f32,
) -> f32 {
    let (whole, tail) = x.as_chunks::<LANES>();
    let mut acc = isa.splat(neutral);
    for chunk in whole {
        acc = step(isa, acc, isa.load(&Lane(*chunk)));
    }
    let mut last = Lane([neutral; LANES]);
    last.0[..tail.len()].copy_from_slice(tail);
    finish(isa, step(isa, acc, isa.load(&last)))
}

/// Replaces lanes; the tail is handled through a copy.
#[inline(always)]
fn map<I: Isa>(isa: I, x: &mut [f32], f: impl Fn(I, I::F) -> I::F) {
    let (whole, tail) = x.as_chunks_mut::<LANES>();
    for chunk in whole {
        let mut lane = Lane(*chunk);
        isa.store(f(isa, isa.load(&lane)), &mut lane);
        *chunk = lane.0;
    }
    let mut lane = Lane::ZERO;
    lane.0[..tail.len()].copy_from_slice(tail);
    isa.store(f(isa, isa.load(&lane)), &mut lane);
    tail.copy_from_slice(&lane.0[..tail.len()]);
}
