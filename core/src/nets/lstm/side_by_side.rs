//! Whole windows side by side whose rows the first layer has projected once for all of them.
//!
//! The windows advance a few steps at a time through every layer. Bits are those of [`LstmNet::run`]: the same kernels, whose
//! sums depend neither on how many rows nor on how many windows share a call.

use super::LstmNet;
use crate::kernels::{Kernels, MAX_BATCH};
use crate::layers::{LstmLayer, LstmScratch, Order};
use crate::nets::terms::Neighbours;
use crate::simd::{LANES, Lane};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Steps of all windows between two layers.
const STEPS: usize = 8;

/// Projected rows, and buffers of [`MAX_BATCH`] windows.
pub(crate) struct LstmNeighbours {
    /// `[places, blocks]`: what the first layer makes of rows.
    projected: Vec<[Lane; 4]>,
    /// Per layer `[windows, blocks]`: outputs and cells.
    states: Vec<[Vec<Lane>; 2]>,
    /// `[steps, windows, blocks]` of one round.
    gates: Vec<[Lane; 4]>,
    sequence: Vec<Lane>,
    operand: Vec<Lane>,
    head: [Vec<Lane>; 2],
}

impl LstmNet {
    /// Room for `n_places` rows.
    pub(crate) fn neighbours(&self, n_places: usize) -> LstmNeighbours {
        let blocks = self.layers.iter().map(LstmLayer::n_blocks).max().unwrap_or(0);
        let state = |layer: &LstmLayer| [(); 2].map(|()| vec![Lane::ZERO; MAX_BATCH * layer.n_blocks()]);
        let rows = STEPS * MAX_BATCH;
        LstmNeighbours {
            projected: vec![[Lane::ZERO; 4]; n_places * self.n_projected()],
            states: self.layers.iter().map(state).collect(),
            gates: vec![[Lane::ZERO; 4]; rows * blocks],
            sequence: vec![Lane::ZERO; rows * blocks],
            operand: vec![Lane::ZERO; MAX_BATCH * blocks],
            head: self.work(1).head,
        }
    }

    fn n_projected(&self) -> usize {
        self.layers.first().map_or(0, LstmLayer::n_blocks)
    }

    /// Projects scaled rows `x [rows, x_stride]` to some places.
    pub(crate) fn project(
        &self,
        kernels: &Kernels,
        x: &[f32],
        places: Range<usize>,
        own: &mut LstmNeighbours,
    ) {
        let n = self.n_projected();
        let gates = &mut own.projected[places.start * n..places.end * n];
        if let Some(first) = self.layers.first() {
            first.project(kernels, x, self.x_stride, gates);
        }
    }

    /// Moves the projected rows of these places to the front.
    pub(crate) fn keep(&self, places: Range<usize>, own: &mut LstmNeighbours) {
        let n = self.n_projected();
        own.projected.copy_within(places.start * n..places.end * n, 0);
    }

    /// Runs windows whose rows were projected; hands each one's head values to `each`.
    pub(crate) fn run_side_by_side(
        &self,
        kernels: &Kernels,
        windows: Neighbours,
        own: &mut LstmNeighbours,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        own.states
            .iter_mut()
            .flatten()
            .for_each(|state| state.fill(Lane::ZERO));
        for t in (0..self.lookback).step_by(STEPS) {
            self.run_round(kernels, windows, t..self.lookback.min(t + STEPS), own);
        }
        let LstmNeighbours { states, head, .. } = own;
        let (Some(layer), Some([h, _])) = (self.layers.last(), states.last()) else {
            return;
        };
        for (i, h) in h.chunks_exact(layer.n_blocks()).take(windows.n).enumerate() {
            each(i, self.run_head(kernels, h, head));
        }
    }

    /// Some steps of all windows through every layer.
    fn run_round(
        &self,
        kernels: &Kernels,
        windows: Neighbours,
        steps: Range<usize>,
        own: &mut LstmNeighbours,
    ) {
        let LstmNeighbours {
            projected,
            states,
            gates,
            sequence,
            operand,
            ..
        } = own;
        for (l, (layer, [h, c])) in self.layers.iter().zip(states).enumerate() {
            let n = windows.n * layer.n_blocks();
            let is_top = l + 1 == self.layers.len();
            let [h, c, operand] = [h, c, &mut *operand].map(|x| &mut x[..n]);
            if l > 0 {
                let x = bytemuck::must_cast_slice(&sequence[..steps.len() * n]);
                layer.project(
                    kernels,
                    x,
                    layer.n_blocks() * LANES,
                    &mut gates[..steps.len() * n],
                );
            }
            let n_steps = if l == 0 { 1 } else { steps.len() };
            let sequence = if is_top {
                &mut [][..]
            } else {
                &mut sequence[..steps.len() * n]
            };
            for t in (0..steps.len()).step_by(n_steps) {
                let gates = match l {
                    0 => windows.rows(projected, steps.start + t, layer.n_blocks(), gates),
                    _ => &mut gates[..steps.len() * n],
                };
                let scratch = LstmScratch { gates, c, h, operand };
                let to = if is_top {
                    &mut [][..]
                } else {
                    &mut sequence[t * n..][..n_steps * n]
                };
                layer.recur(kernels, scratch, to, Order::Stacked, windows.n);
            }
        }
    }
}
