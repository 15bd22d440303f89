//! In-process inference of sequence models for trading, from a memory-mapped file, without an allocation per answer.
//!
//! A model file carries everything an answer needs: network, packed weights, feature definitions, scalers, names and
//! units of its outputs, and golden windows with their answers. [`Model::open`] maps it, checks every rule of the
//! format, picks the kernels for this CPU and runs the goldens; a [`Session`] is one thread's working memory.
//!
//! ```no_run
//! use tickfuse_core::{Model, OpenOptions, Session};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # #[cfg(feature = "std")] {
//! let model = Model::open("model.safetensors", OpenOptions::default())?;
//! let mut session = Session::new(&model, 1);
//! let window = vec![0.0_f32; model.schema().n_rows() * model.schema().n_features()];
//! let mut out = vec![0.0; model.schema().n_outputs()];
//! let flags = session.run(&window, &mut out)?;
//! # let _ = flags;
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! Where bars arrive instead of feature rows, [`Model::bar_rows`] makes the rows exactly as training did, and a [`Stream`]
//! takes the bars themselves.
//!
//! # Features
//! `std` (default): opening by path and by mapping. Without it the crate is `no_std` with `alloc` and takes
//! [`Model::from_bytes`].
//!
//! # Map, lowest first
//! [`error`], [`simd`] · [`bundle`] the model file · [`kernels`] · [`plain`] the oracle · `layers` · [`nets`] ·
//! [`Model`] · [`Session`] · [`Stream`], [`StreamSet`], [`Sliding`]; [`features`] and [`decide`] stand beside. Documents: `docs/design.md`, `docs/format.md` and
//! `docs/numerics.md`, the last two normative.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(not(target_endian = "little"))]
compile_error!("model files are used as they lie in memory: little-endian targets only");

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bar_rows;
pub mod bundle;
mod columns;
pub mod decide;
pub mod error;
pub mod features;
mod flags;
mod interpretation;
pub mod kernels;
mod layers;
mod model;
pub mod nets;
pub mod plain;
mod saved;
mod session;
pub mod simd;
mod sliding;
mod stream;

pub use bar_rows::BarRows;
pub use flags::Flags;
pub use interpretation::Interpretation;
pub use model::{Model, OpenOptions};
pub use nets::{Contexts, write_model};
pub use session::{Sample, Session};
pub use simd::Level;
pub use sliding::Sliding;
pub use stream::{Step, Stream, StreamSet};
