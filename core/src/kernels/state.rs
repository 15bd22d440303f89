//! Output states of an LSTM as its products read them: as they are, in pairs of bf16, or as integers of a fixed unit.

use super::fixed;
use super::gates::STATE_UNIT;
use super::panel::Panel;
use crate::simd::{FixedLane, Isa, LANES, Lane, PairLane};

/// Weights whose activations may be the states of an LSTM.
pub(crate) trait State<I: Isa>: Panel<I> {
    /// One window's states of magnitude 1 at most, as cells make them.
    fn encode(isa: I, h: &[Lane], operand: &mut [Lane]);
    /// One window's states of any magnitude, such as a first state that the net made otherwise; their unit.
    #[inline(always)]
    fn encode_any(isa: I, h: &[Lane], operand: &mut [Lane]) -> f32 {
        Self::encode(isa, h, operand);
        STATE_UNIT
    }
}

impl<I: Isa> State<I> for Lane {
    #[inline(always)]
    fn encode(_isa: I, h: &[Lane], operand: &mut [Lane]) {
        operand.copy_from_slice(h);
    }
}

impl<I: Isa> State<I> for PairLane {
    #[inline(always)]
    fn encode(isa: I, h: &[Lane], operand: &mut [Lane]) {
        operand.copy_from_slice(h);
        if I::ENCODES {
            for pair in bytemuck::cast_slice_mut::<Lane, [f32; 2]>(operand) {
                *pair = isa.encode_pair(*pair);
            }
        }
    }
}

impl<I: Isa> State<I> for FixedLane {
    #[inline(always)]
    fn encode(isa: I, h: &[Lane], operand: &mut [Lane]) {
        fixed::encode(isa, h, fixed::LIMIT, bytemuck::cast_slice_mut(operand));
    }
    #[inline(always)]
    fn encode_any(isa: I, h: &[Lane], operand: &mut [Lane]) -> f32 {
        let largest = fixed::largest(isa, bytemuck::cast_slice(h));
        // Rounding may bring what a cell makes a little beyond 1.
        let (unit, inverse) = fixed::unit(if largest < 1.000_01 { 1.0 } else { largest });
        fixed::encode(isa, h, inverse, bytemuck::cast_slice_mut(operand));
        unit
    }
}

const _: () = assert!(LANES.is_multiple_of(2), "pairs of k never straddle a lane");
