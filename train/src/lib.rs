//! Training and everything around the life of a model: data, fitting, registry, import and export.
//!
//! Map: [`data`] bars to leak-safe windows · [`tape`], [`ops`], [`nets`], [`losses`], [`optim`], [`fit`] training ·
//! [`checkpoint`] resumable state · [`metrics`] with baselines · [`registry`], [`card`] published versions ·
//! [`import`], [`export`] foreign files · [`cli`] the `tickfuse` program.
#![forbid(unsafe_code)]

pub mod card;
pub mod cli;
pub mod durable;
pub mod registry;
