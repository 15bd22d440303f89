//! Rows of activations as integers, for layers whose weights are i16.

use crate::kernels::{Kernels, LINEAR_ROWS};

/// Numbers of a row, at most: a layer of integers has no more inputs.
pub(crate) const MAX_ROUNDED: usize = 1024;

/// Rows rounded together where there are many.
const ROUNDED_ROWS: usize = LINEAR_ROWS;

/// Words between two rows.
pub(super) const STRIDE: usize = MAX_ROUNDED / 2;

/// `N` rows of up to [`MAX_ROUNDED`] numbers in pairs, and the unit of each.
struct Rounded<const N: usize> {
    words: [[u32; STRIDE]; N],
    units: [f32; N],
}

impl<const N: usize> Rounded<N> {
    /// Without rows.
    fn new() -> Self {
        Self {
            words: [[0; STRIDE]; N],
            units: [0.0; N],
        }
    }

    /// Hands some of the `n_rows` rows at a time, `[n_in]` every `stride`, to `each`: the first row's number, words and units.
    fn for_each(
        &mut self,
        kernels: &Kernels,
        x: &[f32],
        [stride, n_in, n_rows]: [usize; 3],
        mut each: impl FnMut(usize, &[u32], &[f32]),
    ) {
        for first in (0..n_rows).step_by(N) {
            let n = (n_rows - first).min(N);
            let rows = self.words.iter_mut().zip(&mut self.units);
            for (row, (words, unit)) in rows.take(n).enumerate() {
                *unit = kernels.round_row(&x[(first + row) * stride..][..n_in], words);
            }
            each(first, self.words.as_flattened(), &self.units[..n]);
        }
    }
}

/// The same for one row or many.
pub(super) fn for_rounded(
    kernels: &Kernels,
    x: &[f32],
    sizes: [usize; 3],
    each: impl FnMut(usize, &[u32], &[f32]),
) {
    match sizes[2] {
        1 => Rounded::<1>::new().for_each(kernels, x, sizes, each),
        _ => Rounded::<ROUNDED_ROWS>::new().for_each(kernels, x, sizes, each),
    }
}
