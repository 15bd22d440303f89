//! A dense layer on many rows.

use super::DenseWeights;
use super::rounded::for_rounded;
use crate::bundle::View;
use crate::kernels::Kernels;
use crate::simd::{LANES, Lane};

/// `W x + b`; rows of the output are whole lanes.
pub(crate) struct Linear {
    pub(crate) weights: DenseWeights,
    pub(crate) bias: View<Lane>,
    pub(crate) n_in: usize,
}

impl Linear {
    /// Lanes of an output row.
    pub(crate) fn n_lanes(&self) -> usize {
        self.bias.len()
    }

    /// Rows of `x` lie `stride` floats apart, an even number; `out [n, lanes]` says how many there are.
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[f32], stride: usize, out: &mut [Lane]) {
        self.forward_from(kernels, &self.bias, x, stride, out);
    }

    /// The same with another bias, such as one that a context was added to.
    pub(crate) fn forward_from(
        &self,
        kernels: &Kernels,
        bias: &[Lane],
        x: &[f32],
        stride: usize,
        out: &mut [Lane],
    ) {
        match &self.weights {
            DenseWeights::F32(w) => kernels.linear_f32(w, bias, x, stride, self.n_in, out),
            DenseWeights::Bf16(w) => kernels.linear_bf16(w, bias, x, stride, self.n_in, out),
            DenseWeights::I16(w, units) => {
                let sizes = [stride, self.n_in, out.len() / bias.len()];
                for_rounded(kernels, x, sizes, |first, x| {
                    let out = &mut out[first * bias.len()..][..x.units.len() * bias.len()];
                    kernels.linear_i16(w, units, bias, x.words, x.units, x.stride, self.n_in, out);
                });
            }
        }
    }

    /// On rows of whole lanes.
    pub(crate) fn forward_lanes(&self, kernels: &Kernels, x: &[Lane], out: &mut [Lane]) {
        let n_rows = out.len() / self.n_lanes();
        let stride = LANES * x.len() / n_rows;
        self.forward(kernels, bytemuck::must_cast_slice(x), stride, out);
    }
}
