//! Bars to leak-safe windows: files, their inspection, immutable snapshots, feature tables, labels, windows, splits
//! and scalers.
//!
//! The way of the data: [`bars::read`] or [`snapshot::load`] -> [`table::build`] -> [`window::WindowIndex`] ->
//! [`split::Split`] -> [`scaler::fit`] -> [`window::Batches`]. Labels other than the direction come from a
//! [`label_table::LabelTable`]; [`contexts`] draws the earlier stretches that X-Trend looks at. [`guard`] holds the checks that each step is free of
//! leaks; `tests/leaks.rs` shows each of them catching the mistake it is for.
//!
//! Time of a row is the open time of its bar. A row is decided when its bar closes, one bar interval later; as all
//! series of a panel share one interval, comparing open times compares decision times.

pub mod bars;
mod columns;
pub mod context_batches;
pub mod contexts;
mod csv;
pub mod entities;
mod error;
pub mod frame;
pub mod guard;
pub mod inspect;
pub mod label;
pub mod label_config;
pub mod label_table;
pub mod manifest;
mod parquet;
pub mod scaler;
pub mod snapshot;
pub mod split;
pub mod table;
pub mod time;
pub mod volatility;
pub mod window;

pub use error::{DataError, Place};
