//! One packed step of k for sixteen outputs, f32 or bf16: what lets every product be written once.

use crate::simd::{Isa, Lane, PairLane};
use bytemuck::Pod;

/// Sixteen weights of one k (f32) or of two neighbouring k (bf16), and how they meet an activation.
pub(crate) trait Panel<I: Isa>: Pod {
    /// One activation, or two neighbouring ones.
    type X: Copy;
    /// The same, broadcast.
    type B: Copy;
    /// Broadcasts activations.
    fn splat(isa: I, x: &Self::X) -> Self::B;
    /// `acc + w * x`, in the order of k.
    fn mul_acc(&self, isa: I, x: Self::B, acc: I::F) -> I::F;
}

impl<I: Isa> Panel<I> for Lane {
    type X = f32;
    type B = I::F;
    #[inline(always)]
    fn splat(isa: I, x: &f32) -> I::F {
        isa.splat(*x)
    }
    #[inline(always)]
    fn mul_acc(&self, isa: I, x: I::F, acc: I::F) -> I::F {
        isa.mul_acc(isa.load(self), x, acc)
    }
}

impl<I: Isa> Panel<I> for PairLane {
    type X = [f32; 2];
    type B = I::Pair;
    #[inline(always)]
    fn splat(isa: I, x: &[f32; 2]) -> I::Pair {
        isa.splat_pair(x)
    }
    #[inline(always)]
    fn mul_acc(&self, isa: I, x: I::Pair, acc: I::F) -> I::F {
        isa.dot_pair(self, x, acc)
    }
}
