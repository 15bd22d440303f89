//! The `[net]` table of a training run: family and sizes; and what they become: a net to train and a schema's inputs.

use crate::data::entities::{Entities, SYMBOL};
use crate::data::label_config::LabelSteps;
use crate::losses::Loss;
use crate::nets::any::AnyNet;
use crate::nets::lstm::{LstmNet, LstmNetConfig};
use crate::nets::quantile_tft::QuantileTftNet;
use crate::nets::tft::TftNet;
use crate::nets::xtrend::XtrendNet;
use serde::{Deserialize, Serialize};
use tickfuse_core::bundle::{
    Categories, ContextMode, Input, Net, QuantileTftConfig, Role, Scaler, TftConfig, TftRules, Variable,
    XtrendConfig, XtrendForm, XtrendHead,
};
use tickfuse_core::features::FeatureOp;

/// Family and sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum NetConfig {
    /// A stack of LSTM layers with a dense head.
    Lstm(Lstm),
    /// The Temporal Fusion Transformer.
    Tft(Tft),
    /// Seed 003's network of classes and quantiles.
    QuantileTft(QuantileTft),
    /// X-Trend.
    Xtrend(Xtrend),
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
    /// Future bars that are answered, each about its own distance; 0 answers at the last row (the Momentum
    /// Transformer's form). Calendar features are then known inputs of the future rows.
    #[serde(default)]
    pub n_ahead: usize,
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

/// Sizes of seed 003's network; its classes and quantiles are those of the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantileTft {
    /// Width.
    pub n_hidden: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// Layers of the bidirectional encoder.
    pub n_layers: usize,
    /// Dropout while training.
    #[serde(default)]
    pub dropout: f64,
}

/// Sizes of an X-Trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xtrend {
    /// Width.
    pub n_hidden: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// LSTM layers; 1 in the paper's form.
    #[serde(default = "one")]
    pub n_layers: usize,
    /// Which network.
    pub form: XtrendForm,
    /// What it predicts beside a position; a quantile head has the quantiles of the loss.
    pub head: XtrendHead,
    /// What of a context is attended to.
    #[serde(default = "final_state")]
    pub context_mode: ContextMode,
    /// Rows of a context.
    pub context_lookback: usize,
    /// Contexts per window.
    pub n_contexts: usize,
    /// Whether contexts come from other symbols only.
    #[serde(default)]
    pub other_symbols: bool,
    /// Whether the target side goes without its entity.
    #[serde(default)]
    pub zero_shot: bool,
    /// Dropout while training.
    #[serde(default)]
    pub dropout: f64,
}

const fn one() -> usize {
    1
}

const fn yes() -> bool {
    true
}

const fn final_state() -> ContextMode {
    ContextMode::FinalState
}

/// Name of a row's column, and how it is computed from bars, if it is.
pub(super) type RowColumn = (String, Option<FeatureOp>);

/// What a run is about, for the sizes of its net.
pub struct Task<'a> {
    /// Columns of a row.
    pub columns: &'a [RowColumn],
    /// Their scalers.
    pub scalers: &'a [Scaler],
    /// Codes of the symbols.
    pub entities: &'a Entities,
    /// Rows of a window.
    pub lookback: usize,
    /// What is learned.
    pub loss: &'a Loss,
    /// Label columns of a step.
    pub n_label_columns: usize,
}

impl Task<'_> {
    /// Columns of an answer that the loss reads.
    fn n_columns(&self) -> usize {
        self.loss
            .columns()
            .last()
            .map_or(self.n_label_columns, |last| last + 1)
    }

    /// Classes among them.
    fn n_classes(&self) -> usize {
        let classes = |(_, part): &(f64, &Loss)| match part {
            Loss::CrossEntropy(part) => Some(part.classes.len()),
            _ => None,
        };
        self.loss.parts().iter().find_map(classes).unwrap_or(0)
    }

    /// Quantiles among them.
    fn n_quantiles(&self) -> usize {
        let levels = |(_, part): &(f64, &Loss)| match part {
            Loss::Pinball(part) => Some(part.levels.len()),
            _ => None,
        };
        self.loss.parts().iter().find_map(levels).unwrap_or(0)
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
    pub const fn has_symbol(&self) -> bool {
        match self {
            Self::Lstm(_) | Self::QuantileTft(_) => false,
            Self::Tft(config) => config.symbol,
            Self::Xtrend(_) => true,
        }
    }

    /// Future bars that are answered.
    #[must_use]
    pub const fn n_ahead(&self) -> usize {
        match self {
            Self::Tft(config) => config.n_ahead,
            Self::Lstm(_) | Self::QuantileTft(_) | Self::Xtrend(_) => 0,
        }
    }

    /// The steps that are answered while training.
    #[must_use]
    pub const fn label_steps(&self) -> LabelSteps {
        match self {
            Self::Tft(Tft { n_ahead: 1.., .. }) => LabelSteps::Ahead,
            Self::Xtrend(Xtrend {
                form: XtrendForm::Separate,
                ..
            }) => LabelSteps::All,
            _ => LabelSteps::Last,
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
            Self::QuantileTft(config) => quantile_tft(config, task)?,
            Self::Xtrend(config) => xtrend(config, task)?,
        };
        Ok(Blueprint { net, config, inputs })
    }

    /// Features, then the symbol.
    fn inputs(&self, task: &Task<'_>) -> Vec<Input> {
        let feature = |((name, op), scaler): (&RowColumn, &Scaler)| Input {
            feature: op.clone(),
            role: match op {
                Some(op) if op.is_of_time() && self.n_ahead() > 0 => Role::Known,
                _ => Role::Observed,
            },
            ..Input::real(name, *scaler)
        };
        let features = task.columns.iter().zip(task.scalers).map(feature);
        let symbol = Input::categorical(SYMBOL, task.entities.categories());
        features.chain(self.has_symbol().then_some(symbol)).collect()
    }
}

