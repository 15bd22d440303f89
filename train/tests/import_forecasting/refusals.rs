//! What is not taken over exactly is refused, with the key, what was expected and what was found.

use super::{edited, folder, imported, options, tensors};
use serde_json::{Value, json};
use tickfuse_core::bundle::Precision;
use tickfuse_core::plain::{PlainTensor, PlainTensors};
use tickfuse_train::import::forecasting::{Description, import, read};

fn refused(name: &str, edit: impl FnOnce(&mut Value)) -> String {
    edited(name, edit).expect_err("a refusal").to_string()
}

fn refused_tensors(edit: impl FnOnce(&mut PlainTensors)) -> String {
    let text = std::fs::read_to_string(folder("pf_mixed").join("model.json")).unwrap();
    let description = Description::from_value(serde_json::from_str(&text).unwrap()).unwrap();
    let mut all = tensors("pf_mixed");
    edit(&mut all);
    import(&description, all, &options(Precision::F32))
        .expect_err("a refusal")
        .to_string()
}

#[test]
fn tensors_must_be_those_of_the_network_in_name_and_shape() {
    let missing = refused_tensors(|all| drop(all.remove("pos_wise_ff.fc1.bias")));
    assert_eq!(
        missing,
        "tensor `pos_wise_ff.fc1.bias`: expected shape [20], found none of this name"
    );
    let extra = refused_tensors(|all| {
        let data = vec![0.0];
        all.insert("more.weight".into(), PlainTensor { shape: vec![1], data });
    });
    assert_eq!(extra, "tensors without a place in the network: more.weight");
    let shape = refused_tensors(|all| all.get_mut("output_layer.weight").unwrap().shape = vec![20, 7]);
    assert_eq!(
        shape,
        "tensor `output_layer.weight`: expected shape [7, 20], found [20, 7]"
    );
}

#[test]
fn unknown_losses_scalers_transforms_and_keys_are_refused_by_name() {
    let loss = refused("pf_reals", |d| d["loss"] = json!({ "class": "PoissonLoss" }));
    assert!(loss.contains("unknown variant `PoissonLoss`"), "{loss}");
    let scaler = refused("pf_reals", |d| {
        d["preprocessing"]["scalers"]["ret"]["class"] = "MinMaxScaler".into();
    });
    assert!(scaler.contains("unknown variant `MinMaxScaler`"), "{scaler}");
    let transform = refused("pf_reals", |d| {
        d["preprocessing"]["normalizers"]["close"]["transformation"] = "cube".into();
    });
    assert!(transform.contains("unknown variant `cube`"), "{transform}");
    for place in [
        "/net",
        "/hyper_parameters",
        "/preprocessing",
        "/loss",
        "/preprocessing/scalers/ret",
        "",
    ] {
        let key = refused("pf_reals", |d| {
            d.pointer_mut(place).unwrap()["surprise"] = 1.into();
        });
        assert!(key.contains("unknown field `surprise`"), "{place}: {key}");
    }
    let absent = refused("pf_reals", |d| {
        let close = &mut d["preprocessing"]["normalizers"]["close"];
        close.as_object_mut().unwrap().remove("transformation");
    });
    assert!(absent.contains("missing field `transformation`"), "{absent}");
}

#[test]
fn a_file_with_an_unknown_key_is_refused_with_its_line() {
    let scratch = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(folder("pf_reals").join("model.json")).unwrap();
    let text = text.replacen("\"loss\"", "\"losses\"", 1);
    std::fs::write(scratch.path().join("model.json"), text).unwrap();
    let error = read(scratch.path(), &options(Precision::F32))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unknown field `losses`") && error.contains("line "),
        "{error}"
    );
}

#[test]
fn classes_must_stand_in_the_order_of_their_codes() {
    let swapped = refused("pf_mixed", |d| {
        let classes = d["preprocessing"]["encoders"]["weekday"]["classes"].as_array_mut();
        classes.unwrap().swap(1, 2);
    });
    assert_eq!(
        swapped,
        "preprocessing.encoders.weekday.classes[1].code: expected 1, codes in ascending order from 0, found 2"
    );
    let unnamed = refused("pf_mixed", |d| {
        d["preprocessing"]["encoders"]["regime"]["classes"][0]["label"] = "calm".into();
    });
    assert_eq!(
        unnamed,
        "preprocessing.encoders.regime.classes[0].label: expected null, the label of missing and unknown ones, found \"calm\""
    );
}

