//! Layer norm over rows, alone and behind a gate: `LN(a * sigmoid(g) + skip)`.
//!
//! Rows are whole lanes; columns behind the width are zeros and stay zeros. Mean and biased variance in two passes, both of some rows
//! before the next: a row's own sums and divisions, one after the other, would take longer than its numbers.

use super::activation::pass_gate;
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

/// Rows whose sums lie in one lane: mean and deviation of all of them take one division each, and no row waits for its own.
const SIDE_BY_SIDE: usize = LANES;

/// Ones in the lanes of the last group that count.
#[inline(always)]
fn tail_mask<I: Isa>(isa: I, width: usize) -> I::F {
    let last = (width - 1) % LANES;
    let mut mask = Lane::ZERO;
    mask.0[..=last].fill(1.0);
    isa.load(&mask)
}

/// At most [`SIDE_BY_SIDE`] rows in place, `sums` of their columns known.
#[inline(always)]
fn normalise<I: Isa>(isa: I, norm: NormWeights<'_>, sums: &Lane, rows: &mut [Lane]) {
    let mask = tail_mask(isa, norm.width);
    let (n, count) = (norm.gain.len(), isa.splat(norm.width as f32));
    let (mut means, mut inverses) = (Lane::ZERO, Lane::ZERO);
    isa.store(isa.div(isa.load(sums), count), &mut means);
    for (row, (mean, sum)) in rows.chunks_exact(n).zip(means.0.iter().zip(&mut inverses.0)) {
        let mean = isa.splat(*mean);
        let mut squares = isa.splat(0.0);
        let (whole, last) = row.split_at(n - 1);
        for lane in whole {
            let centred = isa.sub(isa.load(lane), mean);
            squares = isa.mul_acc(centred, centred, squares);
        }
        for lane in last {
            let centred = isa.mul(isa.sub(isa.load(lane), mean), mask);
            squares = isa.mul_acc(centred, centred, squares);
        }
        *sum = isa.sum(squares);
    }
    let variances = isa.add(isa.div(isa.load(&inverses), count), isa.splat(norm.eps));
    isa.store(isa.div(isa.splat(1.0), isa.sqrt(variances)), &mut inverses);
    for (row, (mean, inverse)) in rows.chunks_exact_mut(n).zip(means.0.iter().zip(&inverses.0)) {
        let (mean, inverse) = (isa.splat(*mean), isa.splat(*inverse));
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
        let mut sums = Lane::ZERO;
        for (row, sum) in rows.chunks_exact(lanes).zip(&mut sums.0) {
            let mut total = isa.splat(0.0);
            for lane in row {
                total = isa.add(total, isa.load(lane));
            }
            *sum = isa.sum(total);
        }
        normalise(isa, norm, &sums, rows);
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
    let (lanes, stride) = (norm.gain.len(), gated.stride);
    let halves = gated
        .value
        .chunks(SIDE_BY_SIDE * stride)
        .zip(gated.gate.chunks(SIDE_BY_SIDE * stride));
    for ((values, gates), rows) in halves.zip(out.chunks_mut(SIDE_BY_SIDE * lanes)) {
        let mut sums = Lane::ZERO;
        let halves = values.chunks(stride).zip(gates.chunks(stride));
        for (((value, gate), row), sum) in halves.zip(rows.chunks_exact_mut(lanes)).zip(&mut sums.0) {
            let mut total = isa.splat(0.0);
            for ((out, value), gate) in row.iter_mut().zip(value).zip(gate) {
                let y = isa.add(pass_gate(isa, isa.load(value), isa.load(gate)), isa.load(out));
                total = isa.add(total, y);
                isa.store(y, out);
            }
            *sum = isa.sum(total);
        }
        normalise(isa, norm, &sums, rows);
    }
}

/// `out = LN(out + x)`, rows `[n, lanes]`.
#[inline(always)]
pub(super) fn add_norm_rows<I: Isa>(isa: I, norm: NormWeights<'_>, x: &[Lane], out: &mut [Lane]) {
    for (out, x) in out.iter_mut().zip(x) {
        isa.store(isa.add(isa.load(out), isa.load(x)), out);
    }
    norm_rows(isa, norm, out);
}
