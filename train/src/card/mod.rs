//! The model card, version 2: what a published model is, what it was measured to do, and against which baselines.
//!
//! The fields of the earlier v2 cards keep their names and meaning (`train`, `metrics`, `latency_ms`, `architecture`,
//! `inference`), so their readers read ours. What was missing there stands beside them: baselines, the split, the target,
//! the outputs with units, and the hash of the file the latency was measured on. Of the sections only identity is
//! required; a section that is there must be whole, and publishing asks for more than reading ([`ModelCard::bind`]).
//!
//! `train/schema/model_card.schema.json` says the same for other languages; a test holds the two together.

mod check;
mod markdown;

pub use check::CardError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tickfuse_core::bundle::{Arrival, Output, Precision, Target};

/// The JSON schema of a card (draft 2020-12).
pub const SCHEMA: &str = include_str!("../../schema/model_card.schema.json");

/// Card version this build writes and reads.
pub const VERSION: &str = "2";

/// A model card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Card version, `2`.
    pub version: String,
    /// Name in the registry.
    pub model_name: String,
    /// UTC time the model was made, `YYYY-MM-DDThh:mm:ssZ`.
    pub created_at: String,
    /// The published file; filled in by publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ModelFile>,
    /// What the model is for, in a few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended_use: Option<String>,
    /// What it must not be relied on for, one statement each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// What the outputs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Output groups with labels and units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// Training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
    /// How the data was divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// By metric name: what a model without skill reaches on the same rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<String, Baseline>,
    /// Latency per answer, ms; of whole windows where `mode` does not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Latency>,
    /// Latency of `push` after `prepare`, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_latency_ms: Option<Latency>,
    /// The network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// How latency was measured and how the model is meant to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<Inference>,
    /// How the model came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// Identity of the model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Size in bytes.
    pub bytes: u64,
    /// sha-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// Training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Snapshot the rows come from.
    pub snapshot_id: String,
    /// First and last time of the data used, validation included.
    pub range: Range,
    /// Rows used.
    pub rows: u64,
    /// Rows per class of a binary target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_balance: Option<ClassBalance>,
    /// Rows per class of a target with more classes, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub class_counts: BTreeMap<String, u64>,
    /// Symbols the rows belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<String>,
}

/// First and last time, each a date or a UTC time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First.
    pub start: String,
    /// Last.
    pub end: String,
}

/// Rows per class of a binary target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassBalance {
    /// Rows where the label is true.
    pub pos: u64,
    /// Rows where it is false.
    pub neg: u64,
}

/// How the data was divided in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Method in words, such as `purged walk-forward, 5 folds`.
    pub method: String,
    /// Rows the weights were fitted on.
    pub train: Range,
    /// Rows that chose epoch and settings.
    pub validation: Range,
    /// Rows used for nothing but the figures of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Range>,
    /// Bars left out between the parts so that no label reaches across.
    pub purge_bars: u64,
    /// Further bars left out behind a test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embargo_bars: Option<u64>,
    /// Which figure, on which part, chose this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_on: Option<String>,
}

/// Measured figures, all of one part of the split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Part of the split the figures belong to: `validation`, `test`, or a fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Windows answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Independent windows among them: labels that overlap in time count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_effective: Option<f64>,
    /// Share of right classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Loss the model was trained with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Mean negative log-likelihood of the right class, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_loss: Option<f64>,
    /// Area under the ROC curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auc: Option<f64>,
    /// Mean squared error of the probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brier: Option<f64>,
    /// Expected calibration error; has no baseline, 0 is perfect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    /// Figures without a field of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, Figure>,
}

/// A figure that names its own direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Which direction is better.
    pub better: Better,
}

/// Which direction of a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Larger values.
    Higher,
    /// Smaller values.
    Lower,
}

/// What a model without skill reaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The value.
    pub value: f64,
    /// What it is, such as `majority rate`.
    pub what: String,
}

impl Baseline {
    /// A baseline and what it is.
    #[must_use]
    pub fn new(value: f64, what: &str) -> Self {
        let what = what.to_owned();
        Self { value, what }
    }
}

/// Latency per answer in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p999: Option<f64>,
    /// Slowest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Answers timed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
    /// sha-256 of the file measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_sha256: Option<String>,
    /// Level the kernels ran at, such as `avx512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Type of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// What was timed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Processor, frequency policy, pinning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// What a latency is the time of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `run` on a whole window.
    Window,
    /// `push` after `prepare`.
    Arrival,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Rows of a window.
    pub seq_len: u64,
    /// Width.
    pub hidden_size: u64,
    /// Trained numbers.
    pub total_params: u64,
    /// Input columns in order.
    pub features: Vec<String>,
    /// Network family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Recurrent layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_layers: Option<u64>,
    /// How a sliding window may be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<Arrival>,
}

/// How latency was measured and how the model is meant to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// `cpu`.
    pub device: String,
    /// Threads per answer.
    pub threads: u64,
    /// Answers before the first timed one.
    pub warmup_n: u64,
}

/// How the model came about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Revision of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_revision: Option<String>,
    /// Version of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_version: Option<String>,
    /// Seed of everything random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Epochs trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Epoch the weights are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u64>,
    /// Training time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Trials of the tuning run this model was chosen from; more trials make its figures more flattering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_trials: Option<u64>,
    /// Source of an imported model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
}

impl ModelCard {
    /// A card with identity only.
    #[must_use]
    pub fn new(model_name: &str, created_at: &str) -> Self {
        Self {
            version: VERSION.to_owned(),
            model_name: model_name.to_owned(),
            created_at: created_at.to_owned(),
            file: None,
            intended_use: None,
            limits: Vec::new(),
            target: None,
            outputs: Vec::new(),
            train: None,
            split: None,
            metrics: None,
            baselines: BTreeMap::new(),
            latency_ms: None,
            arrival_latency_ms: None,
            architecture: None,
            inference: None,
            provenance: None,
        }
    }

    /// Parses a card and checks every rule of reading.
    ///
    /// # Errors
    /// The first rule broken, with its key.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CardError> {
        let refused = |e: serde_json::Error| CardError::Json(e.to_string());
        let card: Self = serde_json::from_slice(bytes).map_err(refused)?;
        let given = serde_json::from_slice(bytes).map_err(refused)?;
        check::same_shape("", &given, &serde_json::to_value(&card).map_err(refused)?)?;
        card.check()?;
        Ok(card)
    }

    /// Checks a parsed JSON document against every rule of reading.
    ///
    /// # Errors
    /// The first rule broken, with its key.
    pub fn validate_json(value: &serde_json::Value) -> Result<(), CardError> {
        Self::from_json(value.to_string().as_bytes()).map(|_| ())
    }
}
