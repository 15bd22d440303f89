//! In-process inference of Temporal Fusion Transformers and LSTM stacks for trading.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(not(target_endian = "little"))]
compile_error!("model files are used as they lie in memory: little-endian targets only");

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod bundle;
pub mod error;
pub mod features;
pub mod kernels;
mod layers;
mod model;
pub mod nets;
pub mod plain;
mod session;
pub mod simd;

pub use model::{Model, OpenOptions};
pub use nets::write_model;
pub use session::{Flags, Sample, Session};
pub use simd::Level;
