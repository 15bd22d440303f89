//! A bundle back to plain PyTorch: a safetensors state dict and the TOML file that `import torch` reads.
//!
//! `lstm.bias_ih_l{k}` holds the whole bias and `lstm.bias_hh_l{k}` zeros, so that a `torch.nn.LSTM` loads them as
//! they are. A bf16 bundle gives the rounded weights, as F32.

use crate::import::torch::{Family, HeadLayer, TorchConfig};
use safetensors::{Dtype, tensor::TensorView};
use std::collections::BTreeMap;
use tickfuse_core::bundle::Net;
use tickfuse_core::error::OpenError;
use tickfuse_core::plain::PlainTensor;
use tickfuse_core::{Model, nets};

/// Why a model could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The tensors could not be read back.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another family than `lstm`.
    #[error("expected a model of the family `lstm`")]
    Family,
    /// The state dict could not be written.
    #[error("cannot write the state dict: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    /// The configuration could not be written.
    #[error("cannot write the configuration: {0}")]
    Config(#[from] toml::ser::Error),
}

/// A state dict as safetensors bytes and its configuration as TOML text.
#[derive(Debug, Clone)]
pub struct TorchFiles {
    /// `weights.safetensors`.
    pub weights: Vec<u8>,
    /// `net.toml`.
    pub config: String,
}

/// Plain PyTorch files of a model.
///
/// # Errors
/// [`ExportError`].
pub fn torch(model: &Model) -> Result<TorchFiles, ExportError> {
    let tensors = state_dict(nets::unpack(model.bundle())?);
    let bytes: BTreeMap<&str, (&[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, t)| {
            (
                name.as_str(),
                (t.shape.as_slice(), bytemuck::cast_slice(&t.data).to_vec()),
            )
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, (shape, data))| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>()?;
    let weights = safetensors::serialize(views, None)?;
    Ok(TorchFiles {
        weights,
        config: toml::to_string(&config(model)?)?,
    })
}

fn state_dict(plain: BTreeMap<String, PlainTensor>) -> BTreeMap<String, PlainTensor> {
    let mut out = BTreeMap::new();
    for (name, tensor) in plain {
        if let Some(layer) = name.strip_prefix("lstm.bias_l") {
            let zeros = PlainTensor {
                shape: tensor.shape.clone(),
                data: vec![0.0; tensor.data.len()],
            };
            out.insert(format!("lstm.bias_ih_l{layer}"), tensor);
            out.insert(format!("lstm.bias_hh_l{layer}"), zeros);
        } else {
            out.insert(name, tensor);
        }
    }
    out
}

fn config(model: &Model) -> Result<TorchConfig, ExportError> {
    let schema = model.schema();
    let Net::Lstm(net) = &schema.net else {
        return Err(ExportError::Family);
    };
    let head = net.head.iter().enumerate();
    Ok(TorchConfig {
        name: schema.name.clone(),
        family: Family::Lstm,
        lookback: net.lookback,
        n_hidden: net.n_hidden,
        n_layers: net.n_layers,
        lstm_prefix: "lstm".into(),
        head: head
            .map(|(j, d)| HeadLayer {
                prefix: format!("head.{j}"),
                activation: d.activation,
            })
            .collect(),
        inputs: schema.inputs.clone(),
        outputs: schema.outputs.clone(),
        target: schema.target.clone(),
        bar_interval_ns: schema.bar_interval_ns,
    })
}
