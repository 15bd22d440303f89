//! Whether predicted quantiles cover what they say, and how sharp they are.
//!
//! Coverage of a level is `c(τ) = mean 1{y <= q_τ}` with the target τ: 10 % for P10 and **90 % for P90**. Coverage of an interval is
//! `mean 1{q_lo <= y <= q_hi}` with the target `τ_hi - τ_lo`. The calibration error is the mean of `|c(τ) - τ|`. Pinball losses
//! stand beside those of the unconditional quantiles of the *training* labels; the skill is one minus their ratio.

use super::{Degenerate, constant_columns};
use crate::losses::pinball::pinball;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelMetrics {
    /// The level τ, which is also the coverage aimed at.
    pub tau: f64,
    /// Share of labels at or below the quantile.
    pub coverage: f64,
    /// Standard error `√(τ(1 - τ)/n_effective)` of a calibrated forecaster's coverage.
    pub coverage_se: f64,
    /// Mean pinball loss, factor 1.
    pub pinball: f64,
    /// Pinball loss of the training labels' quantile.
    pub base_pinball: f64,
    /// `1 - pinball / base_pinball`; absent when the base is zero.
    pub skill: Option<f64>,
}

impl LevelMetrics {
    /// Whether the coverage lies within `n_errors` standard errors of τ.
    #[must_use]
    pub fn is_calibrated(&self, n_errors: f64) -> bool {
        (self.coverage - self.tau).abs() <= n_errors * self.coverage_se
    }
}

/// One central interval: a level and its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntervalMetrics {
    /// Lower level.
    pub lower: f64,
    /// Upper level.
    pub upper: f64,
    /// `upper - lower`.
    pub nominal: f64,
    /// Share of labels inside, ends included.
    pub coverage: f64,
    /// Standard error of a calibrated forecaster's coverage.
    pub coverage_se: f64,
    /// Mean width: sharpness, in the unit of the label.
    pub width: f64,
}

/// Metrics of a forecaster of quantiles with their baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantileMetrics {
    /// Forecasts.
    pub n: usize,
    /// Independent forecasts, `n / horizon`.
    pub n_effective: f64,
    /// Every level, rising.
    pub levels: Vec<LevelMetrics>,
    /// Intervals of the first and last level, the second and last but one, and so on.
    pub intervals: Vec<IntervalMetrics>,
    /// Mean over levels of `|coverage - τ|`.
    pub calibration_error: f64,
    /// Mean pinball loss over levels.
    pub pinball: f64,
    /// Mean base pinball loss over levels.
    pub base_pinball: f64,
    /// Share of forecasts in which some quantile lies above the next.
    pub crossing_rate: f64,
    /// Share of labels between neighbouring quantiles, below the first and above the last included; of crossing quantiles,
    /// sorted ones. A calibrated forecaster has the differences of the levels.
    pub between: Vec<f64>,
    /// Signs of a degenerate forecaster; empty is good.
    pub degenerate: Vec<Degenerate>,
}

impl QuantileMetrics {
    /// Metrics of `quantiles [n, levels]` against `labels [n]`; `train_quantiles` are those of the training labels.
    ///
    /// # Panics
    /// When there are no forecasts, or sizes do not fit.
    #[must_use]
    pub fn new(
        levels: &[f64],
        quantiles: &[f64],
        labels: &[f64],
        train_quantiles: &[f64],
        horizon: usize,
    ) -> Self {
        let (n, k) = (labels.len(), levels.len());
        assert!(n > 0 && k > 0, "metrics of {n} forecasts of {k} quantiles");
        assert_eq!(quantiles.len(), n * k, "quantiles [{n}, {k}]");
        assert_eq!(train_quantiles.len(), k, "training quantiles of {k} levels");
        let set = Set {
            quantiles,
            labels,
            k,
            n_effective: n as f64 / horizon.max(1) as f64,
        };
        let by_level: Vec<LevelMetrics> = (0..k)
            .map(|column| set.level(column, levels[column], train_quantiles[column]))
            .collect();
        let mean = |f: &dyn Fn(&LevelMetrics) -> f64| by_level.iter().map(f).sum::<f64>() / k as f64;
        let crossing = quantiles
            .chunks_exact(k)
            .filter(|q| q.windows(2).any(|pair| pair[0] > pair[1]));
        Self {
            n,
            n_effective: set.n_effective,
            intervals: (0..k / 2).map(|i| set.interval(levels, i)).collect(),
            calibration_error: mean(&|level| (level.coverage - level.tau).abs()),
            pinball: mean(&|level| level.pinball),
            base_pinball: mean(&|level| level.base_pinball),
            crossing_rate: crossing.count() as f64 / n as f64,
            between: set.between(),
            degenerate: signs(quantiles, k, labels),
            levels: by_level,
        }
    }
}

