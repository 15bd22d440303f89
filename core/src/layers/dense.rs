//! A dense layer on one row.

use super::rounded::with_rounded;
use crate::bundle::{Activation, View};
use crate::kernels::Kernels;
use crate::simd::{FixedLane, LANES, Lane, PairLane};

/// Packed weights `[panels, n_in, 16]` in any precision.
pub(crate) enum DenseWeights {
    F32(View<Lane>),
    Bf16(View<PairLane>),
    /// Integers, and the unit of every output `[panels, 16]`.
    I16(View<FixedLane>, View<Lane>),
}

/// `activation(W x + b)`.
pub(crate) struct DenseLayer {
    pub(crate) weights: DenseWeights,
    pub(crate) bias: View<Lane>,
    pub(crate) n_in: usize,
    pub(crate) activation: Activation,
}

impl DenseLayer {
    /// Lanes of the output.
    pub(crate) fn n_lanes(&self) -> usize {
        self.bias.len()
    }

    /// `x`: lanes that hold `n_in` values and zeros behind them; `out`: [`DenseLayer::n_lanes`] lanes.
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[Lane], out: &mut [Lane]) {
        let x: &[f32] = bytemuck::must_cast_slice(x);
        match &self.weights {
            DenseWeights::F32(w) => kernels.dense_f32(w, &self.bias, &x[..self.n_in], out),
            DenseWeights::Bf16(w) => {
                kernels.dense_bf16(w, &self.bias, &x[..self.n_in.next_multiple_of(2)], out);
            }
            DenseWeights::I16(w, units) => {
                with_rounded(kernels, &x[..self.n_in], |x, unit| {
                    kernels.linear_i16(w, units, &self.bias, x, &[unit], x.len(), self.n_in, out);
                });
            }
        }
        match self.activation {
            Activation::None => {}
            Activation::Relu => kernels.relu(bytemuck::must_cast_slice_mut(out)),
            Activation::Elu => kernels.elu(bytemuck::must_cast_slice_mut(out)),
        }
    }
}

const _: () = assert!(
    LANES.is_multiple_of(2),
    "an odd width still has its zero partner in the lane"
);
