//! The model file: a strict safetensors subset that is used as it lies in memory.

mod schema;
mod storage;
mod view;

pub use schema::{
    Activation, Arrival, DenseConfig, FORMAT, Input, LstmConfig, Missing, Net, Output, OutputKind, Precision,
    Scaler, Schema, Target,
};
pub use storage::{ALIGNMENT, AlignedBytes, Storage};
pub use view::View;