#[test]
fn what_is_said_twice_must_be_said_alike() {
    let cases = [
        (
            "/hyper_parameters/hidden_size",
            json!(24),
            "hyper_parameters.hidden_size",
        ),
        (
            "/hyper_parameters/causal_attention",
            json!(false),
            "hyper_parameters.causal_attention",
        ),
        (
            "/hyper_parameters/mask_bias",
            json!(-1.0),
            "hyper_parameters.mask_bias",
        ),
        (
            "/preprocessing/max_prediction_length",
            json!(4),
            "preprocessing.max_prediction_length",
        ),
        (
            "/hyper_parameters/static_categoricals",
            json!(["sector", "symbol"]),
            "net.static_variables",
        ),
        ("/preprocessing/reals/0", json!("other"), "preprocessing.reals"),
        ("/net/rules/norm_eps", json!(1e-3), "net.rules"),
        (
            "/net/static_variables/0/table",
            json!("sector"),
            "net.static_variables.symbol.table",
        ),
    ];
    for (place, found, key) in cases {
        let text = refused("pf_mixed", |d| *d.pointer_mut(place).unwrap() = found);
        assert!(text.starts_with(&format!("{key}: expected ")), "{place}: {text}");
    }
}

#[test]
fn losses_must_belong_to_their_targets() {
    let one = refused("pf_shared", |d| d["loss"] = json!({ "class": "MAE" }));
    assert_eq!(
        one,
        "loss: expected one loss for each of the targets close, volume, found 1"
    );
    let classes = refused("pf_reals", |d| d["loss"] = json!({ "class": "CrossEntropy" }));
    assert_eq!(
        classes,
        "preprocessing.normalizers.close: expected NaNLabelEncoder, as of CrossEntropy, found another class"
    );
    let levels = refused("pf_reals", |d| d["loss"]["quantiles"] = json!([0.1, 0.9]));
    assert_eq!(levels, "net.n_outputs: expected 2, as the loss has, found 3");
    let order = refused("pf_reals", |d| d["loss"]["quantiles"] = json!([0.5, 0.1, 0.9]));
    assert!(order.contains("outputs.close.levels"), "{order}");
}

#[test]
fn a_target_of_classes_answers_probabilities_under_their_labels() {
    let found = edited("pf_reals", |d| {
        let labels = ["down", "flat", "up"].into_iter().enumerate();
        let classes: Vec<Value> = labels
            .map(|(code, label)| json!({ "label": label, "code": code }))
            .collect();
        d["loss"] = json!({ "class": "CrossEntropy" });
        d["preprocessing"]["target"] = "move".into();
        d["preprocessing"]["scalers"]["close"] =
            json!({ "class": "StandardScaler", "center": 1.0, "scale": 2.0 });
        d["preprocessing"]["normalizers"] =
            json!({ "move": { "class": "NaNLabelEncoder", "add_nan": false, "classes": classes } });
    });
    let schema = found.unwrap().schema;
    assert_eq!(schema.outputs[0].labels, ["down", "flat", "up"]);
    assert_eq!(schema.outputs[0].unit, "probability");
    assert!(schema.normalizers.is_empty());
}

#[test]
fn weights_that_are_no_safetensors_or_of_another_type_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::copy(
        folder("pf_reals").join("model.json"),
        scratch.path().join("model.json"),
    )
    .unwrap();
    let weights = scratch.path().join("weights.safetensors");
    let refusal = || {
        read(scratch.path(), &options(Precision::F32))
            .unwrap_err()
            .to_string()
    };
    assert!(refusal().contains("weights.safetensors: "));
    std::fs::write(&weights, b"no").unwrap();
    assert!(refusal().contains("not a safetensors file"));
    let header = br#"{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}  "#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(&[0, 0]);
    std::fs::write(&weights, bytes).unwrap();
    assert_eq!(refusal(), "tensor `a`: expected F32, found F16");
}

#[test]
fn an_untouched_description_is_imported_alike_from_file_and_value() {
    for name in super::NETS {
        assert_eq!(edited(name, |_| {}).unwrap(), imported(name, Precision::F32));
    }
}
