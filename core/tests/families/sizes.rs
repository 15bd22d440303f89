//! Nets of odd sizes with random weights against the oracle: one row, one input, one context, widths that fill no lane.

use crate::common::families::{quantile_tft, schema, tensors, windows, xtrends};
use tickfuse_core::bundle::{ContextMode, Net, QuantileTftConfig, XtrendConfig, XtrendForm};
use tickfuse_core::plain::Oracle;
use tickfuse_core::{Level, Model, OpenOptions, Session, write_model};

/// As for the goldens.
const F32: f64 = 2e-5;

/// Every level answers as the oracle does.
fn check(what: &str, net: Net, n_features: usize) {
    let schema = schema(net, n_features);
    schema.validate().expect(what);
    let plain = tensors(&schema);
    let windows = windows(&schema, 3);
    let oracle = Oracle::new(&schema, &plain);
    let zeros = vec![0.0; schema.n_outputs()];
    let file = write_model(&schema, &plain, &windows[0], &zeros).expect(what);
    for level in Level::available() {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let mut session = Session::new(&Model::from_bytes(&file, options).expect(what), 1);
        for window in &windows {
            let expected = oracle.run(&window.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
            let mut out = zeros.clone();
            session.run(window, &mut out).expect(what);
            let range = expected.iter().fold(1.0_f64, |top, v| top.max(v.abs()));
            for (found, expected) in out.iter().zip(&expected) {
                let apart = (f64::from(*found) - expected).abs() / range;
                assert!(
                    apart <= F32,
                    "{what} {}: expected {expected}, found {found}",
                    level.name()
                );
            }
        }
    }
}

fn check_xtrend(config: XtrendConfig, n_features: usize) {
    let what = format!("{config:?}, {n_features} features");
    check(&what, Net::Xtrend(config), n_features);
}

#[test]
fn x_trends_of_one_row_one_feature_and_one_context_answer_as_the_oracle() {
    for config in xtrends() {
        check_xtrend(config.clone(), 1);
        let small = XtrendConfig {
            lookback: 1,
            context_lookback: 1,
            n_contexts: 1,
            ..config
        };
        check_xtrend(small.clone(), 1);
        check_xtrend(small, 4);
    }
}

#[test]
fn x_trends_wider_than_a_lane_answer_as_the_oracle() {
    for config in xtrends() {
        for (n_hidden, n_heads, n_features) in [(17, 1, 17), (34, 2, 3), (32, 2, 33)] {
            let config = XtrendConfig {
                n_hidden,
                n_heads,
                lookback: 27,
                context_lookback: 31,
                n_contexts: 7,
                ..config.clone()
            };
            check_xtrend(config, n_features);
        }
    }
}

#[test]
fn x_trends_with_more_contexts_than_rows_answer_as_the_oracle() {
    for config in xtrends() {
        let many = XtrendConfig {
            lookback: 2,
            context_lookback: 2,
            n_contexts: 40,
            ..config
        };
        check_xtrend(many, 5);
    }
}

#[test]
fn x_trends_without_target_entity_or_by_step_answer_as_the_oracle() {
    for config in xtrends().filter(|c| c.form == XtrendForm::Separate) {
        for zero_shot in [false, true] {
            let config = XtrendConfig {
                zero_shot,
                context_lookback: config.lookback,
                context_mode: ContextMode::TimeEquivalent,
                ..config.clone()
            };
            check_xtrend(config, 5);
        }
        check_xtrend(
            XtrendConfig {
                zero_shot: true,
                ..config
            },
            2,
        );
    }
}

#[test]
fn stacked_shared_encoders_start_every_layer_from_its_own_state() {
    for config in xtrends().filter(|c| c.form == XtrendForm::Shared) {
        check_xtrend(
            XtrendConfig {
                n_layers: 4,
                ..config
            },
            5,
        );
    }
}

#[test]
fn quantile_tfts_of_odd_sizes_answer_as_the_oracle() {
    for (lookback, n_hidden, n_heads, n_layers, n_features) in [
        (1, 2, 1, 1, 1),
        (1, 18, 2, 4, 17),
        (2, 17, 1, 2, 5),
        (37, 40, 4, 1, 33),
    ] {
        let config = QuantileTftConfig {
            lookback,
            n_hidden,
            n_heads,
            n_layers,
            ..quantile_tft()
        };
        let what = format!("{config:?}, {n_features} features");
        check(&what, Net::QuantileTft(config), n_features);
    }
}
