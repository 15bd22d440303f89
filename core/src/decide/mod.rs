//! From answers to positions: distribution functions, thresholds, and the sizing of positions from step to step.
//!
//! Training, back-tests and serving use these very functions, so that what was tested is what is traded.

pub mod normal;
pub mod signal;
pub mod sizing;

pub use signal::{Signal, Thresholds};
pub use sizing::{Positions, Sizing};
