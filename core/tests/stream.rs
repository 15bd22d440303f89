//! Streams against whole windows: the same bits and flags after any order of pushes, peeks, preparations and resets.

mod common;

use common::{Shape, families, file, noise, schema, tensors};
use tickfuse_core::bundle::{
    Arrival, Input, Missing, Net, NormalizerSource, OutputKind, Precision, QuantileTftConfig, Schema, Tables,
    TftRules,
};
use tickfuse_core::error::{RunError, StreamError};
use tickfuse_core::features::{Bar, FeatureDef, FeatureOp};
use tickfuse_core::{Flags, Level, Model, OpenOptions, Session, Step, Stream};

const SMALL: Shape = Shape {
    n_features: 3,
    lookback: 7,
    n_layers: 2,
    n_hidden: 19,
    precision: Precision::F32,
    kind: OutputKind::Softmax,
};

/// A stream beside the rows it was given.
struct Twin {
    stream: Stream,
    session: Session,
    rows: Vec<Vec<f32>>,
    schema: Schema,
}

impl Twin {
    fn new(schema: &Schema, bytes: &[u8], level: Level) -> Self {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(bytes, options).unwrap();
        Self {
            stream: Stream::new(&model).unwrap(),
            session: Session::new(&model, 1),
            rows: Vec::new(),
            schema: schema.clone(),
        }
    }

    /// What `run` says of the last rows and this one.
    fn expected(&mut self, row: &[f32]) -> Result<Option<(Flags, Vec<f32>)>, RunError> {
        let lookback = self.schema.lookback();
        let refused = |(x, input): (&f32, &Input)| !x.is_finite() && input.missing == Missing::Reject;
        if let Some(column) = row.iter().zip(&self.schema.inputs).position(refused) {
            return Err(RunError::NonFinite {
                window: 0,
                row: lookback - 1,
                column,
            });
        }
        if self.rows.len() + 1 < lookback {
            return Ok(None);
        }
        let from = self.rows.len() + 1 - lookback;
        let window: Vec<f32> = self.rows[from..].iter().flatten().chain(row).copied().collect();
        let mut out = vec![0.0; self.schema.n_outputs()];
        let flags = self.session.run(&window, &mut out)?;
        Ok(Some((flags, out)))
    }

