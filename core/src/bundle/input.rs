//! The columns of a window: what each is, how it is scaled, and what happens where it is missing.

use super::schema::schema;
use crate::error::OpenError;
use crate::features::FeatureOp;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Column name.
    pub name: String,
    /// When the column is known.
    #[serde(default, skip_serializing_if = "Role::is_observed")]
    pub role: Role,
    /// How the column is computed from bars; absent when the caller brings it ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<FeatureOp>,
    /// The category names of a categorical column, whose values are codes; absent for a real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Categories>,
    /// A column that follows from the window itself and is not handed in; these stand behind all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<Derived>,
    /// Statistics; a real without them is refused, unless `scaled_by` stands in.
    #[serde(default)]
    pub scaler: Option<Scaler>,
    /// The normalizer that scales this column instead of a scaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_by: Option<String>,
    /// What happens to a NaN or infinite value.
    #[serde(default)]
    pub missing: Missing,
}

impl Input {
    /// An observed real that the caller brings, refused where it is missing.
    #[must_use]
    pub fn real(name: impl Into<String>, scaler: Scaler) -> Self {
        Self {
            name: name.into(),
            role: Role::Observed,
            feature: None,
            categories: None,
            derived: None,
            scaler: Some(scaler),
            scaled_by: None,
            missing: Missing::Reject,
        }
    }

    /// A static categorical.
    #[must_use]
    pub fn categorical(name: impl Into<String>, categories: Categories) -> Self {
        Self {
            role: Role::Static,
            categories: Some(categories),
            scaler: None,
            ..Self::real(name, Scaler::IDENTITY)
        }
    }

    pub(super) fn validate(&self) -> Result<(), OpenError> {
        let wrong = |text: String| Err(schema(format!("inputs.{}: {text}", self.name)));
        if let Some(categories) = &self.categories {
            if self.scaler.is_some()
                || self.scaled_by.is_some()
                || self.derived.is_some()
                || self.feature.is_some()
            {
                return wrong("a categorical has no scaler, feature or derivation".into());
            }
            return categories.validate().or_else(wrong);
        }
        match (&self.scaler, &self.scaled_by) {
            (Some(scaler), None) => scaler.validate().or_else(|e| wrong(format!("scaler: {e}")))?,
            (None, Some(_)) if self.derived.is_none() => {}
            (None, None) => {
                return Err(OpenError::MissingScaler {
                    input: self.name.clone(),
                });
            }
            _ => return wrong("expected a scaler, or scaled_by alone for a column handed in".into()),
        }
        if let Some(op) = &self.feature {
            if self.derived.is_some() {
                return wrong("a derived column is no feature of bars".into());
            }
            op.validate(&self.name)
                .map_err(|e| schema(format!("inputs.{}.feature: {e}", self.name)))?;
        }
        Ok(())
    }
}

/// When a column is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Up to the present: not read in rows behind the lookback.
    #[default]
    Observed,
    /// Also in the future.
    Known,
    /// Constant per window: read in the first row.
    Static,
}

impl Role {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
    fn is_observed(&self) -> bool {
        *self == Self::Observed
    }
}

/// The categories of a column: names by code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categories {
    /// Names; the code of a name is its place.
    pub labels: Vec<String>,
    /// The code that stands for a name not listed; without it such a name, or a code out of range, is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<usize>,
}

impl Categories {
    /// Number of codes.
    #[must_use]
    pub fn n_codes(&self) -> usize {
        self.labels.len()
    }

    /// The code of a name: its own, or the unknown one.
    #[must_use]
    pub fn code(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|l| l == label).or(self.unknown)
    }

    fn validate(&self) -> Result<(), String> {
        let mut seen = alloc::collections::BTreeSet::new();
        if self.labels.is_empty() || !self.labels.iter().all(|l| seen.insert(l)) {
            return Err("categories.labels: expected one or more distinct names".into());
        }
        match self.unknown {
            Some(code) if code >= self.labels.len() => Err(format!(
                "categories.unknown: expected a code below {}, found {code}",
                self.labels.len()
            )),
            _ => Ok(()),
        }
    }
}

/// A column that follows from the window (pytorch-forecasting's automatic columns).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Derived {
    /// `(k - E) / lookback` for row k of a window of E encoder rows.
    RelativeTime,
    /// `2 (E - lookback / 2) / lookback`.
    EncoderLength,
    /// The centre of a normalizer.
    NormalizerCenter(String),
    /// The scale of a normalizer.
    NormalizerScale(String),
}

/// Affine scaling `z = (x - center) * (1 / scale)` in f64, rounded once to f32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    /// Subtracted first.
    pub center: f64,
    /// Divided by; positive.
    pub scale: f64,
    /// First and last time (ns) of the rows it was fitted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted_ns: Option<[i64; 2]>,
}

impl Scaler {
    /// The scaled value, as every path of training and inference computes it.
    #[must_use]
    pub fn apply(&self, x: f64) -> f32 {
        ((x - self.center) * self.scale.recip()) as f32
    }

    /// The scaler that changes nothing, for inputs that are scaled already.
    pub const IDENTITY: Self = Self {
        center: 0.0,
        scale: 1.0,
        fitted_ns: None,
    };

    fn validate(&self) -> Result<(), String> {
        let finite = self.center.is_finite() && self.scale.is_finite() && self.scale.recip().is_finite();
        if finite && self.scale > 0.0 {
            return Ok(());
        }
        Err(format!(
            "expected a finite center and a positive scale, found {} and {}",
            self.center, self.scale
        ))
    }
}

/// Policy for a NaN or infinite input value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The run is refused with the position.
    #[default]
    Reject,
    /// The value is replaced by the scaler's centre and the result carries the `IMPUTED` flag.
    Center,
}
