//! AVX2, FMA and F16C: a lane is two registers of eight.

use super::{FixedLane, Isa, LANES, Lane, PairLane};
use core::arch::x86_64::*;

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU and operating system must run AVX2, FMA and F16C.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

/// Sixteen lanes, the lower eight first.
#[derive(Clone, Copy)]
pub(crate) struct F(__m256, __m256);

/// Sixteen i32, the lower eight first.
#[derive(Clone, Copy)]
pub(crate) struct Int(__m256i, __m256i);

/// Applies one intrinsic to both halves.
macro_rules! both {
    ($f:ident, $($x:expr),+) => {
        // SAFETY: the receiver proves AVX2 and FMA.
        unsafe { F($f($($x.0),+), $f($($x.1),+)) }
    };
}

#[inline]
#[target_feature(enable = "avx2")]
fn scale_half(a: __m256, n: __m256) -> __m256 {
    let n = _mm256_cvtps_epi32(n);
    let first = _mm256_srai_epi32::<1>(n);
    let second = _mm256_sub_epi32(n, first);
    let bias = _mm256_set1_epi32(127);
    let pow2 = |k: __m256i| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(k, bias)));
    _mm256_mul_ps(_mm256_mul_ps(a, pow2(first)), pow2(second))
}

#[inline]
#[target_feature(enable = "avx2")]
fn pow2_half(n: __m256) -> __m256 {
    let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
}

#[inline]
#[target_feature(enable = "avx2")]
fn abs_half(a: __m256) -> __m256 {
    _mm256_andnot_ps(_mm256_set1_ps(-0.0), a)
}

