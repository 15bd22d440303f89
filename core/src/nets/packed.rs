//! Tensors on their way into a model file, and the check that plain ones are complete.

use super::shapes::tensor_shapes;
use crate::bundle::{Schema, Tensor};
use crate::error::OpenError;
use crate::plain::PlainTensors;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytemuck::Pod;
use half::bf16;

/// A packed tensor on its way into a model file.
#[derive(Debug, Clone)]
pub struct PackedTensor {
    name: String,
    shape: Vec<usize>,
    values: PackedValues,
}

#[derive(Debug, Clone)]
enum PackedValues {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl PackedTensor {
    pub(super) fn f32<T: Pod>(name: String, shape: &[usize], values: &[T]) -> Self {
        let values = PackedValues::F32(bytemuck::cast_slice(values).to_vec());
        Self {
            name,
            shape: shape.to_vec(),
            values,
        }
    }

    pub(super) fn bf16<T: Pod>(name: String, shape: &[usize], values: &[T]) -> Self {
        let values = PackedValues::Bf16(bytemuck::cast_slice(values).to_vec());
        Self {
            name,
            shape: shape.to_vec(),
            values,
        }
    }

    /// What the writer takes.
    #[must_use]
    pub fn as_tensor(&self) -> Tensor<'_> {
        match &self.values {
            PackedValues::F32(values) => Tensor::new(&self.name, &self.shape, values),
            PackedValues::Bf16(values) => Tensor::new(&self.name, &self.shape, values),
        }
    }
}

/// Every plain tensor of the schema with its shape and finite values, and no other.
///
/// # Errors
/// [`OpenError::MissingTensor`], [`OpenError::UnknownTensor`], [`OpenError::TensorShape`], [`OpenError::NonFinite`].
pub fn check_plain(schema: &Schema, plain: &PlainTensors) -> Result<(), OpenError> {
    let shapes = tensor_shapes(schema);
    for (name, shape) in &shapes {
        let tensor = plain
            .get(name)
            .ok_or_else(|| OpenError::MissingTensor(name.clone()))?;
        let n: usize = shape.iter().product();
        if tensor.shape != *shape || tensor.data.len() != n {
            return Err(OpenError::TensorShape {
                tensor: name.clone(),
                expected: format!("{shape:?}"),
                found: format!("{:?} with {} values", tensor.shape, tensor.data.len()),
            });
        }
        if let Some(index) = tensor.data.iter().position(|v| !v.is_finite()) {
            return Err(OpenError::NonFinite {
                tensor: name.clone(),
                index,
            });
        }
    }
    match plain
        .keys()
        .find(|name| !shapes.iter().any(|(known, _)| known == *name))
    {
        Some(name) => Err(OpenError::UnknownTensor(name.clone())),
        None => Ok(()),
    }
}
