//! Layer norm, alone and behind a gated linear unit.

use super::Linear;
use crate::bundle::View;
use crate::kernels::{Gated, Kernels, NormWeights};
use crate::simd::Lane;

/// Gain and shift of a layer norm.
pub(crate) struct Norm {
    pub(crate) gain: View<Lane>,
    pub(crate) shift: View<Lane>,
    pub(crate) width: usize,
    pub(crate) eps: f32,
}

impl Norm {
    /// Lanes of a row.
    pub(crate) fn n_lanes(&self) -> usize {
        self.gain.len()
    }

    pub(crate) fn weights(&self) -> NormWeights<'_> {
        NormWeights {
            gain: &self.gain,
            shift: &self.shift,
            width: self.width,
            eps: self.eps,
        }
    }

    /// Rows in place.
    pub(crate) fn forward(&self, kernels: &Kernels, x: &mut [Lane]) {
        kernels.norm_rows(self.weights(), x);
    }
}

/// `LN(GLU(x) + skip)`: `[a | g] = W x + b`, value half first.
pub(crate) struct GateNorm {
    pub(crate) glu: Linear,
    pub(crate) norm: Norm,
}

impl GateNorm {
    /// `x [n, lanes in]`; `out [n, lanes]` holds the skip; `gated [n, 2, lanes]` is scratch.
    pub(crate) fn forward(&self, kernels: &Kernels, x: &[Lane], gated: &mut [Lane], out: &mut [Lane]) {
        self.glu.forward_lanes(kernels, x, gated);
        let halves = Gated::halves(gated, self.norm.n_lanes());
        kernels.gate_norm_rows(self.norm.weights(), halves, out);
    }
}
