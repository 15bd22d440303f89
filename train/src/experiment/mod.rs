//! One training run from a snapshot to a measured model file.
//!
//! [`Experiment::prepare`] bars -> features -> windows -> purged split -> scalers fitted on training rows, with every
//! leak guard run on the result; [`Experiment::fit`] (or `resume`); [`Experiment::finish`] best weights -> model file,
//! whose metrics are computed by serving that very file.

mod card;
mod config;
mod context_tensors;
mod evaluate;
mod net_config;
mod outputs;
mod source;

pub use card::card;
pub use config::{DataConfig, FeaturesConfig, TablesConfig, TrainConfig, WindowConfig};
pub use evaluate::evaluate;
pub use net_config::NetConfig;

use self::net_config::{RowColumn, Task};
use self::source::{Use, source};
use crate::assemble::assemble;
use crate::checkpoint::Checkpoint;
use crate::data::bars::Series;
use crate::data::contexts::Contexts;
use crate::data::entities::Entities;
use crate::data::label::Unit;
use crate::data::label_config::LabelColumn;
use crate::data::label_table::LabelTable;
use crate::data::scaler;
use crate::data::split::Split;
use crate::data::table::{self, Panel, TableOptions};
use crate::data::window::{Batches, WindowIndex};
use crate::data::{DataError, guard, snapshot};
use crate::fit::{self, CheckpointPlan, FitError, Observer, Outcome, Run};
use crate::losses::targets;
use crate::metrics::scores::Scores;
use crate::nets::any::AnyNet;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tickfuse_core::bundle::{FORMAT, Input, Net, Output, Role, Schema, Target};
use tickfuse_core::error::{OpenError, WriteError};
use tickfuse_core::features::FeatureSet;
use tickfuse_core::plain::{PlainTensor, PlainTensors};
use tickfuse_core::{Model, OpenOptions};

