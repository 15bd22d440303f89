//! A dense layer on many rows: `out[r] = b + W x[r]`.
//!
//! Weights `[panels, n_k, 16]`. A tile of rows and panels shares every weight and every activation it loads. Each output
//! is one chain over k from the bias on, so neither the tile nor the number of rows changes a bit; sums of integers have no order,
//! and a row alone takes four chains of them.

use super::dense::four_chains;
use super::gates::Rows;
use super::panel::Panel;
use crate::simd::{Isa, Lane};

/// Rows of a tile.
pub(crate) const LINEAR_ROWS: usize = 6;

/// Weights `[panels, n_k, 16]`, and of integers the unit of every output `[panels, 16]`.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a, W> {
    pub(super) panels: &'a [W],
    pub(super) units: &'a [Lane],
}

impl<'a, W> Panels<'a, W> {
    /// Floats.
    #[inline(always)]
    pub(super) fn floats(panels: &'a [W]) -> Self {
        Self { panels, units: &[] }
    }
}

/// `out [n, panels, 16] = bias [panels, 16] + W x [n, n_k]`; rows of `out` lie `panels` lanes apart.
#[inline(always)]
pub(super) fn linear<I: Isa, W: Panel<I>>(
    isa: I,
    weights: Panels<'_, W>,
    bias: &[Lane],
    rows: Rows<'_, W::X>,
    out: &mut [Lane],
) {
    let n_panels = bias.len();
    let mut at = 0;
    while at < n_panels {
        // Three are two and one, so that few forms need be compiled.
        let take = match (n_panels - at).min(I::BLOCKS) {
            3 => 2,
            take => take,
        };
        match take {
            4 => group::<I, W, 4>(isa, weights, bias, at, rows, out),
            2 => group::<I, W, 2>(isa, weights, bias, at, rows, out),
            _ => group::<I, W, 1>(isa, weights, bias, at, rows, out),
        }
        at += take;
    }
}

/// `P` panels of all rows, from panel `at` on.
#[inline(always)]
fn group<I: Isa, W: Panel<I>, const P: usize>(
    isa: I,
    weights: Panels<'_, W>,
    bias: &[Lane],
    at: usize,
    rows: Rows<'_, W::X>,
    out: &mut [Lane],
) {
    let n_panels = bias.len();
    let n_rows = out.len() / n_panels;
    let mut row = 0;
    while row < n_rows {
        let rows = rows.from(row);
        let out = &mut out[row * n_panels..];
        row += match n_rows - row {
            LINEAR_ROWS.. => tile::<I, W, P, LINEAR_ROWS>(isa, weights, bias, at, rows, out),
            3..LINEAR_ROWS => tile::<I, W, P, 3>(isa, weights, bias, at, rows, out),
            _ => tile::<I, W, P, 1>(isa, weights, bias, at, rows, out),
        };
    }
}

/// `R` rows of `P` panels; returns `R`.
#[inline(always)]
fn tile<I: Isa, W: Panel<I>, const P: usize, const R: usize>(
    isa: I,
    weights: Panels<'_, W>,
    bias: &[Lane],
    at: usize,
    rows: Rows<'_, W::X>,
    out: &mut [Lane],
) -> usize {
    let n_k = rows.n_k;
    let panels: [&[W]; P] = core::array::from_fn(|p| &weights.panels[(at + p) * n_k..][..n_k]);
    let start: [I::F; P] = core::array::from_fn(|p| isa.load(&bias[at + p]));
    let sums = if R == 1 && !W::IS_ORDERED {
        [four_chains::<I, W, P>(isa, panels, &rows.x[..n_k]); R]
    } else {
        let begin = core::array::from_fn(|p| W::begin(isa, start[p]));
        panel_sums::<I, W, P, R>(isa, panels, rows, [begin; R])
    };
    for (r, sums) in sums.into_iter().enumerate() {
        let to = &mut out[r * bias.len() + at..][..P];
        for (p, to) in to.iter_mut().enumerate() {
            let unit = W::unit(isa, weights.units.get(at + p), rows.unit(r));
            isa.store(W::end(isa, sums[p], unit, start[p]), to);
        }
    }
    R
}

/// `P` panels of `R` rows: `acc[r] + W x[r]`.
#[inline(always)]
fn panel_sums<I: Isa, W: Panel<I>, const P: usize, const R: usize>(
    isa: I,
    panels: [&[W]; P],
    rows: Rows<'_, W::X>,
    mut acc: [[W::Sum; P]; R],
) -> [[W::Sum; P]; R] {
    let x: [&[W::X]; R] = core::array::from_fn(|r| &rows.x[r * rows.stride..][..rows.n_k]);
    let panels = panels.map(|panel| &panel[..rows.n_k]);
    for k in 0..rows.n_k {
        for (r, acc) in acc.iter_mut().enumerate() {
            let b = W::splat(isa, &x[r][k]);
            for p in 0..P {
                acc[p] = panels[p][k].mul_acc(isa, b, acc[p]);
            }
        }
    }
    acc
}
