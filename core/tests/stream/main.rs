//! Streams against whole windows: the same bits and flags after any order of pushes, peeks, preparations and resets.

mod ahead;
mod bars;
#[path = "../common/mod.rs"]
mod common;
mod models;
mod operations;
mod set;
mod state;
mod twin;
