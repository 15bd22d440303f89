//! `tickfuse tabulate`: what it writes, what it says of it, and what stays as it was.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tickfuse_core::bundle::{Precision, Schema, Tables};
use tickfuse_core::nets::{tensor_shapes, unpack};
use tickfuse_core::plain::PlainTensor;
use tickfuse_core::{Model, OpenOptions};
use tickfuse_train::assemble::{assemble, with_precision, with_tables};

/// An X-Trend of three reals that stand around an entity.
fn schema() -> Schema {
    let real = |name: &str| json!({ "name": name, "scaler": { "center": 0.5, "scale": 2.0 } });
    let entity = json!({ "name": "symbol", "role": "static", "categories": { "labels": ["a", "b"] } });
    let document = json!({
        "format": 1, "name": "synthetic", "precision": "f32", "arrival": "pre_rolled", "golden_tolerance": 1.0,
        "net": {
            "family": "xtrend", "lookback": 4, "context_lookback": 4, "n_contexts": 2, "n_hidden": 8, "n_heads": 2,
            "n_layers": 1, "n_entities": 2, "form": "shared", "head": "gaussian", "n_quantiles": 0,
            "context_mode": "final_state", "zero_shot": false
        },
        "inputs": [real("fast"), entity, real("slow"), real("volume")],
        "outputs": [
            { "name": "position", "kind": "linear", "labels": ["position"], "unit": "share" },
            { "name": "move", "kind": "gaussian_log_sigma", "labels": ["mu", "sigma"], "unit": "return" }
        ]
    });
    serde_json::from_value(document).unwrap()
}

fn file() -> Vec<u8> {
    let schema = schema();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let value = |i: usize| match name.as_str() {
            "contexts.entity" => (i % 2) as f32,
            _ => ((i + name.len()) as f32 * 0.7).sin() * 0.8,
        };
        let data = (0..shape.iter().product()).map(value).collect();
        (name.clone(), PlainTensor { shape, data })
    };
    let tensors = tensor_shapes(&schema).into_iter().map(tensor).collect();
    assemble(&schema, &tensors).unwrap()
}

fn open(bytes: &[u8]) -> Arc<Model> {
    Model::from_bytes(bytes, OpenOptions::default()).unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("exact.safetensors"), file()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickfuse"));
        command.current_dir(self.0.path()).args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn read(path: &Path) -> Arc<Model> {
    open(&std::fs::read(path).unwrap())
}

#[test]
fn a_tabulated_file_has_the_same_weights_and_goldens_and_says_how_far_off_it_is() {
    let folder = Folder::new();
    let made = folder.json(&["tabulate", "exact.safetensors", "--out", "fast.safetensors"]);
    let (exact, fast) = (
        read(&folder.path("exact.safetensors")),
        read(&folder.path("fast.safetensors")),
    );
    assert_eq!(
        (&made["hash"], &made["exact_hash"]),
        (&json!(fast.hash()), &json!(exact.hash()))
    );
    let networks = made["tables"]["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 3);
    for network in networks {
        assert!(network["share"].as_f64().unwrap() <= 1e-6);
        assert!(network["knots"]["n_intervals"].as_u64().unwrap() >= 32);
    }
    assert!(made["table_bytes"].as_u64().unwrap() > 0);
    let golden = &made["golden"];
    assert!(golden["from_exact"].as_f64().unwrap() < 1e-5);
    assert!(golden["deviation"].as_f64().unwrap() <= golden["tolerance"].as_f64().unwrap());
    assert!(golden["tolerance"].as_f64().unwrap() > f64::from(exact.schema().golden_tolerance));
    for (a, b) in [
        (&exact.bundle().golden().input, &fast.bundle().golden().input),
        (&exact.bundle().golden().output, &fast.bundle().golden().output),
    ] {
        assert_eq!(a[..], b[..]);
    }
    assert_eq!(unpack(exact.bundle()).unwrap(), unpack(fast.bundle()).unwrap());
}

#[test]
fn state_dicts_of_both_files_are_the_same_bytes() {
    let folder = Folder::new();
    folder.json(&[
        "tabulate",
        "exact.safetensors",
        "--out",
        "fast.safetensors",
        "--tolerance",
        "1e-4",
    ]);
    for name in ["exact", "fast"] {
        let (model, out) = (format!("{name}.safetensors"), format!("{name}-torch.safetensors"));
        folder.json(&["export", &model, "--out", &out]);
    }
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(read("exact-torch.safetensors"), read("fast-torch.safetensors"));
    assert_eq!(read("exact-torch.toml"), read("fast-torch.toml"));
}

#[test]
fn inspect_names_variables_with_their_tables() {
    let folder = Folder::new();
    let args = [
        "tabulate",
        "exact.safetensors",
        "--out",
        "fast.safetensors",
        "--range",
        "5",
    ];
    assert!(folder.run(&args).status.success());
    let text = String::from_utf8(folder.run(&["inspect", "fast.safetensors"]).stdout).unwrap();
    for name in ["fast", "slow", "volume"] {
        let of_table =
            |l: &&str| l.trim_start().starts_with(name) && l.contains("intervals in -5 to 5, within");
        assert!(text.lines().any(|l| of_table(&l)), "{text}");
    }
    let exact = String::from_utf8(folder.run(&["inspect", "exact.safetensors"]).stdout).unwrap();
    assert!(!exact.contains("tables"), "{exact}");
    let refused = folder.run(&[
        "tabulate",
        "exact.safetensors",
        "--out",
        "no.safetensors",
        "--tolerance",
        "0",
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("tables.tolerance: expected > 0"));
    assert!(!folder.path("no.safetensors").exists());
}

#[test]
fn other_wishes_and_precisions_start_from_the_same_weights() {
    let exact = open(&file());
    let wish = |tolerance| Tables::wish(tolerance, -8.0, 8.0);
    let coarse = with_tables(&exact, &wish(1e-3)).unwrap();
    let fine = with_tables(&exact, &wish(1e-6)).unwrap();
    assert_ne!(coarse, fine);
    assert_eq!(with_tables(&open(&coarse), &wish(1e-6)).unwrap(), fine);
    let half = open(&with_precision(&open(&fine), Precision::Bf16).unwrap());
    let tables = |model: &Model| model.schema().tables.clone().unwrap();
    assert_eq!(tables(&half), tables(&open(&fine)));
    assert_eq!(half.schema().precision, Precision::Bf16);
}
