//! The `[net]` table of a training run: family and sizes; and what they become: a net to train and a schema's inputs.

use crate::data::entities::Entities;
use crate::nets::any::AnyNet;
use crate::nets::lstm::{LstmNet, LstmNetConfig};
use crate::nets::tft::TftNet;
use serde::{Deserialize, Serialize};
use tickfuse_core::bundle::{Arrival, Categories, Input, Net, Role, Scaler, TftConfig, TftRules, Variable};
use tickfuse_core::features::FeatureDef;

/// Name of the static column that tells series apart.
const SYMBOL: &str = "symbol";

/// Family and sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum NetConfig {
    /// A stack of LSTM layers with a dense head.
    Lstm(Lstm),
    /// The Temporal Fusion Transformer.
    Tft(Tft),
}

/// Sizes of an LSTM stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lstm {
    /// LSTM width.
    pub n_hidden: usize,
    /// LSTM layers.
    pub n_layers: usize,
    /// Widths of the dense layers between the LSTM and the output.
    #[serde(default)]
    pub head: Vec<usize>,
    /// Dropout between layers while training.
    #[serde(default)]
    pub dropout: f64,
}

/// Sizes of a TFT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tft {
    /// Width.
    pub n_hidden: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// Layers of each LSTM.
    #[serde(default = "one")]
    pub n_layers: usize,
    /// In which published form.
    #[serde(default)]
    pub rules: Rules,
    /// Whether the series' symbol is a static variable.
    #[serde(default = "yes")]
    pub symbol: bool,
    /// Dropout while training.
    #[serde(default)]
    pub dropout: f64,
}

/// Published forms of the TFT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// The paper, as google-research programs it.
    #[default]
    Google,
    /// pytorch-forecasting.
    PytorchForecasting,
}

const fn one() -> usize {
    1
}

const fn yes() -> bool {
    true
}

/// What a run is about, for the sizes of its net.
pub struct Task<'a> {
    /// Features of a row.
    pub defs: &'a [FeatureDef],
    /// Their scalers.
    pub scalers: &'a [Scaler],
    /// Codes of the symbols.
    pub entities: &'a Entities,
    /// Rows of a window.
    pub lookback: usize,
    /// Columns of an answer.
    pub n_columns: usize,
}

impl NetConfig {
    /// Whether the recurrence over older rows may run before the newest row arrives.
    #[must_use]
    pub const fn arrival(&self) -> Arrival {
        match self {
            Self::Lstm(_) => Arrival::PreRolled,
            Self::Tft(_) => Arrival::WholeWindow,
        }
    }
}

/// A net to train, the core's description of it, and the columns it reads.
pub struct Blueprint {
    /// To train.
    pub net: AnyNet,
    /// To serve.
    pub config: Net,
    /// In the order of the columns.
    pub inputs: Vec<Input>,
}

impl NetConfig {
    /// Whether the code of the symbol is a column.
    #[must_use]
    pub fn has_symbol(&self) -> bool {
        match self {
            Self::Lstm(_) => false,
            Self::Tft(config) => config.symbol,
        }
    }

    /// The net of a task.
    ///
    /// # Errors
    /// The first size out of range, or one that does not fit the task.
    pub fn build(&self, task: &Task<'_>) -> Result<Blueprint, String> {
        let inputs = self.inputs(task);
        let (net, config) = match self {
            Self::Lstm(config) => lstm(config, task)?,
            Self::Tft(config) => tft(config, task, &inputs)?,
        };
        Ok(Blueprint { net, config, inputs })
    }

    /// Features, then the symbol.
    fn inputs(&self, task: &Task<'_>) -> Vec<Input> {
        let feature = |(def, scaler): (&FeatureDef, &Scaler)| Input {
            feature: Some(def.op.clone()),
            ..Input::real(&def.name, *scaler)
        };
        let features = task.defs.iter().zip(task.scalers).map(feature);
        let symbol = Input::categorical(SYMBOL, task.entities.categories());
        features.chain(self.has_symbol().then_some(symbol)).collect()
    }
}

