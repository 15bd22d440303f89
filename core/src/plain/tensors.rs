//! Tensors as training and exports have them: plain PyTorch layout, f32.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// One tensor in PyTorch layout.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainTensor {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

/// Tensors by their plain name, as [`crate::nets::tensor_shapes`] lists them.
pub type PlainTensors = BTreeMap<String, PlainTensor>;
