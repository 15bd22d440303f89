//! Passes over slices that cost as much as the products: exp, elu, sigmoid, tanh, the LSTM cell both ways, rounding to bf16.
//!
//! The cell is written once over [`Lane`]: f64 for gradient checks, [`Vector`] for a register of f32 of the instruction set
//! found at run time (`pulp`). `e^x = 2^n e^r`, `n = round(x / ln 2)`, `|r| <= ln 2 / 2`, a polynomial of degree 6 in `r`;
//! `sigmoid(x) = 1 / (1 + e^-x)`; `tanh(x) = sign(x) (1 - 2 / (e^{2|x|} + 1))`, an odd polynomial below 0.625 (constants of
//! Cephes, S. Moshier). Products and sums are never fused, so every instruction set gives the same bits. NaN stays NaN.

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use std::ops::{Add, Div, Mul, Sub};

/// One value, or a register of values, with the functions of a cell.
pub trait Lane:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The constant `x` in every place of a lane like this one.
    fn constant(self, x: f32) -> Self;
    /// `1 / (1 + e^-x)`.
    fn sigmoid(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
}

impl Lane for f64 {
    fn constant(self, x: f32) -> Self {
        Self::from(x)
    }

    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }

    fn tanh(self) -> Self {
        self.tanh()
    }
}

/// A register of f32 values.
#[derive(Clone, Copy)]
pub struct Vector<S: Simd> {
    simd: S,
    value: S::f32s,
}

/// An operator of [`Vector`].
macro_rules! operator {
    ($trait:ident, $method:ident, $primitive:ident) => {
        impl<S: Simd> $trait for Vector<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.with(self.simd.$primitive(self.value, other.value))
            }
        }
    };
}
operator!(Add, add, add_f32s);
operator!(Sub, sub, sub_f32s);
operator!(Mul, mul, mul_f32s);
operator!(Div, div, div_f32s);

impl<S: Simd> Vector<S> {
    #[inline(always)]
    fn with(self, value: S::f32s) -> Self {
        Self { value, ..self }
    }

    /// `Σ c_k x^k`, highest power first.
    #[inline(always)]
    fn polynomial<const N: usize>(self, coefficients: [f32; N]) -> Self {
        let mut sum = self.constant(coefficients[0]);
        for &c in &coefficients[1..] {
            sum = sum * self + self.constant(c);
        }
        sum
    }

    /// `self` where `self < limit`, else `limit`; NaN stays.
    #[inline(always)]
    fn at_most(self, limit: f32) -> Self {
        let limit = self.constant(limit);
        let above = self.simd.greater_than_f32s(self.value, limit.value);
        self.with(self.simd.select_f32s(above, limit.value, self.value))
    }

    /// `self` where `self > limit`, else `limit`; NaN stays.
    #[inline(always)]
    fn at_least(self, limit: f32) -> Self {
        let limit = self.constant(limit);
        let below = self.simd.less_than_f32s(self.value, limit.value);
        self.with(self.simd.select_f32s(below, limit.value, self.value))
    }

    /// `e^x` within about 1 ulp for -87 <= x <= 88, and the value at the nearer end outside.
    #[inline(always)]
    fn exp(self) -> Self {
        let (power, rest) = self.exp_parts();
        (rest + self.constant(1.0)) * power
    }

    /// `x` where positive, else `e^x - 1` within about 2 ulp: below `ln 2 / 2` the 1 is never added.
    #[inline(always)]
    fn elu(self) -> Self {
        let (simd, one) = (self.simd, self.constant(1.0));
        let (power, rest) = self.at_most(0.0).exp_parts();
        let near = simd.less_than_f32s(self.constant(-0.34).value, self.value);
        let far = (rest + one) * power - one;
        let below = simd.select_f32s(near, rest.value, far.value);
        let positive = simd.greater_than_f32s(self.value, self.constant(0.0).value);
        self.with(simd.select_f32s(positive, self.value, below))
    }

    /// `2^n` and `e^r - 1` with `e^x = 2^n e^r`.
    #[inline(always)]
    fn exp_parts(self) -> (Self, Self) {
        // Adding this number rounds to an integer and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        let x = self.at_most(88.0).at_least(-87.0);
        let shifted = x * self.constant(std::f32::consts::LOG2_E) + self.constant(ROUND);
        let n = shifted - self.constant(ROUND);
        let r = x - n * self.constant(LN2_HIGH) - n * self.constant(LN2_LOW);
        let poly = r.polynomial([
            1.987_569_2e-4,
            1.398_2e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ]);
        let rest = poly * (r * r) + r;
        let simd = self.simd;
        let bias = simd.splat_u32s(127u32.wrapping_sub(ROUND.to_bits()));
        let exponent = simd.add_u32s(simd.transmute_u32s_f32s(shifted.value), bias);
        let power = simd.wrapping_dyn_shl_u32s(exponent, simd.splat_u32s(23));
        (self.with(simd.transmute_f32s_u32s(power)), rest)
    }
}

