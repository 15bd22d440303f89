//! Positions in [-1, 1] from the columns of an answer, with their slopes.
//!
//! | map | z | dz |
//! |---|---|---|
//! | `tanh` | `tanh(a)` | `1 - z²` |
//! | `linear` | `a` | `1` |
//! | `gaussian` | `2Φ(μ/σ) - 1` | `2φ(μ/σ)` times `1/σ` by μ and `-(μ/σ) d ln σ/dz` by the raw deviation |

use super::gaussian_nll::Gaussian;
use super::range::LossError;
use serde::{Deserialize, Serialize};
use tickfuse_core::decide::normal;

/// How an answer becomes a position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "map", rename_all = "snake_case", deny_unknown_fields)]
pub enum Position {
    /// Hyperbolic tangent of a column.
    Tanh {
        /// The column.
        column: usize,
    },
    /// A column as it is.
    Linear {
        /// The column.
        column: usize,
    },
    /// `2Φ(μ/σ) - 1`.
    Gaussian {
        /// Where mean and deviation stand.
        gaussian: Gaussian,
    },
}

impl Position {
    pub(super) fn validate(&self) -> Result<(), LossError> {
        match self {
            Self::Gaussian { gaussian } => gaussian.validate(),
            Self::Tanh { .. } | Self::Linear { .. } => Ok(()),
        }
    }

    /// Columns that are read.
    #[must_use]
    pub fn columns(&self) -> Vec<usize> {
        match self {
            Self::Tanh { column } | Self::Linear { column } => vec![*column],
            Self::Gaussian { gaussian } => vec![gaussian.mean, gaussian.deviation],
        }
    }

    /// The position of an answer.
    #[must_use]
    pub fn of(&self, answer: &[f64]) -> f64 {
        match self {
            Self::Tanh { column } => answer[*column].tanh(),
            Self::Linear { column } => answer[*column],
            Self::Gaussian { gaussian } => {
                normal::position(gaussian.mean_of(answer) * gaussian.deviation_of(answer).inverse)
            }
        }
    }

    /// Adds `by` times the slope of the position to `slope`, which lies beside `answer`.
    pub(super) fn add_slope(&self, answer: &[f64], by: f64, slope: &mut [f64]) {
        match self {
            Self::Tanh { column } => {
                let z = answer[*column].tanh();
                slope[*column] += by * (1.0 - z * z);
            }
            Self::Linear { column } => slope[*column] += by,
            Self::Gaussian { gaussian } => {
                let sigma = gaussian.deviation_of(answer);
                let u = gaussian.mean_of(answer) * sigma.inverse;
                let dz = 2.0 * normal::density(u);
                slope[gaussian.mean] += by * dz * sigma.inverse;
                slope[gaussian.deviation] -= by * dz * u * sigma.slope;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gaussian_nll::Scale;
    use super::*;

    #[test]
    fn a_mean_of_one_deviation_is_the_central_mass_of_one_deviation() {
        let gaussian = Position::Gaussian {
            gaussian: Gaussian::new(0, 1, Scale::Log),
        };
        assert!((gaussian.of(&[2.0, 2.0f64.ln()]) - 0.682_689_492_137_085_9).abs() < 1e-14);
        assert_eq!(gaussian.of(&[0.0, 0.0]), 0.0);
        assert_eq!(gaussian.of(&[1e30, -300.0]), 1.0);
    }

    #[test]
    fn slopes_match_central_differences() {
        let maps = [
            Position::Tanh { column: 1 },
            Position::Linear { column: 0 },
            Position::Gaussian {
                gaussian: Gaussian::new(0, 1, Scale::Log),
            },
            Position::Gaussian {
                gaussian: Gaussian::new(1, 0, Scale::Softplus),
            },
        ];
        for map in maps {
            let answer = [0.6, -0.4];
            let mut slope = [0.0; 2];
            map.add_slope(&answer, 1.0, &mut slope);
            for column in 0..2 {
                let moved = |by: f64| {
                    let mut a = answer;
                    a[column] += by;
                    map.of(&a)
                };
                let numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((numeric - slope[column]).abs() < 1e-9, "{map:?} {column}");
            }
        }
    }

    #[test]
    fn extreme_answers_have_finite_positions_and_slopes() {
        for scale in [Scale::Log, Scale::Softplus] {
            let map = Position::Gaussian {
                gaussian: Gaussian::new(0, 1, scale),
            };
            for answer in [[1e30, -1e30], [-1e30, 1e30], [1.0, -200.0], [0.0, 200.0]] {
                let mut slope = [0.0; 2];
                map.add_slope(&answer, 1.0, &mut slope);
                assert!(
                    map.of(&answer).abs() <= 1.0 && slope.iter().all(|s| s.is_finite()),
                    "{answer:?} {slope:?}"
                );
            }
        }
    }
}
