//! Saving and restoring what a stream remembers.

use core::fmt;

/// Why a state was not saved or restored. The stream is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// The slice to save to has the wrong length.
    Room {
        /// Bytes of the state now.
        expected: usize,
        /// Bytes of the slice.
        found: usize,
    },
    /// The bytes begin otherwise than a state does.
    Magic {
        /// What a state begins with.
        expected: [u8; 8],
        /// What was found.
        found: [u8; 8],
    },
    /// Saved in a form that this build does not read.
    Version {
        /// The form it reads.
        expected: u64,
        /// The form found.
        found: u64,
    },
    /// Saved by a stream of another model.
    Model {
        /// Content hash of this stream's model.
        expected: [u8; 32],
        /// Content hash in the state.
        found: [u8; 32],
    },
    /// More or fewer bytes than the state has.
    Length {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The bytes are not those that were saved.
    Changed {
        /// First 16 bytes of the SHA-256 of the bytes found.
        expected: [u8; 16],
        /// What the state says it is.
        found: [u8; 16],
    },
    /// A number that no stream of this model can hold.
    Content {
        /// What it counts.
        what: &'static str,
        /// Largest value.
        limit: u64,
        /// Value found.
        found: u64,
    },
    /// A row that no window of this model can hold.
    Row {
        /// Its place, the oldest being 0.
        row: usize,
    },
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room { expected, found } => {
                write!(f, "state: expected room for {expected} bytes, found {found}")
            }
            Self::Magic { expected, found } => {
                let (expected, found) = (expected.escape_ascii(), found.escape_ascii());
                write!(
                    f,
                    "state: expected it to begin with `{expected}`, found `{found}`"
                )
            }
            Self::Version { expected, found } => {
                write!(f, "state: expected form {expected}, found {found}")
            }
            Self::Model { expected, found } => write!(
                f,
                "state: expected one of model {}, found one of {}",
                Hex(expected),
                Hex(found)
            ),
            Self::Length { expected, found } => {
                write!(f, "state: expected {expected} bytes, found {found}")
            }
            Self::Changed { expected, found } => write!(
                f,
                "state: expected checksum {} for its bytes, found {}: it was changed after saving",
                Hex(expected),
                Hex(found)
            ),
            Self::Content { what, limit, found } => {
                write!(f, "state: {what}: expected at most {limit}, found {found}")
            }
            Self::Row { row } => write!(f, "state: row {row}: expected values that a window can hold"),
        }
    }
}

impl core::error::Error for StateError {}
