//! Every level, both precisions, every length of a window.

use super::fixture::{Fixture, Window};
use tickfuse_core::bundle::{EmptyEncoder, Net, Precision};
use tickfuse_core::{Level, Model, OpenOptions, Session, write_model};

const NETS: [&str; 15] = [
    "xtrend_shared",
    "xtrend_shared_position",
    "xtrend_position",
    "xtrend_gaussian",
    "xtrend_quantile",
    "xtrend_time_equivalent",
    "xtrend_zero_shot",
    "quantile_tft",
    "tft_google",
    "tft_momentum",
    "tft_static_free",
    "pf_reals",
    "pf_mixed",
    "pf_shared",
    "pf_auto",
];
/// Share of the answers' range by which f32 may be off.
const F32: f64 = 2e-5;
const BF16: f64 = 3e-2;
const I16: f64 = 5e-3;

/// A model file whose golden window is one of zeros, answered by whatever comes: the goldens are checked here instead.
fn file(fixture: &Fixture, precision: Precision) -> Vec<u8> {
    let schema = fixture.schema(precision, 1e30);
    let input = vec![0.0; schema.n_rows() * schema.n_features()];
    write_model(&schema, &fixture.tensors, &input, &vec![0.0; schema.n_outputs()])
        .expect("the model is written")
}

fn session(file: &[u8], level: Level) -> Session {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    Session::new(&Model::from_bytes(file, options).expect("the model opens"), 4)
}

/// Largest deviation as a share of the range of all answers.
fn worst(session: &mut Session, windows: &[Window]) -> f64 {
    let range = windows
        .iter()
        .flat_map(|w| &w.expected)
        .fold(1.0_f64, |top, v| top.max(v.abs()));
    let mut worst = 0.0_f64;
    for window in windows {
        let n_columns = session.model().schema().n_columns();
        let mut out = vec![0.0; window.n_decoder.max(1) * n_columns];
        session
            .run_lengths(&window.rows, window.n_encoder, window.n_decoder, &mut out)
            .expect("the window is sound");
        for (found, expected) in out.iter().zip(&window.expected) {
            let apart = (f64::from(*found) - expected).abs();
            worst = if apart.is_nan() {
                f64::INFINITY
            } else {
                worst.max(apart)
            };
        }
    }
    worst / range
}

fn assert_answers(fixture: &Fixture, windows: &[Window], precision: Precision, bound: f64) {
    let file = file(fixture, precision);
    for level in Level::available() {
        let found = worst(&mut session(&file, level), windows);
        eprintln!(
            "{} {precision:?} {}: {found:.2e} of the range",
            fixture.name,
            level.name()
        );
        assert!(
            found <= bound,
            "{} {}: expected {bound:e}, found {found:e}",
            fixture.name,
            level.name()
        );
    }
}

#[test]
fn f32_answers_are_those_of_the_original_on_every_level() {
    for fixture in NETS.map(Fixture::open) {
        assert_answers(&fixture, &fixture.windows(), Precision::F32, F32);
    }
}

#[test]
fn bf16_answers_stay_near_the_original() {
    for fixture in NETS.map(Fixture::open) {
        assert_answers(&fixture, &fixture.windows(), Precision::Bf16, BF16);
    }
}

#[test]
fn i16_answers_stay_near_the_original() {
    for fixture in NETS.map(Fixture::open) {
        assert_answers(&fixture, &fixture.windows(), Precision::I16, I16);
    }
}

/// Selections in front of the queries and in the decoder, attention to rows or contexts.
#[test]
fn weights_and_attention_are_those_of_own_programs() {
    for name in NETS
        .into_iter()
        .filter(|n| n.starts_with("xtrend") || *n == "quantile_tft")
    {
        let fixture = Fixture::open(name);
        let file = file(&fixture, Precision::F32);
        let mut session = session(&file, Level::detect());
        for (i, window) in fixture.windows().iter().enumerate() {
            let mut out = vec![0.0; session.model().schema().n_outputs()];
            session.run(&window.rows, &mut out).expect("the window is sound");
            let found = session.interpret();
            assert!(found.len() >= 2, "{name}: selections and attention");
            for found in found {
                let expected = fixture.own_weights(found.name, i);
                assert_eq!(found.values.len(), expected.len(), "{name} {}", found.name);
                for (a, b) in found.values.iter().zip(&expected) {
                    assert!(
                        (f64::from(*a) - b).abs() <= 1e-5,
                        "{name} {}: {a} and {b}",
                        found.name
                    );
                }
            }
        }
    }
}

/// Weights and attention of pytorch-forecasting's nets, with its own names and layouts.
#[test]
fn weights_and_attention_are_those_of_pytorch_forecasting() {
    for name in ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"] {
        let fixture = Fixture::open(name);
        let file = file(&fixture, Precision::F32);
        let mut session = session(&file, Level::detect());
        for (i, window) in fixture.windows().iter().enumerate() {
            let mut out = vec![0.0; window.expected.len()];
            session
                .run_lengths(&window.rows, window.n_encoder, window.n_decoder, &mut out)
                .expect("the window is sound");
            for found in session.interpret() {
                let expected = fixture.forecasting_weights(found.name, i, window);
                assert_eq!(found.values.len(), expected.len(), "{name} {}", found.name);
                for (a, b) in found.values.iter().zip(&expected) {
                    assert!(
                        (f64::from(*a) - b).abs() <= 1e-5,
                        "{name} {}: {a} and {b}",
                        found.name
                    );
                }
            }
        }
    }
}

#[test]
fn windows_without_encoder_rows_are_answered_as_pytorch_forecasting_answers_them_alone() {
    let mut fixture = Fixture::open("pf_mixed");
    let Net::Tft(config) = &mut fixture.net else {
        panic!("a tft");
    };
    config.rules.empty_encoder = EmptyEncoder::Faithful;
    let windows = fixture.forecasting_windows("empty.npz", "all.");
    assert!(windows.iter().all(|w| w.n_encoder == 0));
    assert_answers(&fixture, &windows, Precision::F32, F32);
}
