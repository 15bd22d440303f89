//! `model.json` as the exporter writes it: what a checkpoint of pytorch-forecasting says about itself, in plain numbers.
//!
//! The keys are those of `tickfuse.export_pytorch_forecasting`, whose documentation says what they mean. An unknown key, class or
//! transform is an error here already.

use super::error::ForecastingError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tickfuse_core::bundle::{Net, Transform};

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Sizes, variables in the network's order, rules of the variant.
    pub net: Net,
    /// What the library stored about the network; must agree with `net`.
    pub hyper_parameters: HyperParameters,
    /// What the outputs were trained on.
    pub loss: Loss,
    /// How raw columns become input tensors, and outputs answers.
    pub preprocessing: Preprocessing,
    /// Names under which the checkpoint repeats a tensor, and the name that was kept.
    pub dropped_aliases: BTreeMap<String, String>,
    /// Where in the training it was written.
    pub checkpoint: CheckpointFacts,
}

impl Description {
    /// Takes a document whose keys and types are those of the exporter.
    ///
    /// # Errors
    /// [`ForecastingError::Description`] with the key.
    pub fn from_value(document: Value) -> Result<Self, ForecastingError> {
        Ok(serde_json::from_value(document)?)
    }
}

/// One value, or a list of them where there are several targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// As a list.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Hyper-parameters that describe the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HyperParameters {
    /// Width.
    pub hidden_size: usize,
    /// Layers of each LSTM.
    pub lstm_layers: usize,
    /// Heads.
    pub attention_head_size: usize,
    /// Outputs per target.
    pub output_size: OneOrMany<usize>,
    /// Encoder steps at most.
    pub max_encoder_length: usize,
    /// Width of a prescaler that has none of its own.
    pub hidden_continuous_size: usize,
    /// Widths of single prescalers.
    pub hidden_continuous_sizes: BTreeMap<String, usize>,
    /// Whether a decoder step sees earlier ones only.
    pub causal_attention: bool,
    /// Added to masked logits; a number, or `"-inf"`.
    pub mask_bias: Value,
    /// Whether encoder and decoder share the networks of single variables.
    pub share_single_variable_networks: bool,
    /// Variables.
    pub static_categoricals: Vec<String>,
    /// Variables.
    pub static_reals: Vec<String>,
    /// Variables.
    pub time_varying_categoricals_encoder: Vec<String>,
    /// Variables.
    pub time_varying_reals_encoder: Vec<String>,
    /// Variables.
    pub time_varying_categoricals_decoder: Vec<String>,
    /// Variables.
    pub time_varying_reals_decoder: Vec<String>,
    /// Columns of the categorical input tensors.
    pub x_categoricals: Vec<String>,
    /// Columns of the real input tensors.
    pub x_reals: Vec<String>,
    /// Bags of columns with one embedding.
    pub categorical_groups: BTreeMap<String, Vec<String>>,
    /// Categories and widths before the widths were capped.
    pub embedding_sizes: BTreeMap<String, [usize; 2]>,
    /// Embeddings whose category 0 is the zero vector.
    pub embedding_paddings: Vec<String>,
}

/// The loss of a target, or of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class", deny_unknown_fields)]
pub enum Loss {
    /// Pinball loss: one output per level.
    QuantileLoss {
        /// Levels.
        quantiles: Vec<f64>,
    },
    /// A loss per target.
    MultiLoss {
        /// Weights of the sum.
        weights: Vec<f64>,
        /// Losses in the order of the targets.
        metrics: Vec<Loss>,
    },
    /// Mean absolute error.
    #[serde(rename = "MAE")]
    Mae {},
    /// Root of the mean square.
    #[serde(rename = "RMSE")]
    Rmse {},
    /// Symmetric percentage error.
    #[serde(rename = "SMAPE")]
    Smape {},
    /// Percentage error.
    #[serde(rename = "MAPE")]
    Mape {},
    /// Classes: the outputs are logits.
    CrossEntropy {},
}

