//! Rows of activations as integers in pairs, for layers whose weights are i16.

use super::SLICE;
use crate::kernels::{Kernels, LINEAR_ROWS};

/// Numbers of a row, at most: a layer of integers has no more inputs.
pub(crate) const MAX_ROUNDED: usize = 1024;

/// Numbers of a row that has a small buffer of its own, at most.
const NARROW: usize = 128;

/// Words of the widest row.
const WIDE: usize = MAX_ROUNDED / 2;

/// Words of rows, their units, and the words between two rows.
pub(super) struct Rounded<'a> {
    pub(super) words: &'a [u32],
    pub(super) units: &'a [f32],
    pub(super) stride: usize,
}

/// Hands some of the `n_rows` rows at a time, `[n_in]` every `stride`, to `each`, with the first row's number.
pub(super) fn for_rounded(
    kernels: &Kernels,
    x: &[f32],
    sizes @ [_, n_in, n_rows]: [usize; 3],
    mut each: impl FnMut(usize, Rounded<'_>),
) {
    if n_rows == 1 {
        return with_rounded(kernels, &x[..n_in], |words, unit| {
            let (units, stride) = (&[unit], words.len());
            each(0, Rounded { words, units, stride });
        });
    }
    // Clearing room for the widest row takes longer than rounding a narrow one.
    match n_in {
        ..=NARROW => sets::<{ NARROW / 2 }, SLICE>(kernels, x, sizes, each),
        _ => sets::<WIDE, LINEAR_ROWS>(kernels, x, sizes, each),
    }
}

/// [`for_rounded`] for rows of at most `W` words, `ROWS` at a time.
fn sets<const W: usize, const ROWS: usize>(
    kernels: &Kernels,
    x: &[f32],
    [stride, n_in, n_rows]: [usize; 3],
    mut each: impl FnMut(usize, Rounded<'_>),
) {
    let mut words = [[0; W]; ROWS];
    let mut units = [0.0; ROWS];
    for first in (0..n_rows).step_by(ROWS) {
        let n = (n_rows - first).min(ROWS);
        let (words, units) = (words[..n].as_flattened_mut(), &mut units[..n]);
        kernels.round_rows(&x[first * stride..], stride, n_in, words, units);
        each(
            first,
            Rounded {
                words,
                units,
                stride: W,
            },
        );
    }
}

/// Hands one row's words and unit to `then`.
pub(super) fn with_rounded(kernels: &Kernels, x: &[f32], then: impl FnOnce(&[u32], f32)) {
    match x.len() {
        ..=NARROW => rounded::<{ NARROW / 2 }>(kernels, x, then),
        _ => rounded::<WIDE>(kernels, x, then),
    }
}

/// The same in `W` words.
fn rounded<const W: usize>(kernels: &Kernels, x: &[f32], then: impl FnOnce(&[u32], f32)) {
    let mut words = [0; W];
    let mut unit = [0.0];
    kernels.round_rows(x, x.len(), x.len(), &mut words, &mut unit);
    then(&words[..x.len().div_ceil(2)], unit[0]);
}
