//! Seed 003's variable selection and fusion: small layers of `quantile_tft` alone.

use super::{Linear, take};
use crate::kernels::Kernels;
use crate::simd::{LANES, Lane};

/// `x * softmax(W x + b)`: the weights scale the raw inputs. `W` is the product of the network's two linear layers.
pub(crate) struct Gating {
    pub(crate) weights: Linear,
}

impl Gating {
    /// Rows `x [n, stride]` to `out [n, lanes]`, zeros behind the inputs; `weights [n, lanes]` keeps the softmax.
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        x: &[f32],
        stride: usize,
        weights: &mut [Lane],
        out: &mut [Lane],
    ) {
        let (n, width) = (self.weights.n_in, self.weights.n_lanes() * LANES);
        self.weights.forward(kernels, x, stride, weights);
        let weights: &mut [f32] = bytemuck::must_cast_slice_mut(weights);
        let out: &mut [f32] = bytemuck::must_cast_slice_mut(out);
        let rows = x.chunks(stride).zip(weights.chunks_exact_mut(width));
        for ((x, weights), out) in rows.zip(out.chunks_exact_mut(width)) {
            kernels.softmax(&mut weights[..n]);
            for ((out, x), w) in out[..n].iter_mut().zip(x).zip(&weights[..n]) {
                *out = x * w;
            }
        }
    }
}

/// `g d + (1 - g) c`, `c = relu(W_c mean(x) + b_c)`, `g = sigmoid(W_g [d | c] + b_g)`.
pub(crate) struct Fusion {
    pub(crate) summary: Linear,
    pub(crate) gate: Linear,
}

impl Fusion {
    /// Lanes of scratch: mean, `[d | c]`, gate.
    pub(crate) fn n_scratch(&self) -> usize {
        4 * self.gate.n_lanes()
    }

    /// `x [n, lanes]` and one row `d` to one row `out`.
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        d: &[Lane],
        mut scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        let lanes = self.gate.n_lanes();
        let mean = take(&mut scratch, lanes);
        mean.fill(Lane::ZERO);
        x.chunks_exact(lanes).for_each(|row| kernels.add_lanes(row, mean));
        let n = (x.len() / lanes) as f32;
        mean.iter_mut().flat_map(|lane| &mut lane.0).for_each(|v| *v /= n);
        let both = take(&mut scratch, 2 * lanes);
        both[..lanes].copy_from_slice(d);
        self.summary.forward_lanes(kernels, mean, &mut both[lanes..]);
        kernels.relu(bytemuck::must_cast_slice_mut(&mut both[lanes..]));
        let gate = take(&mut scratch, lanes);
        self.gate.forward_lanes(kernels, both, gate);
        kernels.sigmoid(bytemuck::must_cast_slice_mut(gate));
        let (d, c) = both.split_at(lanes);
        for (i, out) in out.iter_mut().enumerate() {
            let mix = |j: usize| gate[i].0[j] * d[i].0[j] + (1.0 - gate[i].0[j]) * c[i].0[j];
            *out = Lane(core::array::from_fn(mix));
        }
    }
}
