//! The number types a model file stores, and the scan that finds a NaN or infinity among them.

use bytemuck::Pod;
use core::fmt;
use half::bf16;

/// Type of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// bfloat16: the upper half of an f32.
    Bf16,
    /// 16-bit signed integer.
    I16,
}

impl Dtype {
    /// The type of that name in a safetensors header, if a bundle may hold it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::F32, Self::F64, Self::Bf16, Self::I16]
            .into_iter()
            .find(|d| d.name() == name)
    }

    /// The name in a safetensors header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Bf16 => "BF16",
            Self::I16 => "I16",
        }
    }

    /// Bytes of one value.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Bf16 | Self::I16 => 2,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that stands for a [`Dtype`].
pub trait Element: Pod + Send + Sync + private::Scan {
    /// The stored type.
    const DTYPE: Dtype;
}

mod private {
    /// Sealed part of [`super::Element`].
    pub trait Scan: Sized {
        fn finite(self) -> bool;
        fn all_finite(values: &[Self]) -> bool;
    }
}

/// `$one` is the lowest bit of the exponent, `$exponent` all its bits. Added to the bits of a value's exponent,
/// `$one` carries into the sign bit only if all of them are set: NaN or infinity. Or-ing the sums needs no branch.
macro_rules! element {
    ($type:ty, $bits:ty, $dtype:expr, $exponent:expr, $one:expr) => {
        impl Element for $type {
            const DTYPE: Dtype = $dtype;
        }

        impl private::Scan for $type {
            fn finite(self) -> bool {
                self.to_bits() & $exponent != $exponent
            }

            fn all_finite(values: &[Self]) -> bool {
                let sums = values
                    .iter()
                    .fold(0, |acc: $bits, v| acc | ((v.to_bits() & $exponent) + $one));
                sums & !($exponent | ($one - 1)) == 0
            }
        }
    };
}

element!(f32, u32, Dtype::F32, 0x7f80_0000, 0x0080_0000);
element!(f64, u64, Dtype::F64, 0x7ff0_0000_0000_0000, 0x0010_0000_0000_0000);
element!(bf16, u16, Dtype::Bf16, 0x7f80, 0x0080);

impl Element for i16 {
    const DTYPE: Dtype = Dtype::I16;
}

impl private::Scan for i16 {
    fn finite(self) -> bool {
        true
    }

    fn all_finite(_values: &[Self]) -> bool {
        true
    }
}

/// Index of the first NaN or infinite value.
pub(super) fn first_non_finite<T: Element>(values: &[T]) -> Option<usize> {
    const CHUNK: usize = 1024;
    let chunk = values.chunks(CHUNK).position(|c| !T::all_finite(c))?;
    let start = chunk * CHUNK;
    let within = values[start..].iter().position(|v| !v.finite())?;
    Some(start + within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn check<T: Element + fmt::Debug>(finite: &[T], bad: &[T]) {
        for &good in finite {
            assert_eq!(first_non_finite(&[good]), None, "{good:?}");
        }
        for &value in bad {
            for at in [0, 1, 15, 16, 1023, 1024, 2999] {
                let mut values = vec![finite[0]; 3000];
                values[at] = value;
                assert_eq!(first_non_finite(&values), Some(at), "{value:?} at {at}");
            }
        }
    }

    #[test]
    fn the_first_nan_or_infinity_is_found_in_every_type() {
        let finite = [1.0, 0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45];
        let bad = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        check(&finite, &bad);
        check(&finite.map(f64::from), &bad.map(f64::from));
        check(&[1.0, f64::MAX, f64::MIN], &[f64::NAN, f64::INFINITY]);
        let halves = |v: &[f32]| -> Vec<bf16> { v.iter().map(|&x| bf16::from_f32(x)).collect() };
        check(&halves(&[1.0, 0.0, -0.0, 1e-38]), &halves(&bad));
        check(&[bf16::MAX, bf16::MIN], &[bf16::NAN]);
    }

    #[test]
    fn the_bf16_scan_agrees_with_f32_for_every_pattern() {
        for bits in 0..=u16::MAX {
            let value = bf16::from_bits(bits);
            let expected = (!value.to_f32().is_finite()).then_some(0);
            assert_eq!(first_non_finite(&[value]), expected, "{bits:#06x}");
        }
    }

    #[test]
    fn names_lead_back_to_their_types() {
        for dtype in [Dtype::F32, Dtype::F64, Dtype::Bf16, Dtype::I16] {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("F16"), None);
    }
}
