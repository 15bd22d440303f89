//! Differentiable operations, one file each: formula, forward, backward, gradient check.

pub mod activation;
pub mod add;
pub mod check;
pub mod dropout;
pub mod elementwise;
pub mod gemm;
pub mod linear;
pub mod lstm;
pub mod mat;
pub mod panels;
pub mod product;
pub mod real;
pub mod take_last;
pub mod weighted_sum;
