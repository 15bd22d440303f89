//! Answers of imported models against those that pytorch-forecasting recorded.

use super::{Array, NETS, apart, folder, model};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Model, OpenOptions};
use tickfuse_train::arrays::Archive;
use tickfuse_train::assemble::assemble;
use tickfuse_train::import::forecasting::{Batch, Layout};
use tickfuse_train::predict::frame::{self, Windows};
use tickfuse_train::predict::scaled;

/// Share of the answers' range that f32 leaves, in the library and here.
const BOUND: f64 = 2e-5;
/// The same of weights in bf16.
const BF16_BOUND: f64 = 5e-2;
/// The same of weights and activations as integers.
const I16_BOUND: f64 = 5e-3;

/// Per window `[steps, columns]` of all targets, as the library's `predict` recorded quantiles.
fn predicted(name: &str) -> (Vec<f64>, usize) {
    let path = folder(name).join("predict.npz");
    let layout = Layout::of(model(name, Precision::F32).schema()).unwrap();
    let quantiles = layout
        .targets
        .iter()
        .map(|t| Array::read(&path, &format!("quantiles.{t}")).unwrap());
    let quantiles: Vec<Array> = quantiles.collect();
    let (n, n_steps) = (quantiles[0].shape[0], quantiles[0].shape[1]);
    let row = |at: usize| {
        let of_target = move |q: &Array| q.data[at * q.shape[2]..][..q.shape[2]].to_vec();
        quantiles.iter().flat_map(of_target).collect::<Vec<f64>>()
    };
    ((0..n * n_steps).flat_map(row).collect(), n)
}

fn batch(model: &Arc<Model>, file: &Path) -> Vec<f64> {
    let layout = Layout::of(model.schema()).unwrap();
    let mut archive = Archive::open(file).unwrap();
    assert!(Batch::is_in(&archive));
    let answers = scaled::batch(model, &Batch::read(&mut archive, &layout).unwrap()).unwrap();
    answers.values.iter().map(|v| f64::from(*v)).collect()
}

#[test]
fn scaled_batches_are_answered_as_the_library_predicts() {
    for name in NETS {
        let found = batch(&model(name, Precision::F32), &folder(name).join("predict.npz"));
        let apart = apart(&found, &predicted(name).0);
        println!("{name}: {apart:.2e} of the range");
        assert!(apart < BOUND, "{name}: {apart:e}");
    }
}

#[test]
fn windows_of_other_lengths_are_answered_up_to_their_own_steps() {
    for name in NETS {
        let model = model(name, Precision::F32);
        let path = folder(name).join("golden.npz");
        let (n_columns, n_outputs) = (model.schema().n_columns(), model.schema().n_outputs());
        let found = batch(&model, &path);
        let expected = Array::read(&path, "prediction_f64").unwrap();
        let lengths = Archive::open(&path).unwrap().get("decoder_lengths").unwrap();
        let (mut own, mut theirs) = (Vec::new(), Vec::new());
        let n_recorded = expected.shape[1] * expected.shape[2];
        for (i, length) in lengths.values.iter().enumerate() {
            let n = *length as usize * n_columns;
            own.extend_from_slice(&found[i * n_outputs..][..n]);
            theirs.extend_from_slice(&expected.data[i * n_recorded..][..n]);
            assert!(
                found[i * n_outputs + n..(i + 1) * n_outputs]
                    .iter()
                    .all(|v| v.is_nan())
            );
        }
        let apart = apart(&own, &theirs);
        println!("{name}: {apart:.2e} of the range");
        assert!(apart < BOUND, "{name}: {apart:e}");
    }
}

#[test]
fn narrower_files_open_and_stay_near() {
    for name in NETS {
        for (precision, bound) in [(Precision::Bf16, BF16_BOUND), (Precision::I16, I16_BOUND)] {
            let found = batch(&model(name, precision), &folder(name).join("predict.npz"));
            let apart = apart(&found, &predicted(name).0);
            println!("{name} {}: {apart:.2e} of the range", precision.name());
            assert!(apart < bound, "{name} {precision:?}: {apart:e}");
        }
    }
}

