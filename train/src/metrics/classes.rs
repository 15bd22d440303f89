//! How good a forecaster of classes is, always beside what constants would have reached.
//!
//! Accuracy stands beside the share of the commonest class, cross-entropy and Brier score beside those of saying the class
//! shares of the *training* data every time.

use super::{Degenerate, constant_columns};
use crate::losses::cross_entropy::log_sum_exp;
use serde::{Deserialize, Serialize};

/// Metrics of a forecaster of classes with their baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMetrics {
    /// Names in the order of the class numbers.
    pub classes: Vec<String>,
    /// Forecasts.
    pub n: usize,
    /// Independent forecasts, `n / horizon`.
    pub n_effective: f64,
    /// Share of every class here.
    pub shares: Vec<f64>,
    /// Share of every class in the training data.
    pub train_shares: Vec<f64>,
    /// Share of forecasts whose largest logit is the class's.
    pub predicted_shares: Vec<f64>,
    /// Share of forecasts whose largest logit is the label's; of equal logits the first counts.
    pub accuracy: f64,
    /// Standard error of the accuracy over `n_effective` forecasts.
    pub accuracy_se: f64,
    /// Accuracy of always saying the class that is commonest here.
    pub majority_rate: f64,
    /// Mean of `-ln p(label)`, nats.
    pub cross_entropy: f64,
    /// Cross-entropy of always saying `train_shares`, held to 1e-15 and above.
    pub base_cross_entropy: f64,
    /// Mean of `Σ_k (p_k - 1{y = k})²`: the form summed over classes, between 0 and 2.
    pub brier: f64,
    /// Brier score of always saying `train_shares`.
    pub base_brier: f64,
    /// Forecasts by label and predicted class.
    pub confusion: Vec<Vec<usize>>,
    /// Signs of a degenerate forecaster; empty is good.
    pub degenerate: Vec<Degenerate>,
}

impl ClassMetrics {
    /// Metrics of `logits [n, classes]` against the class numbers `labels [n]`.
    ///
    /// # Panics
    /// When there are no forecasts, or sizes do not fit.
    #[must_use]
    pub fn from_logits(
        classes: &[String],
        logits: &[f64],
        labels: &[usize],
        train_shares: &[f64],
        horizon: usize,
    ) -> Self {
        let (n, k) = (labels.len(), classes.len());
        assert!(n > 0, "metrics of no forecasts");
        assert_eq!(logits.len(), n * k, "logits [{n}, {k}]");
        assert_eq!(train_shares.len(), k, "training shares of {k} classes");
        let mut confusion = vec![vec![0; k]; k];
        let (mut entropy, mut brier, mut p) = (0.0, 0.0, Vec::with_capacity(n * k));
        for (z, &y) in logits.chunks_exact(k).zip(labels) {
            let log_sum = log_sum_exp(z);
            entropy += log_sum - z[y];
            let row = p.len();
            p.extend(z.iter().map(|z| (z - log_sum).exp()));
            brier += brier_of(&p[row..], y);
            confusion[y][largest(z)] += 1;
        }
        let count = n as f64;
        let share_of =
            |rows: &dyn Fn(usize) -> usize| (0..k).map(|c| rows(c) as f64 / count).collect::<Vec<_>>();
        let shares = share_of(&|c| confusion[c].iter().sum());
        let predicted_shares = share_of(&|c| confusion.iter().map(|row| row[c]).sum());
        let accuracy = (0..k).map(|c| confusion[c][c]).sum::<usize>() as f64 / count;
        let n_effective = count / horizon.max(1) as f64;
        let base = |f: &dyn Fn(usize) -> f64| labels.iter().map(|&y| f(y)).sum::<f64>() / count;
        Self {
            classes: classes.to_vec(),
            n,
            n_effective,
            accuracy,
            accuracy_se: (accuracy * (1.0 - accuracy) / n_effective).sqrt(),
            majority_rate: shares.iter().copied().fold(0.0, f64::max),
            cross_entropy: entropy / count,
            base_cross_entropy: base(&|y| -train_shares[y].max(1e-15).ln()),
            brier: brier / count,
            base_brier: base(&|y| brier_of(train_shares, y)),
            degenerate: signs(&p, k, &predicted_shares),
            shares,
            train_shares: train_shares.to_vec(),
            predicted_shares,
            confusion,
        }
    }
}

