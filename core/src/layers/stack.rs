//! LSTM stacks with states of their own: what `tft`, `quantile_tft` and `xtrend` are made of.
//!
//! Several windows may go side by side: their rows then lie `[steps, windows, lanes]`, their states
//! `[layers, 2, windows, lanes]`. What the first layer makes of rows does not depend on a window, so that it may be
//! computed once for all that hold them.

use super::{LstmLayer, LstmScratch, Order, take};
use crate::kernels::Kernels;
use crate::simd::{LANES, Lane};
use alloc::vec::Vec;

/// Layers that read each other's outputs in f32.
pub(crate) struct LstmStack {
    pub(crate) layers: Vec<LstmLayer>,
}

/// Lanes of scratch for one layer over `n_rows` of `n` windows: their gates and the operand of its product.
fn n_scratch(layer: &LstmLayer, n_rows: usize, n: usize) -> usize {
    (4 * n_rows + n) * layer.n_blocks()
}

impl LstmStack {
    /// Lanes of a window's state: outputs and cells of every layer.
    pub(crate) fn n_state(&self) -> usize {
        self.layers.iter().map(|l| 2 * l.n_blocks()).sum()
    }

    /// Lanes of scratch for `n_rows` of one window.
    pub(crate) fn n_scratch(&self, n_rows: usize) -> usize {
        self.n_scratch_side_by_side(n_rows, 1)
    }

    /// Lanes of scratch for `n_rows` of `n` windows.
    pub(crate) fn n_scratch_side_by_side(&self, n_rows: usize, n: usize) -> usize {
        let sizes = self.layers.iter().map(|l| n_scratch(l, n_rows, n));
        sizes.max().unwrap_or(0)
    }

    /// Lanes of the first layer's gates of a row, by four.
    pub(crate) fn n_gates(&self) -> usize {
        self.layers.first().map_or(0, LstmLayer::n_blocks)
    }

    /// Every layer of every window starts from the same outputs and cells.
    pub(crate) fn start(&self, h: &[Lane], c: &[Lane], state: &mut [Lane]) {
        let n = state.len() / self.n_state();
        for state in state.chunks_exact_mut(n * (h.len() + c.len())) {
            let (to_h, to_c) = state.split_at_mut(n * h.len());
            to_h.chunks_exact_mut(h.len())
                .for_each(|to| to.copy_from_slice(h));
            to_c.chunks_exact_mut(c.len())
                .for_each(|to| to.copy_from_slice(c));
        }
    }

    /// `x [n, lanes]` to the top layer's `out [n, lanes]`; `state [layers, 2, lanes]` before and after.
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        state: &mut [Lane],
        scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        self.forward_side_by_side(kernels, x, state, scratch, out, 1);
    }

    /// The same of `n` windows.
    pub(crate) fn forward_side_by_side(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        state: &mut [Lane],
        scratch: &mut [Lane],
        out: &mut [Lane],
        n: usize,
    ) {
        let Some(first) = self.layers.first() else { return };
        let (state, deeper) = state.split_at_mut(2 * n * first.n_blocks());
        let n_rows = out.len() / first.n_blocks();
        let (operand, gates) = split(first, scratch, n_rows, n);
        project(first, kernels, x, gates);
        recur(first, kernels, state, operand, gates, out, Order::Forward);
        self.deepen(kernels, deeper, scratch, out, n);
    }

    /// What the first layer makes of rows `x`, `[rows, blocks]`.
    pub(crate) fn project(&self, kernels: &Kernels, x: &[Lane], gates: &mut [[Lane; 4]]) {
        if let Some(first) = self.layers.first() {
            project(first, kernels, x, gates);
        }
    }

    /// [`LstmStack::forward_side_by_side`] of rows that the first layer has projected; `gates` stays.
    pub(crate) fn advance(
        &self,
        kernels: &Kernels,
        gates: &mut [[Lane; 4]],
        state: &mut [Lane],
        scratch: &mut [Lane],
        out: &mut [Lane],
        n: usize,
    ) {
        let Some(first) = self.layers.first() else { return };
        let (state, deeper) = state.split_at_mut(2 * n * first.n_blocks());
        let operand = &mut scratch[..n * first.n_blocks()];
        recur(first, kernels, state, operand, gates, out, Order::Forward);
        self.deepen(kernels, deeper, scratch, out, n);
    }

    /// The layers behind the first, whose outputs are in `out`.
    fn deepen(
        &self,
        kernels: &Kernels,
        mut state: &mut [Lane],
        scratch: &mut [Lane],
        out: &mut [Lane],
        n: usize,
    ) {
        for layer in self.layers.iter().skip(1) {
            let own = take(&mut state, 2 * n * layer.n_blocks());
            let n_rows = out.len() / layer.n_blocks();
            let (operand, gates) = split(layer, scratch, n_rows, n);
            project(layer, kernels, out, gates);
            recur(layer, kernels, own, operand, gates, out, Order::Forward);
        }
    }
}

