//! Contexts that a caller encodes, beside those of the file.

use crate::common::families::{file, schema, session, tensors, windows, xtrends};
use std::sync::Arc;
use tickfuse_core::bundle::{ContextMode, Net, Schema, XtrendConfig, XtrendForm};
use tickfuse_core::error::RunError;
use tickfuse_core::plain::{Oracle, PlainTensor, PlainTensors};
use tickfuse_core::{Contexts, Level, Session};

/// Every form and head, and a set of contexts per step.
fn configs() -> impl Iterator<Item = XtrendConfig> {
    let stepwise = |config: XtrendConfig| XtrendConfig {
        context_lookback: config.lookback,
        context_mode: ContextMode::TimeEquivalent,
        ..config
    };
    let separate = xtrends().filter(|c| c.form == XtrendForm::Separate);
    xtrends().chain(separate.map(stepwise))
}

fn rows(plain: &PlainTensors) -> (&[f32], Vec<u32>) {
    let entities = plain["contexts.entity"].data.iter().map(|code| *code as u32);
    (&plain["contexts.input"].data, entities.collect())
}

/// The answers of three windows.
fn answers(session: &mut Session) -> Vec<f32> {
    let schema = session.model().schema().clone();
    let mut answers = Vec::new();
    for window in windows(&schema, 3) {
        let mut out = vec![0.0; schema.n_outputs()];
        session.run(&window, &mut out).expect("the window is sound");
        answers.extend(out);
    }
    answers
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Contexts that the file does not have: its own rows, in another order and of other entities.
fn others(plain: &PlainTensors) -> (Vec<f32>, Vec<u32>) {
    let (own, entities) = rows(plain);
    let rows = own.iter().rev().map(|v| v * 0.75).collect();
    (rows, entities.iter().map(|e| (e + 1) % 3).collect())
}

#[test]
fn the_files_rows_give_the_files_answers_bit_for_bit() {
    for config in configs() {
        let schema = schema(Net::Xtrend(config), 5);
        let plain = tensors(&schema);
        let file = file(&schema, &plain);
        for level in Level::available() {
            let mut session = session(&file, level);
            let model = Arc::clone(session.model());
            let own = bits(&answers(&mut session));
            let (input, entities) = rows(&plain);
            let again = model.encode_contexts(input, &entities).expect("sound contexts");
            session.set_contexts(&again).expect("the model's own");
            assert_eq!(
                bits(&answers(&mut session)),
                own,
                "{:?} {}",
                schema.net,
                level.name()
            );

            let wide: Vec<f64> = input.iter().map(|v| f64::from(*v)).collect();
            let from_f64 = model.encode_contexts(&wide, &entities).expect("sound contexts");
            session.set_contexts(&from_f64).expect("the model's own");
            assert_eq!(bits(&answers(&mut session)), own, "{:?} from f64", schema.net);
        }
    }
}

/// The same schema with `n` contexts and their rows among its tensors.
fn with_contexts(
    schema: &Schema,
    plain: &PlainTensors,
    input: &[f32],
    entities: &[u32],
) -> (Schema, PlainTensors) {
    let (mut schema, mut plain) = (schema.clone(), plain.clone());
    let Net::Xtrend(config) = &mut schema.net else {
        panic!("an X-Trend");
    };
    config.n_contexts = entities.len();
    let n_rows = config.context_lookback;
    let tensor = |shape: &[usize], data: Vec<f32>| PlainTensor {
        shape: shape.to_vec(),
        data,
    };
    let n_columns = input.len() / (entities.len() * n_rows);
    let codes = entities.iter().map(|e| *e as f32).collect();
    plain.insert("contexts.entity".into(), tensor(&[entities.len()], codes));
    let shape = [entities.len(), n_rows, n_columns];
    plain.insert("contexts.input".into(), tensor(&shape, input.to_vec()));
    (schema, plain)
}

#[test]
fn other_contexts_and_fewer_answer_as_a_file_that_brings_them() {
    for config in configs() {
        let schema = schema(Net::Xtrend(config), 5);
        let plain = tensors(&schema);
        let mut session = session(&file(&schema, &plain), Level::detect());
        let model = Arc::clone(session.model());
        let own = answers(&mut session);
        let (all, entities) = others(&plain);
        for n in [3, 2, 1] {
            let (input, entities) = (&all[..all.len() / 3 * n], &entities[..n]);
            let contexts = model.encode_contexts(input, entities).expect("sound contexts");
            assert_eq!(contexts.n_contexts(), n);
            session.set_contexts(&contexts).expect("the model's own");
            let found = answers(&mut session);
            assert_ne!(bits(&found), bits(&own), "{:?}: {n} others", schema.net);

            let (schema, plain) = with_contexts(&schema, &plain, input, entities);
            let expected = answers(&mut crate::common::families::session(
                &file(&schema, &plain),
                Level::detect(),
            ));
            assert_eq!(bits(&found), bits(&expected), "{:?}: {n}", schema.net);
            check_oracle(&schema, &plain, &found);
        }
        session
            .set_contexts(model.contexts().expect("the file's own"))
            .expect("back");
        assert_eq!(
            bits(&answers(&mut session)),
            bits(&own),
            "{:?}: back again",
            schema.net
        );
    }
}

fn check_oracle(schema: &Schema, plain: &PlainTensors, found: &[f32]) {
    let oracle = Oracle::new(schema, plain);
    let wide = |window: Vec<f32>| window.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let expected = windows(schema, 3).into_iter().flat_map(|w| oracle.run(&wide(w)));
    for (found, expected) in found.iter().zip(expected) {
        let apart = (f64::from(*found) - expected).abs() / expected.abs().max(1.0);
        assert!(
            apart <= 2e-5,
            "{:?}: expected {expected}, found {found}",
            schema.net
        );
    }
}

#[test]
fn attention_is_to_the_contexts_of_the_last_window() {
    for config in configs() {
        let schema = schema(Net::Xtrend(config), 5);
        let plain = tensors(&schema);
        let mut session = session(&file(&schema, &plain), Level::detect());
        assert_eq!(session.interpret(), [], "nothing before the first window");
        let (all, entities) = others(&plain);
        let one = session
            .model()
            .encode_contexts(&all[..all.len() / 3], &entities[..1]);
        answers(&mut session);
        session
            .set_contexts(&one.expect("sound contexts"))
            .expect("the model's own");
        let attended = |session: &Session| session.interpret().pop().expect("attention").shape[2];
        assert_eq!(attended(&session), 3, "set, but not yet attended to");
        answers(&mut session);
        assert_eq!(attended(&session), 1);
        let weights = session.interpret().pop().expect("attention").values;
        assert!(weights.iter().all(|w| *w == 1.0), "{weights:?}");
    }
}

#[test]
fn sessions_keep_their_own_contexts_on_their_own_threads() {
    let schema = schema(Net::Xtrend(xtrends().next().expect("one")), 5);
    let plain = tensors(&schema);
    let mut first = session(&file(&schema, &plain), Level::detect());
    let model = Arc::clone(first.model());
    let own = answers(&mut first);
    let (all, entities) = others(&plain);
    let contexts: Contexts = model.encode_contexts(&all, &entities).expect("sound contexts");
    let run = || {
        let mut session = Session::new(&model, 1);
        session.set_contexts(&contexts).expect("the model's own");
        answers(&mut session)
    };
    let found: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert!(found.iter().all(|answers| *answers == found[0]));
    assert_ne!(found[0], own);
    assert_eq!(answers(&mut first), own, "other sessions are left alone");
}

#[test]
fn refusals_say_what_was_expected_and_leave_the_session_as_it_was() {
    let schema = schema(Net::Xtrend(xtrends().next().expect("one")), 5);
    let plain = tensors(&schema);
    let bytes = file(&schema, &plain);
    let mut first = session(&bytes, Level::detect());
    let model = Arc::clone(first.model());
    let own = answers(&mut first);
    let (input, entities) = rows(&plain);
    assert_eq!(model.context_shape(), Some([3, 4, 5]));

    let refusal = |input: &[f32], entities: &[u32]| {
        let error = model.encode_contexts(input, entities).expect_err("refused");
        error.to_string()
    };
    assert_eq!(refusal(&[], &[]), "contexts: expected 1 to 3, found 0");
    assert_eq!(refusal(input, &[0; 4]), "contexts: expected 1 to 3, found 4");
    assert_eq!(refusal(input, &[0; 2]), "contexts: expected 40 values, found 60");
    assert_eq!(
        refusal(&input[1..], &entities),
        "contexts: expected 60 values, found 59"
    );
    let expected = "context 2: expected an entity code below 3, found 7";
    assert_eq!(refusal(input, &[0, 1, 7]), expected);
    let mut bad = input.to_vec();
    bad[2 * 20 + 3 * 5 + 1] = f32::NAN;
    let expected = "context 2, row 3, column 1: expected a value that is finite once scaled";
    assert_eq!(refusal(&bad, &entities), expected);

    let other = session(&bytes, Level::detect());
    let foreign = other.model().contexts().expect("an X-Trend");
    assert_eq!(first.set_contexts(foreign), Err(RunError::ForeignContexts));
    assert_eq!(answers(&mut first), own, "nothing has changed");
}

#[test]
fn nets_without_contexts_say_so() {
    let schema = schema(Net::QuantileTft(crate::common::families::quantile_tft()), 5);
    let mut session = session(&file(&schema, &tensors(&schema)), Level::detect());
    let model = Arc::clone(session.model());
    assert!(model.contexts().is_none());
    assert_eq!(model.context_shape(), None);
    let refused = model.encode_contexts(&[0.0_f32], &[0]).expect_err("refused");
    assert_eq!(refused, RunError::NoContexts);

    let xtrend = crate::common::families::schema(Net::Xtrend(xtrends().next().expect("one")), 5);
    let other = crate::common::families::session(&file(&xtrend, &tensors(&xtrend)), Level::detect());
    let contexts = other.model().contexts().expect("an X-Trend");
    assert_eq!(session.set_contexts(contexts), Err(RunError::NoContexts));
}
