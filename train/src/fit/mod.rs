//! Fitting a net to windows: batches, shards, steps, epochs, early stopping, checkpoints.
//!
//! Same seed, same bits: shuffles are keyed by (seed, epoch), dropout by (seed, step, shard), a batch is split into shards by
//! its length alone and gradients are added in shard order, so neither the number of threads nor an interruption shows in
//! the result (for one instruction set; see [`crate::ops::gemm`]).

pub mod config;
pub mod crew;
pub mod progress;
pub mod source;
pub mod state;
pub mod trainer;

pub use config::{FitConfig, Monitor, PosWeight};
pub use crew::predict;
pub use source::BatchSource;
pub use state::{EpochReport, Observer, StepReport};
pub use trainer::{CheckpointPlan, Outcome, Run, Status, fit, resume};

use crate::checkpoint::CheckpointError;

/// Why a fit ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// A key of the configuration is out of range.
    #[error("configuration: {0}")]
    Config(String),
    /// A data set has no windows.
    #[error("the {0} set has no windows")]
    Empty(&'static str),
    /// An input value is NaN or infinite.
    #[error("{set} window {window}, row {row}, column {column}: expected a finite value, found {found}")]
    Input {
        /// `training` or `validation`.
        set: &'static str,
        /// Window index in its set.
        window: usize,
        /// Row in the window.
        row: usize,
        /// Feature column.
        column: usize,
        /// The value.
        found: f32,
    },
    /// A label lies outside [0, 1].
    #[error("{set} window {window}, label {column}: expected 0 to 1, found {found}")]
    Label {
        /// `training` or `validation`.
        set: &'static str,
        /// Window index in its set.
        window: usize,
        /// Label column.
        column: usize,
        /// The value.
        found: f32,
    },
    /// `pos_weight = "balanced"` or the monitored metric needs both labels.
    #[error("the {0} set has one label only: {1} needs both")]
    OneLabel(&'static str, &'static str),
    /// Parameters that no operation writes a gradient for.
    #[error("parameters outside the loss receive no gradient: {0}")]
    Untouched(String),
    /// The loss or a gradient left the finite numbers.
    #[error(
        "training diverged in epoch {epoch}, step {step}: {what} is {found}; try a smaller lr or clip_norm"
    )]
    Diverged {
        /// Epoch, from 0.
        epoch: usize,
        /// Optimiser step over the whole run, from 0.
        step: u64,
        /// `loss`, `gradient of <parameter>` or `validation loss`.
        what: String,
        /// The value.
        found: f64,
    },
    /// A checkpoint could not be written, read, or does not belong to this run.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
