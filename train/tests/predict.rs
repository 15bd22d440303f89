//! Answers from bars: as many as there are whole windows, none across a gap on request, none at another interval.

use serde_json::json;
use std::sync::Arc;
use tickfuse_core::bundle::Schema;
use tickfuse_core::features::Bar;
use tickfuse_core::nets::tensor_shapes;
use tickfuse_core::plain::PlainTensor;
use tickfuse_core::{Model, OpenOptions, Session};
use tickfuse_train::assemble::assemble;
use tickfuse_train::predict::{self, PredictError};

const MINUTE: i64 = 60_000_000_000;
const LOOKBACK: usize = 4;

fn model() -> Arc<Model> {
    let scaler = json!({ "center": 0.0, "scale": 0.01 });
    let document = json!({
        "format": 1, "name": "synthetic", "precision": "f32", "arrival": "pre_rolled", "golden_tolerance": 1.0,
        "bar_interval_ns": MINUTE,
        "net": { "family": "lstm", "lookback": LOOKBACK, "n_hidden": 5, "n_layers": 1, "head": [{ "n_out": 1, "activation": "none" }] },
        "inputs": [{ "name": "r", "feature": { "log_ret": { "lag": 1 } }, "scaler": scaler }],
        "outputs": [{ "name": "up", "kind": "sigmoid", "labels": ["up"], "unit": "probability" }]
    });
    let schema: Schema = serde_json::from_value(document).unwrap();
    let value = |i: usize| (i as f32 * 0.7).sin();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let data = (0..shape.iter().product()).map(value).collect();
        (name, PlainTensor { shape, data })
    };
    let tensors = tensor_shapes(&schema).into_iter().map(tensor).collect();
    Model::from_bytes(&assemble(&schema, &tensors).unwrap(), OpenOptions::default()).unwrap()
}

/// Bars of a synthetic wave, `gap` minutes missing before bar `at`.
fn bars(n: usize, step: i64, at: usize, gap: i64) -> Vec<Bar> {
    let bar = |i: usize| {
        let close = 100.0 + (i as f64 * 0.9).sin();
        let late = if i >= at { gap * MINUTE } else { 0 };
        Bar {
            ts_ns: i as i64 * step + late,
            open: close,
            high: close,
            low: close,
            close,
            volume: 1.0,
        }
    };
    (0..n).map(bar).collect()
}

#[test]
fn every_whole_window_is_answered_as_a_session_answers_its_rows() {
    let (model, bars) = (model(), bars(20, MINUTE, 20, 0));
    let answers = predict::bars(&model, "X", &bars, Some(0)).unwrap();
    assert_eq!(answers.len(), 20 - 1 - LOOKBACK + 1);
    assert_eq!(answers.ts_ns.last(), Some(&(19 * MINUTE)));
    let rows: Vec<f64> = bars[15..]
        .windows(2)
        .map(|two| (two[1].close / two[0].close).ln())
        .collect();
    let mut out = [0.0];
    Session::new(&model, 1).run(&rows, &mut out).unwrap();
    assert!((answers.values.last().unwrap() - out[0]).abs() < 1e-6);
}

#[test]
fn a_gap_beyond_the_limit_starts_anew_and_a_shorter_one_does_not() {
    let (model, bars) = (model(), bars(20, MINUTE, 10, 3));
    let per_segment = 10 - 1 - LOOKBACK + 1;
    assert_eq!(
        predict::bars(&model, "X", &bars, Some(2)).unwrap().len(),
        2 * per_segment
    );
    assert_eq!(predict::bars(&model, "X", &bars, Some(3)).unwrap().len(), 16);
    assert_eq!(predict::bars(&model, "X", &bars, None).unwrap().len(), 16);
    assert_eq!(predict::gaps("X", &bars), 1);
}

#[test]
fn bars_of_another_interval_and_too_few_bars_are_refused() {
    let model = model();
    let daily = predict::bars(&model, "X", &bars(20, 1440 * MINUTE, 20, 0), None);
    assert!(matches!(daily, Err(PredictError::Interval { .. })), "{daily:?}");
    let short = predict::bars(&model, "X", &bars(LOOKBACK, MINUTE, 20, 0), None);
    assert!(
        matches!(
            short,
            Err(PredictError::TooShort {
                expected: LOOKBACK,
                found: 3,
                ..
            })
        ),
        "{short:?}"
    );
}
