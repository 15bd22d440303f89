//! Network families and their sizes: the `net` key of a model file.
//!
//! Every switch in which published implementations differ is a field here, never a guess. Plain tensor names follow from
//! these sizes: [`crate::nets::tensor_shapes`].

use super::input::{Categories, Input, Role};
use super::schema::{Arrival, in_range, schema};
use crate::error::OpenError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Network family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum Net {
    /// A stack of LSTM layers and a dense head on the last step of the top layer.
    Lstm(LstmConfig),
    /// The Temporal Fusion Transformer.
    Tft(TftConfig),
    /// Seed 003's network: BiLSTM, self-attention, decoder LSTM, classes and quantiles.
    QuantileTft(QuantileTftConfig),
    /// X-Trend: a target window attends to a set of contexts.
    Xtrend(XtrendConfig),
}

/// Sizes of an LSTM stack: `x[lookback, n_features] -> LSTM x n_layers -> h_last -> head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Rows of a window.
    pub lookback: usize,
    /// LSTM width.
    pub n_hidden: usize,
    /// LSTM layers, 1 to 4.
    pub n_layers: usize,
    /// Dense layers behind the last step; the last one gives the output columns.
    pub head: Vec<DenseConfig>,
}

/// One dense layer of a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseConfig {
    /// Output width.
    pub n_out: usize,
    /// What follows the affine map.
    pub activation: Activation,
}

/// Activation behind a dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(0, x)`.
    Relu,
    /// `x` where positive, else `e^x - 1`.
    Elu,
}

/// The Temporal Fusion Transformer (Lim, Arik, Loeff and Pfister 2021), its published variants as switches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TftConfig {
    /// Steps of the encoder at most.
    pub lookback: usize,
    /// Steps of the decoder at most, each answered. 0: no decoder, the answer belongs to the last encoder step
    /// (the form of the Momentum Transformer).
    pub n_ahead: usize,
    /// Width of every hidden value.
    pub n_hidden: usize,
    /// Attention heads; `n_hidden / n_heads` rounded down is the width of a head.
    pub n_heads: usize,
    /// Layers of each LSTM, 1 to 4.
    pub n_layers: usize,
    /// Variables that are constant per series, in the order of the network.
    pub static_variables: Vec<Variable>,
    /// Variables of every encoder step, in the order of the network.
    pub encoder_variables: Vec<Variable>,
    /// Variables of every decoder step, in the order of the network; may be empty.
    pub decoder_variables: Vec<Variable>,
    /// In which of its published forms.
    pub rules: TftRules,
    /// Output columns per answered step.
    pub n_outputs: usize,
}

/// One variable of a selection network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Name, part of tensor names.
    pub name: String,
    /// The inputs it reads: one, or several for a bag of embeddings, whose vectors are summed.
    pub columns: Vec<String>,
    /// Width of the embedding of a categorical or of the prescaler of a real.
    pub width: usize,
    /// Rows of the embedding table; absent for a real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_categories: Option<usize>,
    /// Whether category 0 is the zero vector.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub padding: bool,
    /// Name of the embedding table where it is not the variable's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// Where the published forms of the TFT differ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TftRules {
    /// Skip of a gated residual network whose widths differ.
    pub skip: SkipRule,
    /// Added to the variance in every layer norm.
    pub norm_eps: f32,
    /// What a step may attend to.
    pub mask: MaskRule,
    /// Whether queries, keys and values have biases.
    pub attention_bias: bool,
    /// What follows the embedding of a categorical in a selection network.
    pub categorical_branch: CategoricalBranch,
    /// Hidden width of the weight network of a selection.
    pub weight_hidden: WeightHidden,
    /// Whether encoder and decoder share the networks of single variables.
    pub share_variable_networks: bool,
    /// What a window without encoder steps starts from.
    pub empty_encoder: EmptyEncoder,
}

/// Skip of a gated residual network whose widths differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipRule {
    /// Interpolation along the features, a learned mask, a layer norm (pytorch-forecasting).
    Resample,
    /// A dense layer; in a weight network even where the widths agree (google-research).
    Linear,
}

/// What a query at step t may attend to; encoder steps before the first answered step are always visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskRule {
    /// Steps up to and including t (paper, google-research).
    CausalSelf,
    /// Decoder steps before t only: a step does not see itself (pytorch-forecasting's default).
    CausalStrict,
    /// Every step (pytorch-forecasting with `causal_attention=False`).
    Open,
}

/// What follows the embedding of a categorical in a selection network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoricalBranch {
    /// The resampled skip alone (pytorch-forecasting, unless networks are shared).
    ResampleNorm,
    /// A gated residual network, as for reals.
    Grn,
}

