//! One table of functions per level; holding a table proves that the CPU runs its level.

use super::gates::{Gates, Rows, STATE_UNIT};
use super::linear::Panels;
use super::{Affine, Column, Gated, Keys, Knots, LastStep, NormWeights, Recurrence, ScalarAffine};
use super::{activation, attend, dense, fixed, gates, interpolate, linear, lstm, norm, rows, select};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Bf16, Avx512Vnni, has_vnni};
use crate::simd::{FixedLane, Lane, Level, PairLane, Portable};

/// The pairs of a slice of lanes or floats.
#[inline(always)]
fn pairs(x: &[f32]) -> &[[f32; 2]] {
    x.as_chunks().0
}

/// Declares the table, its methods, and one instance per level from one list of kernels.
macro_rules! kernels {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($isa:ident, $($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {
        /// The kernels of one level.
        pub struct Kernels {
            level: Level,
            $($name: unsafe fn($($ty),*) $(-> $ret)?,)*
        }

        impl Kernels {
            $($(#[$doc])*
            #[inline]
            $vis fn $name(&self, $($arg: $ty),*) $(-> $ret)? {
                // SAFETY: a table leaves this module only through `for_level`, which checked the CPU.
                unsafe { (self.$name)($($arg),*) }
            })*
        }

        kernels!(@level PORTABLE, Level::Portable, Portable, inline,
            $(fn $name($isa, $($arg: $ty),*) $(-> $ret)? $body)*);
        #[cfg(target_arch = "x86_64")]
        kernels!(@level AVX2, Level::Avx2,
            // SAFETY: a table leaves this module only through `for_level`, which checked the CPU.
            unsafe { Avx2::assume() }, target_feature(enable = "avx2,fma,f16c"),
            $(fn $name($isa, $($arg: $ty),*) $(-> $ret)? $body)*);
        #[cfg(target_arch = "x86_64")]
        kernels!(@level AVX512, Level::Avx512,
            // SAFETY: as above.
            unsafe { Avx512::assume() },
            target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"),
            $(fn $name($isa, $($arg: $ty),*) $(-> $ret)? $body)*, {
                // Integers without VNNI take two instructions each; the narrower ones will do.
                project_i16: AVX2.project_i16,
                recur_i16: AVX2.recur_i16,
                last_step_i16: AVX2.last_step_i16,
                linear_i16: AVX2.linear_i16,
                ..Kernels { level: Level::Avx512, $($name,)* }
            });
        // The same level where the CPU multiplies integers in one instruction. The bits are the same.
        #[cfg(target_arch = "x86_64")]
        kernels!(@level AVX512_VNNI, Level::Avx512,
            // SAFETY: as above.
            unsafe { Avx512Vnni::assume() },
            target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"),
            $(fn $name($isa, $($arg: $ty),*) $(-> $ret)? $body)*,
            { project_i16, recur_i16, last_step_i16, linear_i16, ..AVX512 });
        // Only what multiplies pairs, or encodes them for it, differs from the level below.
        #[cfg(target_arch = "x86_64")]
        kernels!(@level AVX512_BF16, Level::Avx512Bf16,
            // SAFETY: as above.
            unsafe { Avx512Bf16::assume() },
            target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"),
            $(fn $name($isa, $($arg: $ty),*) $(-> $ret)? $body)*,
            {
                project_bf16_encoded, recur_bf16, last_step_bf16_encoded, last_cells_bf16, encode_bf16, ..AVX512_VNNI
            });
    };
    (@level $table:ident, $level:expr, $token:expr, $feature:meta,
        $(fn $name:ident($isa:ident, $($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*) => {
        kernels!(@level $table, $level, $token, $feature,
            $(fn $name($isa, $($arg: $ty),*) $(-> $ret)? $body)*, { $($name,)* });
    };
    (@level $table:ident, $level:expr, $token:expr, $feature:meta,
        $(fn $name:ident($isa:ident, $($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block)*, { $($own:tt)* }) => {
        #[allow(dead_code, reason = "a level may have kernels of another")]
        static $table: Kernels = {
            $(#[$feature]
            unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                #[allow(unused_variables, reason = "scaling needs no vector primitives")]
                let $isa = $token;
                $body
            })*
            Kernels { level: $level, $($own)* }
        };
    };
}

kernels! {
    /// `out [n, blocks, 4, 16] = bias + W x [n, stride]`, f32 weights `[blocks, n_k, 4, 16]`.
    pub(crate) fn project_f32(isa, weights: &[[Lane; 4]], bias: &[[Lane; 4]], x: &[f32], stride: usize, n_k: usize, out: &mut [[Lane; 4]]) {
        gates::project(isa, Gates::floats(weights), bias, Rows::new(x, stride, n_k), out);
    }
    /// The same with bf16 weights `[blocks, n_k / 2, 4, 16, 2]` and activations as they are.
    pub(crate) fn project_bf16(isa, weights: &[[PairLane; 4]], bias: &[[Lane; 4]], x: &[f32], stride: usize, n_k: usize, out: &mut [[Lane; 4]]) {
        let rows = Rows::new(pairs(x), stride / 2, n_k.div_ceil(2));
        gates::project(crate::simd::Isa::exact(isa), Gates::floats(weights), bias, rows, out);
    }
    /// The same for activations that the recurrence below has encoded.
    pub(crate) fn project_bf16_encoded(isa, weights: &[[PairLane; 4]], bias: &[[Lane; 4]], x: &[f32], stride: usize, n_k: usize, out: &mut [[Lane; 4]]) {
        let rows = Rows::new(pairs(x), stride / 2, n_k.div_ceil(2));
        gates::project(isa, Gates::floats(weights), bias, rows, out);
    }
    /// All steps of a layer's recurrence, f32 weights `[blocks, n_k, 4, 16]`.
    pub(crate) fn recur_f32(isa, weights: &[[Lane; 4]], n_k: usize, state: Recurrence<'_>) {
        lstm::run(isa, Gates::floats(weights), n_k, state);
    }
    /// The same with bf16 weights.
    pub(crate) fn recur_bf16(isa, weights: &[[PairLane; 4]], n_k: usize, state: Recurrence<'_>) {
        lstm::run(isa, Gates::floats(weights), n_k.div_ceil(2), state);
    }
    /// The last step of one window whose recurrent sums are known, from its row `x [n_k]`.
    pub(crate) fn last_step_f32(isa, weights: &[[Lane; 4]], bias: &[[Lane; 4]], x: &[f32], step: LastStep<'_>) {
        let mut step = step;
        lstm::last_step(isa, Gates::floats(weights), bias, x, 1.0, &mut step);
    }
    /// The same with bf16 weights, for activations that a step before has encoded.
    pub(crate) fn last_step_bf16_encoded(isa, weights: &[[PairLane; 4]], bias: &[[Lane; 4]], x: &[f32], step: LastStep<'_>) {
        let mut step = step;
        lstm::last_step(isa, Gates::floats(weights), bias, pairs(x), 1.0, &mut step);
    }
    /// The last step of one window whose recurrent sums and `gates = b + W x` are known.
    pub(crate) fn last_cells_f32(isa, gates: &[[Lane; 4]], step: LastStep<'_>) {
        let mut step = step;
        lstm::last_cells::<_, Lane>(isa, gates, &mut step);
    }
    /// The same for products with bf16 weights.
    pub(crate) fn last_cells_bf16(isa, gates: &[[Lane; 4]], step: LastStep<'_>) {
        let mut step = step;
        lstm::last_cells::<_, PairLane>(isa, gates, &mut step);
    }
    /// Output states of windows of `n_blocks` as the recurrent product of bf16 weights reads them.
    pub(crate) fn encode_bf16(isa, n_blocks: usize, h: &[Lane], operand: &mut [Lane]) {
        lstm::encode::<_, PairLane>(isa, n_blocks, h, operand);
    }
    /// Rows `[n, n_in]` every `stride` as integers `words [n, words / n]` and their units `[n]`; room for whole lanes.
    pub(crate) fn round_rows(isa, x: &[f32], stride: usize, n_in: usize, words: &mut [u32], units: &mut [f32]) {
        fixed::round_rows(isa, x, [stride, n_in], words, units);
    }
    /// `project_f32` with i16 weights `[blocks, n_k / 2, 4, 16, 2]` in `units [blocks, 4, 16]`, rows of integers in `x_units [n]`; none for
    /// states.
    pub(crate) fn project_i16(isa, weights: &[[FixedLane; 4]], units: &[[Lane; 4]], bias: &[[Lane; 4]], x: &[u32], x_units: &[f32], stride: usize, n_k: usize, out: &mut [[Lane; 4]]) {
        let rows = Rows { x, stride, n_k: n_k.div_ceil(2), units: x_units };
        gates::project(isa, Gates { panels: weights, units }, bias, rows, out);
    }
    /// `recur_f32` with i16 weights.
    pub(crate) fn recur_i16(isa, weights: &[[FixedLane; 4]], units: &[[Lane; 4]], n_k: usize, state: Recurrence<'_>) {
        lstm::run(isa, Gates { panels: weights, units }, n_k.div_ceil(2), state);
    }
    /// `last_step_f32` with i16 weights, a row of integers in `x_unit`; none for states.
    pub(crate) fn last_step_i16(isa, weights: &[[FixedLane; 4]], units: &[[Lane; 4]], bias: &[[Lane; 4]], x: &[u32], x_unit: Option<f32>, step: LastStep<'_>) {
        let mut step = step;
        lstm::last_step(isa, Gates { panels: weights, units }, bias, x, x_unit.unwrap_or(STATE_UNIT), &mut step);
    }
    /// `last_cells_f32` for products with i16 weights.
    pub(crate) fn last_cells_i16(isa, gates: &[[Lane; 4]], step: LastStep<'_>) {
        let mut step = step;
        lstm::last_cells::<_, FixedLane>(isa, gates, &mut step);
    }
    /// Output states of windows of `n_blocks` as the recurrent product of i16 weights reads them.
    pub(crate) fn encode_i16(isa, n_blocks: usize, h: &[Lane], operand: &mut [Lane]) {
        lstm::encode::<_, FixedLane>(isa, n_blocks, h, operand);
    }
    /// `out [panels, 16] = bias + W x [n_k]`, f32 weights `[panels, n_k, 16]`.
    pub(crate) fn dense_f32(isa, weights: &[Lane], bias: &[Lane], x: &[f32], out: &mut [Lane]) {
        dense::dense(isa, weights, bias, x, out);
    }
    /// The same with bf16 weights `[panels, n_k / 2, 16, 2]`; x of even length, activations as they are.
    pub(crate) fn dense_bf16(isa, weights: &[PairLane], bias: &[Lane], x: &[f32], out: &mut [Lane]) {
        dense::dense(crate::simd::Isa::exact(isa), weights, bias, pairs(x), out);
    }
    /// `out [n, panels, 16] = bias + W x [n, stride]`, f32 weights `[panels, n_k, 16]`.
    pub(crate) fn linear_f32(isa, weights: &[Lane], bias: &[Lane], x: &[f32], stride: usize, n_k: usize, out: &mut [Lane]) {
        linear::linear(isa, Panels::floats(weights), bias, Rows::new(x, stride, n_k), out);
    }
    /// The same with bf16 weights `[panels, n_k / 2, 16, 2]`; even stride, activations as they are.
    pub(crate) fn linear_bf16(isa, weights: &[PairLane], bias: &[Lane], x: &[f32], stride: usize, n_k: usize, out: &mut [Lane]) {
        let rows = Rows::new(pairs(x), stride / 2, n_k.div_ceil(2));
        linear::linear(crate::simd::Isa::exact(isa), Panels::floats(weights), bias, rows, out);
    }
    /// `linear_f32` with i16 weights `[panels, n_k / 2, 16, 2]` in `units [panels, 16]`, rows of integers in `x_units [n]`.
    pub(crate) fn linear_i16(isa, weights: &[FixedLane], units: &[Lane], bias: &[Lane], x: &[u32], x_units: &[f32], stride: usize, n_k: usize, out: &mut [Lane]) {
        let rows = Rows { x, stride, n_k: n_k.div_ceil(2), units: x_units };
        linear::linear(isa, Panels { panels: weights, units }, bias, rows, out);
    }
    /// Layer norm of rows in place.
    pub(crate) fn norm_rows(isa, norm: NormWeights<'_>, x: &mut [Lane]) {
        norm::norm_rows(isa, norm, x);
    }
    /// `out = LN(value * sigmoid(gate) + out)`.
    pub(crate) fn gate_norm_rows(isa, norm: NormWeights<'_>, gated: Gated<'_>, out: &mut [Lane]) {
        norm::gate_norm_rows(isa, norm, gated, out);
    }
    /// `out = LN(out + x)`.
    pub(crate) fn add_norm_rows(isa, norm: NormWeights<'_>, x: &[Lane], out: &mut [Lane]) {
        norm::add_norm_rows(isa, norm, x, out);
    }
    /// `out [n, lanes] = elu(slope x + offset)` of one scalar per row.
    pub(crate) fn expand(isa, x: Column<'_>, line: ScalarAffine<'_>, out: &mut [Lane]) {
        select::expand(isa, x, line, out);
    }
    /// `out [n, lanes] = slope x + offset` of one scalar per row.
    pub(crate) fn line(isa, x: Column<'_>, line: ScalarAffine<'_>, out: &mut [Lane]) {
        select::line(isa, x, line, out);
    }
    /// `sum [n, lanes] += weight[row] y [n, lanes]`.
    pub(crate) fn add_weighted(isa, weight: Column<'_>, y: &[Lane], lanes: usize, sum: &mut [Lane]) {
        select::add_weighted(isa, weight, y, lanes, sum);
    }
    /// `sum [n, lanes] += weight[row] y(x[row])` out of a table, where it reaches; returns for how many rows it does not.
    pub(crate) fn interpolate(isa, x: Column<'_>, knots: Knots<'_>, weight: Column<'_>, lanes: usize, sum: &mut [Lane]) -> usize {
        interpolate::interpolate(isa, x, knots, weight, lanes, sum)
    }
    /// `sum += y`.
    pub(crate) fn add_lanes(isa, y: &[Lane], sum: &mut [Lane]) {
        select::add_lanes(isa, y, sum);
    }
    /// Attention of one query: `weights [heads, n]` and `sums [heads, value lanes]` for `u [heads, lanes]`.
    pub(crate) fn attend(isa, u: &[Lane], rows: Keys<'_>, weights: &mut [f32], sums: &mut [Lane]) {
        attend::attend(isa, u, rows, weights, sums);
    }
    /// `out [n, stride] = (x [n, F] - center) * recip` in f64, rounded once; whether all of it is finite.
    pub(crate) fn scale_f32(isa, x: &[f32], scalers: &[Affine], out: &mut [f32], stride: usize) -> bool {
        rows::scale_rows(x, scalers, out, stride)
    }
    /// The same from f64.
    pub(crate) fn scale_f64(isa, x: &[f64], scalers: &[Affine], out: &mut [f32], stride: usize) -> bool {
        rows::scale_rows(x, scalers, out, stride)
    }
    /// `e^x` in place, within 2 ulp; NaN stays NaN.
    pub fn exp(isa, x: &mut [f32]) {
        activation::exp_slice(isa, x);
    }
    /// `1 / (1 + e^-x)` in place, within 2 ulp; NaN stays NaN.
    pub fn sigmoid(isa, x: &mut [f32]) {
        activation::sigmoid_slice(isa, x);
    }
    /// `tanh(x)` in place, within 2 ulp; NaN stays NaN.
    pub fn tanh(isa, x: &mut [f32]) {
        activation::tanh_slice(isa, x);
    }
    /// `x` where positive, else `e^x - 1`, in place, within 2 ulp; NaN stays NaN.
    pub fn elu(isa, x: &mut [f32]) {
        activation::elu_slice(isa, x);
    }
    /// `max(0, x)` in place; NaN stays NaN.
    pub fn relu(isa, x: &mut [f32]) {
        activation::relu_slice(isa, x);
    }
    /// Softmax over the slice in place; all NaN if one entry is.
    pub fn softmax(isa, x: &mut [f32]) {
        rows::softmax(isa, x);
    }
}

impl Kernels {
    /// The table of a level, if this CPU runs it.
    #[must_use]
    pub fn for_level(level: Level) -> Option<&'static Self> {
        let table = match level {
            Level::Portable => &PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &AVX2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if has_vnni() => &AVX512_VNNI,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 => &AVX512_BF16,
            #[cfg(not(target_arch = "x86_64"))]
            _ => return None,
        };
        level.is_available().then_some(table)
    }

    /// The level of this table.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernels")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}
