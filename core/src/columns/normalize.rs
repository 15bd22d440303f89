//! Normalizers at work: the transforms of pytorch-forecasting 1.8 with their inverses, centre and scale of a window.

use crate::bundle::{Normalizer, NormalizerSource, Schema, Transform};
use alloc::vec::Vec;

/// Centre and scale of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CenterScale {
    pub(crate) center: f64,
    pub(crate) scale: f64,
}

/// A normalizer, its inputs resolved.
#[derive(Debug, Clone)]
pub(crate) struct Scaling {
    pub(crate) transform: Transform,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Fixed(CenterScale),
    /// `(code column, number of codes)` of every input, and the rows.
    Table(Vec<(usize, usize)>, Vec<[f64; 2]>),
    /// Column of the window.
    Encoder {
        column: usize,
        epsilon: f64,
        center: bool,
    },
}

/// Softplus above which both directions are the identity (PyTorch's threshold).
const LINEAR_FROM: f64 = 20.0;
/// Smallest and largest probability of an answer.
const SIGMOID_FROM: f64 = f32::MIN_POSITIVE as f64;
const SIGMOID_TO: f64 = 1.0 - f32::EPSILON as f64;

/// The transform of a raw target; `eps` is the step behind 1 of the type in which the original computes, and limits what
/// it makes of values at the edge. What lies beyond (the logarithm of a negative number) is NaN.
pub(crate) fn forward(transform: Transform, y: f64, eps: f64) -> f64 {
    match transform {
        Transform::Identity | Transform::Relu => y,
        Transform::Log if y == 0.0 => -1.0 / eps,
        Transform::Log => libm::log(y),
        Transform::Log1p => libm::log1p(y),
        Transform::Softplus if y > LINEAR_FROM => y,
        Transform::Softplus => y + libm::log(-libm::expm1(-(y + eps))),
        Transform::Logit => {
            let p = y.clamp(eps, 1.0 - eps);
            libm::log(p) - libm::log1p(-p)
        }
        Transform::Count => y + 1.0,
        Transform::Sqrt => libm::sqrt(y),
    }
}

/// Back to the target's own unit, within the limits that the original's f32 sets.
pub(crate) fn inverse(transform: Transform, x: f64) -> f64 {
    match transform {
        Transform::Identity => x,
        Transform::Log | Transform::Log1p => libm::exp(x),
        Transform::Softplus | Transform::Count => softplus(x),
        Transform::Relu => x.max(0.0),
        Transform::Logit => (1.0 / (1.0 + libm::exp(-x))).clamp(SIGMOID_FROM, SIGMOID_TO),
        Transform::Sqrt => x * x,
    }
}

/// `ln(1 + e^x)`.
pub(crate) fn softplus(x: f64) -> f64 {
    if x > LINEAR_FROM {
        x
    } else {
        libm::log1p(libm::exp(x))
    }
}

impl Scaling {
    /// The schema's normalizers in order.
    pub(crate) fn of(schema: &Schema) -> Vec<Self> {
        schema.normalizers.iter().map(|n| Self::new(schema, n)).collect()
    }

    fn new(schema: &Schema, normalizer: &Normalizer) -> Self {
        let source = match &normalizer.source {
            NormalizerSource::Fixed { center, scale } => Source::Fixed(CenterScale {
                center: *center,
                scale: *scale,
            }),
            NormalizerSource::Table { inputs, rows } => {
                let columns = inputs.iter().map(|name| code_column(schema, name)).collect();
                Source::Table(columns, rows.clone())
            }
            NormalizerSource::Encoder {
                input,
                epsilon,
                center,
            } => Source::Encoder {
                column: schema.inputs.iter().position(|i| i.name == *input).unwrap_or(0),
                epsilon: *epsilon,
                center: *center,
            },
        };
        Self {
            transform: normalizer.transform,
            source,
        }
    }

    /// The scaled value.
    pub(crate) fn scaled(&self, raw: f64, by: CenterScale) -> f32 {
        let y = forward(self.transform, raw, self.eps());
        match self.source {
            Source::Encoder { .. } => (y as f32 - by.center as f32) / by.scale as f32,
            _ => ((y - by.center) / by.scale) as f32,
        }
    }

    /// Whether the transform makes a number of a raw value, whatever centre and scale its window has.
    pub(crate) fn accepts(&self, raw: f64) -> bool {
        (forward(self.transform, raw, self.eps()) as f32).is_finite()
    }

    /// Of the type in which the original transforms: of statistics of a window f32, of those of a table f64.
    fn eps(&self) -> f64 {
        match self.source {
            Source::Encoder { .. } => f32::EPSILON.into(),
            _ => f64::EPSILON,
        }
    }

    /// Centre and scale, if they are the same for every window.
    pub(crate) fn fixed(&self) -> Option<CenterScale> {
        match self.source {
            Source::Fixed(fixed) => Some(fixed),
            _ => None,
        }
    }

    /// Encoder rows that a window needs at least.
    pub(crate) fn min_encoder(&self) -> usize {
        match self.source {
            Source::Encoder { .. } => 2,
            _ => 0,
        }
    }

