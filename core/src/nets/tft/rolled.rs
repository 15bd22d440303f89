//! Windows whose rows' terms are there, rolled up to their last row before that arrives.

use super::{TftNet, TftWork};
use crate::kernels::Kernels;
use crate::layers::{LstmStack, Rows, Selection};
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

    /// Room for the terms of the rows of the future; none where the net reads none.
    pub(crate) fn terms_ahead(&self) -> RowTerms {
        let sizes = Sizes {
            n_selections: 1,
            lanes: self.lanes,
            gates: self.decoder.as_ref().map_or(0, LstmStack::n_gates),
            weights: self.decoder_selection.as_ref().map_or(0, Selection::weight_lanes),
        };
        RowTerms::new(self.n_ahead, sizes)
    }

    /// The terms of a row of the future, the first of `rows`, at its place.
    pub(crate) fn add_ahead(
        &self,
        kernels: &Kernels,
        work: &mut TftWork,
        rows: Rows<'_>,
        place: usize,
        terms: &mut RowTerms,
    ) {
        let Some(decoder) = &self.decoder else { return };
        let l = self.lanes;
        let selected = &mut terms.selected[0][place * l..][..l];
        match &self.decoder_selection {
            Some(selection) => {
                let width = selection.weight_lanes();
                let weights = &mut terms.weights[place * width..][..width];
                let context = Some(&work.statics[l..2 * l]);
                selection.forward(kernels, rows, context, &mut work.scratch, weights, selected);
            }
            None => selected.fill(Lane::ZERO),
        }
        let blocks = decoder.n_gates();
        let gates = &mut terms.gates[place * blocks..][..blocks];
        decoder.project(kernels, selected, gates);
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
        let lanes = part.start * self.lanes..part.end * self.lanes;
        self.follow(kernels, &self.encoder, work, (terms, place), lanes.clone());
        self.enrich(kernels, work, lanes);
        if is_last {
            work.rolled.copy_from_slice(&work.state);
        }
    }

    /// The last row of a window whose other rows were run, its terms at `place`, and `n_ahead` rows of the future; may be repeated with
    /// others. Rows go through what follows the recurrence together.
    pub(crate) fn finish<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut TftWork,
        terms: (&mut RowTerms, usize),
        (ahead, n_ahead): (&mut RowTerms, usize),
    ) -> &'w [Lane] {
        let l = self.lanes;
        let (newest, end) = ((self.lookback - 1) * l, self.lookback * l);
        work.state.copy_from_slice(&work.rolled);
        self.follow(kernels, &self.encoder, work, terms, newest..end);
        let to = end + n_ahead * l;
        if let Some(decoder) = &self.decoder {
            self.follow(kernels, decoder, work, (ahead, 0), end..to);
        }
        self.enrich(kernels, work, newest..to);
        self.answer(kernels, work, self.lookback, n_ahead)
    }

    /// The recurrence over rows that go to these lanes, whose terms lie from a place on.
    fn follow(
        &self,
        kernels: &Kernels,
        stack: &LstmStack,
        work: &mut TftWork,
        (terms, place): (&mut RowTerms, usize),
        lanes: Range<usize>,
    ) {
        let places = place..place + lanes.len() / self.lanes;
        work.gated[lanes.clone()].copy_from_slice(terms.selected_of(0, places.clone()));
        let out = &mut work.lstm[lanes];
        let gates = terms.gates_of(places);
        stack.advance(kernels, gates, &mut work.state, &mut work.scratch, out, 1);
    }
}
