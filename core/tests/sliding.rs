//! Windows slid over a series against the same windows run one by one: the same bits, flags and refusals.

mod common;

use common::{Shape, families, file, noise, schema, tensors};
use std::sync::Arc;
use tickfuse_core::bundle::{
    ContextMode, Derived, Input, Missing, Net, NormalizerSource, OutputKind, Precision, Schema, TftRules,
    Transform, XtrendForm,
};
use tickfuse_core::error::RunError;
use tickfuse_core::{Flags, Level, Model, OpenOptions, Session, Sliding};

/// What both ways say of a series.
type Said = Result<Vec<(Flags, Vec<u32>)>, RunError>;

fn open(bytes: &[u8], level: Level) -> Arc<Model> {
    let options = OpenOptions {
        level: Some(level),
        // A golden window may hold values that a transform refuses.
        verify_golden: false,
        ..OpenOptions::default()
    };
    Model::from_bytes(bytes, options).unwrap()
}

/// Every window by itself; of a window that is refused, the refusal with the window's number.
fn one_by_one(session: &mut Session, series: &[f32], stride: usize) -> Said {
    let schema = session.model().schema().clone();
    let (size, n_features) = (schema.n_rows() * schema.n_features(), schema.n_features());
    let n_windows = (series.len().checked_sub(size)).map_or(0, |left| left / n_features / stride + 1);
    let mut out = vec![0.0; schema.n_outputs()];
    let mut run = |w: usize| {
        let window = &series[w * stride * n_features..][..size];
        let flags = session.run(window, &mut out).map_err(|error| match error {
            RunError::NonFinite { row, column, .. } => RunError::NonFinite {
                window: w,
                row,
                column,
            },
            RunError::Category {
                row,
                column,
                n_categories,
                ..
            } => RunError::Category {
                window: w,
                row,
                column,
                n_categories,
            },
            other => other,
        })?;
        Ok((flags, out.iter().map(|v| v.to_bits()).collect()))
    };
    (0..n_windows).map(&mut run).collect()
}

fn slid(sliding: &mut Sliding, series: &[f32]) -> Said {
    let schema = sliding.model().schema().clone();
    let n = sliding.n_windows(series.len() / schema.n_features());
    let (mut out, mut flags) = (vec![7.0; n * schema.n_outputs()], vec![Flags::OVERFLOW; n]);
    let result = sliding.run(series, &mut out, &mut flags);
    if let Err(error) = result {
        assert!(out.iter().all(|v| *v == 7.0), "{error}: nothing is written");
        return Err(error);
    }
    let rows = out.chunks_exact(schema.n_outputs().max(1));
    let rows = rows.map(|row| row.iter().map(|v| v.to_bits()).collect());
    Ok(flags.into_iter().zip(rows).collect())
}

/// A raw value: categories change every `every` rows; `gap(row, column)` leaves one out.
fn series(schema: &Schema, n_rows: usize, every: usize, gap: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    let inputs: Vec<&Input> = schema.inputs.iter().filter(|i| i.derived.is_none()).collect();
    let value = |row: usize, (column, input): (usize, &&Input)| match &input.categories {
        Some(categories) => (row / every * 7 + column) as f32 % categories.n_codes() as f32,
        None if gap(row, column) => f32::NAN,
        None => noise(row as u64 + 10, column) * 3.0,
    };
    (0..n_rows)
        .flat_map(|row| inputs.iter().enumerate().map(move |x| value(row, x)))
        .collect()
}

/// Both ways on series around the edges of windows, groups and chunks.
fn compare(schema: &Schema, bytes: &[u8], level: Level, gap: impl Fn(usize, usize) -> bool + Copy) {
    let model = open(bytes, level);
    let mut session = Session::new(&model, 1);
    let t = schema.n_rows();
    let of_one = [0, t - 1, t, t + 5, t + 6, t + 100].map(|n_rows| (1, n_rows, 1000));
    let changing = [(1, t + 60, 17), (1, t + 8, 1), (2, t + 70, 17)];
    let far = [(t, 7 * t, 1000), (t + 3, 8 * t + 24, 17)];
    for (stride, n_rows, every) in of_one.into_iter().chain(changing).chain(far) {
        let mut sliding = Sliding::new(&model, stride);
        let series = series(schema, n_rows, every, gap);
        let expected = one_by_one(&mut session, &series, stride);
        let what = format!("{:?}, {}", schema.net, level.name());
        assert!(
            expected == slid(&mut sliding, &series),
            "{what}: {n_rows} rows, stride {stride}, {every}"
        );
    }
}

