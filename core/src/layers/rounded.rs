//! Rows of activations as integers in pairs, for layers whose weights are i16.

use crate::kernels::{Kernels, LINEAR_ROWS};

/// Numbers of a row, at most: a layer of integers has no more inputs.
pub(crate) const MAX_ROUNDED: usize = 1024;

/// Rows rounded together where there are many.
const ROUNDED_ROWS: usize = LINEAR_ROWS;

/// Numbers of a row that has a small buffer of its own, at most.
const NARROW: usize = 128;

/// Words between two rows.
pub(super) const STRIDE: usize = MAX_ROUNDED / 2;

/// Hands some of the `n_rows` rows at a time, `[n_in]` every `stride`, to `each`: the first row's number, the words of each row
/// every [`STRIDE`] (of one row alone no more than there are) and their units.
pub(super) fn for_rounded(
    kernels: &Kernels,
    x: &[f32],
    [stride, n_in, n_rows]: [usize; 3],
    mut each: impl FnMut(usize, &[u32], &[f32]),
) {
    if n_rows == 1 {
        return with_rounded(kernels, &x[..n_in], |words, unit| each(0, words, &[unit]));
    }
    let mut words = [[0; STRIDE]; ROUNDED_ROWS];
    let mut units = [0.0; ROUNDED_ROWS];
    for first in (0..n_rows).step_by(ROUNDED_ROWS) {
        let n = (n_rows - first).min(ROUNDED_ROWS);
        let rows = words.iter_mut().zip(&mut units);
        for (row, (words, unit)) in rows.take(n).enumerate() {
            *unit = kernels.round_row(&x[(first + row) * stride..][..n_in], words);
        }
        each(first, words.as_flattened(), &units[..n]);
    }
}

/// Hands one row's words and unit to `then`.
pub(super) fn with_rounded(kernels: &Kernels, x: &[f32], then: impl FnOnce(&[u32], f32)) {
    // Clearing room for the widest row takes longer than rounding a narrow one.
    match x.len() {
        ..=NARROW => rounded::<{ NARROW / 2 }>(kernels, x, then),
        _ => rounded::<STRIDE>(kernels, x, then),
    }
}

/// The same in `W` words.
fn rounded<const W: usize>(kernels: &Kernels, x: &[f32], then: impl FnOnce(&[u32], f32)) {
    let mut words = [0; W];
    let unit = kernels.round_row(x, &mut words);
    then(&words[..x.len().div_ceil(2)], unit);
}
