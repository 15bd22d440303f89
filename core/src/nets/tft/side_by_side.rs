//! Whole windows side by side whose rows' terms are there: what is left is the recurrence and all that follows it.
//!
//! A few steps of all windows at a time go through every layer, so that their rows stay in the second-level cache between two
//! layers and every weight that is loaded serves all of them.

use super::{Answers, TftNet, TftWork};
use crate::kernels::{Kernels, Keys, MAX_BATCH};
use crate::nets::terms::{Neighbours, RowTerms};
use crate::simd::Lane;
use alloc::vec;
use alloc::vec::Vec;

/// Steps of all windows between two layers.
const STEPS: usize = 4;

/// Buffers of [`MAX_BATCH`] windows.
pub(crate) struct TftNeighbours {
    /// `[layers, 2, windows, lanes]`.
    states: Vec<Lane>,
    gathered: Vec<[Lane; 4]>,
    /// `[steps, windows, lanes]` of one round: LSTM outputs, gated, enriched.
    round: [Vec<Lane>; 3],
    /// `[windows, lookback, lanes]`.
    enriched: Vec<Lane>,
    /// `[windows, lanes]` of the last row, and what follows it.
    queries: Vec<Lane>,
    answers: [Vec<Lane>; 3],
    attention: Vec<f32>,
    head: Vec<Lane>,
    scratch: Vec<Lane>,
}

impl TftNet {
    /// Buffers for neighbouring windows.
    pub(crate) fn neighbours(&self) -> TftNeighbours {
        let block = |n: usize| vec![Lane::ZERO; n * self.lanes];
        let round = || block(STEPS * MAX_BATCH);
        let one = || block(MAX_BATCH);
        TftNeighbours {
            states: vec![Lane::ZERO; MAX_BATCH * self.encoder.n_state()],
            gathered: vec![[Lane::ZERO; 4]; MAX_BATCH * self.encoder.n_gates()],
            round: [round(), round(), round()],
            enriched: block(MAX_BATCH * self.lookback),
            queries: one(),
            answers: [one(), one(), one()],
            attention: vec![0.0; MAX_BATCH * self.attention.n_heads * self.lookback],
            head: vec![Lane::ZERO; MAX_BATCH * self.output.n_lanes()],
            scratch: vec![Lane::ZERO; self.n_scratch_side_by_side()],
        }
    }

    fn n_scratch_side_by_side(&self) -> usize {
        let sizes = [
            self.encoder.n_scratch_side_by_side(MAX_BATCH, MAX_BATCH),
            2 * self.lanes * STEPS * MAX_BATCH,
            self.enrichment.n_scratch(),
            self.feed_forward.n_scratch(),
            self.attention.n_scratch(MAX_BATCH, self.lanes),
        ];
        sizes.into_iter().max().unwrap_or(0)
    }

    /// Head values `[windows, output lanes]` of windows whose statics `work` holds.
    pub(crate) fn run_side_by_side<'w>(
        &self,
        kernels: &Kernels,
        work: &TftWork,
        terms: &mut RowTerms,
        windows: Neighbours,
        own: &'w mut TftNeighbours,
    ) -> &'w [Lane] {
        let (l, lookback) = (self.lanes, self.lookback);
        let states = &mut own.states[..windows.n * self.encoder.n_state()];
        self.encoder
            .start(&work.statics[2 * l..3 * l], &work.statics[3 * l..4 * l], states);
        for t in (0..lookback).step_by(STEPS) {
            let n_steps = STEPS.min(lookback - t);
            self.run_round(kernels, work, terms, windows, [t, n_steps], own);
        }
        self.answer_side_by_side(kernels, windows.n, own)
    }

    /// Rows `t..t + n_steps` of all windows up to their static enrichment.
    fn run_round(
        &self,
        kernels: &Kernels,
        work: &TftWork,
        terms: &mut RowTerms,
        windows: Neighbours,
        [t, n_steps]: [usize; 2],
        own: &mut TftNeighbours,
    ) {
        let (l, n) = (self.lanes, windows.n * self.lanes);
        let TftNeighbours {
            states,
            gathered,
            round,
            enriched,
            scratch,
            ..
        } = own;
        let [lstm, gated, rich] = round.each_mut().map(|x| &mut x[..n_steps * n]);
        let states = &mut states[..windows.n * self.encoder.n_state()];
        for (step, (out, skip)) in lstm
            .chunks_exact_mut(n)
            .zip(gated.chunks_exact_mut(n))
            .enumerate()
        {
            windows.selected(terms, 0, t + step, skip);
            let gates = windows.gates(terms, t + step, gathered);
            self.encoder
                .advance(kernels, gates, states, scratch, out, windows.n);
        }
        self.post_lstm
            .forward(kernels, lstm, &mut scratch[..2 * n_steps * n], gated);
        let context = Some(&work.statics[4 * l..5 * l]);
        self.enrichment.forward(kernels, gated, context, scratch, rich);
        for (i, row) in rich.chunks_exact(l).enumerate() {
            let (step, window) = (i / windows.n, i % windows.n);
            enriched[(window * self.lookback + t + step) * l..][..l].copy_from_slice(row);
        }
    }

    /// Answers of the last row of every window, which ended the last round.
    fn answer_side_by_side<'w>(
        &self,
        kernels: &Kernels,
        n_windows: usize,
        own: &'w mut TftNeighbours,
    ) -> &'w [Lane] {
        let (l, n) = (self.lanes, self.lookback);
        let TftNeighbours {
            round: [_, gated, rich],
            enriched,
            queries,
            answers,
            attention,
            head,
            scratch,
            ..
        } = own;
        let last = ((n - 1) % STEPS) * n_windows * l..;
        let queries = &mut queries[..n_windows * l];
        queries.copy_from_slice(&rich[last.clone()][..n_windows * l]);
        let rows = |i: usize| &enriched[i * n * l..][..n * l];
        let keys = |i: usize| Keys {
            visible: self.visible(n - 1, n),
            ..self.attention.keys(rows(i), rows(i), n)
        };
        let answers = Answers {
            steps: answers.each_mut().map(|x| &mut x[..n_windows * l]),
            attention: &mut attention[..n_windows * self.attention.n_heads * n],
            scratch,
            head: &mut head[..n_windows * self.output.n_lanes()],
        };
        self.answer_steps(kernels, queries, &gated[last][..n_windows * l], keys, answers)
    }
}