struct Set<'a> {
    quantiles: &'a [f64],
    labels: &'a [f64],
    k: usize,
    n_effective: f64,
}

impl Set<'_> {
    fn share(&self, holds: impl Fn(&[f64], f64) -> bool) -> f64 {
        let rows = self.quantiles.chunks_exact(self.k).zip(self.labels);
        rows.filter(|(q, y)| holds(q, **y)).count() as f64 / self.labels.len() as f64
    }

    fn error(&self, share: f64) -> f64 {
        (share * (1.0 - share) / self.n_effective).sqrt()
    }

    fn level(&self, column: usize, tau: f64, train_quantile: f64) -> LevelMetrics {
        let n = self.labels.len() as f64;
        let rows = self.quantiles.chunks_exact(self.k).zip(self.labels);
        let loss = rows.map(|(q, y)| pinball(y - q[column], tau)).sum::<f64>() / n;
        let base = self
            .labels
            .iter()
            .map(|y| pinball(y - train_quantile, tau))
            .sum::<f64>()
            / n;
        LevelMetrics {
            tau,
            coverage: self.share(|q, y| y <= q[column]),
            coverage_se: self.error(tau),
            pinball: loss,
            base_pinball: base,
            skill: (base > 0.0).then(|| 1.0 - loss / base),
        }
    }

    fn interval(&self, levels: &[f64], i: usize) -> IntervalMetrics {
        let j = self.k - 1 - i;
        let nominal = levels[j] - levels[i];
        let widths = self.quantiles.chunks_exact(self.k).map(|q| q[j] - q[i]);
        IntervalMetrics {
            lower: levels[i],
            upper: levels[j],
            nominal,
            coverage: self.share(|q, y| q[i] <= y && y <= q[j]),
            coverage_se: self.error(nominal),
            width: widths.sum::<f64>() / self.labels.len() as f64,
        }
    }

    fn between(&self) -> Vec<f64> {
        let mut counts = vec![0usize; self.k + 1];
        for (q, y) in self.quantiles.chunks_exact(self.k).zip(self.labels) {
            counts[q.iter().filter(|q| **q < *y).count()] += 1;
        }
        counts
            .iter()
            .map(|c| *c as f64 / self.labels.len() as f64)
            .collect()
    }
}

fn signs(quantiles: &[f64], k: usize, labels: &[f64]) -> Vec<Degenerate> {
    if quantiles.iter().any(|q| !q.is_finite()) {
        return vec![Degenerate::NotFinite];
    }
    // Quantiles have a unit: what counts as constant is relative to the labels' deviation.
    let unit = super::deviation(labels).max(f64::MIN_POSITIVE);
    let scaled: Vec<f64> = quantiles.iter().map(|q| q / unit).collect();
    if constant_columns(&scaled, k) {
        vec![Degenerate::Constant]
    } else {
        Vec::new()
    }
}

/// Coverage of every level per group, such as a symbol or a month.
///
/// # Panics
/// When there is not one group per label.
#[must_use]
pub fn coverage_by<G: Ord + Clone>(
    n_levels: usize,
    quantiles: &[f64],
    labels: &[f64],
    groups: &[G],
) -> BTreeMap<G, Vec<f64>> {
    assert_eq!(
        (groups.len(), quantiles.len()),
        (labels.len(), labels.len() * n_levels),
        "groups and quantiles"
    );
    let mut counts: BTreeMap<G, (usize, Vec<usize>)> = BTreeMap::new();
    for ((q, y), group) in quantiles.chunks_exact(n_levels).zip(labels).zip(groups) {
        let (n, below) = counts
            .entry(group.clone())
            .or_insert_with(|| (0, vec![0; n_levels]));
        *n += 1;
        for (below, q) in below.iter_mut().zip(q) {
            *below += usize::from(y <= q);
        }
    }
    let share = |(group, (n, below)): (G, (usize, Vec<usize>))| {
        (group, below.iter().map(|b| *b as f64 / n as f64).collect())
    };
    counts.into_iter().map(share).collect()
}

