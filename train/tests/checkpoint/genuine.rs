//! Files of the library itself: the description and the tensors are those of the export script, bit for bit.

use crate::fixture;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;
use tickfuse_core::plain::PlainTensors;
use tickfuse_train::import::checkpoint;

/// Where two JSON values first differ; floats are equal to the last bit.
fn difference(path: &str, found: &Json, expected: &Json) -> Option<String> {
    match (found, expected) {
        (Json::Array(x), Json::Array(y)) if x.len() == y.len() => {
            let mut pairs = x.iter().zip(y).enumerate();
            pairs.find_map(|(i, (x, y))| difference(&format!("{path}[{i}]"), x, y))
        }
        (Json::Object(x), Json::Object(y)) if x.keys().eq(y.keys()) => {
            let mut keys = x.keys();
            keys.find_map(|key| difference(&format!("{path}.{key}"), &x[key], &y[key]))
        }
        (Json::Number(x), Json::Number(y)) if x.is_f64() && y.is_f64() => {
            let bits = [x, y].map(|v| v.as_f64().unwrap().to_bits());
            (bits[0] != bits[1]).then(|| format!("{path}: expected {y}, found {x}"))
        }
        _ => (found != expected).then(|| format!("{path}: expected {expected}, found {found}")),
    }
}

fn assert_same_tensors(net: &str, found: &PlainTensors, file: &[u8]) {
    let expected = SafeTensors::deserialize(file).unwrap();
    let mut names = expected.names();
    names.sort_unstable();
    assert!(found.keys().eq(names), "{net}: the same names");
    for (name, tensor) in found {
        let view = expected.tensor(name).unwrap();
        assert_eq!(
            (view.dtype(), view.shape()),
            (Dtype::F32, &tensor.shape[..]),
            "{net}: {name}"
        );
        let raw: Vec<u8> = tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(raw, view.data(), "{net}: {name}");
    }
}

fn assert_described(checkpoint: &Path, model: &Path, weights: &Path) {
    let name = checkpoint.display().to_string();
    let (found, tensors) = checkpoint::read(checkpoint).unwrap_or_else(|e| panic!("{e}"));
    let expected: Json = serde_json::from_slice(&fs::read(model).unwrap()).unwrap();
    assert_eq!(difference(&name, &found, &expected), None);
    assert_same_tensors(&name, &tensors, &fs::read(weights).unwrap());
}

#[test]
fn a_checkpoint_says_what_the_export_script_wrote_of_it() {
    for net in ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"] {
        let folder = fixture("nets").join(net);
        let [checkpoint, model, weights] =
            ["model.ckpt", "model.json", "weights.safetensors"].map(|name| folder.join(name));
        assert_described(&checkpoint, &model, &weights);
    }
}

/// Scalers in every state, tables over every kind of index, targets that are classes, tensors of other types, and
/// hyper-parameters of older versions.
#[test]
fn so_do_checkpoints_of_rarer_objects() {
    for name in ["scalers", "targets"] {
        let stem = fixture("checkpoint").join(name);
        let [checkpoint, model, weights] =
            ["ckpt", "json", "safetensors"].map(|extension| stem.with_extension(extension));
        assert_described(&checkpoint, &model, &weights);
    }
}
