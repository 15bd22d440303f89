//! Making rows of bars, and positions of answers.

use alloc::string::String;
use core::fmt;

/// Why a feature set was refused or a bar not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureError {
    /// A parameter lies outside its range; the text names feature, parameter, range and value.
    Parameter(String),
    /// Two features share a name.
    DuplicateName(String),
    /// No features.
    Empty,
    /// The output slice has the wrong length.
    OutputLength {
        /// Values expected.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// A bar is not later than the one before it.
    Time {
        /// Time of the bar before, ns.
        previous_ns: i64,
        /// Time of this bar, ns.
        found_ns: i64,
    },
    /// A field of a bar is NaN, infinite or out of range, or open and close do not lie between low and high.
    Bar {
        /// Field name.
        field: &'static str,
    },
}

impl fmt::Display for FeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(text) => f.write_str(text),
            Self::DuplicateName(name) => write!(f, "feature `{name}` is defined twice"),
            Self::Empty => f.write_str("a feature set needs at least one feature"),
            Self::OutputLength { expected, found } => {
                write!(
                    f,
                    "feature row: expected room for {expected} values, found {found}"
                )
            }
            Self::Time {
                previous_ns,
                found_ns,
            } => {
                write!(
                    f,
                    "bar time: expected later than {previous_ns} ns, found {found_ns} ns"
                )
            }
            Self::Bar { field } => {
                write!(
                    f,
                    "bar field `{field}`: expected prices from 1e-100 to 1e100 \
                     with low <= open, close <= high, and volume from 0 to 1e100"
                )
            }
        }
    }
}

impl core::error::Error for FeatureError {}

/// Why a policy of positions was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum DecideError {
    /// A setting lies outside its range.
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// Accepted values.
        expected: &'static str,
        /// Value given.
        found: f64,
    },
}

impl fmt::Display for DecideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { key, expected, found } => write!(f, "{key}: expected {expected}, found {found}"),
        }
    }
}

impl core::error::Error for DecideError {}
