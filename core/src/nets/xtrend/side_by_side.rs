//! Whole windows side by side whose rows' terms are there, and windows rolled up to their last row before that arrives.

use super::{Form, XtrendNet, XtrendWork, copy};
use crate::kernels::{Kernels, MAX_BATCH};
use crate::layers::Rows;
use crate::nets::terms::{Neighbours, RowTerms, Sizes};
use crate::simd::Lane;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Steps of all windows between two layers.
pub(super) const STEPS: usize = 4;

/// Buffers of [`MAX_BATCH`] windows.
pub(crate) struct XtrendNeighbours(Side);

/// The same, as the forms use them.
pub(super) struct Side {
    /// `[layers, 2, windows, lanes]` of encoder and decoder.
    pub(super) states: [Vec<Lane>; 2],
    pub(super) gathered: Vec<[Lane; 4]>,
    /// `[steps, windows, lanes]` of one round.
    pub(super) rows: [Vec<Lane>; 3],
    pub(super) pair: Vec<Lane>,
    pub(super) attention: Vec<f32>,
    /// `[windows, output lanes]`.
    pub(super) head: Vec<Lane>,
    pub(super) scratch: Vec<Lane>,
}

impl XtrendNet {
    /// Room for the terms of `n_places` rows.
    pub(crate) fn terms(&self, n_places: usize) -> RowTerms {
        let (n_selections, stack, selection) = match &self.form {
            Form::Shared(net) => (1, &net.lstm.stack, &net.selection),
            Form::Separate(net) => (2, &net.query.block.lstm.stack, &net.selection),
        };
        let sizes = Sizes {
            n_selections,
            lanes: self.lanes,
            gates: stack.n_gates(),
            weights: selection.weight_lanes(),
        };
        RowTerms::new(n_places, sizes)
    }

    /// What the first row of whole windows decides for all that have its statics.
    pub(crate) fn begin(&self, work: &mut XtrendWork, rows: Rows<'_>) {
        work.entity = rows.codes[0] as usize;
    }

    /// The terms of rows, of which the first goes to the first of these places.
    pub(crate) fn add_terms(
        &self,
        kernels: &Kernels,
        work: &mut XtrendWork,
        rows: Rows<'_>,
        places: Range<usize>,
        terms: &mut RowTerms,
    ) {
        let job = self.job(rows, self.lookback, work.entity);
        let scratch = &mut work.buffers.scratch;
        match &self.form {
            Form::Shared(net) => net.add_terms(kernels, job, places, terms, scratch),
            Form::Separate(net) => net.add_terms(kernels, job, places, terms, scratch),
        }
    }

    /// Runs some rows before the last one of a window, whose terms lie from `place` on; from row 0 on, in order.
    pub(crate) fn pre_roll(
        &self,
        kernels: &Kernels,
        work: &mut XtrendWork,
        terms: &mut RowTerms,
        part: Range<usize>,
        place: usize,
    ) {
        if part.start == 0 {
            self.start(work.entity, &mut work.buffers);
        }
        let is_last = part.end + 1 == self.lookback;
        self.follow(kernels, work, terms, part, place);
        if is_last {
            copy(&work.buffers.states, &mut work.buffers.rolled);
        }
    }

    /// The last row of a window whose other rows were run, its terms at `place`; may be repeated with another row.
    pub(crate) fn finish<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut XtrendWork,
        terms: &mut RowTerms,
        place: usize,
    ) -> &'w [Lane] {
        copy(&work.buffers.rolled, &mut work.buffers.states);
        self.follow(kernels, work, terms, self.lookback - 1..self.lookback, place);
        self.answer(kernels, work)
    }

    fn follow(
        &self,
        kernels: &Kernels,
        work: &mut XtrendWork,
        terms: &mut RowTerms,
        part: Range<usize>,
        place: usize,
    ) {
        let job = self.job(Rows::NONE, self.lookback, work.entity);
        let (contexts, buffers) = (&work.contexts.encoded, &mut work.buffers);
        match &self.form {
            Form::Shared(net) => net.follow(kernels, terms, part, place, buffers),
            Form::Separate(net) => net.follow(kernels, job, contexts, (terms, place), part, buffers),
        }
    }

    /// Buffers for neighbouring windows.
    pub(crate) fn neighbours(&self) -> XtrendNeighbours {
        let (limit, lookback) = (self.shape.limit, self.lookback);
        let (stack, decoder, heads, rows) = match &self.form {
            Form::Shared(net) => (&net.lstm.stack, 0, net.cross_attention.n_heads, 1),
            Form::Separate(net) => {
                let decoder = net.decoder.lstm.n_state();
                let n_heads = net.cross_attention.n_heads;
                (&net.query.block.lstm.stack, decoder, n_heads, STEPS.min(lookback))
            }
        };
        let scratch = match &self.form {
            Form::Shared(net) => net.n_scratch_side_by_side(),
            Form::Separate(net) => net.n_scratch_side_by_side(rows * MAX_BATCH, limit),
        };
        let lanes = |n: usize| vec![Lane::ZERO; MAX_BATCH * n];
        let block = || lanes(rows * self.lanes);
        XtrendNeighbours(Side {
            states: [lanes(stack.n_state()), lanes(decoder)],
            gathered: vec![[Lane::ZERO; 4]; MAX_BATCH * stack.n_gates()],
            rows: [block(), block(), block()],
            pair: vec![Lane::ZERO; self.n_pair()],
            attention: vec![0.0; MAX_BATCH * rows * heads * limit],
            head: lanes(self.n_head()),
            scratch: vec![Lane::ZERO; scratch],
        })
    }

    /// Head values `[windows, output lanes]` of windows of the entity that `work` holds.
    pub(crate) fn run_side_by_side<'w>(
        &self,
        kernels: &Kernels,
        work: &XtrendWork,
        terms: &mut RowTerms,
        windows: Neighbours,
        XtrendNeighbours(own): &'w mut XtrendNeighbours,
    ) -> &'w [Lane] {
        let (job, contexts) = (
            self.job(Rows::NONE, self.lookback, work.entity),
            &work.contexts.encoded,
        );
        match &self.form {
            Form::Shared(net) => net.run_side_by_side(kernels, job, contexts, terms, windows, own),
            Form::Separate(net) => net.run_side_by_side(kernels, job, contexts, terms, windows, own),
        }
        &own.head[..windows.n * self.n_head()]
    }
}
