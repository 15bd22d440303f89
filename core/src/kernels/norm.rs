//! Layer norm over rows, alone and behind a gate: `LN(a * sigmoid(g) + skip)`.
//!
//! Rows are whole lanes; columns behind the width are zeros and stay zeros. Mean and biased variance in two passes over
//! registers' worth of data, `1 / sqrt(var + eps)` once per row.

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

/// Ones in the lanes of the last group that count.
#[inline(always)]
fn tail_mask<I: Isa>(isa: I, width: usize) -> I::F {
    let last = (width - 1) % LANES;
    let mut mask = Lane::ZERO;
    mask.0[..=last].fill(1.0);
    isa.load(&mask)
}

/// One row in place.
#[inline(always)]
fn normalise<I: Isa>(isa: I, norm: NormWeights<'_>, mask: I::F, row: &mut [Lane]) {
    let n = row.len();
    let mut total = isa.splat(0.0);
    for lane in row.iter() {
        total = isa.add(total, isa.load(lane));
    }
    let count = norm.width as f32;
    let mean = isa.splat(isa.sum(total) / count);
    let mut squares = isa.splat(0.0);
    for (i, lane) in row.iter_mut().enumerate() {
        let mut centred = isa.sub(isa.load(lane), mean);
        if i + 1 == n {
            centred = isa.mul(centred, mask);
        }
        squares = isa.mul_acc(centred, centred, squares);
        isa.store(centred, lane);
    }
    let variance = isa.splat(isa.sum(squares) / count + norm.eps);
    let inverse = isa.div(isa.splat(1.0), isa.sqrt(variance));
    for (lane, (gain, shift)) in row.iter_mut().zip(norm.gain.iter().zip(norm.shift)) {
        let z = isa.mul(isa.load(lane), inverse);
        isa.store(isa.mul_acc(z, isa.load(gain), isa.load(shift)), lane);
    }
}

/// `x [n, lanes]` in place.
#[inline(always)]
pub(super) fn norm_rows<I: Isa>(isa: I, norm: NormWeights<'_>, x: &mut [Lane]) {
    let mask = tail_mask(isa, norm.width);
    for row in x.chunks_exact_mut(norm.gain.len()) {
        normalise(isa, norm, mask, row);
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
    let (mask, lanes) = (tail_mask(isa, norm.width), norm.gain.len());
    let halves = gated
        .value
        .chunks(gated.stride)
        .zip(gated.gate.chunks(gated.stride));
    for ((value, gate), out) in halves.zip(out.chunks_exact_mut(lanes)) {
        for ((out, value), gate) in out.iter_mut().zip(value).zip(gate) {
            let passed = pass_gate(isa, isa.load(value), isa.load(gate));
            isa.store(isa.add(passed, isa.load(out)), out);
        }
        normalise(isa, norm, mask, out);
    }
}

/// `out = LN(out + x)`, rows `[n, lanes]`.
#[inline(always)]
pub(super) fn add_norm_rows<I: Isa>(isa: I, norm: NormWeights<'_>, x: &[Lane], out: &mut [Lane]) {
    let (mask, lanes) = (tail_mask(isa, norm.width), norm.gain.len());
    for (x, out) in x.chunks_exact(lanes).zip(out.chunks_exact_mut(lanes)) {
        for (out, x) in out.iter_mut().zip(x) {
            isa.store(isa.add(isa.load(out), isa.load(x)), out);
        }
        normalise(isa, norm, mask, out);
    }
}
