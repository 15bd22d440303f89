//! Programs in C find columns, keep handles in their own memory and call fast handles, with the bits of the heap's.

use crate::compiler::{digits, told_alike};
use crate::library::successful;
use crate::models::{self, families};
use crate::streams::files_of_rows;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use tickfuse::{CallerInput, CallerOutput};
use tickfuse_core::bundle::{Arrival, Missing, OutputKind, Role, Schema};
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

/// Every row with the rows that follow it, as many as the model reads of the future.
pub(crate) fn with_future(schema: &Schema, rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let each = rows.windows(1 + schema.net.n_ahead());
    each.map(<[Vec<f32>]>::concat).collect()
}

/// The answer to the last row.
fn last(bytes: &[u8], rows: &[Vec<f32>]) -> String {
    let model = Model::from_bytes(bytes, OpenOptions::default()).unwrap();
    let mut stream = Stream::new(&model).unwrap();
    let mut out = vec![0.0; model.schema().n_outputs()];
    let steps: Vec<Step> = with_future(model.schema(), rows)
        .iter()
        .map(|row| stream.push(row, &mut out).unwrap())
        .collect();
    match steps.last() {
        Some(Step::Answer(flags)) => format!("last {}{}", flags.bits(), digits(&out)),
        other => panic!("{other:?}"),
    }
}

/// Rows that every family takes: categories are their first code.
pub(crate) fn rows(schema: &Schema) -> Vec<Vec<f32>> {
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

/// Names, kinds and units of an answer's numbers.
fn outputs(schema: &Schema) -> Vec<String> {
    let n_columns = schema.n_columns();
    let columns = schema.outputs.iter().flat_map(|group| {
        (0..group.labels.len()).map(move |place| {
            let kind = match group.kind {
                OutputKind::Linear => 0,
                OutputKind::Sigmoid | OutputKind::Softmax => 1,
                OutputKind::Tanh => 2,
                OutputKind::GaussianLogSigma | OutputKind::GaussianSoftplus => 4 + place,
                _ => 3,
            };
            (
                group.unit.clone(),
                kind,
                group
                    .levels
                    .get(place)
                    .map_or(0, |tau| (tau * 1e6).round() as u64),
            )
        })
    });
    let columns: Vec<_> = columns.collect();
    let line = |(i, name): (usize, &String)| {
        let (unit, kind, tau) = &columns[i % n_columns];
        format!("output {name} {unit} {kind} {} {tau}", i / n_columns + 1)
    };
    schema.output_names().iter().enumerate().map(line).collect()
}

fn expected(schema: &Schema, bytes: &[u8], rows: &[Vec<f32>]) -> Vec<String> {
    let arrival = match schema.arrival {
        Arrival::WholeWindow => 1,
        Arrival::PreRolled => 2,
    };
    let mut lines: Vec<String> = layout().into_iter().chain(inputs(schema)).collect();
    lines.extend(outputs(schema));
    lines.push(format!("arrival {arrival}"));
    lines.push(last(bytes, rows));
    lines
}

fn check(folder: &Path, schema: &Schema, bytes: &[u8]) {
    let rows = rows(schema);
    let mut arguments = files_of_rows(folder, bytes, &rows);
    arguments[0] = "memory".to_owned();
    for program in told_alike("memory.c") {
        let found = successful(Command::new(&program.path).args(&arguments));
        program.check(&found, &expected(schema, bytes, &rows));
    }
}

#[test]
#[cfg(unix)]
fn handles_in_the_callers_memory_and_fast_ones_answer_as_those_of_the_heap() {
    let folder = tempfile::tempdir().unwrap();
    for (schema, bytes) in models::small_models() {
        check(folder.path(), &schema, &bytes);
    }
    for schema in families::small_schemas() {
        let bytes = families::file(&schema, &families::tensors(&schema));
        check(folder.path(), &schema, &bytes);
    }
}
