//! Attention in two forms that give the same answer.
//!
//! *Folded*, for few queries: the query's matrix with the keys', `u_h = W_kh^T (W_qh x + b_qh) / sqrt(d)`, so that scores
//! are products with the rows themselves (a key's bias adds the same to every score and drops out); the weighted sums are
//! taken over the rows themselves, and since the weights of a head add up to one, value and output matrices follow once
//! per query. With a shared value head and a mean over heads (interpretable attention) the sums are added first.
//! *Projected*, for many queries or rows that stay: keys and values of every row are computed once.

use super::{Linear, take};
use crate::kernels::{Kernels, Keys};
use crate::simd::Lane;

/// Query and output sides, and those of the rows in the projected form.
pub(crate) struct Attention {
    /// Folded: `[heads, lanes of a row]` outputs; projected: `[heads, lanes of a head]`.
    pub(crate) query: Linear,
    /// Keys and values `[heads, lanes of a head]` of the projected form.
    pub(crate) rows: Option<[Linear; 2]>,
    pub(crate) output: Linear,
    pub(crate) n_heads: usize,
    /// Whether the heads' sums are added before `output`.
    pub(crate) shared: bool,
}

impl Attention {
    /// Lanes of a head's sum over values of `value_lanes` lanes per row.
    fn sum_lanes(&self, value_lanes: usize) -> usize {
        match &self.rows {
            Some(_) => value_lanes / self.n_heads,
            None => value_lanes,
        }
    }

    /// Lanes of scratch for `n_queries` and values of `value_lanes` lanes per row.
    pub(crate) fn n_scratch(&self, n_queries: usize, value_lanes: usize) -> usize {
        let sums = self.n_heads * self.sum_lanes(value_lanes);
        n_queries * (self.query.n_lanes() + sums)
    }

    /// Lanes of a row's keys, and of its values, in the projected form.
    pub(crate) fn row_lanes(&self) -> usize {
        self.rows.as_ref().map_or(0, |[keys, _]| keys.n_lanes())
    }

    /// Keys of `x [n, lanes]` and values of `y [n, lanes]`: the projected form's rows.
    pub(crate) fn project(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        y: &[Lane],
        keys: &mut [Lane],
        values: &mut [Lane],
    ) {
        if let Some([key, value]) = &self.rows {
            key.forward_lanes(kernels, x, keys);
            value.forward_lanes(kernels, y, values);
        }
    }

    /// What a query attends to: rows as they are (folded) or projected ones, all visible.
    pub(crate) fn keys<'k>(&self, keys: &'k [Lane], values: &'k [Lane], n: usize) -> Keys<'k> {
        Keys {
            keys,
            key_stride: keys.len() / n,
            values,
            value_stride: values.len() / n,
            head_step: self.row_lanes() / self.n_heads,
            n,
            visible: n,
        }
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
        let lanes = self.sum_lanes(first.value_stride);
        let u = take(&mut scratch, n_queries * self.query.n_lanes());
        self.query.forward_lanes(kernels, x, u);
        let kept = if self.shared { lanes } else { self.n_heads * lanes };
        let sums = take(&mut scratch, n_queries * self.n_heads * lanes);
        let each = u
            .chunks_exact(self.query.n_lanes())
            .zip(weights.chunks_exact_mut(self.n_heads * first.n));
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
