//! The recurrence of an LSTM layer, the gates of all steps already projected.
//!
//! Per step, with `G = b + W x_t` given and gate order i, f, g, o:
//!
//! `S = R h` (a chain over k from zero), `[i f g o] = G + S`,
//! `c = sigmoid(f) c + sigmoid(i) tanh(g)`, `h = sigmoid(o) tanh(c)`.
//!
//! `G` and `S` are two sums added once, so that either may be computed before the other without changing a bit: the
//! whole window knows `G` first, an arriving row knows `S` first. One pass over `BLOCKS` blocks keeps all their gates
//! in registers and ends in the cell; several windows at once share every weight loaded instead.

use super::activation::cell;
use super::gates::{Gates, Rows, STATE_UNIT, block_sums, four, tile_height};
use super::state::State;
use crate::simd::{Isa, LANES, Lane};

/// Most windows that advance side by side.
pub(crate) const MAX_BATCH: usize = 6;

/// What the recurrence of one layer works on; `n_batch` (1 to [`MAX_BATCH`]) windows side by side.
pub(crate) struct Recurrence<'a> {
    /// `[steps, n_batch, blocks, 4, 16]`: `b + W x`.
    pub(crate) gates: &'a [[Lane; 4]],
    /// `[n_batch, blocks, 16]`: cell state, updated.
    pub(crate) c: &'a mut [Lane],
    /// `[n_batch, blocks, 16]`: output state in f32, updated.
    pub(crate) h: &'a mut [Lane],
    /// `[steps, n_batch, blocks, 16]`: outputs of every step; empty if nobody reads them.
    pub(crate) sequence: &'a mut [Lane],
    /// Whether the sequence holds outputs in f32, instead of as the next layer's product reads them.
    pub(crate) raw: bool,
    /// Whether time runs backwards, from the last step to the first.
    pub(crate) reverse: bool,
    /// `[n_batch, blocks, 16]`: scratch for the output state as the product reads it.
    pub(crate) operand: &'a mut [Lane],
    /// Windows.
    pub(crate) n_batch: usize,
}

/// Runs all steps. `n_k` is the number of packed k of the recurrent weights (f32: H; bf16, i16: H / 2 rounded up).
#[inline(always)]
pub(super) fn run<I: Isa, W: State<I>>(isa: I, weights: Gates<'_, W>, n_k: usize, state: Recurrence<'_>) {
    let Recurrence {
        gates,
        c,
        h,
        sequence,
        raw,
        reverse,
        operand,
        n_batch,
    } = state;
    let lanes_per_step = h.len();
    let n_steps = gates.len() / lanes_per_step;
    let keep = !sequence.is_empty();
    let n_blocks = lanes_per_step / n_batch;
    let mut units = [STATE_UNIT; MAX_BATCH];
    let windows = h.chunks_exact(n_blocks).zip(operand.chunks_exact_mut(n_blocks));
    for ((h, operand), unit) in windows.zip(&mut units) {
        *unit = W::encode_any(isa, h, operand);
    }
    for step_index in 0..n_steps {
        let t = if reverse {
            n_steps - 1 - step_index
        } else {
            step_index
        };
        let gates = &gates[t * lanes_per_step..][..lanes_per_step];
        let rows = Rows {
            x: bytemuck::cast_slice::<Lane, W::X>(operand),
            stride: n_blocks * LANES * size_of::<f32>() / size_of::<W::X>(),
            n_k,
            units: &units[..n_batch],
        };
        step::<I, W>(isa, weights, gates, rows, c, h, step_index % 2 == 1);
        encode::<I, W>(isa, n_blocks, h, operand);
        units = [STATE_UNIT; MAX_BATCH];
        if keep {
            let from = if raw { &*h } else { &*operand };
            sequence[t * lanes_per_step..][..lanes_per_step].copy_from_slice(from);
        }
    }
}

/// The last step of a window whose recurrent sums `S = R h` are known already.
pub(crate) struct LastStep<'a> {
    /// `[blocks, 4, 16]`: S.
    pub(crate) sums: &'a [[Lane; 4]],
    /// `[blocks, 16]`: cell state before; not changed.
    pub(crate) c: &'a [Lane],
    /// `[blocks, 16]`: outputs.
    pub(crate) h: &'a mut [Lane],
    /// `[blocks, 16]`: outputs as the next layer's product reads them; empty if nobody does.
    pub(crate) operand: &'a mut [Lane],
}