/// How raw columns become the input tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Columns of the real tensors in order.
    pub reals: Vec<String>,
    /// Columns of the categorical tensors in order.
    pub categoricals: Vec<String>,
    /// Columns that share an encoder, by its name.
    pub bags: BTreeMap<String, Vec<String>>,
    /// Columns that tell one series from another.
    pub group_ids: Vec<String>,
    /// Column that counts the steps of a series.
    pub time_idx: String,
    /// Target, or targets.
    pub target: OneOrMany<String>,
    /// Encoder steps at most.
    pub max_encoder_length: usize,
    /// Encoder steps at least.
    pub min_encoder_length: usize,
    /// Decoder steps at most.
    pub max_prediction_length: usize,
    /// Decoder steps at least.
    pub min_prediction_length: usize,
    /// First time that was predicted in training.
    pub min_prediction_idx: i64,
    /// Whether `relative_time_idx` was added.
    pub add_relative_time_idx: bool,
    /// Whether `encoder_length` was added.
    pub add_encoder_length: bool,
    /// Whether centre and scale of the targets were added.
    pub add_target_scales: bool,
    /// Whether steps may be missing in a series.
    pub allow_missing_timesteps: bool,
    /// What scales each target.
    pub normalizers: BTreeMap<String, Scaling>,
    /// What scales each other real; null: nothing.
    pub scalers: BTreeMap<String, Option<Scaling>>,
    /// Codes of categoricals.
    pub encoders: BTreeMap<String, Encoder>,
    /// Codes of the series' keys, by which the library looks up the scale of an answer.
    pub group_encoders: BTreeMap<String, Encoder>,
    /// Values of steps that are missing.
    pub constant_fill: BTreeMap<String, Value>,
}

/// Codes of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class")]
pub enum Encoder {
    /// The library's own.
    NaNLabelEncoder(Classes),
}

/// Labels with their codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// Whether code 0 stands for missing and unknown labels.
    pub add_nan: bool,
    /// In ascending order of codes.
    pub classes: Vec<Class>,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Text, number or truth value; null for missing and unknown ones.
    #[serde(deserialize_with = "present")]
    pub label: Value,
    /// Its code.
    pub code: usize,
}

/// What scales a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class")]
pub enum Scaling {
    /// scikit-learn's mean and deviation.
    StandardScaler(CenterScale),
    /// scikit-learn's median and quantiles.
    RobustScaler(CenterScale),
    /// Statistics per group, or of the whole column.
    GroupNormalizer(GroupNormalizer),
    /// Statistics of each window's encoder.
    EncoderNormalizer(EncoderNormalizer),
    /// Statistics of the whole column.
    TorchNormalizer(TorchNormalizer),
    /// A target of classes.
    NaNLabelEncoder(Classes),
}

/// Subtracted and divided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterScale {
    /// Subtracted.
    pub center: f64,
    /// Divided by.
    pub scale: f64,
}

/// Statistics of a normaliser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Mean and deviation.
    Standard,
    /// Quantiles.
    Robust,
    /// None: 0 and 1.
    Identity,
}

/// What every normaliser says of itself.
macro_rules! normalizer {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Statistics.
            pub method: Method,
            /// Whether the centre is subtracted.
            pub center: bool,
            /// Transform in front of centre and scale.
            #[serde(deserialize_with = "present")]
            pub transformation: Option<Transform>,
            /// Quantiles of the robust method.
            pub method_kwargs: BTreeMap<String, f64>,
            /// Added to the scale.
            pub epsilon: f64,
            $($(#[$attribute])* pub $field: $kind,)*
        }
    };
}

normalizer! {
    /// `GroupNormalizer`: exactly one of `fitted`, `tables`, and `table` with `missing`.
    GroupNormalizer {
        /// Columns whose values choose the row.
        groups: Vec<String>,
        /// Whether there is a table per group, multiplied.
        scale_by_group: bool,
        /// Without groups.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fitted: Option<CenterScale>,
        /// Of all groups together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<Vec<TableRow>>,
        /// For keys that the table does not have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<CenterScale>,
        /// Per group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tables: Option<BTreeMap<String, GroupTable>>,
    }
}

normalizer! {
    /// `EncoderNormalizer`.
    EncoderNormalizer {
        /// Steps that are looked at: all, the last ones, or those for centre and scale apart.
        #[serde(deserialize_with = "present")]
        max_length: Option<OneOrMany<usize>>,
    }
}

normalizer! {
    /// `TorchNormalizer`.
    TorchNormalizer {
        /// Of the whole column.
        fitted: CenterScale,
    }
}

/// The table of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupTable {
    /// Rows.
    pub table: Vec<TableRow>,
    /// For keys that the table does not have.
    pub missing: CenterScale,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRow {
    /// Per group the category's code, or its label where the column is not encoded.
    pub key: Vec<Value>,
    /// Subtracted.
    pub center: f64,
    /// Divided by.
    pub scale: f64,
}

/// Where in the training a checkpoint was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointFacts {
    /// Epoch.
    pub epoch: u64,
    /// Optimiser step.
    pub global_step: u64,
    /// Version of Lightning.
    pub lightning: String,
}

/// A value that may be null but not absent.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    T::deserialize(from)
}
