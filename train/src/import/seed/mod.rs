//! Checkpoints of four published trading systems, by the names and layouts their own programs write.
//!
//! | seed | file | network |
//! |---|---|---|
//! | [`tiny`] | Lightning checkpoint, or its state dict alone | LSTM, one dense column |
//! | [`simple`] | state dict | LSTM of two layers, dense stack |
//! | [`quantile`] | dict of state dict, sizes and feature statistics | `quantile_tft` |
//! | [`xtrend`] | state dict, with `metadata.json` beside it | `xtrend` in its shared form |
//!
//! What such a file does not say is an option with the source's own default, or has to be given. What is known to be
//! wrong about how it was made comes back as a [`Finding`] and stays in the model file; the worst of them have to be accepted by
//! name.

mod finding;
pub mod quantile;
pub mod simple;
mod stack;
pub mod tiny;
pub mod xtrend;

pub use finding::Finding;

use super::pickle::{PickleError, ValueError};
use super::state_dict::TensorError;
use super::torch::ImportError;
use super::torch::config::NetConfig;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{Precision, Schema};
use tickfuse_core::error::OpenError;
use tickfuse_core::plain::PlainTensors;

/// A checkpoint as a model.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Everything but the tensors.
    pub schema: Schema,
    /// Under their plain names.
    pub tensors: PlainTensors,
    /// What is known to be wrong with it.
    pub findings: Vec<Finding>,
}

impl Imported {
    fn new(mut schema: Schema, tensors: PlainTensors, findings: Vec<Finding>) -> Self {
        let texts: serde_json::Map<_, _> = findings
            .iter()
            .map(|f| (f.name.to_owned(), f.text.clone().into()))
            .collect();
        schema.provenance.insert("findings".into(), texts.into());
        Self {
            schema,
            tensors,
            findings,
        }
    }
}

/// Why a checkpoint was refused.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file is not what PyTorch writes.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// A value of the file is not what the source writes there.
    #[error("{}: {source}", path.display())]
    Value {
        /// File.
        path: PathBuf,
        /// Where, what was expected, what was found.
        source: ValueError,
    },
    /// The network does not fit the tensors.
    #[error("{}: {source}", path.display())]
    Tensors {
        /// File.
        path: PathBuf,
        /// Tensor and reason.
        source: ImportError,
    },
    /// A file beside the checkpoint could not be read.
    #[error(transparent)]
    Beside(#[from] ImportError),
    /// Sizes or statistics break a rule of model files.
    #[error("{}: the model file would be refused: {source}", path.display())]
    Schema {
        /// File.
        path: PathBuf,
        /// Rule.
        source: OpenError,
    },
    /// The file names another one.
    #[error("{}: holds no weights, only the path of the file that does, under `best_ckpt`: import {target}", path.display())]
    Pointer {
        /// File.
        path: PathBuf,
        /// Path found in it.
        target: String,
    },
    /// Two statements disagree.
    #[error("{}: {what}: expected {expected}, found {found}", path.display())]
    Mismatch {
        /// File.
        path: PathBuf,
        /// What is stated.
        what: String,
        /// The one statement.
        expected: String,
        /// The other.
        found: String,
    },
    /// The classes were not named, or not as many as there are.
    #[error("--classes: {0}")]
    Classes(String),
    /// What is wrong has to be accepted first.
    #[error("{0}; to import it nevertheless: --accept {name}", name = .0.name)]
    NotAccepted(Finding),
}

impl SeedError {
    fn mismatch(path: &Path, what: impl Display, expected: impl Display, found: impl Display) -> Self {
        Self::Mismatch {
            path: path.into(),
            what: what.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    fn value(path: &Path) -> impl Fn(ValueError) -> Self {
        move |source| Self::Value {
            path: path.into(),
            source,
        }
    }

    fn tensor(path: &Path) -> impl Fn(TensorError) -> Self {
        move |source| Self::Tensors {
            path: path.into(),
            source: source.into(),
        }
    }
}

/// The schema of a network that keeps the rules of model files.
fn valid_schema(
    path: &Path,
    config: &NetConfig,
    precision: Precision,
    seed: &str,
) -> Result<Schema, SeedError> {
    let schema = config.schema(precision, &format!("seed {seed}"));
    schema.validate().map_err(|source| SeedError::Schema {
        path: path.into(),
        source,
    })?;
    Ok(schema)
}
