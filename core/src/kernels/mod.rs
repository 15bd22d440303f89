//! Loops written once over the `Isa` trait of [`crate::simd`], and the table that picks a level's instance when a model is
//! opened.
//!
//! Order of sums, which every path keeps so that it gives the same bits: see `core/docs/numerics.md`.

mod activation;
#[cfg(all(test, feature = "std"))]
mod agreement;
mod dense;
mod gates;
mod lstm;
mod panel;
mod rows;
mod table;

pub(crate) use lstm::{MAX_BATCH, Recurrence};
pub use rows::Affine;
pub use table::Kernels;
