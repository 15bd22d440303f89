//! Loops written once over the `Isa` trait of [`crate::simd`], and the table that picks a level's instance when a model is
//! opened.
//!
//! Order of sums, which every path keeps so that it gives the same bits: see `core/docs/numerics.md`.

mod activation;
#[cfg(all(test, feature = "std"))]
mod agreement;
#[cfg(all(test, feature = "std"))]
mod agreement_cell;
#[cfg(all(test, feature = "std"))]
mod agreement_fixed;
#[cfg(all(test, feature = "std"))]
mod agreement_rows;
mod attend;
mod dense;
mod fixed;
mod gates;
mod interpolate;
mod linear;
mod lstm;
mod norm;
mod panel;
mod rows;
mod select;
mod state;
mod table;

pub(crate) use attend::Keys;
pub(crate) use interpolate::{Grid, Knots, step_entry};
pub(crate) use linear::LINEAR_ROWS;
pub(crate) use lstm::{LastStep, MAX_BATCH, Recurrence};
pub(crate) use norm::{Gated, NormWeights};
pub use rows::Affine;
pub(crate) use rows::keep_normal;
pub(crate) use select::{Column, ScalarAffine};
pub use table::Kernels;
