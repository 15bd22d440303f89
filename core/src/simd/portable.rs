//! The level every target has: arrays and loops that the compiler vectorises.

use super::{FixedLane, Isa, LANES, Lane, PairLane, halves, pow2};

/// Needs no CPU feature.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type F = [f32; LANES];

#[inline(always)]
fn each(a: F, b: F, f: impl Fn(f32, f32) -> f32) -> F {
    core::array::from_fn(|i| f(a[i], b[i]))
}

/// Halves of the array combined until one number is left.
#[inline(always)]
fn tree(mut a: F, f: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            a[i] = f(a[i], a[i + half]);
        }
    }
    a[0]
}

/// The larger magnitude; NaN if either is.
fn larger(a: f32, b: f32) -> f32 {
    // Bits of magnitudes have the order of their numbers, and those of NaN come last.
    f32::from_bits(a.abs().to_bits().max(b.abs().to_bits()))
}

impl Isa for Portable {
    type F = F;
    type Int = [i32; LANES];
    type Pair = [f32; 2];
    type Exact = Self;
    const TILE_ROWS: usize = 1;
    const BLOCKS: usize = 1;
    const IS_PLAIN: bool = true;
    const ENCODES: bool = false;

    #[inline(always)]
    fn exact(self) -> Self {
        self
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, x: &Lane) -> F {
        x.0
    }
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> F {
        core::array::from_fn(|i| x.get(i).copied().unwrap_or(0.0))
    }
    #[inline(always)]
    fn store(self, x: F, to: &mut Lane) {
        to.0 = x;
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        each(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        each(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        each(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        each(a, b, |x, y| x / y)
    }
    #[inline(always)]
    fn mul_acc(self, a: F, b: F, c: F) -> F {
        core::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn mul_sub(self, a: F, b: F, c: F) -> F {
        core::array::from_fn(|i| a[i] * b[i] - c[i])
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        each(a, b, |x, y| if x < y { x } else { y })
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        each(a, b, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        a.map(libm::sqrtf)
    }
    #[inline(always)]
    fn abs(self, a: F) -> F {
        a.map(f32::abs)
    }
    #[inline(always)]
    fn copy_sign(self, a: F, b: F) -> F {
        each(a, b, f32::copysign)
    }
    #[inline(always)]
    fn scale_pow2(self, a: F, n: F) -> F {
        each(a, n, |x, n| {
            let (first, second) = halves(n as i32);
            x * pow2(first) * pow2(second)
        })
    }
    #[inline(always)]
    fn pow2(self, n: F) -> F {
        n.map(|n| pow2(n as i32))
    }
    #[inline(always)]
    fn times_pow2(self, a: F, n: F) -> F {
        self.mul(a, self.pow2(n))
    }
    #[inline(always)]
    fn select_lt(self, a: F, b: F, x: F, y: F) -> F {
        core::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
    #[inline(always)]
    fn keep_nan(self, a: F, b: F) -> F {
        each(a, b, |x, y| if x.is_nan() { x } else { y })
    }
    #[inline(always)]
    fn sum(self, a: F) -> f32 {
        tree(a, |x, y| x + y)
    }
    #[inline(always)]
    fn sum_each(self, rows: &[Lane; LANES]) -> Self::F {
        super::sum_one_by_one(self, rows)
    }
    #[inline(always)]
    fn max_lane(self, a: F) -> f32 {
        tree(a, f32::max)
    }
    #[inline(always)]
    fn max_abs(self, a: F, top: F) -> F {
        each(a, top, larger)
    }
    #[inline(always)]
    fn max_abs_lane(self, a: F) -> f32 {
        tree(a, larger).abs()
    }
    #[inline(always)]
    fn encode_pair(self, x: [f32; 2]) -> [f32; 2] {
        x
    }
    #[inline(always)]
    fn splat_pair(self, x: &[f32; 2]) -> [f32; 2] {
        *x
    }
    #[inline(always)]
    fn dot_pair(self, w: &PairLane, x: [f32; 2], acc: F) -> F {
        core::array::from_fn(|i| {
            let even = f32::from_bits(w.0[i] << 16);
            let odd = f32::from_bits(w.0[i] & 0xffff_0000);
            odd * x[1] + (even * x[0] + acc[i])
        })
    }
    #[inline(always)]
    fn zero_int(self) -> [i32; LANES] {
        [0; LANES]
    }
    #[inline(always)]
    fn splat_words(self, x: u32) -> [i32; LANES] {
        [x as i32; LANES]
    }
    #[inline(always)]
    fn dot_words(self, w: &FixedLane, x: [i32; LANES], acc: [i32; LANES]) -> [i32; LANES] {
        core::array::from_fn(|i| {
            let even = i32::from(w.0[i] as i16) * i32::from(x[i] as i16);
            let odd = (w.0[i] as i32 >> 16) * (x[i] >> 16);
            acc[i].wrapping_add(even).wrapping_add(odd)
        })
    }
    #[inline(always)]
    fn add_int(self, a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        core::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn to_float(self, a: [i32; LANES]) -> F {
        a.map(|v| v as f32)
    }
    #[inline(never)]
    fn round_words(self, a: F, to: &mut [u32; LANES / 2]) {
        const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves no room for a fraction
        let limited = self.max(self.min(a, [32767.0; LANES]), [-32768.0; LANES]);
        let whole = limited.map(|v| ((v + SHIFT) - SHIFT) as i32 as u32);
        for (i, to) in to.iter_mut().enumerate() {
            *to = (whole[2 * i] & 0xffff) | whole[2 * i + 1] << 16;
        }
    }
}
