//! The TOML file of a training run; unknown keys are errors.

use super::ExperimentError;
use super::net_config::NetConfig;
use crate::data::contexts::ContextConfig;
use crate::data::label_config::{LabelColumn, LabelConfig};
use crate::data::split::Cut;
use crate::fit::FitConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{Precision, Tables};
use tickfuse_core::features::{FeatureDef, STANDARD_SETS, standard_set};

/// Everything a run needs besides the data themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Model name.
    pub name: String,
    /// Type of the weights in the model file.
    #[serde(default = "f32_weights")]
    pub precision: Precision,
    /// Tables in the model file, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<TablesConfig>,
    /// Where the bars are.
    pub data: DataConfig,
    /// What a row holds.
    pub features: FeaturesConfig,
    /// Windows and how far ahead they ask.
    pub window: WindowConfig,
    /// What is asked: one column each; up or not unless said.
    #[serde(default = "direction")]
    pub labels: Vec<LabelColumn>,
    /// Where training, validation and test meet.
    pub split: Cut,
    /// The network.
    pub net: NetConfig,
    /// The fit.
    #[serde(default)]
    pub fit: FitConfig,
}

/// Tables of the networks of single reals (`tickfuse tabulate` makes them of a file that has none).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TablesConfig {
    /// Largest error of a table, as a share of the range of its network's outputs.
    pub tolerance: f64,
    /// Tables reach from minus to plus this many scaled units.
    pub range: f64,
}

impl Default for TablesConfig {
    fn default() -> Self {
        Self {
            tolerance: 1e-6,
            range: 8.0,
        }
    }
}

impl TablesConfig {
    /// What the model file is asked to hold.
    #[must_use]
    pub fn wish(self) -> Tables {
        Tables::wish(self.tolerance, -self.range, self.range)
    }

    fn check(self, net: &NetConfig) -> Result<(), ExperimentError> {
        let refuse = |text: String| Err(ExperimentError::Net(text));
        if !matches!(net, NetConfig::Tft(_) | NetConfig::Xtrend(_)) {
            return refuse(
                "tables: expected the family tft or xtrend, which have networks of single reals".into(),
            );
        }
        for (key, found) in [("tolerance", self.tolerance), ("range", self.range)] {
            if !(found > 0.0 && found.is_finite()) {
                return refuse(format!("tables.{key}: expected > 0, found {found}"));
            }
        }
        Ok(())
    }
}

fn f32_weights() -> Precision {
    Precision::F32
}

fn direction() -> Vec<LabelColumn> {
    vec![LabelColumn::Direction {}]
}

/// Where the bars are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder of a snapshot; relative to the configuration file.
    pub snapshot: PathBuf,
    /// Bars that may be missing between two neighbours before a new segment begins.
    #[serde(default)]
    pub max_missing_bars: u32,
    /// Whether the times only number the rows: the model then states no bar interval.
    #[serde(default)]
    pub ordinal: bool,
}

/// What a row holds: a named list, a list of definitions, or columns of the snapshot's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeaturesConfig {
    /// Name of a standard set.
    Set(String),
    /// Definitions in order.
    List(Vec<FeatureDef>),
    /// Columns as they stand in the files.
    Columns(Vec<String>),
}

/// Windows and label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Rows of a window.
    pub lookback: usize,
    /// Bars from the last row of the window to the one predicted.
    pub horizon: usize,
}

impl TrainConfig {
    /// Reads a configuration; a relative snapshot folder is taken from the file's own folder.
    ///
    /// # Errors
    /// The file, and the key with what was expected.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        let refuse = |reason: String| ExperimentError::Config {
            path: path.into(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        if let Some(folder) = path.parent() {
            config.data.snapshot = folder.join(&config.data.snapshot);
        }
        Ok(config)
    }

    /// What is asked of which steps.
    #[must_use]
    pub fn label_config(&self) -> LabelConfig {
        LabelConfig {
            columns: self.labels.clone(),
            steps: self.net.label_steps(),
        }
    }

    /// The contexts of a net that reads them.
    #[must_use]
    pub fn context_config(&self) -> Option<ContextConfig> {
        let NetConfig::Xtrend(net) = &self.net else {
            return None;
        };
        Some(ContextConfig {
            n_contexts: net.n_contexts,
            context_lookback: net.context_lookback,
            other_symbols: net.other_symbols,
            seed: self.fit.seed,
        })
    }

