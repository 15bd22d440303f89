//! Several banks of one net side by side: the last steps of their windows as one product per layer.
//!
//! An arriving row alone streams every weight of the layers above the first for itself and waits for the cache. With a row of each
//! of up to six banks a weight is loaded once for all. Bits are those of each bank alone: no sum depends on how many rows share
//! a call.

use super::LstmNet;
use super::bank::LstmBank;
use crate::kernels::{Kernels, LastStep, MAX_BATCH};
use crate::layers::{LstmLayer, LstmScratch, Order};
use crate::simd::{LANES, Lane};
use alloc::vec;
use alloc::vec::Vec;
use core::iter::Take;
use core::slice::ChunksExact;

/// A bank and the scaled row that ends one of its windows.
pub(crate) struct Member<'a> {
    pub(crate) bank: &'a mut LstmBank,
    pub(crate) x: &'a [f32],
}

/// Banks of one net that have all rows but the last of a window.
pub(crate) type Members<'a> = [Option<Member<'a>>; MAX_BATCH];

/// Buffers to take up to [`MAX_BATCH`] banks on together.
pub(crate) struct LstmBanks {
    /// `[n, x_stride]`.
    x: Vec<f32>,
    /// `[n, blocks]` each.
    gates: Vec<[Lane; 4]>,
    sums: Vec<[Lane; 4]>,
    c: Vec<Lane>,
    h: Vec<Lane>,
    operand: Vec<Lane>,
    sequence: Vec<Lane>,
    /// `[n, head lanes]`: the answers.
    head: Vec<f32>,
    buffers: [Vec<Lane>; 2],
}

impl LstmNet {
    /// Buffers for several banks.
    pub(crate) fn banks(&self) -> LstmBanks {
        let blocks = self.layers.iter().map(LstmLayer::n_blocks).max().unwrap_or(0);
        let lanes = || vec![Lane::ZERO; MAX_BATCH * blocks];
        let gates = || vec![[Lane::ZERO; 4]; MAX_BATCH * blocks];
        let buffers = self.work(1).head;
        LstmBanks {
            x: vec![0.0; MAX_BATCH * self.x_stride],
            gates: gates(),
            sums: gates(),
            c: lanes(),
            h: lanes(),
            operand: lanes(),
            sequence: lanes(),
            head: vec![0.0; MAX_BATCH * buffers[0].len() * LANES],
            buffers,
        }
    }
}

impl LstmBanks {
    /// Banks in one product, at most.
    pub(crate) const N_MEMBERS: usize = MAX_BATCH;

