//! A dense layer: `y = W x + b`, `W [n_out, n_in]`.

use super::Part;
use alloc::vec;
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

/// The layer `weight`, `bias`; no bias where there is no such tensor.
#[must_use]
pub fn linear(part: &Part<'_>, x: &[f64]) -> Vec<f64> {
    let w = part.values("weight");
    let none = vec![0.0; w.len() / x.len()];
    dense(w, part.find("bias").unwrap_or(&none), x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::Weights;

    #[test]
    fn a_layer_without_bias_adds_nothing() {
        let mut weights = Weights::default();
        weights.insert("weight", &[2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(linear(&weights.root(), &[10.0, 1.0]), [12.0, 34.0]);
        weights.insert("bias", &[2], vec![0.5, -4.0]);
        assert_eq!(linear(&weights.root(), &[10.0, 1.0]), [12.5, 30.0]);
    }
}
