//! Gated residual networks, folded: `out = LN(skip + a * sigmoid(g))`, `[a | g] = W2 elu(W1 x + C c + b1) + b2`.
//!
//! `W2` is the product of the network's second layer and its gated linear unit (dropout is off). Rows are worked on in
//! slices that stay in the first-level cache.

use super::{GateNorm, Linear, Norm, take};
use crate::kernels::{Gated, Kernels, LINEAR_ROWS};
use crate::simd::{LANES, Lane};

/// Rows that a network takes at a time.
pub(crate) const SLICE: usize = 4 * LINEAR_ROWS;

/// The network between equal widths, its skip the input itself.
pub(crate) struct Grn {
    pub(crate) fc1: Linear,
    pub(crate) context: Option<Linear>,
    pub(crate) out: GateNorm,
}

impl Grn {
    /// Lanes of scratch.
    pub(crate) fn n_scratch(&self) -> usize {
        let hidden = self.fc1.n_lanes();
        hidden + SLICE * (hidden + self.out.glu.n_lanes())
    }

    /// `x [n, lanes]` to `out [n, lanes]`; `context`: one row for all of them.
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        context: Option<&[Lane]>,
        mut scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        let lanes = self.out.norm.n_lanes();
        let bias = take(&mut scratch, self.fc1.n_lanes());
        self.bias(kernels, context, bias);
        for (x, out) in x.chunks(SLICE * lanes).zip(out.chunks_mut(SLICE * lanes)) {
            let n = out.len() / lanes;
            let (hidden, gated) = scratch.split_at_mut(n * self.fc1.n_lanes());
            let x_floats: &[f32] = bytemuck::must_cast_slice(x);
            self.fc1
                .forward_from(kernels, bias, x_floats, lanes * LANES, hidden);
            kernels.elu(bytemuck::must_cast_slice_mut(hidden));
            out.copy_from_slice(x);
            let gated = &mut gated[..n * self.out.glu.n_lanes()];
            self.out.forward(kernels, hidden, gated, out);
        }
    }

    /// The first layer's bias with the context's share.
    fn bias(&self, kernels: &Kernels, context: Option<&[Lane]>, bias: &mut [Lane]) {
        match (&self.context, context) {
            (Some(layer), Some(context)) => layer.forward_lanes(kernels, context, bias),
            _ => bias.copy_from_slice(&self.fc1.bias),
        }
    }
}

/// Seed 003's form: `LN(x + sigmoid(Wg x + bg) * (W2 elu(W1 x + b1) + b2))`; the gate reads the input.
pub(crate) struct InputGatedGrn {
    pub(crate) fc1: Linear,
    pub(crate) fc2: Linear,
    pub(crate) gate: Linear,
    pub(crate) norm: Norm,
}

impl InputGatedGrn {
    /// Lanes of scratch.
    pub(crate) fn n_scratch(&self) -> usize {
        SLICE * 3 * self.norm.n_lanes()
    }

    /// `x [n, lanes]` in place.
    pub(crate) fn forward(&self, kernels: &Kernels, x: &mut [Lane], scratch: &mut [Lane]) {
        let lanes = self.norm.n_lanes();
        for x in x.chunks_mut(SLICE * lanes) {
            let (hidden, rest) = scratch.split_at_mut(x.len());
            let (value, rest) = rest.split_at_mut(x.len());
            let gate = &mut rest[..x.len()];
            self.fc1.forward_lanes(kernels, x, hidden);
            kernels.elu(bytemuck::must_cast_slice_mut(hidden));
            self.fc2.forward_lanes(kernels, hidden, value);
            self.gate.forward_lanes(kernels, x, gate);
            let gated = Gated {
                value,
                gate,
                stride: lanes,
            };
            kernels.gate_norm_rows(self.norm.weights(), gated, x);
        }
    }
}
