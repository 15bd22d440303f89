//! What losses accept: ranges of settings and of labels, and how a refusal reads.

use std::fmt::Debug;

/// A key of a loss is out of range, or the loss does not fit net and labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("loss.{key}: expected {expected}, found {found}")]
pub struct LossError {
    /// Key, by its path.
    pub key: String,
    /// What would be accepted.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// What a loss accepts as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelRange {
    /// 0 to 1.
    Share,
    /// The number of one of so many classes.
    Class(usize),
    /// Any finite number.
    Number,
    /// A finite number above 0.
    Positive,
}

impl LabelRange {
    /// Whether `y` is accepted.
    #[must_use]
    pub fn contains(self, y: f32) -> bool {
        match self {
            Self::Share => (0.0..=1.0).contains(&y),
            Self::Class(n) => y >= 0.0 && y.fract() == 0.0 && y < n as f32,
            Self::Number => y.is_finite(),
            Self::Positive => y.is_finite() && y > 0.0,
        }
    }

    /// For messages.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Share => "0 to 1".into(),
            Self::Class(n) => format!("a class number, 0 to {}", n - 1),
            Self::Number => "a finite number".into(),
            Self::Positive => "a positive number".into(),
        }
    }
}

pub(super) fn refuse<T>(key: &str, expected: &str, found: &(impl Debug + ?Sized)) -> Result<T, LossError> {
    Err(LossError {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: format!("{found:?}"),
    })
}

pub(super) fn positive(key: &str, x: f64) -> Result<(), LossError> {
    if x > 0.0 && x.is_finite() {
        return Ok(());
    }
    refuse(key, "a positive number", &x)
}

pub(super) fn not_negative(key: &str, x: f64) -> Result<(), LossError> {
    if x >= 0.0 && x.is_finite() {
        return Ok(());
    }
    refuse(key, "0 or more", &x)
}

/// In [0, 1).
pub(super) fn is_share(key: &str, x: f64) -> Result<(), LossError> {
    if (0.0..1.0).contains(&x) {
        return Ok(());
    }
    refuse(key, "a number in [0, 1)", &x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_accepted_by_what_they_are() {
        let accepts = |range: LabelRange| {
            [0.0, 0.5, 1.0, 2.0, -1.0, f32::NAN, f32::INFINITY].map(|y| range.contains(y))
        };
        assert_eq!(
            accepts(LabelRange::Share),
            [true, true, true, false, false, false, false]
        );
        assert_eq!(
            accepts(LabelRange::Class(2)),
            [true, false, true, false, false, false, false]
        );
        assert_eq!(
            accepts(LabelRange::Number),
            [true, true, true, true, true, false, false]
        );
        assert_eq!(
            accepts(LabelRange::Positive),
            [false, true, true, true, false, false, false]
        );
    }

    #[test]
    fn settings_out_of_range_name_key_range_and_value() {
        assert!(positive("a", 1.0).is_ok() && not_negative("a", 0.0).is_ok() && is_share("a", 0.0).is_ok());
        for wrong in [
            positive("a", 0.0),
            positive("a", f64::NAN),
            not_negative("a", -0.1),
            is_share("a", 1.0),
        ] {
            assert!(wrong.unwrap_err().to_string().starts_with("loss.a: expected "));
        }
    }
}
