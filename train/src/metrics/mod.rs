//! How good answers are, always beside what a constant would have reached.
//!
//! [`scores::Scores`] are the metrics of whatever a loss reads: [`classes`], [`quantiles`], [`gaussian`], [`portfolio`], or
//! [`BinaryMetrics`] of a probability; [`sameness`] asks whether different windows get different answers. [`BinaryMetrics`] holds accuracy with the majority rate, log-loss with that of the training base rate, AUC, Brier score with
//! its constant counterpart, calibration error, and the signs of a degenerate forecaster.

pub mod calibration;
pub mod classes;
pub mod figures;
pub mod gaussian;
pub mod portfolio;
pub mod quantiles;
pub mod ranking;
pub mod sameness;
pub mod scores;

use crate::losses::bce::bce;
use serde::{Deserialize, Serialize};

/// What the metrics are measured against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricOptions {
    /// Share of positive labels in the *training* data.
    pub train_rate: f64,
    /// Bars a label looks ahead, in units of the distance of two windows: neighbours overlap, so `n / horizon` are independent.
    pub horizon: usize,
    /// Bins of the calibration error.
    pub ece_bins: usize,
}

impl MetricOptions {
    /// Options with ten bins.
    #[must_use]
    pub fn new(train_rate: f64, horizon: usize) -> Self {
        Self {
            train_rate,
            horizon,
            ece_bins: 10,
        }
    }
}

/// A sign that a forecaster says the same of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degenerate {
    /// All probabilities on one side of one half, or all positions on one side of zero.
    OneSide,
    /// The same class is predicted every time.
    OneClass,
    /// The deviation of every answer is below [`CONSTANT_BELOW`].
    Constant,
    /// Different windows get the same answers; see [`sameness`].
    Shared,
    /// An answer is NaN or infinite.
    NotFinite,
}

/// Standard deviation below which a forecaster counts as constant; of probabilities and positions as they are, of values
/// with a unit relative to the deviation of the labels.
pub const CONSTANT_BELOW: f64 = 1e-4;

/// Metrics of a binary forecaster with their baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryMetrics {
    /// Windows.
    pub n: usize,
    /// Independent windows, `n / horizon`.
    pub n_effective: f64,
    /// Share of positive labels here.
    pub base_rate: f64,
    /// Share of positive labels in the training data.
    pub train_rate: f64,
    /// Share of windows where `p >= 1/2` agrees with the label.
    pub accuracy: f64,
    /// Standard error of the accuracy over `n_effective` windows.
    pub accuracy_se: f64,
    /// Accuracy of always saying the commoner label.
    pub majority_rate: f64,
    /// Mean of `-ln p(label)`, nats.
    pub log_loss: f64,
    /// Log-loss of always saying `train_rate`.
    pub base_log_loss: f64,
    /// Area under the ROC curve, ties counted half; absent when one label is missing. A constant reaches 0.5.
    pub auc: Option<f64>,
    /// Mean of `(p - y)²`: the one-class form, between 0 and 1.
    pub brier: f64,
    /// Brier score of always saying `train_rate`.
    pub base_brier: f64,
    /// Calibration error over `ece_bins` bins of equal mass.
    pub ece: f64,
    /// Bins asked for.
    pub ece_bins: usize,
    /// Standard deviation of the probabilities.
    pub deviation: f64,
    /// Signs of a degenerate forecaster; empty is good.
    pub degenerate: Vec<Degenerate>,
}

impl BinaryMetrics {
    /// Metrics of logits; the log-loss is computed without forming probabilities.
    ///
    /// # Panics
    /// When there are no windows, or not one label per logit.
    #[must_use]
    pub fn from_logits(logits: &[f32], labels: &[f32], options: MetricOptions) -> Self {
        let p: Vec<f64> = logits
            .iter()
            .map(|&z| 1.0 / (1.0 + (-f64::from(z)).exp()))
            .collect();
        let pairs = logits.iter().zip(labels);
        let losses = pairs.map(|(&z, &y)| bce(f64::from(z), f64::from(y), 1.0));
        Self::new(&p, labels, losses.sum::<f64>() / labels.len() as f64, options)
    }

    /// Metrics of probabilities, such as calibrated ones; in the log-loss they are held to [1e-15, 1 - 1e-15].
    ///
    /// # Panics
    /// When there are no windows, or not one label per probability.
    #[must_use]
    pub fn from_probabilities(p: &[f64], labels: &[f32], options: MetricOptions) -> Self {
        let losses = p
            .iter()
            .zip(labels)
            .map(|(&p, &y)| cross_entropy(p, f64::from(y)));
        Self::new(p, labels, losses.sum::<f64>() / labels.len() as f64, options)
    }

    fn new(p: &[f64], labels: &[f32], log_loss: f64, options: MetricOptions) -> Self {
        assert!(!p.is_empty(), "metrics of no windows");
        assert_eq!(p.len(), labels.len(), "labels of the forecasts");
        let n = p.len() as f64;
        let n_effective = n / options.horizon.max(1) as f64;
        let positive = |y: f32| y >= 0.5;
        let base_rate = labels.iter().filter(|&&y| positive(y)).count() as f64 / n;
        let right = p.iter().zip(labels).filter(|&(&p, &y)| (p >= 0.5) == positive(y));
        let accuracy = right.count() as f64 / n;
        let constant = options.train_rate;
        let mean_of = |f: &dyn Fn(f64) -> f64| labels.iter().map(|&y| f(f64::from(y))).sum::<f64>() / n;
        let deviation = deviation(p);
        Self {
            n: p.len(),
            n_effective,
            base_rate,
            train_rate: constant,
            accuracy,
            accuracy_se: (accuracy * (1.0 - accuracy) / n_effective).sqrt(),
            majority_rate: base_rate.max(1.0 - base_rate),
            log_loss,
            base_log_loss: mean_of(&|y| cross_entropy(constant, y)),
            auc: ranking::auc(p, labels),
            brier: calibration::brier(p, labels),
            base_brier: mean_of(&|y| (constant - y) * (constant - y)),
            ece: calibration::ece(p, labels, options.ece_bins),
            ece_bins: options.ece_bins,
            deviation,
            degenerate: signs(p, deviation),
        }
    }
}

