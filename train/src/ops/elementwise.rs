//! Passes over slices that cost as much as the products: exp, elu, sigmoid, tanh, the LSTM cell both ways, rounding to bf16.
//!
//! The cell is written once over [`Lane`]: f64 for gradient checks, [`Vector`] for a register of f32 of the instruction set
//! found at run time (`pulp`).

use super::lane::{Lane, Vector};
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use std::marker::PhantomData;

/// A function of one lane, as a type: a closure or a function pointer would be compiled without the features of the
/// instruction set.
trait Function {
    fn of<L: Lane>(x: L) -> L;
}

/// A function on slices from a method of [`Lane`].
macro_rules! elementwise {
    ($(#[$doc:meta])* $name:ident, $type:ident) => {
        struct $type;

        impl Function for $type {
            #[inline(always)]
            fn of<L: Lane>(x: L) -> L {
                x.$name()
            }
        }

        $(#[$doc])*
        pub fn $name(x: &mut [f32]) {
            Arch::new().dispatch(Map::<$type>(x, PhantomData));
        }
    };
}
elementwise!(
    /// `x = 1 / (1 + e^-x)` in place.
    sigmoid, Sigmoid
);
elementwise!(
    /// `x = tanh(x)` in place.
    tanh, Tanh
);
elementwise!(
    /// `x = e^x` in place, for -87 <= x <= 88; the value at the nearer end outside.
    exp, Exp
);
elementwise!(
    /// `x = e^x - 1` in place where `x` is negative.
    elu, Elu
);

struct Map<'a, F>(&'a mut [f32], PhantomData<F>);

impl<F: Function> WithSimd for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (body, tail) = S::as_mut_simd_f32s(self.0);
        for x in body {
            *x = F::of(Vector { simd, value: *x }).value;
        }
        if !tail.is_empty() {
            let value = simd.partial_load_f32s(tail);
            simd.partial_store_f32s(tail, F::of(Vector { simd, value }).value);
        }
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