    /// Centre and scale for one window: codes of row 0, and the raw columns of the encoder rows.
    pub(crate) fn of_window(
        &self,
        codes: &[u32],
        n_encoder: usize,
        raw: impl Fn(usize, usize) -> f64,
    ) -> CenterScale {
        match &self.source {
            Source::Fixed(fixed) => *fixed,
            Source::Table(columns, rows) => {
                let row = columns
                    .iter()
                    .fold(0, |row, (column, n)| row * n + codes[*column] as usize);
                let [center, scale] = rows[row];
                CenterScale { center, scale }
            }
            Source::Encoder {
                column,
                epsilon,
                center,
            } => self.of_encoder(*epsilon, *center, n_encoder, |row| raw(row, *column)),
        }
    }

    /// Mean, or 0 without centring, and sample deviation (n - 1) plus epsilon, of values rounded to f32 as in the original.
    fn of_encoder(&self, epsilon: f64, center: bool, n: usize, raw: impl Fn(usize) -> f64) -> CenterScale {
        let value = |row| f64::from(forward(self.transform, raw(row), self.eps()) as f32);
        let mean = (0..n).map(value).sum::<f64>() / n as f64;
        let squares: f64 = (0..n).map(|row| (value(row) - mean) * (value(row) - mean)).sum();
        CenterScale {
            center: if center { mean } else { 0.0 },
            scale: libm::sqrt(squares / (n - 1) as f64) + epsilon,
        }
    }
}

/// Place among the codes, and number of codes, of a categorical input.
fn code_column(schema: &Schema, name: &str) -> (usize, usize) {
    let mut categorical = schema
        .inputs
        .iter()
        .filter_map(|i| Some((i, i.categories.as_ref()?)));
    let found = categorical
        .by_ref()
        .enumerate()
        .find(|(_, (input, _))| input.name == name);
    found.map_or((0, 1), |(place, (_, categories))| (place, categories.n_codes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const F64: f64 = f64::EPSILON;
    const F32: f64 = f32::EPSILON as f64;

    #[test]
    fn inverses_undo_their_transforms_but_for_log1p_whose_inverse_is_exp() {
        let all = [
            Transform::Identity,
            Transform::Log,
            Transform::Softplus,
            Transform::Relu,
            Transform::Sqrt,
        ];
        for transform in all {
            for y in [0.3, 1.0, 7.5, 40.0] {
                let back = inverse(transform, forward(transform, y, F64));
                assert!(
                    (back - y).abs() < 1e-9 * y.max(1.0),
                    "{transform:?} of {y}: {back}"
                );
            }
        }
        assert!((inverse(Transform::Logit, forward(Transform::Logit, 0.3, F64)) - 0.3).abs() < 1e-12);
        assert!((inverse(Transform::Log1p, forward(Transform::Log1p, 2.0, F64)) - 3.0).abs() < 1e-12);
        assert!(
            (inverse(Transform::Count, forward(Transform::Count, 5.0, F64)) - softplus(6.0)).abs() < 1e-12
        );
    }

    /// Values that pytorch-forecasting 1.8.0 gives on tensors of float64 and float32.
    #[test]
    fn values_at_the_edge_become_what_the_original_makes_of_them() {
        let expected = [
            (Transform::Log, 0.0, F64, -4_503_599_627_370_496.0),
            (Transform::Log, 0.0, F32, -8_388_608.0),
            (Transform::Log, 1e-12, F64, -27.631_021_115_928_547),
            (Transform::Softplus, 0.0, F64, -36.043_653_389_117_15),
            (Transform::Softplus, 0.0, F32, -15.942_385_673_522_95),
            (Transform::Softplus, 1e-12, F64, -27.630_799_095_981_38),
            (Transform::Logit, 0.0, F64, -36.043_653_389_117_15),
            (Transform::Logit, 1.0, F64, 36.043_653_389_117_15),
            (Transform::Logit, -1.0, F32, -15.942_384_719_848_633),
        ];
        for (transform, y, eps, expected) in expected {
            let found = forward(transform, y, eps);
            assert!(
                (found - expected).abs() < 2e-7 * expected.abs(),
                "{transform:?} of {y}: {found}"
            );
        }
        for transform in [Transform::Log, Transform::Softplus, Transform::Sqrt] {
            assert!(forward(transform, -1.0, F64).is_nan(), "{transform:?}");
        }
        assert_eq!(inverse(Transform::Logit, -200.0) as f32, f32::MIN_POSITIVE);
        assert_eq!(inverse(Transform::Logit, 200.0) as f32, 1.0 - f32::EPSILON);
    }

    #[test]
    fn without_centring_the_deviation_of_a_window_stays_the_scale() {
        let scaling = Scaling {
            transform: Transform::Identity,
            source: Source::Encoder {
                column: 0,
                epsilon: 0.5,
                center: false,
            },
        };
        let found = scaling.of_window(&[], 4, |row, _| [1.0, 2.0, 3.0, 6.0][row]);
        assert_eq!(found.center, 0.0);
        assert!((found.scale - libm::sqrt(14.0 / 3.0) - 0.5).abs() < 1e-15);
    }
}
