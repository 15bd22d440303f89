//! Nets of odd sizes with random weights against the oracle: one row, one input, one context, widths that fill no lane.

use crate::common::families::{
    SMALL_TFT, TftSize, file, quantile_tft, schema, session, tensors, tft_schema, windows, xtrends,
};
use tickfuse_core::bundle::{
    ContextMode, Net, Precision, QuantileTftConfig, Schema, TftRules, XtrendConfig, XtrendForm,
};
use tickfuse_core::plain::{Oracle, PlainTensors};
use tickfuse_core::{Level, Session};

/// Share of the answers' range by which answers of each precision may be off, as for the goldens.
const F32: f64 = 2e-5;
const BF16: f64 = 3e-2;
const I16: f64 = 5e-3;

/// Every level answers windows of `n_encoder` and `n_decoder` rows as the oracle does, in every precision.
fn check_lengths(what: &str, schema: &Schema, n_encoder: usize, n_decoder: usize) {
    schema.validate().expect(what);
    let plain = tensors(schema);
    let expected = answers(schema, &plain, n_encoder, n_decoder);
    for (precision, bound) in [
        (Precision::F32, F32),
        (Precision::Bf16, BF16),
        (Precision::I16, I16),
    ] {
        let schema = Schema {
            precision,
            ..schema.clone()
        };
        let file = file(&schema, &plain);
        for level in Level::available() {
            let mut session = session(&file, level);
            let found = answers_of(&mut session, n_encoder, n_decoder);
            let worst = worst(&found, &expected);
            assert!(
                worst <= bound,
                "{what} {precision:?} {}: expected up to {bound:e} of the range, found {worst:e}",
                level.name()
            );
        }
    }
}

/// The oracle's answers of three windows.
fn answers(schema: &Schema, plain: &PlainTensors, n_encoder: usize, n_decoder: usize) -> Vec<Vec<f64>> {
    let oracle = Oracle::new(schema, plain);
    let n_values = (n_encoder + n_decoder) * schema.n_features();
    let run = |window: Vec<f32>| {
        let wide: Vec<f64> = window[..n_values].iter().map(|v| f64::from(*v)).collect();
        oracle.run_lengths(&wide, n_encoder, n_decoder)
    };
    windows(schema, 3).into_iter().map(run).collect()
}

/// A session's answers of the same.
fn answers_of(session: &mut Session, n_encoder: usize, n_decoder: usize) -> Vec<Vec<f32>> {
    let schema = session.model().schema().clone();
    let n_values = (n_encoder + n_decoder) * schema.n_features();
    let mut run = |window: Vec<f32>| {
        let mut out = vec![0.0; n_decoder.max(1) * schema.n_columns()];
        let run = session.run_lengths(&window[..n_values], n_encoder, n_decoder, &mut out);
        run.expect("the window is sound");
        out
    };
    windows(&schema, 3).into_iter().map(&mut run).collect()
}

/// Largest deviation as a share of the range of its window's answers.
fn worst(found: &[Vec<f32>], expected: &[Vec<f64>]) -> f64 {
    let of_window = |(found, expected): (&Vec<f32>, &Vec<f64>)| {
        assert_eq!(found.len(), expected.len(), "values of a window");
        let range = expected.iter().fold(1.0_f64, |top, v| top.max(v.abs()));
        let apart = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
        apart.fold(
            0.0_f64,
            |worst, v| if v.is_nan() { f64::INFINITY } else { worst.max(v) },
        ) / range
    };
    found.iter().zip(expected).map(of_window).fold(0.0, f64::max)
}

fn check(what: &str, schema: &Schema) {
    check_lengths(what, schema, schema.lookback(), schema.net.n_ahead());
}

fn check_tft(size: TftSize) {
    check(&format!("{size:?}"), &tft_schema(size));
}

fn check_xtrend(config: XtrendConfig, n_features: usize) {
    let what = format!("{config:?}, {n_features} features");
    check(&what, &schema(Net::Xtrend(config), n_features));
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
        check(&what, &schema(Net::QuantileTft(config), n_features));
    }
}

/// Both published forms, each with shared networks of variables or not.
fn tft_rules() -> impl Iterator<Item = TftRules> {
    let forms = [TftRules::PYTORCH_FORECASTING, TftRules::GOOGLE];
    let shared = |rules| {
        [false, true].map(|share_variable_networks| TftRules {
            share_variable_networks,
            ..rules
        })
    };
    forms.into_iter().flat_map(shared)
}

#[test]
fn tfts_of_one_row_and_one_variable_answer_as_the_oracle() {
    for rules in tft_rules() {
        for (n_ahead, n_known, n_observed) in [(0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0)] {
            check_tft(TftSize {
                lookback: 1,
                n_ahead,
                n_heads: 1,
                n_static: 0,
                n_known,
                n_observed,
                rules,
                ..SMALL_TFT
            });
        }
    }
}

#[test]
fn tfts_with_none_one_or_many_statics_answer_as_the_oracle() {
    for rules in tft_rules() {
        for n_static in [0, 1, 2, 17] {
            check_tft(TftSize {
                n_static,
                rules,
                ..SMALL_TFT
            });
        }
    }
}

#[test]
fn tfts_of_odd_widths_answer_as_the_oracle() {
    for rules in tft_rules() {
        for (n_hidden, n_heads, n_layers, n_known, n_observed) in [
            (5, 1, 1, 1, 1),
            (17, 1, 2, 3, 14),
            (33, 2, 4, 17, 1),
            (40, 3, 1, 0, 16),
        ] {
            check_tft(TftSize {
                lookback: 19,
                n_ahead: 17,
                n_hidden,
                n_heads,
                n_layers,
                n_known,
                n_observed,
                rules,
                ..SMALL_TFT
            });
        }
    }
}

#[test]
fn tfts_answer_shorter_windows_as_the_oracle() {
    let size = TftSize {
        lookback: 17,
        n_ahead: 5,
        n_hidden: 18,
        ..SMALL_TFT
    };
    let schema = tft_schema(size);
    for (n_encoder, n_decoder) in [(0, 1), (0, 5), (1, 1), (1, 5), (16, 2), (17, 1)] {
        let what = format!("{size:?}: {n_encoder} and {n_decoder} rows");
        check_lengths(&what, &schema, n_encoder, n_decoder);
    }
}