fn lstm(config: &Lstm, task: &Task<'_>) -> Result<(AnyNet, Net), String> {
    let config = LstmNetConfig {
        n_features: task.columns.len(),
        lookback: task.lookback,
        n_hidden: config.n_hidden,
        n_layers: config.n_layers,
        head: config.head.iter().copied().chain([task.n_columns()]).collect(),
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
    let of = |roles: &[Role]| -> Vec<Variable> {
        let found = inputs.iter().filter(|i| roles.contains(&i.role));
        found.map(variable).collect()
    };
    let net = TftConfig {
        lookback: task.lookback,
        n_ahead: config.n_ahead,
        n_hidden: config.n_hidden,
        n_heads: config.n_heads,
        n_layers: config.n_layers,
        static_variables: of(&[Role::Static]),
        encoder_variables: of(&[Role::Observed, Role::Known]),
        decoder_variables: of(&[Role::Known]),
        rules: match config.rules {
            Rules::Google => TftRules::GOOGLE,
            Rules::PytorchForecasting => TftRules::PYTORCH_FORECASTING,
        },
        n_outputs: task.n_columns(),
    };
    if config.n_ahead > 0 && net.decoder_variables.is_empty() {
        return Err("n_ahead: expected a calendar feature, which future bars need, found none".into());
    }
    let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    let trained = TftNet::new(net.clone(), &names, config.dropout)?;
    Ok((AnyNet::tft(trained), Net::Tft(net)))
}

fn quantile_tft(config: &QuantileTft, task: &Task<'_>) -> Result<(AnyNet, Net), String> {
    let (n_classes, n_quantiles) = (task.n_classes(), task.n_quantiles());
    if n_classes == 0 || n_quantiles == 0 || n_classes + n_quantiles != task.n_columns() {
        return Err(format!(
            "quantile_tft: expected a joint loss of classes in the first columns and quantiles in the next ones, \
             found {n_classes} classes and {n_quantiles} quantiles in {} columns",
            task.n_columns()
        ));
    }
    let net = QuantileTftConfig {
        lookback: task.lookback,
        n_hidden: config.n_hidden,
        n_heads: config.n_heads,
        n_layers: config.n_layers,
        n_classes,
        n_quantiles,
    };
    let trained = QuantileTftNet::new(net.clone(), task.columns.len(), config.dropout)?;
    Ok((AnyNet::QuantileTft(trained), Net::QuantileTft(net)))
}

fn xtrend(config: &Xtrend, task: &Task<'_>) -> Result<(AnyNet, Net), String> {
    let net = XtrendConfig {
        lookback: task.lookback,
        context_lookback: config.context_lookback,
        n_contexts: config.n_contexts,
        n_hidden: config.n_hidden,
        n_heads: config.n_heads,
        n_layers: config.n_layers,
        n_entities: task.entities.n_codes(),
        form: config.form,
        head: config.head,
        n_quantiles: match config.head {
            XtrendHead::Quantile => task.n_quantiles(),
            XtrendHead::Position | XtrendHead::Gaussian => 0,
        },
        context_mode: config.context_mode,
        zero_shot: config.zero_shot,
    };
    let trained = XtrendNet::new(net.clone(), task.columns.len(), config.dropout)?;
    Ok((AnyNet::Xtrend(trained), Net::Xtrend(net)))
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::table::{FeatureTable, Panel};
    use crate::nets::Net as _;

    fn task_of<'a>(
        columns: &'a [RowColumn],
        scalers: &'a [Scaler],
        entities: &'a Entities,
        loss: &'a Loss,
    ) -> Task<'a> {
        Task {
            columns,
            scalers,
            entities,
            lookback: 8,
            loss,
            n_label_columns: 1,
        }
    }

    fn entities() -> Entities {
        let table = |symbol: &str| FeatureTable {
            symbol: symbol.into(),
            n_features: 1,
            ts_ns: Vec::new(),
            close: Vec::new(),
            labels: Vec::new(),
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
        let columns = [("close".into(), Some(FeatureOp::Close))];
        let entities = entities();
        let made = config
            .build(&task_of(
                &columns,
                &[Scaler::IDENTITY],
                &entities,
                &Loss::default(),
            ))
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