fn tickfuse(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tickfuse"))
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn done(arguments: &[&str]) -> String {
    let output = tickfuse(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program_answers_raw_frames_as_the_library_predicts() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    for name in NETS {
        let (source, file) = (folder(name), path(&format!("{name}.safetensors")));
        done(&[
            "import",
            "pytorch-forecasting",
            source.to_str().unwrap(),
            "--output",
            &file,
        ]);
        let (frame, out) = (source.join("frame.csv"), path(&format!("{name}.npz")));
        let frame = frame.to_str().unwrap();
        let told: Value = serde_json::from_str(&done(&[
            "--json", "predict", &file, "--input", frame, "--output", &out,
        ]))
        .unwrap();
        let found = Array::read(Path::new(&out), "output").unwrap();
        let (expected, n) = predicted(name);
        assert_eq!((found.shape[0], told["series"].as_array().unwrap().len()), (n, n));
        let apart = apart(&found.data, &expected);
        println!("{name}: {apart:.2e} of the range");
        assert!(apart < BOUND, "{name}: {apart:e}");
        same_series(name, &told);
        let batch = source.join("predict.npz");
        done(&[
            "predict",
            &file,
            "--input",
            batch.to_str().unwrap(),
            "--output",
            &out,
        ]);
        let scaled = Array::read(Path::new(&out), "output").unwrap();
        assert!(super::apart(&scaled.data, &expected) < BOUND, "{name}, scaled");
    }
}

/// Series and first steps are those of `predict_index.csv`, in its order.
fn same_series(name: &str, told: &Value) {
    let text = std::fs::read_to_string(folder(name).join("predict_index.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    for (line, series) in lines.zip(told["series"].as_array().unwrap()) {
        for (column, cell) in header.iter().zip(line) {
            match *column {
                "decoder_length" => {}
                "time_idx" => assert_eq!(series["first_step"].to_string(), cell, "{name}"),
                column => assert_eq!(series["series"][column], cell, "{name}"),
            }
        }
    }
}

#[test]
fn the_programs_table_has_a_row_per_series_with_its_labels() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (file, out) = (path("m.safetensors"), path("out.csv"));
    let source = folder("pf_shared");
    done(&[
        "import",
        "pytorch-forecasting",
        source.to_str().unwrap(),
        "--output",
        &file,
    ]);
    let frame = source.join("frame.csv");
    done(&[
        "predict",
        &file,
        "--input",
        frame.to_str().unwrap(),
        "--output",
        &out,
    ]);
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0]
            .starts_with("sector,symbol,first_step,close.p10@1,close.p50@1,close.p90@1,volume@1,close.p10@2"),
        "{}",
        lines[0]
    );
    assert!(lines[1].starts_with("energy,BBB,69,"), "{}", lines[1]);
    assert_eq!(lines.len(), 6);
}

/// The frame of a fixture with some text replaced.
fn changed(name: &str, folder_of: &tempfile::TempDir, from: &str, to: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(folder(name).join("frame.csv")).unwrap();
    assert!(text.contains(from), "{from}");
    let path = folder_of.path().join("frame.csv");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    path
}

#[test]
fn unknown_labels_take_the_unknown_code_and_are_remarked() {
    let frame = folder("pf_mixed").join("frame.csv");
    let found = frame::file(&model("pf_mixed", Precision::F32), &frame, Windows::Last).unwrap();
    let remarked = found.series.iter().filter(|a| a.unknown_category);
    let remarked: Vec<&str> = remarked.map(|a| a.series[0].1.as_str()).collect();
    // A regime of AAA, and the symbol NEW itself, are none of the training's.
    assert_eq!(remarked, ["AAA", "NEW"]);
}

#[test]
fn a_label_that_no_code_stands_for_is_refused_by_row_and_column() {
    let scratch = tempfile::tempdir().unwrap();
    let path = changed("pf_auto", &scratch, "AAA,", "NEW,");
    let error = frame::file(&model("pf_auto", Precision::F32), &path, Windows::Last).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("column `symbol`: expected one of AAA, BBB"),
        "{text}"
    );
    assert!(text.contains("found `NEW`"), "{text}");
}

