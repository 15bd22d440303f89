//! Row-wise work in f64.

use super::Part;
use alloc::vec::Vec;

/// Softmax.
#[must_use]
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|v| libm::exp(v - top)).collect();
    let total: f64 = e.iter().sum();
    e.iter().map(|v| v / total).collect()
}

/// `(x - mean) / sqrt(var + eps) * gain + shift`, biased variance.
#[must_use]
pub fn layer_norm(x: &[f64], gain: &[f64], shift: &[f64], eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let inverse = 1.0 / libm::sqrt(var + eps);
    x.iter()
        .zip(gain)
        .zip(shift)
        .map(|((v, g), s)| (v - mean) * inverse * g + s)
        .collect()
}

/// The layer norm `weight`, `bias`.
#[must_use]
pub fn norm(part: &Part<'_>, x: &[f64], eps: f64) -> Vec<f64> {
    layer_norm(x, part.values("weight"), part.values("bias"), eps)
}

/// `a + b`.
#[must_use]
pub fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "rows of equal width");
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `f` of every value.
#[must_use]
pub fn map(x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|v| f(*v)).collect()
}

/// `sum_j weights[j] * rows[j]`.
///
/// # Panics
/// Without rows.
#[must_use]
pub fn weighted_sum(weights: &[f64], rows: &[Vec<f64>]) -> Vec<f64> {
    assert_eq!(weights.len(), rows.len(), "a weight per row");
    let column = |u: usize| weights.iter().zip(rows).map(|(w, row)| w * row[u]).sum();
    (0..rows[0].len()).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn equal_logits_share_alike_however_low_they_are() {
        assert_eq!(softmax(&[-1e9; 4]), [0.25; 4]);
        assert_eq!(softmax(&[0.0, -1e9]), [1.0, 0.0]);
    }

    #[test]
    fn a_normed_row_has_mean_zero_and_the_biased_deviation_one() {
        let y = layer_norm(&[1.0, 3.0], &[1.0, 2.0], &[0.0, 10.0], 0.0);
        assert_eq!(y, [-1.0, 12.0]);
        assert_eq!(layer_norm(&[5.0, 5.0], &[1.0; 2], &[0.5; 2], 1e-3), [0.5; 2]);
    }

    #[test]
    fn weighted_rows_add_up_by_column() {
        let rows = [vec![1.0, 2.0], vec![10.0, 20.0]];
        assert_eq!(weighted_sum(&[0.5, 0.1], &rows), [1.5, 3.0]);
    }
}