    /// Settings that must agree.
    ///
    /// # Errors
    /// The first that do not.
    pub(super) fn check(&self) -> Result<(), ExperimentError> {
        if matches!(&self.features, FeaturesConfig::Columns(names) if names.is_empty()) {
            let text = "features: expected one column or more, found none";
            return Err(ExperimentError::Net(text.into()));
        }
        let (horizon, n_ahead) = (self.window.horizon, self.net.n_ahead());
        if n_ahead > 0 && n_ahead != horizon {
            return Err(ExperimentError::Net(format!(
                "n_ahead: expected the horizon, {horizon}, as every future bar is answered, found {n_ahead}"
            )));
        }
        self.tables.map_or(Ok(()), |tables| tables.check(&self.net))
    }

    /// The feature definitions; none where the files bring the features.
    ///
    /// # Errors
    /// An unknown set, with the known ones.
    pub fn feature_defs(&self) -> Result<Option<Vec<FeatureDef>>, ExperimentError> {
        match &self.features {
            FeaturesConfig::List(list) => Ok(Some(list.clone())),
            FeaturesConfig::Set(name) => match standard_set(name) {
                Some(list) => Ok(Some(list)),
                None => Err(ExperimentError::FeatureSet {
                    found: name.clone(),
                    known: STANDARD_SETS.map(|(name, _)| name).join(", "),
                }),
            },
            FeaturesConfig::Columns(_) => Ok(None),
        }
    }

    /// The columns read from the snapshot's files beside the bars: features, then labels.
    #[must_use]
    pub fn file_columns(&self) -> Vec<String> {
        let features = match &self.features {
            FeaturesConfig::Columns(names) => names.clone(),
            FeaturesConfig::Set(_) | FeaturesConfig::List(_) => Vec::new(),
        };
        let labels = self.labels.iter().filter_map(LabelColumn::of_file);
        features.into_iter().chain(labels.map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "up5"
        features = { set = "scale-free" }
        split = { shares = { train = 0.7, validation = 0.15 } }
        [data]
        snapshot = "snapshots/x"
        [window]
        lookback = 64
        horizon = 5
        [net]
        family = "lstm"
        n_hidden = 128
        n_layers = 2
        head = [64]
    "#;

    #[test]
    fn a_short_file_is_enough() {
        let config: TrainConfig = toml::from_str(TEXT).unwrap();
        assert_eq!(config.precision, Precision::F32);
        assert_eq!(config.fit, FitConfig::default());
        assert!(!config.feature_defs().unwrap().unwrap().is_empty());
    }

    const XTREND: &str = r#"
        family = "xtrend"
        n_hidden = 16
        n_heads = 2
        form = "shared"
        head = "gaussian"
        context_lookback = 8
        n_contexts = 4
        "#;

    #[test]
    fn tables_are_asked_for_where_there_can_be_some() {
        let with = |text: &str| toml::from_str::<TrainConfig>(&format!("{TEXT}{text}")).unwrap();
        assert_eq!(with("").tables, None);
        let lstm = with("[tables]\n");
        assert_eq!(lstm.tables, Some(TablesConfig::default()));
        let error = lstm.check().unwrap_err().to_string();
        assert!(error.contains("expected the family tft or xtrend"), "{error}");
        let xtrend = |text: &str| {
            let net = TEXT.split("[net]").next().unwrap();
            let net = format!("{net}[net]\n{XTREND}[tables]\n{text}");
            toml::from_str::<TrainConfig>(&net).unwrap().check()
        };
        xtrend("tolerance = 1e-4").unwrap();
        for text in [
            "tolerance = 0.0",
            "range = -8.0",
            "range = inf",
            "tolerance = nan",
        ] {
            let error = xtrend(text).unwrap_err().to_string();
            assert!(error.contains(text.split(' ').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let text = TEXT.replace("n_hidden", "hidden");
        let error = toml::from_str::<TrainConfig>(&text).unwrap_err().to_string();
        assert!(error.contains("hidden"), "{error}");
    }

    #[test]
    fn an_unknown_set_names_the_known_ones() {
        let config: TrainConfig = toml::from_str(&TEXT.replace("scale-free", "best")).unwrap();
        let error = config.feature_defs().unwrap_err().to_string();
        assert!(error.contains("`best`") && error.contains("seed-000"), "{error}");
    }
}
