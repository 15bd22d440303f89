//! Rows of the future: made from the times of bars, and refused with the reason.

use crate::common::families;
use crate::models::{bar, levels};
use std::sync::Arc;
use tickfuse_core::bundle::{Arrival, Input, Role, Schema};
use tickfuse_core::error::StreamError;
use tickfuse_core::features::{Bar, FeatureOp, Ready};
use tickfuse_core::{Flags, Level, Model, OpenOptions, Session, Step, Stream};

const MINUTE_NS: i64 = 60_000_000_000;

/// Answers for three bars ahead of minutes, of which `known` is known, and the symbol.
fn schema_of_bars(known: &FeatureOp) -> Schema {
    Schema {
        arrival: Arrival::PreRolled,
        ..families::tft_of_minutes(1, known, &FeatureOp::LogRet { lag: 1 })
    }
}

fn open(schema: &Schema, level: Level) -> Arc<Model> {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    let bytes = families::file(schema, &families::tensors(schema));
    Model::from_bytes(&bytes, options).unwrap()
}

/// What the set of features says of bars at the times of the next three: only what is known of it is to be read.
fn future(model: &Model, bar: &Bar) -> Vec<f64> {
    let is_known = |input: &Input| input.role == Role::Known;
    let mut rows = model.bar_rows().unwrap();
    let _ = rows.push(bar).unwrap();
    let mut future = Vec::new();
    for k in 1..=3 {
        let ts_ns = bar.ts_ns + k * MINUTE_NS;
        assert_eq!(rows.peek(&Bar { ts_ns, ..*bar }).unwrap(), Ready::Row);
        let row = rows.row().iter().zip(&model.schema().inputs);
        future.extend(row.map(|(x, input)| if is_known(input) { *x } else { f64::NAN }));
    }
    future
}

#[test]
fn the_times_of_bars_tell_what_is_known_of_the_future() {
    let schema = schema_of_bars(&families::minute_of_hour());
    for level in levels() {
        let model = open(&schema, level);
        let (mut stream, mut session) = (Stream::new(&model).unwrap(), Session::new(&model, 1));
        stream.set_max_missing_bars(1);
        let mut rows = model.bar_rows().unwrap();
        let (mut past, n) = (Vec::new(), schema.n_features());
        let [mut out, mut peeked, mut expected] = [(); 3].map(|()| vec![0.0; schema.n_outputs()]);
        // One bar is missing, which is accepted, and then ten.
        for i in (0..30).chain(31..60).chain(70..90) {
            let ts_ns = i * MINUTE_NS;
            let bar = Bar { ts_ns, ..bar(i) };
            if i == 70 {
                rows.reset();
                past.clear();
            }
            if rows.push(&bar).unwrap() == Ready::Row {
                past.extend_from_slice(rows.row());
            }
            let step = stream.peek_bar(&bar, &mut peeked).unwrap();
            assert_eq!(stream.push_bar(&bar, &mut out).unwrap(), step);
            if i % 3 > 0 {
                stream.prepare();
            }
            let Some(from) = (past.len() / n).checked_sub(schema.lookback()) else {
                assert!(matches!(step, Step::WarmingUp { .. }));
                continue;
            };
            let window = [&past[from * n..], &future(&model, &bar)].concat();
            session.run(&window, &mut expected).unwrap();
            let answers = (step, &out, &peeked);
            assert_eq!(
                answers,
                (Step::Answer(Flags::NONE), &expected, &expected),
                "bar {i}"
            );
        }
    }
}

#[test]
fn bars_that_do_not_tell_the_future_are_refused_with_the_reason() {
    let refused = |schema: &Schema| {
        let mut stream = Stream::new(&open(schema, Level::Portable)).unwrap();
        let mut out = vec![0.0; schema.n_outputs()];
        let error = stream.push_bar(&bar(0), &mut out).unwrap_err();
        assert_eq!(stream.peek_bar(&bar(0), &mut out).unwrap_err(), error);
        error
    };
    let of_prices = schema_of_bars(&FeatureOp::Close);
    assert_eq!(refused(&of_prices), StreamError::Unforeseen { column: 1 });
    let timeless = Schema {
        bar_interval_ns: None,
        ..schema_of_bars(&families::minute_of_hour())
    };
    assert_eq!(refused(&timeless), StreamError::NoInterval);
}

#[test]
fn rows_of_the_future_that_are_missing_or_too_many_are_named() {
    let schema = families::tft_schema(families::SMALL_TFT);
    let mut stream = Stream::new(&open(&schema, Level::Portable)).unwrap();
    let n = schema.n_features();
    let mut found = |n_values, n_out| {
        let error = stream.push(&vec![0.0_f32; n_values], &mut vec![0.0; n_out]);
        error.unwrap_err().to_string()
    };
    assert_eq!(
        found(n, 9),
        "expected 1 to 3 rows of the future behind the row, which this model reads, found none"
    );
    assert_eq!(found(5 * n, 9), "decoder rows: expected 1 to 3, found 4");
    assert_eq!(found(2 * n + 1, 9), "input: expected 28 values, found 15");
    assert_eq!(found(n - 1, 9), "input: expected 28 values, found 6");
    assert_eq!(found(3 * n, 9), "output: expected room for 6 values, found 9");
}
