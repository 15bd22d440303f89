//! The float types training code is generic over: f32 to train, f64 to check gradients with the same operations.

use super::elementwise;
use super::gemm;
use super::lane::Lane;
use super::mat::Mat;
use super::panels;
use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// A float with its products and elementwise passes.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
    + Sum
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Working memory of the products of one thread.
    type Scratch: Default + Send;
    /// A right operand prepared for many products.
    type Packed: Default + Send;

    /// Rounded from f64.
    fn from_f64(x: f64) -> Self;
    /// Widened to f64.
    fn to_f64(self) -> f64;
    /// `e^self`.
    fn exp(self) -> Self;
    /// `ln(1 + self)`.
    fn ln_1p(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;

    /// `C (+)= A · B`, `C` row-major.
    fn gemm(
        a: Mat<'_, Self>,
        b: Mat<'_, Self>,
        accumulate: bool,
        c: &mut [Self],
        scratch: &mut Self::Scratch,
    );
    /// Prepares `b` for [`Real::gemm_packed`].
    fn pack(b: Mat<'_, Self>, packed: &mut Self::Packed);
    /// `C (+)= A · B` with a prepared `B`.
    fn gemm_packed(
        a: Mat<'_, Self>,
        b: &Self::Packed,
        accumulate: bool,
        c: &mut [Self],
        scratch: &mut Self::Scratch,
    );

    /// [`elementwise::sigmoid`] in this type.
    fn sigmoid(x: &mut [Self]);
    /// [`elementwise::tanh`] in this type.
    fn tanh(x: &mut [Self]);
    /// [`elementwise::exp`] in this type.
    fn exp_all(x: &mut [Self]);
    /// [`elementwise::elu`] in this type.
    fn elu(x: &mut [Self]);
    /// [`elementwise::round_bf16`] in this type.
    fn round_bf16(x: &[Self], out: &mut [Self]);
    /// [`elementwise::lstm_cell_forward`] in this type.
    fn lstm_cell_forward(
        gates: &mut [Self],
        c_prev: &[Self],
        c: &mut [Self],
        tanh_c: &mut [Self],
        h: &mut [Self],
        n_hidden: usize,
    );
    /// [`elementwise::lstm_cell_backward`] in this type.
    fn lstm_cell_backward(
        gates: &mut [Self],
        c_prev: &[Self],
        tanh_c: &[Self],
        dh: &[Self],
        dc: &mut [Self],
        n_hidden: usize,
    );
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    type Scratch = gemm::Scratch;
    type Packed = panels::Packed;

    #[inline]
    fn from_f64(x: f64) -> Self {
        x as Self
    }

    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn ln_1p(self) -> Self {
        self.ln_1p()
    }

    #[inline]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn gemm(
        a: Mat<'_, Self>,
        b: Mat<'_, Self>,
        accumulate: bool,
        c: &mut [Self],
        scratch: &mut gemm::Scratch,
    ) {
        gemm::gemm_f32(a, b, accumulate, c, scratch);
    }

    fn pack(b: Mat<'_, Self>, packed: &mut panels::Packed) {
        gemm::pack(b, packed);
    }

    fn gemm_packed(
        a: Mat<'_, Self>,
        b: &panels::Packed,
        accumulate: bool,
        c: &mut [Self],
        scratch: &mut gemm::Scratch,
    ) {
        gemm::gemm_packed(a, b, accumulate, c, scratch);
    }

    fn sigmoid(x: &mut [Self]) {
        elementwise::sigmoid(x);
    }

    fn tanh(x: &mut [Self]) {
        elementwise::tanh(x);
    }

    fn exp_all(x: &mut [Self]) {
        elementwise::exp(x);
    }

    fn elu(x: &mut [Self]) {
        elementwise::elu(x);
    }

    fn round_bf16(x: &[Self], out: &mut [Self]) {
        elementwise::round_bf16(x, out);
    }

    fn lstm_cell_forward(
        gates: &mut [Self],
        c_prev: &[Self],
        c: &mut [Self],
        tanh_c: &mut [Self],
        h: &mut [Self],
        n_hidden: usize,
    ) {
        elementwise::lstm_cell_forward(gates, c_prev, c, tanh_c, h, n_hidden);
    }

    fn lstm_cell_backward(
        gates: &mut [Self],
        c_prev: &[Self],
        tanh_c: &[Self],
        dh: &[Self],
        dc: &mut [Self],
        n_hidden: usize,
    ) {
        elementwise::lstm_cell_backward(gates, c_prev, tanh_c, dh, dc, n_hidden);
    }
}