#[inline]
#[target_feature(enable = "avx2")]
fn copy_sign_half(a: __m256, b: __m256) -> __m256 {
    let sign = _mm256_set1_ps(-0.0);
    _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn select_lt_half(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
    _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn keep_nan_half(a: __m256, b: __m256) -> __m256 {
    _mm256_blendv_ps(b, a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum_lanes(a: F) -> f32 {
    let eight = _mm256_add_ps(a.0, a.1);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn max_lanes(a: F) -> f32 {
    let eight = _mm256_max_ps(a.0, a.1);
    let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// Bits of magnitudes have the order of their numbers, and those of NaN come last.
#[inline]
#[target_feature(enable = "avx2")]
fn max_abs_half(a: __m256, top: __m256) -> __m256 {
    let magnitude = _mm256_castps_si256(abs_half(a));
    _mm256_castsi256_ps(_mm256_max_epi32(magnitude, _mm256_castps_si256(top)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn max_abs_of(a: F) -> f32 {
    let eight = _mm256_castps_si256(max_abs_half(a.0, abs_half(a.1)));
    let four = _mm_max_epi32(
        _mm256_castsi256_si128(eight),
        _mm256_extracti128_si256::<1>(eight),
    );
    let two = _mm_max_epi32(four, _mm_shuffle_epi32::<0b11_10>(four));
    f32::from_bits(_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32::<1>(two))) as u32)
}

/// Eight pairs: `acc + even * x0 + odd * x1`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_half(w: __m256i, x: (__m256, __m256), acc: __m256) -> __m256 {
    let even = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(w));
    let odd = _mm256_castsi256_ps(_mm256_and_si256(w, _mm256_set1_epi32(-65536)));
    _mm256_fmadd_ps(odd, x.1, _mm256_fmadd_ps(even, x.0, acc))
}

#[inline]
#[target_feature(enable = "avx2")]
fn dot_words_half(w: __m256i, x: __m256i, acc: __m256i) -> __m256i {
    _mm256_add_epi32(acc, _mm256_madd_epi16(w, x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_words(a: Int, b: Int) -> Int {
    Int(_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1))
}

#[inline]
#[target_feature(enable = "avx2")]
fn converted(a: Int) -> F {
    F(_mm256_cvtepi32_ps(a.0), _mm256_cvtepi32_ps(a.1))
}

/// Sixteen numbers as i16, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn packed_words(a: F) -> __m256i {
    let (low, high) = (_mm256_cvtps_epi32(a.0), _mm256_cvtps_epi32(a.1));
    // Packing works on halves of registers: put the middle quarters back in order.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(w: &[u32; LANES]) -> (__m256i, __m256i) {
    let words = bytemuck::must_cast_ref::<[u32; LANES], [[u32; 8]; 2]>(w);
    // SAFETY: the reference is valid for eight words; the load needs no alignment.
    let low = unsafe { _mm256_loadu_si256(words[0].as_ptr().cast()) };
    // SAFETY: as above.
    let high = unsafe { _mm256_loadu_si256(words[1].as_ptr().cast()) };
    (low, high)
}

impl Isa for Avx2 {
    type F = F;
    type Int = Int;
    type Pair = (__m256, __m256);
    type Exact = Self;
    const TILE_ROWS: usize = 1;
    const BLOCKS: usize = 1;
    const IS_PLAIN: bool = false;
    const ENCODES: bool = false;

    #[inline(always)]
    fn exact(self) -> Self {
        self
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F {
        // SAFETY: `self` proves AVX2.
        let half = unsafe { _mm256_set1_ps(x) };
        F(half, half)
    }
    #[inline(always)]
    fn load(self, x: &Lane) -> F {
        let halves = bytemuck::must_cast_ref::<Lane, [[f32; 8]; 2]>(x);
        // SAFETY: `self` proves AVX; the reference is valid for eight floats.
        let low = unsafe { _mm256_loadu_ps(halves[0].as_ptr()) };
        // SAFETY: as above.
        let high = unsafe { _mm256_loadu_ps(halves[1].as_ptr()) };
        F(low, high)
    }
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> F {
        let mut lane = Lane::ZERO;
        for (to, x) in lane.0.iter_mut().zip(x) {
            *to = *x;
        }
        self.load(&lane)
    }
    #[inline(always)]
    fn store(self, x: F, to: &mut Lane) {
        let halves = bytemuck::must_cast_mut::<Lane, [[f32; 8]; 2]>(to);
        // SAFETY: `self` proves AVX; the reference is valid for eight floats.
        unsafe { _mm256_storeu_ps(halves[0].as_mut_ptr(), x.0) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(halves[1].as_mut_ptr(), x.1) };
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        both!(_mm256_add_ps, a, b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        both!(_mm256_sub_ps, a, b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        both!(_mm256_mul_ps, a, b)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        both!(_mm256_div_ps, a, b)
    }
    #[inline(always)]
    fn mul_acc(self, a: F, b: F, c: F) -> F {
        both!(_mm256_fmadd_ps, a, b, c)
    }
    #[inline(always)]
    fn mul_sub(self, a: F, b: F, c: F) -> F {
        both!(_mm256_fmsub_ps, a, b, c)
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        both!(_mm256_min_ps, a, b)
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        both!(_mm256_max_ps, a, b)
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        both!(_mm256_sqrt_ps, a)
    }
    #[inline(always)]
    fn abs(self, a: F) -> F {
        both!(abs_half, a)
    }
    #[inline(always)]
    fn copy_sign(self, a: F, b: F) -> F {
        both!(copy_sign_half, a, b)
    }
    #[inline(always)]
    fn scale_pow2(self, a: F, n: F) -> F {
        both!(scale_half, a, n)
    }
    #[inline(always)]
    fn pow2(self, n: F) -> F {
        both!(pow2_half, n)
    }
    #[inline(always)]
    fn times_pow2(self, a: F, n: F) -> F {
        self.mul(a, self.pow2(n))
    }
    #[inline(always)]
    fn select_lt(self, a: F, b: F, x: F, y: F) -> F {
        both!(select_lt_half, a, b, x, y)
    }
    #[inline(always)]
    fn keep_nan(self, a: F, b: F) -> F {
        both!(keep_nan_half, a, b)
    }
    #[inline(always)]
    fn sum(self, a: F) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe { sum_lanes(a) }
    }
    #[inline(always)]
    fn sum_each(self, rows: &[Lane; LANES]) -> Self::F {
        super::sum_one_by_one(self, rows)
    }
    #[inline(always)]
    fn max_lane(self, a: F) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe { max_lanes(a) }
    }
    #[inline(always)]
    fn max_abs(self, a: F, top: F) -> F {
        both!(max_abs_half, a, top)
    }
    #[inline(always)]
    fn max_abs_lane(self, a: F) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe { max_abs_of(a) }
    }
    #[inline(always)]
    fn encode_pair(self, x: [f32; 2]) -> [f32; 2] {
        x
    }
    #[inline(always)]
    fn splat_pair(self, x: &[f32; 2]) -> Self::Pair {
        (self.splat(x[0]).0, self.splat(x[1]).0)
    }
    #[inline(always)]
    fn dot_pair(self, w: &PairLane, x: Self::Pair, acc: F) -> F {
        // SAFETY: `self` proves AVX2.
        let words = unsafe { load_words(&w.0) };
        // SAFETY: `self` proves AVX2 and FMA.
        let low = unsafe { dot_half(words.0, x, acc.0) };
        // SAFETY: as above.
        let high = unsafe { dot_half(words.1, x, acc.1) };
        F(low, high)
    }
    #[inline(always)]
    fn zero_int(self) -> Int {
        self.splat_words(0)
    }
    #[inline(always)]
    fn splat_words(self, x: u32) -> Int {
        // SAFETY: `self` proves AVX2.
        let half = unsafe { _mm256_set1_epi32(x as i32) };
        Int(half, half)
    }
    #[inline(always)]
    fn dot_words(self, w: &FixedLane, x: Int, acc: Int) -> Int {
        // SAFETY: `self` proves AVX2.
        let words = unsafe { load_words(&w.0) };
        // SAFETY: as above.
        let low = unsafe { dot_words_half(words.0, x.0, acc.0) };
        // SAFETY: as above.
        let high = unsafe { dot_words_half(words.1, x.1, acc.1) };
        Int(low, high)
    }
    #[inline(always)]
    fn add_int(self, a: Int, b: Int) -> Int {
        // SAFETY: `self` proves AVX2.
        unsafe { add_words(a, b) }
    }
    #[inline(always)]
    fn to_float(self, a: Int) -> F {
        // SAFETY: `self` proves AVX2.
        unsafe { converted(a) }
    }
    #[inline(always)]
    fn round_words(self, a: F, to: &mut [u32; LANES / 2]) {
        // SAFETY: `self` proves AVX2.
        let words = unsafe { packed_words(a) };
        // SAFETY: as above; the reference is valid for eight words, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words) };
    }
}