impl<S: Simd> Lane for Vector<S> {
    #[inline(always)]
    fn constant(self, x: f32) -> Self {
        self.with(self.simd.splat_f32s(x))
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let one = self.constant(1.0);
        one / (one + (self.constant(0.0) - self).exp())
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let (simd, one) = (self.simd, self.constant(1.0));
        let size = self.with(simd.abs_f32s(self.value));
        let z = self * self;
        let poly = z.polynomial([
            -5.704_988_7e-3,
            2.063_909e-2,
            -5.373_971_5e-2,
            1.333_144_2e-1,
            -3.333_328e-1,
        ]);
        let near = poly * z * self + self;
        let far = one - self.constant(2.0) / ((size + size).exp() + one);
        let bits = simd.transmute_u32s_f32s(self.value);
        let sign = simd.and_u32s(bits, simd.splat_u32s(1 << 31));
        let far = simd.or_u32s(simd.transmute_u32s_f32s(far.value), sign);
        let is_near = simd.less_than_f32s(size.value, self.constant(0.625).value);
        self.with(simd.select_f32s(is_near, near.value, simd.transmute_f32s_u32s(far)))
    }
}

/// `x = 1 / (1 + e^-x)` in place.
pub fn sigmoid(x: &mut [f32]) {
    Arch::new().dispatch(Map {
        x,
        kind: Kind::Sigmoid,
    });
}

/// `x = tanh(x)` in place.
pub fn tanh(x: &mut [f32]) {
    Arch::new().dispatch(Map { x, kind: Kind::Tanh });
}

/// `x = e^x` in place, for -87 <= x <= 88; the value at the nearer end outside.
pub fn exp(x: &mut [f32]) {
    Arch::new().dispatch(Map { x, kind: Kind::Exp });
}

/// `x = e^x - 1` in place where `x` is negative.
pub fn elu(x: &mut [f32]) {
    Arch::new().dispatch(Map { x, kind: Kind::Elu });
}

#[derive(Clone, Copy)]
enum Kind {
    Sigmoid,
    Tanh,
    Exp,
    Elu,
}

struct Map<'a> {
    x: &'a mut [f32],
    kind: Kind,
}

impl WithSimd for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let apply = |value: S::f32s| {
            let v = Vector { simd, value };
            match self.kind {
                Kind::Sigmoid => v.sigmoid().value,
                Kind::Tanh => v.tanh().value,
                Kind::Exp => v.exp().value,
                Kind::Elu => v.elu().value,
            }
        };
        let (body, tail) = S::as_mut_simd_f32s(self.x);
        for x in body {
            *x = apply(*x);
        }
        simd.partial_store_f32s(tail, apply(simd.partial_load_f32s(tail)));
    }
}

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN, values that round past the largest become infinite.
pub fn round_bf16(x: &[f32], out: &mut [f32]) {
    struct Round<'a>(&'a [f32], &'a mut [f32]);
    impl NullaryFnOnce for Round<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            for (out, &x) in self.1.iter_mut().zip(self.0) {
                let bits = x.to_bits();
                let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
                *out = if x.is_nan() { x } else { f32::from_bits(rounded) };
            }
        }
    }
    assert_eq!(x.len(), out.len(), "round_bf16");
    Arch::new().dispatch(Round(x, out));
}

/// One step of an LSTM over all rows: `c = f c' + i g`, `h = o tanh(c)`.
///
/// `gates [rows, 4 n_hidden]` holds pre-activations in the order i, f, g, o and is turned into activations in place; the
/// others are `[rows, n_hidden]`.
pub fn lstm_cell_forward(
    gates: &mut [f32],
    c_prev: &[f32],
    c: &mut [f32],
    tanh_c: &mut [f32],
    h: &mut [f32],
    n_hidden: usize,
) {
    Arch::new().dispatch(CellForward {
        gates,
        c_prev,
        c,
        tanh_c,
        h,
        n_hidden,
    });
}

/// The way back through [`lstm_cell_forward`].
///
/// `gates` holds the activations and is overwritten with the gradient of the pre-activations; `dh` is the gradient of `h`;
/// `dc` comes as the gradient of `c` from the later step and leaves as the gradient of `c_prev`.
pub fn lstm_cell_backward(
    gates: &mut [f32],
    c_prev: &[f32],
    tanh_c: &[f32],
    dh: &[f32],
    dc: &mut [f32],
    n_hidden: usize,
) {
    Arch::new().dispatch(CellBackward {
        gates,
        c_prev,
        tanh_c,
        dh,
        dc,
        n_hidden,
    });
}

