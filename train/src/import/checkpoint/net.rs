//! The network: sizes, the variables of the three selections in the network's order, the rules of the variant.

use super::plain::{plain, refused, text, texts};
use crate::import::pickle::{Value, ValueError};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// No network is wider: with it, sizes of tensors can be computed without overflow.
const LARGEST_WIDTH: usize = 1 << 20;
/// Parameters that `model.json` repeats.
const HYPER_PARAMETERS: [&str; 21] = [
    "hidden_size",
    "lstm_layers",
    "attention_head_size",
    "output_size",
    "max_encoder_length",
    "hidden_continuous_size",
    "hidden_continuous_sizes",
    "causal_attention",
    "mask_bias",
    "share_single_variable_networks",
    "static_categoricals",
    "static_reals",
    "time_varying_categoricals_encoder",
    "time_varying_reals_encoder",
    "time_varying_categoricals_decoder",
    "time_varying_reals_decoder",
    "x_categoricals",
    "x_reals",
    "categorical_groups",
    "embedding_sizes",
    "embedding_paddings",
];

/// The section `net`.
#[derive(Debug, Serialize)]
pub(super) struct Net {
    family: &'static str,
    lookback: usize,
    n_ahead: usize,
    pub(super) n_hidden: usize,
    pub(super) n_heads: usize,
    pub(super) n_layers: usize,
    pub(super) static_variables: Vec<Variable>,
    pub(super) encoder_variables: Vec<Variable>,
    pub(super) decoder_variables: Vec<Variable>,
    pub(super) rules: Rules,
    pub(super) n_outputs: usize,
}

/// One variable: its columns, the width it enters with, and its table of embeddings.
#[derive(Debug, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    columns: Vec<String>,
    pub(super) width: usize,
    pub(super) n_categories: Option<usize>,
    padding: bool,
    table: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Rules {
    skip: &'static str,
    norm_eps: f64,
    mask: &'static str,
    attention_bias: bool,
    categorical_branch: &'static str,
    weight_hidden: &'static str,
    pub(super) share_variable_networks: bool,
    empty_encoder: &'static str,
}

impl Net {
    /// Widths are those of the tensors, since stored embedding sizes are not yet capped.
    pub(super) fn read(
        hyper: &Value<'_>,
        dataset: &Value<'_>,
        tensors: &PlainTensors,
    ) -> Result<Self, ValueError> {
        let size = |name, largest| sized(&hyper.get(name)?, largest);
        let variables = |kinds| variables(hyper, kinds, tensors);
        Ok(Self {
            family: "tft",
            lookback: hyper.get("max_encoder_length")?.as_usize()?,
            n_ahead: dataset.get("max_prediction_length")?.as_usize()?,
            n_hidden: size("hidden_size", LARGEST_WIDTH)?,
            n_heads: size("attention_head_size", tensors.len())?,
            n_layers: size("lstm_layers", tensors.len())?,
            static_variables: variables(["static_categoricals", "static_reals"])?,
            encoder_variables: variables([
                "time_varying_categoricals_encoder",
                "time_varying_reals_encoder",
            ])?,
            decoder_variables: variables([
                "time_varying_categoricals_decoder",
                "time_varying_reals_decoder",
            ])?,
            rules: Rules::read(hyper)?,
            n_outputs: n_outputs(hyper, tensors)?,
        })
    }
}

impl Rules {
    fn read(hyper: &Value<'_>) -> Result<Self, ValueError> {
        let is_causal = flag(hyper, "causal_attention")?;
        Ok(Self {
            skip: "resample",
            norm_eps: 1e-5,
            mask: if is_causal { "causal_strict" } else { "open" },
            attention_bias: true,
            categorical_branch: "resample_norm",
            weight_hidden: "min_hidden_variables",
            share_variable_networks: flag(hyper, "share_single_variable_networks")?,
            empty_encoder: "correct",
        })
    }
}

/// The section `hyper_parameters`: what the library stored about the network.
pub(super) fn hyper_parameters(hyper: &Value<'_>) -> Result<Map<String, Json>, ValueError> {
    let entry = |name: &str| Ok((name.to_owned(), parameter(hyper, name)?));
    HYPER_PARAMETERS.into_iter().map(entry).collect()
}

fn parameter(hyper: &Value<'_>, name: &str) -> Result<Json, ValueError> {
    match (hyper.find(name)?, older_default(name)) {
        (None, Some(default)) => Ok(default),
        _ => plain(&hyper.get(name)?),
    }
}

/// What checkpoints from before these parameters did.
fn older_default(name: &str) -> Option<Json> {
    match name {
        "causal_attention" => Some(json!(true)),
        "mask_bias" => Some(json!(-1e9)),
        "share_single_variable_networks" => Some(json!(false)),
        _ => None,
    }
}

fn flag(hyper: &Value<'_>, name: &str) -> Result<bool, ValueError> {
    match (hyper.find(name)?, older_default(name)) {
        (None, Some(Json::Bool(default))) => Ok(default),
        _ => hyper.get(name)?.as_bool(),
    }
}

fn sized(value: &Value<'_>, largest: usize) -> Result<usize, ValueError> {
    let found = value.as_usize()?;
    if (1..=largest).contains(&found) {
        return Ok(found);
    }
    Err(value.error(&format!("an int from 1 to {largest}")))
}

fn variables(
    hyper: &Value<'_>,
    kinds: [&str; 2],
    tensors: &PlainTensors,
) -> Result<Vec<Variable>, ValueError> {
    let mut found = Vec::new();
    for kind in kinds {
        for name in hyper.get(kind)?.items()? {
            found.push(Variable::read(&name, hyper, tensors)?);
        }
    }
    Ok(found)
}

impl Variable {
    fn read(name: &Value<'_>, hyper: &Value<'_>, tensors: &PlainTensors) -> Result<Self, ValueError> {
        let (place, name) = (name, text(name)?);
        let members = members(hyper, &name)?;
        let table = tensors.get(&format!("input_embeddings.embeddings.{name}.weight"));
        let prescaler = tensors.get(&format!("prescalers.{name}.weight"));
        let width = match table {
            Some(table) => table.shape.get(1).copied(),
            None => first_dimension(prescaler),
        };
        let is_bag = !members.is_empty();
        let paddings = texts(&hyper.get("embedding_paddings")?)?;
        Ok(Self {
            width: width.ok_or_else(|| place.error("a variable with an embedding or a prescaler"))?,
            n_categories: first_dimension(table),
            padding: paddings.contains(&name) && !is_bag,
            table: is_bag.then(|| name.clone()),
            columns: if is_bag { members } else { vec![name.clone()] },
            name,
        })
    }
}

/// The rows of the output layer; those of several targets together.
fn n_outputs(hyper: &Value<'_>, tensors: &PlainTensors) -> Result<usize, ValueError> {
    let output = hyper.get("output_size")?;
    let found = first_dimension(tensors.get("output_layer.weight"));
    let expected = "a tensor output_layer.weight of as many rows";
    found.ok_or_else(|| refused(&output, expected, "none"))
}

fn first_dimension(tensor: Option<&PlainTensor>) -> Option<usize> {
    tensor?.shape.first().copied()
}

/// The columns of a bag, in its order; nothing for a variable that is none.
fn members(hyper: &Value<'_>, name: &str) -> Result<Vec<String>, ValueError> {
    let bag = hyper.get("categorical_groups")?.find(name)?;
    bag.map_or(Ok(Vec::new()), |members| texts(&members))
}
