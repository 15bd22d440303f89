//! Bars to leak-safe windows: files, their inspection, immutable snapshots, feature tables, labels, windows, splits
//! and scalers.
//!
//! The way of the data: [`bars::read`] or [`snapshot::load`] -> [`table::build`] -> [`window::WindowIndex`] ->
//! [`split::Split`] -> [`scaler::fit`] -> [`window::Batches`]. [`guard`] holds the checks that each step is free of
//! leaks; `tests/leaks.rs` shows each of them catching the mistake it is for.
//!
//! Time of a row is the open time of its bar. A row is decided when its bar closes, one bar interval later; as all
//! series of a panel share one interval, comparing open times compares decision times.

pub mod bars;
mod columns;
mod csv;
mod error;
pub mod guard;
pub mod inspect;
pub mod label;
pub mod manifest;
mod parquet;
pub mod scaler;
pub mod snapshot;
pub mod split;
pub mod table;
pub mod time;
pub mod window;

pub use error::{DataError, Place};
