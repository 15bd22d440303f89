//! The program, a folder for its files, and what it wrote.

use npyz::npz::NpzArchive;
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that goes with the test.
pub(crate) struct Work(tempfile::TempDir);

/// What the program left behind.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The JSON document of a run that succeeded.
    pub(crate) fn document(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect("one JSON document")
    }

    /// The message of a run refused as bad input.
    pub(crate) fn refusal(&self) -> &str {
        assert_eq!(self.code, Some(2), "{}{}", self.stdout, self.stderr);
        &self.stderr
    }
}

impl Work {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `tickfuse` inside the folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickfuse"));
        let output = command
            .current_dir(self.0.path())
            .args(args)
            .output()
            .expect("it starts");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// The model's answers for the array `input` of an npz file.
    pub(crate) fn answers(&self, model: &str, windows: &Path) -> Array<f32> {
        let windows = windows.to_str().expect("UTF-8");
        let ran = self.run(&["predict", model, "--input", windows, "--out", "answers.npz"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        array(&self.path("answers.npz"), "output")
    }
}

pub(crate) fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}

/// An array with its shape.
pub(crate) struct Array<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<T>,
}

impl<T> Array<T> {
    /// Entries along the first axis.
    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, T> {
        self.data.chunks_exact(self.shape[1..].iter().product())
    }
}

pub(crate) fn array<T: npyz::Deserialize>(path: &Path, name: &str) -> Array<T> {
    let mut archive = NpzArchive::open(path).expect("an npz file");
    let array = archive.by_name(name).expect(name).expect(name);
    Array {
        shape: array.shape().iter().map(|n| *n as usize).collect(),
        data: array.into_vec().expect(name),
    }
}

/// Largest deviation as a share of the range of all answers, which is 1 at least.
pub(crate) fn apart(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let range = expected.iter().fold(1.0_f64, |top, v| top.max(v.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    // NaN is no maximum: it has to be noticed by itself.
    assert!(found.iter().all(|v| v.is_finite()));
    worst.fold(0.0, f64::max) / range
}

/// Shape and bytes of a tensor.
pub(crate) type Stored = (Vec<usize>, Vec<u8>);

/// Every tensor of a safetensors file by its name.
pub(crate) fn stored(path: &Path) -> BTreeMap<String, Stored> {
    let bytes = std::fs::read(path).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        (name, (view.shape().to_vec(), view.data().to_vec()))
    };
    file.tensors().into_iter().map(tensor).collect()
}
