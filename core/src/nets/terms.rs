//! What a net makes of rows alone, whatever window holds them: selected variables, and what an LSTM's first layer makes of those.
//!
//! Neighbouring windows share all but one of their rows, so this is computed once per row. It holds for windows of the same
//! statics only, which enter the selection.

use crate::simd::Lane;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The terms of some rows, each at a place of its own.
pub(crate) struct RowTerms {
    /// `[places, lanes]` of one or two selections.
    pub(super) selected: [Vec<Lane>; 2],
    /// `[places, blocks]`: the first layer's gates.
    pub(super) gates: Vec<[Lane; 4]>,
    /// `[places, weight lanes]`: a selection's last weights.
    pub(super) weights: Vec<Lane>,
    /// Lanes of a row.
    sizes: Sizes,
}

/// Lanes of a row's terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) n_selections: usize,
    pub(super) lanes: usize,
    pub(super) gates: usize,
    pub(super) weights: usize,
}

impl RowTerms {
    /// Places without terms.
    pub(super) fn new(n_places: usize, sizes: Sizes) -> Self {
        let selected =
            |i: usize| vec![Lane::ZERO; usize::from(i < sizes.n_selections) * n_places * sizes.lanes];
        Self {
            selected: [selected(0), selected(1)],
            gates: vec![[Lane::ZERO; 4]; n_places * sizes.gates],
            weights: vec![Lane::ZERO; n_places * sizes.weights],
            sizes,
        }
    }

    /// Those of a net whose rows have none.
    pub(super) fn none() -> Self {
        let sizes = Sizes {
            n_selections: 0,
            lanes: 0,
            gates: 0,
            weights: 0,
        };
        Self::new(0, sizes)
    }

    /// Becomes what `source`, of the same net and as many places, is.
    pub(crate) fn copy_from(&mut self, source: &Self) {
        for (to, from) in self.selected.iter_mut().zip(&source.selected) {
            to.copy_from_slice(from);
        }
        self.gates.copy_from_slice(&source.gates);
    }

    /// Moves the terms of these places to the front.
    pub(crate) fn keep(&mut self, places: Range<usize>) {
        let Sizes { lanes, gates, .. } = self.sizes;
        for selected in self.selected.iter_mut().filter(|s| !s.is_empty()) {
            selected.copy_within(places.start * lanes..places.end * lanes, 0);
        }
        self.gates
            .copy_within(places.start * gates..places.end * gates, 0);
    }

    /// The first layer's gates of some places.
    pub(super) fn gates_of(&mut self, places: Range<usize>) -> &mut [[Lane; 4]] {
        let n = self.sizes.gates;
        &mut self.gates[places.start * n..places.end * n]
    }

    /// A selection's rows of some places.
    pub(super) fn selected_of(&self, i: usize, places: Range<usize>) -> &[Lane] {
        let n = self.sizes.lanes;
        &self.selected[i][places.start * n..places.end * n]
    }
}

/// Windows side by side whose rows' terms are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neighbours {
    /// Place of the first window's first row.
    pub(crate) first: usize,
    /// Places from one window to the next.
    pub(crate) step: usize,
    /// How many, at most [`MAX_BATCH`](crate::kernels::MAX_BATCH).
    pub(crate) n: usize,
}

impl Neighbours {
    /// Places of row `t` of all of them.
    pub(super) fn places(self, t: usize) -> impl Iterator<Item = usize> {
        (0..self.n).map(move |i| self.first + i * self.step + t)
    }

    /// The first layer's gates of row `t` of all windows.
    pub(super) fn gates<'a>(
        self,
        terms: &'a mut RowTerms,
        t: usize,
        gathered: &'a mut [[Lane; 4]],
    ) -> &'a mut [[Lane; 4]] {
        self.rows(&mut terms.gates, t, terms.sizes.gates, gathered)
    }

    /// Rows `t` of all windows, of `[places, width]`: where they lie, if they lie together, and otherwise gathered.
    pub(super) fn rows<'a>(
        self,
        of_places: &'a mut [[Lane; 4]],
        t: usize,
        width: usize,
        gathered: &'a mut [[Lane; 4]],
    ) -> &'a mut [[Lane; 4]] {
        if self.step == 1 || self.n == 1 {
            return &mut of_places[(self.first + t) * width..][..self.n * width];
        }
        let gathered = &mut gathered[..self.n * width];
        for (to, place) in gathered.chunks_exact_mut(width).zip(self.places(t)) {
            to.copy_from_slice(&of_places[place * width..][..width]);
        }
        gathered
    }

    /// A selection's rows `t` of all windows.
    pub(super) fn selected(self, terms: &RowTerms, i: usize, t: usize, out: &mut [Lane]) {
        let n = terms.sizes.lanes;
        for (to, place) in out.chunks_exact_mut(n).zip(self.places(t)) {
            to.copy_from_slice(terms.selected_of(i, place..place + 1));
        }
    }
}
