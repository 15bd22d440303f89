//! The paper's form: encoders of their own for keys, values and queries, a decoder over all steps.

use super::contexts::Encoded;
use super::encoder::{Ffn, TemporalBlock};
use super::{Buffers, Job};
use crate::bundle::ContextMode;
use crate::kernels::Kernels;
use crate::layers::{Attention, Linear, Norm, Selection, take};
use crate::simd::{LANES, Lane};
use alloc::vec;

/// Smallest deviation of the Gaussian head.
const SIGMA_FLOOR: f64 = 1e-6;

/// Variable selection and temporal block.
pub(super) struct Encoder {
    pub(super) selection: Selection,
    pub(super) block: TemporalBlock,
}

/// The opened net.
pub(super) struct Separate {
    pub(super) mode: ContextMode,
    pub(super) key: Encoder,
    pub(super) value: Encoder,
    pub(super) query: Encoder,
    pub(super) self_attention: Attention,
    pub(super) self_ffn: Ffn,
    pub(super) cross_attention: Attention,
    pub(super) cross_ffn: Ffn,
    pub(super) cross_norm: Norm,
    pub(super) selection: Selection,
    pub(super) fuse: Ffn,
    pub(super) fuse_norm: Norm,
    pub(super) decoder: TemporalBlock,
    pub(super) head: Linear,
    pub(super) ptp: Option<Ptp>,
    pub(super) n_columns: usize,
}

/// The learned map from a distribution to a position.
pub(super) struct Ptp {
    pub(super) ffn: Ffn,
    /// Whether the second column is a raw deviation.
    pub(super) gaussian: bool,
}

impl Encoder {
    fn n_scratch(&self, rows: usize) -> usize {
        self.selection.n_scratch().max(self.block.n_scratch(rows))
    }

    /// All rows into `work.rows[1]`; `first` as for [`TemporalBlock::forward`].
    fn forward(&self, kernels: &Kernels, job: Job<'_>, first: usize, work: &mut Buffers) {
        let n = job.n_rows * self.selection.lanes;
        let weights = &mut work.weights[0][..job.n_rows * self.selection.weight_lanes()];
        let [selected, out, ..] = &mut work.rows;
        let context = self.selection.has_context().then_some(job.entity_row);
        let selected = &mut selected[..n];
        self.selection
            .forward(kernels, job.rows, context, &mut work.scratch, weights, selected);
        let entity = (job.entity, job.entity_row);
        self.block
            .forward(kernels, selected, entity, first, &mut work.scratch, &mut out[..n]);
    }
}

impl Separate {
    pub(super) fn n_scratch(&self, rows: usize, n_contexts: usize) -> usize {
        let lanes = self.selection.lanes;
        let many = rows.max(n_contexts);
        let attention = |a: &Attention| a.n_scratch(many, a.row_lanes());
        let encoders = [&self.key, &self.value, &self.query].map(|e| e.n_scratch(rows));
        let others = [
            self.selection.n_scratch(),
            self.decoder.n_scratch(rows),
            attention(&self.self_attention),
            attention(&self.cross_attention),
            many * lanes + self.self_ffn.n_scratch(many),
            many * lanes + self.cross_ffn.n_scratch(many),
            2 * rows * lanes + self.fuse.n_scratch(rows),
            2 + self
                .ptp
                .as_ref()
                .map_or(0, |p| p.ffn.n_scratch(1) + p.ffn.linear3.n_lanes()),
        ];
        let most = encoders.into_iter().chain(others).max().unwrap_or(0);
        most + 2 * n_contexts * self.self_attention.row_lanes()
    }

    /// Steps of a context that are attended to.
    pub(super) fn n_steps(&self, context_lookback: usize) -> usize {
        match self.mode {
            ContextMode::FinalState => 1,
            ContextMode::TimeEquivalent => context_lookback,
        }
    }

    /// The attended states of one context, `[steps, lanes]`.
    pub(super) fn encode(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        value: bool,
        work: &mut Buffers,
        out: &mut [Lane],
    ) {
        let first = job.n_rows - out.len() / self.selection.lanes;
        let encoder = if value { &self.value } else { &self.key };
        encoder.forward(kernels, job, first, work);
        let n = job.n_rows * self.selection.lanes;
        out.copy_from_slice(&work.rows[1][n - out.len()..n]);
    }

