//! The paper's form: encoders of their own for keys, values and queries, a decoder over all steps.

use super::contexts::Encoded;
use super::encoder::{Ffn, TemporalBlock, join};
use super::side_by_side::{STEPS, Side};
use super::{Buffers, Job};
use crate::bundle::ContextMode;
use crate::kernels::{Kernels, MAX_BATCH};
use crate::layers::{Attention, Linear, Norm, Selection, take};
use crate::nets::terms::{Neighbours, RowTerms};
use crate::simd::{LANES, Lane};
use alloc::vec;
use core::ops::Range;

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

    /// Some rows into `work.rows[1]`, of which those from `first` on are finished.
    fn advance(&self, kernels: &Kernels, job: Job<'_>, part: Range<usize>, first: usize, work: &mut Buffers) {
        let (lanes, width) = (self.selection.lanes, self.selection.weight_lanes());
        let weights = &mut work.weights[0][part.start * width..part.end * width];
        let [selected, out, ..] = &mut work.rows;
        let [selected, out] = [selected, out].map(|x| &mut x[part.start * lanes..part.end * lanes]);
        let context = self.selection.has_context().then_some(job.entity_row);
        let rows = job.rows.from(part.start);
        self.selection
            .forward(kernels, rows, context, &mut work.scratch, weights, selected);
        let state = &mut work.states[0];
        self.block
            .lstm
            .stack
            .forward(kernels, selected, state, &mut work.scratch, out);
        let from = first.saturating_sub(part.start) * lanes;
        let (x, out) = (&selected[from..], &mut out[from..]);
        self.block
            .finish(kernels, x, job.entity_row, &mut work.scratch, out);
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
        encoder.block.lstm.start(job.entity, &mut work.states[0]);
        encoder.advance(kernels, job, 0..job.n_rows, first, work);
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

    /// The states before the first row.
    pub(super) fn start(&self, entity: usize, work: &mut Buffers) {
        let [query, decoder] = &mut work.states;
        self.query.block.lstm.start(entity, query);
        self.decoder.lstm.start(entity, decoder);
    }

    /// Some rows up to the decoder's LSTM.
    pub(super) fn advance(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        contexts: &Encoded,
        part: Range<usize>,
        work: &mut Buffers,
    ) {
        if part.is_empty() {
            return;
        }
        self.query.advance(kernels, job, part.clone(), 0, work);
        let (lanes, width) = (self.selection.lanes, self.selection.weight_lanes());
        let weights = &mut work.weights[1][part.start * width..part.end * width];
        let selected = &mut work.rows[0][part.start * lanes..part.end * lanes];
        let context = self.selection.has_context().then_some(job.entity_row);
        let rows = job.rows.from(part.start);
        self.selection
            .forward(kernels, rows, context, &mut work.scratch, weights, selected);
        self.decode(kernels, job, contexts, part, work);
    }

    /// The terms of rows.
    pub(super) fn add_terms(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        places: Range<usize>,
        terms: &mut RowTerms,
        scratch: &mut [Lane],
    ) {
        let lanes = self.selection.lanes;
        for (selection, selected) in [&self.query.selection, &self.selection]
            .into_iter()
            .zip(&mut terms.selected)
        {
            let width = selection.weight_lanes();
            let context = selection.has_context().then_some(job.entity_row);
            let weights = &mut terms.weights[places.start * width..places.end * width];
            let selected = &mut selected[places.start * lanes..places.end * lanes];
            selection.forward(kernels, job.rows, context, scratch, weights, selected);
        }
        let blocks = self.query.block.lstm.stack.n_gates();
        let selected = &terms.selected[0][places.start * lanes..places.end * lanes];
        let gates = &mut terms.gates[places.start * blocks..places.end * blocks];
        self.query.block.lstm.stack.project(kernels, selected, gates);
    }

    /// [`Separate::advance`] of rows whose terms lie from `place` on.
    pub(super) fn follow(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        contexts: &Encoded,
        (terms, place): (&mut RowTerms, usize),
        part: Range<usize>,
        work: &mut Buffers,
    ) {
        let lanes = self.selection.lanes;
        let (lanes, places) = (part.start * lanes..part.end * lanes, place..place + part.len());
        let out = &mut work.rows[1][lanes.clone()];
        let (state, scratch) = (&mut work.states[0], &mut work.scratch);
        let block = &self.query.block;
        let gates = terms.gates_of(places.clone());
        block.lstm.stack.advance(kernels, gates, state, scratch, out, 1);
        let x = terms.selected_of(0, places.clone());
        block.finish(kernels, x, job.entity_row, scratch, out);
        work.rows[0][lanes].copy_from_slice(terms.selected_of(1, places));
        self.decode(kernels, job, contexts, part, work);
    }

    /// Rows behind the query's encoder up to the decoder's LSTM; `work.rows[0]` holds the decoder's selection.
    fn decode(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        contexts: &Encoded,
        part: Range<usize>,
        work: &mut Buffers,
    ) {
        let lanes = self.selection.lanes;
        let [fused, states, attended] = &mut work.rows;
        let [fused, states, attended] =
            [fused, states, attended].map(|x| &mut x[part.start * lanes..part.end * lanes]);
        let per_row = self.cross_attention.n_heads * contexts.n;
        let weights = &mut work.attention[part.start * per_row..part.end * per_row];
        let step = |t: usize| part.start + t;
        self.attend(
            kernels,
            contexts,
            step,
            states,
            weights,
            &mut work.scratch,
            attended,
        );
        self.fuse(kernels, job, attended, &mut work.scratch, fused);
        let state = &mut work.states[1];
        self.decoder
            .lstm
            .stack
            .forward(kernels, fused, state, &mut work.scratch, states);
    }

    /// `LN(FFN([x | o], e))` of rows `x` in place.
    fn fuse(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        attended: &[Lane],
        mut scratch: &mut [Lane],
        x: &mut [Lane],
    ) {
        let both = take(&mut scratch, 2 * x.len());
        join([x, attended], self.selection.lanes, both);
        self.fuse.forward(kernels, both, job.entity_row, scratch, x);
        self.fuse_norm.forward(kernels, x);
    }

    /// The answer of a window whose rows were run. The LSTM's last output stays, so that the last row may be run again.
    pub(super) fn answer(&self, kernels: &Kernels, job: Job<'_>, work: &mut Buffers) {
        let lanes = self.selection.lanes;
        let last = (job.n_rows - 1) * lanes..job.n_rows * lanes;
        let [fused, states, _] = &mut work.rows;
        let (fused, state) = (&fused[last.clone()], &mut states[last]);
        let Buffers {
            pair, scratch, head, ..
        } = work;
        self.answer_row(kernels, job, fused, state, [pair, scratch, head]);
    }

    /// The head values of one window from its last row, of which the decoder's LSTM made `state`.
    fn answer_row(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        fused: &[Lane],
        state: &mut [Lane],
        [pair, scratch, head]: [&mut [Lane]; 3],
    ) {
        self.decoder
            .finish(kernels, fused, job.entity_row, scratch, state);
        self.head
            .forward_lanes(kernels, state, &mut pair[..self.head.n_lanes()]);
        self.place(kernels, pair, scratch, head);
    }

    /// `o_t = LN(FFN(Att(q_t, K, V')))` of rows, the i-th of which is `step(i)` of its window.
    fn attend(
        &self,
        kernels: &Kernels,
        contexts: &Encoded,
        step: impl Fn(usize) -> usize,
        queries: &[Lane],
        weights: &mut [f32],
        mut scratch: &mut [Lane],
        attended: &mut [Lane],
    ) {
        let step = |i: usize| if contexts.n_steps == 1 { 0 } else { step(i) };
        let seen = |i: usize| contexts.of_step(&self.cross_attention, step(i));
        self.cross_attention
            .forward(kernels, queries, seen, weights, scratch, attended);
        let y = take(&mut scratch, attended.len());
        y.copy_from_slice(attended);
        self.cross_ffn.forward(kernels, y, &[], scratch, attended);
        self.cross_norm.forward(kernels, attended);
    }

    /// Position first, the distribution's columns behind it.
    fn place(&self, kernels: &Kernels, pair: &mut [Lane], mut scratch: &mut [Lane], head: &mut [Lane]) {
        let columns: &[f32] = bytemuck::must_cast_slice(pair);
        let out: &mut [f32] = bytemuck::must_cast_slice_mut(head);
        let Some(ptp) = &self.ptp else {
            out[0] = columns[0];
            return;
        };
        let n = self.n_columns - 1;
        out[1..=n].copy_from_slice(&columns[..n]);
        let answer = take(&mut scratch, ptp.ffn.linear3.n_lanes());
        if ptp.gaussian {
            let raw = f64::from(columns[1]);
            let sigma = if raw > 20.0 {
                raw
            } else {
                libm::log1p(libm::exp(raw))
            } + SIGMA_FLOOR;
            bytemuck::must_cast_slice_mut::<Lane, f32>(pair)[1] = sigma as f32;
        }
        let n_lanes = n.div_ceil(LANES);
        ptp.ffn.forward(kernels, &pair[..n_lanes], &[], scratch, answer);
        head[0].0[0] = answer[0].0[0];
    }

    /// Lanes of scratch for `n_rows` of windows side by side.
    pub(super) fn n_scratch_side_by_side(&self, n_rows: usize, n_contexts: usize) -> usize {
        let stacks = [&self.query.block.lstm.stack, &self.decoder.lstm.stack];
        let stacks = stacks.map(|s| s.n_scratch_side_by_side(n_rows, MAX_BATCH));
        self.n_scratch(n_rows, n_contexts).max(stacks[0]).max(stacks[1])
    }

    /// Windows side by side, from the same states, to head values `[windows, output lanes]`.
    pub(super) fn run_side_by_side(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        contexts: &Encoded,
        terms: &mut RowTerms,
        windows: Neighbours,
        work: &mut Side,
    ) {
        let lstms = [&self.query.block.lstm, &self.decoder.lstm];
        for (lstm, states) in lstms.into_iter().zip(&mut work.states) {
            lstm.start(job.entity, &mut states[..windows.n * lstm.n_state()]);
        }
        for t in (0..job.n_rows).step_by(STEPS) {
            let steps = t..job.n_rows.min(t + STEPS);
            self.run_round(kernels, job, contexts, terms, windows, steps, work);
        }
        let (lanes, width) = (self.selection.lanes, work.head.len() / MAX_BATCH);
        let last = (job.n_rows - 1) % STEPS * windows.n * lanes..;
        let [fused, states, ..] = &mut work.rows;
        let rows = fused[last.clone()].chunks_exact(lanes);
        let rows = rows.zip(states[last].chunks_exact_mut(lanes));
        let heads = work.head.chunks_exact_mut(width);
        for ((fused, state), head) in rows.zip(heads).take(windows.n) {
            let buffers = [&mut work.pair[..], &mut work.scratch[..], head];
            self.answer_row(kernels, job, fused, state, buffers);
        }
    }

    /// Some steps of all windows up to the decoder's LSTM.
    fn run_round(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        contexts: &Encoded,
        terms: &mut RowTerms,
        windows: Neighbours,
        steps: Range<usize>,
        work: &mut Side,
    ) {
        let n = windows.n * self.selection.lanes;
        let Side {
            states: [query, decoder],
            gathered,
            rows,
            attention,
            scratch,
            ..
        } = work;
        let [x, out, attended] = rows.each_mut().map(|x| &mut x[..steps.len() * n]);
        let block = &self.query.block;
        let query = &mut query[..windows.n * block.lstm.n_state()];
        for (t, (x, out)) in steps
            .clone()
            .zip(x.chunks_exact_mut(n).zip(out.chunks_exact_mut(n)))
        {
            windows.selected(terms, 0, t, x);
            let gates = windows.gates(terms, t, gathered);
            block
                .lstm
                .stack
                .advance(kernels, gates, query, scratch, out, windows.n);
        }
        block.finish(kernels, x, job.entity_row, scratch, out);
        let per_row = self.cross_attention.n_heads * contexts.n;
        let weights = &mut attention[..steps.len() * windows.n * per_row];
        let step = |i: usize| steps.start + i / windows.n;
        self.attend(kernels, contexts, step, out, weights, scratch, attended);
        for (t, x) in steps.clone().zip(x.chunks_exact_mut(n)) {
            windows.selected(terms, 1, t, x);
        }
        self.fuse(kernels, job, attended, scratch, x);
        let decoder = &mut decoder[..windows.n * self.decoder.lstm.n_state()];
        self.decoder
            .lstm
            .stack
            .forward_side_by_side(kernels, x, decoder, scratch, out, windows.n);
    }
}