/// A register from a slice of at most its length, zeros behind.
#[inline(always)]
fn load<S: Simd>(simd: S, x: &[f32]) -> Vector<S> {
    let value = match S::as_simd_f32s(x).0 {
        [full] => *full,
        _ => simd.partial_load_f32s(x),
    };
    Vector { simd, value }
}

/// The first values of a register into a slice of at most its length.
#[inline(always)]
fn store<S: Simd>(simd: S, x: &mut [f32], value: S::f32s) {
    match S::as_mut_simd_f32s(x).0 {
        [full] => *full = value,
        _ => simd.partial_store_f32s(x, value),
    }
}

/// Activations i, f, g, o, then `c`, `tanh(c)`, `h`, from the four pre-activations and the cell before.
#[inline(always)]
pub(super) fn cell_forward<L: Lane>([i, f, g, o]: [L; 4], c_prev: L) -> ([L; 4], [L; 3]) {
    let gates @ [i, f, g, o] = [i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()];
    let c = f * c_prev + i * g;
    let tanh_c = c.tanh();
    (gates, [c, tanh_c, o * tanh_c])
}

/// Gradients of the four pre-activations and of the cell before, from the activations.
#[inline(always)]
pub(super) fn cell_backward<L: Lane>(
    [i, f, g, o]: [L; 4],
    c_prev: L,
    tanh_c: L,
    dh: L,
    dc: L,
) -> ([L; 4], L) {
    let one = i.constant(1.0);
    let dc = dc + dh * o * (one - tanh_c * tanh_c);
    let dz = [
        dc * g * i * (one - i),
        dc * c_prev * f * (one - f),
        dc * i * (one - g * g),
        dh * tanh_c * o * (one - o),
    ];
    (dz, dc * f)
}

struct CellForward<'a> {
    gates: &'a mut [f32],
    c_prev: &'a [f32],
    c: &'a mut [f32],
    tanh_c: &'a mut [f32],
    h: &'a mut [f32],
    n_hidden: usize,
}

impl WithSimd for CellForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (n, step) = (self.n_hidden, S::F32_LANES);
        for (row, gates) in self.gates.chunks_exact_mut(4 * n).enumerate() {
            for k in (0..n).step_by(step) {
                let width = step.min(n - k);
                let at = row * n + k..row * n + k + width;
                let load = |x: &[f32]| load(simd, x);
                let z = std::array::from_fn(|j| load(&gates[j * n + k..][..width]));
                let (a, [c, tanh_c, h]) = cell_forward(z, load(&self.c_prev[at.clone()]));
                for (j, a) in a.into_iter().enumerate() {
                    store(simd, &mut gates[j * n + k..][..width], a.value);
                }
                store(simd, &mut self.c[at.clone()], c.value);
                store(simd, &mut self.tanh_c[at.clone()], tanh_c.value);
                store(simd, &mut self.h[at], h.value);
            }
        }
    }
}

struct CellBackward<'a> {
    gates: &'a mut [f32],
    c_prev: &'a [f32],
    tanh_c: &'a [f32],
    dh: &'a [f32],
    dc: &'a mut [f32],
    n_hidden: usize,
}

