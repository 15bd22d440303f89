//! What the library knows about columns beyond a schema: the order of its tensors, the keys of a frame. Kept in a model file's
//! provenance, since no answer needs it once a window is there.

use super::agreement::targets;
use super::description::Description;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tickfuse_core::bundle::Schema;

/// Key of the provenance.
pub(super) const KEY: &str = "pytorch_forecasting";

/// Columns of tensors and frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Columns of the real tensors in order.
    pub reals: Vec<String>,
    /// Columns of the categorical tensors in order.
    pub categoricals: Vec<String>,
    /// Targets in order.
    pub targets: Vec<String>,
    /// Columns that tell one series of a frame from another.
    pub groups: Vec<String>,
    /// Column of a frame that counts the steps of a series.
    pub time: String,
    /// Encoder steps that a window needs at least.
    pub min_encoder: usize,
    /// Whether a frame may leave steps out: each takes the row before it, but for the columns named here. Absent: none may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<BTreeMap<String, Value>>,
}

impl Layout {
    pub(super) fn described(description: &Description) -> Self {
        let data = &description.preprocessing;
        Self {
            reals: data.reals.clone(),
            categoricals: data.categoricals.clone(),
            targets: targets(description).to_vec(),
            groups: data.group_ids.clone(),
            time: data.time_idx.clone(),
            min_encoder: data.min_encoder_length,
            fill: data.allow_missing_timesteps.then(|| data.constant_fill.clone()),
        }
    }

    /// The layout that an imported model carries along.
    #[must_use]
    pub fn of(schema: &Schema) -> Option<Self> {
        serde_json::from_value(schema.provenance.get(KEY)?.clone()).ok()
    }
}
