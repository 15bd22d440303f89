//! Programs in C11 and C++ with streams are told what Rust is told: the same steps, flags and bits.

use crate::compiler::{self, answer};
use crate::library::successful;
use crate::models::{self, families};
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tickfuse::{CallerBar, CallerStep};
use tickfuse_core::features::{Bar, FeatureOp};
use tickfuse_core::{Model, OpenOptions, Step, Stream};

const N: usize = 30;

fn opened(bytes: &[u8]) -> Arc<Model> {
    Model::from_bytes(bytes, OpenOptions::default()).unwrap()
}

/// Rows of which every fourth has a value to impute.
pub(crate) fn rows(n_features: usize) -> Vec<Vec<f32>> {
    let value = |i: usize, j: usize| match (i % 4, j) {
        (3, 1) => f32::NAN,
        _ => models::noise(900 + i as u64, j) * 3.0,
    };
    (0..N)
        .map(|i| (0..n_features).map(|j| value(i, j)).collect())
        .collect()
}

/// A file of two features of bars.
pub(crate) fn of_bars() -> Vec<u8> {
    let (mut schema, _) = models::small_models().swap_remove(0);
    schema.inputs.truncate(2);
    schema.bar_interval_ns = Some(60);
    schema.inputs[0].feature = Some(FeatureOp::LogRet { lag: 2 });
    schema.inputs[1].feature = Some(FeatureOp::SmaRatio { n: 4 });
    models::file(&schema, &models::tensors(&schema, 5))
}

/// A file that answers for three bars ahead of minutes, of which the calendar is known.
fn of_bars_ahead() -> Vec<u8> {
    let schema = families::tft_of_minutes(0, &families::minute_of_hour(), &FeatureOp::LogRet { lag: 1 });
    families::file(&schema, &families::tensors(&schema))
}

/// A bar per minute, but for one that is missing and four that are.
pub(crate) fn bars() -> Vec<Bar> {
    let minute = |i: usize| i + usize::from(i >= 14) + 4 * usize::from(i >= 18);
    let bar = |i: usize| {
        let close = 100.0 + f64::from(models::noise(4, i));
        Bar {
            ts_ns: minute(i) as i64 * 60,
            open: close,
            high: close + 1.0,
            low: close - 1.0,
            close,
            volume: 1.0,
        }
    };
    (0..2 * N).map(bar).collect()
}

fn bytes_of(bar: &Bar) -> Vec<u8> {
    let prices = [bar.open, bar.high, bar.low, bar.close, bar.volume];
    let prices = prices.iter().flat_map(|v| v.to_le_bytes());
    bar.ts_ns.to_le_bytes().into_iter().chain(prices).collect()
}

/// Writes the model and what it is to take, and gives the arguments of the program.
pub(crate) fn files(folder: &Path, kind: &str, model: &[u8], taken: &[u8]) -> Vec<String> {
    let [model_path, taken_path] = ["model", "taken"].map(|name| folder.join(name));
    std::fs::write(&model_path, model).unwrap();
    std::fs::write(&taken_path, taken).unwrap();
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    vec![kind.to_owned(), path(&model_path), path(&taken_path)]
}

pub(crate) fn files_of_rows(folder: &Path, model: &[u8], rows: &[Vec<f32>]) -> Vec<String> {
    let taken: Vec<u8> = rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    files(folder, "rows", model, &taken)
}

pub(crate) fn files_of_bars(folder: &Path, model: &[u8], bars: &[Bar]) -> Vec<String> {
    let taken: Vec<u8> = bars.iter().flat_map(bytes_of).collect();
    files(folder, "bars", model, &taken)
}

fn layout() -> [String; 2] {
    [
        format!(
            "layout bar {} {} {} {} {} {} {}",
            size_of::<CallerBar>(),
            offset_of!(CallerBar, ts_ns),
            offset_of!(CallerBar, open),
            offset_of!(CallerBar, high),
            offset_of!(CallerBar, low),
            offset_of!(CallerBar, close),
            offset_of!(CallerBar, volume)
        ),
        format!(
            "layout step {} {} {} {} {}",
            size_of::<CallerStep>(),
            offset_of!(CallerStep, kind),
            offset_of!(CallerStep, flags),
            offset_of!(CallerStep, remaining),
            offset_of!(CallerStep, ts_ns)
        ),
    ]
}

/// A line of `print_step`.
fn told(name: &str, step: Step, out: &[f32]) -> String {
    match step {
        Step::WarmingUp { remaining } => format!("{name} waits {remaining}"),
        Step::Answer(flags) => answer(name, flags.bits(), out),
    }
}

/// What is printed of rows by a stream of Rust.
fn told_of_rows(model: &[u8], rows: &[Vec<f32>]) -> Vec<String> {
    let model = opened(model);
    let mut stream = Stream::new(&model).unwrap();
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut lines = Vec::new();
    for row in rows {
        let step = stream.push(row, &mut out).unwrap();
        let names = ["peek", "push", "peek_f64", "push_f64"];
        lines.extend(names.iter().map(|name| told(name, step, &out)));
    }
    lines
}

/// What is printed of bars by a stream of Rust that accepts one missing bar.
fn told_of_bars(model: &[u8], bars: &[Bar]) -> Vec<String> {
    let model = opened(model);
    let mut stream = Stream::new(&model).unwrap();
    stream.set_max_missing_bars(1);
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut lines = Vec::new();
    for bar in bars {
        let step = stream.peek_bar(bar, &mut out).unwrap();
        lines.push(told("peek_bar", step, &out));
        let step = stream.push_bar(bar, &mut out).unwrap();
        lines.push(told("push_bar", step, &out));
    }
    lines
}

#[test]
#[cfg(unix)]
fn rows_from_programs_give_the_steps_and_bits_that_rows_from_rust_give() {
    let folder = tempfile::tempdir().unwrap();
    for (schema, model) in models::small_models() {
        let rows = rows(schema.n_features());
        let expected = [layout().to_vec(), told_of_rows(&model, &rows)].concat();
        assert!(expected.iter().any(|line| line.starts_with("push 1 ")));
        let arguments = files_of_rows(folder.path(), &model, &rows);
        for program in compiler::told_alike("streams.c") {
            program.check(
                &successful(Command::new(&program.path).args(&arguments)),
                &expected,
            );
        }
    }
}

#[test]
#[cfg(unix)]
fn bars_from_programs_give_the_steps_and_bits_that_bars_from_rust_give() {
    let folder = tempfile::tempdir().unwrap();
    let of_seconds = |bar: Bar| Bar {
        ts_ns: bar.ts_ns * 1_000_000_000,
        ..bar
    };
    let ahead = (
        of_bars_ahead(),
        bars().into_iter().map(of_seconds).collect(),
        2 * 5,
    );
    for (model, bars, n_waiting) in [(of_bars(), bars(), 2 * 9), ahead] {
        let expected = [layout().to_vec(), told_of_bars(&model, &bars)].concat();
        let waits = expected.iter().filter(|line| line.contains("push_bar waits"));
        assert_eq!(waits.count(), n_waiting, "at the beginning and behind the gap");
        let arguments = files_of_bars(folder.path(), &model, &bars);
        for program in compiler::told_alike("streams.c") {
            program.check(
                &successful(Command::new(&program.path).args(&arguments)),
                &expected,
            );
        }
    }
}
