//! A dense layer: `y = W x + b`, `W [n_out, n_in]`.

use alloc::vec::Vec;

/// One row.
#[must_use]
pub fn dense(w: &[f64], b: &[f64], x: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    w.chunks_exact(x.len())
        .zip(b)
        .map(|(row, b)| dot(row) + b)
        .collect()
}