fn shapes() -> impl Iterator<Item = Shape> {
    let sizes = [
        (3, 7, 2, 19),
        (1, 1, 1, 3),
        (2, 2, 3, 40),
        (5, 20, 1, 64),
        (4, 13, 2, 128),
    ];
    let shape = |(n_features, lookback, n_layers, n_hidden), precision| Shape {
        n_features,
        lookback,
        n_layers,
        n_hidden,
        precision,
        kind: OutputKind::Softmax,
    };
    sizes
        .into_iter()
        .flat_map(move |size| Precision::ALL.map(|precision| shape(size, precision)))
}

#[test]
fn stacks_give_the_bits_of_whole_windows() {
    for level in Level::available() {
        for shape in shapes() {
            let schema = schema(shape);
            let bytes = file(&schema, &tensors(&schema, 5));
            // Odd columns are imputed.
            compare(&schema, &bytes, level, |row, column| column == 1 && row % 37 == 5);
        }
    }
}

const NO_FUTURE: families::TftSize = families::TftSize {
    n_ahead: 0,
    ..families::SMALL_TFT
};

/// Wider and deeper nets than the small ones, in which every form and head occurs.
fn wider() -> Vec<Schema> {
    let tft = families::tft_schema(families::TftSize {
        n_hidden: 40,
        n_layers: 2,
        n_static: 0,
        lookback: 9,
        rules: TftRules::GOOGLE,
        ..NO_FUTURE
    });
    let one_row = families::tft_schema(families::TftSize {
        lookback: 1,
        ..NO_FUTURE
    });
    let xtrends = families::xtrends().map(|config| {
        let steps = match config.form {
            XtrendForm::Separate => ContextMode::TimeEquivalent,
            XtrendForm::Shared => config.context_mode,
        };
        families::schema(
            Net::Xtrend(tickfuse_core::bundle::XtrendConfig {
                lookback: 21,
                context_lookback: 21,
                n_hidden: 24,
                n_layers: if config.form == XtrendForm::Shared { 2 } else { 1 },
                context_mode: steps,
                ..config
            }),
            19,
        )
    });
    [tft, one_row].into_iter().chain(xtrends).collect()
}

#[test]
fn other_families_give_the_bits_of_whole_windows() {
    let schemas: Vec<Schema> = families::small_schemas().chain(wider()).collect();
    for schema in schemas {
        for precision in Precision::ALL {
            let mut schema = Schema {
                precision,
                ..schema.clone()
            };
            let last = schema.inputs.len() - 1;
            schema.inputs[last].missing = Missing::Center;
            let bytes = families::file(&schema, &families::tensors(&schema));
            for level in Level::available() {
                compare(&schema, &bytes, level, |row, column| {
                    column == last && row % 41 == 7
                });
            }
        }
    }
}

/// Inputs that depend on the window: nothing, or not all, may be shared.
fn bound_to_windows() -> Vec<Schema> {
    let column = "observed0".to_string();
    let mut of_encoder = families::tft_schema(NO_FUTURE);
    of_encoder.normalizers[0].source = NormalizerSource::Encoder {
        input: column.clone(),
        epsilon: 1e-3,
        center: true,
    };
    let scaled = |schema: &mut Schema| {
        let input = schema.inputs.iter_mut().find(|i| i.name == column).unwrap();
        (input.scaler, input.scaled_by) = (None, Some("n".into()));
    };
    scaled(&mut of_encoder);
    let mut of_table = families::tft_schema(NO_FUTURE);
    of_table.normalizers[0].source = NormalizerSource::Table {
        inputs: vec!["static0".into()],
        rows: vec![[0.5, 2.0], [-0.25, 1.5], [0.0, 3.0]],
    };
    scaled(&mut of_table);
    let derived = |name: &str, derived| {
        let mut schema = families::tft_schema(NO_FUTURE);
        let at = schema.inputs.iter().position(|i| i.name == name).unwrap();
        let mut input = schema.inputs.remove(at);
        input.derived = Some(derived);
        schema.inputs.push(input);
        schema
    };
    let by_place = derived("known1", Derived::RelativeTime);
    let by_length = derived("static1", Derived::EncoderLength);
    vec![of_encoder, of_table, by_place, by_length]
}

#[test]
fn normalizers_and_derived_columns_of_windows_give_the_same_bits() {
    for schema in bound_to_windows() {
        let bytes = families::file(&schema, &families::tensors(&schema));
        compare(&schema, &bytes, Level::detect(), |_, _| false);
    }
}

#[test]
fn an_unknown_category_is_remarked_in_the_windows_that_begin_with_it() {
    let mut schema = families::tft_schema(NO_FUTURE);
    for input in &mut schema.inputs {
        if let Some(categories) = &mut input.categories {
            categories.unknown = Some(2);
        }
    }
    let bytes = families::file(&schema, &families::tensors(&schema));
    let model = open(&bytes, Level::detect());
    let mut rows = series(&schema, 90, 1000, |_, _| false);
    let n_features = schema.n_features();
    let column = |name: &str| schema.inputs.iter().position(|i| i.name == name).unwrap();
    rows[40 * n_features + column("static0")] = 77.0;
    rows[60 * n_features + column("known0")] = -1.0;
    let expected = one_by_one(&mut Session::new(&model, 1), &rows, 1).unwrap();
    let found = slid(&mut Sliding::new(&model, 1), &rows).unwrap();
    assert_eq!(expected, found);
    let remarked: Vec<usize> = (0..found.len())
        .filter(|w| found[*w].0.contains(Flags::UNKNOWN_CATEGORY))
        .collect();
    assert_eq!(remarked, [40, 56, 57, 58, 59, 60]);
}

