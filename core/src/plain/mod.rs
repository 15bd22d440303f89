//! The oracle: textbook versions of kernels, layers and nets in f64, without SIMD, unsafe or shared code.
//!
//! Kept for ever and written to be read. Weights come in plain PyTorch layout, never as panels.

mod activation;
mod dense;
mod lstm;
mod net;
mod rows;

pub use activation::{elu, exp, relu, sigmoid, tanh};
pub use dense::dense;
pub use lstm::{LstmState, lstm, lstm_step};
pub use net::{LstmNet, PlainTensor, PlainTensors};
pub use rows::{layer_norm, softmax};
