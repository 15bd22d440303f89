//! A dense layer on one row: `out = b + W x`.
//!
//! Weights `[panels, n_k, 16]`. Every output is four chains (packed k modulo 4), added as `(0 + 1) + (2 + 3)`, then
//! the bias: one panel alone would otherwise wait for its own latency.

use super::panel::Panel;
use crate::simd::{Isa, Lane};

const CHAINS: usize = 4;

/// `out [panels, 16] = bias [panels, 16] + W x [n_k]`; `n_k` counts f32, or pairs for bf16.
#[inline(always)]
pub(super) fn dense<I: Isa, W: Panel<I>>(isa: I, weights: &[W], bias: &[Lane], x: &[W::X], out: &mut [Lane]) {
    let n_k = x.len();
    let mut at = 0;
    while at < bias.len() {
        let take = (bias.len() - at).min(I::BLOCKS);
        let w = &weights[at * n_k..][..take * n_k];
        let (bias, out) = (&bias[at..][..take], &mut out[at..][..take]);
        match take {
            4 => group::<I, W, 4>(isa, w, bias, x, out),
            3 => group::<I, W, 3>(isa, w, bias, x, out),
            2 => group::<I, W, 2>(isa, w, bias, x, out),
            _ => group::<I, W, 1>(isa, w, bias, x, out),
        }
        at += take;
    }
}

/// `P` panels: `4 P` accumulators.
#[inline(always)]
fn group<I: Isa, W: Panel<I>, const P: usize>(
    isa: I,
    weights: &[W],
    bias: &[Lane],
    x: &[W::X],
    out: &mut [Lane],
) {
    let n_k = x.len();
    let panels: [&[W]; P] = core::array::from_fn(|p| &weights[p * n_k..][..n_k]);
    let sums = four_chains::<I, W, P>(isa, panels, x);
    for (p, sum) in sums.into_iter().enumerate() {
        let sum = W::end(isa, sum, W::unit(isa, None, 1.0), isa.splat(0.0));
        isa.store(isa.add(sum, isa.load(&bias[p])), &mut out[p]);
    }
}

/// `W x` of `P` panels.
#[inline(always)]
pub(super) fn four_chains<I: Isa, W: Panel<I>, const P: usize>(
    isa: I,
    panels: [&[W]; P],
    x: &[W::X],
) -> [W::Sum; P] {
    let panels = panels.map(|panel| &panel[..x.len()]);
    let zero = W::begin(isa, isa.splat(0.0));
    let mut acc = [[zero; CHAINS]; P];
    let (fours, rest) = x.as_chunks::<CHAINS>();
    for (i, four) in fours.iter().enumerate() {
        for chain in 0..CHAINS {
            let b = W::splat(isa, &four[chain]);
            for p in 0..P {
                acc[p][chain] = panels[p][i * CHAINS + chain].mul_acc(isa, b, acc[p][chain]);
            }
        }
    }
    let done = x.len() - rest.len();
    for (chain, x) in rest.iter().enumerate() {
        let b = W::splat(isa, x);
        for p in 0..P {
            acc[p][chain] = panels[p][done + chain].mul_acc(isa, b, acc[p][chain]);
        }
    }
    acc.map(|[a, b, c, d]| W::join(isa, W::join(isa, a, b), W::join(isa, c, d)))
}
