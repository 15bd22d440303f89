//! Files of real writers against what was in memory when they were written.

use crate::fixture;
use crate::tell::Tell;
use safetensors::SafeTensors;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tickfuse_train::import::pickle::{Kind, PickleFile, Tensor, TensorType, TorchFile, Value};

fn expected() -> BTreeMap<String, Json> {
    serde_json::from_slice(&fs::read(fixture("pickle/expected.json")).unwrap()).unwrap()
}

fn read(path: &Path) -> Json {
    let is_torch = path.extension().is_some_and(|e| e == "pt");
    if is_torch {
        TorchFile::open(path).unwrap_or_else(|e| panic!("{e}")).told()
    } else {
        PickleFile::open(path).unwrap_or_else(|e| panic!("{e}")).told()
    }
}

/// Where two JSON values first differ.
fn difference(path: &str, a: &Json, b: &Json) -> Option<String> {
    match (a, b) {
        (Json::Array(x), Json::Array(y)) if x.len() == y.len() => {
            let mut pairs = x.iter().zip(y).enumerate();
            pairs.find_map(|(i, (a, b))| difference(&format!("{path}[{i}]"), a, b))
        }
        (Json::Object(x), Json::Object(y)) if x.len() == y.len() => x.iter().find_map(|(key, a)| {
            let b = y.get(key).unwrap_or(&Json::Null);
            difference(&format!("{path}.{key}"), a, b)
        }),
        _ if a == b => None,
        _ => Some(format!("{path}: expected {b}, found {a}")),
    }
}

#[test]
fn every_file_says_what_its_writer_held() {
    let expected = expected();
    assert_eq!(expected.len(), 8);
    for (name, expected) in expected {
        let found = read(&fixture("pickle").join(&name));
        assert_eq!(difference(&name, &found, &expected), None);
    }
}

#[test]
fn views_of_one_storage_are_told_apart_from_copies() {
    let file = TorchFile::open(&fixture("pickle/tensors.pt")).unwrap();
    let root = file.root();
    let tensor = |name| root.get(name).unwrap().as_tensor().unwrap();
    assert!(tensor("base").is_alias_of(tensor("alias")));
    assert!(!tensor("base").is_alias_of(tensor("same_values")));
    assert!(!tensor("base").is_alias_of(tensor("transposed")));
    assert_eq!(tensor("base").to_f32(), tensor("same_values").to_f32());
}

#[test]
fn halves_become_f32_exactly_and_doubles_are_rounded() {
    let file = TorchFile::open(&fixture("pickle/tensors.pt")).unwrap();
    let root = file.root();
    let largest = |name| root.get(name).unwrap().as_tensor().unwrap().to_f32()[4];
    assert_eq!(largest("f16"), 65504.0);
    assert_eq!(largest("bf16").to_bits(), 0x7f7f_0000);
    assert_eq!(largest("f64"), f32::INFINITY);
    let zeros = root.get("bf16").unwrap().as_tensor().unwrap().to_f32();
    assert_eq!([zeros[0].to_bits(), zeros[1].to_bits()], [0, 0x8000_0000]);
}

/// Lightning checkpoints of pytorch-forecasting hold objects of many libraries around their tensors.
#[test]
fn checkpoints_of_pytorch_forecasting_have_the_tensors_they_were_exported_with() {
    for name in ["pf_auto", "pf_mixed", "pf_reals", "pf_shared"] {
        let folder = fixture("nets").join(name);
        let file = TorchFile::open(&folder.join("model.ckpt")).unwrap_or_else(|e| panic!("{e}"));
        let root = file.root();
        let state = root.get("state_dict").unwrap();
        let bytes = fs::read(folder.join("weights.safetensors")).unwrap();
        let exported = SafeTensors::deserialize(&bytes).unwrap();
        for (tensor_name, view) in exported.tensors() {
            let parts = parts(&state, &tensor_name);
            let raw: Vec<u8> = parts
                .iter()
                .flat_map(Tensor::to_f32)
                .flat_map(f32::to_le_bytes)
                .collect();
            assert_eq!(raw, view.data(), "{tensor_name}");
            assert!(
                parts.iter().all(|part| part.dtype() == TensorType::F32),
                "{tensor_name}"
            );
            assert_eq!(parts[0].shape()[1..], view.shape()[1..], "{tensor_name}");
        }
        check_hyper_parameters(&root);
        assert!(file.told().is_object());
    }
}

