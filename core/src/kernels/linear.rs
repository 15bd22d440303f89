//! A dense layer on many rows: `out[r] = b + W x[r]`.
//!
//! Weights `[panels, n_k, 16]`. A tile of rows and panels shares every weight and every activation it loads. Each output
//! is one chain over k from the bias on, so neither the tile nor the number of rows changes a bit.

use super::gates::Rows;
use super::panel::Panel;
use crate::simd::{Isa, Lane};

/// Rows of a tile.
pub(crate) const LINEAR_ROWS: usize = 6;

/// `out [n, panels, 16] = bias [panels, 16] + W x [n, n_k]`; rows of `out` lie `panels` lanes apart.
#[inline(always)]
pub(super) fn linear<I: Isa, W: Panel<I>>(
    isa: I,
    weights: &[W],
    bias: &[Lane],
    rows: Rows<'_, W::X>,
    out: &mut [Lane],
) {
    let n_panels = bias.len();
    let mut at = 0;
    while at < n_panels {
        let take = (n_panels - at).min(I::BLOCKS);
        let w = &weights[at * rows.n_k..][..take * rows.n_k];
        let columns = Columns { at, n_panels };
        match take {
            4 => group::<I, W, 4>(isa, w, &bias[at..], rows, columns, out),
            3 => group::<I, W, 3>(isa, w, &bias[at..], rows, columns, out),
            2 => group::<I, W, 2>(isa, w, &bias[at..], rows, columns, out),
            _ => group::<I, W, 1>(isa, w, &bias[at..], rows, columns, out),
        }
        at += take;
    }
}

/// Which panels of a row a group writes.
#[derive(Clone, Copy)]
struct Columns {
    at: usize,
    n_panels: usize,
}

/// `P` panels of all rows.
#[inline(always)]
fn group<I: Isa, W: Panel<I>, const P: usize>(
    isa: I,
    weights: &[W],
    bias: &[Lane],
    rows: Rows<'_, W::X>,
    columns: Columns,
    out: &mut [Lane],
) {
    let n_rows = out.len() / columns.n_panels;
    let mut row = 0;
    while row < n_rows {
        let x = &rows.x[row * rows.stride..];
        let rows = Rows { x, ..rows };
        let out = &mut out[row * columns.n_panels..];
        row += match n_rows - row {
            LINEAR_ROWS.. => tile::<I, W, P, LINEAR_ROWS>(isa, weights, bias, rows, columns, out),
            3..LINEAR_ROWS => tile::<I, W, P, 3>(isa, weights, bias, rows, columns, out),
            _ => tile::<I, W, P, 1>(isa, weights, bias, rows, columns, out),
        };
    }
}

/// `R` rows of `P` panels; returns `R`.
#[inline(always)]
fn tile<I: Isa, W: Panel<I>, const P: usize, const R: usize>(
    isa: I,
    weights: &[W],
    bias: &[Lane],
    rows: Rows<'_, W::X>,
    columns: Columns,
    out: &mut [Lane],
) -> usize {
    let panels: [&[W]; P] = core::array::from_fn(|p| &weights[p * rows.n_k..][..rows.n_k]);
    let start: [I::F; P] = core::array::from_fn(|p| isa.load(&bias[p]));
    let begin = core::array::from_fn(|p| W::begin(isa, start[p]));
    let sums = panel_sums::<I, W, P, R>(isa, panels, rows, [begin; R]);
    for (r, sums) in sums.into_iter().enumerate() {
        let to = &mut out[r * columns.n_panels + columns.at..][..P];
        for (p, to) in to.iter_mut().enumerate() {
            isa.store(W::end(isa, sums[p], W::unit(isa, None, 1.0), start[p]), to);
        }
    }
    R
}

/// `P` panels of `R` rows: `acc[r] + W x[r]`.
#[inline(always)]
pub(super) fn panel_sums<I: Isa, W: Panel<I>, const P: usize, const R: usize>(
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
