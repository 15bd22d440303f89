//! Programs in C and C++ take the rows of several symbols at once and one by one, with the bits of a stream per symbol.

use crate::compiler::{answer, told_alike};
use crate::library::successful;
use crate::memory::{rows, with_future};
use crate::models::{self, families};
use crate::streams::files_of_rows;
use std::path::Path;
use std::process::Command;
use tickfuse_core::bundle::Schema;
use tickfuse_core::{Model, OpenOptions, Step, Stream};

const N_SYMBOLS: usize = 7;

/// What a stream per symbol says, of which one becomes a copy of another half-way.
fn pushed(bytes: &[u8], rows: &[Vec<f32>]) -> Vec<String> {
    let model = Model::from_bytes(bytes, OpenOptions::default()).unwrap();
    let mut streams: Vec<Stream> = (0..N_SYMBOLS).map(|_| Stream::new(&model).unwrap()).collect();
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut lines = Vec::new();
    for t in 0..rows.len() {
        if t == rows.len() / 2 {
            streams[5] = streams[2].clone();
        }
        for (k, stream) in streams.iter_mut().enumerate() {
            let row = &rows[(t + k) % rows.len()];
            lines.push(match stream.push(row, &mut out).unwrap() {
                Step::WarmingUp { remaining } => format!("push waits {remaining}"),
                Step::Answer(flags) => answer("push", flags.bits(), &out),
            });
        }
    }
    lines
}

fn check(folder: &Path, schema: &Schema, bytes: &[u8]) {
    let rows = rows(schema);
    let mut arguments = files_of_rows(folder, bytes, &rows);
    arguments[0] = "symbols".to_owned();
    let expected = pushed(bytes, &with_future(schema, &rows));
    for program in told_alike("symbols.c") {
        let found = successful(Command::new(&program.path).args(&arguments));
        program.check(&found, &expected);
    }
}

#[test]
#[cfg(unix)]
fn many_symbols_are_told_what_a_stream_of_each_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (schema, bytes) in models::small_models() {
        check(folder.path(), &schema, &bytes);
    }
    for schema in families::small_schemas() {
        let bytes = families::file(&schema, &families::tensors(&schema));
        check(folder.path(), &schema, &bytes);
    }
}
