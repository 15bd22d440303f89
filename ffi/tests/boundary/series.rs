//! Programs in C and C++ slide windows over series, and save, restore and copy streams, with the bits that Rust gets.

use crate::compiler::{answer, told_alike};
use crate::library::successful;
use crate::memory::{rows, with_future};
use crate::models::{self, families};
use crate::streams::files_of_rows;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tickfuse_core::bundle::Schema;
use tickfuse_core::{Model, OpenOptions, Session, Step, Stream};

/// The answers to windows that begin `stride` rows apart.
fn windows(model: &Arc<Model>, rows: &[Vec<f32>], stride: usize) -> Vec<String> {
    let mut session = Session::new(model, 1);
    let mut out = vec![0.0; model.schema().n_outputs()];
    let each = rows.windows(model.schema().n_rows()).step_by(stride);
    each.map(|window| {
        let flags = session.run(&window.concat(), &mut out).unwrap();
        answer("window", flags.bits(), &out)
    })
    .collect()
}

/// What a stream says of every row.
fn pushed(model: &Arc<Model>, rows: &[Vec<f32>]) -> Vec<String> {
    let mut stream = Stream::new(model).unwrap();
    let mut out = vec![0.0; model.schema().n_outputs()];
    let line = |row: &Vec<f32>| match stream.push(row, &mut out).unwrap() {
        Step::WarmingUp { remaining } => format!("push waits {remaining}"),
        Step::Answer(flags) => answer("push", flags.bits(), &out),
    };
    let rows = with_future(model.schema(), rows);
    rows.iter().map(line).collect()
}

fn check(folder: &Path, schema: &Schema, bytes: &[u8]) {
    let model = Model::from_bytes(bytes, OpenOptions::default()).unwrap();
    let rows = rows(schema);
    let mut arguments = files_of_rows(folder, bytes, &rows);
    arguments[0] = "series".to_owned();
    let mut expected = windows(&model, &rows, 1);
    expected.extend(windows(&model, &rows, 3));
    expected.extend(pushed(&model, &rows));
    for program in told_alike("series.c") {
        let found = successful(Command::new(&program.path).args(&arguments));
        program.check(&found, &expected);
    }
}

#[test]
#[cfg(unix)]
fn windows_of_a_series_and_streams_restored_within_it_have_the_bits_that_rust_gets() {
    let folder = tempfile::tempdir().unwrap();
    for (schema, bytes) in models::small_models() {
        check(folder.path(), &schema, &bytes);
    }
    for schema in families::small_schemas() {
        let bytes = families::file(&schema, &families::tensors(&schema));
        check(folder.path(), &schema, &bytes);
    }
}
