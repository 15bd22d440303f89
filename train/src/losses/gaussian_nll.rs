//! Negative log-likelihood of a Gaussian, `ln σ + ((y - μ)/σ)²/2`, optionally with `ln(2π)/2`.
//!
//! The deviation comes from a raw column z by a [`Scale`]: `log`: `σ = max(e^z, floor)`, whose slope by z is zero at the floor and
//! nowhere else; `softplus`: `σ = ln(1 + e^z) + floor`. Everything is written in `ln σ` and `1/σ`, so that no z overflows.
//! Slopes: `dl/dμ = -(y - μ)/σ²`, `dl/dz = (1 - ((y - μ)/σ)²) d ln σ/dz`.

use super::answers::Answers;
use super::range::{LossError, positive, refuse};
use serde::{Deserialize, Serialize};

/// `ln(2π)/2`.
pub const HALF_LN_2_PI: f64 = 0.918_938_533_204_672_8;

/// Gaussian likelihood of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianNll {
    /// Where mean and deviation stand.
    pub gaussian: Gaussian,
    /// Label column.
    #[serde(default)]
    pub label: usize,
    /// Whether `ln(2π)/2` is part of the value.
    #[serde(default)]
    pub constant: bool,
    /// First steps of a window that are left out.
    #[serde(default)]
    pub burn_in: usize,
}

/// The columns of a Gaussian.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Column of μ.
    pub mean: usize,
    /// Column of the raw deviation z.
    pub deviation: usize,
    /// How z becomes σ.
    pub scale: Scale,
    /// Least σ.
    #[serde(default = "floor")]
    pub floor: f64,
}

/// How a raw column becomes a deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// `max(e^z, floor)`.
    Log,
    /// `ln(1 + e^z) + floor`.
    Softplus,
}

fn floor() -> f64 {
    1e-6
}

/// A deviation in the forms that overflow least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// `ln σ`.
    pub ln: f64,
    /// `1/σ`.
    pub inverse: f64,
    /// `d ln σ / dz`.
    pub slope: f64,
}

