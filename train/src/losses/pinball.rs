//! Pinball loss of quantiles, `ρ_τ(e) = max(τ e, (τ - 1) e)` with `e = y - q_τ`, and a penalty where quantiles cross.
//!
//! The mean runs over windows, steps and levels (`over_levels = "sum"`: the sum over levels); pytorch-forecasting's is twice the
//! mean (`factor = 2`). Slope by `q`: `-τ` above, `1 - τ` below, and `1/2 - τ` at `e = 0`, the mean of both sides, as torch's
//! maximum has it. The penalty of neighbouring levels is `weight Σ_k max(0, q_k - q_{k+1} + margin)`, a mean over windows and
//! steps.
//!
//! The label is a number such as a return, never the index of a class: see [`super::targets`].

use super::answers::Answers;
use super::range::{LossError, not_negative, positive, refuse};
use serde::{Deserialize, Serialize};

/// Pinball loss of the columns `column .. column + levels.len()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinball {
    /// Levels `τ`, rising.
    pub levels: Vec<f64>,
    /// Column of the first quantile.
    #[serde(default)]
    pub column: usize,
    /// Label column.
    #[serde(default)]
    pub label: usize,
    /// Multiplies the loss, not the penalty.
    #[serde(default = "one")]
    pub factor: f64,
    /// Mean or sum over the levels.
    #[serde(default)]
    pub over_levels: OverLevels,
    /// Penalty of crossing quantiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<Crossing>,
    /// First steps of a window that are left out.
    #[serde(default)]
    pub burn_in: usize,
}

fn one() -> f64 {
    1.0
}

/// How the losses of the levels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLevels {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum (google-research).
    Sum,
}

/// Penalty of crossing quantiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crossing {
    /// Weight of the penalty.
    pub weight: f64,
    /// Distance that neighbouring quantiles keep, in the unit of the label.
    #[serde(default)]
    pub margin: f64,
}

impl Pinball {
    /// The mean over `levels` of the first columns.
    #[must_use]
    pub fn new(levels: impl Into<Vec<f64>>) -> Self {
        Self {
            levels: levels.into(),
            column: 0,
            label: 0,
            factor: 1.0,
            over_levels: OverLevels::Mean,
            crossing: None,
            burn_in: 0,
        }
    }

    pub(super) fn validate(&self) -> Result<(), LossError> {
        let inside = self.levels.iter().all(|tau| *tau > 0.0 && *tau < 1.0);
        if self.levels.is_empty() || !inside || !self.levels.is_sorted_by(|a, b| a < b) {
            return refuse("pinball.levels", "rising levels between 0 and 1", &self.levels);
        }
        positive("pinball.factor", self.factor)?;
        match &self.crossing {
            Some(crossing) => not_negative("pinball.crossing.weight", crossing.weight)
                .and(not_negative("pinball.crossing.margin", crossing.margin)),
            None => Ok(()),
        }
    }

    /// Adds `scale` times the slope and returns the loss, a mean over `count` windows.
    pub(super) fn add_slope(&self, answers: &Answers, count: usize, scale: f64, slope: &mut [f64]) -> f64 {
        let n_rows = (count * (answers.n_steps() - self.burn_in)) as f64;
        let per_level = match self.over_levels {
            OverLevels::Mean => self.factor / self.levels.len() as f64,
            OverLevels::Sum => self.factor,
        };
        let mut sum = 0.0;
        for (t, b) in answers.rows(self.burn_in) {
            let y = answers.label(t, b, self.label);
            let at = answers.at(t, b) + self.column;
            let columns = at..at + self.levels.len();
            let q = &answers.out()[columns.clone()];
            let slope = &mut slope[columns];
            for ((&q, &tau), slope) in q.iter().zip(&self.levels).zip(&mut *slope) {
                sum += per_level * pinball(y - q, tau);
                *slope += scale / n_rows * per_level * pinball_slope(y - q, tau);
            }
            sum += self
                .crossing
                .map_or(0.0, |c| c.add_slope(q, scale / n_rows, slope));
        }
        sum / n_rows
    }
}

impl Crossing {
    fn add_slope(self, q: &[f64], scale: f64, slope: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for k in 1..q.len() {
            let excess = q[k - 1] - q[k] + self.margin;
            if excess > 0.0 {
                sum += self.weight * excess;
                slope[k - 1] += scale * self.weight;
                slope[k] -= scale * self.weight;
            }
        }
        sum
    }
}

/// `ρ_τ(e)`.
#[must_use]
pub fn pinball(e: f64, tau: f64) -> f64 {
    (tau * e).max((tau - 1.0) * e)
}

/// Slope of `ρ_τ(y - q)` by `q`.
#[must_use]
pub fn pinball_slope(e: f64, tau: f64) -> f64 {
    if e > 0.0 {
        -tau
    } else if e < 0.0 {
        1.0 - tau
    } else {
        0.5 - tau
    }
}

