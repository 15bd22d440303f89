//! One f64 or a register of f32 with the functions of a layer: exp, elu, sigmoid, tanh.
//!
//! `e^x = 2^n e^r`, `n = round(x / ln 2)`, `|r| <= ln 2 / 2`, a polynomial of degree 6 in `r`; `sigmoid(x) = 1 / (1 + e^-x)`;
//! `tanh(x) = sign(x) (1 - 2 / (e^{2|x|} + 1))`, an odd polynomial below 0.625 (constants of Cephes, S. Moshier). Products and sums
//! are never fused, so every instruction set gives the same bits. NaN stays NaN. Bounds are tested in [`super::elementwise`].

use pulp::Simd;
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
    /// `e^x`.
    fn exp(self) -> Self;
    /// `x` where positive, else `e^x - 1`.
    fn elu(self) -> Self;
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

    fn exp(self) -> Self {
        self.exp()
    }

    fn elu(self) -> Self {
        if self > 0.0 { self } else { self.exp_m1() }
    }
}

/// A register of f32 values.
#[derive(Clone, Copy)]
pub struct Vector<S: Simd> {
    pub(super) simd: S,
    pub(super) value: S::f32s,
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

    /// Within about 1 ulp for -87 <= x <= 88, and the value at the nearer end outside.
    #[inline(always)]
    fn exp(self) -> Self {
        let (power, rest) = self.exp_parts();
        (rest + self.constant(1.0)) * power
    }

    /// Within about 2 ulp: below `ln 2 / 2` the 1 is never added.
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
}
