//! TemporalFusionTransformer checkpoints of pytorch-forecasting as Lightning saves them, read without Python.
//!
//! [`read`] gives what the export script of the Python package writes: the content of its `model.json` and the tensors
//! of its `weights.safetensors`. Nothing of the file is executed: fitted normalisers, scalers, losses and tables are
//! taken from the pickled state of their objects (`import::pickle`), and a class whose state is not known here is refused.
//!
//! ```
//! # fn main() -> Result<(), tickfuse_train::import::checkpoint::CheckpointError> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/nets/pf_auto/model.ckpt");
//! let (model, tensors) = tickfuse_train::import::checkpoint::read(path.as_ref())?;
//! assert_eq!(model["loss"]["class"], "QuantileLoss");
//! assert_eq!(tensors["output_layer.bias"].shape, [7]);
//! # Ok(())
//! # }
//! ```
//!
//! Files, lowest first: `plain` values in JSON's types, `arrow` texts of pandas, `index` and `frame` its tables, `encoder`,
//! `normalizer`, `scaler` and `loss` the objects, `tensors` the state dict, `net` and `shapes` the network,
//! `preprocessing` the data set.

mod arrow;
mod encoder;
mod frame;
mod index;
mod loss;
mod net;
mod normalizer;
mod plain;
mod preprocessing;
mod scaler;
mod shapes;
mod tensors;

use crate::import::pickle::{PickleError, TorchFile, Value, ValueError};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use tickfuse_core::plain::PlainTensors;

/// Why a checkpoint was refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is not a file of `torch.save`, or is damaged.
    #[error("{0}")]
    File(#[from] PickleError),
    /// It holds something that cannot be described exactly, or lacks something.
    #[error("{}: {reason}", path.display())]
    Content {
        /// File.
        path: PathBuf,
        /// Place in the pickle, what was expected there, what is there.
        reason: ValueError,
    },
}

/// Reads a checkpoint: the content of `model.json`, and every tensor once.
///
/// # Errors
/// The file cannot be read or is no checkpoint of a TemporalFusionTransformer; or it holds a function as a transform, a
/// loss, normaliser, scaler or table of an unknown class, an alias with other values than its tensor, a tensor too many,
/// too few or of another shape.
pub fn read(path: &Path) -> Result<(Json, PlainTensors), CheckpointError> {
    let file = TorchFile::open(path)?;
    describe(&file).map_err(|reason| CheckpointError::Content {
        path: path.to_path_buf(),
        reason,
    })
}

/// The same of a file that is already open.
///
/// # Errors
/// Like [`read`].
pub fn describe(file: &TorchFile) -> Result<(Json, PlainTensors), ValueError> {
    let root = file.root();
    let hyper = root.get("hyper_parameters")?;
    let dataset = dataset(&root)?;
    let state = root.get("state_dict")?;
    let (tensors, aliases) = tensors::read(&state)?;
    let net = net::Net::read(&hyper, &dataset, &tensors)?;
    shapes::check(&state, &shapes::expected(&net), &tensors)?;
    let model = json!({
        "net": net,
        "hyper_parameters": net::hyper_parameters(&hyper)?,
        "loss": loss::describe(&hyper.get("loss")?)?,
        "preprocessing": preprocessing::describe(&hyper, &dataset)?,
        "dropped_aliases": aliases,
        "checkpoint": origin(&root)?,
    });
    Ok((model, tensors))
}

fn dataset<'a>(root: &Value<'a>) -> Result<Value<'a>, ValueError> {
    let found = root.find("dataset_parameters")?;
    found.filter(|value| !value.is_none()).ok_or_else(|| ValueError {
        path: "dataset_parameters".into(),
        expected: "what TemporalFusionTransformer.from_dataset stores".into(),
        found: "none".into(),
    })
}

fn origin(root: &Value<'_>) -> Result<Json, ValueError> {
    let names = [
        ("epoch", "epoch"),
        ("global_step", "global_step"),
        ("lightning", "pytorch-lightning_version"),
    ];
    let entry = |(name, key): (&str, &str)| Ok((name.to_owned(), plain::plain(&root.get(key)?)?));
    let entries = names.into_iter().map(entry);
    Ok(Json::Object(entries.collect::<Result<Map<_, _>, ValueError>>()?))
}
