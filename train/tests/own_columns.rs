//! Training on rows and labels that the caller's files bring: tables without prices, numbers and classes.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tickfuse_core::bundle::OutputKind;
use tickfuse_core::{Model, OpenOptions, Session};
use tickfuse_train::data::bars::ReadOptions;
use tickfuse_train::data::snapshot;
use tickfuse_train::data::time::TimeUnit;
use tickfuse_train::experiment::{Experiment, ExperimentError, Finished, TrainConfig};

const N_ROWS: usize = 600;
const SECONDS: ReadOptions = ReadOptions {
    time_unit: Some(TimeUnit::S),
    is_table: true,
};

/// Synthetic rows of two symbols: `level` is 100 and the last two values of `a`, `class` says whether `a` is above its middle,
/// and one label in fifty is missing.
fn rows() -> String {
    let mut text = String::from("ts,symbol,a,b,level,class\n");
    for (symbol, seed) in [("A", 7_u64), ("B", 11)] {
        let (mut state, mut last) = (seed, 0.5);
        for row in 0..N_ROWS {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let a = (state >> 40) as f64 / f64::from(1 << 24);
            let class = u8::from(a > 0.5);
            let (b, level) = ((row % 7) as f64, 100.0 + a + last);
            let label = if row % 50 == 0 {
                String::new()
            } else {
                format!("{level}")
            };
            writeln!(text, "{row},{symbol},{a},{b},{label},{class}").unwrap();
            last = a;
        }
    }
    text
}

fn config(snapshot: &Path, labels: &str, loss: &str) -> TrainConfig {
    let text = format!(
        r#"
        name = "own"
        features = {{ columns = ["b", "a"] }}
        split = {{ shares = {{ train = 0.7, validation = 0.3 }} }}
        labels = [{labels}]
        [data]
        snapshot = "{}"
        ordinal = true
        [window]
        lookback = 4
        horizon = 1
        [net]
        family = "lstm"
        n_hidden = 8
        n_layers = 1
        [fit]
        epochs = 25
        batch = 32
        lr = 1e-2
        loss = {loss}
        "#,
        snapshot.display()
    );
    toml::from_str(&text).unwrap()
}

fn prepared(labels: &str, loss: &str) -> Result<(tempfile::TempDir, Experiment), ExperimentError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, rows()).unwrap();
    let made = snapshot::create(&folder.path().join("snapshots"), &[file], &SECONDS).unwrap();
    let experiment = Experiment::prepare(config(&made.path, labels, loss))?;
    Ok((folder, experiment))
}

fn fitted(labels: &str, loss: &str) -> (Experiment, Finished) {
    let (folder, experiment) = prepared(labels, loss).unwrap();
    let (checkpoint, stop) = (folder.path().join("checkpoint"), AtomicBool::new(false));
    let outcome = experiment.fit(None, &checkpoint, &stop, &mut ()).unwrap();
    let finished = experiment.finish(&outcome).unwrap();
    (experiment, finished)
}

const LEVEL: &str = r#"{ kind = "column", name = "level", unit = "points" }"#;
const GAUSSIAN: &str =
    r#"{ kind = "gaussian_nll", gaussian = { mean = 0, deviation = 1, scale = "softplus" } }"#;

#[test]
fn a_number_of_the_file_is_learnt_and_answered_in_its_own_unit() {
    let (experiment, finished) = fitted(LEVEL, GAUSSIAN);
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    let schema = model.schema();
    let output = &schema.outputs[0];
    assert_eq!((output.name.as_str(), output.unit.as_str()), ("level", "points"));
    assert_eq!(schema.bar_interval_ns, None);
    let names: Vec<&str> = schema.inputs.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert!(schema.inputs.iter().all(|i| i.feature.is_none()));
    let mut out = [0.0; 2];
    let window = [0.0, 0.5, 1.0, 0.5, 2.0, 0.9, 3.0, 0.8];
    Session::new(&model, 1).run(&window, &mut out).unwrap();
    assert!((out[0] - 101.7).abs() < 0.2, "{out:?}");
    let gaussian = finished.validation.gaussian.unwrap();
    assert!(
        gaussian.nll < 0.0,
        "the spread of the level alone has {}",
        gaussian.nll
    );
    let n_labelled = experiment.index.samples.len();
    assert_eq!(n_labelled, 2 * (N_ROWS - 4 - 11), "no label, no window");
}

#[test]
fn classes_of_the_file_are_learnt_by_their_names() {
    let label = r#"{ kind = "column", name = "class", classes = ["low", "high"] }"#;
    let (_, finished) = fitted(label, r#"{ kind = "cross_entropy", classes = ["low", "high"] }"#);
    let model = Model::from_bytes(&finished.bytes, OpenOptions::default()).unwrap();
    let output = &model.schema().outputs[0];
    assert_eq!(output.kind, OutputKind::Softmax);
    assert_eq!(output.labels, ["low", "high"]);
    assert!(finished.validation.classes.unwrap().accuracy > 0.95);
}

#[test]
fn what_a_table_cannot_give_is_refused_by_name() {
    let message = |labels: &str, loss: &str| prepared(labels, loss).unwrap_err().to_string();
    let direction = message(r#"{ kind = "direction" }"#, r#"{ kind = "bce" }"#);
    assert!(
        direction.contains("labels of bars: expected bars, found a table"),
        "{direction}"
    );
    let two = r#"{ kind = "column", name = "b", classes = ["low", "high"] }"#;
    let class = message(two, r#"{ kind = "cross_entropy", classes = ["low", "high"] }"#);
    assert!(
        class.contains("label `b`: expected the number of a class, 0 to 1, found 2"),
        "{class}"
    );
    let missing = message(r#"{ kind = "column", name = "z" }"#, GAUSSIAN);
    assert!(missing.contains("`z`") || missing.contains(" z"), "{missing}");
    let order = message(
        r#"{ kind = "column", name = "class", classes = ["low", "high"] }"#,
        r#"{ kind = "cross_entropy", classes = ["high", "low"] }"#,
    );
    assert!(order.contains("expected the classes"), "{order}");
}

#[test]
fn a_table_without_times_of_its_own_still_refuses_bars_where_prices_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, rows()).unwrap();
    let bars = ReadOptions {
        is_table: false,
        ..SECONDS
    };
    let error = snapshot::create(folder.path(), &[file], &bars)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no column for open"), "{error}");
}
