//! The models inside the `no_std` program: small files, made here and kept beside the program that embeds them.

mod common;

use common::{Shape, families, schema, tensors, window};
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{Net, OutputKind, Precision, Schema, XtrendConfig};
use tickfuse_core::plain::{Oracle, PlainTensors};
use tickfuse_core::{Model, OpenOptions, write_model};

/// Most bytes that a program may be asked to carry.
const LIMIT: usize = 50_000;

const NAMES: [&str; 2] = ["lstm.safetensors", "xtrend.safetensors"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/no_std")
        .join(name)
}

/// The file with these golden windows, answered by the oracle.
fn answered(mut schema: Schema, plain: &PlainTensors, windows: &[Vec<f32>]) -> Vec<u8> {
    schema.name = "embedded".into();
    schema.golden_tolerance = 2e-6;
    let oracle = Oracle::new(&schema, plain);
    let wide = |w: &Vec<f32>| w.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let answers = windows.iter().flat_map(|w| oracle.run(&wide(w)));
    let output: Vec<f32> = answers.map(|v| v as f32).collect();
    write_model(&schema, plain, &windows.concat(), &output).unwrap()
}

fn lstm() -> Vec<u8> {
    let schema = schema(Shape {
        n_features: 3,
        lookback: 7,
        n_layers: 1,
        n_hidden: 19,
        precision: Precision::F32,
        kind: OutputKind::Softmax,
    });
    let windows = [42, 43].map(|seed| window(&schema, seed));
    let plain = tensors(&schema, 41);
    answered(schema, &plain, &windows)
}

/// The first of the small ones: seed 002's form with a position alone.
fn xtrend() -> Vec<u8> {
    let config = XtrendConfig {
        n_hidden: 3,
        n_heads: 1,
        ..families::xtrends().next().unwrap()
    };
    let schema = families::schema(Net::Xtrend(config), 2);
    let windows = families::windows(&schema, 2);
    let plain = families::tensors(&schema);
    answered(schema, &plain, &windows)
}

fn models() -> [Vec<u8>; 2] {
    [lstm(), xtrend()]
}

#[test]
fn the_embedded_models_are_the_ones_made_here_and_small() {
    for (name, made) in NAMES.into_iter().zip(models()) {
        let file = std::fs::read(path(name)).unwrap();
        assert!(file.len() < LIMIT, "{name}: {} bytes", file.len());
        assert!(
            file == made,
            "{name}: write it again: see `write_the_embedded_models`"
        );
        Model::from_bytes(&file, OpenOptions::default()).unwrap();
    }
}

#[test]
#[ignore = "writes into the tree: cargo test -p tickfuse-core --test no_std_model -- --ignored"]
fn write_the_embedded_models() {
    for (name, made) in NAMES.into_iter().zip(models()) {
        std::fs::write(path(name), made).unwrap();
    }
}
