//! AVX-512 (F, BW, DQ, VL), alone, with `VPDPWSSD` and with `VDPBF16PS`: a lane is one register.

use super::{FixedLane, Isa, LANES, Lane, PairLane};
use core::arch::x86_64::*;

/// Proof that the CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Proof that the CPU has `avx512_vnni` besides.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(Avx512);

/// Proof that the CPU has `avx512_bf16` besides.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16(Avx512);

impl Avx512 {
    /// # Safety
    /// The CPU and operating system must run AVX-512 F, BW, DQ and VL.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

impl Avx512Vnni {
    /// # Safety
    /// The CPU and operating system must run AVX-512 F, BW, DQ, VL and VNNI.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        // SAFETY: the caller's promise includes this one.
        Self(unsafe { Avx512::assume() })
    }
}

impl Avx512Bf16 {
    /// # Safety
    /// The CPU and operating system must run AVX-512 F, BW, DQ, VL and BF16.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        // SAFETY: the caller's promise includes this one.
        Self(unsafe { Avx512::assume() })
    }
}

/// Calls one intrinsic under the receiver's proof.
macro_rules! one {
    ($f:expr) => {
        // SAFETY: the receiver proves AVX-512 F, BW, DQ and VL.
        unsafe { $f }
    };
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn sum_lanes(a: __m512) -> f32 {
    let eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// `sum_lanes` of sixteen registers: what is left of two of them after a step shares one.
#[inline]
#[target_feature(enable = "avx512f")]
fn sum_sixteen(rows: [__m512; 16]) -> __m512 {
    // Row 4 j + k ends in lane 4 j + k: j is the quarter of its quad, k the quad.
    let quad = |k: usize| {
        let pair = |a, b| {
            let low = _mm512_shuffle_f32x4::<0x44>(a, b);
            _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xee>(a, b))
        };
        let (a, b) = (pair(rows[k], rows[4 + k]), pair(rows[8 + k], rows[12 + k]));
        let low = _mm512_shuffle_f32x4::<0x88>(a, b);
        _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xdd>(a, b))
    };
    let twos = |a, b| {
        let low = _mm512_shuffle_ps::<0x44>(a, b);
        _mm512_add_ps(low, _mm512_shuffle_ps::<0xee>(a, b))
    };
    let (a, b) = (twos(quad(0), quad(1)), twos(quad(2), quad(3)));
    let low = _mm512_shuffle_ps::<0x88>(a, b);
    _mm512_add_ps(low, _mm512_shuffle_ps::<0xdd>(a, b))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn dot_widened(w: __m512i, x: (__m512, __m512), acc: __m512) -> __m512 {
    let even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(w));
    let odd = _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32(-65536)));
    _mm512_fmadd_ps(odd, x.1, _mm512_fmadd_ps(even, x.0, acc))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn copy_sign_lanes(a: __m512, b: __m512) -> __m512 {
    let sign = _mm512_set1_ps(-0.0);
    _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn select_lt_lanes(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn keep_nan_lanes(a: __m512, b: __m512) -> __m512 {
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), b, a)
}

