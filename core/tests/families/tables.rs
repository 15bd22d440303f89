//! Models whose networks of single reals are tables, against the same models without.

use crate::common::families::{
    SMALL_TFT, TftSize, file, schema, session, tensors, tft_schema, windows, xtrends,
};
use tickfuse_core::bundle::{Bundle, Net, OpenOptions, Precision, Schema, Tables, Tensor, TftRules, write};
use tickfuse_core::error::{OpenError, WriteError};
use tickfuse_core::{Level, Model, nets};

/// Every form whose variables have networks of their own.
fn schemas() -> Vec<Schema> {
    let rules = [TftRules::PYTORCH_FORECASTING, TftRules::GOOGLE];
    let tfts = rules.map(|rules| tft_schema(TftSize { rules, ..SMALL_TFT }));
    let wide = tft_schema(TftSize {
        n_ahead: 0,
        n_hidden: 40,
        n_static: 0,
        lookback: 30,
        ..SMALL_TFT
    });
    let xtrends = xtrends().map(|config| schema(Net::Xtrend(config), 5));
    tfts.into_iter().chain([wide]).chain(xtrends).collect()
}

fn tabulated(schema: &Schema, wish: Tables) -> Schema {
    Schema {
        tables: Some(wish),
        ..schema.clone()
    }
}

fn answers(file: &[u8], level: Level, scale: f32) -> Vec<f32> {
    let mut session = session(file, level);
    let schema = session.model().schema().clone();
    let mut all = Vec::new();
    for mut window in windows(&schema, 3) {
        for row in window.chunks_exact_mut(schema.n_features()) {
            for (x, input) in row.iter_mut().zip(&schema.inputs) {
                *x *= if input.categories.is_some() { 1.0 } else { scale };
            }
        }
        let mut out = vec![0.0; schema.n_outputs()];
        session.run(&window, &mut out).expect("the window is sound");
        all.extend(out);
        let weights = session.interpret();
        all.extend(
            weights
                .iter()
                .filter(|w| w.name.ends_with("weights"))
                .flat_map(|w| &w.values),
        );
    }
    all
}

fn range(values: &[f32]) -> f32 {
    values.iter().fold(1.0, |top, v| top.max(v.abs()))
}

#[test]
fn answers_are_those_of_the_networks_within_the_tolerance() {
    let mut n_different = 0;
    for schema in schemas() {
        let plain = tensors(&schema);
        for (precision, tolerance, bound) in [
            (Precision::F32, 1e-6, 2e-5),
            (Precision::F32, 1e-4, 2e-3),
            (Precision::Bf16, 1e-6, 3e-2),
            (Precision::I16, 1e-6, 5e-3),
        ] {
            let schema = Schema {
                precision,
                ..schema.clone()
            };
            let exact = file(&schema, &plain);
            let tables = file(&tabulated(&schema, Tables::wish(tolerance, -8.0, 8.0)), &plain);
            for level in Level::available() {
                // Some of the values lie outside of the tables.
                let (a, b) = (answers(&exact, level, 4.0), answers(&tables, level, 4.0));
                let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(
                    apart <= bound * range(&a),
                    "{:?} {precision:?} {tolerance:e} {}: {apart:e} of {}",
                    schema.net,
                    level.name(),
                    range(&a)
                );
                n_different += usize::from(apart > 0.0);
            }
        }
    }
    assert!(n_different > 20, "tables are used");
}

#[test]
fn every_real_variable_is_listed_with_an_error_within_the_tolerance() {
    for schema in schemas() {
        let bytes = file(
            &tabulated(&schema, Tables::wish(1e-5, -6.0, 7.0)),
            &tensors(&schema),
        );
        let model = Model::from_bytes(&bytes, tickfuse_core::OpenOptions::default()).unwrap();
        let found = model.schema().tables.as_ref().unwrap();
        let expected = match &schema.net {
            Net::Tft(config) => {
                let groups = [
                    &config.static_variables,
                    &config.encoder_variables,
                    &config.decoder_variables,
                ];
                let all = groups.into_iter().flatten();
                all.filter(|v| !v.is_categorical()).count()
            }
            Net::Xtrend(config) if config.form == tickfuse_core::bundle::XtrendForm::Separate => 4 * 5 + 1,
            _ => 5,
        };
        assert_eq!(found.networks.len(), expected);
        for network in &found.networks {
            let knots = network.knots.unwrap();
            assert_eq!((knots.low, knots.high), (-6.0, 7.0));
            assert!(network.share > 0.0 && network.share <= 1e-5, "{network:?}");
        }
        let largest = found.networks.iter().fold(0.0_f64, |top, n| top.max(n.share));
        assert_eq!(found.largest_share(), largest);
        let grown = model.schema().golden_tolerance - schema.golden_tolerance;
        assert!(grown >= 0.0);
    }
}

