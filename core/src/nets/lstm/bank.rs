//! The windows of an LSTM stack that are under way: for every row of the last `lookback - 1`, the states of the window that began
//! there. A new row ends the oldest one and gives its answer; the others take the row when there is time.
//!
//! What an arriving row needs is then ready: the oldest window's states and their recurrent sums `R h`. The answer costs one
//! product of the row in the first layer and one `W h` in every further layer. Windows take a row six at a time, every weight
//! loaded once for all of them, so preparing costs fewer bytes than running one window from its beginning, and a row that comes
//! early waits for its own window alone.
//!
//! Bits are those of [`LstmNet::run`]: the same kernels, whose sums depend neither on how many rows nor on how many windows
//! share a call.

use super::LstmNet;
use crate::kernels::{Kernels, LastStep, MAX_BATCH};
use crate::layers::{LstmLayer, LstmScratch, Order};
use crate::simd::{LANES, Lane};
use alloc::vec;
use alloc::vec::Vec;

/// The states of all windows, and buffers to move them on.
pub(crate) struct LstmBank {
    lookback: usize,
    /// Windows under way, at most: `lookback - 1`, or one that never begins.
    n_slots: usize,
    layers: Vec<LayerStates>,
    /// Rows each slot's window has taken.
    taken: Vec<usize>,
    /// `[lookback, blocks]`: what the first layer makes of the last rows, at row number modulo lookback.
    projected: Vec<[Lane; 4]>,
    /// `[lookback, x_stride]`: the last scaled rows, at the same places.
    x: Vec<f32>,
    /// Rows taken since the beginning.
    n_rows: u64,
    /// Rows whose projection is there.
    n_projected: u64,
    /// Whether the oldest window and its sums wait for a row.
    ready: bool,
    scratch: Scratch,
    head: [Vec<Lane>; 2],
}

/// One layer's states, slot after slot, and the oldest window's recurrent sums.
struct LayerStates {
    h: Vec<Lane>,
    c: Vec<Lane>,
    sums: Vec<[Lane; 4]>,
    zero: Vec<[Lane; 4]>,
}

struct Scratch {
    gates: Vec<[Lane; 4]>,
    sequence: Vec<Lane>,
    operand: Vec<Lane>,
    h: Vec<Lane>,
}

impl LstmNet {
    /// A bank without rows.
    pub(crate) fn bank(&self) -> LstmBank {
        let n_slots = (self.lookback - 1).max(1);
        let first = self.layers.first().map_or(0, LstmLayer::n_blocks);
        let blocks = self.layers.iter().map(LstmLayer::n_blocks).max().unwrap_or(0);
        let lanes = |n: usize| vec![Lane::ZERO; n];
        let gates = |n: usize| vec![[Lane::ZERO; 4]; n];
        let states = |layer: &LstmLayer| LayerStates {
            h: lanes(n_slots * layer.n_blocks()),
            c: lanes(n_slots * layer.n_blocks()),
            sums: gates(layer.n_blocks()),
            zero: gates(layer.n_blocks()),
        };
        LstmBank {
            lookback: self.lookback,
            n_slots,
            layers: self.layers.iter().map(states).collect(),
            taken: vec![0; n_slots],
            projected: gates(self.lookback * first),
            x: vec![0.0; self.lookback * self.x_stride],
            n_rows: 0,
            n_projected: 0,
            ready: false,
            scratch: Scratch {
                gates: gates(MAX_BATCH * blocks),
                sequence: lanes(MAX_BATCH * blocks),
                operand: lanes(MAX_BATCH * blocks),
                h: lanes(blocks),
            },
            head: self.work(1).head,
        }
    }
}

impl LstmBank {
    /// Forgets every row.
    pub(crate) fn reset(&mut self) {
        self.n_rows = 0;
        self.n_projected = 0;
        self.ready = false;
    }

