//! Whole windows: every shape against the oracle, every level, every batch, every refusal.

mod common;

use common::{Shape, file, schema, tensors, window};
use proptest::prelude::*;
use tickfuse_core::bundle::{Activation, Net, OutputKind, Precision};
use tickfuse_core::error::RunError;
use tickfuse_core::plain::{LstmNet, PlainTensors};
use tickfuse_core::{Flags, Level, Model, OpenOptions, Session};

const SMALL: Shape = Shape {
    n_features: 3,
    lookback: 5,
    n_layers: 1,
    n_hidden: 8,
    precision: Precision::F32,
    kind: OutputKind::Softmax,
};

/// Largest accepted deviation from the oracle: f32 rounding, or bf16 or i16 in its products.
fn bound(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        Precision::Bf16 => 3e-2,
        Precision::I16 => 5e-3,
    }
}

fn oracle(schema: &tickfuse_core::bundle::Schema, plain: &PlainTensors, window: &[f32]) -> Vec<f64> {
    let wide: Vec<f64> = window.iter().map(|v| f64::from(*v)).collect();
    LstmNet::new(schema, plain).run(&wide)
}

/// Opens the shape's model on a level and compares `n` windows, alone and together, with the oracle.
fn check(shape: Shape, n: usize, level: Level) {
    let schema = schema(shape);
    let plain = tensors(&schema, 3);
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    let model = Model::from_bytes(&file(&schema, &plain), options).unwrap();
    let mut session = Session::new(&model, n);
    let windows: Vec<Vec<f32>> = (0..n as u64).map(|w| window(&schema, 100 + w)).collect();
    let mut together = vec![0.0; n * 3];
    session.run_batch(&windows.concat(), n, &mut together).unwrap();
    for (window, together) in windows.iter().zip(together.chunks_exact(3)) {
        let mut alone = [0.0; 3];
        session.run(window, &mut alone).unwrap();
        assert_eq!(alone, *together, "a batch keeps the bits of its windows");
        let wide: Vec<f64> = window.iter().map(|v| f64::from(*v)).collect();
        let mut from_f64 = [0.0; 3];
        session.run(&wide, &mut from_f64).unwrap();
        assert_eq!(
            alone, from_f64,
            "f32 and f64 inputs of equal value give the same bits"
        );
        for (found, expected) in alone.iter().zip(oracle(&schema, &plain, window)) {
            let deviation = (f64::from(*found) - expected).abs();
            assert!(
                deviation <= bound(shape.precision),
                "{shape:?} {}: {deviation}",
                level.name()
            );
        }
    }
}

#[test]
fn corner_shapes_equal_the_oracle_on_every_level() {
    let shapes = [
        (1, 1, 1, 1, 1),
        (1, 512, 1, 3, 1),
        (300, 4, 2, 16, 2),
        (5, 60, 1, 64, 7),
        (7, 9, 3, 37, 6),
        (2, 6, 4, 256, 3),
        (17, 3, 2, 100, 13),
    ];
    for (n_features, lookback, n_layers, n_hidden, n) in shapes {
        for precision in Precision::ALL {
            for level in Level::available() {
                let shape = Shape {
                    n_features,
                    lookback,
                    n_layers,
                    n_hidden,
                    precision,
                    kind: OutputKind::Linear,
                };
                eprintln!("{} {shape:?}", level.name());
                check(shape, n, level);
            }
        }
    }
}

#[test]
fn every_activation_of_a_head_equals_the_oracle_on_every_level() {
    for precision in Precision::ALL {
        for activations in [
            [Activation::Elu, Activation::None],
            [Activation::Relu, Activation::Elu],
            [Activation::None, Activation::Relu],
        ] {
            let shape = Shape { precision, ..SMALL };
            for level in Level::available() {
                check_head(shape, activations, level);
            }
        }
    }
}

/// A head of these activations, its columns as they are.
fn check_head(shape: Shape, activations: [Activation; 2], level: Level) {
    let kind = OutputKind::Linear;
    let mut schema = schema(Shape { kind, ..shape });
    let Net::Lstm(config) = &mut schema.net else {
        panic!("a stack");
    };
    for (layer, activation) in config.head.iter_mut().zip(activations) {
        layer.activation = activation;
    }
    let plain = tensors(&schema, 3);
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    let model = Model::from_bytes(&file(&schema, &plain), options).unwrap();
    let window = window(&schema, 100);
    let mut out = [0.0; 3];
    Session::new(&model, 1).run(&window, &mut out).unwrap();
    for (found, expected) in out.iter().zip(oracle(&schema, &plain, &window)) {
        let deviation = (f64::from(*found) - expected).abs();
        let what = format!(
            "{precision:?} {activations:?} {}",
            level.name(),
            precision = shape.precision
        );
        assert!(deviation <= bound(shape.precision), "{what}: {deviation}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_shape_equals_the_oracle(
        n_features in 1_usize..300,
        lookback in 1_usize..80,
        n_layers in 1_usize..=4,
        n_hidden in 1_usize..96,
        n in 1_usize..15,
        precision in 0..Precision::ALL.len(),
        softmax in any::<bool>(),
    ) {
        let precision = Precision::ALL[precision];
        let kind = if softmax { OutputKind::Softmax } else { OutputKind::Sigmoid };
        check(Shape { n_features, lookback, n_layers, n_hidden, precision, kind }, n, Level::detect());
    }
}

fn session() -> (tickfuse_core::bundle::Schema, Session) {
    let schema = schema(SMALL);
    let model = Model::from_bytes(&file(&schema, &tensors(&schema, 3)), OpenOptions::default()).unwrap();
    (schema, Session::new(&model, 4))
}

#[test]
fn a_missing_value_is_refused_with_its_place_and_nothing_is_written() {
    let (schema, mut session) = session();
    let mut windows = [window(&schema, 1), window(&schema, 2)].concat();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        windows[15 + 3 * 3 + 2] = bad;
        let mut out = [7.0; 6];
        let error = session.run_batch(&windows, 2, &mut out).unwrap_err();
        assert_eq!(
            error,
            RunError::NonFinite {
                window: 1,
                row: 3,
                column: 2
            }
        );
        assert_eq!(out, [7.0; 6]);
    }
}

