//! Normalizers: affine scaling behind a transform whose centre and scale may depend on the window.
//!
//! `z = (transform(y) - center) / scale` of an input column, `inverse(z * scale + center)` of an answer.

use super::input::{Input, Role};
use super::schema::schema;
use crate::error::OpenError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A named normalizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalizer {
    /// By which inputs and outputs refer to it.
    pub name: String,
    /// Where centre and scale come from.
    pub source: NormalizerSource,
    /// The transform.
    #[serde(default)]
    pub transform: Transform,
}

/// Where the centre and the scale of a normalizer come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NormalizerSource {
    /// The same for every window.
    Fixed {
        /// Subtracted.
        center: f64,
        /// Divided by.
        scale: f64,
    },
    /// A row of a table, chosen by static categoricals.
    Table {
        /// The categorical inputs; the row is `(code_0 * n_1 + code_1) * n_2 + ...`.
        inputs: Vec<String>,
        /// Centre and scale per row.
        rows: Vec<[f64; 2]>,
    },
    /// Statistics of the window's own encoder rows, in f32 as pytorch-forecasting's `EncoderNormalizer` computes them:
    /// mean and sample deviation (n - 1) plus epsilon.
    Encoder {
        /// The raw column, an observed input.
        input: String,
        /// Added to the deviation.
        epsilon: f64,
        /// Without it the centre is 0.
        center: bool,
    },
}

/// Transform before the scaling, with its inverse as pytorch-forecasting 1.8 defines both.
///
/// `eps` is 2^-52 where statistics are fixed or of a table, 2^-23 where they are of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// None.
    #[default]
    Identity,
    /// `max(ln y, -1 / eps)`, of negative values none; `exp`.
    Log,
    /// `ln(1 + y)`; `exp` (not `exp - 1`: so in the original).
    Log1p,
    /// `y + ln(1 - exp(-y - eps))`, above 20 `y`; softplus, above 20 the identity.
    Softplus,
    /// Identity; `max(0, x)`.
    Relu,
    /// Logit of `y` kept between `eps` and `1 - eps`; sigmoid, kept between 2^-126 and 1 - 2^-23.
    Logit,
    /// `y + 1`; softplus.
    Count,
    /// Square root; square.
    Sqrt,
}

impl Normalizer {
    pub(super) fn validate(&self, inputs: &[Input]) -> Result<(), OpenError> {
        self.source
            .validate(inputs)
            .map_err(|e| schema(format!("normalizers.{}: {e}", self.name)))
    }
}

impl NormalizerSource {
    fn validate(&self, inputs: &[Input]) -> Result<(), String> {
        let find = |name: &String| {
            inputs
                .iter()
                .find(|i| i.name == *name)
                .ok_or_else(|| format!("no input `{name}`"))
        };
        match self {
            Self::Fixed { center, scale } => usable(*center, *scale),
            Self::Table { inputs: by, rows } => {
                let mut n = 1_usize;
                for name in by {
                    let input = find(name)?;
                    let codes = input.categories.as_ref().filter(|_| input.role == Role::Static);
                    let codes =
                        codes.ok_or_else(|| format!("expected `{name}` to be a static categorical"))?;
                    n = n.saturating_mul(codes.n_codes());
                }
                if rows.len() != n {
                    return Err(format!("expected {n} rows, found {}", rows.len()));
                }
                rows.iter()
                    .try_for_each(|[center, scale]| usable(*center, *scale))
            }
            Self::Encoder { input, epsilon, .. } => {
                let found = find(input)?;
                if found.role != Role::Observed || found.categories.is_some() || found.derived.is_some() {
                    return Err(format!("expected `{input}` to be an observed real"));
                }
                usable(0.0, *epsilon)
            }
        }
    }
}

fn usable(center: f64, scale: f64) -> Result<(), String> {
    if center.is_finite() && scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(format!(
        "expected a finite centre and a positive scale, found {center} and {scale}"
    ))
}
