//! The model inside the `no_std` program: a small file, made here and kept beside the program that embeds it.

mod common;

use common::{Shape, schema, tensors, window};
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{OutputKind, Precision};
use tickfuse_core::plain::LstmNet;
use tickfuse_core::{Model, OpenOptions, write_model};

const SHAPE: Shape = Shape {
    n_features: 3,
    lookback: 7,
    n_layers: 1,
    n_hidden: 19,
    precision: Precision::F32,
    kind: OutputKind::Softmax,
};
/// Most bytes that a program may be asked to carry.
const LIMIT: usize = 20_000;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_std/model.safetensors")
}

/// Two golden windows, answered by the oracle.
fn model() -> Vec<u8> {
    let mut schema = schema(SHAPE);
    schema.name = "embedded".into();
    schema.golden_tolerance = 2e-6;
    let plain = tensors(&schema, 41);
    let input = [window(&schema, 42), window(&schema, 43)].concat();
    let oracle = LstmNet::new(&schema, &plain);
    let wide: Vec<f64> = input.iter().map(|v| f64::from(*v)).collect();
    let answers = wide
        .chunks_exact(SHAPE.lookback * SHAPE.n_features)
        .flat_map(|w| oracle.run(w));
    let output: Vec<f32> = answers.map(|v| v as f32).collect();
    write_model(&schema, &plain, &input, &output).unwrap()
}

#[test]
fn the_embedded_model_is_the_one_made_here_and_small() {
    let file = std::fs::read(path()).unwrap();
    assert!(file.len() < LIMIT, "{} bytes", file.len());
    assert!(file == model(), "write it again: see `write_the_embedded_model`");
    Model::from_bytes(&file, OpenOptions::default()).unwrap();
}

#[test]
#[ignore = "writes into the tree: cargo test -p tickfuse-core --test no_std_model -- --ignored"]
fn write_the_embedded_model() {
    std::fs::write(path(), model()).unwrap();
}
