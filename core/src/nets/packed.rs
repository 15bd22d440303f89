//! Tensors on their way into a model file, and the check that plain ones are complete.

use super::shapes::tensor_shapes;
use crate::bundle::{
    Precision, Schema, Tensor, n_blocks, pack_dense, pack_dense_bf16, pack_dense_i16, pack_gates,
    pack_gates_bf16, pack_gates_i16,
};
use crate::error::OpenError;
use crate::plain::PlainTensors;
use crate::simd::LANES;
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
    I16(Vec<i16>),
}

/// Where the units of a tensor of integers lie.
pub(super) fn units_of(tensor: &str) -> String {
    format!("{tensor}.units")
}

impl PackedTensor {
    fn new(name: String, shape: &[usize], values: PackedValues) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            values,
        }
    }

    pub(super) fn f32<T: Pod>(name: String, shape: &[usize], values: &[T]) -> Self {
        let values = PackedValues::F32(bytemuck::cast_slice(values).to_vec());
        Self::new(name, shape, values)
    }

    fn bf16<T: Pod>(name: String, shape: &[usize], values: &[T]) -> Self {
        let values = PackedValues::Bf16(bytemuck::cast_slice(values).to_vec());
        Self::new(name, shape, values)
    }

    fn i16<T: Pod>(name: String, shape: &[usize], values: &[T]) -> Self {
        let values = PackedValues::I16(bytemuck::cast_slice(values).to_vec());
        Self::new(name, shape, values)
    }

    /// Weights of the four gates `[4H, n_in]`, and of integers their units.
    pub(super) fn gates(precision: Precision, name: String, w: &[f32], n_hidden: usize) -> Vec<Self> {
        let (blocks, n_in) = (n_blocks(n_hidden), w.len() / (4 * n_hidden));
        let pairs = [blocks, n_in.div_ceil(2), 4, LANES, 2];
        match precision {
            Precision::F32 => {
                let panels = pack_gates(w, n_hidden, n_in);
                [Self::f32(name, &[blocks, n_in, 4, LANES], &panels)].into()
            }
            Precision::Bf16 => [Self::bf16(name, &pairs, &pack_gates_bf16(w, n_hidden, n_in))].into(),
            Precision::I16 => {
                let packed = pack_gates_i16(w, n_hidden, n_in);
                let units = Self::f32(units_of(&name), &[blocks, 4, LANES], &packed.units);
                [Self::i16(name, &pairs, &packed.panels), units].into()
            }
        }
    }

    /// Weights of a dense layer `[n_out, n_in]`, and of integers their units.
    pub(super) fn dense(precision: Precision, name: String, w: &[f32], n_out: usize) -> Vec<Self> {
        let (panels, n_in) = (n_blocks(n_out), w.len() / n_out);
        let pairs = [panels, n_in.div_ceil(2), LANES, 2];
        match precision {
            Precision::F32 => {
                let packed = pack_dense(w, n_out, n_in);
                [Self::f32(name, &[panels, n_in, LANES], &packed)].into()
            }
            Precision::Bf16 => [Self::bf16(name, &pairs, &pack_dense_bf16(w, n_out, n_in))].into(),
            Precision::I16 => {
                let packed = pack_dense_i16(w, n_out, n_in);
                let units = Self::f32(units_of(&name), &[panels, LANES], &packed.units);
                [Self::i16(name, &pairs, &packed.panels), units].into()
            }
        }
    }

    /// What the writer takes.
    #[must_use]
    pub fn as_tensor(&self) -> Tensor<'_> {
        match &self.values {
            PackedValues::F32(values) => Tensor::new(&self.name, &self.shape, values),
            PackedValues::Bf16(values) => Tensor::new(&self.name, &self.shape, values),
            PackedValues::I16(values) => Tensor::new(&self.name, &self.shape, values),
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
