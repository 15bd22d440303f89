//! How good a Gaussian forecast is: likelihood beside that of the training labels' own Gaussian, and the mass it covers.

use super::{Degenerate, constant_columns};
use crate::losses::gaussian_nll::HALF_LN_2_PI;
use serde::{Deserialize, Serialize};

/// Mass of a Gaussian within one deviation of its mean.
const ONE_SIGMA: f64 = 0.682_689_492_137_085_9;

/// Metrics of a Gaussian forecaster with their baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianMetrics {
    /// Forecasts.
    pub n: usize,
    /// Independent forecasts, `n / horizon`.
    pub n_effective: f64,
    /// Mean negative log-likelihood, `ln(2π)/2` included.
    pub nll: f64,
    /// The same of always saying mean and deviation of the training labels; absent when these do not vary.
    pub base_nll: Option<f64>,
    /// Share of labels within one deviation of the mean; 68.27 % if calibrated.
    pub coverage: f64,
    /// Standard error of a calibrated forecaster's coverage.
    pub coverage_se: f64,
    /// Mean deviation: sharpness, in the unit of the label.
    pub deviation: f64,
    /// Signs of a degenerate forecaster; empty is good.
    pub degenerate: Vec<Degenerate>,
}

/// One forecast: mean, and the logarithm of the deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// μ.
    pub mean: f64,
    /// `ln σ`.
    pub ln_deviation: f64,
}

impl Forecast {
    fn nll(self, y: f64) -> f64 {
        let e = (y - self.mean) * (-self.ln_deviation).exp();
        self.ln_deviation + 0.5 * e * e + HALF_LN_2_PI
    }
}

impl GaussianMetrics {
    /// Metrics of forecasts against labels; `train` are mean and deviation of the training labels.
    ///
    /// # Panics
    /// When there are no forecasts, or not one label per forecast.
    #[must_use]
    pub fn new(forecasts: &[Forecast], labels: &[f64], train: [f64; 2], horizon: usize) -> Self {
        assert!(!forecasts.is_empty(), "metrics of no forecasts");
        assert_eq!(forecasts.len(), labels.len(), "labels of the forecasts");
        let n = labels.len() as f64;
        let n_effective = n / horizon.max(1) as f64;
        let rows = || forecasts.iter().zip(labels);
        let base = Forecast {
            mean: train[0],
            ln_deviation: train[1].ln(),
        };
        let inside = rows().filter(|(f, y)| (*y - f.mean).abs() <= f.ln_deviation.exp());
        Self {
            n: labels.len(),
            n_effective,
            nll: rows().map(|(f, y)| f.nll(*y)).sum::<f64>() / n,
            base_nll: (train[1] > 0.0).then(|| labels.iter().map(|y| base.nll(*y)).sum::<f64>() / n),
            coverage: inside.count() as f64 / n,
            coverage_se: (ONE_SIGMA * (1.0 - ONE_SIGMA) / n_effective).sqrt(),
            deviation: forecasts.iter().map(|f| f.ln_deviation.exp()).sum::<f64>() / n,
            degenerate: signs(forecasts, train[1]),
        }
    }
}

fn signs(forecasts: &[Forecast], unit: f64) -> Vec<Degenerate> {
    let unit = unit.max(f64::MIN_POSITIVE);
    let columns: Vec<f64> = forecasts
        .iter()
        .flat_map(|f| [f.mean / unit, f.ln_deviation])
        .collect();
    if columns.iter().any(|x| !x.is_finite()) {
        return vec![Degenerate::NotFinite];
    }
    if constant_columns(&columns, 2) {
        vec![Degenerate::Constant]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::quantiles::sample_quantiles;

    #[test]
    fn a_forecaster_that_says_the_training_gaussian_scores_its_base() {
        let labels = [0.3, -1.0, 2.0];
        let f = Forecast {
            mean: 0.2,
            ln_deviation: 1.5f64.ln(),
        };
        let m = GaussianMetrics::new(&[f; 3], &labels, [0.2, 1.5], 1);
        assert_eq!(m.base_nll, Some(m.nll));
        assert_eq!(m.degenerate, [Degenerate::Constant]);
        assert!((m.coverage - 2.0 / 3.0).abs() < 1e-15 && (m.deviation - 1.5).abs() < 1e-12);
    }

    #[test]
    fn the_likelihood_is_that_of_the_density() {
        let m = GaussianMetrics::new(
            &[Forecast {
                mean: 1.0,
                ln_deviation: 0.0,
            }],
            &[1.0],
            [0.0, 2.0],
            1,
        );
        assert!((m.nll - (2.0 * std::f64::consts::PI).sqrt().ln()).abs() < 1e-15);
    }

    #[test]
    fn knowing_the_mean_beats_the_base() {
        let labels: Vec<f64> = (0..500)
            .map(|i| f64::from(i % 5) + (f64::from(i) * 0.618).fract() - 0.5)
            .collect();
        let forecasts: Vec<Forecast> = (0..500)
            .map(|i| Forecast {
                mean: f64::from(i % 5),
                ln_deviation: 0.3f64.ln(),
            })
            .collect();
        let deviation = super::super::deviation(&labels);
        let m = GaussianMetrics::new(
            &forecasts,
            &labels,
            [sample_quantiles(&labels, &[0.5])[0], deviation],
            1,
        );
        assert!(m.nll < m.base_nll.unwrap() - 0.5 && m.degenerate.is_empty());
    }

    #[test]
    fn labels_that_do_not_vary_have_no_base() {
        let m = GaussianMetrics::new(
            &[Forecast {
                mean: 1.0,
                ln_deviation: 0.0,
            }],
            &[1.0],
            [1.0, 0.0],
            1,
        );
        assert!(m.base_nll.is_none());
        let broken = Forecast {
            mean: f64::NAN,
            ln_deviation: 0.0,
        };
        assert_eq!(
            GaussianMetrics::new(&[broken], &[1.0], [0.0, 1.0], 1).degenerate,
            [Degenerate::NotFinite]
        );
    }
}