/// A right operand kept as it was given: row-major values, rows, columns.
#[derive(Debug, Default)]
pub struct PlainOperand {
    data: Vec<f64>,
    shape: [usize; 2],
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    type Scratch = ();
    type Packed = PlainOperand;

    #[inline]
    fn from_f64(x: f64) -> Self {
        x
    }

    #[inline]
    fn to_f64(self) -> f64 {
        self
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn ln_1p(self) -> Self {
        self.ln_1p()
    }

    #[inline]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn gemm(a: Mat<'_, Self>, b: Mat<'_, Self>, accumulate: bool, c: &mut [Self], (): &mut ()) {
        gemm::gemm_plain(a, b, accumulate, c);
    }

    fn pack(b: Mat<'_, Self>, packed: &mut PlainOperand) {
        let [rows, cols] = b.shape();
        packed.shape = b.shape();
        packed.data.clear();
        packed
            .data
            .extend((0..rows * cols).map(|i| b.at(i / cols, i % cols)));
    }

    fn gemm_packed(a: Mat<'_, Self>, b: &PlainOperand, accumulate: bool, c: &mut [Self], (): &mut ()) {
        let [rows, cols] = b.shape;
        gemm::gemm_plain(a, Mat::new(&b.data, rows, cols), accumulate, c);
    }

    fn sigmoid(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = Lane::sigmoid(*x));
    }

    fn tanh(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = Lane::tanh(*x));
    }

    fn exp_all(x: &mut [Self]) {
        x.iter_mut().for_each(|x| *x = Lane::exp(*x));
    }

    fn elu(x: &mut [Self]) {
        x.iter_mut()
            .for_each(|x| *x = if *x > 0.0 { *x } else { x.exp_m1() });
    }

    fn round_bf16(x: &[Self], out: &mut [Self]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = f64::from(half::bf16::from_f64(x));
        }
    }

    fn lstm_cell_forward(
        gates: &mut [Self],
        c_prev: &[Self],
        c: &mut [Self],
        tanh_c: &mut [Self],
        h: &mut [Self],
        n_hidden: usize,
    ) {
        for (at, &c_prev) in c_prev.iter().enumerate() {
            let place = |j| at / n_hidden * 4 * n_hidden + j * n_hidden + at % n_hidden;
            let z = std::array::from_fn(|j| gates[place(j)]);
            let (a, state) = elementwise::cell_forward(z, c_prev);
            a.into_iter().enumerate().for_each(|(j, a)| gates[place(j)] = a);
            [c[at], tanh_c[at], h[at]] = state;
        }
    }

    fn lstm_cell_backward(
        gates: &mut [Self],
        c_prev: &[Self],
        tanh_c: &[Self],
        dh: &[Self],
        dc: &mut [Self],
        n_hidden: usize,
    ) {
        for (at, &c_prev) in c_prev.iter().enumerate() {
            let place = |j| at / n_hidden * 4 * n_hidden + j * n_hidden + at % n_hidden;
            let a = std::array::from_fn(|j| gates[place(j)]);
            let (dz, carry) = elementwise::cell_backward(a, c_prev, tanh_c[at], dh[at], dc[at]);
            dz.into_iter()
                .enumerate()
                .for_each(|(j, dz)| gates[place(j)] = dz);
            dc[at] = carry;
        }
    }
}
