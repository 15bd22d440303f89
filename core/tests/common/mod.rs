//! Small models for the integration tests.

#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod families;

use tickfuse_core::bundle::{
    Activation, Arrival, DenseConfig, FORMAT, Input, LstmConfig, Missing, Net, Output, OutputKind, Precision,
    Scaler, Schema,
};
use tickfuse_core::plain::{self, PlainTensor, PlainTensors};
use tickfuse_core::{nets, write_model};

/// A reproducible number in (-1, 1) per index.
pub(crate) fn noise(seed: u64, i: usize) -> f32 {
    let mut z = (seed << 32) ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
}

/// Sizes of a random LSTM model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) n_features: usize,
    pub(crate) lookback: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_hidden: usize,
    pub(crate) precision: Precision,
    pub(crate) kind: OutputKind,
}

/// A schema of that shape with a two-layer head and three outputs.
pub(crate) fn schema(shape: Shape) -> Schema {
    let scaler = |i: usize| Scaler {
        center: i as f64 * 0.5,
        scale: 1.0 + i as f64,
        fitted_ns: None,
    };
    let input = |i: usize| Input {
        missing: if i.is_multiple_of(2) {
            Missing::Reject
        } else {
            Missing::Center
        },
        ..Input::real(format!("x{i}"), scaler(i))
    };
    Schema {
        format: FORMAT,
        name: "small".into(),
        net: Net::Lstm(LstmConfig {
            lookback: shape.lookback,
            n_hidden: shape.n_hidden,
            n_layers: shape.n_layers,
            head: vec![
                DenseConfig {
                    n_out: 9,
                    activation: Activation::Relu,
                },
                DenseConfig {
                    n_out: 3,
                    activation: Activation::None,
                },
            ],
        }),
        precision: shape.precision,
        inputs: (0..shape.n_features).map(input).collect(),
        bar_interval_ns: None,
        outputs: vec![Output::new(
            "y",
            shape.kind,
            vec!["a".into(), "b".into(), "c".into()],
            "one",
        )],
        target: None,
        arrival: Arrival::PreRolled,
        normalizers: Vec::new(),
        tables: None,
        golden_tolerance: 0.05,
        provenance: serde_json::Map::new(),
    }
}

/// Random weights of PyTorch's default range.
pub(crate) fn tensors(schema: &Schema, seed: u64) -> PlainTensors {
    let Net::Lstm(config) = &schema.net else {
        panic!("a stack");
    };
    let bound = 1.5 / (config.n_hidden as f32).sqrt();
    let tensor = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
        let n = shape.iter().product();
        let data = (0..n).map(|j| noise(seed + i as u64, j) * bound).collect();
        (name, PlainTensor { shape, data })
    };
    nets::tensor_shapes(schema)
        .into_iter()
        .enumerate()
        .map(tensor)
        .collect()
}

/// A window of raw inputs.
pub(crate) fn window(schema: &Schema, seed: u64) -> Vec<f32> {
    (0..schema.n_rows() * schema.n_features())
        .map(|i| noise(seed, i) * 3.0)
        .collect()
}

/// The file of a schema and its tensors, with one golden window answered by the oracle.
pub(crate) fn file(schema: &Schema, plain: &PlainTensors) -> Vec<u8> {
    let golden = window(schema, 77);
    let wide: Vec<f64> = golden.iter().map(|v| f64::from(*v)).collect();
    let output: Vec<f32> = plain::LstmNet::new(schema, plain)
        .run(&wide)
        .iter()
        .map(|v| *v as f32)
        .collect();
    write_model(schema, plain, &golden, &output).unwrap()
}

/// A model of each precision.
pub(crate) fn small_models() -> Vec<(Schema, Vec<u8>)> {
    let shape = Shape {
        n_features: 3,
        lookback: 7,
        n_layers: 2,
        n_hidden: 19,
        precision: Precision::F32,
        kind: OutputKind::Softmax,
    };
    Precision::ALL
        .into_iter()
        .map(|precision| {
            let schema = schema(Shape { precision, ..shape });
            let bytes = file(&schema, &tensors(&schema, 1));
            (schema, bytes)
        })
        .collect()
}
