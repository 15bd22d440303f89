//! Why a pickled file was refused, and why a value in it is not what a caller asked for.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not read: the file, the place in it, what was expected there and what was found.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct PickleError {
    /// File, or the name given to bytes.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system refused.
    #[error("{0}")]
    Io(io::Error),
    /// The zip container around the pickle.
    #[error("zip container, {entry}, byte {offset}: {fault}")]
    Container {
        /// Entry or record of the container.
        entry: String,
        /// Byte of the file.
        offset: u64,
        /// Expected and found.
        fault: Fault,
    },
    /// An opcode of the pickle.
    #[error("pickle, byte {offset}, opcode {opcode}: {fault}")]
    Opcode {
        /// Byte of the pickle.
        offset: usize,
        /// Name of the opcode, as Python's `pickletools` has it.
        opcode: &'static str,
        /// Expected and found.
        fault: Fault,
    },
    /// The pickled value as a whole.
    #[error("pickled value: {0}")]
    Whole(Fault),
}

impl Problem {
    pub(super) fn at(self, path: &Path) -> PickleError {
        PickleError {
            path: path.to_path_buf(),
            problem: self,
        }
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Something else stands there.
    #[error("expected {expected}, found {found}")]
    Mismatch {
        /// What the format needs.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// More than [`Limits`](super::Limits) allow.
    #[error("expected at most {limit} {what}, found more")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// Largest accepted number.
        limit: u64,
    },
}

impl Fault {
    pub(super) fn new(expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::Mismatch {
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// An error where `found` exceeds `limit`.
    pub(super) fn above(what: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit {
            return Err(Self::Limit { what, limit });
        }
        Ok(())
    }
}

/// A value that is there, but is not what a caller needs: where it stands, what was expected, what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: expected {expected}, found {found}")]
pub struct ValueError {
    /// Keys, attributes and indices from the root, as `hyper_parameters.loss.quantiles[2]`.
    pub path: String,
    /// What the caller needs.
    pub expected: String,
    /// What the file holds.
    pub found: String,
}
