//! Nets written against [`Engine`]: parameters and data flow; one file per family, named as in the core.

pub mod lstm;

use crate::tape::engine::Engine;
use crate::tape::params::Layout;
use std::sync::Arc;

/// A net from a batch of windows to logits.
pub trait Net: Sync {
    /// Rows of a window.
    fn lookback(&self) -> usize;
    /// Columns of a row.
    fn n_features(&self) -> usize;
    /// Columns of the answer.
    fn n_outputs(&self) -> usize;
    /// The declared parameters.
    fn layout(&self) -> &Arc<Layout>;
    /// Family and sizes as a document; two nets with equal descriptions are the same function of their parameters.
    fn description(&self) -> serde_json::Value;
    /// The forward pass: `x [lookback, batch, n_features]` to logits `[batch, n_outputs]`.
    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var;
}
