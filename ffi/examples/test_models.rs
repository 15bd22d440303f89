//! Writes small models, windows for them and what Rust answers into a folder, for the tests of the Python package.
//!
//!     cargo run -p tickfuse-ffi --example test_models -- <folder>

#[path = "../../core/tests/common/mod.rs"]
mod models;

use models::families;
use serde_json::json;
use std::path::Path;
use tickfuse_core::bundle::{Missing, Net, Schema, Target};
use tickfuse_core::features::FeatureOp;
use tickfuse_core::{Model, OpenOptions, Session};

const N_WINDOWS: usize = 12;

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).expect("the folder is made");
    for (name, schema, bytes) in all() {
        write(folder, name, &schema, &bytes);
    }
}

/// An LSTM in each precision, one that knows its times, one of bars, a TFT with known and categorical columns, an X-Trend.
fn all() -> Vec<(&'static str, Schema, Vec<u8>)> {
    let [
        (f32_schema, f32_bytes),
        (bf16_schema, bf16_bytes),
        (i16_schema, i16_bytes),
    ] = models::small_models()
        .try_into()
        .expect("a model of each precision");
    let mut dated = f32_schema.clone();
    dated.bar_interval_ns = Some(60_000_000_000);
    dated.target = Some(Target {
        horizon: 5,
        label: "close[t+5] > close[t]".into(),
    });
    dated.provenance.insert("seed".into(), json!(7));
    let dated_bytes = models::file(&dated, &models::tensors(&dated, 3));
    let mut tft = families::tft_schema(families::SMALL_TFT);
    tft.inputs[0].categories.as_mut().expect("a categorical").unknown = Some(1);
    let tft_bytes = families::file(&tft, &families::tensors(&tft));
    let mut contexts = families::xtrends();
    let xtrend = families::schema(Net::Xtrend(contexts.next().expect("a form")), 5);
    let xtrend_bytes = families::file(&xtrend, &families::tensors(&xtrend));
    let bars = of_bars(dated.clone());
    let bars_bytes = models::file(&bars, &models::tensors(&bars, 4));
    let symbols = of_symbols();
    let symbols_bytes = families::file(&symbols, &families::tensors(&symbols));
    let ahead = families::tft_of_minutes(0, &families::minute_of_hour(), &FeatureOp::Ret1);
    let ahead_bytes = families::file(&ahead, &families::tensors(&ahead));
    vec![
        ("lstm_f32", f32_schema, f32_bytes),
        ("lstm_bf16", bf16_schema, bf16_bytes),
        ("lstm_i16", i16_schema, i16_bytes),
        ("lstm_dated", dated, dated_bytes),
        ("tft", tft, tft_bytes),
        ("xtrend", xtrend, xtrend_bytes),
        ("lstm_bars", bars, bars_bytes),
        ("tft_bars", symbols, symbols_bytes),
        ("tft_ahead", ahead, ahead_bytes),
    ]
}

/// A TFT without a decoder, of one feature of bars and one category, of which the first stands for unknown ones.
fn of_symbols() -> Schema {
    let mut schema = families::tft_schema(families::TftSize {
        n_ahead: 0,
        n_static: 1,
        n_known: 0,
        n_observed: 1,
        ..families::SMALL_TFT
    });
    schema.inputs[0]
        .categories
        .as_mut()
        .expect("a categorical")
        .unknown = Some(0);
    schema.inputs[1].feature = Some(FeatureOp::Ret1);
    schema
}

/// A model whose three columns are features of bars a minute apart.
fn of_bars(mut schema: Schema) -> Schema {
    let features = [FeatureOp::Close, FeatureOp::Ret1, FeatureOp::Volume];
    for (input, feature) in schema.inputs.iter_mut().zip(features) {
        input.feature = Some(feature);
    }
    schema
}

/// `<name>.safetensors`, `<name>.windows.f32` and `<name>.json`.
fn write(folder: &Path, name: &str, schema: &Schema, bytes: &[u8]) {
    let model = Model::from_bytes(bytes, OpenOptions::default()).expect("the model opens");
    let mut session = Session::new(&model, 1);
    let mut answers = Vec::new();
    let windows = windows(schema);
    for window in &windows {
        let mut out = vec![0.0_f32; schema.n_outputs()];
        let flags = session.run(window, &mut out).expect("the window is answered");
        let bits: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
        answers.push(json!({"flags": flags.bits(), "bits": bits}));
    }
    let said = json!({
        "hash": model.hash(),
        "level": model.level().name(),
        "lookback": schema.lookback(),
        "n_rows": schema.n_rows(),
        "output_names": schema.output_names(),
        "answers": answers,
    });
    let values: Vec<u8> = windows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    let file = |extension: &str| folder.join(format!("{name}.{extension}"));
    std::fs::write(file("safetensors"), bytes).expect("the model is written");
    std::fs::write(file("windows.f32"), values).expect("the windows are written");
    std::fs::write(file("json"), said.to_string()).expect("the answers are written");
}

/// The windows; every other one of an LSTM has an input to impute.
fn windows(schema: &Schema) -> Vec<Vec<f32>> {
    if !matches!(schema.net, Net::Lstm(_)) {
        return families::windows(schema, N_WINDOWS);
    }
    let column = schema.inputs.iter().position(|i| i.missing == Missing::Center);
    let column = column.expect("an input that is imputed");
    let window = |i: usize| {
        let mut window = models::window(schema, 500 + i as u64);
        if i % 2 == 1 {
            window[column] = f32::NAN;
        }
        window
    };
    (0..N_WINDOWS).map(window).collect()
}
