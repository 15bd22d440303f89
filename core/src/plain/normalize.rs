//! Normalizers in f64: transforms with their inverses, centre and scale of a window.
//!
//! pytorch-forecasting computes the statistics of its `EncoderNormalizer` in f32, and so does the core; here they are f64.

use super::softplus;
use crate::bundle::{Normalizer, NormalizerSource, Transform};
use alloc::vec::Vec;

/// Centre and scale of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CenterScale {
    /// Subtracted from the transformed value.
    pub center: f64,
    /// Divided by.
    pub scale: f64,
}

impl CenterScale {
    /// `(transform(y) - center) / scale` by this normalizer.
    #[must_use]
    pub fn scaled(&self, by: &Normalizer, y: f64) -> f64 {
        (forward(by.transform, y, eps(&by.source)) - self.center) / self.scale
    }

    /// `inverse(z scale + center)`.
    #[must_use]
    pub fn undone(&self, transform: Transform, z: f64) -> f64 {
        inverse(transform, z * self.scale + self.center)
    }
}

/// The step behind 1 of the type in which the original transforms: f32 where it computes statistics of a window.
fn eps(source: &NormalizerSource) -> f64 {
    match source {
        NormalizerSource::Encoder { .. } => f32::EPSILON.into(),
        _ => f64::EPSILON,
    }
}

/// The transform of a raw value, limited at its edges by `eps`.
#[must_use]
pub fn forward(transform: Transform, y: f64, eps: f64) -> f64 {
    match transform {
        Transform::Identity | Transform::Relu => y,
        Transform::Log => libm::log(y).clamp(-1.0 / eps, f64::INFINITY),
        Transform::Log1p => libm::log1p(y),
        Transform::Softplus if y > 20.0 => y,
        Transform::Softplus => libm::log(libm::expm1(y + eps)) - eps,
        Transform::Logit => {
            let p = y.clamp(eps, 1.0 - eps);
            libm::log(p / (1.0 - p))
        }
        Transform::Count => y + 1.0,
        Transform::Sqrt => libm::sqrt(y),
    }
}

/// From a transformed value to the raw one; of `Log1p` it is `exp`, as in the original.
#[must_use]
pub fn inverse(transform: Transform, x: f64) -> f64 {
    match transform {
        Transform::Identity => x,
        Transform::Log | Transform::Log1p => libm::exp(x),
        Transform::Softplus | Transform::Count => softplus(x),
        Transform::Relu => super::relu(x),
        Transform::Logit => super::sigmoid(x).clamp(f32::MIN_POSITIVE.into(), 1.0 - f64::from(f32::EPSILON)),
        Transform::Sqrt => x * x,
    }
}

/// Centre and scale for a window whose categoricals have the codes `code(name)` of `n_codes(name)`, and whose encoder rows
/// have the raw values `column(name)`.
#[must_use]
pub fn center_scale(
    normalizer: &Normalizer,
    code: impl Fn(&str) -> (usize, usize),
    column: impl Fn(&str) -> Vec<f64>,
) -> CenterScale {
    match &normalizer.source {
        NormalizerSource::Fixed { center, scale } => CenterScale {
            center: *center,
            scale: *scale,
        },
        NormalizerSource::Table { inputs, rows } => {
            let row = inputs.iter().fold(0, |row, name| {
                let (code, n_codes) = code(name);
                row * n_codes + code
            });
            let [center, scale] = rows[row];
            CenterScale { center, scale }
        }
        NormalizerSource::Encoder {
            input,
            epsilon,
            center,
        } => {
            let values: Vec<f64> = column(input)
                .iter()
                .map(|y| forward(normalizer.transform, *y, eps(&normalizer.source)))
                .collect();
            of_encoder(&values, *epsilon, *center)
        }
    }
}

/// Mean, or 0 without centring, and sample deviation plus `epsilon`.
fn of_encoder(values: &[f64], epsilon: f64, center: bool) -> CenterScale {
    assert!(
        values.len() > 1,
        "expected two or more encoder rows, found {}",
        values.len()
    );
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    CenterScale {
        center: if center { mean } else { 0.0 },
        scale: libm::sqrt(squares / (n - 1.0)) + epsilon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_a_window_are_mean_and_sample_deviation() {
        let found = of_encoder(&[1.0, 2.0, 3.0, 6.0], 0.5, true);
        assert_eq!(found.center, 3.0);
        assert!((found.scale - libm::sqrt(14.0 / 3.0) - 0.5).abs() < 1e-15);
        let uncentred = of_encoder(&[1.0, 2.0, 3.0, 6.0], 0.5, false);
        assert_eq!((uncentred.center, uncentred.scale), (0.0, found.scale));
    }

    #[test]
    fn a_table_of_two_inputs_is_read_row_by_row() {
        let rows = (0..6).map(|i| [f64::from(i), 10.0]).collect();
        let normalizer = Normalizer {
            name: "n".into(),
            source: NormalizerSource::Table {
                inputs: ["a".into(), "b".into()].to_vec(),
                rows,
            },
            transform: Transform::Identity,
        };
        let code = |name: &str| if name == "a" { (1, 2) } else { (2, 3) };
        let found = center_scale(&normalizer, code, |_| Vec::new());
        assert_eq!((found.center, found.scale), (5.0, 10.0));
    }

    #[test]
    fn transforms_and_inverses_are_those_of_the_original() {
        let unit = CenterScale {
            center: 0.0,
            scale: 1.0,
        };
        let by = |transform| Normalizer {
            name: "n".into(),
            source: NormalizerSource::Fixed {
                center: 0.0,
                scale: 1.0,
            },
            transform,
        };
        let there_and_back = |transform, y| unit.undone(transform, unit.scaled(&by(transform), y));
        for transform in [
            Transform::Identity,
            Transform::Log,
            Transform::Softplus,
            Transform::Sqrt,
        ] {
            for y in [0.25, 4.0, 30.0] {
                assert!(
                    (there_and_back(transform, y) - y).abs() < 1e-13 * y,
                    "{transform:?}"
                );
            }
        }
        assert!((there_and_back(Transform::Logit, 0.25) - 0.25).abs() < 1e-15);
        assert!((there_and_back(Transform::Log1p, 2.0) - 3.0).abs() < 1e-15);
        assert!((there_and_back(Transform::Count, 0.0) - libm::log1p(libm::exp(1.0))).abs() < 1e-15);
        assert_eq!(there_and_back(Transform::Relu, -3.0), 0.0);
    }
}