/// `G = b + W x` of one row in units of `x_unit`, `BLOCKS` blocks at a time, each group ending in the cell.
#[inline(always)]
pub(super) fn last_step<I: Isa, W: State<I>>(
    isa: I,
    weights: Gates<'_, W>,
    bias: &[[Lane; 4]],
    x: &[W::X],
    x_unit: f32,
    step: &mut LastStep<'_>,
) {
    let n_blocks = bias.len();
    let n_groups = n_blocks.div_ceil(group_width::<I, W>(n_blocks, x.len()));
    for index in 0..n_groups {
        let at = group_begin(n_blocks, n_groups, index);
        let take = group_begin(n_blocks, n_groups, index + 1) - at;
        match take.min(I::BLOCKS) {
            4 => arrive::<I, W, 4>(isa, weights, bias, (x, x_unit), at, step),
            3 => arrive::<I, W, 3>(isa, weights, bias, (x, x_unit), at, step),
            2 => arrive::<I, W, 2>(isa, weights, bias, (x, x_unit), at, step),
            _ => arrive::<I, W, 1>(isa, weights, bias, (x, x_unit), at, step),
        }
    }
    encode::<I, W>(isa, n_blocks, step.h, step.operand);
}

/// The cells of one window, both sums of its last step known.
#[inline(always)]
pub(super) fn last_cells<I: Isa, W: State<I>>(isa: I, gates: &[[Lane; 4]], step: &mut LastStep<'_>) {
    for (at, gates) in gates.iter().enumerate() {
        let sums: [I::F; 4] = four(|gate| isa.load(&step.sums[at][gate]));
        let mut c = step.c[at];
        finish(isa, gates, sums, &mut c, &mut step.h[at]);
    }
    encode::<I, W>(isa, gates.len(), step.h, step.operand);
}

/// `B` blocks from block `at` on.
#[inline(always)]
fn arrive<I: Isa, W: State<I>, const B: usize>(
    isa: I,
    weights: Gates<'_, W>,
    bias: &[[Lane; 4]],
    (x, x_unit): (&[W::X], f32),
    at: usize,
    step: &mut LastStep<'_>,
) {
    let n_k = x.len();
    let blocks: [&[[W; 4]]; B] = core::array::from_fn(|b| &weights.panels[(at + b) * n_k..][..n_k]);
    let bias = &bias[at..][..B];
    let start = |b: usize, gate: usize| W::begin(isa, isa.load(&bias[b][gate]));
    let mut acc: [[W::Sum; 4]; B] = core::array::from_fn(|b| four(|gate| start(b, gate)));
    for (k, x) in x.iter().enumerate() {
        let x = W::splat(isa, x);
        for b in 0..B {
            for gate in 0..4 {
                acc[b][gate] = blocks[b][k][gate].mul_acc(isa, x, acc[b][gate]);
            }
        }
    }
    for (b, acc) in acc.into_iter().enumerate() {
        let (units, mut c) = (weights.units(isa, at + b, x_unit), step.c[at + b]);
        let gates = four(|gate| W::end(isa, acc[gate], units[gate], isa.load(&bias[b][gate])));
        finish(isa, &step.sums[at + b], gates, &mut c, &mut step.h[at + b]);
    }
}

/// Output states of windows of `n_blocks` as their products read them.
#[inline(always)]
pub(super) fn encode<I: Isa, W: State<I>>(isa: I, n_blocks: usize, h: &[Lane], operand: &mut [Lane]) {
    for (h, operand) in h.chunks_exact(n_blocks).zip(operand.chunks_exact_mut(n_blocks)) {
        W::encode(isa, h, operand);
    }
}

/// One step of as many windows as `rows` have units.
#[inline(always)]
fn step<I: Isa, W: State<I>>(
    isa: I,
    weights: Gates<'_, W>,
    gates: &[[Lane; 4]],
    rows: Rows<'_, W::X>,
    c: &mut [Lane],
    h: &mut [Lane],
    backwards: bool,
) {
    let n_windows = rows.units.len();
    let n_blocks = h.len() / n_windows;
    let mut at = 0;
    while at < n_windows {
        let height = tile_height::<I>(n_windows - at);
        let own = at * n_blocks..(at + height) * n_blocks;
        let (rows, gates) = (rows.from(at), &gates[own.clone()]);
        let (c, h) = (&mut c[own.clone()], &mut h[own]);
        match height {
            6 => windows::<I, W, 6>(isa, weights, gates, rows, c, h),
            3 => windows::<I, W, 3>(isa, weights, gates, rows, c, h),
            2 => windows::<I, W, 2>(isa, weights, gates, rows, c, h),
            _ => one_window::<I, W>(isa, weights, gates, rows, c, h, backwards),
        }
        at += height;
    }
}

/// `R` windows, one block at a time.
#[inline(always)]
fn windows<I: Isa, W: State<I>, const R: usize>(
    isa: I,
    weights: Gates<'_, W>,
    gates: &[[Lane; 4]],
    rows: Rows<'_, W::X>,
    c: &mut [Lane],
    h: &mut [Lane],
) {
    let n_blocks = h.len() / R;
    let zero = isa.splat(0.0);
    for (block, panels) in weights.panels.chunks_exact(rows.n_k).enumerate() {
        let sums = block_sums::<I, W, R>(isa, panels, rows, [[W::begin(isa, zero); 4]; R]);
        for (window, sums) in sums.into_iter().enumerate() {
            let at = window * n_blocks + block;
            let units = weights.units(isa, block, rows.unit(window));
            let sums = four(|gate| W::end(isa, sums[gate], units[gate], zero));
            finish(isa, &gates[at], sums, &mut c[at], &mut h[at]);
        }
    }
}