    /// The scaled rows `[x_stride]` that the windows under way have read or will, oldest first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let stride = self.x.len() / self.lookback;
        let n_kept = self.n_rows.min(self.lookback as u64 - 1);
        (self.n_rows - n_kept..self.n_rows).map(move |row| {
            let at = (row % self.lookback as u64) as usize;
            &self.x[at * stride..][..stride]
        })
    }

    /// Becomes what `source`, of the same net, is; buffers between two calls aside.
    pub(crate) fn copy_from(&mut self, source: &Self) {
        let Self {
            lookback: _,
            n_slots: _,
            layers,
            taken,
            projected,
            x,
            n_rows,
            n_projected,
            ready,
            scratch: _,
            head: _,
        } = self;
        for (states, source) in layers.iter_mut().zip(&source.layers) {
            states.h.copy_from_slice(&source.h);
            states.c.copy_from_slice(&source.c);
            states.sums.copy_from_slice(&source.sums);
        }
        taken.copy_from_slice(&source.taken);
        projected.copy_from_slice(&source.projected);
        x.copy_from_slice(&source.x);
        (*n_rows, *n_projected, *ready) = (source.n_rows, source.n_projected, source.ready);
    }

    /// Rows that are missing before the next one has an answer.
    pub(crate) fn n_missing(&self) -> usize {
        let needed = self.lookback as u64 - 1;
        needed.saturating_sub(self.n_rows) as usize
    }

    /// Head values of the window that the scaled row `x` ends; absent while rows are missing. Nothing is kept.
    pub(crate) fn answer(&mut self, net: &LstmNet, kernels: &Kernels, x: &[f32]) -> Option<&[f32]> {
        if self.n_missing() > 0 {
            return None;
        }
        self.make_ready(net, kernels);
        let slot = self.ending();
        let Scratch {
            gates, operand, h, ..
        } = &mut self.scratch;
        let half = operand.len() / 2;
        let last = net.layers.len().saturating_sub(1);
        for (l, (layer, states)) in net.layers.iter().zip(&self.layers).enumerate() {
            let blocks = layer.n_blocks();
            // The product reads one buffer while its result goes to the other half.
            let (even, odd) = operand.split_at_mut(half);
            let (from, to) = if l.is_multiple_of(2) {
                (odd, even)
            } else {
                (even, odd)
            };
            let step = LastStep {
                sums: &states.sums,
                c: &states.c[slot * blocks..][..blocks],
                h: &mut h[..blocks],
                // Nobody multiplies the top layer's outputs as the recurrence does.
                operand: if l == last { &mut [] } else { &mut to[..blocks] },
            };
            if !layer.takes_rows() {
                let gates = &mut gates[..blocks];
                layer.project(kernels, x, x.len(), gates);
                layer.last_cells(kernels, gates, step);
            } else if l == 0 {
                layer.last_step(kernels, x, step);
            } else {
                layer.last_step(kernels, bytemuck::must_cast_slice(from), step);
            }
        }
        let blocks = net.layers[last].n_blocks();
        Some(net.run_head(kernels, &self.scratch.h[..blocks], &mut self.head))
    }

    /// Takes the scaled row `x`: a window begins with it, and the others have it before them.
    pub(crate) fn take(&mut self, x: &[f32]) {
        let at = (self.n_rows % self.lookback as u64) as usize;
        self.x[at * x.len()..][..x.len()].copy_from_slice(x);
        let slot = self.slot_of(self.n_rows);
        self.taken[slot] = 0;
        self.n_rows += 1;
        self.ready = false;
    }

    /// The first layer's products of the rows that have none yet.
    pub(super) fn project(&mut self, net: &LstmNet, kernels: &Kernels) {
        let (first, stride) = (&net.layers[0], net.x_stride);
        let blocks = first.n_blocks();
        // Of more rows than the ring holds only the last ones are left.
        let from = self
            .n_projected
            .max(self.n_rows.saturating_sub(self.lookback as u64));
        for row in from..self.n_rows {
            let at = (row % self.lookback as u64) as usize;
            let x = &self.x[at * stride..][..stride];
            first.project(kernels, x, stride, &mut self.projected[at * blocks..][..blocks]);
        }
        self.n_projected = self.n_rows;
    }

    /// Moves windows on until all have taken every row, or `budget` steps of a window are spent; whether all have. The window
    /// that the next row ends comes first, whatever it needs.
    pub(crate) fn prepare(&mut self, net: &LstmNet, kernels: &Kernels, budget: usize) -> bool {
        if self.lookback == 1 || self.n_rows == 0 {
            self.make_ready(net, kernels);
            return true;
        }
        if self.n_missing() == 0 {
            self.make_ready(net, kernels);
        }
        self.project(net, kernels);
        let mut left = budget;
        let oldest = self.slot_of(self.n_rows.saturating_sub(self.n_slots as u64));
        let mut at = 0;
        while at < self.n_slots {
            let slot = (oldest + at) % self.n_slots;
            let n = self.group(slot, self.n_slots - at);
            if n == 0 {
                at += 1;
                continue;
            }
            if left == 0 {
                return false;
            }
            let n = n.min(left);
            self.advance(net, kernels, slot, n);
            left -= n;
        }
        true
    }

    /// Neighbouring slots from `slot` on, at most `limit`, that have a row before them.
    fn group(&self, slot: usize, limit: usize) -> usize {
        let limit = limit.min(MAX_BATCH).min(self.n_slots - slot);
        (0..limit).take_while(|i| self.pending(slot + i) > 0).count()
    }

    fn slot_of(&self, row: u64) -> usize {
        (row % self.n_slots as u64) as usize
    }

    /// The slot of the window that the next row ends, once enough rows are there.
    fn ending(&self) -> usize {
        self.slot_of(self.n_rows.wrapping_sub(self.lookback as u64 - 1))
    }

    /// The row with which a slot's window began, if one has.
    fn begin(&self, slot: usize) -> Option<u64> {
        let last = self.n_rows.checked_sub(1)?;
        let n = self.n_slots as u64;
        last.checked_sub((last + n - slot as u64) % n)
    }

    /// Rows that a slot's window has still before it.
    fn pending(&self, slot: usize) -> usize {
        match self.begin(slot) {
            Some(begin) => (self.n_rows - begin) as usize - self.taken[slot],
            None => 0,
        }
    }

    /// Brings the window that the next row ends to its last row, and computes its recurrent sums.
    fn make_ready(&mut self, net: &LstmNet, kernels: &Kernels) {
        if self.ready || self.n_missing() > 0 {
            return;
        }
        self.project(net, kernels);
        let slot = self.ending();
        if self.lookback > 1 {
            while self.pending(slot) > 0 {
                self.advance(net, kernels, slot, 1);
            }
        }
        for (layer, states) in net.layers.iter().zip(&mut self.layers) {
            let blocks = layer.n_blocks();
            let operand = &mut self.scratch.operand[..blocks];
            let h = &states.h[slot * blocks..][..blocks];
            layer.recurrent_sums(kernels, h, operand, &states.zero, &mut states.sums);
        }
        self.ready = true;
    }

    /// Whether the oldest window and its sums wait for a row.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Says that they do.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Whether the window that the next row ends has still rows before it.
    pub(super) fn is_behind(&self) -> bool {
        !self.ready && self.lookback > 1 && self.pending(self.ending()) > 0
    }

    /// States of zeros for a slot's window that has taken no row.
    fn begin_if_new(&mut self, slot: usize) {
        if self.taken[slot] > 0 {
            return;
        }
        for states in &mut self.layers {
            let blocks = states.sums.len();
            states.h[slot * blocks..][..blocks].fill(Lane::ZERO);
            states.c[slot * blocks..][..blocks].fill(Lane::ZERO);
        }
    }

    /// Makes that window's states ready for its next row; what the first layer makes of the row.
    pub(super) fn begin_row(&mut self, blocks: usize) -> &[[Lane; 4]] {
        self.begin_if_new(self.ending());
        &self.projected[self.next_row(self.ending()) * blocks..][..blocks]
    }

    /// That window has taken the row.
    pub(super) fn count_row(&mut self) {
        let slot = self.ending();
        self.taken[slot] += 1;
    }

    /// Its outputs and cell states in layer `l`.
    pub(super) fn states_mut(&mut self, l: usize, blocks: usize) -> (&mut [Lane], &mut [Lane]) {
        let lanes = self.ending() * blocks..(self.ending() + 1) * blocks;
        let states = &mut self.layers[l];
        (&mut states.h[lanes.clone()], &mut states.c[lanes])
    }

    /// Keeps its recurrent sums in layer `l`.
    pub(super) fn keep_sums(&mut self, l: usize, sums: &[[Lane; 4]]) {
        self.layers[l].sums.copy_from_slice(sums);
    }

    /// Its recurrent sums and cell states in layer `l`, waiting for the last row.
    pub(super) fn awaiting(&self, l: usize, blocks: usize) -> (&[[Lane; 4]], &[Lane]) {
        let states = &self.layers[l];
        (&states.sums, &states.c[self.ending() * blocks..][..blocks])
    }

    /// Where the next row of a slot's window lies.
    fn next_row(&self, slot: usize) -> usize {
        let row = self.begin(slot).unwrap_or(0) + self.taken[slot] as u64;
        (row % self.lookback as u64) as usize
    }

    /// `n` neighbouring windows take one row each.
    fn advance(&mut self, net: &LstmNet, kernels: &Kernels, slot: usize, n: usize) {
        let first = net.layers[0].n_blocks();
        for i in 0..n {
            self.begin_if_new(slot + i);
            let from = &self.projected[self.next_row(slot + i) * first..][..first];
            self.scratch.gates[i * first..][..first].copy_from_slice(from);
            self.taken[slot + i] += 1;
        }
        let Scratch {
            gates,
            sequence,
            operand,
            ..
        } = &mut self.scratch;
        let last = net.layers.len() - 1;
        for (l, (layer, states)) in net.layers.iter().zip(&mut self.layers).enumerate() {
            let blocks = layer.n_blocks();
            let gates = &mut gates[..n * blocks];
            if l > 0 {
                let x = bytemuck::must_cast_slice(&sequence[..n * blocks]);
                layer.project(kernels, x, blocks * LANES, gates);
            }
            let scratch = LstmScratch {
                gates,
                c: &mut states.c[slot * blocks..][..n * blocks],
                h: &mut states.h[slot * blocks..][..n * blocks],
                operand: &mut operand[..n * blocks],
            };
            let to = if l == last {
                &mut [][..]
            } else {
                &mut sequence[..n * blocks]
            };
            layer.recur(kernels, scratch, to, Order::Stacked, n);
        }
    }
}
