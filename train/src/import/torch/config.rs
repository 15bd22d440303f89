//! The TOML file beside the weights: which network, what its columns are, in the words of the model file.
//!
//! Two forms. With a table `[net]` the file carries the model file's own keys ([`NetConfig`]) and the tensors their plain
//! names. Without it the file describes an LSTM stack whose tensors may be called anything ([`LstmFileConfig`]).

use super::ImportError;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tickfuse_core::bundle::{Activation, FORMAT, Input, Net, Normalizer, Output, Precision, Schema, Target};

/// What a TOML file says, in either form.
#[derive(Debug, Clone, PartialEq)]
pub enum TorchConfig {
    /// An LSTM stack with tensors of any name.
    Lstm(LstmFileConfig),
    /// A network with plain names.
    Net(NetConfig),
}

/// A network in the model file's own keys; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetConfig {
    /// Model name.
    pub name: String,
    /// Time between two bars, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar_interval_ns: Option<i64>,
    /// Family and sizes.
    pub net: Net,
    /// What the outputs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Input columns in order.
    pub inputs: Vec<Input>,
    /// Normalizers that inputs and outputs refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normalizers: Vec<Normalizer>,
    /// Output groups in order.
    pub outputs: Vec<Output>,
}

/// An LSTM stack with a dense head on the last step; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmFileConfig {
    /// Model name.
    pub name: String,
    /// Network family.
    pub family: LstmFamily,
    /// Rows of a window.
    pub lookback: usize,
    /// LSTM width.
    pub n_hidden: usize,
    /// LSTM layers.
    pub n_layers: usize,
    /// Prefix of the LSTM's tensors.
    #[serde(default = "default_prefix")]
    pub lstm_prefix: String,
    /// Dense layers behind the last step, in order.
    pub head: Vec<HeadLayer>,
    /// Input columns in order.
    pub inputs: Vec<Input>,
    /// Output groups in order.
    pub outputs: Vec<Output>,
    /// What the outputs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Time between two bars, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar_interval_ns: Option<i64>,
}

/// The family that needs no table `[net]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LstmFamily {
    /// LSTM stack with a dense head on the last step.
    Lstm,
}

/// One dense layer of the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadLayer {
    /// Prefix of its tensors.
    pub prefix: String,
    /// What follows it.
    pub activation: Activation,
}

fn default_prefix() -> String {
    "lstm".into()
}

impl TorchConfig {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// [`ImportError::Config`], or [`ImportError::NoNet`] for another family than `lstm` without a table `[net]`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ImportError> {
        let config = |source| ImportError::Config {
            path: path.into(),
            source: Box::new(source),
        };
        let table: toml::Table = toml::from_str(text).map_err(config)?;
        if table.contains_key("net") {
            return toml::from_str(text).map(Self::Net).map_err(config);
        }
        match table.get("family").and_then(toml::Value::as_str) {
            Some(family) if family != "lstm" => Err(ImportError::NoNet {
                path: path.into(),
                family: family.into(),
            }),
            _ => toml::from_str(text).map(Self::Lstm).map_err(config),
        }
    }
}

impl NetConfig {
    /// The keys of a model's schema that a network is made from.
    #[must_use]
    pub fn of(schema: &Schema) -> Self {
        Self {
            name: schema.name.clone(),
            bar_interval_ns: schema.bar_interval_ns,
            net: schema.net.clone(),
            target: schema.target.clone(),
            inputs: schema.inputs.clone(),
            normalizers: schema.normalizers.clone(),
            outputs: schema.outputs.clone(),
        }
    }

    /// The schema of a model imported with this configuration; `from` is kept as its origin.
    #[must_use]
    pub fn schema(&self, precision: Precision, from: &str) -> Schema {
        Schema {
            format: FORMAT,
            name: self.name.clone(),
            net: self.net.clone(),
            precision,
            inputs: self.inputs.clone(),
            bar_interval_ns: self.bar_interval_ns,
            normalizers: self.normalizers.clone(),
            outputs: self.outputs.clone(),
            target: self.target.clone(),
            arrival: self.net.arrival(),
            tables: None,
            golden_tolerance: 1.0,
            provenance: serde_json::Map::from_iter([("imported_from".into(), from.into())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &str = r#"
        inputs = [{ name = "a", scaler = { center = 0.0, scale = 1.0 } }]
        outputs = [{ name = "y", kind = "linear", labels = ["y"], unit = "one" }]
    "#;

    fn refused(text: &str) -> String {
        TorchConfig::parse(Path::new("net.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn another_family_than_lstm_needs_the_table() {
        let text = refused(&format!("name = \"n\"\nfamily = \"tft\"\n{INPUTS}"));
        assert_eq!(
            text,
            "net.toml: `family = \"tft\"`: expected the sizes of this family in a table `[net]` with the keys of a model file"
        );
    }

    #[test]
    fn a_key_that_a_family_does_not_know_is_refused_by_name() {
        let net = "[net]\nfamily = \"quantile_tft\"\nlookback = 4\nn_hidden = 2\nn_heads = 1\nn_layers = 1\nn_classes = 2\nn_quantiles = 1\n";
        let config = format!("name = \"n\"\n{INPUTS}{net}");
        assert!(matches!(
            TorchConfig::parse(Path::new("net.toml"), &config),
            Ok(TorchConfig::Net(_))
        ));
        assert!(refused(&format!("{config}dropout = 0.1\n")).contains("dropout"));
        assert!(refused(&format!("seed = 1\n{config}")).contains("seed"));
    }
}
