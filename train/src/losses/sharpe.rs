//! Negative annual Sharpe ratio of the returns of a batch, `L = -√A mean(R) / dev(R)`: a statistic of the whole batch.
//!
//! It is no mean over windows: parts of a batch cannot be added up, and what else is in the batch changes every slope.
//!
//! ```text
//! R = z_t y_t - C σ_tgt |z_t/σ_t - z_{t-1}/σ_{t-1}|      over windows and the steps from `burn_in` on
//! ```
//!
//! with z a [`Position`], y the label (the return of the next step in units of the target volatility) and the second term the
//! cost of turnover. The first step of a window has no earlier position and costs nothing; the step at the burn-in does. Two
//! rules keep the ratio finite, and they are different losses:
//!
//! - `root`: `dev = √(var + ε)` (Momentum Transformer: n, ε = 1e-9);
//! - `fallback`: `dev = √var`, and where it is below 1e-8 the loss is `-0.01 mean|z|` (seed 002: n - 1).
//!
//! Slope: `dL/dR_i = -√A/n (1/dev - mean (R_i - mean) k / dev³)`, k = 1 for n and n/(n - 1) for n - 1. One return alone has no
//! variance: it counts as 0.

use super::answers::Answers;
use super::position::Position;
use super::range::{LossError, not_negative, positive, refuse};
use serde::{Deserialize, Serialize};

/// Deviation below which [`Guard::Fallback`] leaves the ratio.
const FLAT: f64 = 1e-8;
/// Weight of the mean absolute position in the fallback.
const PUSH: f64 = 0.01;

/// Negative Sharpe ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharpe {
    /// How answers become positions.
    pub position: Position,
    /// Label column with the return of a position of one.
    #[serde(default)]
    pub label: usize,
    /// Divisor of the variance.
    #[serde(default)]
    pub divisor: Divisor,
    /// What keeps the ratio finite.
    #[serde(default)]
    pub guard: Guard,
    /// Periods of a year, A.
    #[serde(default = "periods")]
    pub periods: f64,
    /// First steps of a window that are left out.
    #[serde(default)]
    pub burn_in: usize,
    /// Cost of turnover; needs several steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

fn periods() -> f64 {
    252.0
}

/// Divisor of a variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divisor {
    /// n.
    #[default]
    Population,
    /// n - 1.
    Sample,
}

/// What keeps a Sharpe ratio of equal returns finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Guard {
    /// `√(var + epsilon)`.
    Root {
        /// Added to the variance.
        epsilon: f64,
    },
    /// `-0.01 mean|z|` where the deviation is below 1e-8.
    Fallback {},
}

impl Default for Guard {
    fn default() -> Self {
        Self::Root { epsilon: 1e-9 }
    }
}

/// Cost of turnover, `rate target_volatility |Δ(z/σ)|`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// C, such as 5e-4 for five basis points.
    pub rate: f64,
    /// σ_tgt, per step.
    pub target_volatility: f64,
    /// Label column with σ_t of the step.
    pub volatility: usize,
}

/// One return and where its position stands.
struct Return {
    step: usize,
    window: usize,
    value: f64,
    /// `sign(Δ(z/σ))` times rate and target volatility; 0 without cost.
    charge: f64,
}

impl Sharpe {
    /// Population deviation with 1e-9 in the root, 252 periods, no cost.
    #[must_use]
    pub fn new(position: Position) -> Self {
        Self {
            position,
            label: 0,
            divisor: Divisor::Population,
            guard: Guard::default(),
            periods: periods(),
            burn_in: 0,
            cost: None,
        }
    }

    pub(super) fn validate(&self) -> Result<(), LossError> {
        self.position.validate()?;
        positive("sharpe.periods", self.periods)?;
        if let Guard::Root { epsilon } = self.guard {
            positive("sharpe.guard.root.epsilon", epsilon)?;
        }
        let Some(cost) = &self.cost else { return Ok(()) };
        if cost.volatility == self.label {
            return refuse(
                "sharpe.cost.volatility",
                "another label than the return",
                &cost.volatility,
            );
        }
        not_negative("sharpe.cost.rate", cost.rate)?;
        positive("sharpe.cost.target_volatility", cost.target_volatility)
    }

    /// The returns of the positions, step after step, cost taken off.
    #[must_use]
    pub fn returns(&self, answers: &Answers) -> Vec<f64> {
        self.charged(answers).into_iter().map(|r| r.value).collect()
    }