/// `-(y ln p + (1 - y) ln(1 - p))` with `p` held to [1e-15, 1 - 1e-15]; NaN stays NaN.
fn cross_entropy(p: f64, y: f64) -> f64 {
    let p = if p.is_nan() {
        p
    } else {
        p.clamp(1e-15, 1.0 - 1e-15)
    };
    -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())
}

/// Whether every column of `values [n, k]` has a deviation below [`CONSTANT_BELOW`].
fn constant_columns(values: &[f64], k: usize) -> bool {
    (0..k).all(|column| {
        let values: Vec<f64> = values.iter().skip(column).step_by(k).copied().collect();
        deviation(&values) < CONSTANT_BELOW
    })
}

/// Population deviation.
pub(crate) fn deviation(p: &[f64]) -> f64 {
    let mean = p.iter().sum::<f64>() / p.len() as f64;
    let squares = p.iter().map(|p| (p - mean) * (p - mean));
    (squares.sum::<f64>() / p.len() as f64).sqrt()
}

fn signs(p: &[f64], deviation: f64) -> Vec<Degenerate> {
    if p.iter().any(|p| !p.is_finite()) {
        return vec![Degenerate::NotFinite];
    }
    let above = p.iter().filter(|&&p| p >= 0.5).count();
    let mut signs = Vec::new();
    if above == 0 || above == p.len() {
        signs.push(Degenerate::OneSide);
    }
    if deviation < CONSTANT_BELOW {
        signs.push(Degenerate::Constant);
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_equal_those_computed_by_hand() {
        let m = BinaryMetrics::from_probabilities(
            &[0.9, 0.4, 0.6, 0.2],
            &[1.0, 1.0, 0.0, 0.0],
            MetricOptions {
                train_rate: 0.25,
                horizon: 2,
                ece_bins: 2,
            },
        );
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        close(m.accuracy, 0.5);
        close(m.majority_rate, 0.5);
        close(m.n_effective, 2.0);
        close(m.accuracy_se, (0.125f64).sqrt());
        close(m.brier, (0.01 + 0.36 + 0.36 + 0.04) / 4.0);
        close(m.base_brier, (2.0 * 0.5625 + 2.0 * 0.0625) / 4.0);
        close(
            m.log_loss,
            -(0.9f64.ln() + 0.4f64.ln() + 0.4f64.ln() + 0.8f64.ln()) / 4.0,
        );
        close(m.base_log_loss, -(0.25f64.ln() + 0.75f64.ln()) / 2.0);
        assert_eq!(m.auc, Some(0.75));
        // Bins {0.2, 0.4} with rate 1/2 and {0.6, 0.9} with rate 1/2.
        close(m.ece, f64::midpoint(0.2, 0.25));
        assert!(m.degenerate.is_empty());
    }

    #[test]
    fn logits_and_their_probabilities_agree() {
        let logits = [2.0f32, -0.5, 0.1, -3.0];
        let labels = [1.0, 0.0, 0.0, 1.0];
        let options = MetricOptions::new(0.5, 1);
        let p: Vec<f64> = logits
            .iter()
            .map(|&z| 1.0 / (1.0 + (-f64::from(z)).exp()))
            .collect();
        let (a, b) = (
            BinaryMetrics::from_logits(&logits, &labels, options),
            BinaryMetrics::from_probabilities(&p, &labels, options),
        );
        assert!((a.log_loss - b.log_loss).abs() < 1e-12);
        assert_eq!((a.auc, a.accuracy), (b.auc, b.accuracy));
    }

    #[test]
    fn a_forecaster_that_always_says_hold_is_called_degenerate() {
        let labels = [1.0, 1.0, 1.0, 0.0];
        let options = MetricOptions::new(0.7, 1);
        let same = BinaryMetrics::from_probabilities(&[0.72; 4], &labels, options);
        assert_eq!(same.degenerate, [Degenerate::OneSide, Degenerate::Constant]);
        assert_eq!(same.accuracy, same.majority_rate);
        let lean = BinaryMetrics::from_probabilities(&[0.6, 0.7, 0.8, 0.9], &labels, options);
        assert_eq!(lean.degenerate, [Degenerate::OneSide]);
        let broken = BinaryMetrics::from_probabilities(&[0.6, f64::NAN, 0.8, 0.9], &labels, options);
        assert_eq!(broken.degenerate, [Degenerate::NotFinite]);
        assert!(broken.log_loss.is_nan());
    }

    #[test]
    fn one_label_alone_has_no_auc_and_finite_everything_else() {
        let m = BinaryMetrics::from_logits(&[1.0, -300.0], &[1.0, 1.0], MetricOptions::new(0.5, 1));
        assert_eq!(m.auc, None);
        assert!(m.log_loss.is_finite() && m.ece.is_finite());
        assert_eq!(m.majority_rate, 1.0);
    }
}