/// Why a run did not end in a model.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The configuration file.
    #[error("{}: {reason}", path.display())]
    Config {
        /// File.
        path: PathBuf,
        /// Key and reason.
        reason: String,
    },
    /// An unknown feature set.
    #[error("features: no set `{found}`; expected one of {known}")]
    FeatureSet {
        /// Name found.
        found: String,
        /// Names known.
        known: String,
    },
    /// A feature definition was refused.
    #[error("features: {0}")]
    Feature(#[from] tickfuse_core::error::FeatureError),
    /// Sizes of the network.
    #[error("net: {0}")]
    Net(String),
    /// A loss that reads a label as something else.
    #[error(transparent)]
    Target(#[from] targets::TargetError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A leak guard tripped: a defect of this program, never served.
    #[error("leak guard: {0}")]
    Leak(#[from] guard::Leak),
    /// The fit.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The model file could not be made.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The model file could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A window could not be answered.
    #[error("evaluation: {0}")]
    Run(#[from] tickfuse_core::error::RunError),
}

/// A run, its data prepared.
#[derive(Debug)]
pub struct Experiment {
    /// Configuration.
    pub config: TrainConfig,
    /// Identity of the snapshot.
    pub snapshot_id: String,
    /// Feature rows of every symbol.
    pub panel: Panel,
    /// Labelled windows.
    pub index: WindowIndex,
    /// Training, validation, test.
    pub split: Split,
    /// Columns of a row.
    columns: Vec<RowColumn>,
    entities: Entities,
    labels: LabelTable,
    /// Units of the label columns in training.
    label_units: Vec<Unit>,
    batches: Batches,
    /// What stands beside a window of a net that reads contexts.
    contexts: Option<Contexts>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    served: Net,
    net: AnyNet,
}

/// A model file with what was measured on it.
#[derive(Debug, Clone, Serialize)]
pub struct Finished {
    /// The bytes.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// Figures of the validation part, which chose the epoch.
    pub validation: Scores,
    /// Figures of the test part, which chose nothing.
    pub test: Option<Scores>,
}

impl Experiment {
    /// Loads the snapshot (refused unless it verifies) and prepares windows.
    ///
    /// # Errors
    /// [`ExperimentError`].
    pub fn prepare(config: TrainConfig) -> Result<Self, ExperimentError> {
        config.check()?;
        let (found, series) = snapshot::load_with(&config.data.snapshot, &config.file_columns())?;
        let (columns, panel) = rows(&config, &series)?;
        let horizon = config.window.horizon;
        let labels = LabelTable::new(&panel, &config.label_config(), horizon)?;
        targets::check(&config.fit.loss, &labels.kinds)?;
        let index = WindowIndex::new(&panel, config.window.lookback, horizon)?.labelled(&panel, &labels)?;
        let contexts = config
            .context_config()
            .map(|c| Contexts::new(&panel, &labels, c))
            .transpose()?;
        let index = contexts
            .as_ref()
            .map_or(Ok(index.clone()), |contexts| contexts.trim(&index))?;
        let split = Split::new(&panel, &index, &config.split)?;
        let scalers = scaler::fit(&panel, &index, &split.train)?;
        guard::check(&series, &panel, &index, &split, &scalers)?;
        let label_units = match &contexts {
            None => outputs::label_units(&config.fit.loss, &labels.kinds, |column| {
                training_labels(&index, &split, &labels, column)
            }),
            // Contexts show labels as they are.
            Some(_) => vec![Unit::IDENTITY; labels.kinds.len()],
        };
        let labels = labels.in_units_of(&label_units);
        let entities = Entities::of(&panel);
        let task = Task {
            columns: &columns,
            scalers: &scalers,
            entities: &entities,
            lookback: config.window.lookback,
            loss: &config.fit.loss,
            n_label_columns: labels.kinds.len(),
        };
        let made = config.net.build(&task).map_err(ExperimentError::Net)?;
        let known = made.inputs[..columns.len()]
            .iter()
            .map(|i| i.role == Role::Known)
            .collect();
        let batches =
            Batches::labelled(&panel, &index, &scalers, &labels)?.with_ahead(config.net.n_ahead(), known);
        Ok(Self {
            outputs: outputs::of(&config.fit.loss, &config.labels, &label_units, &made.config)?,
            config,
            snapshot_id: found.id,
            panel,
            index,
            split,
            columns,
            entities,
            labels,
            label_units,
            batches,
            contexts,
            inputs: made.inputs,
            served: made.config,
            net: made.net,
        })
    }

    /// Fits from fresh start values, or goes on from a checkpoint.
    ///
    /// # Errors
    /// [`ExperimentError::Fit`].
    pub fn fit(
        &self,
        from: Option<Checkpoint>,
        checkpoint: &Path,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, ExperimentError> {
        let fingerprint = self.fingerprint();
        let run = Run {
            train: &*source(self, &self.split.train, Use::Learning)?,
            valid: &*source(self, &self.split.validation, Use::Scoring)?,
            data_fingerprint: &fingerprint,
            horizon: self.config.window.horizon,
            checkpoint: Some(CheckpointPlan {
                path: checkpoint.into(),
                every_steps: Some(200),
            }),
            stop,
            observer,
        };
        Ok(match from {
            None => fit::fit(&self.net, &self.config.fit, run)?,
            Some(checkpoint) => fit::resume(&self.net, &self.config.fit, run, checkpoint)?,
        })
    }

    /// The model file of a fit's best weights, with its figures inside.
    ///
    /// # Errors
    /// [`ExperimentError`].
    pub fn finish(&self, outcome: &Outcome) -> Result<Finished, ExperimentError> {
        let tensors = self.tensors(outcome)?;
        let mut schema = self.schema();
        let draft = Model::from_bytes(&assemble(&schema, &tensors)?, OpenOptions::default())?;
        let score = |part| evaluate(self, &draft, part, &outcome.state);
        let validation = score(&self.split.validation)?;
        let test = self.split.test.as_ref().map(score).transpose()?;
        let facts = json!({
            "snapshot_id": self.snapshot_id,
            "program_version": env!("CARGO_PKG_VERSION"),
            "seed": self.config.fit.seed,
            "best_epoch": outcome.state.early.best_epoch,
            "epochs": outcome.state.history.len(),
            "split": self.split,
            "validation": validation,
            "test": test,
        });
        schema.provenance = facts.as_object().cloned().unwrap_or_default();
        Ok(Finished {
            bytes: assemble(&schema, &tensors)?,
            validation,
            test,
        })
    }

    /// The net's tensors, and those a file carries beside them.
    fn tensors(&self, outcome: &Outcome) -> Result<PlainTensors, ExperimentError> {
        let plain = |shape, data| PlainTensor { shape, data };
        let own = self.net.bundle_tensors(&outcome.best).into_iter();
        let mut tensors: PlainTensors = own.map(|t| (t.name, plain(t.shape, t.data))).collect();
        if let Some(contexts) = &self.contexts {
            tensors.extend(context_tensors::of(self, contexts)?);
        }
        Ok(tensors)
    }

    /// The code of a series' symbol, where the net reads one behind the features.
    pub(crate) fn code(&self, series: usize) -> Option<f32> {
        let symbol = &self.panel.tables[series].symbol;
        self.config
            .net
            .has_symbol()
            .then(|| self.entities.code(symbol) as f32)
    }

    /// What a checkpoint must agree with: snapshot, features, windows and split.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let facts = json!([
            self.snapshot_id,
            self.columns,
            self.config.window,
            self.config.labels,
            self.config.context_config(),
            self.config.split,
            self.config.data.max_missing_bars
        ]);
        let digest = Sha256::digest(facts.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn schema(&self) -> Schema {
        let horizon = self.config.window.horizon;
        Schema {
            format: FORMAT,
            name: self.config.name.clone(),
            net: self.served.clone(),
            precision: self.config.precision,
            inputs: self.inputs.clone(),
            bar_interval_ns: (!self.config.data.ordinal).then_some(self.panel.interval_ns),
            outputs: self.outputs.clone(),
            target: Some(Target {
                horizon,
                label: outputs::describe(&self.config.labels, horizon),
            }),
            arrival: self.served.arrival(),
            normalizers: outputs::normalizers(&self.label_units),
            tables: self.config.tables.map(TablesConfig::wish),
            golden_tolerance: 1.0,
            provenance: serde_json::Map::new(),
        }
    }
}

/// The columns of a row, and the rows of every symbol, computed from bars or as the files bring them.
fn rows(config: &TrainConfig, series: &[Series]) -> Result<(Vec<RowColumn>, Panel), ExperimentError> {
    let options = TableOptions {
        max_missing_bars: config.data.max_missing_bars,
    };
    let is_of_bars = |label: &LabelColumn| label.of_file().is_none();
    if let Some(one) = series.iter().find(|one| one.is_table)
        && config.labels.iter().any(is_of_bars)
    {
        return Err(table::no_prices(one, "labels of bars").into());
    }
    if let Some(defs) = config.feature_defs()? {
        let panel = table::build(series, &mut FeatureSet::new(&defs)?, &options)?;
        let columns = defs.into_iter().map(|def| (def.name, Some(def.op)));
        return Ok((columns.collect(), panel));
    }
    let n_labels = config.labels.iter().filter(|l| !is_of_bars(l)).count();
    let mut names = config.file_columns();
    names.truncate(names.len() - n_labels);
    let columns = names.iter().map(|name| (name.clone(), None)).collect();
    Ok((columns, table::of_columns(series, names, &options)?))
}

/// One label column of every training window.
fn training_labels(index: &WindowIndex, split: &Split, labels: &LabelTable, column: usize) -> Vec<f64> {
    let window = |position: &usize| {
        let sample = &index.samples[*position];
        labels.window(sample.series as usize, sample.end_row as usize, index.lookback)
    };
    let found = split.train.samples.iter().filter_map(window);
    let columns = found.flat_map(|row| row.iter().skip(column).step_by(labels.kinds.len()));
    columns.map(|y| f64::from(*y)).collect()
}