    fn charged(&self, answers: &Answers) -> Vec<Return> {
        let of = |(step, window)| {
            let z = self.position.of(answers.answer(step, window));
            let charge = self.charge(answers, step, window);
            Return {
                step,
                window,
                value: z * answers.label(step, window, self.label) - charge.0,
                charge: charge.1,
            }
        };
        answers.rows(self.burn_in).map(of).collect()
    }

    /// Position in units of the volatility, for the cost.
    fn exposure(&self, answers: &Answers, cost: &Cost, step: usize, window: usize) -> f64 {
        self.position.of(answers.answer(step, window)) / answers.label(step, window, cost.volatility)
    }

    /// Cost of arriving at a step, and its slope by the exposure of that step.
    fn charge(&self, answers: &Answers, step: usize, window: usize) -> (f64, f64) {
        let Some(cost) = self.cost.as_ref().filter(|_| step > 0) else {
            return (0.0, 0.0);
        };
        let turnover =
            self.exposure(answers, cost, step, window) - self.exposure(answers, cost, step - 1, window);
        let rate = cost.rate * cost.target_volatility;
        let sign = if turnover == 0.0 { 0.0 } else { turnover.signum() };
        (rate * turnover.abs(), rate * sign)
    }

    /// Adds `scale` times the slope and returns the loss of these answers, which are the whole batch.
    pub(super) fn add_slope(&self, answers: &Answers, scale: f64, slope: &mut [f64]) -> f64 {
        let returns = self.charged(answers);
        let n = returns.len() as f64;
        let mean = returns.iter().map(|r| r.value).sum::<f64>() / n;
        let squares: f64 = returns.iter().map(|r| (r.value - mean).powi(2)).sum();
        let divisor = match self.divisor {
            Divisor::Population => n,
            Divisor::Sample => (n - 1.0).max(1.0),
        };
        let variance = squares / divisor;
        let deviation = match self.guard {
            Guard::Root { epsilon } => (variance + epsilon).sqrt(),
            Guard::Fallback {} if variance.sqrt() < FLAT => {
                return self.push(answers, &returns, scale, slope);
            }
            Guard::Fallback {} => variance.sqrt(),
        };
        let annual = self.periods.sqrt();
        for r in &returns {
            let bend = mean * (r.value - mean) / (divisor * deviation.powi(3));
            self.pass_on(
                answers,
                r,
                -scale * annual * (1.0 / (n * deviation) - bend),
                slope,
            );
        }
        -annual * mean / deviation
    }

    /// Adds `by` times the slope of one return.
    fn pass_on(&self, answers: &Answers, r: &Return, by: f64, slope: &mut [f64]) {
        let mut add = |step: usize, by: f64| {
            let answer = answers.answer(step, r.window);
            let at = answers.at(step, r.window);
            self.position
                .add_slope(answer, by, &mut slope[at..at + answer.len()]);
        };
        let mut own = answers.label(r.step, r.window, self.label);
        if let Some(cost) = self.cost.as_ref().filter(|_| r.step > 0) {
            own -= r.charge / answers.label(r.step, r.window, cost.volatility);
            add(
                r.step - 1,
                by * r.charge / answers.label(r.step - 1, r.window, cost.volatility),
            );
        }
        add(r.step, by * own);
    }

