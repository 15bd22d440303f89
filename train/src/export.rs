//! A bundle back to plain PyTorch: a safetensors state dict and the TOML file that `import torch` reads.
//!
//! Tensors carry their plain names, an X-Trend's contexts among them. Of an LSTM stack `lstm.bias_ih_l{k}` holds the whole
//! bias and `lstm.bias_hh_l{k}` zeros, so that a `torch.nn.LSTM` loads them as they are; its bf16 or i16 bundle gives the
//! rounded weights, as F32. The other families keep what they were made from, so that these tensors are the ones once imported or
//! trained, whatever the bundle's precision.

use crate::import::torch::config::NetConfig;
use crate::import::torch::lstm;
use safetensors::{Dtype, tensor::TensorView};
use std::collections::BTreeMap;
use tickfuse_core::bundle::Net;
use tickfuse_core::error::OpenError;
use tickfuse_core::plain::{PlainTensor, PlainTensors};
use tickfuse_core::{Model, nets};

/// Why a model could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The tensors could not be read back.
    #[error(transparent)]
    Open(#[from] OpenError),
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
    let plain = nets::unpack(model.bundle())?;
    let tensors = match &model.schema().net {
        Net::Lstm(_) => with_both_biases(plain),
        _ => plain,
    };
    let views = tensors.iter().map(|(name, tensor)| {
        let bytes = bytemuck::cast_slice(&tensor.data);
        Ok((name, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?))
    });
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>()?;
    Ok(TorchFiles {
        weights: safetensors::serialize(views, None)?,
        config: config(model)?,
    })
}

fn with_both_biases(plain: PlainTensors) -> PlainTensors {
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

fn config(model: &Model) -> Result<String, toml::ser::Error> {
    let config = NetConfig::of(model.schema());
    match &config.net {
        Net::Lstm(net) if config.normalizers.is_empty() => toml::to_string(&lstm::file_config(&config, net)),
        _ => toml::to_string(&config),
    }
}
