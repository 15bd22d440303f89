//! Double-double arithmetic: a number as the unevaluated sum of two f64, some 106 bits wide.
//!
//! Sums kept this way are exact while all addends are multiples of one power of two and the sum stays below
//! 2^105 of it, which holds for any run of prices; otherwise each operation errs by at most a few 2^-106 of its
//! larger operand. The algorithms are those of Joldes, Muller and Popescu, "Tight and rigorous error bounds for
//! basic building blocks of double-word arithmetic", ACM TOMS 44 (2017). The product splits its factors
//! (Dekker) and needs no fused multiply-add, so that the bits are the same on every machine; factors must stay
//! below 2^996.

use crate::error::StateError;
use crate::saved::{Reader, Writer};

/// An unevaluated sum `hi + lo` with `|lo| <= ulp(hi) / 2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Double {
    hi: f64,
    lo: f64,
}

impl Double {
    pub(super) const ZERO: Self = Self { hi: 0.0, lo: 0.0 };

    /// `a - b`, exact.
    pub(super) fn difference(a: f64, b: f64) -> Self {
        two_sum(a, -b)
    }

    /// `a b`, exact.
    pub(super) fn product(a: f64, b: f64) -> Self {
        two_product(a, b)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let s = two_sum(self.hi, other.hi);
        let t = two_sum(self.lo, other.lo);
        let v = fast_two_sum(s.hi, s.lo + t.hi);
        fast_two_sum(v.hi, t.lo + v.lo)
    }

    pub(super) fn plus_single(self, x: f64) -> Self {
        let s = two_sum(self.hi, x);
        fast_two_sum(s.hi, self.lo + s.lo)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self {
            hi: -other.hi,
            lo: -other.lo,
        })
    }

    pub(super) fn times(self, k: f64) -> Self {
        let p = two_product(self.hi, k);
        fast_two_sum(p.hi, p.lo + self.lo * k)
    }

    pub(super) fn squared(self) -> Self {
        let p = two_product(self.hi, self.hi);
        fast_two_sum(p.hi, p.lo + 2.0 * self.hi * self.lo)
    }

    pub(super) fn save(self, to: &mut Writer<'_>) {
        to.f64s(&[self.hi, self.lo]);
    }

    pub(super) fn restore(from: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(Self {
            hi: from.f64()?,
            lo: from.f64()?,
        })
    }

    /// The nearest f64.
    pub(super) fn value(self) -> f64 {
        self.hi + self.lo
    }
}

/// `a + b` without error.
fn two_sum(a: f64, b: f64) -> Double {
    let hi = a + b;
    let b_part = hi - a;
    let a_part = hi - b_part;
    Double {
        hi,
        lo: (a - a_part) + (b - b_part),
    }
}

/// `a + b` without error where `|a| >= |b|` or `a` is zero.
fn fast_two_sum(a: f64, b: f64) -> Double {
    let hi = a + b;
    Double { hi, lo: b - (hi - a) }
}

/// `a * b` without error.
fn two_product(a: f64, b: f64) -> Double {
    let hi = a * b;
    let (a_hi, a_lo) = split(a);
    let (b_hi, b_lo) = split(b);
    let lo = ((a_hi * b_hi - hi) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo;
    Double { hi, lo }
}

/// Two halves of at most 26 significant bits each.
fn split(a: f64) -> (f64, f64) {
    const FACTOR: f64 = 134_217_729.0;
    let t = FACTOR * a;
    let hi = t - (t - a);
    (hi, a - hi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(x: f64) -> Double {
        Double { hi: x, lo: 0.0 }
    }

    #[test]
    fn a_small_number_survives_a_large_one() {
        let sum = double(1e15).plus(double(1e-12)).minus(double(1e15));
        assert_eq!(sum.value(), 1e-12);
    }

    proptest! {
        /// Against 128-bit integers, where the same sums and products are exact.
        #[test]
        fn sums_and_squares_of_integers_are_exact(a in -(1i64 << 52)..(1i64 << 52), b in -(1i64 << 52)..(1i64 << 52)) {
            let exact = |d: Double| i128::from(d.hi as i64) + i128::from(d.lo as i64);
            let d = Double::difference(a as f64, b as f64);
            prop_assert_eq!(exact(d), i128::from(a) - i128::from(b));
            let square = double(a as f64).squared();
            prop_assert_eq!(square.hi as i128 + square.lo as i128, i128::from(a) * i128::from(a));
            let sum = square.plus(double(b as f64).squared());
            let expected = i128::from(a) * i128::from(a) + i128::from(b) * i128::from(b);
            prop_assert_eq!(sum.hi as i128 + sum.lo as i128, expected);
        }

        #[test]
        fn a_number_added_singly_is_a_number_added(x in -1e9f64..1e9, y in -1e9f64..1e9, z in -1e-9f64..1e-9) {
            let sum = double(x).plus(double(z));
            prop_assert_eq!(sum.plus_single(y), sum.plus(double(y)));
            let back = sum.plus_single(y).plus_single(-y).minus(sum).value();
            prop_assert!(back.abs() < 1e-21, "{:e}", back);
        }

        #[test]
        fn a_multiple_taken_away_piece_by_piece_leaves_nothing(x in 1e-6f64..1e6, n in 1u32..100) {
            let rest = (0..n).fold(double(x).times(f64::from(n)), |rest, _| rest.plus_single(-x));
            prop_assert_eq!(rest.value(), 0.0);
        }
    }
}
