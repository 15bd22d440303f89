//! Plain PyTorch LSTM stacks: a safetensors state dict and a TOML file that says what the columns mean.
//!
//! `torch.nn.LSTM` keeps `weight_ih_l{k} [4H, n_in]`, `weight_hh_l{k} [4H, H]` and two biases `[4H]` per layer, gates
//! i, f, g, o; `torch.nn.Linear` keeps `weight [n_out, n_in]` and `bias`. The two LSTM biases are summed here and
//! nowhere else. Every tensor of the file must have its place; nothing is guessed.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{
    Activation, Arrival, DenseConfig, FORMAT, Input, LstmConfig, Net, Output, Precision, Schema, Target,
};
use tickfuse_core::plain::{PlainTensor, PlainTensors};

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
    /// The weights are not a safetensors file.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Weights {
        /// File.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// A tensor the configuration needs is absent.
    #[error("tensor `{name}` is missing; the file holds {found}")]
    Missing {
        /// Tensor.
        name: String,
        /// Names that are there.
        found: String,
    },
    /// Tensors without a place in the configuration.
    #[error("tensors without a place in the configuration: {0}")]
    Leftover(String),
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}`: expected shape {expected}, found {found:?}")]
    Shape {
        /// Tensor.
        name: String,
        /// What the configuration says.
        expected: String,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// A tensor has a type that is not imported.
    #[error("tensor `{name}`: expected F32, F64, F16 or BF16, found {found:?}")]
    Type {
        /// Tensor.
        name: String,
        /// Type found.
        found: Dtype,
    },
    /// The head is empty.
    #[error("`head`: expected at least one dense layer")]
    NoHead,
}

/// The TOML file beside the weights; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorchConfig {
    /// Model name.
    pub name: String,
    /// Network family.
    pub family: Family,
    /// Rows of a window.
    pub lookback: usize,
    /// LSTM width.
    pub n_hidden: usize,
    /// LSTM layers.
    pub n_layers: usize,
    /// Prefix of the LSTM's tensors.
    #[serde(default = "default_prefix")]
    pub lstm_prefix: String,
    /// Dense layers in order.
    pub head: Vec<HeadLayer>,
    /// Input columns in order.
    pub inputs: Vec<Input>,
    /// Output groups in order.
    pub outputs: Vec<Output>,
    /// What the outputs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Time between two bars, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar_interval_ns: Option<i64>,
}

/// Families this importer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// LSTM stack with a dense head on the last step.
    Lstm,
}

/// One dense layer of the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadLayer {
    /// Prefix of its tensors.
    pub prefix: String,
    /// What follows it.
    pub activation: Activation,
}

fn default_prefix() -> String {
    "lstm".into()
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
    let parsed: TorchConfig = toml::from_str(&text).map_err(|source| ImportError::Config {
        path: config.into(),
        source: Box::new(source),
    })?;
    let bytes = std::fs::read(weights).map_err(|source| read_error(weights, source))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| ImportError::Weights {
        path: weights.into(),
        reason: e.to_string(),
    })?;
    convert(&parsed, &file, precision)
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
    file: &SafeTensors<'_>,
    precision: Precision,
) -> Result<(Schema, PlainTensors), ImportError> {
    let mut source = Source {
        file,
        used: BTreeSet::new(),
    };
    let mut tensors = PlainTensors::new();
    for l in 0..config.n_layers {
        let n_in = if l == 0 {
            config.inputs.len()
        } else {
            config.n_hidden
        };
        take_lstm(config, &mut source, l, n_in, &mut tensors)?;
    }
    let mut head = Vec::new();
    let mut n_in = config.n_hidden;
    for (j, layer) in config.head.iter().enumerate() {
        n_in = take_dense(&layer.prefix, &mut source, j, n_in, &mut tensors)?;
        head.push(DenseConfig {
            n_out: n_in,
            activation: layer.activation,
        });
    }
    source.finish()?;
    if head.is_empty() {
        return Err(ImportError::NoHead);
    }
    Ok((schema(config, head, precision), tensors))
}

fn take_lstm(
    config: &TorchConfig,
    source: &mut Source<'_>,
    l: usize,
    n_in: usize,
    tensors: &mut PlainTensors,
) -> Result<(), ImportError> {
    let (prefix, n_hidden) = (&config.lstm_prefix, config.n_hidden);
    let gates = 4 * n_hidden;
    for (name, n_in) in [("weight_ih", n_in), ("weight_hh", n_hidden)] {
        let tensor = source.take(&format!("{prefix}.{name}_l{l}"), &[gates, n_in])?;
        tensors.insert(format!("lstm.{name}_l{l}"), tensor);
    }
    let mut bias = source.take(&format!("{prefix}.bias_ih_l{l}"), &[gates])?;
    let recurrent = source.take(&format!("{prefix}.bias_hh_l{l}"), &[gates])?;
    bias.data
        .iter_mut()
        .zip(&recurrent.data)
        .for_each(|(a, b)| *a += b);
    tensors.insert(format!("lstm.bias_l{l}"), bias);
    Ok(())
}

/// Returns the layer's output width, which its weight states.
fn take_dense(
    prefix: &str,
    source: &mut Source<'_>,
    j: usize,
    n_in: usize,
    tensors: &mut PlainTensors,
) -> Result<usize, ImportError> {
    let name = format!("{prefix}.weight");
    let n_out = source.view(&name)?.shape().first().copied().unwrap_or(0);
    tensors.insert(format!("head.{j}.weight"), source.take(&name, &[n_out, n_in])?);
    tensors.insert(
        format!("head.{j}.bias"),
        source.take(&format!("{prefix}.bias"), &[n_out])?,
    );
    Ok(n_out)
}

fn schema(config: &TorchConfig, head: Vec<DenseConfig>, precision: Precision) -> Schema {
    let Family::Lstm = config.family;
    Schema {
        format: FORMAT,
        name: config.name.clone(),
        net: Net::Lstm(LstmConfig {
            lookback: config.lookback,
            n_hidden: config.n_hidden,
            n_layers: config.n_layers,
            head,
        }),
        precision,
        inputs: config.inputs.clone(),
        bar_interval_ns: config.bar_interval_ns,
        outputs: config.outputs.clone(),
        target: config.target.clone(),
        arrival: Arrival::PreRolled,
        normalizers: Vec::new(),
        golden_tolerance: 1.0,
        provenance: serde_json::Map::from_iter([("imported_from".into(), "torch".into())]),
    }
}

/// A state dict that knows which of its tensors were taken.
struct Source<'a> {
    file: &'a SafeTensors<'a>,
    used: BTreeSet<String>,
}

impl Source<'_> {
    fn view(&self, name: &str) -> Result<TensorView<'_>, ImportError> {
        let listed = || {
            let mut names = self.file.names();
            names.sort_unstable();
            names.join(", ")
        };
        self.file.tensor(name).map_err(|_| ImportError::Missing {
            name: name.into(),
            found: listed(),
        })
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<PlainTensor, ImportError> {
        let view = self.view(name)?;
        if view.shape() != shape {
            let found = view.shape().to_vec();
            return Err(ImportError::Shape {
                name: name.into(),
                expected: format!("{shape:?}"),
                found,
            });
        }
        let data = floats(name, &view)?;
        self.used.insert(name.into());
        Ok(PlainTensor {
            shape: shape.to_vec(),
            data,
        })
    }

    fn finish(self) -> Result<(), ImportError> {
        let mut left: Vec<&str> = self
            .file
            .names()
            .into_iter()
            .filter(|n| !self.used.contains(*n))
            .collect();
        left.sort_unstable();
        if left.is_empty() {
            Ok(())
        } else {
            Err(ImportError::Leftover(left.join(", ")))
        }
    }
}

/// Values as f32: exact for F32, F16 and BF16, rounded once for F64.
fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ImportError> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
        Dtype::F16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::bf16::from_le_bytes(*b).to_f32())
            .collect(),
        found => {
            return Err(ImportError::Type {
                name: name.into(),
                found,
            });
        }
    })
}
