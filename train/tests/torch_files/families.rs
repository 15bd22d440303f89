//! Nets of every family in, out and in again.

use crate::program::{Stored, Work, apart, array, fixtures, stored};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Share of the answers' range by which f32 may be off.
const F32: f64 = 2e-5;
/// The same of weights and activations as integers.
const I16: f64 = 1e-3;
const FAMILIES: [&str; 11] = [
    "quantile_tft",
    "tft_google",
    "tft_momentum",
    "tft_static_free",
    "xtrend_shared",
    "xtrend_shared_position",
    "xtrend_position",
    "xtrend_gaussian",
    "xtrend_quantile",
    "xtrend_time_equivalent",
    "xtrend_zero_shot",
];
const LIBRARY: [&str; 4] = ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"];
const LSTM: [&str; 4] = ["tiny_tft", "simple_tft", "odd_net", "lstm_a"];

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

/// TOML has no null: a key without a value is left out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k, without_nulls(v)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn labels(n: u64) -> Vec<String> {
    (0..n).map(|i| format!("y{i}")).collect()
}

fn input(name: &Value, role: &Value, n_categories: &Value) -> Value {
    match n_categories.as_u64() {
        Some(n) => json!({ "name": name, "role": role, "categories": { "labels": labels(n) } }),
        None => json!({ "name": name, "role": role, "scaler": { "center": 0.0, "scale": 1.0 } }),
    }
}

/// The columns that a TFT's variables read, in the role of the group they stand in.
fn variable_inputs(net: &Value) -> Vec<Value> {
    let mut inputs = BTreeMap::new();
    let groups = [
        ("static_variables", "static"),
        ("decoder_variables", "known"),
        ("encoder_variables", "observed"),
    ];
    for (group, role) in groups {
        for variable in net[group].as_array().expect("a list") {
            for column in variable["columns"].as_array().expect("a list") {
                let made = || input(column, &json!(role), &variable["n_categories"]);
                inputs.entry(column.to_string()).or_insert_with(made);
            }
        }
    }
    inputs.into_values().collect()
}

/// Groups whose numbers are the original's, but for the position that the original has last.
fn outputs(net: &Value) -> Value {
    let group =
        |name: &str, kind: &str, n| json!({ "name": name, "kind": kind, "labels": labels(n), "unit": "one" });
    if net["family"] == "quantile_tft" {
        let quantiles = json!({ "name": "q", "kind": "quantiles", "labels": labels(3), "levels": [0.1, 0.5, 0.9], "unit": "one" });
        return json!([group("classes", "linear", 3), quantiles]);
    }
    if net["family"] == "tft" {
        return json!([group("y", "linear", net["n_outputs"].as_u64().expect("a size"))]);
    }
    match (net["form"].as_str(), net["head"].as_str()) {
        (Some("shared"), Some("gaussian")) => {
            json!([group("z", "linear", 1), group("g", "gaussian_log_sigma", 2)])
        }
        (Some("shared"), _) => json!([group("z", "tanh", 1), group("g", "linear", 2)]),
        (_, Some("gaussian")) => json!([group("z", "tanh", 1), group("g", "gaussian_softplus", 2)]),
        (_, Some("quantile")) => {
            json!([
                group("z", "tanh", 1),
                group("q", "linear", net["n_quantiles"].as_u64().expect("a size"))
            ])
        }
        _ => json!([group("z", "tanh", 1)]),
    }
}

/// `net.toml` of a fixture that says of itself what it is in JSON.
fn config(name: &str) -> String {
    let folder = fixtures("nets").join(name);
    let net = json_file(&folder.join("config.json"));
    let inputs = if name.starts_with("pf_") {
        variable_inputs(&net)
    } else {
        let columns = json_file(&folder.join("inputs.json"));
        let columns = columns.as_array().expect("a list").iter();
        columns
            .map(|c| input(&c["name"], &c["role"], &c["n_categories"]))
            .collect()
    };
    let target = json!({ "horizon": 5, "label": "synthetic" });
    let file = json!({
        "name": name, "bar_interval_ns": 60_000_000_000_i64, "outputs": outputs(&net), "net": net,
        "inputs": inputs, "target": target,
    });
    toml::to_string(&without_nulls(file)).expect("TOML")
}