    fn check(&mut self, row: &[f32], keep: bool) {
        let expected = self.expected(row);
        let untouched = vec![7.0; self.schema.n_outputs()];
        let mut out = untouched.clone();
        let found = match keep {
            true => self.stream.push(row, &mut out),
            false => self.stream.peek(row, &mut out),
        };
        match (expected, found) {
            (Err(expected), Err(found)) => {
                assert_eq!((expected, &out), (found, &untouched));
                return;
            }
            (Ok(None), Ok(Step::WarmingUp { remaining })) => {
                assert_eq!(remaining, self.schema.lookback() - 1 - self.rows.len());
                assert_eq!(out, untouched);
            }
            (Ok(Some((flags, expected))), Ok(Step::Answer(found))) => {
                assert_eq!(flags, found);
                assert!(
                    expected.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{expected:?} {out:?}"
                );
            }
            (expected, found) => panic!("{expected:?} {found:?}"),
        }
        if keep {
            self.rows.push(row.to_vec());
        }
    }
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

/// A raw row; categories are codes, now and then a value is missing.
fn raw_row(schema: &Schema, step: usize, is_sound: bool) -> Vec<f32> {
    let value = |(i, input): (usize, &Input)| {
        let x = noise(step as u64 + 10, i);
        match &input.categories {
            // Symbols change seldom.
            Some(categories) => (step / 40 * 7 + i) as f32 % categories.n_codes() as f32,
            None if !is_sound && i == step % schema.inputs.len() => f32::NAN,
            None => x * 3.0,
        }
    };
    schema
        .inputs
        .iter()
        .filter(|i| i.derived.is_none())
        .enumerate()
        .map(value)
        .collect()
}

/// Random operations; a number in 0..100 per step decides.
fn operate(schema: &Schema, bytes: &[u8], level: Level, n: usize) {
    let mut twin = Twin::new(schema, bytes, level);
    for step in 0..n {
        let dice = ((noise(9, step) + 1.0) * 50.0) as usize;
        let row = raw_row(schema, step, !dice.is_multiple_of(17));
        match dice {
            0..55 => twin.check(&row, true),
            55..70 => twin.check(&row, false),
            70..82 => twin.stream.prepare(),
            82..97 => {
                twin.stream.prepare_some(dice % 5);
            }
            97 => twin.stream.set_max_missing_bars(1),
            _ => {
                twin.stream.reset();
                twin.rows.clear();
            }
        }
    }
}

fn shapes() -> [Shape; 5] {
    let shape = |(n_features, lookback, n_layers, n_hidden): (usize, usize, usize, usize)| Shape {
        n_features,
        lookback,
        n_layers,
        n_hidden,
        ..SMALL
    };
    [
        (3, 7, 2, 19),
        (1, 1, 1, 3),
        (2, 2, 3, 40),
        (5, 20, 1, 64),
        (4, 13, 2, 128),
    ]
    .map(shape)
}

fn operate_stack(shape: Shape, level: Level, n: usize) {
    let schema = schema(shape);
    operate(&schema, &file(&schema, &tensors(&schema, 5)), level, n);
}

/// The other families, pre-rolled where the net allows it.
fn families() -> Vec<Schema> {
    let tft = |size| Schema {
        arrival: Arrival::PreRolled,
        ..families::tft_schema(size)
    };
    let small = families::TftSize {
        n_ahead: 0,
        ..families::SMALL_TFT
    };
    let mut of_encoder = tft(small);
    let column = of_encoder
        .inputs
        .iter()
        .find(|i| i.name == "observed0")
        .map(|i| i.name.clone());
    of_encoder.normalizers[0].source = NormalizerSource::Encoder {
        input: column.expect("an observed real"),
        epsilon: 1e-3,
        center: true,
    };
    let quantile = Net::QuantileTft(QuantileTftConfig {
        lookback: 6,
        n_hidden: 8,
        n_heads: 2,
        n_layers: 1,
        n_classes: 3,
        n_quantiles: 2,
    });
    let mut all = vec![
        tft(small),
        tft(families::TftSize {
            n_hidden: 40,
            n_layers: 2,
            n_static: 0,
            lookback: 9,
            rules: TftRules::GOOGLE,
            ..small
        }),
        tft(families::TftSize { lookback: 1, ..small }),
        of_encoder,
        families::schema(quantile, 3),
    ];
    for arrival in [Arrival::PreRolled, Arrival::WholeWindow] {
        let of_net = |net| Schema {
            arrival,
            ..families::schema(Net::Xtrend(net), 3)
        };
        all.extend(families::xtrends().map(of_net));
    }
    // Tables that some rows leave and others do not.
    let tabulated = |schema: &Schema| Schema {
        tables: Some(Tables::wish(1e-4, -1.5, 1.0)),
        ..schema.clone()
    };
    let with_tables: Vec<Schema> = [0, 1, 5, 7].map(|i| tabulated(&all[i])).into();
    all.extend(with_tables);
    all
}

#[test]
fn any_order_of_operations_gives_the_bits_of_whole_windows() {
    for level in levels() {
        for shape in shapes() {
            for precision in [Precision::F32, Precision::Bf16] {
                operate_stack(Shape { precision, ..shape }, level, 600);
            }
        }
        for schema in families() {
            for precision in [Precision::F32, Precision::Bf16] {
                let schema = Schema {
                    precision,
                    ..schema.clone()
                };
                let bytes = families::file(&schema, &families::tensors(&schema));
                operate(&schema, &bytes, level, 150);
            }
        }
    }
}

/// `cargo test --release -p tickfuse-core --test stream -- --ignored`
#[test]
#[ignore = "minutes: a million operations per net and precision on the best level"]
fn a_million_operations_give_the_bits_of_whole_windows() {
    let level = Level::detect();
    for shape in &shapes()[..3] {
        for precision in [Precision::F32, Precision::Bf16] {
            operate_stack(Shape { precision, ..*shape }, level, 1_000_000);
        }
    }
    for schema in families() {
        let bytes = families::file(&schema, &families::tensors(&schema));
        operate(&schema, &bytes, level, 1_000_000);
    }
}

/// A model of two features of bars.
fn of_bars() -> std::sync::Arc<Model> {
    let mut schema = schema(Shape {
        n_features: 2,
        ..SMALL
    });
    schema.bar_interval_ns = Some(60);
    schema.inputs[0].feature = Some(FeatureOp::LogRet { lag: 2 });
    schema.inputs[1].feature = Some(FeatureOp::SmaRatio { n: 4 });
    let bytes = file(&schema, &tensors(&schema, 5));
    Model::from_bytes(&bytes, OpenOptions::default()).unwrap()
}

fn bar(i: i64) -> Bar {
    let close = 100.0 + f64::from(noise(4, i as usize));
    Bar {
        ts_ns: i * 60,
        open: close,
        high: close + 1.0,
        low: close - 1.0,
        close,
        volume: 1.0,
    }
}

#[test]
fn bars_become_rows_and_answers_and_a_gap_begins_anew() {
    let model = of_bars();
    let (mut stream, mut session) = (Stream::new(&model).unwrap(), Session::new(&model, 1));
    let mut features = model.bar_rows().unwrap();
    assert_eq!(
        features.features().defs()[0],
        FeatureDef {
            name: "x0".into(),
            op: FeatureOp::LogRet { lag: 2 }
        }
    );
    let mut rows = Vec::new();
    let (mut out, mut expected, mut peeked) = ([0.0; 3], [0.0; 3], [0.0; 3]);
    // Three bars of warm-up and seven rows.
    for i in 0..40 {
        if matches!(
            features.push(&bar(i)).unwrap(),
            tickfuse_core::features::Ready::Row
        ) {
            rows.extend_from_slice(features.row());
        }
        let step = stream.peek_bar(&bar(i), &mut peeked).unwrap();
        assert_eq!(stream.push_bar(&bar(i), &mut out).unwrap(), step);
        if i < 9 {
            assert_eq!(
                step,
                Step::WarmingUp {
                    remaining: 9 - i as usize
                }
            );
            continue;
        }
        session.run(&rows[rows.len() - 14..], &mut expected).unwrap();
        assert_eq!(
            (step, out, peeked),
            (Step::Answer(Flags::NONE), expected, expected)
        );
    }
    let repeated = stream.push_bar(&bar(39), &mut out).unwrap_err();
    assert!(matches!(repeated, StreamError::Feature(_)), "{repeated}");
    assert_eq!(stream.remaining(), 1);
    stream.set_max_missing_bars(1);
    assert!(matches!(
        stream.push_bar(&bar(41), &mut out).unwrap(),
        Step::Answer(_)
    ));
    assert_eq!(
        stream.peek_bar(&bar(44), &mut out).unwrap(),
        Step::WarmingUp { remaining: 9 }
    );
    assert_eq!(
        stream.push_bar(&bar(44), &mut out).unwrap(),
        Step::WarmingUp { remaining: 9 }
    );
}

#[test]
fn the_symbol_of_a_series_stands_in_its_rows() {
    let mut schema = families::tft_schema(families::TftSize {
        n_ahead: 0,
        n_static: 1,
        n_known: 0,
        n_observed: 1,
        ..families::SMALL_TFT
    });
    schema.inputs[1].feature = Some(FeatureOp::LogRet { lag: 1 });
    let categories = schema.inputs[0].categories.as_mut().unwrap();
    categories.unknown = Some(0);
    let label = categories.labels[2].clone();
    let name = schema.inputs[0].name.clone();
    let bytes = families::file(&schema, &families::tensors(&schema));
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let mut answers = Vec::new();
    for known in [None, Some("a stranger"), Some(label.as_str())] {
        let mut stream = Stream::new(&model).unwrap();
        if let Some(label) = known {
            assert_eq!(stream.set_category(&name, label), Ok(label != "a stranger"));
        }
        assert_eq!(stream.set_category("venue", "X"), Err(RunError::NoCategory));
        let mut out = vec![0.0; schema.n_outputs()];
        for i in 0..schema.lookback() as i64 + 1 {
            let _ = stream.push_bar(&bar(i), &mut out).unwrap();
        }
        answers.push(out);
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
}

#[test]
fn a_model_of_rows_takes_no_bars() {
    let schema = schema(SMALL);
    let bytes = file(&schema, &tensors(&schema, 5));
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let mut stream = Stream::new(&model).unwrap();
    assert_eq!(
        stream.push_bar(&bar(0), &mut [0.0; 3]).unwrap_err(),
        StreamError::NoBars
    );
    assert!(matches!(
        stream.push(&[0.0; 2], &mut [0.0; 3]),
        Err(RunError::InputLength {
            expected: 3,
            found: 2
        })
    ));
    assert!(matches!(
        stream.push(&[0.0; 3], &mut [0.0; 4]),
        Err(RunError::OutputLength {
            expected: 3,
            found: 4
        })
    ));
}

#[test]
fn contexts_of_the_caller_count_from_the_next_answer_on() {
    let net = families::xtrends().next().unwrap();
    let schema = Schema {
        arrival: Arrival::PreRolled,
        ..families::schema(Net::Xtrend(net.clone()), 3)
    };
    let bytes = families::file(&schema, &families::tensors(&schema));
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let [n, rows, columns] = model.context_shape().unwrap();
    let raw: Vec<f32> = (0..n * rows * columns).map(|i| noise(3, i)).collect();
    let contexts = model.encode_contexts(&raw, &vec![1; n]).unwrap();
    let (mut stream, mut session) = (Stream::new(&model).unwrap(), Session::new(&model, 1));
    let window: Vec<f32> = (0..net.lookback)
        .flat_map(|step| raw_row(&schema, step, true))
        .collect();
    let (mut before, mut after, mut expected) = ([0.0; 3], [0.0; 3], [0.0; 3]);
    let (past, newest) = window.split_at(window.len() - schema.n_features());
    for row in past.chunks_exact(schema.n_features()) {
        let _ = stream.push(row, &mut before[..schema.n_outputs()]).unwrap();
    }
    stream.prepare();
    let _ = stream.peek(newest, &mut before[..schema.n_outputs()]).unwrap();
    stream.set_contexts(&contexts).unwrap();
    session.set_contexts(&contexts).unwrap();
    let _ = stream.push(newest, &mut after[..schema.n_outputs()]).unwrap();
    let _ = session.run(&window, &mut expected[..schema.n_outputs()]).unwrap();
    assert_eq!(after, expected);
    assert_ne!(after, before);
}
