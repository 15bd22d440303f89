//! LSTM stacks with states of their own: what `tft`, `quantile_tft` and `xtrend` are made of.

use super::{LstmLayer, LstmScratch, Order, take};
use crate::kernels::Kernels;
use crate::simd::{LANES, Lane};
use alloc::vec::Vec;

/// Layers that read each other's outputs in f32.
pub(crate) struct LstmStack {
    pub(crate) layers: Vec<LstmLayer>,
}

/// Lanes of scratch for one layer over `n_rows`: its gates and the operand of its product.
fn n_scratch(layer: &LstmLayer, n_rows: usize) -> usize {
    (4 * n_rows + 1) * layer.n_blocks()
}

impl LstmStack {
    /// Lanes of a state: outputs and cells of every layer.
    pub(crate) fn n_state(&self) -> usize {
        self.layers.iter().map(|l| 2 * l.n_blocks()).sum()
    }

    /// Lanes of scratch for `n_rows`.
    pub(crate) fn n_scratch(&self, n_rows: usize) -> usize {
        self.layers
            .iter()
            .map(|l| n_scratch(l, n_rows))
            .max()
            .unwrap_or(0)
    }

    /// Every layer starts from the same outputs and cells.
    pub(crate) fn start(&self, h: &[Lane], c: &[Lane], state: &mut [Lane]) {
        for state in state.chunks_exact_mut(h.len() + c.len()) {
            let (to_h, to_c) = state.split_at_mut(h.len());
            to_h.copy_from_slice(h);
            to_c.copy_from_slice(c);
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
        let mut rest = state;
        for (l, layer) in self.layers.iter().enumerate() {
            let state = take(&mut rest, 2 * layer.n_blocks());
            let n_rows = out.len() / layer.n_blocks();
            let (operand, gates) = split(layer, scratch, n_rows);
            let from = if l == 0 { x } else { &*out };
            let stride = from.len() / n_rows.max(1) * LANES;
            layer.project(kernels, bytemuck::must_cast_slice(from), stride.max(2), gates);
            recur(layer, kernels, state, operand, gates, out, Order::Forward);
        }
    }
}

/// Operand and gates of one layer.
fn split<'a>(
    layer: &LstmLayer,
    mut scratch: &'a mut [Lane],
    n_rows: usize,
) -> (&'a mut [Lane], &'a mut [[Lane; 4]]) {
    let operand = take(&mut scratch, layer.n_blocks());
    let gates = take(&mut scratch, 4 * n_rows * layer.n_blocks());
    (operand, gates.as_chunks_mut().0)
}

fn recur(
    layer: &LstmLayer,
    kernels: &Kernels,
    state: &mut [Lane],
    operand: &mut [Lane],
    gates: &mut [[Lane; 4]],
    out: &mut [Lane],
    order: Order,
) {
    let (h, c) = state.split_at_mut(layer.n_blocks());
    let scratch = LstmScratch { gates, c, h, operand };
    layer.recur(kernels, scratch, out, order, 1);
}

/// Bidirectional layers: forwards and backwards side by side, `[n, 2, lanes]` between them.
pub(crate) struct BiStack {
    /// Forward and backward layer of each level; from the second on they read both halves.
    pub(crate) layers: Vec<[LstmLayer; 2]>,
}

impl BiStack {
    /// Lanes of scratch for `n_rows`.
    pub(crate) fn n_scratch(&self, n_rows: usize) -> usize {
        let layer = |[l, _]: &[LstmLayer; 2]| n_scratch(l, n_rows) + (n_rows + 2) * l.n_blocks();
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
            let stride = from.len() / n_rows * LANES;
            for (half, layer) in pair.iter().enumerate() {
                let (operand, gates) = split(layer, scratch, n_rows);
                layer.project(kernels, bytemuck::must_cast_slice(from), stride, gates);
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