#[test]
fn values_outside_the_tables_get_the_answers_of_the_networks() {
    for schema in schemas() {
        let plain = tensors(&schema);
        let exact = file(&schema, &plain);
        let narrow = file(&tabulated(&schema, Tables::wish(1e-4, 1e5, 1e5 + 1.0)), &plain);
        for level in Level::available() {
            assert_eq!(
                answers(&exact, level, 1.0),
                answers(&narrow, level, 1.0),
                "{:?}",
                schema.net
            );
        }
    }
}

#[test]
fn networks_that_no_table_meets_answer_themselves_and_are_listed() {
    let schema = &schemas()[2];
    let plain = tensors(schema);
    let bytes = file(&tabulated(schema, Tables::wish(1e-12, -8.0, 8.0)), &plain);
    let bundle = Bundle::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let found = bundle.schema().tables.as_ref().unwrap();
    assert!(!found.networks.is_empty());
    assert!(found.networks.iter().all(|n| n.knots.is_none() && n.share > 1e-9));
    assert_eq!(found.largest_share(), 0.0);
    let level = Level::detect();
    assert_eq!(
        answers(&file(schema, &plain), level, 1.0),
        answers(&bytes, level, 1.0)
    );
}

#[test]
fn plain_tensors_come_back_bit_for_bit_and_equal_wishes_make_equal_files() {
    for schema in schemas() {
        let plain = tensors(&schema);
        let wish = tabulated(&schema, Tables::wish(1e-5, -8.0, 8.0));
        let bytes = file(&wish, &plain);
        let bundle = Bundle::from_bytes(&bytes, OpenOptions::default()).unwrap();
        assert_eq!(nets::unpack(&bundle).unwrap(), plain);
        // What was found before is found again.
        let again = tabulated(&schema, bundle.schema().tables.clone().unwrap());
        assert_eq!(file(&again, &plain), bytes);
    }
}

#[test]
fn the_golden_tolerance_grows_with_the_error_of_the_tables() {
    let schema = Schema {
        golden_tolerance: 0.5,
        ..schemas().swap_remove(3)
    };
    let zeros = vec![0.0; schema.n_outputs()];
    for (tolerance, most) in [(1e-6, 2e-5), (1e-3, 2e-2)] {
        let wish = tabulated(&schema, Tables::wish(tolerance, -8.0, 8.0));
        let bytes = tickfuse_core::write_model(&wish, &tensors(&schema), &windows(&schema, 1)[0], &zeros);
        let bytes = bytes.unwrap();
        let bundle = Bundle::from_bytes(&bytes, OpenOptions::default()).unwrap();
        let share = bundle.schema().tables.as_ref().unwrap().largest_share();
        let grown = f64::from(bundle.schema().golden_tolerance) - 0.5;
        assert!(
            (grown - 20.0 * share).abs() < 1e-7 && grown <= most + 1e-7,
            "{grown} {share}"
        );
    }
}

fn refused(wish: Tables) -> String {
    let schema = &schemas()[2];
    let zeros = vec![0.0; schema.n_outputs()];
    let wish = tabulated(schema, wish);
    match tickfuse_core::write_model(&wish, &tensors(schema), &windows(schema, 1)[0], &zeros) {
        Err(WriteError::Refused(OpenError::Schema(text))) => text,
        other => panic!("{:?}", other.map(|file| file.len())),
    }
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    for (low, high) in [
        (1.0, 1.0),
        (2.0, -2.0),
        (f64::NAN, 1.0),
        (f64::MIN, f64::MAX),
        (0.0, 1e-320),
    ] {
        let text = refused(Tables::wish(1e-6, low, high));
        assert!(text.starts_with("tables: expected finite low < high"), "{text}");
    }
    for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(Tables::wish(tolerance, -8.0, 8.0)).starts_with("tables.tolerance"));
    }
    let quantile = schema(Net::QuantileTft(crate::common::families::quantile_tft()), 3);
    let quantile = tabulated(&quantile, Tables::wish(1e-6, -8.0, 8.0));
    assert!(matches!(quantile.validate(), Err(OpenError::Schema(text)) if text.starts_with("tables: ")));
}