/// Hidden width of the weight network of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightHidden {
    /// The smaller of `n_hidden` and the number of variables (pytorch-forecasting).
    MinHiddenVariables,
    /// `n_hidden` (paper, google-research).
    Hidden,
}

/// What a window without encoder steps starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyEncoder {
    /// The row's own static context.
    Correct,
    /// As pytorch-forecasting answers a batch of this row alone: a zero state.
    Faithful,
}

impl TftRules {
    /// pytorch-forecasting 1.8 with its defaults.
    pub const PYTORCH_FORECASTING: Self = Self {
        skip: SkipRule::Resample,
        norm_eps: 1e-5,
        mask: MaskRule::CausalStrict,
        attention_bias: true,
        categorical_branch: CategoricalBranch::ResampleNorm,
        weight_hidden: WeightHidden::MinHiddenVariables,
        share_variable_networks: false,
        empty_encoder: EmptyEncoder::Correct,
    };

    /// The paper's form as google-research/tft programs it.
    pub const GOOGLE: Self = Self {
        skip: SkipRule::Linear,
        norm_eps: 1e-3,
        mask: MaskRule::CausalSelf,
        attention_bias: false,
        categorical_branch: CategoricalBranch::Grn,
        weight_hidden: WeightHidden::Hidden,
        share_variable_networks: false,
        empty_encoder: EmptyEncoder::Correct,
    };
}

/// Seed 003's network; see `models.md`-style description in `docs/format.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantileTftConfig {
    /// Rows of a window.
    pub lookback: usize,
    /// Width.
    pub n_hidden: usize,
    /// Heads of the self-attention; divides `n_hidden`.
    pub n_heads: usize,
    /// Layers of the bidirectional encoder, 1 to 4.
    pub n_layers: usize,
    /// Columns of the classifier.
    pub n_classes: usize,
    /// Columns of the quantile head.
    pub n_quantiles: usize,
}

/// X-Trend (Wood, Kessler, Roberts and Zohren 2023) and seed 002's relative of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XtrendConfig {
    /// Rows of the target window.
    pub lookback: usize,
    /// Rows of a context.
    pub context_lookback: usize,
    /// Contexts at most.
    pub n_contexts: usize,
    /// Width.
    pub n_hidden: usize,
    /// Heads of both attentions; divides `n_hidden`.
    pub n_heads: usize,
    /// LSTM layers of the shared encoder, 1 to 4; 1 in the paper's form.
    pub n_layers: usize,
    /// Rows of the entity embedding.
    pub n_entities: usize,
    /// Which network.
    pub form: XtrendForm,
    /// What the last layer predicts.
    pub head: XtrendHead,
    /// Quantile columns of the quantile head, else 0.
    pub n_quantiles: usize,
    /// Which states of a context a step attends to.
    pub context_mode: ContextMode,
    /// Whether the target side goes without its entity.
    pub zero_shot: bool,
}

/// Which X-Trend network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XtrendForm {
    /// Seed 002: one encoder for target, keys and values.
    Shared,
    /// The paper: three encoders and a decoder of their own.
    Separate,
}

/// What the last layer of an X-Trend predicts; a position comes with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XtrendHead {
    /// A position alone.
    Position,
    /// Mean and deviation of a Gaussian.
    Gaussian,
    /// Quantiles.
    Quantile,
}

/// Which states of a context a step attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextMode {
    /// The last one.
    FinalState,
    /// The one of the same step; target and contexts have the same number of rows.
    TimeEquivalent,
}

const MAX_WIDTH: usize = 8192;
const MAX_LOOKBACK: usize = 65_536;
const MAX_LAYERS: usize = 4;
const MAX_HEADS: usize = 64;
const MAX_VARIABLES: usize = 1024;
const MAX_CATEGORIES: usize = 1 << 24;

impl Net {
    /// Rows of a window that lie in the past.
    #[must_use]
    pub fn lookback(&self) -> usize {
        match self {
            Self::Lstm(c) => c.lookback,
            Self::Tft(c) => c.lookback,
            Self::QuantileTft(c) => c.lookback,
            Self::Xtrend(c) => c.lookback,
        }
    }

    /// Rows of a window that lie in the future: known values of decoder steps.
    #[must_use]
    pub fn n_ahead(&self) -> usize {
        match self {
            Self::Tft(c) => c.n_ahead,
            _ => 0,
        }
    }