#[cfg(test)]
mod tests {
    use super::super::Loss;
    use super::super::answers::tests::{check_slope, value_and_slope};
    use super::*;

    fn value(loss: Pinball, shape: &[usize], out: &[f64], labels: &[f64]) -> f64 {
        value_and_slope(&Loss::Pinball(loss), shape, out, labels).0
    }

    #[test]
    fn the_slope_matches_central_differences() {
        let labels = [0.3, -1.1, 0.7, 0.0, 1.9, -0.4];
        check_slope(&Loss::Pinball(Pinball::new([0.1, 0.5, 0.9])), &[6, 3], &labels);
        let all = Pinball {
            factor: 2.0,
            over_levels: OverLevels::Sum,
            crossing: Some(Crossing {
                weight: 0.7,
                margin: 0.2,
            }),
            burn_in: 1,
            ..Pinball::new([0.1, 0.5, 0.9])
        };
        check_slope(&Loss::Pinball(all), &[3, 2, 3], &labels);
    }

    #[test]
    fn values_are_the_textbook_ones() {
        assert_eq!(
            [pinball(2.0, 0.9), pinball(-2.0, 0.9)],
            [1.8, 0.199_999_999_999_999_96]
        );
        let (out, labels) = ([1.0, 2.0, 3.0], [2.5]);
        let levels = [0.1, 0.5, 0.9];
        let expected = 0.1 * 1.5 + 0.5 * 0.5 + 0.1 * 0.5;
        assert!((value(Pinball::new(levels), &[1, 3], &out, &labels) - expected / 3.0).abs() < 1e-15);
        let doubled = Pinball {
            factor: 2.0,
            ..Pinball::new(levels)
        };
        assert!((value(doubled, &[1, 3], &out, &labels) - expected * 2.0 / 3.0).abs() < 1e-15);
        let summed = Pinball {
            over_levels: OverLevels::Sum,
            ..Pinball::new(levels)
        };
        assert!((value(summed, &[1, 3], &out, &labels) - expected).abs() < 1e-15);
    }

    #[test]
    fn a_hit_has_the_mean_of_both_slopes() {
        let (value, slope) = value_and_slope(&Loss::Pinball(Pinball::new([0.2])), &[1, 1], &[3.0], &[3.0]);
        assert_eq!((value, slope[0]), (0.0, 0.5 - 0.2));
    }

    #[test]
    fn the_median_of_a_sample_has_no_slope() {
        let labels = [1.0, 2.0, 3.0, 4.0, 50.0];
        let (_, slope) = value_and_slope(&Loss::Pinball(Pinball::new([0.5])), &[5, 1], &[3.0; 5], &labels);
        assert!(slope.iter().sum::<f64>().abs() < 1e-15);
    }

    #[test]
    fn only_crossing_quantiles_are_penalised() {
        let loss = |crossing| Pinball {
            crossing,
            ..Pinball::new([0.1, 0.5, 0.9])
        };
        let penalty = |q: &[f64]| {
            let crossing = Some(Crossing {
                weight: 2.0,
                margin: 0.25,
            });
            value(loss(crossing), &[1, 3], q, &[0.0]) - value(loss(None), &[1, 3], q, &[0.0])
        };
        assert!(penalty(&[0.0, 1.0, 2.0]).abs() < 1e-15);
        assert!((penalty(&[0.0, 0.125, -1.0]) - 2.0 * (0.125 + 1.375)).abs() < 1e-12);
    }

    #[test]
    fn steps_before_the_burn_in_do_not_count() {
        let loss = Pinball {
            burn_in: 1,
            ..Pinball::new([0.5])
        };
        let (value, slope) = value_and_slope(&Loss::Pinball(loss), &[2, 1, 1], &[9.0, 1.0], &[0.0, 2.0]);
        assert_eq!((value, slope), (0.5, vec![0.0, -0.5]));
    }

    #[test]
    fn levels_out_of_order_or_range_are_refused() {
        for levels in [
            vec![],
            vec![0.0, 0.5],
            vec![0.5, 0.5],
            vec![0.9, 0.1],
            vec![f64::NAN],
        ] {
            assert!(Pinball::new(levels).validate().is_err());
        }
        assert!(Pinball::new([0.1, 0.9]).validate().is_ok());
    }

    #[test]
    fn huge_values_stay_finite() {
        let (value, slope) = value_and_slope(
            &Loss::Pinball(Pinball::new([0.01, 0.99])),
            &[1, 2],
            &[1e38, -1e38],
            &[1e38],
        );
        assert!(value.is_finite() && slope.iter().all(|s| s.is_finite()));
    }
}
