//! The source systems' own checkpoints: answers against the fixtures', and what is said about them.

use crate::program::{Array, Work, apart, array, fixtures};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Share of the answers' range by which f32 may be off.
const F32: f64 = 2e-5;

pub(crate) fn seed(name: &str) -> PathBuf {
    fixtures("seeds").join(name)
}

/// Imports a checkpoint as `m.safetensors`; the report.
fn import(work: &Work, kind: &str, file: &str, options: &[&str]) -> Value {
    let file = seed(file);
    let file = file.to_str().expect("UTF-8");
    let args = [
        &["--json", "import", "seed", kind, file, "--out", "m.safetensors"],
        options,
    ]
    .concat();
    work.run(&args).document()
}

fn finding_names(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("a list");
    findings
        .iter()
        .map(|f| f["name"].as_str().expect("a name"))
        .collect()
}

fn schema(work: &Work) -> Value {
    work.run(&["--json", "inspect", "m.safetensors"]).document()["schema"].clone()
}

/// Answers of `m.safetensors` are those of the fixture, each row turned by `finish`.
fn assert_answers(work: &Work, npz: &str, finish: impl Fn(&[f64]) -> Vec<f64>) {
    let found = work.answers("m.safetensors", &seed(npz));
    let golden = array::<f64>(&seed(npz), "output_f64");
    let expected: Vec<f64> = golden.rows().flat_map(finish).collect();
    let found = apart(&found.data, &expected);
    eprintln!("{npz}: {found:.2e} of the range");
    assert!(found <= F32, "{npz}: {found:e}");
}

#[test]
fn a_lightning_checkpoint_of_tiny_answers_as_its_source() {
    let work = Work::new();
    let report = import(&work, "tiny", "tiny.ckpt", &["--lookback", "12"]);
    assert_answers(&work, "tiny.npz", <[f64]>::to_vec);
    assert_eq!(finding_names(&report), ["label-looks-twice", "scaler-unknown"]);
    assert_eq!(
        report["target"],
        json!({ "horizon": 10, "label": "close[t+10] > close[t+5]" })
    );
    let schema = schema(&work);
    assert!(
        schema["inputs"][0]["feature"].is_null(),
        "columns come scaled from the caller"
    );
    assert!(schema["provenance"]["findings"]["scaler-unknown"].is_string());
}

#[test]
fn tiny_with_scalers_computes_its_inputs_from_bars() {
    let work = Work::new();
    let names = ["close", "ret1", "sma20_gap", "sma50_gap", "vol_z"];
    let scalers: String = names
        .map(|n| format!("{n} = {{ center = 1.0, scale = 2.0 }}\n"))
        .concat();
    std::fs::write(work.path("scalers.toml"), scalers).expect("written");
    let report = import(
        &work,
        "tiny",
        "tiny.ckpt",
        &["--scalers", "scalers.toml", "--horizon", "1"],
    );
    assert_eq!(finding_names(&report), ["label-looks-twice"]);
    let schema = schema(&work);
    assert_eq!(schema["inputs"][4]["feature"], json!({ "vol_z": { "n": 50 } }));
    assert_eq!(
        schema["inputs"][4]["scaler"],
        json!({ "center": 1.0, "scale": 2.0 })
    );
    assert_eq!(schema["net"]["lookback"], 60, "the source's");
}

