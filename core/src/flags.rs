//! What a caller should know about an answer besides its numbers.

/// A set of remarks about one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Nothing to say.
    pub const NONE: Self = Self(0);
    /// A missing input was replaced by its scaler's centre.
    pub const IMPUTED: Self = Self(1);
    /// An output is NaN or infinite: finite inputs so far out of range that a sum left f32.
    pub const OVERFLOW: Self = Self(2);
    /// A category that is not listed was replaced by the unknown one.
    pub const UNKNOWN_CATEGORY: Self = Self(4);

    /// The bits, as the C ABI hands them out.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
