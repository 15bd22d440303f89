//! Fitting a net to windows: batches, shards, steps, epochs, early stopping, checkpoints.
//!
//! Same seed, same bits: shuffles are keyed by (seed, epoch), dropout by (seed, step, shard), a batch is split into shards by
//! its length alone and gradients are added in shard order, so neither the number of threads nor an interruption shows in
//! the result (for one instruction set; see [`crate::ops::gemm`]). A loss that is a statistic of its batch, such as a Sharpe
//! ratio, has one shard: its gradient is no sum over parts.

pub mod config;
pub mod crew;
pub mod progress;
pub mod source;
pub mod state;
mod survey;
pub mod trainer;

pub use config::{FitConfig, Monitor, PosWeight};
pub use crew::predict;
pub use source::BatchSource;
pub use state::{EpochReport, Observer, StepReport};
pub use trainer::{CheckpointPlan, Outcome, Run, Status, fit, resume};

use crate::checkpoint::CheckpointError;
use crate::losses::LossError;
use crate::losses::targets::TargetError;

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
    /// A label is none that the loss accepts.
    #[error("{set} window {window}, label {column}: expected {expected}, found {found}")]
    Label {
        /// `training` or `validation`.
        set: &'static str,
        /// Window index in its set.
        window: usize,
        /// Label column.
        column: usize,
        /// What the loss accepts.
        expected: String,
        /// The value.
        found: f32,
    },
    /// The loss does not fit the net or the labels.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The labels are not what the loss takes them for.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Training and validation windows have different labels.
    #[error("labels of a window: training has {train}, validation {valid}")]
    Labels {
        /// Of a training window.
        train: usize,
        /// Of a validation window.
        valid: usize,
    },
    /// The monitored metric has no value on the validation set.
    #[error("monitor = \"{0}\": the validation set gives it no value")]
    Unmonitored(&'static str),
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
