//! Attention, folded: the query's matrix with the keys', the values' with the output's.
//!
//! Scores are `u_h . k_t` with `u_h = W_kh^T (W_qh x + b_qh) / sqrt(d)`, where a key's bias adds the same to every score
//! and drops out. The weighted sums are taken over the rows themselves, and since the weights of a head add up to one,
//! value and output matrices follow once per query: `W_o [W_v1 s_1 | W_v2 s_2 ...] + b`. With a shared value head and a
//! mean over heads (interpretable attention) the sums are added first.

use super::{Linear, take};
use crate::kernels::{Kernels, Keys};
use crate::simd::Lane;

/// Query and output sides; keys and values are rows.
pub(crate) struct Attention {
    /// `[heads * lanes of a key]` outputs.
    pub(crate) query: Linear,
    pub(crate) output: Linear,
    pub(crate) n_heads: usize,
    /// Whether the heads' sums are added before `output`.
    pub(crate) shared: bool,
}

impl Attention {
    /// Lanes of scratch for `n_queries` and values of `value_lanes` lanes.
    pub(crate) fn n_scratch(&self, n_queries: usize, value_lanes: usize) -> usize {
        n_queries * (self.query.n_lanes() + self.n_heads * value_lanes)
    }

    /// Query rows `x [q, lanes]` to `out [q, lanes]`; `rows(i)` is what query i attends to, all with the same number of
    /// rows; `weights [q, heads, n]`.
    pub(crate) fn forward<'k>(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        rows: impl Fn(usize) -> Keys<'k>,
        weights: &mut [f32],
        mut scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        let n_queries = out.len() / self.output.n_lanes();
        let first = rows(0);
        let (n, lanes) = (first.n, first.values.len() / first.n);
        let u = take(&mut scratch, n_queries * self.query.n_lanes());
        self.query.forward_lanes(kernels, x, u);
        let kept = if self.shared { lanes } else { self.n_heads * lanes };
        let sums = take(&mut scratch, n_queries * self.n_heads * lanes);
        let each = u
            .chunks_exact(self.query.n_lanes())
            .zip(weights.chunks_exact_mut(self.n_heads * n));
        for (i, (u, weights)) in each.enumerate() {
            // Sums of earlier queries keep the front; this one's heads fit behind them.
            let own = &mut sums[i * kept..][..self.n_heads * lanes];
            kernels.attend(u, rows(i), weights, own);
            if self.shared {
                let (first, others) = own.split_at_mut(lanes);
                for other in others.chunks_exact(lanes) {
                    kernels.add_lanes(other, first);
                }
            }
        }
        self.output.forward_lanes(kernels, &sums[..n_queries * kept], out);
    }
}
