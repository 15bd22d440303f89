//! The model file: a strict safetensors subset that is used as it lies in memory.
//!
//! Reading: [`Storage`] holds the bytes, `header` says where the tensors lie, [`Bundle`] checks every rule and
//! hands out [`View`]s. Writing: [`write()`], which returns only what the reader accepts. The rules are normative in
//! `core/docs/format.md`.

mod document;
mod dtype;
mod file;
mod hash;
mod header;
mod input;
mod interface;
mod json;
mod net;
mod normalizer;
mod output;
mod panels;
mod schema;
mod storage;
mod tables;
mod view;
mod write;

pub use dtype::{Dtype, Element};
pub use file::{Bundle, Golden, OpenOptions, TensorReader};
pub use header::{
    CONTEXTS_PREFIX, GOLDEN_PREFIX, MAX_HEADER, MAX_RANK, MAX_TENSORS, PLAIN_PREFIX, TensorInfo,
};
pub use input::{Categories, Derived, Input, Missing, Role, Scaler};
pub use net::{
    Activation, CategoricalBranch, ContextMode, DenseConfig, EmptyEncoder, LstmConfig, MaskRule, Net,
    QuantileTftConfig, SkipRule, TftConfig, TftRules, Variable, WeightHidden, XtrendConfig, XtrendForm,
    XtrendHead,
};
pub use normalizer::{Normalizer, NormalizerSource, Transform};
pub use output::{Output, OutputKind};
pub use panels::{
    FixedDense, FixedGates, FixedPanels, n_blocks, pack_dense, pack_dense_bf16, pack_dense_bias,
    pack_dense_i16, pack_gate_bias, pack_gates, pack_gates_bf16, pack_gates_i16, unfix, unpack_dense,
    unpack_gates, unpair,
};
pub use schema::{Arrival, FORMAT, Precision, Schema, Target};
pub use storage::{ALIGNMENT, AlignedBytes, Storage};
pub use tables::{Knots, MAX_DEPTH, MAX_INTERVALS, Tables, Tabulated};
pub use view::View;
pub use write::{Tensor, write};
