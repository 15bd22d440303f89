//! Passes over slices that cost as much as the products: sigmoid, tanh, the LSTM cell both ways, rounding to bf16.
//!
//! `e^x = 2^n · e^r`, `n = round(x / ln 2)`, `|r| <= ln 2 / 2`, with a polynomial of degree 6 in `r`;
//! `sigmoid(x) = 1 / (1 + e^-x)`; `tanh(x) = sign(x) (1 - 2 / (e^{2|x|} + 1))`, and an odd polynomial below 0.625 (Cephes,
//! S. Moshier). Everything is written without branches, so that the compiler vectorises the loops for the instruction set
//! found at run time; products and sums are never fused, so every instruction set gives the same bits. NaN stays NaN.

use pulp::{Arch, NullaryFnOnce};

/// A float with the branch-free functions of the passes.
pub trait Scalar:
    Copy
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::AddAssign
{
    /// 1.
    const ONE: Self;
    /// `1 / (1 + e^-x)`.
    fn sigmoid(x: Self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(x: Self) -> Self;
}

impl Scalar for f64 {
    const ONE: Self = 1.0;

    fn sigmoid(x: Self) -> Self {
        1.0 / (1.0 + (-x).exp())
    }

    fn tanh(x: Self) -> Self {
        x.tanh()
    }
}

impl Scalar for f32 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn sigmoid(x: Self) -> Self {
        1.0 / (1.0 + exp(-x))
    }

    #[inline(always)]
    fn tanh(x: Self) -> Self {
        let a = x.abs();
        let z = x * x;
        let poly = -5.704_988_7e-3 * z + 2.063_908_9e-2;
        let poly = poly * z - 5.373_971_5e-2;
        let poly = poly * z + 1.333_144_2e-1;
        let poly = poly * z - 3.333_328_2e-1;
        let near = poly * z * x + x;
        let far = (1.0 - 2.0 / (exp(a + a) + 1.0)).copysign(x);
        if a < 0.625 { near } else { far }
    }
}

/// `e^x` within about 1 ulp; 0 below -87.3 is not reached (the smallest normal number stands), `e^88` above 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding this number rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let poly = 1.987_569_2e-4 * r + 1.398_2e-3;
    let poly = poly * r + 8.333_452e-3;
    let poly = poly * r + 4.166_579_6e-2;
    let poly = poly * r + 1.666_666_5e-1;
    let poly = poly * r + 0.5;
    let poly = poly * (r * r) + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    poly * f32::from_bits(exponent << 23)
}

/// Runs a pass with the best instruction set of this machine.
#[inline]
fn dispatch<F: FnOnce()>(pass: F) {
    struct Pass<F>(F);
    impl<F: FnOnce()> NullaryFnOnce for Pass<F> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            (self.0)();
        }
    }
    Arch::new().dispatch(Pass(pass));
}

/// `x = 1 / (1 + e^-x)` in place.
pub fn sigmoid(x: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = f32::sigmoid(*x)),
    );
}

/// `x = tanh(x)` in place.
pub fn tanh(x: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x = <f32 as Scalar>::tanh(*x)),
    );
}

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN, values that round past the largest become infinite.
pub fn round_bf16(x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "round_bf16");
    dispatch(
        #[inline(always)]
        || {
            for (out, &x) in out.iter_mut().zip(x) {
                let bits = x.to_bits();
                let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
                *out = if x.is_nan() { x } else { f32::from_bits(rounded) };
            }
        },
    );
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
    dispatch(
        #[inline(always)]
        || cell_forward_rows(gates, c_prev, c, tanh_c, h, n_hidden),
    );
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
    dispatch(
        #[inline(always)]
        || cell_backward_rows(gates, c_prev, tanh_c, dh, dc, n_hidden),
    );
}