#[test]
fn every_window_of_a_series_ends_with_the_one_that_ends_it() {
    let model = model("pf_auto", Precision::F32);
    let path = folder("pf_auto").join("frame.csv");
    let last = frame::file(&model, &path, Windows::Last).unwrap();
    let every = frame::file(&model, &path, Windows::Every).unwrap();
    let n = model.schema().n_outputs();
    for (last, every) in last.series.iter().zip(&every.series) {
        assert!(every.len() > 1);
        assert_eq!(every.values[every.values.len() - n..], last.values);
        assert!(every.first_step.windows(2).all(|two| two[0] + 1 == two[1]));
        assert_eq!(every.first_step.last(), last.first_step.last());
    }
}

#[test]
fn a_step_that_is_missing_or_repeated_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let model = model("pf_reals", Precision::F32);
    let path = changed("pf_reals", &scratch, ",60,", ",61,");
    let text = frame::file(&model, &path, Windows::Last).unwrap_err().to_string();
    assert!(
        text.contains("expected `time_idx` 60 behind 59, found 61"),
        "{text}"
    );
}

#[test]
fn steps_that_a_frame_may_leave_out_take_the_row_before_them_and_constants() {
    let scratch = tempfile::tempdir().unwrap();
    let imported = super::edited("pf_auto", |d| {
        d["preprocessing"]["allow_missing_timesteps"] = true.into();
        d["preprocessing"]["constant_fill"]["volume"] = 0.25.into();
    })
    .unwrap();
    let bytes = assemble(&imported.schema, &imported.tensors).unwrap();
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let text = std::fs::read_to_string(folder("pf_auto").join("frame.csv")).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let place = |name: &str| header.iter().position(|h| *h == name).unwrap();
    let time = |line: &str| line.split(',').nth(place("time_idx")).unwrap().to_owned();
    let left_out = |line: &&str| !["60", "61"].contains(&time(line).as_str());
    let with = |lines: Vec<String>| {
        let path = scratch.path().join("frame.csv");
        std::fs::write(&path, lines.join("\n")).unwrap();
        frame::file(&model, &path, Windows::Last).unwrap()
    };
    let gaps = with(text.lines().filter(left_out).map(str::to_owned).collect());
    let mut whole: Vec<String> = Vec::new();
    for line in text.lines().filter(left_out) {
        whole.push(line.to_owned());
        for filled in ["60", "61"] {
            if time(line) == "59" {
                let mut cells: Vec<&str> = line.split(',').collect();
                (cells[place("time_idx")], cells[place("volume")]) = (filled, "0.25");
                whole.push(cells.join(","));
            }
        }
    }
    assert_eq!(gaps, with(whole));
    assert_eq!(gaps.series.len(), 5);
}

#[test]
fn observed_columns_of_the_steps_ahead_may_be_empty_and_known_ones_not() {
    let scratch = tempfile::tempdir().unwrap();
    let model = model("pf_reals", Precision::F32);
    let text = std::fs::read_to_string(folder("pf_reals").join("frame.csv")).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let place = |name: &str| header.iter().position(|h| *h == name).unwrap();
    let emptied = |column: &str| {
        let line = |line: &str| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if cells[place("time_idx")] == "71" {
                cells[place(column)] = "";
            }
            cells.join(",")
        };
        let path = scratch.path().join(format!("{column}.csv"));
        std::fs::write(&path, text.lines().map(line).collect::<Vec<_>>().join("\n")).unwrap();
        frame::file(&model, &path, Windows::Last)
    };
    let whole = frame::file(&model, &folder("pf_reals").join("frame.csv"), Windows::Last).unwrap();
    assert_eq!(emptied("close").unwrap(), whole);
    let text = emptied("hour").unwrap_err().to_string();
    assert!(
        text.contains("column `hour`: expected a finite number, found ``"),
        "{text}"
    );
}
