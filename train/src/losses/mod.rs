//! Losses, one file each: formula, value, slope, gradient check.
//!
//! A [`Loss`] says which columns of an answer and which labels it reads; [`Loss::apply`] puts it on a tape. Binary
//! cross-entropy is an operation of its own; the others are written on [`answers::Answers`] in f64.

pub mod answers;
pub mod bce;
pub mod config;
pub mod cross_entropy;
pub mod gaussian_nll;
pub mod joint;
pub mod pinball;
pub mod position;
pub mod range;
pub mod sharpe;
pub mod targets;

pub use answers::Answers;
pub use config::Loss;
pub use range::LossError;
