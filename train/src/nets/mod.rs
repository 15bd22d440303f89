//! Nets written against [`Engine`]: parameters and data flow; one file per family, named as in the core.

pub mod any;
pub mod blocks;
pub mod lstm;
pub mod quantile_tft;
pub mod tft;
pub mod xtrend;

use crate::tape::engine::Engine;
use crate::tape::params::Layout;
use std::sync::Arc;

/// A net from a batch of windows to the columns of its head, before the links of the output kinds (logits of classes,
/// the argument of a position's tanh).
pub trait Net: Sync {
    /// Rows of `x`: those of a window, and what the family adds behind them.
    fn n_rows(&self) -> usize;
    /// Columns of a row.
    fn n_features(&self) -> usize;
    /// Columns of an answer.
    fn n_outputs(&self) -> usize;
    /// Steps that are answered.
    fn n_answers(&self) -> usize {
        1
    }
    /// The declared parameters.
    fn layout(&self) -> &Arc<Layout>;
    /// Family and sizes as a document; two nets with equal descriptions are the same function of their parameters.
    fn description(&self) -> serde_json::Value;
    /// The forward pass: `x [n_rows, batch, n_features]` to `[batch, n_outputs]`, or to `[n_answers, batch, n_outputs]` for a
    /// family that answers steps.
    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var;
}
