//! Files of the library itself: the description and the tensors are those of the export script, bit for bit.

use crate::fixture;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use std::fs;
use tickfuse_core::plain::PlainTensors;
use tickfuse_train::import::checkpoint;

const NETS: [&str; 4] = ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"];

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

#[test]
fn a_checkpoint_says_what_the_export_script_wrote_of_it() {
    for net in NETS {
        let folder = fixture("nets").join(net);
        let (model, tensors) = checkpoint::read(&folder.join("model.ckpt")).unwrap_or_else(|e| panic!("{e}"));
        let text = fs::read_to_string(folder.join("model.json")).unwrap();
        let expected: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(difference(net, &model, &expected), None);
        assert_same_tensors(
            net,
            &tensors,
            &fs::read(folder.join("weights.safetensors")).unwrap(),
        );
    }
}
