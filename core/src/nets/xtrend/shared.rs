//! Seed 002's form: one encoder for target and contexts, only the last target step is predicted.

use super::contexts::Encoded;
use super::encoder::{EntityLstm, join};
use super::side_by_side::Side;
use super::{Buffers, Job};
use crate::bundle::XtrendHead;
use crate::kernels::{Kernels, MAX_BATCH};
use crate::layers::{Attention, Linear, Norm, Selection, take};
use crate::nets::terms::{Neighbours, RowTerms};
use crate::simd::{LANES, Lane};
use core::ops::Range;

/// Smallest deviation of a Gaussian position.
const SIGMA_FLOOR: f64 = 1e-6;

/// The opened net.
pub(super) struct Shared {
    pub(super) selection: Selection,
    pub(super) lstm: EntityLstm,
    pub(super) lstm_norm: Norm,
    pub(super) self_attention: Attention,
    pub(super) norm1: Norm,
    pub(super) cross_attention: Attention,
    pub(super) norm2: Norm,
    pub(super) decoder: Linear,
    pub(super) decoder_norm: Norm,
    pub(super) position: Linear,
    /// Of `[decoded | position's hidden layer]` to position, mean and logarithm of the deviation.
    pub(super) output: Linear,
    pub(super) head: XtrendHead,
}

impl Shared {
    pub(super) fn n_scratch(&self, rows: usize, n_contexts: usize) -> usize {
        let attention = self
            .self_attention
            .n_scratch(n_contexts, self.self_attention.row_lanes());
        [
            self.selection.n_scratch(),
            self.lstm.stack.n_scratch(rows),
            attention,
            self.n_answer_scratch(1),
        ]
        .into_iter()
        .max()
        .unwrap_or(0)
            + 2 * n_contexts * self.self_attention.row_lanes()
    }

    /// Lanes of scratch for the answers of `n` windows.
    fn n_answer_scratch(&self, n: usize) -> usize {
        let rows = 5 * self.selection.lanes + 2 * self.position.n_lanes();
        let attention = &self.cross_attention;
        n * rows + attention.n_scratch(n, attention.row_lanes())
    }

    /// Lanes of scratch for windows side by side.
    pub(super) fn n_scratch_side_by_side(&self) -> usize {
        let lstm = self.lstm.stack.n_scratch_side_by_side(MAX_BATCH, MAX_BATCH);
        lstm.max(self.n_answer_scratch(MAX_BATCH))
    }

    /// The normalised last state of a series.
    pub(super) fn encode(&self, kernels: &Kernels, job: Job<'_>, work: &mut Buffers, out: &mut [Lane]) {
        self.lstm.start(job.entity, &mut work.states[0]);
        self.advance(kernels, job, 0..job.n_rows, work);
        self.last_state(kernels, job, work, out);
    }

    /// Some rows through selection and LSTM.
    pub(super) fn advance(&self, kernels: &Kernels, job: Job<'_>, part: Range<usize>, work: &mut Buffers) {
        if part.is_empty() {
            return;
        }
        let (lanes, width) = (self.selection.lanes, self.selection.weight_lanes());
        let weights = &mut work.weights[0][part.start * width..part.end * width];
        let [selected, states, _] = &mut work.rows;
        let [selected, states] = [selected, states].map(|x| &mut x[part.start * lanes..part.end * lanes]);
        let (rows, entity) = (job.rows.from(part.start), Some(job.entity_row));
        self.selection
            .forward(kernels, rows, entity, &mut work.scratch, weights, selected);
        let state = &mut work.states[0];
        self.lstm
            .stack
            .forward(kernels, selected, state, &mut work.scratch, states);
    }

    fn last_state(&self, kernels: &Kernels, job: Job<'_>, work: &Buffers, out: &mut [Lane]) {
        let lanes = self.selection.lanes;
        out.copy_from_slice(&work.rows[1][(job.n_rows - 1) * lanes..job.n_rows * lanes]);
        self.lstm_norm.forward(kernels, out);
    }

    /// Keys and values of the cross attention from the contexts' last states, `norm1(V + SelfAtt(V, V, V))`.
    pub(super) fn mix(&self, kernels: &Kernels, states: &[Lane], work: &mut Buffers) -> Encoded {
        let lanes = self.selection.lanes;
        let n = states.len() / lanes;
        let mut scratch = &mut work.scratch[..];
        let per_row = self.self_attention.row_lanes();
        let (keys, values) = (take(&mut scratch, n * per_row), take(&mut scratch, n * per_row));
        self.self_attention.project(kernels, states, states, keys, values);
        let seen = self.self_attention.keys(keys, values, n);
        let mut weights = alloc::vec![0.0; n * self.self_attention.n_heads * n];
        let mut mixed = alloc::vec![Lane::ZERO; states.len()];
        self.self_attention
            .forward(kernels, states, |_| seen, &mut weights, scratch, &mut mixed);
        kernels.add_norm_rows(self.norm1.weights(), states, &mut mixed);
        Encoded::new(kernels, &self.cross_attention, states, &mixed, 1)
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
        let (lanes, width) = (self.selection.lanes, self.selection.weight_lanes());
        let (stack, entity) = (&self.lstm.stack, Some(job.entity_row));
        let weights = &mut terms.weights[places.start * width..places.end * width];
        let selected = &mut terms.selected[0][places.start * lanes..places.end * lanes];
        self.selection
            .forward(kernels, job.rows, entity, scratch, weights, selected);
        let gates = &mut terms.gates[places.start * stack.n_gates()..places.end * stack.n_gates()];
        stack.project(kernels, selected, gates);
    }