#[test]
fn a_state_dict_of_simple_answers_as_its_source() {
    let work = Work::new();
    let report = import(&work, "simple", "simple.pt", &["--lookback", "16"]);
    assert_answers(&work, "simple.npz", <[f64]>::to_vec);
    assert_eq!(
        finding_names(&report),
        ["inputs-unscaled", "symbols-interleaved", "best-is-last"]
    );
    assert_eq!(schema(&work)["inputs"][0]["missing"], "center");
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = logits.iter().map(|z| (z - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|v| v / sum).collect()
}

#[test]
fn a_checkpoint_of_quantile_answers_as_its_source_from_raw_rows() {
    let work = Work::new();
    let options = ["--classes", "down,flat,up", "--accept", "class-index-quantiles"];
    let report = import(&work, "quantile", "quantile.pth", &options);
    assert_answers(&work, "quantile.npz", |row| {
        [softmax(&row[..3]), row[3..].to_vec()].concat()
    });
    let names = [
        "class-index-quantiles",
        "class-order",
        "scaler-shared",
        "features-assumed",
    ];
    assert_eq!(finding_names(&report), names);
    let schema = schema(&work);
    assert_eq!(schema["outputs"][0]["labels"], json!(["down", "flat", "up"]));
    assert_eq!(schema["outputs"][1]["name"], "class_index");
    assert_eq!(
        schema["outputs"][1]["unit"],
        "class index (0 = down, 1 = flat, 2 = up)"
    );
    assert!(schema["provenance"]["findings"]["class-index-quantiles"].is_string());
}

#[test]
fn warnings_stand_in_the_text_too() {
    let work = Work::new();
    let file = seed("quantile.pth");
    let file = file.to_str().expect("UTF-8");
    let accept = "--accept=class-index-quantiles";
    let ran = work.run(&[
        "import",
        "seed",
        "quantile",
        file,
        "--classes",
        "down,flat,up",
        accept,
    ]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stdout.starts_with("warning class-index-quantiles: "),
        "{}",
        ran.stdout
    );
}

/// `metadata.json` as the source writes it, of the fixture's sizes.
pub(crate) fn metadata(loss_mode: &str) -> Value {
    json!({
        "version": 3, "model_type": "x_trend", "n_features": 4, "n_assets": 6,
        "feature_names": ["x00", "x01", "x02", "x03"],
        "asset_names": ["A", "B", "C", "D", "E", "F"],
        "config": {
            "d_hidden": 12, "n_heads": 4, "lstm_layers": 2, "dropout": 0.1, "n_features": 4, "seq_len": 14,
            "ctx_len": 9, "n_context": 5, "n_assets": 6, "loss_mode": loss_mode, "max_position": 0.25
        },
        "normalization": { "means": [0.0, 0.0, 0.0, 0.0], "stds": [1.0, 1.0, 1.0, 1.0] }
    })
}

/// The fixture's contexts, `rows` of them changed by the caller.
pub(crate) fn write_contexts(path: &Path, change: impl Fn(&mut [f32])) {
    let mut rows: Array<f32> = array(&seed("xtrend.npz"), "context_input");
    let codes: Array<i64> = array(&seed("xtrend.npz"), "context_entity");
    change(&mut rows.data);
    let rows_bytes: Vec<u8> = rows.data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let code_bytes: Vec<u8> = codes.data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let views = [
        (
            "contexts.input",
            TensorView::new(Dtype::F32, rows.shape, &rows_bytes).expect("a tensor"),
        ),
        (
            "contexts.entity",
            TensorView::new(Dtype::I64, codes.shape, &code_bytes).expect("a tensor"),
        ),
    ];
    std::fs::write(path, safetensors::serialize(views, None).expect("safetensors")).expect("written");
}

#[test]
fn a_checkpoint_of_xtrend_answers_as_its_source() {
    let work = Work::new();
    std::fs::write(work.path("meta.json"), metadata("sharpe").to_string()).expect("written");
    write_contexts(&work.path("c.safetensors"), |_| {});
    let options = ["--metadata", "meta.json", "--contexts", "c.safetensors"];
    let report = import(&work, "xtrend", "xtrend.pt", &options);
    assert_answers(&work, "xtrend.npz", |row| vec![row[0], row[1], row[2].exp()]);
    assert_eq!(
        finding_names(&report),
        ["window-one-day-stale", "gaussian-untrained"]
    );
    assert_eq!(report["target"]["horizon"], 2);
    let schema = schema(&work);
    assert_eq!(schema["inputs"][4]["categories"]["labels"][5], "F");
    assert_eq!(schema["net"]["head"], "position");
}

#[test]
fn the_loss_of_xtrend_decides_where_its_position_comes_from() {
    let work = Work::new();
    std::fs::copy(seed("xtrend.pt"), work.path("model.pt")).expect("copied");
    std::fs::write(work.path("metadata.json"), metadata("joint_mle").to_string()).expect("written");
    write_contexts(&work.path("c.safetensors"), |_| {});
    let args = [
        "--json",
        "import",
        "seed",
        "xtrend",
        "model.pt",
        "--contexts",
        "c.safetensors",
        "--out",
        "m.safetensors",
    ];
    let report = work.run(&args).document();
    assert_eq!(finding_names(&report), ["window-one-day-stale"]);
    let found = work.answers("m.safetensors", &seed("xtrend.npz"));
    let position = |row: &[f32]| erf(f64::from(row[1]) / f64::from(row[2]) / std::f64::consts::SQRT_2);
    let expected: Vec<f64> = found.rows().map(position).collect();
    let positions: Vec<f32> = found.rows().map(|row| row[0]).collect();
    assert!(apart(&positions, &expected) <= F32);
}

/// Error function by its series, for the small arguments of a test: `2 Phi(x) - 1 = erf(x / sqrt 2)`.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..80 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
