//! What both forms of X-Trend are made of: feed-forward layers with an entity's share, the temporal block.

use crate::bundle::View;
use crate::kernels::Kernels;
use crate::layers::{Linear, LstmStack, Norm, take};
use crate::simd::{LANES, Lane};

/// `W3 elu(W1 x + W2 e + b1) + b3`; without an entity the middle term is absent.
pub(super) struct Ffn {
    pub(super) linear1: Linear,
    /// Of the entity's vector, with `linear1`'s bias as its own.
    pub(super) entity: Option<Linear>,
    pub(super) linear3: Linear,
}

impl Ffn {
    /// Lanes of scratch for `n` rows.
    pub(super) fn n_scratch(&self, n: usize) -> usize {
        (n + 1) * self.linear1.n_lanes()
    }

    /// Rows of whole lanes to rows of whole lanes.
    pub(super) fn forward(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        entity: &[Lane],
        mut scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        let lanes = self.linear1.n_lanes();
        let n = out.len() / self.linear3.n_lanes();
        let bias = take(&mut scratch, lanes);
        match &self.entity {
            Some(layer) => layer.forward_lanes(kernels, entity, bias),
            None => bias.copy_from_slice(&self.linear1.bias),
        }
        let hidden = take(&mut scratch, n * lanes);
        let stride = x.len() / n * LANES;
        self.linear1
            .forward_from(kernels, bias, bytemuck::must_cast_slice(x), stride, hidden);
        kernels.elu(bytemuck::must_cast_slice_mut(hidden));
        self.linear3.forward_lanes(kernels, hidden, out);
    }
}

/// An LSTM whose state starts as the entity says.
pub(super) struct EntityLstm {
    /// `[entities, layers, 2, lanes]`: outputs and cells; without an entity the state starts as zero.
    pub(super) states: Option<View<Lane>>,
    pub(super) stack: LstmStack,
}

impl EntityLstm {
    /// Lanes of a state.
    pub(super) fn n_state(&self) -> usize {
        self.stack.n_state()
    }

    /// The state before the first row, of as many windows as `state` has room for.
    pub(super) fn start(&self, entity: usize, state: &mut [Lane]) {
        let Some(states) = &self.states else {
            state.fill(Lane::ZERO);
            return;
        };
        let (n, lanes) = (self.n_state(), self.stack.n_gates());
        let from = states[entity * n..][..n].chunks_exact(lanes);
        for (to, from) in state.chunks_exact_mut(state.len() / n * lanes).zip(from) {
            to.chunks_exact_mut(lanes).for_each(|to| to.copy_from_slice(from));
        }
    }
}

/// `a = LN(LSTM(x) + x)`, `LN(FFN(a, e) + a)`.
pub(super) struct TemporalBlock {
    pub(super) lstm: EntityLstm,
    pub(super) norm1: Norm,
    pub(super) ffn: Ffn,
    pub(super) norm2: Norm,
}

impl TemporalBlock {
    /// Lanes of scratch for `n` rows.
    pub(super) fn n_scratch(&self, n: usize) -> usize {
        let ffn = n * self.norm2.n_lanes() + self.ffn.n_scratch(n);
        self.lstm.stack.n_scratch(n).max(ffn)
    }

    /// Outputs of the LSTM for rows `x` become those of the block.
    pub(super) fn finish(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        entity_row: &[Lane],
        mut scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        kernels.add_norm_rows(self.norm1.weights(), x, out);
        let y = take(&mut scratch, out.len());
        self.ffn.forward(kernels, out, entity_row, scratch, y);
        kernels.add_norm_rows(self.norm2.weights(), y, out);
    }
}

/// Rows of the first, `lanes` wide, each with its row of the second behind it.
pub(super) fn join([first, second]: [&[Lane]; 2], lanes: usize, out: &mut [Lane]) {
    let width = second.len() * lanes / first.len();
    let rows = first.chunks_exact(lanes).zip(second.chunks_exact(width));
    for (out, (first, second)) in out.chunks_exact_mut(lanes + width).zip(rows) {
        out[..lanes].copy_from_slice(first);
        out[lanes..].copy_from_slice(second);
    }
}
