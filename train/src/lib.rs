//! Training and everything around the life of a model: data, fitting, registry, import and export.
//!
//! Map: [`data`] bars to leak-safe windows · [`tape`], [`ops`], [`nets`], [`losses`], [`optim`], [`fit`] training ·
//! [`checkpoint`] resumable state · [`metrics`] with baselines · [`registry`], [`card`] published versions ·
//! [`import`], [`export`] foreign files · [`cli`] the `tickfuse` program.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod fit;
pub mod losses;
pub mod metrics;
pub mod nets;
pub mod ops;
pub mod optim;
pub mod tape;