    /// Output columns per answered step.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        match self {
            Self::Lstm(c) => c.head.last().map_or(0, |d| d.n_out),
            Self::Tft(c) => c.n_outputs,
            Self::QuantileTft(c) => c.n_classes + c.n_quantiles,
            Self::Xtrend(c) => c.n_columns(),
        }
    }

    /// Whether the family lets the rows before the last be run before that one arrives: all but bidirectional encoders.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        match self {
            Self::QuantileTft(_) => Arrival::WholeWindow,
            _ => Arrival::PreRolled,
        }
    }

    /// Sizes within their limits, and variables that are inputs.
    pub(super) fn validate(&self, inputs: &[Input]) -> Result<(), OpenError> {
        in_range("net.lookback", self.lookback(), MAX_LOOKBACK)?;
        match self {
            Self::Lstm(c) => c.validate(),
            Self::Tft(c) => c.validate(inputs),
            Self::QuantileTft(c) => c.validate(),
            Self::Xtrend(c) => c.validate(inputs),
        }?;
        match self {
            Self::Tft(_) | Self::Xtrend(_) => Ok(()),
            _ => match inputs
                .iter()
                .find(|i| i.categories.is_some() || i.role != Role::Observed)
            {
                Some(input) => Err(schema(format!(
                    "inputs.{}: expected an observed real for this family, found another role or a categorical",
                    input.name
                ))),
                None => Ok(()),
            },
        }
    }
}

impl LstmConfig {
    fn validate(&self) -> Result<(), OpenError> {
        in_range("net.n_hidden", self.n_hidden, MAX_WIDTH)?;
        in_range("net.n_layers", self.n_layers, MAX_LAYERS)?;
        in_range("net.head length", self.head.len(), MAX_LAYERS)?;
        for (j, dense) in self.head.iter().enumerate() {
            in_range(&format!("net.head[{j}].n_out"), dense.n_out, MAX_WIDTH)?;
        }
        Ok(())
    }
}

impl TftConfig {
    /// Width of an attention head.
    #[must_use]
    pub fn d_head(&self) -> usize {
        self.n_hidden / self.n_heads
    }

    fn validate(&self, inputs: &[Input]) -> Result<(), OpenError> {
        in_range("net.n_hidden", self.n_hidden, MAX_WIDTH)?;
        in_range("net.n_layers", self.n_layers, MAX_LAYERS)?;
        in_range("net.n_heads", self.n_heads, MAX_HEADS.min(self.n_hidden))?;
        in_range("net.n_outputs", self.n_outputs, MAX_WIDTH)?;
        in_range(
            "net.lookback + n_ahead",
            self.lookback + self.n_ahead,
            MAX_LOOKBACK,
        )?;
        in_range(
            "net.encoder_variables",
            self.encoder_variables.len(),
            MAX_VARIABLES,
        )?;
        if !(self.rules.norm_eps.is_finite() && self.rules.norm_eps > 0.0) {
            return Err(schema(format!(
                "net.rules.norm_eps: expected > 0, found {}",
                self.rules.norm_eps
            )));
        }
        if self.n_ahead == 0 && !self.decoder_variables.is_empty() {
            return Err(schema(format!(
                "net.decoder_variables: expected none with n_ahead = 0, found {}",
                self.decoder_variables.len()
            )));
        }
        let groups = [
            (
                "static_variables",
                &self.static_variables,
                [Role::Static, Role::Static],
            ),
            (
                "encoder_variables",
                &self.encoder_variables,
                [Role::Observed, Role::Known],
            ),
            (
                "decoder_variables",
                &self.decoder_variables,
                [Role::Known, Role::Known],
            ),
        ];
        groups.into_iter().try_for_each(|(key, variables, roles)| {
            in_range(&format!("net.{key} + 1"), variables.len() + 1, MAX_VARIABLES)?;
            variables.iter().try_for_each(|v| v.validate(key, inputs, roles))
        })
    }
}

impl Variable {
    /// Whether the variable is categorical.
    #[must_use]
    pub fn is_categorical(&self) -> bool {
        self.n_categories.is_some()
    }