/// Where the groups of blocks begin that one pass each takes, as equal as `width` allows: a rest of one block would starve the
/// multipliers.
#[inline(always)]
fn group_begin(n_blocks: usize, n_groups: usize, group: usize) -> usize {
    group * n_blocks / n_groups
}

/// Bytes of weights that a nearest cache of 48 KiB keeps from one step to the next.
const NEAR: usize = 40 << 10;

/// Blocks that one pass takes: as many as registers hold, but two where two stay in the nearest cache and all do not.
#[inline(always)]
fn group_width<I: Isa, W>(n_blocks: usize, n_k: usize) -> usize {
    let block = n_k * size_of::<[W; 4]>();
    if n_blocks * block > NEAR && 2 * block <= NEAR {
        I::BLOCKS.min(2)
    } else {
        I::BLOCKS
    }
}

/// All blocks of one window, a group at a time; from the last one on if `backwards`, so that a step begins with the weights that the
/// step before ended with.
#[inline(always)]
fn one_window<I: Isa, W: State<I>>(
    isa: I,
    weights: Gates<'_, W>,
    gates: &[[Lane; 4]],
    rows: Rows<'_, W::X>,
    c: &mut [Lane],
    h: &mut [Lane],
    backwards: bool,
) {
    let (n_blocks, x) = (h.len(), (&rows.x[..rows.n_k], rows.unit(0)));
    let n_groups = n_blocks.div_ceil(group_width::<I, W>(n_blocks, x.0.len()));
    for index in 0..n_groups {
        let index = if backwards { n_groups - 1 - index } else { index };
        let at = group_begin(n_blocks, n_groups, index);
        let take = group_begin(n_blocks, n_groups, index + 1) - at;
        let (g, c, h) = (&gates[at..][..take], &mut c[at..][..take], &mut h[at..][..take]);
        match take.min(I::BLOCKS) {
            4 => group::<I, W, 4>(isa, weights, at, g, x, c, h),
            3 => group::<I, W, 3>(isa, weights, at, g, x, c, h),
            2 => group::<I, W, 2>(isa, weights, at, g, x, c, h),
            _ => group::<I, W, 1>(isa, weights, at, g, x, c, h),
        }
    }
}

/// `B` blocks of one window from block `at` on: `4 B` accumulators, then the cell.
#[inline(always)]
fn group<I: Isa, W: State<I>, const B: usize>(
    isa: I,
    weights: Gates<'_, W>,
    at: usize,
    gates: &[[Lane; 4]],
    (x, x_unit): (&[W::X], f32),
    c: &mut [Lane],
    h: &mut [Lane],
) {
    let (n_k, zero) = (x.len(), isa.splat(0.0));
    let blocks: [&[[W; 4]]; B] = core::array::from_fn(|b| &weights.panels[(at + b) * n_k..][..n_k]);
    let mut acc = [[W::begin(isa, zero); 4]; B];
    for (k, x) in x.iter().enumerate() {
        let x = W::splat(isa, x);
        for b in 0..B {
            for gate in 0..4 {
                acc[b][gate] = blocks[b][k][gate].mul_acc(isa, x, acc[b][gate]);
            }
        }
    }
    for (b, acc) in acc.into_iter().enumerate() {
        let units = weights.units(isa, at + b, x_unit);
        let sums = four(|gate| W::end(isa, acc[gate], units[gate], zero));
        finish(isa, &gates[b], sums, &mut c[b], &mut h[b]);
    }
}

/// Gates from both sums, then the cell of sixteen units.
#[inline(always)]
fn finish<I: Isa>(isa: I, gates: &[Lane; 4], sums: [I::F; 4], c: &mut Lane, h: &mut Lane) {
    if I::IS_PLAIN {
        finish_apart(isa, gates, sums, c, h);
    } else {
        finish_here(isa, gates, sums, c, h);
    }
}

/// The same as a function of its own: plain instructions are many, and every kernel would have them many times.
#[inline(never)]
fn finish_apart<I: Isa>(isa: I, gates: &[Lane; 4], sums: [I::F; 4], c: &mut Lane, h: &mut Lane) {
    finish_here(isa, gates, sums, c, h);
}

#[inline(always)]
fn finish_here<I: Isa>(isa: I, gates: &[Lane; 4], sums: [I::F; 4], c: &mut Lane, h: &mut Lane) {
    let pre: [I::F; 4] = four(|gate| isa.add(isa.load(&gates[gate]), sums[gate]));
    let (next, output) = cell(isa, pre, isa.load(c));
    isa.store(next, c);
    isa.store(output, h);
}
