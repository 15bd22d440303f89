//! What positions would have earned: the Sharpe ratio of the portfolio's series, beside holding everything.
//!
//! The portfolio's return of a date is the mean over its windows of `z y`: one value per date however many symbols there are,
//! so that symbols that move together do not count as independent. `S = √A mean / deviation` (n - 1) with the standard error
//! `√A √((1 + s²/2)/n)`, s = S/√A (Lo 2002, independent returns). Costs are not part of these figures.

use super::{CONSTANT_BELOW, Degenerate, deviation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Metrics of positions with their baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortfolioMetrics {
    /// Positions.
    pub n: usize,
    /// Dates, each one return.
    pub n_dates: usize,
    /// Dates of a year, A.
    pub periods: f64,
    /// Mean return of a date.
    pub mean: f64,
    /// Deviation of the returns, n - 1; 0 for one date.
    pub deviation: f64,
    /// Annual Sharpe ratio; absent when the returns do not vary.
    pub sharpe: Option<f64>,
    /// Standard error of the Sharpe ratio.
    pub sharpe_se: Option<f64>,
    /// Sharpe ratio of a position of one everywhere.
    pub hold_sharpe: Option<f64>,
    /// Largest fall of the summed returns from an earlier height, in units of returns.
    pub drawdown: f64,
    /// Share of dates with a return above zero.
    pub hit_rate: f64,
    /// The same of a position of one everywhere.
    pub hold_hit_rate: f64,
    /// Mean position.
    pub mean_position: f64,
    /// Mean absolute position.
    pub exposure: f64,
    /// Signs of a degenerate forecaster; empty is good.
    pub degenerate: Vec<Degenerate>,
}

impl PortfolioMetrics {
    /// Metrics of positions and the returns that followed, decided at `dates`.
    ///
    /// # Panics
    /// When there are no positions, or not one date and return per position.
    #[must_use]
    pub fn new(dates: &[i64], positions: &[f64], returns: &[f64], periods: f64) -> Self {
        assert!(!positions.is_empty(), "metrics of no positions");
        assert_eq!(
            [dates.len(), returns.len()],
            [positions.len(); 2],
            "dates and returns of the positions"
        );
        let earned: Vec<f64> = positions.iter().zip(returns).map(|(z, y)| z * y).collect();
        let (series, hold) = (by_date(dates, &earned), by_date(dates, returns));
        let (own, held) = (Series::of(&series, periods), Series::of(&hold, periods));
        let n = positions.len() as f64;
        Self {
            n: positions.len(),
            n_dates: series.len(),
            periods,
            mean: own.mean,
            deviation: own.deviation,
            sharpe: own.sharpe,
            sharpe_se: own
                .sharpe
                .map(|s| ((periods + s * s / 2.0) / series.len() as f64).sqrt()),
            hold_sharpe: held.sharpe,
            drawdown: drawdown(&series),
            hit_rate: hit_rate(&series),
            hold_hit_rate: hit_rate(&hold),
            mean_position: positions.iter().sum::<f64>() / n,
            exposure: positions.iter().map(|z| z.abs()).sum::<f64>() / n,
            degenerate: signs(positions),
        }
    }
}

/// Mean value of every date, in order of time.
#[must_use]
pub fn by_date(dates: &[i64], values: &[f64]) -> Vec<f64> {
    let mut sums: BTreeMap<i64, (f64, usize)> = BTreeMap::new();
    for (date, value) in dates.iter().zip(values) {
        let (sum, n) = sums.entry(*date).or_default();
        *sum += value;
        *n += 1;
    }
    sums.into_values().map(|(sum, n)| sum / n as f64).collect()
}

struct Series {
    mean: f64,
    deviation: f64,
    sharpe: Option<f64>,
}

impl Series {
    fn of(returns: &[f64], periods: f64) -> Self {
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let squares: f64 = returns.iter().map(|r| (r - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
        // Equal returns leave a deviation of rounding errors.
        let varies = deviation > 1e-12 * mean.abs() && deviation > 0.0;
        Self {
            mean,
            deviation,
            sharpe: varies.then(|| periods.sqrt() * mean / deviation),
        }
    }
}

fn drawdown(series: &[f64]) -> f64 {
    let (mut sum, mut height, mut worst) = (0.0f64, 0.0f64, 0.0f64);
    for r in series {
        sum += r;
        height = height.max(sum);
        worst = worst.max(height - sum);
    }
    worst
}

fn hit_rate(series: &[f64]) -> f64 {
    series.iter().filter(|r| **r > 0.0).count() as f64 / series.len() as f64
}

fn signs(positions: &[f64]) -> Vec<Degenerate> {
    if positions.iter().any(|z| !z.is_finite()) {
        return vec![Degenerate::NotFinite];
    }
    let one_side = positions.iter().all(|z| *z >= 0.0) || positions.iter().all(|z| *z <= 0.0);
    let found = [
        one_side.then_some(Degenerate::OneSide),
        (deviation(positions) < CONSTANT_BELOW).then_some(Degenerate::Constant),
    ];
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_a_date_are_averaged_before_the_ratio() {
        let dates = [2, 1, 1, 2, 3];
        let m = PortfolioMetrics::new(
            &dates,
            &[1.0, 1.0, -1.0, 1.0, 0.5],
            &[0.02, 0.03, 0.01, 0.04, 0.02],
            252.0,
        );
        let series = [0.01, 0.03, 0.01];
        let mean = 0.05 / 3.0;
        let variance = series.iter().map(|r: &f64| (r - mean).powi(2)).sum::<f64>() / 2.0;
        assert_eq!(m.n_dates, 3);
        assert!((m.sharpe.unwrap() - 252f64.sqrt() * mean / variance.sqrt()).abs() < 1e-9);
        let s = m.sharpe.unwrap() / 252f64.sqrt();
        assert!((m.sharpe_se.unwrap() - (252.0 * (1.0 + s * s / 2.0) / 3.0).sqrt()).abs() < 1e-9);
        assert!((m.mean_position - 0.5).abs() < 1e-15 && (m.exposure - 0.9).abs() < 1e-15);
    }

    #[test]
    fn a_position_of_one_everywhere_is_its_own_baseline_and_is_called_degenerate() {
        let m = PortfolioMetrics::new(&[1, 2, 3], &[1.0; 3], &[0.01, -0.02, 0.04], 252.0);
        assert_eq!((m.sharpe, m.hit_rate), (m.hold_sharpe, m.hold_hit_rate));
        assert_eq!(m.degenerate, [Degenerate::OneSide, Degenerate::Constant]);
        assert!((m.drawdown - 0.02).abs() < 1e-15);
    }

    #[test]
    fn returns_that_do_not_vary_have_no_ratio() {
        let m = PortfolioMetrics::new(&[1, 2, 3], &[0.1; 3], &[0.03; 3], 252.0);
        assert_eq!((m.sharpe, m.sharpe_se), (None, None));
        assert!(
            PortfolioMetrics::new(&[1], &[0.1], &[0.3], 252.0)
                .sharpe
                .is_none()
        );
        let broken = PortfolioMetrics::new(&[1, 2], &[f64::NAN, 0.1], &[0.1, 0.2], 252.0);
        assert_eq!(broken.degenerate, [Degenerate::NotFinite]);
    }
}