    /// Name of its embedding table.
    #[must_use]
    pub fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }

    fn validate(&self, key: &str, inputs: &[Input], roles: [Role; 2]) -> Result<(), OpenError> {
        let what = format!("net.{key}.{}", self.name);
        in_range(&format!("{what}.width"), self.width, MAX_WIDTH)?;
        in_range(&format!("{what}.columns"), self.columns.len(), MAX_VARIABLES)?;
        if self.n_categories.is_none() && self.columns.len() != 1 {
            return Err(schema(format!(
                "{what}.columns: a real reads one, found {}",
                self.columns.len()
            )));
        }
        if let Some(n) = self.n_categories {
            in_range(&format!("{what}.n_categories"), n, MAX_CATEGORIES)?;
        }
        if self.name.is_empty() || self.name.contains('.') {
            return Err(schema(format!("{what}: expected a name without dots")));
        }
        for column in &self.columns {
            let input = inputs
                .iter()
                .find(|i| i.name == *column)
                .ok_or_else(|| schema(format!("{what}: no input `{column}`")))?;
            let codes = input.categories.as_ref().map(Categories::n_codes);
            if codes != self.n_categories && codes.zip(self.n_categories).is_none_or(|(a, b)| a > b) {
                return Err(schema(format!(
                    "{what}: expected codes below {:?} from input `{column}`, found {codes:?}",
                    self.n_categories
                )));
            }
            if !roles.contains(&input.role) {
                return Err(schema(format!(
                    "{what}: expected input `{column}` in the role {:?}, found {:?}",
                    roles[1], input.role
                )));
            }
        }
        Ok(())
    }
}

impl QuantileTftConfig {
    fn validate(&self) -> Result<(), OpenError> {
        in_range("net.n_hidden", self.n_hidden, MAX_WIDTH)?;
        in_range("net.n_layers", self.n_layers, MAX_LAYERS)?;
        in_range("net.n_classes", self.n_classes, MAX_WIDTH)?;
        in_range("net.n_quantiles", self.n_quantiles, MAX_WIDTH)?;
        has_half(self.n_hidden)?;
        divides(self.n_heads, self.n_hidden)
    }
}

impl XtrendConfig {
    /// Output columns: position; mean and raw deviation, or quantiles, behind it.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        match (self.form, self.head) {
            (XtrendForm::Shared, _) | (_, XtrendHead::Gaussian) => 3,
            (_, XtrendHead::Position) => 1,
            (_, XtrendHead::Quantile) => 1 + self.n_quantiles,
        }
    }

    fn validate(&self, inputs: &[Input]) -> Result<(), OpenError> {
        in_range("net.context_lookback", self.context_lookback, MAX_LOOKBACK)?;
        in_range("net.n_contexts", self.n_contexts, MAX_WIDTH)?;
        in_range("net.n_hidden", self.n_hidden, MAX_WIDTH)?;
        in_range("net.n_layers", self.n_layers, MAX_LAYERS)?;
        in_range("net.n_entities", self.n_entities, MAX_CATEGORIES)?;
        divides(self.n_heads, self.n_hidden)?;
        if self.form == XtrendForm::Shared {
            has_half(self.n_hidden)?;
        }
        if (self.head == XtrendHead::Quantile) != (self.n_quantiles > 0) || self.n_quantiles > MAX_WIDTH {
            return Err(schema(format!(
                "net.n_quantiles: expected one or more with the quantile head alone, found {}",
                self.n_quantiles
            )));
        }
        if self.context_mode == ContextMode::TimeEquivalent && self.context_lookback != self.lookback {
            return Err(schema(format!(
                "net.context_lookback: expected {} as the lookback (time_equivalent), found {}",
                self.lookback, self.context_lookback
            )));
        }
        if self.form == XtrendForm::Shared && self.head == XtrendHead::Quantile {
            return Err(schema(
                "net.head: the shared form has position and gaussian".into(),
            ));
        }
        if self.form == XtrendForm::Separate && self.n_layers != 1 {
            return Err(schema(format!(
                "net.n_layers: the paper's form has 1, found {}",
                self.n_layers
            )));
        }
        let (entity, features): (Vec<&Input>, Vec<&Input>) =
            inputs.iter().partition(|i| i.categories.is_some());
        let one_entity = entity.len() == 1
            && entity[0].role == Role::Static
            && entity[0]
                .categories
                .as_ref()
                .is_some_and(|c| c.n_codes() <= self.n_entities);
        if !one_entity || features.is_empty() || features.iter().any(|i| i.role != Role::Observed) {
            return Err(schema(format!(
                "inputs: expected observed reals and one static categorical of at most {} entities",
                self.n_entities
            )));
        }
        Ok(())
    }
}

/// Whether the hidden layer of a head, half as wide as the net, has a unit.
fn has_half(n_hidden: usize) -> Result<(), OpenError> {
    if n_hidden >= 2 {
        return Ok(());
    }
    Err(schema(format!(
        "net.n_hidden: expected 2 or more for heads of half that width, found {n_hidden}"
    )))
}

fn divides(n_heads: usize, n_hidden: usize) -> Result<(), OpenError> {
    in_range("net.n_heads", n_heads, MAX_HEADS)?;
    if n_hidden.is_multiple_of(n_heads) {
        return Ok(());
    }
    Err(schema(format!(
        "net.n_heads: expected a divisor of {n_hidden}, found {n_heads}"
    )))
}