/// Bits of magnitudes have the order of their numbers, and those of NaN come last.
#[inline]
#[target_feature(enable = "avx512f")]
fn max_abs_lanes(a: __m512, top: __m512) -> __m512 {
    let magnitude = _mm512_castps_si512(_mm512_abs_ps(a));
    _mm512_castsi512_ps(_mm512_max_epi32(magnitude, _mm512_castps_si512(top)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn max_abs_of(a: __m512) -> f32 {
    let magnitude = _mm512_castps_si512(_mm512_abs_ps(a));
    f32::from_bits(_mm512_reduce_max_epi32(magnitude) as u32)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn dot_words_added(w: __m512i, x: __m512i, acc: __m512i) -> __m512i {
    _mm512_add_epi32(acc, _mm512_madd_epi16(w, x))
}

/// Sixteen numbers as i16, in order.
#[inline]
#[target_feature(enable = "avx512f")]
fn packed_words(a: __m512) -> __m256i {
    _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a))
}

#[inline(always)]
fn load_words(_proof: Avx512, w: &[u32; LANES]) -> __m512i {
    // SAFETY: the argument proves AVX-512; the reference is valid for 64 bytes.
    unsafe { _mm512_loadu_si512(w.as_ptr().cast()) }
}

impl Isa for Avx512 {
    type F = __m512;
    type Int = __m512i;
    type Pair = (__m512, __m512);
    type Exact = Self;
    const TILE_ROWS: usize = 6;
    const BLOCKS: usize = 4;
    const IS_PLAIN: bool = false;
    const ENCODES: bool = false;

    #[inline(always)]
    fn exact(self) -> Self {
        self
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        one!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, x: &Lane) -> __m512 {
        one!(_mm512_loadu_ps(x.0.as_ptr()))
    }
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> __m512 {
        let mask = ((1_u32 << x.len().min(LANES)) - 1) as __mmask16;
        // SAFETY: the receiver proves AVX-512; the mask lets no number behind the slice be read.
        unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m512, to: &mut Lane) {
        one!(_mm512_storeu_ps(to.0.as_mut_ptr(), x));
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        one!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        one!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        one!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        one!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_acc(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        one!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn mul_sub(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        one!(_mm512_fmsub_ps(a, b, c))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        one!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        one!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        one!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        one!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn copy_sign(self, a: __m512, b: __m512) -> __m512 {
        one!(copy_sign_lanes(a, b))
    }
    #[inline(always)]
    fn scale_pow2(self, a: __m512, n: __m512) -> __m512 {
        one!(_mm512_scalef_ps(a, n))
    }
    #[inline(always)]
    fn pow2(self, n: __m512) -> __m512 {
        one!(_mm512_scalef_ps(_mm512_set1_ps(1.0), n))
    }
    #[inline(always)]
    fn times_pow2(self, a: __m512, n: __m512) -> __m512 {
        self.scale_pow2(a, n)
    }
    #[inline(always)]
    fn select_lt(self, a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        one!(select_lt_lanes(a, b, x, y))
    }
    #[inline(always)]
    fn keep_nan(self, a: __m512, b: __m512) -> __m512 {
        one!(keep_nan_lanes(a, b))
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        one!(sum_lanes(a))
    }
    #[inline(always)]
    fn sum_each(self, rows: &[Lane; LANES]) -> __m512 {
        let mut each = [self.splat(0.0); LANES];
        for (each, row) in each.iter_mut().zip(rows) {
            *each = self.load(row);
        }
        one!(sum_sixteen(each))
    }
    #[inline(always)]
    fn max_lane(self, a: __m512) -> f32 {
        one!(_mm512_reduce_max_ps(a))
    }
    #[inline(always)]
    fn max_abs(self, a: __m512, top: __m512) -> __m512 {
        one!(max_abs_lanes(a, top))
    }
    #[inline(always)]
    fn max_abs_lane(self, a: __m512) -> f32 {
        one!(max_abs_of(a))
    }
    #[inline(always)]
    fn encode_pair(self, x: [f32; 2]) -> [f32; 2] {
        x
    }
    #[inline(always)]
    fn splat_pair(self, x: &[f32; 2]) -> Self::Pair {
        (self.splat(x[0]), self.splat(x[1]))
    }
    #[inline(always)]
    fn dot_pair(self, w: &PairLane, x: Self::Pair, acc: __m512) -> __m512 {
        one!(dot_widened(load_words(self, &w.0), x, acc))
    }
    #[inline(always)]
    fn zero_int(self) -> __m512i {
        one!(_mm512_setzero_si512())
    }
    #[inline(always)]
    fn splat_words(self, x: u32) -> __m512i {
        one!(_mm512_set1_epi32(x as i32))
    }
    #[inline(always)]
    fn dot_words(self, w: &FixedLane, x: __m512i, acc: __m512i) -> __m512i {
        one!(dot_words_added(load_words(self, &w.0), x, acc))
    }
    #[inline(always)]
    fn add_int(self, a: __m512i, b: __m512i) -> __m512i {
        one!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn to_float(self, a: __m512i) -> __m512 {
        one!(_mm512_cvtepi32_ps(a))
    }
    #[inline(always)]
    fn round_words(self, a: __m512, to: &mut [u32; LANES / 2]) {
        let words = one!(packed_words(a));
        // SAFETY: the receiver proves AVX-512; the reference is valid for 32 bytes, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words) };
    }
}

/// bf16 bits of a finite float, nearest even; what `VCVTNEPS2BF16` gives.
#[inline(always)]
fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    (bits + 0x7fff + ((bits >> 16) & 1)) >> 16
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn dot_bf16(w: __m512i, x: __m512i, acc: __m512) -> __m512 {
    _mm512_dpbf16_ps(acc, as_bf16(w), as_bf16(x))
}

/// `VPDPWSSD` by name: LLVM makes two instructions of its intrinsic, a product and a sum, where it does not know the CPU.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_words_fused(w: __m512i, x: __m512i, mut acc: __m512i) -> __m512i {
    // SAFETY: the instruction, which this function's features include, reads and writes these registers alone.
    unsafe {
        core::arch::asm!(
            "vpdpwssd {acc}, {w}, {x}",
            acc = inout(zmm_reg) acc,
            w = in(zmm_reg) w,
            x = in(zmm_reg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}

/// The same 512 bits under the type the bf16 intrinsics take.
#[inline(always)]
fn as_bf16(x: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes without invalid values.
    unsafe { core::mem::transmute(x) }
}

/// Forwards methods to the inner level.
macro_rules! forward {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            self.0.$name($($arg),*)
        })*
    };
}

/// What both extensions leave as it is.
macro_rules! forward_common {
    () => {
        type F = __m512;
        type Int = __m512i;
        type Exact = Avx512;
        const TILE_ROWS: usize = Avx512::TILE_ROWS;
        const BLOCKS: usize = Avx512::BLOCKS;
        const IS_PLAIN: bool = false;

        #[inline(always)]
        fn exact(self) -> Avx512 {
            self.0
        }
        forward! {
            splat(x: f32) -> __m512;
            load(x: &Lane) -> __m512;
            load_part(x: &[f32]) -> __m512;
            store(x: __m512, to: &mut Lane);
            add(a: __m512, b: __m512) -> __m512;
            sub(a: __m512, b: __m512) -> __m512;
            mul(a: __m512, b: __m512) -> __m512;
            div(a: __m512, b: __m512) -> __m512;
            mul_acc(a: __m512, b: __m512, c: __m512) -> __m512;
            mul_sub(a: __m512, b: __m512, c: __m512) -> __m512;
            min(a: __m512, b: __m512) -> __m512;
            max(a: __m512, b: __m512) -> __m512;
            sqrt(a: __m512) -> __m512;
            abs(a: __m512) -> __m512;
            copy_sign(a: __m512, b: __m512) -> __m512;
            scale_pow2(a: __m512, n: __m512) -> __m512;
            pow2(n: __m512) -> __m512;
            times_pow2(a: __m512, n: __m512) -> __m512;
            select_lt(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512;
            keep_nan(a: __m512, b: __m512) -> __m512;
            sum(a: __m512) -> f32;
            sum_each(rows: &[Lane; LANES]) -> __m512;
            max_lane(a: __m512) -> f32;
            max_abs(a: __m512, top: __m512) -> __m512;
            max_abs_lane(a: __m512) -> f32;
            zero_int() -> __m512i;
            splat_words(x: u32) -> __m512i;
            add_int(a: __m512i, b: __m512i) -> __m512i;
            to_float(a: __m512i) -> __m512;
            round_words(a: __m512, to: &mut [u32; LANES / 2]);
        }
    };
}

impl Isa for Avx512Vnni {
    forward_common!();
    forward! {
        encode_pair(x: [f32; 2]) -> [f32; 2];
        splat_pair(x: &[f32; 2]) -> Self::Pair;
        dot_pair(w: &PairLane, x: Self::Pair, acc: __m512) -> __m512;
    }
    type Pair = (__m512, __m512);
    const ENCODES: bool = false;

    #[inline(always)]
    fn dot_words(self, w: &FixedLane, x: __m512i, acc: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 and VNNI.
        unsafe { dot_words_fused(load_words(self.0, &w.0), x, acc) }
    }
}

impl Isa for Avx512Bf16 {
    forward_common!();
    forward! {
        dot_words(w: &FixedLane, x: __m512i, acc: __m512i) -> __m512i;
    }
    type Pair = __m512i;
    const ENCODES: bool = true;

    #[inline(always)]
    fn encode_pair(self, x: [f32; 2]) -> [f32; 2] {
        [f32::from_bits(bf16_bits(x[0]) | bf16_bits(x[1]) << 16), 0.0]
    }
    #[inline(always)]
    fn splat_pair(self, x: &[f32; 2]) -> __m512i {
        one!(_mm512_set1_epi32(x[0].to_bits() as i32))
    }
    #[inline(always)]
    fn dot_pair(self, w: &PairLane, x: __m512i, acc: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 and its BF16 extension.
        unsafe { dot_bf16(load_words(self.0, &w.0), x, acc) }
    }
}