/// Quantiles of a sample at `levels`, interpolated linearly between order statistics (`(n - 1) τ`, numpy's default).
///
/// # Panics
/// When the sample is empty.
#[must_use]
pub fn sample_quantiles(sample: &[f64], levels: &[f64]) -> Vec<f64> {
    assert!(!sample.is_empty(), "quantiles of nothing");
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |tau: &f64| {
        let place = tau * (sorted.len() - 1) as f64;
        let below = place as usize;
        let above = (below + 1).min(sorted.len() - 1);
        sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
    };
    levels.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEVELS: [f64; 3] = [0.1, 0.5, 0.9];

    /// Labels `m + e` with e uniform over [0, 1) by a low-discrepancy sequence, and a forecaster that knows m.
    fn calibrated(n: usize) -> (Vec<f64>, Vec<f64>) {
        let mean = |i: usize| (i % 7) as f64;
        let labels = (0..n)
            .map(|i| mean(i) + (i as f64 * 0.618_033_988_749_895).fract())
            .collect();
        let quantiles = (0..n).flat_map(|i| LEVELS.map(|tau| mean(i) + tau)).collect();
        (quantiles, labels)
    }

    #[test]
    fn a_calibrated_forecaster_covers_its_levels() {
        let (quantiles, labels) = calibrated(2000);
        let base = sample_quantiles(&labels, &LEVELS);
        let m = QuantileMetrics::new(&LEVELS, &quantiles, &labels, &base, 1);
        assert!(m.levels.iter().all(|level| level.is_calibrated(3.0)), "{m:?}");
        assert!(m.levels[2].coverage > 0.85, "P90 covers ninety per cent, not ten");
        assert!((m.intervals[0].coverage - 0.8).abs() < 0.02 && (m.intervals[0].width - 0.8).abs() < 1e-9);
        assert!(m.levels.iter().all(|level| level.skill.unwrap() > 0.5));
        assert!(
            m.between
                .iter()
                .zip([0.1, 0.4, 0.4, 0.1])
                .all(|(a, b)| (a - b).abs() < 0.02)
        );
        assert_eq!((m.crossing_rate, m.degenerate.len()), (0.0, 0));
    }

    #[test]
    fn swapped_quantiles_fail_the_coverage_check() {
        let (mut quantiles, labels) = calibrated(2000);
        quantiles.chunks_exact_mut(3).for_each(|q| q.swap(0, 2));
        let base = sample_quantiles(&labels, &LEVELS);
        let m = QuantileMetrics::new(&LEVELS, &quantiles, &labels, &base, 1);
        assert!(!m.levels[0].is_calibrated(3.0) && !m.levels[2].is_calibrated(3.0));
        assert!((m.levels[0].coverage - 0.9).abs() < 0.02);
        assert_eq!(m.crossing_rate, 1.0);
        assert!(m.calibration_error > 0.5 && m.calibration_error <= 1.0);
    }

    #[test]
    fn narrow_quantiles_are_called_narrow_not_broken() {
        // 14.6 % below P10 and 13.3 % above P90: the interval holds 72.1 % where 80 % were promised.
        let n = 1000;
        let labels: Vec<f64> = (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect();
        let quantiles: Vec<f64> = labels.iter().flat_map(|_| [0.146, 0.5, 0.867]).collect();
        let m = QuantileMetrics::new(&LEVELS, &quantiles, &labels, &[0.1, 0.5, 0.9], 1);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(m.levels[0].coverage, 0.146);
        close(m.levels[2].coverage, 0.867);
        close(m.intervals[0].coverage, 0.721);
        close(m.calibration_error, (0.046 + 0.0 + 0.033) / 3.0);
        assert_eq!(m.degenerate, [Degenerate::Constant]);
    }

    #[test]
    fn groups_have_coverages_of_their_own() {
        let by = coverage_by(
            1,
            &[1.0, 1.0, 5.0, 5.0],
            &[0.0, 2.0, 2.0, 3.0],
            &["a", "a", "b", "b"],
        );
        assert_eq!((&by["a"], &by["b"]), (&vec![0.5], &vec![1.0]));
    }

    #[test]
    fn sample_quantiles_interpolate() {
        assert_eq!(
            sample_quantiles(&[3.0, 1.0, 2.0, 4.0], &[0.0, 0.5, 0.9, 1.0]),
            [1.0, 2.5, 3.7, 4.0]
        );
        assert_eq!(sample_quantiles(&[7.0], &[0.1, 0.9]), [7.0, 7.0]);
    }

    #[test]
    fn a_broken_quantile_is_a_sign() {
        let m = QuantileMetrics::new(&[0.5], &[f64::NAN, 1.0], &[0.0, 1.0], &[0.5], 1);
        assert_eq!(m.degenerate, [Degenerate::NotFinite]);
    }

    proptest! {
        #[test]
        fn no_constant_beats_the_quantile_of_its_own_sample(
            sample in prop::collection::vec(-5.0..5.0f64, 1..40), tau in 0.05..0.95f64, other in -6.0..6.0f64,
        ) {
            let loss = |q: f64| sample.iter().map(|y| pinball(y - q, tau)).sum::<f64>();
            let mut sorted = sample.clone();
            sorted.sort_by(f64::total_cmp);
            let rank = ((tau * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
            prop_assert!(loss(sorted[rank - 1]) <= loss(other) + 1e-9);
        }
    }
}
