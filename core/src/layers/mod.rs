//! Layers: weights as they lie in the model file and the kernels they call. No state.

mod dense;
mod lstm;

pub(crate) use dense::{DenseLayer, DenseWeights};
pub(crate) use lstm::{GateWeights, LstmLayer, LstmScratch};
