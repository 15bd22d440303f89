//! A weighted sum of losses on one answer, `Σ w_i L_i`.
//!
//! With heads of their own the minimiser of one term does not depend on its weight; weights trade what the terms share.

use super::config::Loss;
use super::range::{LossError, positive, refuse};
use serde::{Deserialize, Serialize};

/// One loss of a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Its weight.
    pub weight: f64,
    /// The loss.
    pub loss: Loss,
}

impl Term {
    pub(super) fn validate(&self) -> Result<(), LossError> {
        positive("joint.terms.weight", self.weight)?;
        match &self.loss {
            Loss::Bce(_) | Loss::Joint { .. } => {
                refuse("joint.terms.loss", "a loss of named columns", &self.loss.name())
            }
            loss => loss.validate(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::tests::{check_slope, value_and_slope};
    use super::super::cross_entropy::CrossEntropy;
    use super::super::gaussian_nll::{Gaussian, GaussianNll, Scale};
    use super::super::pinball::Pinball;
    use super::super::position::Position;
    use super::super::sharpe::Sharpe;
    use super::*;

    fn classes_and_quantiles() -> Loss {
        let pinball = Pinball {
            column: 3,
            label: 1,
            ..Pinball::new([0.1, 0.5, 0.9])
        };
        Loss::joint([
            (
                1.0,
                Loss::CrossEntropy(CrossEntropy::new(["sell", "hold", "buy"])),
            ),
            (0.5, Loss::Pinball(pinball)),
        ])
    }

    fn position_and_gaussian() -> Loss {
        let gaussian = Gaussian::new(1, 2, Scale::Softplus);
        Loss::joint([
            (
                1.0,
                Loss::Sharpe(Sharpe {
                    burn_in: 1,
                    ..Sharpe::new(Position::Tanh { column: 0 })
                }),
            ),
            (
                0.7,
                Loss::GaussianNll(GaussianNll {
                    burn_in: 1,
                    ..GaussianNll::new(gaussian)
                }),
            ),
        ])
    }

    fn position_and_quantiles() -> Loss {
        let pinball = Pinball {
            column: 1,
            burn_in: 1,
            ..Pinball::new([0.25, 0.75])
        };
        Loss::joint([
            (
                1.0,
                Loss::Sharpe(Sharpe {
                    burn_in: 1,
                    ..Sharpe::new(Position::Tanh { column: 0 })
                }),
            ),
            (5.0, Loss::Pinball(pinball)),
        ])
    }

    #[test]
    fn slopes_match_central_differences() {
        check_slope(
            &classes_and_quantiles(),
            &[3, 6],
            &[0.0, -0.4, 2.0, 1.3, 1.0, 0.1],
        );
        let labels = [0.3, -1.1, 0.7, 0.2, 1.9, -0.4];
        check_slope(&position_and_gaussian(), &[3, 2, 3], &labels);
        check_slope(&position_and_quantiles(), &[3, 2, 3], &labels);
    }

    #[test]
    fn the_value_is_the_weighted_sum() {
        let out = [0.1, 0.4, -0.2, 0.5, -1.0, 0.3];
        let labels = [2.0, 0.2, 0.0, -0.1];
        let of = |loss: &Loss| value_and_slope(loss, &[1, 6], &out, &labels[..2]).0;
        let joint = classes_and_quantiles();
        let Loss::Joint { terms } = &joint else {
            panic!("{joint:?}")
        };
        let parts: Vec<f64> = terms.iter().map(|term| of(&term.loss)).collect();
        assert!((of(&joint) - (parts[0] + 0.5 * parts[1])).abs() < 1e-15);
    }

    #[test]
    fn a_sum_with_a_statistic_is_one() {
        assert!(position_and_gaussian().is_batch_statistic());
        assert!(!classes_and_quantiles().is_batch_statistic());
    }

    #[test]
    fn sums_of_sums_are_refused() {
        let nested = Loss::joint([(1.0, classes_and_quantiles())]);
        assert_eq!(
            nested.validate().unwrap_err().to_string(),
            "loss.joint.terms.loss: expected a loss of named columns, found \"joint\""
        );
        assert!(Loss::joint([]).validate().is_err());
    }
}
