//! Sixteen numbers as they lie in a model file: aligned to a cache line.

use bytemuck::{Pod, Zeroable};

/// Numbers in a lane.
pub const LANES: usize = 16;

/// Sixteen f32 on a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Lane(pub [f32; LANES]);

/// Sixteen pairs of bf16 on a cache line: the even k in the low half of each word, the odd k in the high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct PairLane(pub [u32; LANES]);

/// Sixteen pairs of i16 on a cache line: the even k in the low half of each word, the odd k in the high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct FixedLane(pub [u32; LANES]);

impl Lane {
    /// Sixteen zeros.
    pub const ZERO: Self = Self([0.0; LANES]);
}

impl PairLane {
    /// Thirty-two zeros.
    pub const ZERO: Self = Self([0; LANES]);
}

impl FixedLane {
    /// The largest magnitude of the integers that weights are multiplied with: sums of all of a row's products stay within i32.
    pub const LIMIT: i32 = 1 << 13;
    /// Thirty-two zeros.
    pub const ZERO: Self = Self([0; LANES]);
}
