//! `tickfuse models` as people and scripts use it: output, exit codes, and the real program killed at every step.

mod registry_common;

use registry_common::{MODEL_NAME as M, Root, publish};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tickfuse_core::bundle::Schema;
use tickfuse_core::nets::tensor_shapes;
use tickfuse_core::plain::PlainTensor;
use tickfuse_train::assemble::assemble;

fn tickfuse(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickfuse"));
    command.args(["models", "--actor", "tester", "--registry"]);
    command.arg(root).args(args);
    command
}

fn run(root: &Path, args: &[&str]) -> Output {
    tickfuse(root, args).output().unwrap()
}

/// Runs with `--json`; the exit code must be `code`.
fn json_of(root: &Path, args: &[&str], code: i32) -> Value {
    let output = run(root, &[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A real, tiny model file.
fn bundle_file(folder: &Path) -> PathBuf {
    let document = json!({
        "format": 1, "name": "synthetic", "precision": "f32", "arrival": "pre_rolled", "golden_tolerance": 1e-5,
        "net": {
            "family": "lstm", "lookback": 4, "n_hidden": 8, "n_layers": 1,
            "head": [{ "n_out": 1, "activation": "none" }]
        },
        "inputs": [{ "name": "close", "scaler": { "center": 0.0, "scale": 1.0 } }],
        "outputs": [{ "name": "up", "kind": "sigmoid", "labels": ["up"], "unit": "probability" }]
    });
    let schema: Schema = serde_json::from_value(document).unwrap();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let data = vec![0.125; shape.iter().product()];
        (name, PlainTensor { shape, data })
    };
    let tensors = tensor_shapes(&schema).into_iter().map(tensor).collect();
    let path = folder.join("made.safetensors");
    std::fs::write(&path, assemble(&schema, &tensors).unwrap()).unwrap();
    path
}

#[test]
fn a_model_is_published_promoted_listed_shown_and_rolled_back() {
    let (root, work) = (Root::new(), tempfile::tempdir().unwrap());
    let file = bundle_file(work.path());
    let card = work.path().join("card.json");
    let text = json!({ "version": "2", "model_name": M, "created_at": "2025-10-15T12:00:00Z", "limits": ["synthetic"] });
    std::fs::write(&card, text.to_string()).unwrap();
    let (file, card) = (file.to_str().unwrap(), card.to_str().unwrap());
    let first = json_of(root.path(), &["publish", file, "--name", M, "--card", card], 0);
    let second = json_of(root.path(), &["publish", file, "--name", M], 0);
    for version in ["1", "2"] {
        json_of(root.path(), &["promote", M, version, "--reason", "nightly"], 0);
    }
    let listed = json_of(root.path(), &["list"], 0);
    assert_eq!(listed[M][0]["version"], first["version"]);
    assert_eq!(listed[M][0]["aliases"], json!(["previous"]));
    assert_eq!(listed[M][1]["aliases"], json!(["best"]));
    let shown = json_of(root.path(), &["show", M, "previous"], 0);
    assert_eq!(shown["card"]["limits"], json!(["synthetic"]));
    assert_eq!(shown["card"]["file"]["sha256"], first["sha256"]);
    let back = json_of(root.path(), &["rollback", M, "--reason", "drift"], 0);
    assert_eq!(
        (&back["from"], &back["to"]),
        (&second["version"], &first["version"])
    );
    let log = json_of(root.path(), &["log", M, "--last", "1"], 0);
    assert_eq!(log[0]["action"], "rollback");
    assert_eq!(
        (&log[0]["actor"], &log[0]["reason"]),
        (&json!("tester"), &json!("drift"))
    );
    assert_eq!(json_of(root.path(), &["verify", M], 0)["problems"], json!([]));
}

#[test]
fn text_for_people_names_versions_and_moves() {
    let root = Root::new();
    let id = publish(&root.registry(), 1).version.to_string();
    let text = |args: &[&str]| String::from_utf8(run(root.path(), args).stdout).unwrap();
    assert_eq!(
        text(&["promote", M, "1"]),
        format!("best: nothing -> {id} (log entry 2)\n")
    );
    assert_eq!(text(&["promote", M, "1"]), format!("best: already at {id}\n"));
    assert!(text(&["list", M]).contains(&format!("{id}          720 bytes  best")));
    assert!(text(&["show", M]).contains("Nothing was measured."));
    assert!(text(&["verify", M]).starts_with(&format!("{id} ok\nlog: 2 entries, head ")));
    assert!(text(&["log", M]).ends_with(&format!("promote best: nothing -> {id} (tester)\n")));
}

#[test]
fn damage_is_exit_code_one_and_bad_use_is_two() {
    let (root, work) = (Root::new(), tempfile::tempdir().unwrap());
    let path = publish(&root.registry(), 1).path;
    registry_common::writable(&path);
    std::fs::write(path.join("model.safetensors"), "other").unwrap();
    let report = json_of(root.path(), &["verify", M], 1);
    assert!(report["versions"][0]["problems"][0].is_string());
    let stray = work.path().join("stray");
    std::fs::write(&stray, "no bundle").unwrap();
    let stray = stray.to_str().unwrap();
    let bad: [(&[&str], &str); 5] = [
        (&["promote", M, "1"], "does not verify"),
        (&["promote", M, "7"], "expected a version"),
        (&["rollback", M], "no earlier version"),
        (&["show", "other"], "not found in registry"),
        (&["publish", stray, "--name", M], "not publishable: header length"),
    ];
    for (args, expected) in bad {
        let output = run(root.path(), args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(
            text.starts_with("tickfuse: ") && text.contains(expected),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn the_registry_lies_in_tickfuse_home() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickfuse"));
    let command = command.args(["models", "list"]).env("TICKFUSE_HOME", home.path());
    let output = command.output().unwrap();
    let expected = format!("no models in {}\n", home.path().join("models").display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[cfg(all(unix, debug_assertions))]
#[test]
fn the_program_killed_at_any_step_of_a_promotion_can_be_run_again() {
    for n in 1.. {
        let root = Root::new();
        let registry = root.registry();
        let ids = [1, 2].map(|n| publish(&registry, n).version);
        registry.promote(M, "1", "best", "").unwrap();
        let mut command = tickfuse(root.path(), &["promote", M, "2"]);
        let output = command
            .env("TICKFUSE_FAULT", format!("kill:{n}"))
            .output()
            .unwrap();
        let now = registry.resolve(M, "best").unwrap().version;
        assert!(ids.contains(&now), "step {n}: {now}");
        assert_eq!(
            run(root.path(), &["verify", M]).status.code(),
            Some(0),
            "step {n}"
        );
        let again = json_of(root.path(), &["promote", M, "2"], 0);
        assert_eq!(again["to"], ids[1].to_string());
        let report = json_of(root.path(), &["verify", M], 0);
        assert_eq!(report["notes"], json!([]), "step {n}");
        if output.status.success() {
            return;
        }
    }
}
