//! The columns of an answer: what the numbers are, and in which unit.

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
    /// The normalizer that the target was scaled by for training; undone in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalizer: Option<String>,
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
    /// Whether the columns are a mean and a deviation.
    pub(crate) fn is_gaussian(self) -> bool {
        matches!(self, Self::GaussianLogSigma | Self::GaussianSoftplus)
    }

    fn is_quantiles(self) -> bool {
        matches!(
            self,
            Self::Quantiles | Self::SortedQuantiles | Self::CumulativeQuantiles
        )
    }
}

impl Output {
    /// A group without levels and normalizer.
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
            normalizer: None,
        }
    }

    pub(super) fn validate(&self) -> Result<(), OpenError> {
        let what = format!("outputs.{}", self.name);
        in_range(&format!("{what}.labels"), self.labels.len(), 8192)?;
        unique(&format!("{what}.labels"), self.labels.iter())?;
        let n = self.labels.len();
        let gaussian = self.kind.is_gaussian();
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
        if self.normalizer.is_some()
            && !(self.kind == OutputKind::Linear || self.kind.is_quantiles() || gaussian)
        {
            return Err(schema(format!(
                "{what}.normalizer: for linear values, quantiles and Gaussians only"
            )));
        }
        Ok(())
    }
}