    /// Keys and values of the cross attention, step by step: `V' = FFN(Att(V, V, V))`; states `[steps, contexts, lanes]`.
    pub(super) fn mix(
        &self,
        kernels: &Kernels,
        keys: &[Lane],
        values: &[Lane],
        n_steps: usize,
        work: &mut Buffers,
    ) -> Encoded {
        let per_step = values.len() / n_steps;
        let n = per_step / self.selection.lanes;
        let mut mixed = vec![Lane::ZERO; values.len()];
        let mut weights = vec![0.0; n * self.self_attention.n_heads * n];
        for (v, mixed) in values
            .chunks_exact(per_step)
            .zip(mixed.chunks_exact_mut(per_step))
        {
            let mut scratch = &mut work.scratch[..];
            let per_row = self.self_attention.row_lanes();
            let (k_rows, v_rows) = (take(&mut scratch, n * per_row), take(&mut scratch, n * per_row));
            self.self_attention.project(kernels, v, v, k_rows, v_rows);
            let seen = self.self_attention.keys(k_rows, v_rows, n);
            self.self_attention
                .forward(kernels, v, |_| seen, &mut weights, scratch, mixed);
            let y = take(&mut scratch, per_step);
            y.copy_from_slice(mixed);
            self.self_ffn.forward(kernels, y, &[], scratch, mixed);
        }
        Encoded::new(kernels, &self.cross_attention, keys, &mixed, n_steps)
    }

    /// The answer of one window.
    pub(super) fn run(&self, kernels: &Kernels, job: Job<'_>, contexts: &Encoded, work: &mut Buffers) {
        let (lanes, rows) = (self.selection.lanes, job.n_rows);
        let n = rows * lanes;
        self.query.forward(kernels, job, 0, work);
        self.attend(kernels, contexts, rows, work);
        let context = self.selection.has_context().then_some(job.entity_row);
        let [selected, queries, attended, ..] = &mut work.rows;
        let weights = &mut work.weights[1][..rows * self.selection.weight_lanes()];
        let selected = &mut selected[..n];
        self.selection
            .forward(kernels, job.rows, context, &mut work.scratch, weights, selected);
        let mut scratch = &mut work.scratch[..];
        let both = take(&mut scratch, 2 * n);
        let pairs = selected
            .chunks_exact(lanes)
            .zip(attended[..n].chunks_exact(lanes));
        for (both, (x, o)) in both.chunks_exact_mut(2 * lanes).zip(pairs) {
            both[..lanes].copy_from_slice(x);
            both[lanes..].copy_from_slice(o);
        }
        let fused = selected;
        self.fuse.forward(kernels, both, job.entity_row, scratch, fused);
        self.fuse_norm.forward(kernels, fused);
        let entity = (job.entity, job.entity_row);
        let states = &mut queries[..n];
        self.decoder
            .forward(kernels, fused, entity, rows - 1, &mut work.scratch, states);
        self.head.forward_lanes(
            kernels,
            &states[n - lanes..],
            &mut work.pair[..self.head.n_lanes()],
        );
        self.place(kernels, work);
    }

    /// `o_t = LN(FFN(Att(q_t, K, V')))` of every step into `work.rows[2]`.
    fn attend(&self, kernels: &Kernels, contexts: &Encoded, rows: usize, work: &mut Buffers) {
        let lanes = self.selection.lanes;
        let n = rows * lanes;
        let [_, queries, attended, ..] = &mut work.rows;
        let (queries, attended) = (&queries[..n], &mut attended[..n]);
        let seen =
            |t: usize| contexts.of_step(&self.cross_attention, if contexts.n_steps == 1 { 0 } else { t });
        let weights = &mut work.attention[..rows * self.cross_attention.n_heads * contexts.n];
        self.cross_attention
            .forward(kernels, queries, seen, weights, &mut work.scratch, attended);
        let mut scratch = &mut work.scratch[..];
        let y = take(&mut scratch, n);
        y.copy_from_slice(attended);
        self.cross_ffn.forward(kernels, y, &[], scratch, attended);
        self.cross_norm.forward(kernels, attended);
    }

    /// Position first, the distribution's columns behind it.
    fn place(&self, kernels: &Kernels, work: &mut Buffers) {
        let columns: &[f32] = bytemuck::must_cast_slice(&work.pair);
        let head: &mut [f32] = bytemuck::must_cast_slice_mut(&mut work.head);
        let Some(ptp) = &self.ptp else {
            head[0] = columns[0];
            return;
        };
        let n = self.n_columns - 1;
        head[1..=n].copy_from_slice(&columns[..n]);
        let mut scratch = &mut work.scratch[..];
        let answer = take(&mut scratch, ptp.ffn.linear3.n_lanes());
        if ptp.gaussian {
            let raw = f64::from(columns[1]);
            let sigma = if raw > 20.0 {
                raw
            } else {
                libm::log1p(libm::exp(raw))
            } + SIGMA_FLOOR;
            bytemuck::must_cast_slice_mut::<Lane, f32>(&mut work.pair)[1] = sigma as f32;
        }
        let n_lanes = n.div_ceil(LANES);
        ptp.ffn
            .forward(kernels, &work.pair[..n_lanes], &[], scratch, answer);
        work.head[0].0[0] = answer[0].0[0];
    }
}