/// A tensor; the output layers of several targets, `output_layer.<i>.*`, are exported as one.
fn parts(state: &Value<'_>, name: &str) -> Vec<Tensor> {
    let names: Vec<String> = match name.strip_prefix("output_layer.") {
        Some(rest) if state.find(name).unwrap().is_none() => {
            (0..9).map(|i| format!("output_layer.{i}.{rest}")).collect()
        }
        _ => vec![name.to_owned()],
    };
    let found = names.iter().map_while(|name| state.find(name).unwrap());
    let parts: Vec<Tensor> = found.map(|value| value.as_tensor().unwrap().clone()).collect();
    assert!(!parts.is_empty(), "{name} is missing");
    parts
}

fn check_hyper_parameters(root: &Value<'_>) {
    let hyper = root.get("hyper_parameters").unwrap();
    let hidden = hyper.get("hidden_size").unwrap().as_usize().unwrap();
    let recurrent = root
        .get("state_dict")
        .unwrap()
        .get("lstm_encoder.weight_hh_l0")
        .unwrap();
    assert_eq!(recurrent.as_tensor().unwrap().shape(), [4 * hidden, hidden]);
    let loss = hyper.get("loss").unwrap().as_object().unwrap();
    assert!(
        loss.module().starts_with("pytorch_forecasting.metrics."),
        "{}",
        loss.module()
    );
    let reals = hyper.get("x_reals").unwrap().to_strs().unwrap();
    assert!(reals.contains(&"volume"), "{reals:?}");
}

#[test]
fn the_seeds_files_are_read() {
    for name in ["tiny.ckpt", "tiny.pt", "simple.pt", "quantile.pth", "xtrend.pt"] {
        let file = TorchFile::open(&fixture("seeds").join(name)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(file.root().kind(), Kind::Dict, "{name}");
    }
    let file = TorchFile::open(&fixture("seeds/quantile.pth")).unwrap();
    let mean = file.root().get("feature_mean").unwrap();
    let mean = mean.as_array().unwrap();
    assert_eq!((mean.shape(), mean.to_f64().unwrap().len()), (&[14][..], 14));
    let width = file
        .root()
        .get("model_config")
        .unwrap()
        .get("hidden_size")
        .unwrap();
    assert_eq!(width.as_int().unwrap(), 8);
}

#[test]
fn a_boosters_text_is_in_its_dump() {
    let file = PickleFile::open(&fixture("pickle/booster.pkl")).unwrap();
    let booster = file.root().as_object().unwrap();
    assert_eq!((booster.module(), booster.name()), ("lightgbm.basic", "Booster"));
    let text = booster.attr("_handle").unwrap();
    assert!(text.as_str().unwrap().starts_with("tree\nversion=v4\n"));
    let best = booster.attr("best_iteration").unwrap();
    assert_eq!(best.as_int().unwrap(), 0);
}

#[test]
fn errors_of_access_name_the_path_and_what_is_there() {
    let file = PickleFile::open(&fixture("pickle/values.p4.pkl")).unwrap();
    let root = file.root();
    let error = |found: Result<Value<'_>, _>| -> String {
        let error: tickfuse_train::import::pickle::ValueError = found.unwrap_err();
        error.to_string()
    };
    let plain = root.get("plain").unwrap().as_object().unwrap();
    assert_eq!(
        error(plain.attr("levels")),
        "`plain`: expected an attribute `levels` of `__main__.Plain`, found keys quantiles, itself"
    );
    let quantiles = plain.attr("quantiles").unwrap();
    assert_eq!(
        error(quantiles.get("x")),
        "`plain.quantiles`: expected a dict, found a list of 2"
    );
    let second = quantiles.items().unwrap()[1].clone();
    assert_eq!(
        second.as_int().unwrap_err().to_string(),
        "`plain.quantiles[1]`: expected an int of 64 bits, found float 0.5"
    );
    let slots = root.get("slots").unwrap().as_object().unwrap();
    let found = ["level", "extra"].map(|name| slots.attr(name).unwrap().describe());
    assert_eq!(found, ["float 0.5", "str `e`"]);
    assert_eq!(root.get("loop").unwrap().items().unwrap()[1].path(), "loop[1]");
    let missing = error(root.get("loss"));
    assert!(
        missing.starts_with("`root`: expected a key `loss`, found keys none, bools, ints,"),
        "{missing}"
    );
    assert!(missing.ends_with(" more"), "{missing}");
}
