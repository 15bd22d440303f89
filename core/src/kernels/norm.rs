//! Layer norm over rows, alone and behind a gate: `LN(a * sigmoid(g) + skip)`.
//!
//! Rows are whole lanes; columns behind the width are zeros and stay zeros. Mean and biased variance in two passes, each over sixteen rows
//! before the next.

use super::activation::{pass_gate, pass_gates};
use crate::simd::{Isa, LANES, Lane};

/// Gain and shift `[lanes, 16]`, zeros behind the width.
#[derive(Clone, Copy)]
pub(crate) struct NormWeights<'a> {
    pub(crate) gain: &'a [Lane],
    pub(crate) shift: &'a [Lane],
    /// Columns that count.
    pub(crate) width: usize,
    pub(crate) eps: f32,
}

/// Rows worked on side by side: a row's own sums, roots and divisions, one after the other, would take longer than its numbers.
const SIDE_BY_SIDE: usize = LANES;

/// What is left to be summed of some rows, a lane of each.
type Sums = [Lane; SIDE_BY_SIDE];

/// Ones in the lanes of the last group that count.
#[inline(always)]
fn tail_mask<I: Isa>(isa: I, width: usize) -> I::F {
    let last = (width - 1) % LANES;
    let mut mask = Lane::ZERO;
    mask.0[..=last].fill(1.0);
    isa.load(&mask)
}

/// The means of `n` rows by their sums.
#[inline(always)]
fn means<I: Isa>(isa: I, norm: NormWeights<'_>, sums: &Sums, n: usize) -> I::F {
    let share = isa.splat(1.0 / norm.width as f32);
    let sums = match n {
        1 => isa.splat(isa.sum(isa.load(&sums[0]))),
        _ => isa.sum_each(sums),
    };
    isa.mul(sums, share)
}

/// At most [`SIDE_BY_SIDE`] rows in place by the sums of their lanes.
#[inline(always)]
fn normalise<I: Isa>(isa: I, norm: NormWeights<'_>, sums: &mut Sums, rows: &mut [Lane]) {
    let mask = tail_mask(isa, norm.width);
    let lanes = norm.gain.len();
    let n = rows.len() / lanes;
    let (mut mean_of, mut inverse_of) = (Lane::ZERO, Lane::ZERO);
    isa.store(means(isa, norm, sums, n), &mut mean_of);
    for (r, row) in rows.chunks_exact(lanes).enumerate() {
        let mean = isa.splat(mean_of.0[r]);
        let mut squares = isa.splat(0.0);
        let (whole, last) = row.split_at(lanes - 1);
        for lane in whole {
            let centred = isa.sub(isa.load(lane), mean);
            squares = isa.mul_acc(centred, centred, squares);
        }
        let centred = isa.mul(isa.sub(isa.load(&last[0]), mean), mask);
        isa.store(isa.mul_acc(centred, centred, squares), &mut sums[r]);
    }
    let deviation = isa.sqrt(isa.add(means(isa, norm, sums, n), isa.splat(norm.eps)));
    isa.store(isa.div(isa.splat(1.0), deviation), &mut inverse_of);
    for (r, row) in rows.chunks_exact_mut(lanes).enumerate() {
        let (mean, inverse) = (isa.splat(mean_of.0[r]), isa.splat(inverse_of.0[r]));
        for (lane, (gain, shift)) in row.iter_mut().zip(norm.gain.iter().zip(norm.shift)) {
            let z = isa.mul(isa.sub(isa.load(lane), mean), inverse);
            isa.store(isa.mul_acc(z, isa.load(gain), isa.load(shift)), lane);
        }
    }
}

/// `x [n, lanes]` in place.
#[inline(always)]
pub(super) fn norm_rows<I: Isa>(isa: I, norm: NormWeights<'_>, x: &mut [Lane]) {
    let lanes = norm.gain.len();
    for rows in x.chunks_mut(SIDE_BY_SIDE * lanes) {
        let mut sums = [Lane::ZERO; SIDE_BY_SIDE];
        for (r, row) in rows.chunks_exact(lanes).enumerate() {
            let mut total = isa.splat(0.0);
            for lane in row {
                total = isa.add(total, isa.load(lane));
            }
            isa.store(total, &mut sums[r]);
        }
        normalise(isa, norm, &mut sums, rows);
    }
}

/// Values and gates of rows `[n, stride]`; the first lanes of a row count.
#[derive(Clone, Copy)]
pub(crate) struct Gated<'a> {
    pub(crate) value: &'a [Lane],
    pub(crate) gate: &'a [Lane],
    pub(crate) stride: usize,
}

impl<'a> Gated<'a> {
    /// One buffer `[n, 2, lanes]`, value half first.
    pub(crate) fn halves(both: &'a [Lane], lanes: usize) -> Self {
        Self {
            value: both,
            gate: &both[lanes..],
            stride: 2 * lanes,
        }
    }
}

/// `out = LN(value * sigmoid(gate) + out)`; `out [n, lanes]` holds the skip.
#[inline(always)]
pub(super) fn gate_norm_rows<I: Isa>(isa: I, norm: NormWeights<'_>, gated: Gated<'_>, out: &mut [Lane]) {
    let lanes = norm.gain.len();
    for (block, rows) in out.chunks_mut(SIDE_BY_SIDE * lanes).enumerate() {
        let mut sums = [Lane::ZERO; SIDE_BY_SIDE];
        for (r, row) in rows.chunks_exact_mut(lanes).enumerate() {
            let at = (block * SIDE_BY_SIDE + r) * gated.stride;
            let (value, gate) = (&gated.value[at..][..lanes], &gated.gate[at..][..lanes]);
            isa.store(add_gated(isa, value, gate, row), &mut sums[r]);
        }
        normalise(isa, norm, &mut sums, rows);
    }
}

/// `row += value * sigmoid(gate)`; the sum of its lanes.
#[inline(always)]
fn add_gated<I: Isa>(isa: I, value: &[Lane], gate: &[Lane], row: &mut [Lane]) -> I::F {
    let mut total = isa.splat(0.0);
    let (pairs, last) = row.as_chunks_mut::<2>();
    let ((values, value), (gates, gate)) = (value.as_chunks::<2>(), gate.as_chunks::<2>());
    for ((out, value), gate) in pairs.iter_mut().zip(values).zip(gates) {
        let value = [isa.load(&value[0]), isa.load(&value[1])];
        let gate = [isa.load(&gate[0]), isa.load(&gate[1])];
        let passed = pass_gates(isa, value, gate);
        for (out, passed) in out.iter_mut().zip(passed) {
            let y = isa.add(passed, isa.load(out));
            total = isa.add(total, y);
            isa.store(y, out);
        }
    }
    for ((out, value), gate) in last.iter_mut().zip(value).zip(gate) {
        let y = isa.add(pass_gate(isa, isa.load(value), isa.load(gate)), isa.load(out));
        total = isa.add(total, y);
        isa.store(y, out);
    }
    total
}

/// `out = LN(out + x)`, rows `[n, lanes]`.
#[inline(always)]
pub(super) fn add_norm_rows<I: Isa>(isa: I, norm: NormWeights<'_>, x: &[Lane], out: &mut [Lane]) {
    for (out, x) in out.iter_mut().zip(x) {
        isa.store(isa.add(isa.load(out), isa.load(x)), out);
    }
    norm_rows(isa, norm, out);
}