/// The fixture's tensors; an X-Trend's contexts stand in its golden file, entities as integers.
pub(crate) fn write_weights(name: &str, path: &Path) {
    let folder = fixtures("nets").join(name);
    let mut views: Vec<(String, Dtype, Stored)> = stored(&folder.join("weights.safetensors"))
        .into_iter()
        .map(|(name, tensor)| (name, Dtype::F32, tensor))
        .collect();
    if name.starts_with("xtrend") {
        let rows = array::<f32>(&folder.join("golden.npz"), "context_input");
        let codes = array::<i64>(&folder.join("golden.npz"), "context_entity");
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        views.push((
            "contexts.input".into(),
            Dtype::F32,
            (rows.shape, bytes(&rows.data)),
        ));
        let codes_bytes = codes.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        views.push(("contexts.entity".into(), Dtype::I64, (codes.shape, codes_bytes)));
    }
    let views = views.iter().map(|(name, dtype, (shape, bytes))| {
        (
            name,
            TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"),
        )
    });
    std::fs::write(path, safetensors::serialize(views, None).expect("safetensors")).expect("written");
}

fn prepare(name: &str) -> Work {
    let work = Work::new();
    std::fs::write(work.path("net.toml"), config(name)).expect("written");
    write_weights(name, &work.path("w.safetensors"));
    work
}

fn import(work: &Work, weights: &str, config: &str, out: &str) -> Value {
    let args = [
        "--json",
        "import",
        "torch",
        "--weights",
        weights,
        "--config",
        config,
        "--out",
        out,
    ];
    work.run(&args).document()
}

/// The numbers of each answer that the original has too, in the order of a model file, and how many they are.
fn expected(name: &str, per_answer: usize) -> (usize, Vec<f64>) {
    let golden = array::<f64>(&fixtures("nets").join(name).join("golden.npz"), "output_f64");
    let is_xtrend = name.starts_with("xtrend");
    let n = if is_xtrend {
        *golden.shape.last().expect("columns")
    } else {
        per_answer
    };
    let answer = |row: &[f64]| {
        // Where every step was answered, the last one is the answer of serving.
        let mut last = row[row.len() - n..].to_vec();
        // The original has the position behind the distribution.
        last.rotate_right(usize::from(is_xtrend));
        last
    };
    (n, golden.rows().flat_map(answer).collect())
}

#[test]
fn answers_of_an_imported_net_are_those_of_the_original() {
    for name in FAMILIES {
        let work = prepare(name);
        import(&work, "w.safetensors", "net.toml", "m.safetensors");
        let golden = fixtures("nets").join(name).join("golden.npz");
        let found = work.answers("m.safetensors", &golden);
        let (n, expected) = expected(name, found.shape[1]);
        let found: Vec<f32> = found.rows().flat_map(|row| &row[..n]).copied().collect();
        let found = apart(&found, &expected);
        eprintln!("{name}: {found:.2e} of the range");
        assert!(found <= F32, "{name}: {found:e}");
    }
}

/// Imports, exports, imports what was exported: the same tensors under the same names, the same model file.
fn goes_round(work: &Work, weights: &Path) -> BTreeMap<String, Stored> {
    let first = import(
        work,
        weights.to_str().expect("UTF-8"),
        "net.toml",
        "first.safetensors",
    );
    let exported = work
        .run(&[
            "--json",
            "export",
            "first.safetensors",
            "--out",
            "back.safetensors",
        ])
        .document();
    assert!(
        exported["written"][1]
            .as_str()
            .is_some_and(|p| p.ends_with("back.toml"))
    );
    let second = import(work, "back.safetensors", "back.toml", "second.safetensors");
    assert_eq!(first["hash"], second["hash"], "the same model");
    stored(&work.path("back.safetensors"))
}

#[test]
fn every_family_comes_back_bit_by_bit_under_its_plain_names() {
    for name in FAMILIES.into_iter().chain(LIBRARY) {
        let work = prepare(name);
        let back = goes_round(&work, &work.path("w.safetensors"));
        let mut original = stored(&work.path("w.safetensors"));
        if let Some((_, codes)) = original.get_mut("contexts.entity") {
            let to_f32 = |b: &[u8; 8]| (i64::from_le_bytes(*b) as f32).to_le_bytes();
            *codes = codes.as_chunks().0.iter().flat_map(to_f32).collect();
        }
        assert!(back == original, "{name}: tensors differ");
    }
}