/// `Σ_k (p_k - 1{y = k})²`.
fn brier_of(p: &[f64], y: usize) -> f64 {
    let hit = |k| f64::from(u8::from(k == y));
    p.iter().enumerate().map(|(k, p)| (p - hit(k)).powi(2)).sum()
}

/// The first of the largest values.
fn largest(z: &[f64]) -> usize {
    (1..z.len()).fold(0, |best, k| if z[k] > z[best] { k } else { best })
}

fn signs(p: &[f64], k: usize, predicted_shares: &[f64]) -> Vec<Degenerate> {
    if p.iter().any(|p| !p.is_finite()) {
        return vec![Degenerate::NotFinite];
    }
    let one_class = predicted_shares.contains(&1.0);
    let found = [
        one_class.then_some(Degenerate::OneClass),
        constant_columns(p, k).then_some(Degenerate::Constant),
    ];
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["sell", "hold", "buy"].map(str::to_owned).to_vec()
    }

    fn logits(p: &[[f64; 3]]) -> Vec<f64> {
        p.iter().flatten().map(|p| p.ln()).collect()
    }

    #[test]
    fn values_equal_those_computed_by_hand() {
        let p = logits(&[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6]]);
        let m = ClassMetrics::from_logits(&names(), &p, &[0, 1, 2, 2], &[0.25, 0.5, 0.25], 2);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(m.accuracy, 0.75);
        close(m.majority_rate, 0.5);
        close(m.accuracy_se, (0.75f64 * 0.25 / 2.0).sqrt());
        close(m.cross_entropy, -(0.7f64 * 0.6 * 0.3 * 0.6).ln() / 4.0);
        close(m.base_cross_entropy, -(0.25f64.powi(3) * 0.5).ln() / 4.0);
        close(m.brier, (0.14 + 0.26 + 0.78 + 0.26) / 4.0);
        close(m.base_brier, (3.0 * 0.875 + 0.375) / 4.0);
        assert_eq!(m.confusion, [[1, 0, 0], [0, 1, 0], [0, 1, 1]]);
        assert_eq!(
            (m.shares, m.predicted_shares),
            (vec![0.25, 0.25, 0.5], vec![0.25, 0.5, 0.25])
        );
        assert!(m.degenerate.is_empty());
    }

    #[test]
    fn a_forecaster_that_always_says_hold_reaches_the_majority_rate_and_is_called_degenerate() {
        let p = logits(&[[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.1, 0.5, 0.4]]);
        let m = ClassMetrics::from_logits(&names(), &p, &[1, 1, 1, 2], &[0.1, 0.8, 0.1], 1);
        assert_eq!(m.accuracy, m.majority_rate);
        assert_eq!(m.degenerate, [Degenerate::OneClass]);
        let same = logits(&[[0.1, 0.8, 0.1]; 4]);
        let m = ClassMetrics::from_logits(&names(), &same, &[1, 1, 1, 2], &[0.1, 0.8, 0.1], 1);
        assert_eq!(m.degenerate, [Degenerate::OneClass, Degenerate::Constant]);
    }

    #[test]
    fn broken_and_huge_logits_are_told_apart() {
        let broken = [f64::NAN, 0.0, 1.0];
        let m = ClassMetrics::from_logits(&names(), &broken, &[1], &[0.3, 0.4, 0.3], 1);
        assert_eq!(m.degenerate, [Degenerate::NotFinite]);
        let m = ClassMetrics::from_logits(&names(), &[1e30, 0.0, -1e30], &[0], &[0.0, 1.0, 0.0], 1);
        assert!(m.cross_entropy == 0.0 && m.base_cross_entropy.is_finite());
    }
}
