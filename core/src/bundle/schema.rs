//! The JSON document inside a model file: what goes in, what the network is, what comes out.
//!
//! Normative description: `core/docs/format.md`. Unknown keys are errors; [`Schema::validate`] states every rule
//! that types cannot.

use crate::error::OpenError;
use crate::features::FeatureOp;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Highest format version this build reads and the one it writes.
pub const FORMAT: u32 = 1;

/// Everything a model file says about itself besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Format version, 1 to [`FORMAT`].
    pub format: u32,
    /// Model name, for people and for the registry.
    pub name: String,
    /// Network family and its sizes.
    pub net: Net,
    /// Type of the weights; statistics and biases are always f32 or f64.
    pub precision: Precision,
    /// Input columns in order; their number is `n_features`.
    pub inputs: Vec<Input>,
    /// Time between two bars in ns, when the model was made for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar_interval_ns: Option<i64>,
    /// Output groups in the order of the head's columns.
    pub outputs: Vec<Output>,
    /// What the outputs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether the sliding window may be pre-rolled.
    pub arrival: Arrival,
    /// Largest absolute deviation from the golden outputs that opening accepts, per level of rounding.
    pub golden_tolerance: f32,
    /// Where the model comes from: snapshot, seed, split, metrics with baselines. Free form, never needed to run.
    #[serde(default)]
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

/// Network family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum Net {
    /// A stack of LSTM layers and a dense head on the last step of the top layer.
    Lstm(LstmConfig),
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
}

/// Type of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// bfloat16 with f32 accumulation.
    Bf16,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Column name.
    pub name: String,
    /// How the column is computed from bars; absent when the caller brings it ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<FeatureOp>,
    /// Statistics; a bundle without them is refused.
    #[serde(default)]
    pub scaler: Option<Scaler>,
    /// What happens to a NaN or infinite value.
    #[serde(default)]
    pub missing: Missing,
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
    /// Unit of the numbers, such as `probability` or `log_return`.
    pub unit: String,
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
}

/// What the outputs are about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Bars between the last row of the window and the predicted one.
    pub horizon: usize,
    /// The label in words or formula, such as `close[t+5] > close[t]`.
    pub label: String,
}

/// How a window that slides by one row may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// The recurrence over the older rows may be computed before the newest row arrives.
    PreRolled,
    /// Every answer needs the whole window.
    WholeWindow,
}

const MAX_WIDTH: usize = 8192;
const MAX_LOOKBACK: usize = 65_536;
const MAX_LAYERS: usize = 4;

impl Schema {
    /// Number of input columns.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.inputs.len()
    }

    /// Rows of a window.
    #[must_use]
    pub fn lookback(&self) -> usize {
        match &self.net {
            Net::Lstm(config) => config.lookback,
        }
    }

    /// Number of output columns over all groups.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        self.outputs.iter().map(|o| o.labels.len()).sum()
    }

    /// Names of the output columns in order, `group.label`, or the group's name where it has one column.
    #[must_use]
    pub fn output_names(&self) -> Vec<String> {
        let column = |o: &Output, label: &String| {
            if o.labels.len() == 1 {
                o.name.clone()
            } else {
                format!("{}.{label}", o.name)
            }
        };
        self.outputs
            .iter()
            .flat_map(|o| o.labels.iter().map(move |l| column(o, l)))
            .collect()
    }

    /// Checks every rule of `format.md` section "Schema" that the types do not already enforce.
    ///
    /// # Errors
    /// The first rule broken, with what was expected and what was found.
    pub fn validate(&self) -> Result<(), OpenError> {
        if self.format == 0 || self.format > FORMAT {
            return Err(OpenError::UnknownVersion {
                supported: FORMAT,
                found: self.format,
            });
        }
        self.validate_net()?;
        self.validate_inputs()?;
        self.validate_outputs()?;
        if !(self.golden_tolerance.is_finite() && self.golden_tolerance > 0.0) {
            return Err(schema(format!(
                "golden_tolerance: expected > 0, found {}",
                self.golden_tolerance
            )));
        }
        Ok(())
    }

    fn validate_net(&self) -> Result<(), OpenError> {
        let Net::Lstm(net) = &self.net;
        in_range("net.lookback", net.lookback, MAX_LOOKBACK)?;
        in_range("net.n_hidden", net.n_hidden, MAX_WIDTH)?;
        in_range("net.n_layers", net.n_layers, MAX_LAYERS)?;
        in_range("net.head length", net.head.len(), MAX_LAYERS)?;
        for (j, dense) in net.head.iter().enumerate() {
            in_range(&format!("net.head[{j}].n_out"), dense.n_out, MAX_WIDTH)?;
        }
        let columns = net.head.last().map_or(0, |d| d.n_out);
        if columns != self.n_outputs() {
            return Err(schema(format!(
                "outputs: expected labels for the head's {columns} columns, found {}",
                self.n_outputs()
            )));
        }
        Ok(())
    }

    fn validate_inputs(&self) -> Result<(), OpenError> {
        in_range("inputs", self.inputs.len(), MAX_WIDTH)?;
        unique("inputs", self.inputs.iter().map(|i| &i.name))?;
        for input in &self.inputs {
            let Some(scaler) = input.scaler else {
                return Err(OpenError::MissingScaler {
                    input: input.name.clone(),
                });
            };
            let finite = scaler.center.is_finite() && scaler.scale.is_finite();
            if !finite || scaler.scale <= 0.0 || !scaler.scale.recip().is_finite() {
                return Err(schema(format!(
                    "inputs.{}.scaler: expected a finite center and a positive scale, found {} and {}",
                    input.name, scaler.center, scaler.scale
                )));
            }
            if let Some(op) = &input.feature {
                op.validate(&input.name)
                    .map_err(|e| schema(format!("inputs.{}.feature: {e}", input.name)))?;
            }
        }
        Ok(())
    }

    fn validate_outputs(&self) -> Result<(), OpenError> {
        in_range("outputs", self.outputs.len(), MAX_WIDTH)?;
        unique("outputs", self.outputs.iter().map(|o| &o.name))?;
        for output in &self.outputs {
            in_range(
                &format!("outputs.{}.labels", output.name),
                output.labels.len(),
                MAX_WIDTH,
            )?;
            unique(&format!("outputs.{}.labels", output.name), output.labels.iter())?;
            if output.kind == OutputKind::Softmax && output.labels.len() < 2 {
                return Err(schema(format!(
                    "outputs.{}: a softmax needs two or more labels",
                    output.name
                )));
            }
        }
        Ok(())
    }
}

