//! Answers of foreign programs: the families `tft`, `quantile_tft` and `xtrend` through the core on every level.
//!
//! `fixtures/README.md` tells what the nets are and who answered for them.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod contexts;
mod fixture;
mod sizes;
mod tables;
