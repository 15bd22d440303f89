//! Training and everything around the life of a model: data, fitting, registry, import and export.
//!
//! Map: [`data`] bars to leak-safe windows · [`tape`], [`ops`], [`nets`], [`losses`], [`optim`], [`fit`] training ·
//! [`checkpoint`] resumable state · [`metrics`] with baselines · [`experiment`] one run from snapshot to model file ·
//! [`assemble`] schema and tensors to a model file · [`registry`], [`card`] published versions, written with
//! [`durable`] · [`import`], [`export`], [`arrays`] foreign files · [`predict`], [`latency`], [`deviation`] using a model · [`cli`] the
//! `tickfuse` program.
#![forbid(unsafe_code)]

pub mod arrays;
pub mod assemble;
pub mod card;
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod deviation;
pub mod durable;
pub mod experiment;
pub mod export;
pub mod fit;
pub mod import;
pub mod latency;
pub mod losses;
pub mod metrics;
pub mod nets;
pub mod ops;
pub mod optim;
pub mod predict;
mod random;
pub mod registry;
pub mod tape;
