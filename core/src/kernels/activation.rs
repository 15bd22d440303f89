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
//!
//! The LSTM cell has a form of its own (`cell`): its five exponentials meet in two fractions, so that two divisions do the work of five;
//! gated linear units likewise divide their values, two by one division. Both reduce to powers of two, `e^x = 2^n 2^f`, which costs
//! relative accuracy only where e^x is far from 1 and a sigmoid does not feel it. Gates are clamped where a sigmoid is within 1e-12 of 0 or 1, which
//! keeps products of denominators finite.

use crate::simd::{Isa, LANES, Lane};

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// 1.5 * 2^23: adding it leaves no room for a fraction.
const SHIFT: f32 = 12_582_912.0;
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

/// `(n, p)` with `e^x = 2^n (1 + p)` for |x| <= 105; NaN for NaN.
#[inline(always)]
fn reduce<I: Isa>(isa: I, x: I::F) -> (I::F, I::F) {
    if I::IS_PLAIN {
        reduce_apart(isa, x)
    } else {
        reduce_here(isa, x)
    }
}

/// The same as a function of its own: plain instructions are many, and every kernel would have them many times.
#[inline(never)]
fn reduce_apart<I: Isa>(isa: I, x: I::F) -> (I::F, I::F) {
    reduce_here(isa, x)
}

#[inline(always)]
fn reduce_here<I: Isa>(isa: I, x: I::F) -> (I::F, I::F) {
    let shift = isa.splat(SHIFT);
    let n = isa.sub(isa.mul_acc(x, isa.splat(LOG2_E), shift), shift);
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

/// Coefficients of `(2^f - 1) / f` on |f| <= 1/2, highest power first, minimax (relative error 1.1e-8 before rounding).
const EXP2: [f32; 6] = [
    1.540_351_2e-4,
    1.339_073_5e-3,
    9.618_238e-3,
    5.550_357_3e-2,
    2.402_264_9e-1,
    6.931_472e-1,
];
/// Where the cell clamps gates: `e^{-x}` stays in [e^-87, e^28].
const GATE: (f32, f32) = (-28.0, 87.0);

/// `n`, `f` and `q` with `2^n (1 + q f) = 2^{scale x}`, for `scale x` in [-126, 127]; `q` and `f` are NaN where x is.
#[inline(always)]
fn exp2_parts<I: Isa>(isa: I, x: I::F, scale: f32) -> (I::F, I::F, I::F) {
    if I::IS_PLAIN {
        exp2_parts_apart(isa, x, scale)
    } else {
        exp2_parts_here(isa, x, scale)
    }
}

/// The same as a function of its own, as [`reduce_apart`].
#[inline(never)]
fn exp2_parts_apart<I: Isa>(isa: I, x: I::F, scale: f32) -> (I::F, I::F, I::F) {
    exp2_parts_here(isa, x, scale)
}

#[inline(always)]
fn exp2_parts_here<I: Isa>(isa: I, x: I::F, scale: f32) -> (I::F, I::F, I::F) {
    let (scale, shift) = (isa.splat(scale), isa.splat(SHIFT));
    let n = isa.sub(isa.mul_acc(x, scale, shift), shift);
    let f = isa.mul_sub(x, scale, n);
    let mut q = isa.splat(EXP2[0]);
    for coefficient in &EXP2[1..] {
        q = isa.mul_acc(q, f, isa.splat(*coefficient));
    }
    (n, f, q)
}

/// `x` between two numbers; NaN for NaN.
#[inline(always)]
fn clamp<I: Isa>(isa: I, x: I::F, low: f32, high: f32) -> I::F {
    isa.max(isa.splat(low), isa.min(isa.splat(high), x))
}

/// `1 + e^{-x}`, the denominator of a sigmoid.
#[inline(always)]
fn gate_denominator<I: Isa>(isa: I, x: I::F) -> I::F {
    let (n, f, q) = exp2_parts(isa, clamp(isa, x, GATE.0, GATE.1), -LOG2_E);
    let one = isa.splat(1.0);
    isa.add(isa.times_pow2(isa.mul_acc(q, f, one), n), one)
}

/// `m = e^{2x} - 1` and `m + 2`, whose quotient is tanh(x).
#[inline(always)]
fn tanh_parts<I: Isa>(isa: I, x: I::F) -> (I::F, I::F) {
    let (n, f, q) = exp2_parts(isa, clamp(isa, x, -TANH_MAX, TANH_MAX), 2.0 * LOG2_E);
    let power = isa.pow2(n);
    let m = isa.mul_acc(power, isa.mul(q, f), isa.sub(power, isa.splat(1.0)));
    (m, isa.add(m, isa.splat(2.0)))
}

/// `value * sigmoid(gate)` of two lanes with one division; NaN in both where one of the four is.
#[inline(always)]
pub(super) fn pass_gates<I: Isa>(isa: I, values: [I::F; 2], gates: [I::F; 2]) -> [I::F; 2] {
    let (a, b) = (gate_denominator(isa, gates[0]), gate_denominator(isa, gates[1]));
    let both = isa.div(isa.splat(1.0), isa.mul(a, b));
    [
        isa.mul(values[0], isa.mul(b, both)),
        isa.mul(values[1], isa.mul(a, both)),
    ]
}

/// `value * sigmoid(gate)`; NaN where one of them is.
#[inline(always)]
pub(super) fn pass_gate<I: Isa>(isa: I, value: I::F, gate: I::F) -> I::F {
    isa.div(value, gate_denominator(isa, gate))
}

/// `c' = sigmoid(f) c + sigmoid(i) tanh(g)` and `h = sigmoid(o) tanh(c')` of gates before their activations, in the order i, f, g, o;
/// NaN where one of them is.
#[inline(always)]
pub(super) fn cell<I: Isa>(isa: I, [i, f, g, o]: [I::F; 4], c: I::F) -> (I::F, I::F) {
    let (i, f) = (gate_denominator(isa, i), gate_denominator(isa, f));
    let (g, below_g) = tanh_parts(isa, g);
    let below = isa.mul(i, below_g);
    let next = isa.div(isa.mul_acc(c, below, isa.mul(g, f)), isa.mul(below, f));
    let (m, below_m) = tanh_parts(isa, next);
    (next, isa.div(m, isa.mul(gate_denominator(isa, o), below_m)))
}

/// `x` for x > 0, else `e^x - 1`; NaN for NaN.
#[inline(always)]
pub(super) fn elu<I: Isa>(isa: I, x: I::F) -> I::F {
    // One of both is zero. (Where a lane is NaN, the second operand is what `max` and `min` give.)
    let zero = isa.splat(0.0);
    let low = isa.max(isa.splat(EXP_MIN), isa.min(zero, x));
    isa.add(isa.max(x, zero), expm1_bounded(isa, low))
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
            if !tail.is_empty() {
                let mut lane = Lane::ZERO;
                isa.store($lane(isa, isa.load_part(tail)), &mut lane);
                tail.copy_from_slice(&lane.0[..tail.len()]);
            }
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
