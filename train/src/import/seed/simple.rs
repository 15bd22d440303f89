//! SimpleTFT (seed 001): two LSTM layers, dense 64 with ReLU, one logit; a plain state dict.
//!
//! Features are those of the standard set `seed-001`, unscaled; a missing value was 0, which the identity scaler's centre is.

use super::stack::Stack;
use super::{Finding, Imported, SeedError};
use crate::import::pickle::TorchFile;
use crate::import::state_dict::StateDict;
use std::path::Path;
use tickfuse_core::bundle::{Activation, Input, Missing, Precision, Scaler, Target};
use tickfuse_core::features::standard_set;

/// What the state dict does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows of a window.
    pub lookback: usize,
    /// Bars that the label looks ahead.
    pub horizon: usize,
}

impl Default for Options {
    /// The source's.
    fn default() -> Self {
        Self {
            lookback: 64,
            horizon: 5,
        }
    }
}

/// Reads a state dict.
///
/// # Errors
/// [`SeedError`].
pub fn read(path: &Path, options: &Options, precision: Precision) -> Result<Imported, SeedError> {
    let file = TorchFile::open(path)?;
    let dict = StateDict::from_pickle(&file.root()).map_err(SeedError::value(path))?;
    let h = options.horizon;
    let stack = Stack {
        seed: "simple",
        path,
        lookback: options.lookback,
        head: &[("fc.0", Activation::Relu), ("fc.3", Activation::None)],
        inputs: inputs(),
        target: Target {
            horizon: h,
            label: format!("close[t+{h}] > close[t]"),
        },
    };
    let (schema, tensors) = stack.read(dict, precision)?;
    Ok(Imported::new(schema, tensors, findings()))
}

fn inputs() -> Vec<Input> {
    let features = standard_set("seed-001").expect("a standard set");
    let input = |f: tickfuse_core::features::FeatureDef| Input {
        feature: Some(f.op),
        missing: Missing::Center,
        ..Input::real(f.name, Scaler::IDENTITY)
    };
    features.into_iter().map(input).collect()
}

fn findings() -> Vec<Finding> {
    vec![
        Finding::new(
            "inputs-unscaled",
            "price and volume entered unscaled: gates saturate, and another price level is another input",
        ),
        Finding::new(
            "symbols-interleaved",
            "training sorted the rows of several symbols by time before it cut windows: where it had more than one, its \
             windows mix them, and those of one symbol are not what it learned",
        ),
        Finding::new(
            "best-is-last",
            "the state kept as the best is a reference to the live parameters: the weights are those of the last epoch",
        ),
    ]
}