fn lstm(config: &Lstm, task: &Task<'_>) -> Result<(AnyNet, Net), String> {
    let config = LstmNetConfig {
        n_features: task.defs.len(),
        lookback: task.lookback,
        n_hidden: config.n_hidden,
        n_layers: config.n_layers,
        head: config.head.iter().copied().chain([task.n_columns]).collect(),
        dropout: config.dropout,
    };
    let schema = Net::Lstm(config.schema());
    Ok((AnyNet::Lstm(LstmNet::new(config)?), schema))
}

fn tft(config: &Tft, task: &Task<'_>, inputs: &[Input]) -> Result<(AnyNet, Net), String> {
    let variable = |input: &Input| Variable {
        name: input.name.clone(),
        columns: vec![input.name.clone()],
        width: config.n_hidden,
        n_categories: input.categories.as_ref().map(Categories::n_codes),
        padding: false,
        table: None,
    };
    let of = |role: Role| -> Vec<Variable> {
        let found = inputs.iter().filter(|i| i.role == role);
        found.map(variable).collect()
    };
    let net = TftConfig {
        lookback: task.lookback,
        n_ahead: 0,
        n_hidden: config.n_hidden,
        n_heads: config.n_heads,
        n_layers: config.n_layers,
        static_variables: of(Role::Static),
        encoder_variables: of(Role::Observed),
        decoder_variables: Vec::new(),
        rules: match config.rules {
            Rules::Google => TftRules::GOOGLE,
            Rules::PytorchForecasting => TftRules::PYTORCH_FORECASTING,
        },
        n_outputs: task.n_columns,
    };
    let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    let trained = TftNet::new(net.clone(), &names, config.dropout)?;
    Ok((AnyNet::tft(trained), Net::Tft(net)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::table::{FeatureTable, Panel};
    use crate::nets::Net as _;
    use tickfuse_core::features::FeatureOp;

    fn task_of<'a>(defs: &'a [FeatureDef], scalers: &'a [Scaler], entities: &'a Entities) -> Task<'a> {
        Task {
            defs,
            scalers,
            entities,
            lookback: 8,
            n_columns: 1,
        }
    }

    fn entities() -> Entities {
        let table = |symbol: &str| FeatureTable {
            symbol: symbol.into(),
            n_features: 1,
            ts_ns: Vec::new(),
            close: Vec::new(),
            rows: Vec::new(),
            segments: Vec::new(),
        };
        Entities::of(&Panel {
            names: vec!["close".into()],
            interval_ns: 1,
            max_step_ns: 1,
            tables: vec![table("B"), table("A")],
        })
    }

    #[test]
    fn a_tft_reads_the_symbol_behind_the_features_and_reserves_a_code_for_strangers() {
        let config: NetConfig = toml::from_str("family = \"tft\"\nn_hidden = 8\nn_heads = 2").unwrap();
        let defs = [FeatureDef {
            name: "close".into(),
            op: FeatureOp::Close,
        }];
        let entities = entities();
        let made = config
            .build(&task_of(&defs, &[Scaler::IDENTITY], &entities))
            .unwrap();
        assert_eq!(
            (made.net.n_features(), made.net.n_rows(), made.net.n_answers()),
            (2, 8, 1)
        );
        let categories = made.inputs[1].categories.as_ref().unwrap();
        assert_eq!(categories.labels, ["<unknown>", "A", "B"]);
        let Net::Tft(net) = made.config else {
            panic!("a tft");
        };
        assert_eq!(net.static_variables[0].n_categories, Some(3));
        assert_eq!(net.encoder_variables[0].name, "close");
    }

    #[test]
    fn a_key_of_another_family_is_an_error_that_names_it() {
        let text = "family = \"tft\"\nn_hidden = 8\nn_heads = 2\nhead = [4]";
        let error = toml::from_str::<NetConfig>(text).unwrap_err().to_string();
        assert!(error.contains("head"), "{error}");
    }
}
