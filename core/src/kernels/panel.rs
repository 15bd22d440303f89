//! One packed step of k for sixteen outputs, f32, bf16 or i16: what lets every product be written once.

use crate::simd::{FixedLane, Isa, Lane, PairLane};
use bytemuck::Pod;

/// Sixteen weights of one k (f32) or of two neighbouring k (bf16, i16), and how they meet an activation.
///
/// A sum of floats begins with what is added to it; a sum of integers is exact, and meets its unit and the rest in the end.
pub(crate) trait Panel<I: Isa>: Pod {
    /// Whether the order of a sum is part of its bits.
    const IS_ORDERED: bool;
    /// One activation, or two neighbouring ones.
    type X: Copy + Pod;
    /// The same, broadcast.
    type B: Copy;
    /// Sixteen sums under way.
    type Sum: Copy;
    /// What sums are multiplied by in the end.
    type Unit: Copy;
    /// Broadcasts activations.
    fn splat(isa: I, x: &Self::X) -> Self::B;
    /// Nothing added yet to `rest`.
    fn begin(isa: I, rest: I::F) -> Self::Sum;
    /// `acc + w * x`, in the order of k.
    fn mul_acc(&self, isa: I, x: Self::B, acc: Self::Sum) -> Self::Sum;
    /// Two sums as one.
    fn join(isa: I, a: Self::Sum, b: Self::Sum) -> Self::Sum;
    /// Unit of a weight times unit of an activation; floats have none.
    fn unit(isa: I, weight: Option<&Lane>, x: f32) -> Self::Unit;
    /// The sums, `rest` among them.
    fn end(isa: I, sum: Self::Sum, unit: Self::Unit, rest: I::F) -> I::F;
}

/// What floats have in common.
macro_rules! sum_of_floats {
    () => {
        const IS_ORDERED: bool = true;
        type Sum = I::F;
        type Unit = ();
        #[inline(always)]
        fn begin(_isa: I, rest: I::F) -> I::F {
            rest
        }
        #[inline(always)]
        fn join(isa: I, a: I::F, b: I::F) -> I::F {
            isa.add(a, b)
        }
        #[inline(always)]
        fn unit(_isa: I, _weight: Option<&Lane>, _x: f32) {}
        #[inline(always)]
        fn end(_isa: I, sum: I::F, (): (), _rest: I::F) -> I::F {
            sum
        }
    };
}

impl<I: Isa> Panel<I> for Lane {
    type X = f32;
    type B = I::F;
    sum_of_floats!();
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
    sum_of_floats!();
    #[inline(always)]
    fn splat(isa: I, x: &[f32; 2]) -> I::Pair {
        isa.splat_pair(x)
    }
    #[inline(always)]
    fn mul_acc(&self, isa: I, x: I::Pair, acc: I::F) -> I::F {
        isa.dot_pair(self, x, acc)
    }
}

impl<I: Isa> Panel<I> for FixedLane {
    const IS_ORDERED: bool = false;
    type X = u32;
    type B = I::Int;
    type Sum = I::Int;
    type Unit = I::F;
    #[inline(always)]
    fn splat(isa: I, x: &u32) -> I::Int {
        isa.splat_words(*x)
    }
    #[inline(always)]
    fn begin(isa: I, _rest: I::F) -> I::Int {
        isa.zero_int()
    }
    #[inline(always)]
    fn mul_acc(&self, isa: I, x: I::Int, acc: I::Int) -> I::Int {
        isa.dot_words(self, x, acc)
    }
    #[inline(always)]
    fn join(isa: I, a: I::Int, b: I::Int) -> I::Int {
        isa.add_int(a, b)
    }
    #[inline(always)]
    fn unit(isa: I, weight: Option<&Lane>, x: f32) -> I::F {
        weight.map_or(isa.splat(0.0), |weight| isa.mul(isa.load(weight), isa.splat(x)))
    }
    #[inline(always)]
    fn end(isa: I, sum: I::Int, unit: I::F, rest: I::F) -> I::F {
        isa.mul_acc(isa.to_float(sum), unit, rest)
    }
}
