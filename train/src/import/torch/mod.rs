//! Plain PyTorch networks: a safetensors state dict and a TOML file that says what the columns mean.
//!
//! Every tensor of the file must have its place; nothing is guessed. LSTM stacks may call their tensors anything
//! ([`lstm`]), networks of the other families have plain names ([`families`]).

pub mod config;
pub mod families;
pub mod lstm;

use super::state_dict::{StateDict, TensorError};
use config::TorchConfig;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{Precision, Schema};
use tickfuse_core::error::OpenError;
use tickfuse_core::plain::PlainTensors;

/// Why an import was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The configuration is not what this importer reads.
    #[error("{}: {source}", path.display())]
    Config {
        /// File.
        path: PathBuf,
        /// Key, line and reason.
        source: Box<toml::de::Error>,
    },
    /// Another family than `lstm` without its sizes.
    #[error("{}: `family = \"{family}\"`: expected the sizes of this family in a table `[net]` with the keys of a model file", path.display())]
    NoNet {
        /// File.
        path: PathBuf,
        /// Family found.
        family: String,
    },
    /// The configuration breaks a rule of model files.
    #[error("the configuration would make a refused model file: {0}")]
    Schema(#[from] OpenError),
    /// The weights are not a safetensors file.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Weights {
        /// File.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// A tensor is missing, left over, or not as the configuration says.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The head is empty.
    #[error("`head`: expected at least one dense layer")]
    NoHead,
}

/// Reads both files into a schema and plain tensors.
///
/// # Errors
/// [`ImportError`]; the message names file, tensor or key.
pub fn read(
    weights: &Path,
    config: &Path,
    precision: Precision,
) -> Result<(Schema, PlainTensors), ImportError> {
    let text = std::fs::read_to_string(config).map_err(|source| read_error(config, source))?;
    let parsed = TorchConfig::parse(config, &text)?;
    convert(&parsed, read_weights(weights)?, precision)
}

/// The tensors of a safetensors file.
///
/// # Errors
/// [`ImportError::Read`], [`ImportError::Weights`].
pub fn read_weights(path: &Path) -> Result<StateDict, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| read_error(path, source))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| ImportError::Weights {
        path: path.into(),
        reason: e.to_string(),
    })?;
    Ok(StateDict::from_safetensors(&file))
}

fn read_error(path: &Path, source: std::io::Error) -> ImportError {
    ImportError::Read {
        path: path.into(),
        source,
    }
}

/// Takes every tensor of a state dict to its place.
///
/// # Errors
/// [`ImportError`].
pub fn convert(
    config: &TorchConfig,
    source: StateDict,
    precision: Precision,
) -> Result<(Schema, PlainTensors), ImportError> {
    match config {
        TorchConfig::Net(config) => families::convert(config, source, precision),
        TorchConfig::Lstm(config) => {
            let (net, tensors) = lstm::convert(config, source)?;
            Ok((net.schema(precision, "torch"), tensors))
        }
    }
}