#[inline(always)]
pub(super) fn cell_forward_rows<R: Scalar>(
    gates: &mut [R],
    c_prev: &[R],
    c: &mut [R],
    tanh_c: &mut [R],
    h: &mut [R],
    n_hidden: usize,
) {
    let rows = gates.chunks_exact_mut(4 * n_hidden).zip(c_prev.chunks_exact(n_hidden));
    let outputs = c
        .chunks_exact_mut(n_hidden)
        .zip(tanh_c.chunks_exact_mut(n_hidden))
        .zip(h.chunks_exact_mut(n_hidden));
    for ((gates, c_prev), ((c, tanh_c), h)) in rows.zip(outputs) {
        let (i, rest) = gates.split_at_mut(n_hidden);
        let (f, rest) = rest.split_at_mut(n_hidden);
        let (g, o) = rest.split_at_mut(n_hidden);
        for k in 0..n_hidden {
            i[k] = R::sigmoid(i[k]);
            f[k] = R::sigmoid(f[k]);
            g[k] = R::tanh(g[k]);
            o[k] = R::sigmoid(o[k]);
            c[k] = f[k] * c_prev[k] + i[k] * g[k];
            tanh_c[k] = R::tanh(c[k]);
            h[k] = o[k] * tanh_c[k];
        }
    }
}

#[inline(always)]
pub(super) fn cell_backward_rows<R: Scalar>(
    gates: &mut [R],
    c_prev: &[R],
    tanh_c: &[R],
    dh: &[R],
    dc: &mut [R],
    n_hidden: usize,
) {
    let rows = gates.chunks_exact_mut(4 * n_hidden).zip(c_prev.chunks_exact(n_hidden));
    let carries = tanh_c
        .chunks_exact(n_hidden)
        .zip(dh.chunks_exact(n_hidden))
        .zip(dc.chunks_exact_mut(n_hidden));
    for ((gates, c_prev), ((tanh_c, dh), dc)) in rows.zip(carries) {
        let (i, rest) = gates.split_at_mut(n_hidden);
        let (f, rest) = rest.split_at_mut(n_hidden);
        let (g, o) = rest.split_at_mut(n_hidden);
        for k in 0..n_hidden {
            let d_cell = dc[k] + dh[k] * o[k] * (R::ONE - tanh_c[k] * tanh_c[k]);
            let d_out = dh[k] * tanh_c[k] * o[k] * (R::ONE - o[k]);
            let d_in = d_cell * g[k] * i[k] * (R::ONE - i[k]);
            let d_new = d_cell * i[k] * (R::ONE - g[k] * g[k]);
            let d_forget = d_cell * c_prev[k] * f[k] * (R::ONE - f[k]);
            dc[k] = d_cell * f[k];
            (i[k], f[k], g[k], o[k]) = (d_in, d_forget, d_new, d_out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        x.extend([f32::NAN, f32::INFINITY, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MAX]);
        let mut y = vec![0.0; x.len()];
        round_bf16(&x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let expected = half::bf16::from_f32(x).to_f32();
            assert!(y.to_bits() == expected.to_bits() || (x.is_nan() && y.is_nan()), "{x}: {y} {expected}");
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
        let [c, tanh_c, h] = &mut out[..] else { unreachable!() };
        cell_forward_rows(&mut gates, &c_prev, c, tanh_c, h, n);
        let [c32, tanh_c32, h32] = &mut out32[..] else { unreachable!() };
        lstm_cell_forward(&mut gates32, &c_prev32, c32, tanh_c32, h32, n);
        for (wide, narrow) in out.iter().flatten().zip(out32.iter().flatten()) {
            assert!((wide - f64::from(*narrow)).abs() < 1e-6, "{wide} {narrow}");
        }
        let (dh, mut dc) = (wave(rows * n, 1.1), wave(rows * n, 1.7));
        let (dh32, mut dc32) = (narrow(&dh), narrow(&dc));
        cell_backward_rows(&mut gates, &c_prev, &out[1], &dh, &mut dc, n);
        lstm_cell_backward(&mut gates32, &c_prev32, &out32[1], &dh32, &mut dc32, n);
        for (wide, narrow) in gates.iter().chain(&dc).zip(gates32.iter().chain(&dc32)) {
            assert!((wide - f64::from(*narrow)).abs() < 2e-6, "{wide} {narrow}");
        }
    }
}
