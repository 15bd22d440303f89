//! From files to batches, by the library and by the program. Bars are synthetic.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tickfuse_core::features::{FeatureDef, FeatureOp, FeatureSet};
use tickfuse_train::data::bars::ReadOptions;
use tickfuse_train::data::split::{Cut, Split};
use tickfuse_train::data::table::{self, TableOptions};
use tickfuse_train::data::window::{Batches, Target, WindowIndex};
use tickfuse_train::data::{guard, scaler, snapshot};

const MINUTE_MS: i64 = 60_000;
const START_MS: i64 = 1_704_067_200_000;

/// Minute bars `range` of a symbol; the close rises and falls with a period that differs per symbol.
fn csv(range: std::ops::Range<i64>, period: f64) -> String {
    let mut text = String::from("open_time,open,high,low,close,volume\n");
    for i in range {
        let close = 100.0 + (i as f64 / period).sin();
        let time = START_MS + i * MINUTE_MS;
        let _ = writeln!(
            text,
            "{time},{close},{},{},{close},{}",
            close + 1.0,
            close - 1.0,
            5 + i % 7
        );
    }
    text
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn tickfuse(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tickfuse"))
        .args(args)
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn files_become_batches_by_way_of_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        write(folder.path(), "AAA.1.csv", &csv(0..150, 9.0)),
        write(folder.path(), "AAA.2.csv", &csv(150..300, 9.0)),
        write(folder.path(), "BBB.csv", &csv(20..300, 5.0)),
    ];
    let made = snapshot::create(&folder.path().join("out"), &files, &ReadOptions::default()).unwrap();
    let (_, series) = snapshot::load(&made.path).unwrap();
    assert_eq!(
        series.iter().map(|one| one.bars.len()).collect::<Vec<_>>(),
        [300, 280]
    );

    let def = |name: &str, op| FeatureDef {
        name: name.into(),
        op,
    };
    let defs = [def("close", FeatureOp::Close), def("volume", FeatureOp::Volume)];
    let mut set = FeatureSet::new(&defs).unwrap();
    let panel = table::build(&series, &mut set, &TableOptions { max_missing_bars: 0 }).unwrap();
    let index = WindowIndex::new(&panel, 12, 3).unwrap();
    let split = Split::new(
        &panel,
        &index,
        &Cut::Shares {
            train: 0.7,
            validation: 0.15,
        },
    )
    .unwrap();
    let scalers = scaler::fit(&panel, &index, &split.train).unwrap();
    guard::rows_are_of_their_symbol(&series, &panel).unwrap();
    guard::windows_and_labels_are_right(&panel, &index).unwrap();
    guard::split_is_purged(&index, &split).unwrap();
    guard::scalers_are_of_train(&panel, &scalers, &split.train).unwrap();

    let batches = Batches::new(&panel, &index, &scalers, Target::Direction).unwrap();
    let positions: Vec<usize> = split.validation.samples.iter().rev().copied().take(5).collect();
    let (mut x, mut y) = (vec![0.0; 12 * 5 * 2], vec![0.0; 5]);
    batches.fill(&positions, &mut x, &mut y);
    for (b, &position) in positions.iter().enumerate() {
        let sample = &index.samples[position];
        let bars = &series[sample.series as usize].bars;
        let end = bars
            .iter()
            .position(|bar| bar.ts_ns == sample.decision_ns)
            .unwrap();
        for t in 0..12 {
            let bar = &bars[end + 1 - 12 + t];
            let at = (t * 5 + b) * 2;
            assert_eq!(x[at], ((bar.close - scalers[0].center) / scalers[0].scale) as f32);
            assert_eq!(
                x[at + 1],
                ((bar.volume - scalers[1].center) / scalers[1].scale) as f32
            );
        }
        assert_eq!(y[b] == 1.0, bars[end + 3].close > bars[end].close);
    }
}

#[test]
fn inspect_reports_as_json_and_fails_only_when_strict() {
    let folder = tempfile::tempdir().unwrap();
    let doubled = csv(0..5, 9.0) + csv(4..9, 9.0).split_once('\n').unwrap().1;
    let file = write(folder.path(), "AAA.csv", &doubled);
    let file = file.to_str().unwrap();
    let output = tickfuse(&["data", "inspect", "--json", file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = &json(&output)[0];
    assert_eq!(report["symbol"], "AAA");
    assert_eq!(report["duplicates"], serde_json::json!({"count": 1, "rows": [6]}));
    assert_eq!(report["interval_ns"], MINUTE_MS * 1_000_000);
    assert_eq!(
        tickfuse(&["data", "inspect", "--strict", file]).status.code(),
        Some(1)
    );
    let text = String::from_utf8(tickfuse(&["data", "inspect", file]).stdout).unwrap();
    assert!(
        text.contains("problem: 1 with the time of an earlier row (row 6)"),
        "{text}"
    );
}

#[test]
fn bad_input_ends_with_code_2_and_names_the_place_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "AAA.csv",
        &csv(0..3, 9.0).replace(",6\n", ",six\n"),
    );
    let output = tickfuse(&["data", "inspect", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output)
            .trim_end()
            .ends_with("row 2 (line 3), column `volume`: expected a number, found `six`")
    );
    let missing = folder.path().join("none.csv");
    let output = tickfuse(&["data", "inspect", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output).matches("os error").count(),
        1,
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_snapshot_is_created_shown_verified_and_refused_when_changed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "AAA.csv", &csv(0..9, 9.0));
    write(folder.path(), "BBB.csv", &csv(0..9, 5.0));
    let (input, out) = (folder.path().to_str().unwrap(), folder.path().join("out"));
    let out = out.to_str().unwrap();
    let created = tickfuse(&["snapshot", "create", "--out", out, "--json", input]);
    assert_eq!(created.status.code(), Some(0), "{}", stderr(&created));
    let created = json(&created);
    let again = json(&tickfuse(&["snapshot", "create", "--out", out, "--json", input]));
    assert_eq!(again, created);
    let path = created["path"].as_str().unwrap();
    assert_eq!(
        json(&tickfuse(&["snapshot", "show", "--json", path]))["id"],
        created["id"]
    );
    let verified = tickfuse(&["snapshot", "verify", "--json", path]);
    assert_eq!(verified.status.code(), Some(0));
    assert_eq!(json(&verified)["n_bars"], 18);
    write(Path::new(path), "CCC.csv", "more");
    let verified = tickfuse(&["snapshot", "verify", path]);
    assert_eq!(verified.status.code(), Some(1));
    let text = String::from_utf8(verified.stdout).unwrap();
    assert!(
        text.contains("CCC.csv: expected nothing, found an entry the manifest does not name"),
        "{text}"
    );
    assert_eq!(
        tickfuse(&["snapshot", "verify", input]).status.code(),
        Some(2),
        "a folder that is no snapshot"
    );
}