    /// Some rows whose terms lie from `place` on, through the LSTM.
    pub(super) fn follow(
        &self,
        kernels: &Kernels,
        terms: &mut RowTerms,
        part: Range<usize>,
        place: usize,
        work: &mut Buffers,
    ) {
        let lanes = self.selection.lanes;
        let states = &mut work.rows[1][part.start * lanes..part.end * lanes];
        let gates = terms.gates_of(place..place + part.len());
        let (state, scratch) = (&mut work.states[0], &mut work.scratch);
        self.lstm.stack.advance(kernels, gates, state, scratch, states, 1);
    }

    /// The answer of a window whose rows were run.
    pub(super) fn answer(&self, kernels: &Kernels, job: Job<'_>, contexts: &Encoded, work: &mut Buffers) {
        let lanes = self.selection.lanes;
        let (query, _) = work.pair.split_at_mut(lanes);
        query.copy_from_slice(&work.rows[1][(job.n_rows - 1) * lanes..job.n_rows * lanes]);
        let weights = &mut work.attention[..self.cross_attention.n_heads * contexts.n];
        self.answer_states(
            kernels,
            contexts,
            query,
            weights,
            &mut work.scratch,
            &mut work.head,
        );
    }

    /// Windows side by side, from the same state, to head values `[windows, output lanes]`.
    pub(super) fn run_side_by_side(
        &self,
        kernels: &Kernels,
        job: Job<'_>,
        contexts: &Encoded,
        terms: &mut RowTerms,
        windows: Neighbours,
        work: &mut Side,
    ) {
        let stack = &self.lstm.stack;
        let Side {
            states: [states, _],
            gathered,
            rows: [out, ..],
            attention,
            head,
            scratch,
            ..
        } = work;
        let states = &mut states[..windows.n * stack.n_state()];
        let out = &mut out[..windows.n * self.selection.lanes];
        self.lstm.start(job.entity, states);
        for t in 0..job.n_rows {
            let gates = windows.gates(terms, t, gathered);
            stack.advance(kernels, gates, states, scratch, out, windows.n);
        }
        let weights = &mut attention[..windows.n * self.cross_attention.n_heads * contexts.n];
        self.answer_states(kernels, contexts, out, weights, scratch, head);
    }

    /// Last states of the LSTM `[n, lanes]`, which are normalised in place, to head values `[n, output lanes]`.
    fn answer_states(
        &self,
        kernels: &Kernels,
        contexts: &Encoded,
        queries: &mut [Lane],
        weights: &mut [f32],
        mut scratch: &mut [Lane],
        head: &mut [Lane],
    ) {
        let (lanes, narrow) = (self.selection.lanes, self.position.n_lanes());
        let n = queries.len() / lanes;
        self.lstm_norm.forward(kernels, queries);
        let attended = take(&mut scratch, n * lanes);
        let both = take(&mut scratch, n * 2 * lanes);
        let (decoded, hidden) = (take(&mut scratch, n * lanes), take(&mut scratch, n * narrow));
        let joined = take(&mut scratch, n * (lanes + narrow));
        let seen = contexts.of_step(&self.cross_attention, 0);
        self.cross_attention
            .forward(kernels, queries, |_| seen, weights, scratch, attended);
        kernels.add_norm_rows(self.norm2.weights(), queries, attended);
        join([queries, attended], lanes, both);
        self.decoder.forward_lanes(kernels, both, decoded);
        kernels.elu(bytemuck::must_cast_slice_mut(decoded));
        self.decoder_norm.forward(kernels, decoded);
        self.position.forward_lanes(kernels, decoded, hidden);
        kernels.elu(bytemuck::must_cast_slice_mut(hidden));
        join([decoded, hidden], lanes, joined);
        let width = self.output.n_lanes();
        let head = &mut head[..n * width];
        self.output.forward_lanes(kernels, joined, head);
        if self.head == XtrendHead::Gaussian {
            for head in head.chunks_exact_mut(width) {
                let [_, mean, log_sigma, ..]: [f32; LANES] = head[0].0;
                head[0].0[0] = gaussian_position(mean, log_sigma);
            }
        }
    }
}

/// `2 Phi(mean / sigma) - 1`, NaN for NaN (`max` alone would hide one).
fn gaussian_position(mean: f32, log_sigma: f32) -> f32 {
    if log_sigma.is_nan() {
        return f32::NAN;
    }
    let sigma = libm::exp(f64::from(log_sigma)).max(SIGMA_FLOOR);
    libm::erf(f64::from(mean) / sigma * core::f64::consts::FRAC_1_SQRT_2) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_one_deviation_is_68_percent_and_deviations_have_a_floor() {
        assert!((gaussian_position(1.0, 0.0) - 0.682_689_5).abs() < 1e-7);
        assert_eq!(gaussian_position(-1.0, -40.0), -1.0);
        assert!((gaussian_position(1e-6, f32::NEG_INFINITY) - 0.682_689_5).abs() < 1e-7);
    }

    #[test]
    fn a_position_without_numbers_is_no_number() {
        assert!(gaussian_position(f32::NAN, 0.0).is_nan());
        assert!(gaussian_position(1.0, f32::NAN).is_nan());
    }
}
