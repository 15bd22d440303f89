//! From gradients to the next parameters: clipping, `AdamW`, learning rates over a run.

pub mod adamw;
pub mod clip;
pub mod schedule;