impl Gaussian {
    /// Mean and deviation in the given columns, with the floor 1e-6.
    #[must_use]
    pub fn new(mean: usize, deviation: usize, scale: Scale) -> Self {
        Self {
            mean,
            deviation,
            scale,
            floor: floor(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), LossError> {
        if self.mean == self.deviation {
            return refuse(
                "gaussian.deviation",
                "another column than the mean's",
                &self.deviation,
            );
        }
        positive("gaussian.floor", self.floor)
    }

    /// The mean of an answer.
    #[must_use]
    pub fn mean_of(&self, answer: &[f64]) -> f64 {
        answer[self.mean]
    }

    /// The deviation of an answer.
    #[must_use]
    pub fn deviation_of(&self, answer: &[f64]) -> Deviation {
        let z = answer[self.deviation];
        match self.scale {
            Scale::Log if z > self.floor.ln() => Deviation {
                ln: z,
                inverse: (-z).exp(),
                slope: 1.0,
            },
            Scale::Log if !z.is_nan() => Deviation {
                ln: self.floor.ln(),
                inverse: self.floor.recip(),
                slope: 0.0,
            },
            _ => self.softplus(z),
        }
    }

    fn softplus(&self, z: f64) -> Deviation {
        let small = (-z.abs()).exp();
        let sigma = z.max(0.0) + small.ln_1p() + self.floor;
        let sigmoid = if z < 0.0 { small } else { 1.0 } / (1.0 + small);
        Deviation {
            ln: sigma.ln(),
            inverse: sigma.recip(),
            slope: sigmoid / sigma,
        }
    }
}

impl GaussianNll {
    /// Without constant and burn-in, of the first label.
    #[must_use]
    pub fn new(gaussian: Gaussian) -> Self {
        Self {
            gaussian,
            label: 0,
            constant: false,
            burn_in: 0,
        }
    }

    /// Adds `scale` times the slope and returns the loss, a mean over `count` windows.
    pub(super) fn add_slope(&self, answers: &Answers, count: usize, scale: f64, slope: &mut [f64]) -> f64 {
        let n_rows = (count * (answers.n_steps() - self.burn_in)) as f64;
        let constant = if self.constant { HALF_LN_2_PI } else { 0.0 };
        let mut sum = 0.0;
        for (t, b) in answers.rows(self.burn_in) {
            let answer = answers.answer(t, b);
            let sigma = self.gaussian.deviation_of(answer);
            let e = (answers.label(t, b, self.label) - self.gaussian.mean_of(answer)) * sigma.inverse;
            sum += sigma.ln + 0.5 * e * e + constant;
            let at = answers.at(t, b);
            slope[at + self.gaussian.mean] -= scale / n_rows * e * sigma.inverse;
            slope[at + self.gaussian.deviation] += scale / n_rows * (1.0 - e * e) * sigma.slope;
        }
        sum / n_rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::Loss;
    use super::super::answers::tests::{check_slope, value_and_slope};
    use super::*;

    fn loss(scale: Scale) -> GaussianNll {
        GaussianNll::new(Gaussian::new(0, 1, scale))
    }

    #[test]
    fn the_slope_matches_central_differences() {
        let labels = [0.3, -1.1, 0.7, 0.0, 1.9, -0.4];
        for scale in [Scale::Log, Scale::Softplus] {
            check_slope(&Loss::GaussianNll(loss(scale)), &[6, 2], &labels);
            let later = GaussianNll {
                burn_in: 1,
                constant: true,
                ..loss(scale)
            };
            check_slope(&Loss::GaussianNll(later), &[3, 2, 2], &labels);
        }
    }

    #[test]
    fn values_are_the_logarithms_of_densities() {
        let density = |y: f64, mean: f64, sigma: f64| {
            (-0.5 * ((y - mean) / sigma).powi(2)).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt())
        };
        let (y, mean, sigma) = (0.7, 0.2, 1.7f64);
        let with = GaussianNll {
            constant: true,
            ..loss(Scale::Log)
        };
        let (value, _) = value_and_slope(&Loss::GaussianNll(with), &[1, 2], &[mean, sigma.ln()], &[y]);
        assert!((value + density(y, mean, sigma).ln()).abs() < 1e-12);
        let (without, _) = value_and_slope(
            &Loss::GaussianNll(loss(Scale::Log)),
            &[1, 2],
            &[mean, sigma.ln()],
            &[y],
        );
        assert!((value - without - (2.0 * std::f64::consts::PI).ln() / 2.0).abs() < 1e-12);
        let raw = ((sigma - 1e-6).exp() - 1.0).ln();
        let (soft, _) = value_and_slope(
            &Loss::GaussianNll(loss(Scale::Softplus)),
            &[1, 2],
            &[mean, raw],
            &[y],
        );
        assert!((soft - without).abs() < 1e-12);
    }

    #[test]
    fn at_the_floor_the_mean_still_learns() {
        let (value, slope) = value_and_slope(
            &Loss::GaussianNll(loss(Scale::Log)),
            &[1, 2],
            &[0.0, -40.0],
            &[1e-6],
        );
        assert!((value - (1e-6f64.ln() + 0.5)).abs() < 1e-9);
        assert!((slope[0] + 1e6).abs() < 1e-3, "{slope:?}");
        assert_eq!(slope[1], 0.0);
    }

    #[test]
    fn extreme_deviations_stay_finite() {
        for scale in [Scale::Log, Scale::Softplus] {
            for raw in [-1e30, -200.0, 0.0, 200.0, 1e30] {
                let (value, slope) =
                    value_and_slope(&Loss::GaussianNll(loss(scale)), &[1, 2], &[3.0, raw], &[-1.0]);
                assert!(
                    value.is_finite() && slope.iter().all(|s| s.is_finite()),
                    "{scale:?} {raw}"
                );
            }
        }
        let (value, _) = value_and_slope(
            &Loss::GaussianNll(loss(Scale::Log)),
            &[1, 2],
            &[3.0, f64::NAN],
            &[-1.0],
        );
        assert!(value.is_nan(), "a broken answer is not hidden by the floor");
    }

    #[test]
    fn mean_and_deviation_are_different_columns() {
        assert!(Gaussian::new(1, 1, Scale::Log).validate().is_err());
        assert!(
            Gaussian {
                floor: 0.0,
                ..Gaussian::new(0, 1, Scale::Log)
            }
            .validate()
            .is_err()
        );
    }
}