impl WithSimd for CellBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (n, step) = (self.n_hidden, S::F32_LANES);
        for (row, gates) in self.gates.chunks_exact_mut(4 * n).enumerate() {
            for k in (0..n).step_by(step) {
                let width = step.min(n - k);
                let at = row * n + k..row * n + k + width;
                let load = |x: &[f32]| load(simd, x);
                let a = std::array::from_fn(|j| load(&gates[j * n + k..][..width]));
                let (c_prev, tanh_c) = (load(&self.c_prev[at.clone()]), load(&self.tanh_c[at.clone()]));
                let (dh, dc) = (load(&self.dh[at.clone()]), load(&self.dc[at.clone()]));
                let (dz, dc) = cell_backward(a, c_prev, tanh_c, dh, dc);
                for (j, dz) in dz.into_iter().enumerate() {
                    store(simd, &mut gates[j * n + k..][..width], dz.value);
                }
                store(simd, &mut self.dc[at], dc.value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::real::Real;

    fn sweep() -> Vec<f32> {
        let grid = (-200_000..200_000).map(|i| i as f32 * 5e-4);
        let tiny = (0..40).flat_map(|e| [10f32.powi(-e), -(10f32.powi(-e))]);
        grid.chain(tiny).chain([0.0, -0.0]).collect()
    }

    #[test]
    fn sigmoid_is_within_two_ulp_or_the_smallest_normal_number() {
        let x = sweep();
        let mut y = x.clone();
        sigmoid(&mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(y) - exact).abs();
            assert!(error <= exact * 3e-7 + 2e-38, "sigmoid({x}) = {y}, exact {exact}");
        }
    }

    #[test]
    fn tanh_is_within_three_parts_in_ten_million() {
        let x = sweep();
        let mut y = x.clone();
        tanh(&mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let exact = f64::from(x).tanh();
            let error = (f64::from(y) - exact).abs();
            assert!(error <= exact.abs() * 3e-7, "tanh({x}) = {y}, exact {exact}");
        }
    }

    #[test]
    fn exp_and_elu_are_within_three_parts_in_ten_million() {
        let x: Vec<f32> = sweep().into_iter().filter(|x| x.abs() <= 87.0).collect();
        let (mut exps, mut elus) = (x.clone(), x.clone());
        exp(&mut exps);
        elu(&mut elus);
        for (k, &x) in x.iter().enumerate() {
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exps[k]) - exact).abs() <= exact * 3e-7,
                "exp({x}) = {}",
                exps[k]
            );
            let exact = if x > 0.0 {
                f64::from(x)
            } else {
                f64::from(x).exp_m1()
            };
            let error = (f64::from(elus[k]) - exact).abs();
            assert!(
                error <= exact.abs() * 3e-7,
                "elu({x}) = {}, exact {exact}",
                elus[k]
            );
        }
    }

    #[test]
    fn elu_of_the_ends_saturates_and_nan_stays_nan() {
        let mut x = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, -1e30];
        elu(&mut x);
        assert!(x[0] == f32::INFINITY && x[1] == -1.0 && x[2].is_nan(), "{x:?}");
        assert!(x[3] == 0.0 && x[4] == -1.0, "{x:?}");
    }

    #[test]
    fn infinities_saturate_and_nan_stays_nan() {
        let mut x = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        sigmoid(&mut x);
        assert!(x[0] == 1.0 && x[1] < 1e-37 && x[2].is_nan(), "{x:?}");
        let mut x = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        tanh(&mut x);
        assert!(x[0] == 1.0 && x[1] == -1.0 && x[2].is_nan(), "{x:?}");
    }

    #[test]
    fn a_slice_gives_the_bits_of_its_single_values() {
        let x: Vec<f32> = (0..67).map(|i| (i as f32 - 33.0) * 0.37).collect();
        let mut together = x.clone();
        tanh(&mut together);
        for (&x, &y) in x.iter().zip(&together) {
            let mut alone = [x];
            tanh(&mut alone);
            assert_eq!(alone[0].to_bits(), y.to_bits());
        }
    }

    #[test]
    fn rounding_to_bf16_agrees_with_the_half_crate() {
        let mut x = sweep();
        x.extend([
            f32::NAN,
            f32::INFINITY,
            1.0 + 1.0 / 256.0,
            1.0 + 3.0 / 256.0,
            f32::MAX,
        ]);
        let mut y = vec![0.0; x.len()];
        round_bf16(&x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let expected = half::bf16::from_f32(x).to_f32();
            assert!(
                y.to_bits() == expected.to_bits() || (x.is_nan() && y.is_nan()),
                "{x}: {y} {expected}"
            );
        }
    }

    #[test]
    fn the_f32_cell_agrees_with_the_f64_cell() {
        let (rows, n) = (3, 19);
        let wave = |len: usize, k: f64| (0..len).map(|i| (i as f64 * k).sin() * 2.0).collect::<Vec<f64>>();
        let (mut gates, c_prev) = (wave(rows * 4 * n, 0.7), wave(rows * n, 0.3));
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (mut gates32, c_prev32) = (narrow(&gates), narrow(&c_prev));
        let mut out = vec![vec![0.0; rows * n]; 3];
        let mut out32 = vec![vec![0.0f32; rows * n]; 3];
        let [c, tanh_c, h] = &mut out[..] else {
            unreachable!()
        };
        f64::lstm_cell_forward(&mut gates, &c_prev, c, tanh_c, h, n);
        let [c32, tanh_c32, h32] = &mut out32[..] else {
            unreachable!()
        };
        lstm_cell_forward(&mut gates32, &c_prev32, c32, tanh_c32, h32, n);
        for (wide, narrow) in out.iter().flatten().zip(out32.iter().flatten()) {
            assert!((wide - f64::from(*narrow)).abs() < 1e-6, "{wide} {narrow}");
        }
        let (dh, mut dc) = (wave(rows * n, 1.1), wave(rows * n, 1.7));
        let (dh32, mut dc32) = (narrow(&dh), narrow(&dc));
        f64::lstm_cell_backward(&mut gates, &c_prev, &out[1], &dh, &mut dc, n);
        lstm_cell_backward(&mut gates32, &c_prev32, &out32[1], &dh32, &mut dc32, n);
        for (wide, narrow) in gates.iter().chain(&dc).zip(gates32.iter().chain(&dc32)) {
            assert!((wide - f64::from(*narrow)).abs() < 2e-6, "{wide} {narrow}");
        }
    }
}