    /// The fallback: away from flat positions.
    fn push(&self, answers: &Answers, returns: &[Return], scale: f64, slope: &mut [f64]) -> f64 {
        let per_row = PUSH / returns.len() as f64;
        let mut sum = 0.0;
        for r in returns {
            let answer = answers.answer(r.step, r.window);
            let z = self.position.of(answer);
            let at = answers.at(r.step, r.window);
            let sign = if z == 0.0 { 0.0 } else { z.signum() };
            sum += z.abs();
            self.position
                .add_slope(answer, -scale * per_row * sign, &mut slope[at..at + answer.len()]);
        }
        -per_row * sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::Loss;
    use super::super::answers::tests::{check_slope, value_and_slope};
    use super::super::gaussian_nll::{Gaussian, Scale};
    use super::*;

    const LABELS: [f64; 6] = [0.3, -1.1, 0.7, 0.2, 1.9, -0.4];

    fn tanh() -> Sharpe {
        Sharpe::new(Position::Tanh { column: 0 })
    }

    fn seed() -> Sharpe {
        Sharpe {
            divisor: Divisor::Sample,
            guard: Guard::Fallback {},
            ..Sharpe::new(Position::Linear { column: 0 })
        }
    }

    #[test]
    fn the_slope_matches_central_differences() {
        check_slope(&Loss::Sharpe(tanh()), &[6, 1], &LABELS);
        check_slope(&Loss::Sharpe(seed()), &[6, 1], &LABELS);
        let gaussian = Position::Gaussian {
            gaussian: Gaussian::new(1, 0, Scale::Log),
        };
        check_slope(
            &Loss::Sharpe(Sharpe {
                burn_in: 1,
                ..Sharpe::new(gaussian)
            }),
            &[3, 2, 2],
            &LABELS,
        );
    }

    #[test]
    fn the_slope_with_costs_matches_central_differences() {
        let cost = Some(Cost {
            rate: 0.3,
            target_volatility: 0.5,
            volatility: 1,
        });
        let volatilities = [0.5, 0.8, 1.1, 0.9, 0.6, 0.7];
        let labels: Vec<f64> = LABELS
            .iter()
            .zip(volatilities)
            .flat_map(|(&y, s)| [y, s])
            .collect();
        for burn_in in [0, 1, 2] {
            check_slope(
                &Loss::Sharpe(Sharpe {
                    cost,
                    burn_in,
                    ..tanh()
                }),
                &[3, 2, 1],
                &labels,
            );
        }
    }

    #[test]
    fn values_are_the_textbook_ones() {
        let (value, _) = value_and_slope(&Loss::Sharpe(seed()), &[3, 1], &[1.0; 3], &[0.01, 0.03, 0.02]);
        assert!((value + 252f64.sqrt() * 0.02 / 0.01).abs() < 1e-9);
        let (value, _) = value_and_slope(
            &Loss::Sharpe(Sharpe {
                periods: 1.0,
                ..Sharpe::new(Position::Linear { column: 0 })
            }),
            &[2, 1],
            &[1.0, -0.5],
            &[0.02, 0.04],
        );
        assert!(value.abs() < 1e-12, "returns of +2 % and -2 %");
    }

    #[test]
    fn the_cost_is_charged_from_the_second_step_on() {
        let cost = Some(Cost {
            rate: 0.01,
            target_volatility: 0.5,
            volatility: 1,
        });
        let loss = Sharpe {
            cost,
            ..Sharpe::new(Position::Linear { column: 0 })
        };
        let answers = Answers::new(&[2, 1, 1], vec![1.0, -1.0], vec![0.3, 0.5, 0.1, 0.25]);
        let expected = [0.3, -0.1 - 0.01 * 0.5 * (4.0 + 2.0)];
        for (found, expected) in loss.returns(&answers).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15);
        }
        let later = Sharpe { burn_in: 1, ..loss }.returns(&answers);
        assert!(
            (later[0] - expected[1]).abs() < 1e-15,
            "the position before the burn-in counts"
        );
    }

    #[test]
    fn equal_returns_are_finite_under_both_rules() {
        let (value, slope) = value_and_slope(&Loss::Sharpe(tanh()), &[3, 1], &[0.5; 3], &[0.0; 3]);
        assert_eq!((value, slope), (0.0, vec![0.0; 3]));
        let (value, slope) = value_and_slope(&Loss::Sharpe(seed()), &[2, 1], &[0.5, -0.1], &[0.0; 2]);
        assert!((value + 0.003).abs() < 1e-15);
        assert_eq!(slope, [-0.005, 0.005], "the fallback pushes positions outward");
        let (one, slope) = value_and_slope(&Loss::Sharpe(seed()), &[1, 1], &[0.5], &[0.3]);
        assert!(one.is_finite() && slope[0].is_finite());
    }

    #[test]
    fn huge_answers_stay_finite() {
        let (value, slope) = value_and_slope(&Loss::Sharpe(tanh()), &[2, 1], &[1e30, -1e30], &[0.1, 0.2]);
        assert!(value.is_finite() && slope.iter().all(|s| s.is_finite()));
    }

    #[test]
    fn it_is_not_the_mean_of_its_parts() {
        let out = [0.5, -0.2, 0.9, 0.1];
        let labels = [0.01, 0.02, -0.01, 0.04];
        let of = |range: std::ops::Range<usize>| {
            value_and_slope(
                &Loss::Sharpe(tanh()),
                &[range.len(), 1],
                &out[range.clone()],
                &labels[range],
            )
            .0
        };
        assert!((of(0..4) - f64::midpoint(of(0..2), of(2..4))).abs() > 0.1);
    }
}
