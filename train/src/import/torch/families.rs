//! Networks of every family whose tensors carry plain names: each goes to its place as it is.
//!
//! Names and shapes are those of [`tickfuse_core::nets::tensor_shapes`]; an X-Trend file holds its contexts as
//! `contexts.input` and `contexts.entity` too. An LSTM stack has `lstm.bias_ih_l{k}` and `lstm.bias_hh_l{k}` in the place of
//! their sum.

use super::ImportError;
use super::config::NetConfig;
use super::lstm;
use crate::import::state_dict::{StateDict, TensorError};
use tickfuse_core::bundle::{CONTEXTS_PREFIX, Net, Precision, Schema};
use tickfuse_core::nets::tensor_shapes;
use tickfuse_core::plain::PlainTensors;

/// Takes every tensor of the network to its place.
///
/// # Errors
/// The network breaks a rule of model files, or a tensor is missing, left over or of another shape.
pub fn convert(
    config: &NetConfig,
    source: StateDict,
    precision: Precision,
) -> Result<(Schema, PlainTensors), ImportError> {
    let schema = config.schema(precision, "torch");
    schema.validate()?;
    let tensors = match &config.net {
        Net::Lstm(net) => lstm::convert(&lstm::file_config(config, net), source)?.1,
        _ => take_all(&schema, source, str::to_owned)?,
    };
    Ok((schema, tensors))
}

/// Every plain tensor of a valid schema, and no other; `foreign` is what the source calls a plain name.
///
/// # Errors
/// [`TensorError`].
pub fn take_all(
    schema: &Schema,
    mut source: StateDict,
    foreign: impl Fn(&str) -> String,
) -> Result<PlainTensors, TensorError> {
    let entities = format!("{CONTEXTS_PREFIX}entity");
    let mut tensors = PlainTensors::new();
    for (name, shape) in tensor_shapes(schema) {
        let from = foreign(&name);
        let tensor = if name == entities {
            source.take_codes(&from, &shape)?
        } else {
            source.take(&from, &shape)?
        };
        tensors.insert(name, tensor);
    }
    source.finish()?;
    Ok(tensors)
}
