//! Losses, one file each: formula, value, gradient, gradient check.

pub mod bce;