/// Operand and gates of one layer.
fn split<'a>(
    layer: &LstmLayer,
    mut scratch: &'a mut [Lane],
    n_rows: usize,
    n: usize,
) -> (&'a mut [Lane], &'a mut [[Lane; 4]]) {
    let operand = take(&mut scratch, n * layer.n_blocks());
    let gates = take(&mut scratch, 4 * n_rows * layer.n_blocks());
    (operand, gates.as_chunks_mut().0)
}

fn project(layer: &LstmLayer, kernels: &Kernels, x: &[Lane], gates: &mut [[Lane; 4]]) {
    let n_rows = gates.len() / layer.n_blocks();
    let stride = x.len() / n_rows.max(1) * LANES;
    layer.project(kernels, bytemuck::must_cast_slice(x), stride.max(2), gates);
}

/// All steps of as many windows as `operand` has room for.
fn recur(
    layer: &LstmLayer,
    kernels: &Kernels,
    state: &mut [Lane],
    operand: &mut [Lane],
    gates: &mut [[Lane; 4]],
    out: &mut [Lane],
    order: Order,
) {
    let (h, c) = state.split_at_mut(operand.len());
    let n_batch = operand.len() / layer.n_blocks();
    let scratch = LstmScratch { gates, c, h, operand };
    layer.recur(kernels, scratch, out, order, n_batch);
}

/// Bidirectional layers: forwards and backwards side by side, `[n, 2, lanes]` between them.
pub(crate) struct BiStack {
    /// Forward and backward layer of each level; from the second on they read both halves.
    pub(crate) layers: Vec<[LstmLayer; 2]>,
}

impl BiStack {
    /// Lanes of scratch for `n_rows`.
    pub(crate) fn n_scratch(&self, n_rows: usize) -> usize {
        let layer = |[l, _]: &[LstmLayer; 2]| n_scratch(l, n_rows, 1) + (n_rows + 2) * l.n_blocks();
        self.layers.iter().map(layer).max().unwrap_or(0)
    }

    /// `x [n, lanes]` from zero states to `out [n, 2, lanes]`, forward half first; `next` is a buffer like `out`.
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        x: &[Lane],
        mut scratch: &mut [Lane],
        next: &mut [Lane],
        out: &mut [Lane],
    ) {
        let Some([first, _]) = self.layers.first() else {
            return;
        };
        let blocks = first.n_blocks();
        let n_rows = out.len() / (2 * blocks);
        let state = take(&mut scratch, 2 * blocks);
        let sequence = take(&mut scratch, n_rows * blocks);
        for (l, pair) in self.layers.iter().enumerate() {
            let from = if l == 0 { x } else { &*out };
            for (half, layer) in pair.iter().enumerate() {
                let (operand, gates) = split(layer, scratch, n_rows, 1);
                project(layer, kernels, from, gates);
                state.fill(Lane::ZERO);
                let order = [Order::Forward, Order::Backward][half];
                recur(layer, kernels, state, operand, gates, sequence, order);
                let to = next.chunks_exact_mut(2 * blocks);
                for (to, from) in to.zip(sequence.chunks_exact(blocks)) {
                    to[half * blocks..][..blocks].copy_from_slice(from);
                }
            }
            out.copy_from_slice(next);
        }
    }
}