fn schema(text: String) -> OpenError {
    OpenError::Schema(text)
}

fn in_range(what: &str, found: usize, limit: usize) -> Result<(), OpenError> {
    if (1..=limit).contains(&found) {
        return Ok(());
    }
    Err(schema(format!("{what}: expected 1 to {limit}, found {found}")))
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), OpenError> {
    let mut seen = alloc::collections::BTreeSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(schema(format!(
                "{what}: expected distinct, non-empty names, found `{name}` again or empty"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::TINY;
    use super::*;

    fn refused(edit: impl Fn(&mut Schema)) -> String {
        let mut schema = Schema::from_json(TINY).unwrap();
        edit(&mut schema);
        match schema.validate() {
            Err(OpenError::Schema(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn net(edit: impl Fn(&mut LstmConfig)) -> String {
        refused(|s| {
            let Net::Lstm(config) = &mut s.net;
            edit(config);
        })
    }

    #[test]
    fn sizes_of_the_net_keep_their_limits() {
        assert_eq!(
            net(|n| n.lookback = 0),
            "net.lookback: expected 1 to 65536, found 0"
        );
        assert_eq!(
            net(|n| n.lookback = MAX_LOOKBACK + 1),
            "net.lookback: expected 1 to 65536, found 65537"
        );
        assert!(net(|n| n.n_hidden = MAX_WIDTH + 1).starts_with("net.n_hidden"));
        assert!(net(|n| n.n_layers = 5).starts_with("net.n_layers"));
        assert!(net(|n| n.head.clear()).starts_with("net.head length"));
        assert!(net(|n| n.head[0].n_out = 0).starts_with("net.head[0].n_out"));
    }

    #[test]
    fn labels_must_be_as_many_as_the_head_has_columns() {
        let text = net(|n| n.head[0].n_out = 2);
        assert_eq!(text, "outputs: expected labels for the head's 2 columns, found 1");
    }

    #[test]
    fn names_must_be_distinct_and_not_empty() {
        assert!(refused(|s| s.inputs[1].name = "a".into()).starts_with("inputs: "));
        assert!(refused(|s| s.inputs[1].name.clear()).starts_with("inputs: "));
        assert!(refused(|s| s.outputs[0].name.clear()).starts_with("outputs: "));
        assert!(refused(|s| s.outputs[0].labels[0].clear()).starts_with("outputs.p_up.labels: "));
        assert!(refused(|s| s.inputs.clear()).starts_with("inputs: "));
    }

    #[test]
    fn a_softmax_of_one_column_and_a_tolerance_of_zero_are_refused() {
        assert!(refused(|s| s.outputs[0].kind = OutputKind::Softmax).contains("two or more"));
        for tolerance in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(refused(|s| s.golden_tolerance = tolerance).starts_with("golden_tolerance"));
        }
    }

    #[test]
    fn output_columns_are_named_by_group_and_label() {
        let mut schema = Schema::from_json(TINY).unwrap();
        assert_eq!(schema.output_names(), ["p_up"]);
        schema.outputs[0].labels.push("down".into());
        assert_eq!(schema.output_names(), ["p_up.up", "p_up.down"]);
        assert_eq!(
            (schema.n_features(), schema.n_outputs(), schema.lookback()),
            (2, 2, 3)
        );
    }
}