#[test]
fn an_lstm_comes_back_with_its_biases_added() {
    for name in LSTM {
        let (work, folder) = (Work::new(), fixtures("nets").join(name));
        std::fs::copy(folder.join("net.toml"), work.path("net.toml")).expect("copied");
        let back = goes_round(&work, &folder.join("weights.safetensors"));
        let first = stored(&folder.join("weights.safetensors"));
        let bytes = |all: &BTreeMap<String, Stored>, end: &str| {
            let found = all.iter().find(|(name, _)| name.ends_with(end)).expect(end);
            found.1.1.clone()
        };
        for end in ["weight_ih_l0", "weight_hh_l0"] {
            assert!(bytes(&back, end) == bytes(&first, end), "{name}: {end}");
        }
        assert!(
            bytes(&back, "bias_hh_l0").iter().all(|b| *b == 0),
            "{name}: no second bias"
        );
    }
}

#[test]
fn a_bf16_model_gives_back_what_it_was_made_from() {
    let work = prepare("quantile_tft");
    import(&work, "w.safetensors", "net.toml", "m.safetensors");
    let args = [
        "export",
        "m.safetensors",
        "--precision",
        "bf16",
        "--out",
        "narrow.safetensors",
    ];
    assert_eq!(work.run(&args).code, Some(0));
    let args = ["export", "narrow.safetensors", "--out", "back.safetensors"];
    assert_eq!(work.run(&args).code, Some(0));
    assert!(stored(&work.path("back.safetensors")) == stored(&work.path("w.safetensors")));
}

/// Exports `from` in a precision; what it reports.
fn repack(work: &Work, from: &str, precision: &str, out: &str) -> Value {
    let args = [
        "--json",
        "export",
        from,
        "--precision",
        precision,
        "--windows",
        "20",
        "--out",
        out,
    ];
    work.run(&args).document()
}

/// The largest deviation that was reported of a precision, as a share of the answers' size.
fn reported(document: &Value, precision: &str) -> f64 {
    let report = &document["deviation"];
    assert_eq!(report["n_windows"], 20);
    let mut files = report["files"].as_array().expect("a list").iter();
    let file = files.find(|f| f["precision"] == precision).expect(precision);
    let [largest, mean, size] =
        [&file["largest"], &file["root_mean_square"], &report["size"]].map(|v| v.as_f64().expect("a number"));
    assert!(mean <= largest, "{document}");
    largest / size.max(1.0)
}

#[test]
fn every_family_is_exported_to_i16_at_a_small_and_stated_cost() {
    for name in FAMILIES.into_iter().chain(LIBRARY) {
        let work = prepare(name);
        import(&work, "w.safetensors", "net.toml", "m.safetensors");
        let narrow = repack(&work, "m.safetensors", "i16", "i16.safetensors");
        assert_eq!(narrow["precision"], "i16");
        let [f32, i16] = ["f32", "i16"].map(|p| reported(&narrow, p));
        let bf16 = reported(
            &repack(&work, "m.safetensors", "bf16", "bf16.safetensors"),
            "bf16",
        );
        eprintln!("{name}: f32 {f32:.1e}, i16 {i16:.1e}, bf16 {bf16:.1e} of the answers' size");
        assert!(f32 < F32, "{name}: {f32:e}");
        assert!(
            i16 < I16 && i16 < bf16 / 2.0,
            "{name}: i16 {i16:e}, bf16 {bf16:e}"
        );
        let back = repack(&work, "i16.safetensors", "f32", "f32.safetensors");
        assert!(reported(&back, "f32") < F32);
        let args = ["export", "f32.safetensors", "--out", "back.safetensors"];
        assert_eq!(work.run(&args).code, Some(0));
        let args = ["export", "m.safetensors", "--out", "plain.safetensors"];
        assert_eq!(work.run(&args).code, Some(0));
        let [back, plain] = ["back.safetensors", "plain.safetensors"].map(|file| stored(&work.path(file)));
        assert!(back == plain, "{name}: the tensors it was made from");
    }
}

/// The unit of a row's integers: that of its largest magnitude, or of its sum where that would not be an i32.
fn unit(row: &[f32]) -> f32 {
    let magnitudes = || row.iter().map(|w| w.abs());
    let room = (i32::MAX / 8192) as f32 - 1.0 - row.len() as f32 / 2.0;
    (magnitudes().fold(0.0, f32::max) / 32767.0).max(magnitudes().sum::<f32>() / room)
}

