//! Programs in C find columns, keep handles in their own memory and call fast handles, with the bits of the heap's.

use crate::compiler::{digits, programs};
use crate::library::{has, successful};
use crate::models::{self, families};
use crate::streams::files_of_rows;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use tickfuse::{CallerInput, CallerOutput};
use tickfuse_core::bundle::{Arrival, Missing, Role, Schema};
use tickfuse_core::{Model, OpenOptions, Step, Stream};

fn layout() -> [String; 2] {
    [
        format!(
            "layout input {} {} {} {} {} {}",
            size_of::<CallerInput>(),
            offset_of!(CallerInput, n_categories),
            offset_of!(CallerInput, role),
            offset_of!(CallerInput, missing),
            offset_of!(CallerInput, is_of_bars),
            offset_of!(CallerInput, name),
        ),
        format!(
            "layout output {} {} {} {} {} {}",
            size_of::<CallerOutput>(),
            offset_of!(CallerOutput, kind),
            offset_of!(CallerOutput, step),
            offset_of!(CallerOutput, tau),
            offset_of!(CallerOutput, name),
            offset_of!(CallerOutput, unit),
        ),
    ]
}

/// What `memory.c` says of a model's inputs.
fn inputs(schema: &Schema) -> impl Iterator<Item = String> {
    let line = |input: &tickfuse_core::bundle::Input| {
        let role = match input.role {
            Role::Observed => 0,
            Role::Known => 1,
            Role::Static => 2,
        };
        let missing = u32::from(input.missing == Missing::Center);
        let n_categories = input.categories.as_ref().map_or(0, |c| c.labels.len());
        let is_of_bars = u32::from(input.feature.is_some());
        format!(
            "input {} {role} {missing} {n_categories} {is_of_bars}",
            input.name
        )
    };
    schema.inputs[..schema.n_features()].iter().map(line)
}

/// The answer to the last row, where the model has streams.
fn last(bytes: &[u8], rows: &[Vec<f32>]) -> Option<String> {
    let model = Model::from_bytes(bytes, OpenOptions::default()).unwrap();
    let mut stream = Stream::new(&model).ok()?;
    let mut out = vec![0.0; model.schema().n_outputs()];
    let steps: Vec<Step> = rows
        .iter()
        .map(|row| stream.push(row, &mut out).unwrap())
        .collect();
    match steps.last() {
        Some(Step::Answer(flags)) => Some(format!("last {}{}", flags.bits(), digits(&out))),
        other => panic!("{other:?}"),
    }
}

/// Rows that every family takes: categories are their first code.
fn rows(schema: &Schema) -> Vec<Vec<f32>> {
    let value = |t: usize, column: usize| match schema.inputs[column].categories {
        Some(_) => 0.0,
        None => models::noise(70 + t as u64, column),
    };
    let n_features = schema.n_features();
    let n = schema.n_rows() + 5;
    (0..n)
        .map(|t| (0..n_features).map(|column| value(t, column)).collect())
        .collect()
}

fn check(programs: &[std::path::PathBuf], folder: &Path, schema: &Schema, bytes: &[u8]) {
    let rows = rows(schema);
    let arguments = files_of_rows(folder, bytes, &rows);
    for program in programs {
        let found = successful(Command::new(program).args(&arguments[1..]));
        let mut lines = found.lines();
        for expected in layout().into_iter().chain(inputs(schema)) {
            assert_eq!(lines.next(), Some(&expected[..]));
        }
        for name in schema.output_names() {
            let line = lines.next().unwrap();
            assert!(line.starts_with(&format!("output {name} ")), "{line}");
        }
        let arrival = match schema.arrival {
            _ if schema.net.n_ahead() > 0 => 0,
            Arrival::WholeWindow => 1,
            Arrival::PreRolled => 2,
        };
        assert_eq!(lines.next(), Some(&format!("arrival {arrival}")[..]));
        assert_eq!(lines.next().map(str::to_owned), last(bytes, &rows));
        assert_eq!(lines.next(), None);
    }
}

#[test]
#[cfg(unix)]
fn handles_in_the_callers_memory_and_fast_ones_answer_as_those_of_the_heap() {
    if !has("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = programs("cc", "-std=c11", "memory.c", folder.path());
    for (schema, bytes) in models::small_models() {
        check(&programs, folder.path(), &schema, &bytes);
    }
    for schema in families::small_schemas() {
        let bytes = families::file(&schema, &families::tensors(&schema));
        check(&programs, folder.path(), &schema, &bytes);
    }
}
