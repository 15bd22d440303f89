//! Windows whose rows' terms are there, rolled up to their last row before that arrives.

use super::{TftNet, TftWork};
use crate::kernels::Kernels;
use crate::layers::Rows;
use crate::nets::terms::{RowTerms, Sizes};
use crate::simd::Lane;
use core::ops::Range;

impl TftNet {
    /// Room for the terms of `n_places` rows.
    pub(crate) fn terms(&self, n_places: usize) -> RowTerms {
        let sizes = Sizes {
            n_selections: 1,
            lanes: self.lanes,
            gates: self.encoder.n_gates(),
            weights: self.encoder_selection.weight_lanes(),
        };
        RowTerms::new(n_places, sizes)
    }

    /// What the first row of whole windows decides for all that have its statics.
    pub(crate) fn begin(&self, kernels: &Kernels, work: &mut TftWork, rows: Rows<'_>) {
        work.lengths = [self.lookback, 0];
        self.run_statics(kernels, work, rows);
    }

    /// The terms of rows, of which the first goes to the first of these places.
    pub(crate) fn add_terms(
        &self,
        kernels: &Kernels,
        work: &mut TftWork,
        rows: Rows<'_>,
        places: Range<usize>,
        terms: &mut RowTerms,
    ) {
        let (l, width) = (self.lanes, self.encoder_selection.weight_lanes());
        let selected = &mut terms.selected[0][places.start * l..places.end * l];
        let weights = &mut terms.weights[places.start * width..places.end * width];
        let context = Some(&work.statics[l..2 * l]);
        self.encoder_selection
            .forward(kernels, rows, context, &mut work.scratch, weights, selected);
        let blocks = self.encoder.n_gates();
        let gates = &mut terms.gates[places.start * blocks..places.end * blocks];
        self.encoder.project(kernels, selected, gates);
    }

    /// Runs some rows before the last one of a whole window, whose terms lie from `place` on; from row 0 on, in order.
    pub(crate) fn pre_roll(
        &self,
        kernels: &Kernels,
        work: &mut TftWork,
        terms: &mut RowTerms,
        part: Range<usize>,
        place: usize,
    ) {
        if part.start == 0 {
            self.start(work);
        }
        let is_last = part.end + 1 == self.lookback;
        self.follow(kernels, work, terms, part, place);
        if is_last {
            work.rolled.copy_from_slice(&work.state);
        }
    }

    /// The last row of a window whose other rows were run, its terms at `place`; may be repeated with another row.
    pub(crate) fn finish<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut TftWork,
        terms: &mut RowTerms,
        place: usize,
    ) -> &'w [Lane] {
        work.state.copy_from_slice(&work.rolled);
        self.follow(kernels, work, terms, self.lookback - 1..self.lookback, place);
        self.answer(kernels, work, self.lookback, 0)
    }

    /// Rows whose terms lie from `place` on, up to their static enrichment.
    fn follow(
        &self,
        kernels: &Kernels,
        work: &mut TftWork,
        terms: &mut RowTerms,
        part: Range<usize>,
        place: usize,
    ) {
        let l = self.lanes;
        let (lanes, places) = (part.start * l..part.end * l, place..place + part.len());
        work.gated[lanes.clone()].copy_from_slice(terms.selected_of(0, places.clone()));
        let out = &mut work.lstm[lanes.clone()];
        let gates = terms.gates_of(places);
        self.encoder
            .advance(kernels, gates, &mut work.state, &mut work.scratch, out, 1);
        self.enrich(kernels, work, lanes);
    }
}