/// A tabulated file whose schema or tensors were changed by somebody who can compute hashes.
fn damaged(
    edit_schema: impl Fn(&mut Tables),
    edit: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>),
) -> OpenError {
    let schema = &schemas()[2];
    let bytes = file(
        &tabulated(schema, Tables::wish(1e-3, -8.0, 8.0)),
        &tensors(schema),
    );
    let bundle = Bundle::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let mut schema = bundle.schema().clone();
    edit_schema(schema.tables.as_mut().unwrap());
    let mut owned = Vec::new();
    for info in bundle.tensors() {
        let mut values = bundle.tensor::<f32>(&info.name, &info.shape).unwrap().to_vec();
        let mut shape = info.shape.clone();
        edit(&info.name, &mut shape, &mut values);
        owned.push((info.name.clone(), shape, values));
    }
    let tensors: Vec<Tensor<'_>> = owned
        .iter()
        .filter(|(_, shape, _)| !shape.is_empty())
        .map(|(name, shape, values)| Tensor::new(name, shape, values))
        .collect();
    let written = match write(&schema, &tensors) {
        Ok(bytes) => bytes,
        Err(WriteError::Refused(error)) => return error,
        Err(other) => panic!("{other}"),
    };
    match Model::from_bytes(&written, tickfuse_core::OpenOptions::default()) {
        Err(error) => error,
        Ok(_) => panic!("opened"),
    }
}

const TABLE: &str = "run.encoder.variables.observed1";

fn damaged_tensor(part: &str, edit: impl Fn(&mut Vec<usize>, &mut Vec<f32>)) -> OpenError {
    let name = format!("{TABLE}.{part}");
    damaged(
        |_| {},
        |found, shape, values| {
            if found == name {
                edit(shape, values);
            }
        },
    )
}

fn damaged_schema(edit: impl Fn(&mut Tables)) -> String {
    match damaged(edit, |_, _, _| {}) {
        OpenError::Schema(text) => text,
        other => panic!("{other}"),
    }
}

#[test]
fn damaged_tables_are_refused_by_name() {
    let error = damaged_tensor("knots", |_, values| values[3] = f32::NAN);
    assert!(
        matches!(&error, OpenError::NonFinite { tensor, index: 3 } if tensor.starts_with(TABLE)),
        "{error}"
    );
    let error = damaged_tensor("knots", |shape, values| {
        shape[0] -= 1;
        let row = values.len() / (shape[0] + 1);
        values.truncate(values.len() - row);
    });
    assert!(matches!(error, OpenError::TensorShape { .. }), "{error}");
    let error = damaged_tensor("knots", |shape, _| shape.clear());
    assert_eq!(error, OpenError::MissingTensor(format!("{TABLE}.knots")));
    let error = damaged_tensor("places", |shape, _| shape.clear());
    assert_eq!(error, OpenError::MissingTensor(format!("{TABLE}.places")));
    for (at, value) in [(0, 1.0), (1, 0.0), (1, 0.5), (1, 1e30), (2, -3.0)] {
        let error = damaged_tensor("places", |_, values| values[at] = value);
        let text = format!("{error}");
        assert!(text.contains("observed1.places: knots"), "{text}");
    }
}

#[test]
fn tables_that_contradict_the_file_are_refused() {
    let at = |tables: &Tables| {
        let name = TABLE.strip_prefix("run.").unwrap();
        tables.networks.iter().position(|n| n.network == name).unwrap()
    };
    let knots = |edit: fn(&mut tickfuse_core::bundle::Knots)| {
        damaged_schema(|tables| {
            let i = at(tables);
            edit(tables.networks[i].knots.as_mut().unwrap());
        })
    };
    assert!(knots(|k| k.low = 9.0).contains("knots: expected finite low < high"));
    assert!(knots(|k| k.low = f64::NAN).contains("knots: expected finite low < high"));
    assert!(knots(|k| k.depth = 15).contains("knots.depth: expected 0 to 14"));
    assert!(knots(|k| k.n_intervals = 0).contains("n_intervals: expected 1 to"));
    assert!(knots(|k| k.n_intervals = 4097).contains("n_intervals: expected 1 to"));
    assert!(knots(|k| k.depth += 1).contains("last knot"));
    for share in [-1.0, f64::NAN] {
        let text = damaged_schema(|tables| tables.networks[0].share = share);
        assert!(text.contains("share: expected 0 or more"), "{text}");
    }
    let text = damaged_schema(|tables| tables.networks[0].network = "encoder.variables.nobody".into());
    assert!(text.contains("nobody"), "{text}");
    let text = damaged_schema(|tables| tables.networks[1].network = tables.networks[0].network.clone());
    assert!(text.contains("distinct"), "{text}");
    let error = damaged(
        |tables| {
            let i = at(tables);
            tables.networks[i].knots = None;
        },
        |_, _, _| {},
    );
    assert!(
        matches!(&error, OpenError::UnknownTensor(name) if name.starts_with(TABLE)),
        "{error}"
    );
}
