//! The oracle: textbook versions of kernels, layers and nets in f64, without SIMD, unsafe or shared code.
//!
//! Kept for ever and written to be read. Weights come in plain PyTorch layout, never as panels and never folded; rows are
//! vectors, time first. [`Oracle`] answers for a model of any family, [`NetOracle`] for its net alone. A missing tensor or a
//! window of another size is a mistake of the program and panics.

mod activation;
mod answer;
mod attention;
mod dense;
mod ffn;
mod grn;
mod intake;
mod lstm;
mod net;
mod normalize;
mod notes;
mod oracle;
mod quantile_tft;
mod rows;
mod selection;
mod tensors;
mod tft;
mod weights;
mod xtrend;
mod xtrend_shared;

pub use activation::{elu, exp, relu, sigmoid, softplus, tanh, two_phi_minus_one};
pub use answer::finish;
pub use attention::{Attended, attention, interpretable_attention, visible_steps};
pub use dense::{dense, linear};
pub use ffn::ffn;
pub use grn::{gate_add_norm, glu, grn, grn_input_gate, grn_one_layer, resample, resample_norm};
pub use intake::{Context, Intake, ScaledWindow};
pub use lstm::{LstmState, lstm, lstm_bidirectional, lstm_from, lstm_stack, lstm_step};
pub use net::LstmNet;
pub use normalize::{CenterScale, center_scale, forward, inverse};
pub use notes::{Intermediate, Notes};
pub use oracle::{HeadValues, Inspected, NetOracle, Oracle};
pub use rows::{add, layer_norm, map, norm, softmax, weighted_sum};
pub use selection::{Selected, selection, selection_ffn, selection_gating, selection_one_layer};
pub use tensors::{PlainTensor, PlainTensors};
pub use weights::{Part, Weights};