#[test]
fn an_lstm_comes_back_from_i16_within_half_a_unit_of_each_row() {
    for name in LSTM {
        let (work, folder) = (Work::new(), fixtures("nets").join(name));
        let [weights, config] = ["weights.safetensors", "net.toml"].map(|file| folder.join(file));
        let [weights, config] = [&weights, &config].map(|path| path.to_str().expect("UTF-8"));
        import(&work, weights, config, "m.safetensors");
        let narrow = repack(&work, "m.safetensors", "i16", "i16.safetensors");
        let i16 = reported(&narrow, "i16");
        eprintln!("{name}: i16 {i16:.1e} of the answers' size");
        assert!(i16 < I16, "{name}: {i16:e}");
        for (from, out) in [
            ("m.safetensors", "plain.safetensors"),
            ("i16.safetensors", "back.safetensors"),
        ] {
            assert_eq!(work.run(&["export", from, "--out", out]).code, Some(0));
        }
        let [plain, back] = ["plain.safetensors", "back.safetensors"].map(|file| stored(&work.path(file)));
        for (tensor, (shape, bytes)) in &plain {
            let floats = |bytes: &[u8]| -> Vec<f32> {
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b))
                    .collect()
            };
            let (plain, back) = (floats(bytes), floats(&back[tensor].1));
            if shape.len() < 2 {
                assert_eq!(plain, back, "{name}: {tensor}");
                continue;
            }
            let rows = plain.chunks(shape[1]).zip(back.chunks(shape[1]));
            for (plain, back) in rows {
                let unit = unit(plain);
                let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= 0.51 * unit;
                assert!(
                    plain.iter().zip(back).all(is_near),
                    "{name}: {tensor}, unit {unit:e}"
                );
            }
        }
    }
}

/// Adds keys to `net.toml`.
fn amend(work: &Work, edit: impl Fn(&mut toml::Table)) {
    let path = work.path("net.toml");
    let mut config: toml::Table =
        toml::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("TOML");
    edit(&mut config);
    std::fs::write(path, toml::to_string(&config).expect("TOML")).expect("written");
}

fn table(text: &str) -> toml::Table {
    toml::from_str(text).expect("TOML")
}

fn normalize(config: &mut toml::Table, normalizers: &str, used: &str) {
    config["outputs"][0]["kind"] = "linear".into();
    let output = config["outputs"][0].as_table_mut().expect("a table");
    output.insert("normalizer".into(), used.into());
    config.extend(table(normalizers));
}

#[test]
fn normalizers_of_every_source_come_back() {
    let work = prepare("tft_google");
    let normalizers = r#"
        [[normalizers]]
        name = "fixed"
        source = { fixed = { center = 0.1, scale = 3.0 } }
        transform = "softplus"
        [[normalizers]]
        name = "by_sector"
        source = { table = { inputs = ["sector"], rows = [[0.0, 1.0], [0.1, 2.0], [0.2, 3.0], [0.3, 4.0], [0.4, 0.7]] } }
        [[normalizers]]
        name = "own"
        source = { encoder = { input = "ret", epsilon = 1e-8, center = true } }
    "#;
    amend(&work, |config| normalize(config, normalizers, "by_sector"));
    goes_round(&work, &work.path("w.safetensors"));
    let back = std::fs::read_to_string(work.path("back.toml")).expect("a file");
    let (back, sent) = (table(&back), table(normalizers));
    for (found, sent) in back["normalizers"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(sent["normalizers"].as_array().expect("a list"))
    {
        assert_eq!(found["source"], sent["source"]);
    }
}

#[test]
fn a_normalized_lstm_comes_back_with_its_table() {
    let (work, folder) = (Work::new(), fixtures("nets/tiny_tft"));
    let weights = folder.join("weights.safetensors");
    let short: toml::Table = table(&std::fs::read_to_string(folder.join("net.toml")).expect("a file"));
    let net = "family = \"lstm\"\nlookback = 60\nn_hidden = 64\nn_layers = 1\nhead = [{ n_out = 1, activation = \"none\" }]";
    let mut config = toml::Table::new();
    for key in ["name", "inputs", "outputs"] {
        config.insert(key.into(), short[key].clone());
    }
    config.insert("net".into(), table(net).into());
    let normalizers = "[[normalizers]]\nname = \"y\"\nsource = { fixed = { center = 0.1, scale = 3.0 } }";
    normalize(&mut config, normalizers, "y");
    std::fs::write(work.path("net.toml"), toml::to_string(&config).expect("TOML")).expect("written");
    goes_round(&work, &weights);
    let back = table(&std::fs::read_to_string(work.path("back.toml")).expect("a file"));
    assert_eq!(back["normalizers"][0]["name"].as_str(), Some("y"));
    assert_eq!(back["net"], config["net"]);
}
