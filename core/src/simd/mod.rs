//! Sixteen f32 lanes per level of CPU features: the only files with intrinsics.
//!
//! A kernel is written once over the `Isa` trait; a value of an `Isa` type is the proof that the CPU has its features. All
//! levels use the same sixteen-lane vectors (one register on AVX-512, two on AVX2, an array the compiler vectorises
//! elsewhere), so the packed weights and the order of every sum are the same on all of them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod denormals;
mod lane;
mod level;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Avx512, Avx512Bf16, Avx512Vnni};
pub use denormals::FlushDenormals;
pub use lane::{FixedLane, LANES, Lane, PairLane};
pub use level::Level;
#[cfg(target_arch = "x86_64")]
pub(crate) use level::has_vnni;
pub(crate) use portable::Portable;

/// The primitives of one level.
///
/// `mul_acc(a, b, c)` is `a * b + c` and `mul_sub(a, b, c)` is `a * b - c`, fused (one rounding) on every level but `Portable`,
/// where they have two.
pub(crate) trait Isa: Copy {
    /// Sixteen f32 lanes.
    type F: Copy;
    /// Sixteen i32 lanes.
    type Int: Copy;
    /// Two neighbouring activations, broadcast, as [`Isa::dot_pair`] wants them.
    type Pair: Copy;
    /// The level whose bf16 products leave activations unrounded; the same level but for `Avx512Bf16`.
    type Exact: Isa;
    /// Rows of a GEMM tile that keep four gates in registers.
    const TILE_ROWS: usize;
    /// Blocks of sixteen units (dense: panels) that one pass of a matrix-vector product advances.
    const BLOCKS: usize;
    /// Whether a function without features of the CPU does the same.
    const IS_PLAIN: bool;
    /// Whether [`Isa::encode_pair`] changes anything.
    const ENCODES: bool;

    fn exact(self) -> Self::Exact;
    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &Lane) -> Self::F;
    /// The first sixteen numbers, or fewer and zeros behind them.
    fn load_part(self, x: &[f32]) -> Self::F;
    fn store(self, x: Self::F, to: &mut Lane);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul_acc(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn mul_sub(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The smaller lane; `b` where `a` is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger lane; `b` where `a` is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    fn abs(self, a: Self::F) -> Self::F;
    /// The magnitude of `a` with the sign of `b`.
    fn copy_sign(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * 2^n` for integer-valued n in [-252, 254], rounded once, with gradual underflow.
    fn scale_pow2(self, a: Self::F, n: Self::F) -> Self::F;
    /// `2^n` for integer-valued n in [-126, 127]; anything for NaN.
    fn pow2(self, n: Self::F) -> Self::F;
    /// `a * 2^n` for the same n, rounded once; NaN where `a` is.
    fn times_pow2(self, a: Self::F, n: Self::F) -> Self::F;
    /// Lane-wise `if a < b { x } else { y }`; false where either is NaN.
    fn select_lt(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// Lane-wise: NaN where `a` is NaN, else `b`.
    fn keep_nan(self, a: Self::F, b: Self::F) -> Self::F;
    /// Sum of the lanes as a balanced tree: halves, quarters, eighths, sixteenths.
    fn sum(self, a: Self::F) -> f32;
    /// [`Isa::sum`] of each of sixteen lanes.
    fn sum_each(self, rows: &[Lane; LANES]) -> Self::F;
    /// Largest lane.
    fn max_lane(self, a: Self::F) -> f32;
    /// The larger of a magnitude and `top`, which is one; NaN where either is.
    fn max_abs(self, a: Self::F, top: Self::F) -> Self::F;
    /// The largest magnitude of the lanes; NaN if one is.
    fn max_abs_lane(self, a: Self::F) -> f32;
    /// Rounds two activations to bf16 in the first slot where the level multiplies bf16 pairs; else returns them.
    fn encode_pair(self, x: [f32; 2]) -> [f32; 2];
    /// Broadcasts an encoded pair.
    fn splat_pair(self, x: &[f32; 2]) -> Self::Pair;
    /// `acc + w_even * x_0 + w_odd * x_1`.
    fn dot_pair(self, w: &PairLane, x: Self::Pair, acc: Self::F) -> Self::F;
    /// Sixteen zeros.
    fn zero_int(self) -> Self::Int;
    /// Broadcasts a pair of i16.
    fn splat_words(self, x: u32) -> Self::Int;
    /// `acc + w_even * x_0 + w_odd * x_1`, wrapping.
    fn dot_words(self, w: &FixedLane, x: Self::Int, acc: Self::Int) -> Self::Int;
    /// Lane-wise, wrapping.
    fn add_int(self, a: Self::Int, b: Self::Int) -> Self::Int;
    /// The nearest f32, ties to even.
    fn to_float(self, a: Self::Int) -> Self::F;
    /// The nearest integers of magnitudes below 2^31, ties to even, limited to i16; neighbours in one word, the first in its low half.
    /// Anything for other numbers.
    fn round_words(self, a: Self::F, to: &mut [u32; LANES / 2]);
}

/// [`Isa::sum_each`] one by one.
#[inline(always)]
fn sum_one_by_one<I: Isa>(isa: I, rows: &[Lane; LANES]) -> I::F {
    let mut sums = Lane::ZERO;
    for (sum, row) in sums.0.iter_mut().zip(rows) {
        *sum = isa.sum(isa.load(row));
    }
    isa.load(&sums)
}

/// `2^n` as a float for integer n in [-126, 127].
#[inline(always)]
fn pow2(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// Splits an exponent of [-252, 254] into two that [`pow2`] takes.
#[inline(always)]
fn halves(n: i32) -> (i32, i32) {
    let first = n >> 1;
    (first, n - first)
}
