//! The tensors of an export: read from safetensors, held against the names and shapes that the network needs.

use super::error::ForecastingError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use tickfuse_core::bundle::Schema;
use tickfuse_core::nets::tensor_shapes;
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// Every tensor of a safetensors file.
pub(super) fn read(path: &Path) -> Result<PlainTensors, ForecastingError> {
    let bytes = std::fs::read(path).map_err(|source| ForecastingError::Read {
        path: path.into(),
        source,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| ForecastingError::Weights {
        path: path.into(),
        reason: e.to_string(),
    })?;
    let named = file
        .iter()
        .map(|(name, view)| Ok((name.to_owned(), plain(name, &view)?)));
    named.collect()
}

fn plain(name: &str, view: &TensorView<'_>) -> Result<PlainTensor, ForecastingError> {
    if view.dtype() != Dtype::F32 {
        return Err(ForecastingError::Type {
            name: name.into(),
            found: format!("{:?}", view.dtype()),
        });
    }
    let numbers = view.data().as_chunks().0.iter();
    Ok(PlainTensor {
        shape: view.shape().to_vec(),
        data: numbers.map(|b| f32::from_le_bytes(*b)).collect(),
    })
}

/// Requires exactly the tensors of the schema's network.
pub(super) fn check(schema: &Schema, tensors: &PlainTensors) -> Result<(), ForecastingError> {
    let expected = tensor_shapes(schema);
    for (name, shape) in &expected {
        match tensors.get(name) {
            None => {
                return Err(ForecastingError::Missing {
                    name: name.clone(),
                    expected: shape.clone(),
                });
            }
            Some(found) if found.shape != *shape => {
                return Err(ForecastingError::Shape {
                    name: name.clone(),
                    expected: shape.clone(),
                    found: found.shape.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let is_left = |name: &&String| !expected.iter().any(|(known, _)| known == *name);
    let left: Vec<&str> = tensors.keys().filter(is_left).map(String::as_str).collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(ForecastingError::Leftover(left.join(", ")))
}