    /// Head values of each member's window, in order.
    pub(crate) fn answer(
        &mut self,
        net: &LstmNet,
        kernels: &Kernels,
        members: &mut Members<'_>,
    ) -> Take<ChunksExact<'_, f32>> {
        self.make_ready(net, kernels, members);
        let n = members.iter().flatten().count();
        for (l, layer) in net.layers.iter().enumerate() {
            self.last_step(net, kernels, members, layer, l);
        }
        let blocks = net.layers.last().map_or(0, LstmLayer::n_blocks);
        let width = self.buffers[0].len() * LANES;
        for (h, head) in self.h[..n * blocks]
            .chunks_exact(blocks)
            .zip(self.head.chunks_exact_mut(width))
        {
            let z = net.run_head(kernels, h, &mut self.buffers);
            head[..z.len()].copy_from_slice(z);
        }
        self.head.chunks_exact(width).take(n)
    }

    /// One layer of the last step of every member.
    fn last_step(
        &mut self,
        net: &LstmNet,
        kernels: &Kernels,
        members: &Members<'_>,
        layer: &LstmLayer,
        l: usize,
    ) {
        let (blocks, n) = (layer.n_blocks(), members.iter().flatten().count());
        let gates = &mut self.gates[..n * blocks];
        if l == 0 {
            let rows = self.x.chunks_exact_mut(net.x_stride);
            for (to, member) in rows.zip(members.iter().flatten()) {
                to.copy_from_slice(member.x);
            }
            layer.project(kernels, &self.x[..n * net.x_stride], net.x_stride, gates);
        } else {
            let x = bytemuck::must_cast_slice(&self.operand[..n * blocks]);
            layer.project(kernels, x, blocks * LANES, gates);
        }
        for (i, member) in members.iter().flatten().enumerate() {
            let (sums, c) = member.bank.awaiting(l, blocks);
            let own = i * blocks..(i + 1) * blocks;
            let step = LastStep {
                sums,
                c,
                h: &mut self.h[own.clone()],
                operand: &mut self.operand[own.clone()],
            };
            layer.last_cells(kernels, &self.gates[own], step);
        }
    }

    /// Brings each member's window to its last row, and computes its recurrent sums.
    pub(crate) fn make_ready(&mut self, net: &LstmNet, kernels: &Kernels, members: &mut Members<'_>) {
        let waiting = |member: &&mut Member<'_>| !member.bank.is_ready();
        for member in members.iter_mut().flatten().filter(waiting) {
            member.bank.project(net, kernels);
        }
        while self.advance(net, kernels, members) {}
        for (l, layer) in net.layers.iter().enumerate() {
            let blocks = layer.n_blocks();
            let mut n = 0;
            for member in members.iter_mut().flatten().filter(waiting) {
                self.h[n * blocks..][..blocks].copy_from_slice(member.bank.states_mut(l, blocks).0);
                n += 1;
            }
            let Self {
                h,
                operand,
                sums,
                gates,
                ..
            } = self;
            // No bias: zeros as many as a layer has blocks.
            let zero = &mut gates[..blocks];
            zero.fill([Lane::ZERO; 4]);
            let of = (&h[..n * blocks], &mut operand[..n * blocks]);
            layer.recurrent_sums(kernels, of.0, of.1, zero, &mut sums[..n * blocks]);
            let each = members.iter_mut().flatten().filter(waiting);
            for (member, sums) in each.zip(self.sums.chunks_exact(blocks)) {
                member.bank.keep_sums(l, sums);
            }
        }
        for member in members.iter_mut().flatten() {
            member.bank.set_ready();
        }
    }

    /// Each member's window that is behind takes one row; whether one was.
    fn advance(&mut self, net: &LstmNet, kernels: &Kernels, members: &mut Members<'_>) -> bool {
        let behind = |member: &&mut Member<'_>| member.bank.is_behind();
        let last = net.layers.len() - 1;
        let mut n = 0;
        let first = net.layers[0].n_blocks();
        for member in members.iter_mut().flatten().filter(behind) {
            let to = &mut self.gates[n * first..][..first];
            to.copy_from_slice(member.bank.begin_row(first));
            n += 1;
        }
        if n == 0 {
            return false;
        }
        for (l, layer) in net.layers.iter().enumerate() {
            let blocks = layer.n_blocks();
            let each = members.iter_mut().flatten().filter(behind);
            for (i, member) in each.enumerate() {
                let (h, c) = member.bank.states_mut(l, blocks);
                self.h[i * blocks..][..blocks].copy_from_slice(h);
                self.c[i * blocks..][..blocks].copy_from_slice(c);
            }
            self.run_layer(kernels, layer, [l, last], n);
            let each = members.iter_mut().flatten().filter(behind);
            for (i, member) in each.enumerate() {
                let (h, c) = member.bank.states_mut(l, blocks);
                h.copy_from_slice(&self.h[i * blocks..][..blocks]);
                c.copy_from_slice(&self.c[i * blocks..][..blocks]);
            }
        }
        for member in members.iter_mut().flatten().filter(behind) {
            member.bank.count_row();
        }
        true
    }

    /// One step of `n` windows in layer `l` of those up to `last`.
    fn run_layer(&mut self, kernels: &Kernels, layer: &LstmLayer, [l, last]: [usize; 2], n: usize) {
        let lanes = n * layer.n_blocks();
        let gates = &mut self.gates[..lanes];
        if l > 0 {
            let x = bytemuck::must_cast_slice(&self.sequence[..lanes]);
            layer.project(kernels, x, layer.n_blocks() * LANES, gates);
        }
        let scratch = LstmScratch {
            gates,
            c: &mut self.c[..lanes],
            h: &mut self.h[..lanes],
            operand: &mut self.operand[..lanes],
        };
        let to = if l == last {
            &mut [][..]
        } else {
            &mut self.sequence[..lanes]
        };
        layer.recur(kernels, scratch, to, Order::Stacked, n);
    }
}
