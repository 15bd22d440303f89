//! One training run from a snapshot to a measured model file.
//!
//! [`Experiment::prepare`] bars -> features -> windows -> purged split -> scalers fitted on training rows, with every
//! leak guard run on the result; [`Experiment::fit`] (or `resume`); [`Experiment::finish`] best weights -> model file,
//! whose metrics are computed by serving that very file.

mod card;
mod config;
mod evaluate;
mod net_config;

pub use card::card;
pub use config::{DataConfig, FeaturesConfig, TrainConfig, WindowConfig};
pub use evaluate::evaluate;
pub use net_config::NetConfig;

use self::net_config::Task;
use crate::assemble::assemble;
use crate::checkpoint::Checkpoint;
use crate::data::entities::Entities;
use crate::data::scaler;
use crate::data::split::{Part, Split};
use crate::data::table::{self, Panel, TableOptions};
use crate::data::window::{Batches, Target as LabelKind, WindowIndex};
use crate::data::{DataError, guard, snapshot};
use crate::fit::{self, BatchSource, CheckpointPlan, FitError, Observer, Outcome, Run};
use crate::losses::Loss;
use crate::metrics::BinaryMetrics;
use crate::nets::any::AnyNet;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tickfuse_core::bundle::{FORMAT, Input, Net, Output, OutputKind, Schema, Target};
use tickfuse_core::error::{OpenError, WriteError};
use tickfuse_core::features::{FeatureDef, FeatureSet};
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
    defs: Vec<FeatureDef>,
    entities: Entities,
    batches: Batches,
    inputs: Vec<Input>,
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
    pub validation: BinaryMetrics,
    /// Figures of the test part, which chose nothing.
    pub test: Option<BinaryMetrics>,
}

impl Experiment {
    /// Loads the snapshot (refused unless it verifies) and prepares windows.
    ///
    /// # Errors
    /// [`ExperimentError`].
    pub fn prepare(config: TrainConfig) -> Result<Self, ExperimentError> {
        if !matches!(config.fit.loss, Loss::Bce(_)) {
            let found = config.fit.loss.name();
            let reason = format!("loss: expected bce for a probability of up, found {found}");
            return Err(FitError::Config(reason).into());
        }
        let (found, series) = snapshot::load(&config.data.snapshot)?;
        let defs = config.feature_defs()?;
        let options = TableOptions {
            max_missing_bars: config.data.max_missing_bars,
        };
        let panel = table::build(&series, &mut FeatureSet::new(&defs)?, &options)?;
        let index = WindowIndex::new(&panel, config.window.lookback, config.window.horizon)?;
        let split = Split::new(&panel, &index, &config.split)?;
        let scalers = scaler::fit(&panel, &index, &split.train)?;
        guard::check(&series, &panel, &index, &split, &scalers)?;
        let batches = Batches::new(&panel, &index, &scalers, LabelKind::Direction)?;
        let entities = Entities::of(&panel);
        let task = Task {
            defs: &defs,
            scalers: &scalers,
            entities: &entities,
            lookback: config.window.lookback,
            n_columns: 1,
        };
        let made = config.net.build(&task).map_err(ExperimentError::Net)?;
        Ok(Self {
            config,
            snapshot_id: found.id,
            panel,
            index,
            split,
            defs,
            entities,
            batches,
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
        let codes = || {
            (0..self.panel.tables.len())
                .map(|series| self.code(series))
                .collect()
        };
        let source = |part, hides| Windows {
            batches: &self.batches,
            index: &self.index,
            part,
            codes: codes(),
            hides,
        };
        let fingerprint = self.fingerprint();
        let run = Run {
            train: &source(&self.split.train, true),
            valid: &source(&self.split.validation, false),
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
        let tensors: PlainTensors = self
            .net
            .bundle_tensors(&outcome.best)
            .into_iter()
            .map(|t| {
                (
                    t.name,
                    PlainTensor {
                        shape: t.shape,
                        data: t.data,
                    },
                )
            })
            .collect();
        let mut schema = self.schema();
        let draft = Model::from_bytes(&assemble(&schema, &tensors)?, OpenOptions::default())?;
        let rate = outcome.state.train_rate;
        let validation = evaluate(self, &draft, &self.split.validation, rate)?;
        let test = self
            .split
            .test
            .as_ref()
            .map(|part| evaluate(self, &draft, part, rate))
            .transpose()?;
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
            self.defs,
            self.config.window,
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
            bar_interval_ns: Some(self.panel.interval_ns),
            outputs: vec![Output::new(
                "p_up",
                OutputKind::Sigmoid,
                vec!["up".into()],
                "probability",
            )],
            target: Some(Target {
                horizon,
                label: format!("close[t+{horizon}] > close[t]"),
            }),
            arrival: self.config.net.arrival(),
            normalizers: Vec::new(),
            golden_tolerance: 1.0,
            provenance: serde_json::Map::new(),
        }
    }
}

/// The windows of one part as the trainer reads them.
struct Windows<'a> {
    batches: &'a Batches,
    index: &'a WindowIndex,
    part: &'a Part,
    /// Codes of the tables' symbols, where the net reads them behind the features.
    codes: Option<Vec<f32>>,
    /// Whether one window in [`UNKNOWN_EVERY`] is shown as an unknown symbol's, so that this code is trained too.
    hides: bool,
}

/// See [`Windows::hides`].
const UNKNOWN_EVERY: usize = 20;

impl BatchSource for Windows<'_> {
    fn len(&self) -> usize {
        self.part.samples.len()
    }

    fn decision_ns(&self, window: usize) -> Option<i64> {
        Some(self.index.samples[self.part.samples[window]].decision_ns)
    }

    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]) {
        let positions: Vec<usize> = indices.iter().map(|i| self.part.samples[*i]).collect();
        let Some(codes) = &self.codes else {
            self.batches.fill(&positions, x, y);
            return;
        };
        let n = self.batches.n_features();
        let mut rows = vec![0.0; x.len() / (n + 1) * n];
        self.batches.fill(&positions, &mut rows, y);
        for (at, (row, x)) in rows.chunks_exact(n).zip(x.chunks_exact_mut(n + 1)).enumerate() {
            let window = at % indices.len();
            let is_hidden = self.hides && indices[window].is_multiple_of(UNKNOWN_EVERY);
            let series = self.index.samples[positions[window]].series as usize;
            x[..n].copy_from_slice(row);
            x[n] = if is_hidden { 0.0 } else { codes[series] };
        }
    }
}
