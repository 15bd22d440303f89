//! Why a model of pytorch-forecasting is not imported: every refusal names the key, what was expected and what was found.

use std::fmt::Display;
use std::path::PathBuf;
use tickfuse_core::error::OpenError;

/// Why an import was refused.
#[derive(Debug, thiserror::Error)]
pub enum ForecastingError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The description has other keys or types than the exporter writes.
    #[error("description: {0}")]
    Description(#[from] serde_json::Error),
    /// A value of the description that cannot be taken over exactly.
    #[error("{key}: expected {expected}, found {found}")]
    Value {
        /// Path of the key.
        key: String,
        /// What can be taken over.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The weights are not a safetensors file.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Weights {
        /// File.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// A tensor has another type than the exporter writes.
    #[error("tensor `{name}`: expected F32, found {found}")]
    Type {
        /// Tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor of the network is absent.
    #[error("tensor `{name}`: expected shape {expected:?}, found none of this name")]
    Missing {
        /// Tensor.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the network's sizes say.
    #[error("tensor `{name}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Tensor.
        name: String,
        /// By the sizes.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// Tensors without a place in the network.
    #[error("tensors without a place in the network: {0}")]
    Leftover(String),
    /// What was described is no model of the core.
    #[error(transparent)]
    Schema(#[from] OpenError),
}

/// Refuses a value of the description.
pub(super) fn value(key: impl Into<String>, expected: impl Display, found: impl Display) -> ForecastingError {
    ForecastingError::Value {
        key: key.into(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}
