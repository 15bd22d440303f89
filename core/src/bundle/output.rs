//! The columns of an answer: what the numbers are, in which unit, and how a scaled target is undone.

use super::input::{Input, Role};
use super::schema::{in_range, schema, unique};
use crate::error::OpenError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One group of output columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Group name.
    pub name: String,
    /// What the numbers are.
    pub kind: OutputKind,
    /// Column names, one per column of the group, in order.
    pub labels: Vec<String>,
    /// Quantile levels, one per column of a group of quantiles, increasing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f64>,
    /// Unit of the numbers, such as `probability` or `log_return`.
    pub unit: String,
    /// How the target was scaled for training; undone in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_scaling: Option<TargetScaling>,
}

/// What an output group's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// The head's values as they are.
    Linear,
    /// `1 / (1 + exp(-z))` per column.
    Sigmoid,
    /// Softmax over the group's columns.
    Softmax,
    /// `tanh(z)` per column: a position in [-1, 1].
    Tanh,
    /// Quantiles as the head gives them; they may cross.
    Quantiles,
    /// Quantiles, sorted.
    SortedQuantiles,
    /// Quantiles as steps outward from the middle column: softplus of the head's values added up.
    CumulativeQuantiles,
    /// Mean and `exp(z)`: the head gives a logarithm of the deviation.
    GaussianLogSigma,
    /// Mean and `softplus(z) + 1e-6`.
    GaussianSoftplus,
}

impl OutputKind {
    fn is_quantiles(self) -> bool {
        matches!(
            self,
            Self::Quantiles | Self::SortedQuantiles | Self::CumulativeQuantiles
        )
    }
}

/// Affine scaling of a target behind a transform: `scaled = (transform(y) - center) / scale`; an answer is
/// `inverse(z * scale + center)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaling {
    /// Where centre and scale come from.
    pub by: TargetScale,
    /// The transform.
    #[serde(default)]
    pub transform: Transform,
}

/// Where the centre and the scale of a target come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TargetScale {
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
        /// The raw target, an observed input.
        input: String,
        /// Added to the deviation.
        epsilon: f64,
        /// Without it the scale is the mean plus epsilon and the centre 0.
        center: bool,
    },
}

/// Transform of a target before its scaling, with its inverse as pytorch-forecasting 1.8 defines both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// None.
    #[default]
    Identity,
    /// `ln(max(y, 1e-8))`; `exp`.
    Log,
    /// `ln(1 + y)`; `exp` (not `exp - 1`: so in the original).
    Log1p,
    /// Inverse softplus; softplus.
    Softplus,
    /// Identity; `max(0, x)`.
    Relu,
    /// Logit; sigmoid.
    Logit,
    /// `y + 1`; softplus.
    Count,
    /// Square root; square.
    Sqrt,
}

impl Output {
    /// A group without levels and target scaling.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        kind: OutputKind,
        labels: Vec<String>,
        unit: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            labels,
            levels: Vec::new(),
            unit: unit.into(),
            target_scaling: None,
        }
    }

    pub(super) fn validate(&self, inputs: &[Input]) -> Result<(), OpenError> {
        let what = format!("outputs.{}", self.name);
        in_range(&format!("{what}.labels"), self.labels.len(), 8192)?;
        unique(&format!("{what}.labels"), self.labels.iter())?;
        let n = self.labels.len();
        let gaussian = [OutputKind::GaussianLogSigma, OutputKind::GaussianSoftplus].contains(&self.kind);
        if self.kind == OutputKind::Softmax && n < 2 {
            return Err(schema(format!("{what}: a softmax needs two or more labels")));
        }
        if gaussian && n != 2 {
            return Err(schema(format!("{what}: a Gaussian has two labels, found {n}")));
        }
        let n_levels = if self.kind.is_quantiles() { n } else { 0 };
        let inside = self.levels.iter().all(|tau| *tau > 0.0 && *tau < 1.0);
        if self.levels.len() != n_levels || !inside || !self.levels.is_sorted_by(|a, b| a < b) {
            return Err(schema(format!(
                "{what}.levels: expected {n_levels} increasing levels between 0 and 1, found {:?}",
                self.levels
            )));
        }
        let Some(scaling) = &self.target_scaling else {
            return Ok(());
        };
        if !(self.kind == OutputKind::Linear || self.kind.is_quantiles()) {
            return Err(schema(format!(
                "{what}.target_scaling: for linear values and quantiles only"
            )));
        }
        scaling
            .by
            .validate(inputs)
            .map_err(|e| schema(format!("{what}.target_scaling: {e}")))
    }
}

impl TargetScale {
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
