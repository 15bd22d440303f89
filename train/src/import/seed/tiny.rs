//! TinyTFT (seed 000): `sigmoid(head.0 . LSTM(x))`, a Lightning checkpoint.
//!
//! Its feature columns are those of the standard set `seed-000`, standardised by statistics that the file does not hold: without
//! them the model takes columns that are scaled already, and does not compute them from bars. The window's last row is
//! asked for the move from `H` to `2H` bars behind it, since label and windowing both look `H` bars ahead.

use super::stack::Stack;
use super::{Finding, Imported, SeedError};
use crate::import::pickle::{PickleFile, TorchFile, Value};
use crate::import::state_dict::StateDict;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{Activation, Input, Precision, Scaler, Target};
use tickfuse_core::features::standard_set;

/// What the checkpoint does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows of a window.
    pub lookback: usize,
    /// Bars `H` that the label looks ahead.
    pub horizon: usize,
    /// TOML of `name = { center = .., scale = .. }` for each feature.
    pub scalers: Option<PathBuf>,
}

impl Default for Options {
    /// The source's.
    fn default() -> Self {
        Self {
            lookback: 60,
            horizon: 5,
            scalers: None,
        }
    }
}

/// Reads a checkpoint.
///
/// # Errors
/// [`SeedError`]; [`SeedError::Pointer`] for the small file that the source puts under the model's name.
pub fn read(path: &Path, options: &Options, precision: Precision) -> Result<Imported, SeedError> {
    let dict = state_dict(path)?;
    let h = options.horizon;
    let mut findings = vec![Finding::new(
        "label-looks-twice",
        format!(
            "label and windowing both look {h} bars ahead: the answer is about the move from {h} to {} bars behind \
             the window, and the target says so",
            2 * h
        ),
    )];
    let inputs = match &options.scalers {
        Some(file) => scaled_inputs(file)?,
        None => {
            findings.push(Finding::new(
                "scaler-unknown",
                "the columns were standardised, separately in training and validation, and the file holds no statistics: \
                 the model takes columns that are scaled already; --scalers FILE gives centers and scales",
            ));
            bare_inputs()
        }
    };
    let stack = Stack {
        seed: "tiny",
        path,
        lookback: options.lookback,
        head: &[("head.0", Activation::None)],
        inputs,
        target: Target {
            horizon: 2 * h,
            label: format!("close[t+{}] > close[t+{h}]", 2 * h),
        },
    };
    let (schema, tensors) = stack.read(dict, precision)?;
    Ok(Imported::new(schema, tensors, findings))
}

fn bare_inputs() -> Vec<Input> {
    let features = standard_set("seed-000").expect("a standard set");
    features
        .into_iter()
        .map(|f| Input::real(f.name, Scaler::IDENTITY))
        .collect()
}

/// The features with scalers from a file, each named once and no other.
fn scaled_inputs(path: &Path) -> Result<Vec<Input>, SeedError> {
    let text = std::fs::read_to_string(path).map_err(|source| crate::import::torch::ImportError::Read {
        path: path.into(),
        source,
    })?;
    let mut scalers: BTreeMap<String, Scaler> =
        toml::from_str(&text).map_err(|source| crate::import::torch::ImportError::Config {
            path: path.into(),
            source: Box::new(source),
        })?;
    let features = standard_set("seed-000").expect("a standard set");
    let names: Vec<String> = features.iter().map(|f| f.name.clone()).collect();
    let expected = || names.join(", ");
    let mut inputs = Vec::new();
    for feature in features {
        let scaler = scalers.remove(&feature.name).ok_or_else(|| {
            SeedError::mismatch(path, "scalers", expected(), format!("no `{}`", feature.name))
        })?;
        inputs.push(Input {
            feature: Some(feature.op),
            ..Input::real(feature.name, scaler)
        });
    }
    match scalers.keys().next() {
        Some(other) => Err(SeedError::mismatch(
            path,
            "scalers",
            expected(),
            format!("`{other}`"),
        )),
        None => Ok(inputs),
    }
}

/// The tensors of a Lightning checkpoint or of a state dict; the pointer file may also be a bare pickle.
fn state_dict(path: &Path) -> Result<StateDict, SeedError> {
    let file = match TorchFile::open(path) {
        Ok(file) => file,
        Err(error) => {
            if let Ok(bare) = PickleFile::open(path) {
                refuse_pointer(path, &bare.root())?;
            }
            return Err(error.into());
        }
    };
    let root = file.root();
    refuse_pointer(path, &root)?;
    let value = SeedError::value(path);
    let Some(state) = root.find("state_dict").map_err(&value)? else {
        return StateDict::from_pickle(&root).map_err(value);
    };
    let dict = StateDict::from_pickle(&state).map_err(&value)?;
    check_hyper_parameters(path, &root, &dict)?;
    Ok(dict)
}

fn refuse_pointer(path: &Path, root: &Value<'_>) -> Result<(), SeedError> {
    let target = root.find("best_ckpt").ok().flatten();
    match target.as_ref().and_then(|t| t.as_str().ok()) {
        Some(target) => Err(SeedError::Pointer {
            path: path.into(),
            target: target.into(),
        }),
        None => Ok(()),
    }
}

/// The sizes that Lightning kept are those of the tensors.
fn check_hyper_parameters(path: &Path, root: &Value<'_>, dict: &StateDict) -> Result<(), SeedError> {
    let value = SeedError::value(path);
    let Some(kept) = root.find("hyper_parameters").map_err(&value)? else {
        return Ok(());
    };
    for (key, tensor) in [
        ("in_features", "lstm.weight_ih_l0"),
        ("hidden", "lstm.weight_hh_l0"),
    ] {
        let found = dict.size(tensor, 2, 1).map_err(SeedError::tensor(path))?;
        let stated = kept.get(key).and_then(|v| v.as_usize()).map_err(&value)?;
        if stated != found {
            let what = format!("columns of `{tensor}`");
            return Err(SeedError::mismatch(
                path,
                what,
                format!("{stated} as `hyper_parameters.{key}` says"),
                found,
            ));
        }
    }
    Ok(())
}