#[test]
fn a_value_that_leaves_f32_once_scaled_is_missing_too() {
    let (schema, mut session) = session();
    let mut wide = vec![0.0_f64; schema.lookback() * 3];
    wide[0] = 1e300;
    let error = session.run(&wide, &mut [0.0; 3]).unwrap_err();
    assert_eq!(
        error,
        RunError::NonFinite {
            window: 0,
            row: 0,
            column: 0
        }
    );
}

#[test]
fn an_imputed_value_counts_as_the_centre_and_is_flagged() {
    let (schema, mut session) = session();
    let mut x = window(&schema, 1);
    x[3 + 1] = f32::NAN;
    let (mut imputed, mut centred) = ([0.0; 3], [0.0; 3]);
    assert_eq!(session.run(&x, &mut imputed).unwrap(), Flags::IMPUTED);
    x[3 + 1] = schema.inputs[1].scaler.unwrap().center as f32;
    assert_eq!(session.run(&x, &mut centred).unwrap(), Flags::NONE);
    assert_eq!(imputed, centred);
}

#[test]
fn finite_inputs_that_overflow_inside_are_flagged() {
    let schema = schema(SMALL);
    let mut plain = tensors(&schema, 3);
    let input = plain.get_mut("lstm.weight_ih_l0").unwrap();
    input.data.iter_mut().for_each(|w| *w *= 100.0);
    let bytes = file(&schema, &plain);
    let mut x = window(&schema, 1);
    for (i, v) in x.iter_mut().enumerate() {
        *v = if i.is_multiple_of(2) { 3e38 } else { -3e38 };
    }
    for level in Level::available() {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let mut session = Session::new(&Model::from_bytes(&bytes, options).unwrap(), 1);
        let mut out = [0.0; 3];
        let flags = session.run(&x, &mut out).unwrap();
        let all_finite = out.iter().all(|v| v.is_finite());
        assert_eq!(
            flags.contains(Flags::OVERFLOW),
            !all_finite,
            "{} {out:?}",
            level.name()
        );
        // Two roundings make infinity minus infinity of these inputs; a fused product stays infinite.
        assert!(
            level != Level::Portable || !all_finite,
            "the inputs are chosen to overflow"
        );
    }
}

#[test]
fn a_batch_beyond_all_memory_is_a_wrong_length() {
    let (_, small) = session();
    let mut session = Session::new(small.model(), usize::MAX);
    let found = session.run_batch::<f32>(&[], usize::MAX, &mut []);
    assert_eq!(
        found,
        Err(RunError::InputLength {
            expected: usize::MAX,
            found: 0
        })
    );
}

#[test]
fn wrong_lengths_and_batches_are_refused() {
    let (schema, mut session) = session();
    let x = window(&schema, 1);
    let mut out = [0.0; 3];
    assert_eq!(
        session.run(&x[1..], &mut out),
        Err(RunError::InputLength {
            expected: 15,
            found: 14
        })
    );
    assert_eq!(
        session.run(&x, &mut out[1..]),
        Err(RunError::OutputLength {
            expected: 3,
            found: 2
        })
    );
    assert_eq!(
        session.run_batch::<f32>(&[], 0, &mut []),
        Err(RunError::Batch { limit: 4, found: 0 })
    );
    let five = x.repeat(5);
    assert_eq!(
        session.run_batch(&five, 5, &mut [0.0; 15]),
        Err(RunError::Batch { limit: 4, found: 5 })
    );
}

#[test]
fn one_model_serves_many_threads_with_the_same_bits() {
    let (schema, session) = session();
    let model = session.model().clone();
    let x = window(&schema, 9);
    let answer = |_| {
        let mut out = [0.0; 3];
        Session::new(&model, 1).run(&x, &mut out).unwrap();
        out
    };
    let expected = answer(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|i| scope.spawn(move || answer(i))).collect();
        assert!(threads.into_iter().all(|t| t.join().unwrap() == expected));
    });
}

#[test]
fn plain_tensors_come_back_from_a_model_file() {
    for precision in Precision::ALL {
        let schema = schema(Shape {
            precision,
            n_layers: 2,
            ..SMALL
        });
        let plain = tensors(&schema, 5);
        let model = Model::from_bytes(&file(&schema, &plain), OpenOptions::default()).unwrap();
        let back = tickfuse_core::nets::unpack(model.bundle()).unwrap();
        for (name, tensor) in &plain {
            let rounded = |v: &f32| half::bf16::from_f32(*v).to_f32();
            let is_weight = !name.contains("bias") && precision == Precision::Bf16;
            let expected: Vec<f32> = if is_weight {
                tensor.data.iter().map(rounded).collect()
            } else {
                tensor.data.clone()
            };
            assert_eq!(back[name].shape, tensor.shape);
            if precision == Precision::I16 {
                let size = expected.iter().fold(0.0_f32, |top, v| top.max(v.abs()));
                let mut pairs = back[name].data.iter().zip(&expected);
                assert!(pairs.all(|(a, b)| (a - b).abs() <= 1e-3 * size), "{name}");
            } else {
                assert_eq!(back[name].data, expected, "{name}");
            }
        }
    }
}
