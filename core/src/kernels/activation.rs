//! exp, expm1, sigmoid, tanh, ELU and ReLU over lanes.
//!
//! All of them rest on one reduction: `n = round(x / ln 2)`, `r = x - n ln 2` (two constants), and
//! `p = e^r - 1 = r + r^2 Q(r)` with Q of degree 5, minimax on |r| <= ln2 / 2 (relative error below 3e-10 before
//! rounding). Then
//!
//! - `e^x = 2^n (1 + p)`, `e^x - 1 = 2^n p + (2^n - 1)`;
//! - `sigmoid(x) = s / (1 + t)` with `t = e^{-|x|}` and `s = 1` for x >= 0, else `t`: no overflow, full relative
//!   accuracy in both tails;
//! - `tanh(x) = sign(x) m / (m + 2)` with `m = e^{2|x|} - 1`: full relative accuracy near zero.
//!
//! Within 2 ulp of the correctly rounded result for every f32; `cargo sweep` checks all of them and prints the bound.

use crate::simd::{Isa, LANES, Lane};

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 to 15 bits, so that `n * LN2_HIGH` is exact for |n| < 2^9.
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;
/// Coefficients of Q, highest power first.
const Q: [f32; 6] = [
    1.991_423e-4,
    1.394_105e-3,
    8.333_273e-3,
    4.166_635_4e-2,
    1.666_666_7e-1,
    0.5,
];
/// Below this, e^x rounds to zero; above `EXP_MAX` it overflows.
const EXP_MIN: f32 = -104.0;
const EXP_MAX: f32 = 89.0;
/// tanh is 1 in f32 from about 9.011 on.
const TANH_MAX: f32 = 10.0;

/// `(n, p)` with `e^x = 2^n (1 + p)` for |x| <= 105.
#[inline(always)]
fn reduce<I: Isa>(isa: I, x: I::F) -> (I::F, I::F) {
    let n = isa.round(isa.mul(x, isa.splat(LOG2_E)));
    let r = isa.mul_acc(n, isa.splat(-LN2_HIGH), x);
    let r = isa.mul_acc(n, isa.splat(-LN2_LOW), r);
    let mut q = isa.splat(Q[0]);
    for coefficient in &Q[1..] {
        q = isa.mul_acc(q, r, isa.splat(*coefficient));
    }
    (n, isa.mul_acc(isa.mul(r, r), q, r))
}

/// `e^x`, NaN for NaN.
#[inline(always)]
pub(super) fn exp<I: Isa>(isa: I, x: I::F) -> I::F {
    let bounded = isa.min(isa.max(x, isa.splat(EXP_MIN)), isa.splat(EXP_MAX));
    let (n, p) = reduce(isa, bounded);
    isa.keep_nan(x, isa.scale_pow2(isa.add(isa.splat(1.0), p), n))
}

/// `e^x - 1` for x in [-104, 89].
#[inline(always)]
fn expm1_bounded<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    let (n, p) = reduce(isa, x);
    let scale = isa.scale_pow2(one, n);
    isa.mul_acc(scale, p, isa.sub(scale, one))
}

/// `1 / (1 + e^{-x})`, NaN for NaN.
#[inline(always)]
pub(super) fn sigmoid<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    let low = isa.max(isa.sub(isa.splat(0.0), isa.abs(x)), isa.splat(EXP_MIN));
    let (n, p) = reduce(isa, low);
    let t = isa.scale_pow2(isa.add(one, p), n);
    let s = isa.select_lt(x, isa.splat(0.0), t, one);
    isa.keep_nan(x, quotient(isa, s, t, one, one))
}

/// `y = a / (b + c)` with one step against the rounding of the sum where `1 / (b + c) = (1 - y) w`; where w is zero, none.
/// With `e` the error of the rounded sum (exact for b <= c) the step is `y - y (1 - y) w e`.
#[inline(always)]
fn quotient<I: Isa>(isa: I, a: I::F, b: I::F, c: I::F, w: I::F) -> I::F {
    let sum = isa.add(b, c);
    let minus_e = isa.mul(isa.sub(isa.sub(sum, c), b), w);
    let y = isa.div(a, sum);
    isa.mul_acc(isa.mul(y, isa.sub(isa.splat(1.0), y)), minus_e, y)
}

/// `tanh(x)`, NaN for NaN.
#[inline(always)]
pub(super) fn tanh<I: Isa>(isa: I, x: I::F) -> I::F {
    let magnitude = isa.min(isa.abs(x), isa.splat(TANH_MAX));
    let m = expm1_bounded(isa, isa.add(magnitude, magnitude));
    let two = isa.splat(2.0);
    let w = isa.select_lt(m, two, isa.splat(0.5), isa.splat(0.0));
    let y = quotient(isa, m, m, two, w);
    isa.keep_nan(x, isa.copy_sign(y, x))
}

/// `x` for x > 0, else `e^x - 1`; NaN for NaN.
#[inline(always)]
pub(super) fn elu<I: Isa>(isa: I, x: I::F) -> I::F {
    let zero = isa.splat(0.0);
    let low = isa.max(isa.min(x, zero), isa.splat(EXP_MIN));
    let below = isa.copy_sign(expm1_bounded(isa, low), x);
    isa.keep_nan(x, isa.select_lt(zero, x, x, below))
}

/// `max(0, x)`, NaN for NaN.
#[inline(always)]
pub(super) fn relu<I: Isa>(isa: I, x: I::F) -> I::F {
    isa.keep_nan(x, isa.max(x, isa.splat(0.0)))
}

/// Applies a lane function to a slice in place; the one place where activation tails are handled.
macro_rules! over_slice {
    ($($(#[$doc:meta])* $slice:ident = $lane:ident;)*) => {
        $($(#[$doc])*
        #[inline(always)]
        pub(super) fn $slice<I: Isa>(isa: I, x: &mut [f32]) {
            let (whole, tail) = x.as_chunks_mut::<LANES>();
            for chunk in whole {
                let mut lane = Lane(*chunk);
                isa.store($lane(isa, isa.load(&lane)), &mut lane);
                *chunk = lane.0;
            }
            let mut lane = Lane::ZERO;
            lane.0[..tail.len()].copy_from_slice(tail);
            isa.store($lane(isa, isa.load(&lane)), &mut lane);
            tail.copy_from_slice(&lane.0[..tail.len()]);
        })*
    };
}

over_slice! {
    /// exp in place.
    exp_slice = exp;
    /// sigmoid in place.
    sigmoid_slice = sigmoid;
    /// tanh in place.
    tanh_slice = tanh;
    /// ELU in place.
    elu_slice = elu;
    /// ReLU in place.
    relu_slice = relu;
}
