//! The X-Trend production system (seed 002): `model.pt`, a state dict, with `metadata.json` beside it.
//!
//! Sizes, names, entities, statistics and the kind of loss come from the metadata; its other keys are not read. Contexts are
//! drawn anew at every run of the source and stand in neither file: they are given as `contexts.input [n, rows, features]`
//! (raw values) and `contexts.entity [n]` in a safetensors file.

use super::{Finding, Imported, SeedError, valid_schema};
use crate::import::pickle::TorchFile;
use crate::import::state_dict::StateDict;
use crate::import::torch::config::NetConfig;
use crate::import::torch::families::take_all;
use crate::import::torch::{ImportError, read_weights};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{
    Categories, ContextMode, Input, Net, Output, OutputKind, Precision, Scaler, Target, XtrendConfig,
    XtrendForm, XtrendHead,
};

/// What the state dict does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// `metadata.json`; the one beside the checkpoint if absent.
    pub metadata: Option<PathBuf>,
    /// Safetensors file of contexts.
    pub contexts: PathBuf,
}

/// The part of `metadata.json` that a network needs.
#[derive(Debug, Deserialize)]
struct Metadata {
    feature_names: Vec<String>,
    asset_names: Vec<String>,
    config: Config,
    normalization: Normalization,
}

#[derive(Debug, Deserialize)]
struct Config {
    d_hidden: usize,
    n_heads: usize,
    lstm_layers: usize,
    seq_len: usize,
    ctx_len: usize,
    loss_mode: LossMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LossMode {
    Sharpe,
    JointMle,
    JointQuantile,
}

#[derive(Debug, Deserialize)]
struct Normalization {
    means: Vec<f64>,
    stds: Vec<f64>,
}

/// Reads a state dict with its metadata and contexts.
///
/// # Errors
/// [`SeedError`].
pub fn read(path: &Path, options: &Options, precision: Precision) -> Result<Imported, SeedError> {
    let beside = || path.with_file_name("metadata.json");
    let metadata_path = options.metadata.clone().unwrap_or_else(beside);
    let metadata = read_metadata(&metadata_path)?;
    let file = TorchFile::open(path)?;
    let mut dict = StateDict::from_pickle(&file.root()).map_err(SeedError::value(path))?;
    let contexts = read_weights(&options.contexts)?;
    let n_contexts = contexts
        .size("contexts.input", 3, 0)
        .map_err(SeedError::tensor(&options.contexts))?;
    dict.extend(contexts);
    let schema = valid_schema(
        &metadata_path,
        &net_config(&metadata_path, &metadata, n_contexts)?,
        precision,
        "xtrend",
    )?;
    let tensors = take_all(&schema, dict, str::to_owned).map_err(SeedError::tensor(path))?;
    refuse_empty_contexts(&options.contexts, &tensors["contexts.input"].data, n_contexts)?;
    Ok(Imported::new(
        schema,
        tensors,
        findings(metadata.config.loss_mode),
    ))
}

fn read_metadata(path: &Path) -> Result<Metadata, SeedError> {
    let text = std::fs::read_to_string(path).map_err(|source| ImportError::Read {
        path: path.into(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| {
        SeedError::mismatch(
            path,
            "metadata",
            "names, config and normalization of the source",
            e,
        )
    })
}

fn net_config(path: &Path, metadata: &Metadata, n_contexts: usize) -> Result<NetConfig, SeedError> {
    let config = &metadata.config;
    let head = match config.loss_mode {
        LossMode::Sharpe => XtrendHead::Position,
        LossMode::JointMle | LossMode::JointQuantile => XtrendHead::Gaussian,
    };
    Ok(NetConfig {
        name: "xtrend".into(),
        bar_interval_ns: None,
        net: Net::Xtrend(XtrendConfig {
            lookback: config.seq_len,
            context_lookback: config.ctx_len,
            n_contexts,
            n_hidden: config.d_hidden,
            n_heads: config.n_heads,
            n_layers: config.lstm_layers,
            n_entities: metadata.asset_names.len(),
            form: XtrendForm::Shared,
            head,
            n_quantiles: 0,
            context_mode: ContextMode::FinalState,
            zero_shot: false,
        }),
        target: Some(Target {
            horizon: 2,
            label: "position for the return close[t+2] / close[t+1] - 1".into(),
        }),
        inputs: inputs(path, metadata)?,
        normalizers: Vec::new(),
        outputs: outputs(head),
    })
}

fn inputs(path: &Path, metadata: &Metadata) -> Result<Vec<Input>, SeedError> {
    let Normalization { means, stds } = &metadata.normalization;
    let n = metadata.feature_names.len();
    for (what, found) in [
        ("normalization.means", means.len()),
        ("normalization.stds", stds.len()),
    ] {
        if found != n {
            let expected = format!("{n} values, as there are `feature_names`");
            return Err(SeedError::mismatch(path, format!("`{what}`"), expected, found));
        }
    }
    let real = |((name, mean), std): ((&String, &f64), &f64)| {
        let scaler = Scaler {
            center: *mean,
            scale: *std,
            fitted_ns: None,
        };
        Input::real(name, scaler)
    };
    let entity = Categories {
        labels: metadata.asset_names.clone(),
        unknown: None,
    };
    let reals = metadata.feature_names.iter().zip(means).zip(stds).map(real);
    Ok(reals.chain([Input::categorical("entity", entity)]).collect())
}

fn outputs(head: XtrendHead) -> Vec<Output> {
    let kind = match head {
        XtrendHead::Gaussian => OutputKind::Linear,
        _ => OutputKind::Tanh,
    };
    let gaussian = vec!["mean".into(), "deviation".into()];
    vec![
        Output::new("position", kind, vec!["position".into()], "position in [-1, 1]"),
        Output::new(
            "gaussian",
            OutputKind::GaussianLogSigma,
            gaussian,
            "volatility-scaled return",
        ),
    ]
}

/// The source fills a history that is too short with zeros, which is a valid input of no meaning.
fn refuse_empty_contexts(path: &Path, rows: &[f32], n: usize) -> Result<(), SeedError> {
    let contexts = rows.chunks(rows.len() / n);
    match contexts.into_iter().position(|c| c.iter().all(|v| *v == 0.0)) {
        Some(i) => Err(SeedError::mismatch(
            path,
            format!("context {i} of `contexts.input`"),
            "values",
            "zeros alone, which the source writes where history is too short",
        )),
        None => Ok(()),
    }
}

fn findings(loss: LossMode) -> Vec<Finding> {
    let mut findings = vec![Finding::new(
        "window-one-day-stale",
        "the source's windows end one day before the move they are asked about begins: the answer is for the move from one to two \
         days behind the window, and the target says so",
    )];
    match loss {
        LossMode::Sharpe => findings.push(Finding::new(
            "gaussian-untrained",
            "the loss was the Sharpe ratio alone: the group `gaussian` comes from heads that were never trained",
        )),
        LossMode::JointMle => {}
        LossMode::JointQuantile => findings.push(Finding::new(
            "quantile-mode-is-gaussian",
            "the loss `joint_quantile` behaves like `joint_mle` in the source: there are no quantiles",
        )),
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_of_the_source_has_its_head_and_its_findings() {
        let names = |loss| findings(loss).iter().map(|f| f.name).collect::<Vec<_>>();
        assert_eq!(names(LossMode::JointMle), ["window-one-day-stale"]);
        assert_eq!(
            names(LossMode::Sharpe),
            ["window-one-day-stale", "gaussian-untrained"]
        );
        assert_eq!(
            names(LossMode::JointQuantile),
            ["window-one-day-stale", "quantile-mode-is-gaussian"]
        );
    }

    #[test]
    fn a_context_of_zeros_is_refused_by_its_number() {
        let path = Path::new("c.safetensors");
        assert!(refuse_empty_contexts(path, &[0.0, 1.0, 2.0, 0.0], 2).is_ok());
        let text = refuse_empty_contexts(path, &[0.0, 1.0, 0.0, 0.0], 2)
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("c.safetensors: context 1 of `contexts.input`: expected values"),
            "{text}"
        );
    }
}