#[test]
fn the_first_window_that_would_be_refused_is_named() {
    let mut log = families::tft_schema(NO_FUTURE);
    log.normalizers[0].transform = Transform::Log;
    let input = log.inputs.iter_mut().find(|i| i.name == "observed1").unwrap();
    (input.scaler, input.scaled_by) = (None, Some("n".into()));
    let stack = schema(shapes().next().unwrap());
    let others = families::small_schemas().chain(bound_to_windows()).chain([log]);
    let mut n_refused = 0;
    for schema in core::iter::once(stack).chain(others) {
        let bytes = match &schema.net {
            Net::Lstm(_) => file(&schema, &tensors(&schema, 5)),
            _ => families::file(&schema, &families::tensors(&schema)),
        };
        let model = open(&bytes, Level::detect());
        let mut session = Session::new(&model, 1);
        for stride in [1, 3, 11] {
            let mut sliding = Sliding::new(&model, stride);
            for column in 0..schema.n_features() {
                for bad in [
                    &[(0, f32::NAN)][..],
                    &[(38, 99.0), (39, f32::NAN)],
                    &[(29, -1e38)],
                    &[(59, 99.0)],
                ] {
                    let mut rows = series(&schema, 60, 1000, |_, _| false);
                    rows.iter_mut().for_each(|v| *v = v.abs());
                    for (row, value) in bad {
                        rows[row * schema.n_features() + column] = *value;
                    }
                    let expected = one_by_one(&mut session, &rows, stride);
                    n_refused += usize::from(expected.is_err());
                    let found = slid(&mut sliding, &rows);
                    assert!(expected == found, "{:?}, {column}, {bad:?}, {stride}", schema.net);
                }
            }
        }
    }
    assert!(n_refused > 100, "{n_refused}");
}

#[test]
fn wrong_lengths_are_refused() {
    let schema = families::tft_schema(NO_FUTURE);
    let model = open(
        &families::file(&schema, &families::tensors(&schema)),
        Level::detect(),
    );
    let mut sliding = Sliding::new(&model, 2);
    let rows = series(&schema, 9, 1000, |_, _| false);
    assert_eq!(sliding.n_windows(9), 3);
    let n_out = schema.n_outputs();
    let mut run = |n_values: usize, n_out: usize, n_flags: usize| {
        let (mut out, mut flags) = (vec![0.0; n_out], vec![Flags::NONE; n_flags]);
        sliding.run(&rows[..n_values], &mut out, &mut flags)
    };
    assert_eq!(run(rows.len(), 3 * n_out, 3), Ok(()));
    assert_eq!(
        run(rows.len() - 1, 3 * n_out, 3),
        Err(RunError::InputLength {
            expected: rows.len() - schema.n_features(),
            found: rows.len() - 1
        })
    );
    assert_eq!(
        run(rows.len(), 3 * n_out - 1, 3),
        Err(RunError::OutputLength {
            expected: 3 * n_out,
            found: 3 * n_out - 1
        })
    );
    assert_eq!(
        run(rows.len(), 3 * n_out, 4),
        Err(RunError::OutputLength {
            expected: 3,
            found: 4
        })
    );
}

#[test]
fn other_contexts_answer_the_next_series() {
    for config in families::xtrends() {
        let schema = families::schema(Net::Xtrend(config), 5);
        let bytes = families::file(&schema, &families::tensors(&schema));
        let (model, foreign) = (open(&bytes, Level::detect()), open(&bytes, Level::detect()));
        let [_, n_rows, n_columns] = model.context_shape().unwrap();
        let contexts = model
            .encode_contexts(&vec![0.5_f32; n_rows * n_columns], &[1])
            .unwrap();
        let (mut session, mut sliding) = (Session::new(&model, 1), Sliding::new(&model, 1));
        let rows = series(&schema, 70, 1000, |_, _| false);
        let own = slid(&mut sliding, &rows).unwrap();
        session.set_contexts(&contexts).unwrap();
        sliding.set_contexts(&contexts).unwrap();
        assert_eq!(
            sliding.set_contexts(foreign.contexts().unwrap()),
            Err(RunError::ForeignContexts)
        );
        let found = slid(&mut sliding, &rows).unwrap();
        assert_ne!(own, found);
        assert_eq!(one_by_one(&mut session, &rows, 1).unwrap(), found);
    }
}
