//! LSTM stacks whose tensors carry any prefix, to the plain names of a model file.
//!
//! `torch.nn.LSTM` keeps `weight_ih_l{k} [4H, n_in]`, `weight_hh_l{k} [4H, H]` and two biases `[4H]` per layer, gates
//! i, f, g, o; `torch.nn.Linear` keeps `weight [n_out, n_in]` and `bias`. The two LSTM biases are summed here and
//! nowhere else. Widths of the head are read from its tensors.

use super::ImportError;
use super::config::{HeadLayer, LstmFamily, LstmFileConfig, NetConfig};
use crate::import::state_dict::{StateDict, TensorError};
use tickfuse_core::bundle::{DenseConfig, LstmConfig, Net};
use tickfuse_core::plain::PlainTensors;

/// Takes every tensor of the stack to its place; the network's own description comes with them.
///
/// # Errors
/// [`ImportError::NoHead`], or a tensor that is missing, left over or of another shape.
pub fn convert(
    config: &LstmFileConfig,
    mut source: StateDict,
) -> Result<(NetConfig, PlainTensors), ImportError> {
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
    Ok((net_config(config, head), tensors))
}

fn take_lstm(
    config: &LstmFileConfig,
    source: &mut StateDict,
    l: usize,
    n_in: usize,
    tensors: &mut PlainTensors,
) -> Result<(), TensorError> {
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
    source: &mut StateDict,
    j: usize,
    n_in: usize,
    tensors: &mut PlainTensors,
) -> Result<usize, TensorError> {
    let name = format!("{prefix}.weight");
    let n_out = source.size(&name, 2, 0)?;
    tensors.insert(format!("head.{j}.weight"), source.take(&name, &[n_out, n_in])?);
    tensors.insert(
        format!("head.{j}.bias"),
        source.take(&format!("{prefix}.bias"), &[n_out])?,
    );
    Ok(n_out)
}

fn net_config(config: &LstmFileConfig, head: Vec<DenseConfig>) -> NetConfig {
    let LstmFamily::Lstm = config.family;
    NetConfig {
        name: config.name.clone(),
        bar_interval_ns: config.bar_interval_ns,
        net: Net::Lstm(LstmConfig {
            lookback: config.lookback,
            n_hidden: config.n_hidden,
            n_layers: config.n_layers,
            head,
        }),
        target: config.target.clone(),
        inputs: config.inputs.clone(),
        normalizers: Vec::new(),
        outputs: config.outputs.clone(),
    }
}

/// A stack with plain names in the form that gives every tensor its prefix: what an export writes.
#[must_use]
pub fn file_config(config: &NetConfig, net: &LstmConfig) -> LstmFileConfig {
    let layer = |(j, layer): (usize, &DenseConfig)| HeadLayer {
        prefix: format!("head.{j}"),
        activation: layer.activation,
    };
    LstmFileConfig {
        name: config.name.clone(),
        family: LstmFamily::Lstm,
        lookback: net.lookback,
        n_hidden: net.n_hidden,
        n_layers: net.n_layers,
        lstm_prefix: "lstm".into(),
        head: net.head.iter().enumerate().map(layer).collect(),
        inputs: config.inputs.clone(),
        outputs: config.outputs.clone(),
        target: config.target.clone(),
        bar_interval_ns: config.bar_interval_ns,
    }
}
