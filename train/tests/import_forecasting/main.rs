//! Temporal Fusion Transformers of pytorch-forecasting, imported: answers as the library's, refusals of everything else.

mod answers;
mod normalizers;
mod refusals;

use npyz::npz::NpzArchive;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tickfuse_core::bundle::Precision;
use tickfuse_core::plain::PlainTensors;
use tickfuse_core::{Model, OpenOptions};
use tickfuse_train::assemble::assemble;
use tickfuse_train::import::forecasting::{
    Description, ForecastingError, ImportOptions, Imported, import, read,
};

const NETS: [&str; 4] = ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/nets")
        .join(name)
}

fn options(precision: Precision) -> ImportOptions {
    ImportOptions {
        name: "imported".into(),
        precision,
    }
}

fn imported(name: &str, precision: Precision) -> Imported {
    read(&folder(name), &options(precision)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn model(name: &str, precision: Precision) -> Arc<Model> {
    let Imported { schema, tensors } = imported(name, precision);
    let bytes = assemble(&schema, &tensors).expect(name);
    Model::from_bytes(&bytes, OpenOptions::default()).expect(name)
}

/// `model.json` of a fixture, edited, with the fixture's tensors.
fn edited(name: &str, edit: impl FnOnce(&mut Value)) -> Result<Imported, ForecastingError> {
    let text = std::fs::read_to_string(folder(name).join("model.json")).expect(name);
    let mut document: Value = serde_json::from_str(&text).expect(name);
    edit(&mut document);
    import(
        &Description::from_value(document)?,
        tensors(name),
        &options(Precision::F32),
    )
}

fn tensors(name: &str) -> PlainTensors {
    imported(name, Precision::F32).tensors
}

/// An array of floats with its shape.
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Array {
    fn read(path: &Path, name: &str) -> Option<Self> {
        let mut archive = NpzArchive::open(path).expect("an npz file");
        let file = archive.by_name(name).expect(name)?;
        let shape = file.shape().iter().map(|n| *n as usize).collect();
        let is_double = file.dtype().descr().contains("f8");
        let data = if is_double {
            file.into_vec().expect(name)
        } else {
            let single: Vec<f32> = file.into_vec().expect(name);
            single.into_iter().map(f64::from).collect()
        };
        Some(Self { shape, data })
    }
}

/// Largest difference as a share of the range of what is expected.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "numbers");
    let top = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bottom = expected.iter().copied().fold(f64::INFINITY, f64::min);
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A NaN is as far apart as can be.
    let largest = differences.fold(0.0, |a: f64, b| if a >= b { a } else { b });
    largest / (top - bottom)
}
