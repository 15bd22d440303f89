//! Row-wise work in f64.

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
