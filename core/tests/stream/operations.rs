//! Any order of operations on every family.

use crate::common::{self, Shape, file, noise, schema, tensors};
use crate::models::{families, levels, raw_row, shapes};
use crate::twin::operate;
use tickfuse_core::bundle::{Arrival, Net, Precision, Schema};
use tickfuse_core::{Level, Model, OpenOptions, Session, Stream};

fn operate_stack(shape: Shape, level: Level, n: usize) {
    let schema = schema(shape);
    let n_compared = operate(&schema, &file(&schema, &tensors(&schema, 5)), level, n);
    assert!(n_compared > n / 10, "{n_compared} answers of {n} operations");
}

fn families_in_every_precision() -> impl Iterator<Item = Schema> {
    families().into_iter().flat_map(|schema| {
        Precision::ALL.map(|precision| Schema {
            precision,
            ..schema.clone()
        })
    })
}

#[test]
fn any_order_of_operations_gives_the_bits_of_whole_windows() {
    for level in levels() {
        for shape in shapes() {
            for precision in Precision::ALL {
                operate_stack(Shape { precision, ..shape }, level, 600);
            }
        }
        for schema in families_in_every_precision() {
            let bytes = common::families::file(&schema, &common::families::tensors(&schema));
            operate(&schema, &bytes, level, 150);
        }
    }
}

/// A million operations on every net and precision, with the number of answers that were compared.
fn a_million(level: Level) {
    let n = 1_000_000;
    let log = |schema: &Schema, n_compared| {
        let family = match &schema.net {
            Net::Lstm(_) => "lstm",
            Net::Tft(_) => "tft",
            Net::QuantileTft(_) => "quantile_tft",
            Net::Xtrend(_) => "xtrend",
        };
        let (level, lookback, precision) = (level.name(), schema.lookback(), schema.precision);
        eprintln!(
            "{level}, {family} of {lookback} rows, {precision:?}, {:?}: {n} operations, {n_compared} answers",
            schema.arrival
        );
    };
    for shape in &shapes()[..3] {
        for precision in Precision::ALL {
            let schema = schema(Shape { precision, ..*shape });
            let bytes = file(&schema, &tensors(&schema, 5));
            log(&schema, operate(&schema, &bytes, level, n));
        }
    }
    for schema in families_in_every_precision() {
        let bytes = common::families::file(&schema, &common::families::tensors(&schema));
        log(&schema, operate(&schema, &bytes, level, n));
    }
}

/// `cargo test --release -p tickfuse-core --test stream million -- --ignored --nocapture`
#[test]
#[ignore = "a quarter of an hour: a million operations per net and precision"]
fn a_million_operations_on_the_best_level_give_the_bits_of_whole_windows() {
    a_million(Level::detect());
}

#[test]
#[ignore = "an hour and more: the same on the other levels"]
fn a_million_operations_on_the_other_levels_give_the_bits_of_whole_windows() {
    let best = Level::detect();
    levels().filter(|level| *level != best).for_each(a_million);
}

#[test]
fn contexts_of_the_caller_count_from_the_next_answer_on() {
    let net = common::families::xtrends().next().unwrap();
    let schema = Schema {
        arrival: Arrival::PreRolled,
        ..common::families::schema(Net::Xtrend(net.clone()), 3)
    };
    let bytes = common::families::file(&schema, &common::families::tensors(&schema));
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
