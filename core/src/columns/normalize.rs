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

/// The transform of a raw target.
pub(crate) fn forward(transform: Transform, y: f64) -> f64 {
    match transform {
        Transform::Identity | Transform::Relu => y,
        Transform::Log => libm::log(y.max(1e-8)),
        Transform::Log1p => libm::log1p(y),
        Transform::Softplus if y > LINEAR_FROM => y,
        Transform::Softplus => y + libm::log(-libm::expm1(-y)),
        Transform::Logit => {
            let p = y.clamp(1e-8, 1.0 - 1e-8);
            libm::log(p / (1.0 - p))
        }
        Transform::Count => y + 1.0,
        Transform::Sqrt => libm::sqrt(y),
    }
}

/// Back to the target's own unit.
pub(crate) fn inverse(transform: Transform, x: f64) -> f64 {
    match transform {
        Transform::Identity => x,
        Transform::Log | Transform::Log1p => libm::exp(x),
        Transform::Softplus | Transform::Count => softplus(x),
        Transform::Relu => x.max(0.0),
        Transform::Logit => 1.0 / (1.0 + libm::exp(-x)),
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
        let y = forward(self.transform, raw);
        match self.source {
            Source::Encoder { .. } => (y as f32 - by.center as f32) / by.scale as f32,
            _ => ((y - by.center) / by.scale) as f32,
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

    /// Mean, and sample deviation (n - 1) plus epsilon, of values rounded to f32 as in the original.
    fn of_encoder(&self, epsilon: f64, center: bool, n: usize, raw: impl Fn(usize) -> f64) -> CenterScale {
        let value = |row| f64::from(forward(self.transform, raw(row)) as f32);
        let mean = (0..n).map(value).sum::<f64>() / n as f64;
        if !center {
            return CenterScale {
                center: 0.0,
                scale: mean + epsilon,
            };
        }
        let squares: f64 = (0..n).map(|row| (value(row) - mean) * (value(row) - mean)).sum();
        CenterScale {
            center: mean,
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
                let back = inverse(transform, forward(transform, y));
                assert!(
                    (back - y).abs() < 1e-9 * y.max(1.0),
                    "{transform:?} of {y}: {back}"
                );
            }
        }
        assert!((inverse(Transform::Logit, forward(Transform::Logit, 0.3)) - 0.3).abs() < 1e-12);
        assert!((inverse(Transform::Log1p, forward(Transform::Log1p, 2.0)) - 3.0).abs() < 1e-12);
        assert!((inverse(Transform::Count, forward(Transform::Count, 5.0)) - softplus(6.0)).abs() < 1e-12);
    }
}
