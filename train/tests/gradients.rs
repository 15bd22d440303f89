//! Whole nets against central differences in f64: every parameter, and that every parameter receives a gradient.

use std::sync::Arc;
use tickfuse_core::bundle::{
    ContextMode, MaskRule, QuantileTftConfig, TftConfig, TftRules, Variable, XtrendConfig, XtrendForm,
    XtrendHead,
};
use tickfuse_train::nets::Net;
use tickfuse_train::nets::lstm::{LstmNet, LstmNetConfig};
use tickfuse_train::nets::quantile_tft::QuantileTftNet;
use tickfuse_train::nets::tft::TftNet;
use tickfuse_train::nets::xtrend::XtrendNet;
use tickfuse_train::ops::attention::Lengths;
use tickfuse_train::ops::check::{GradientCheck, assert_gradients, check_gradients};
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::{Gradients, Init, Layout, Params};
use tickfuse_train::tape::{Mode, Tape};

const BATCH: usize = 3;

/// Norms of four values bend sharply: central differences through several of them know no more than this.
const BOUND: f64 = 1e-5;

fn wave(n: usize, k: f64) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * k).sin()).collect()
}

/// A batch whose columns `codes` hold category codes below 3.
fn batch(net: &impl Net, codes: &[usize]) -> Vec<f64> {
    let mut x = wave(net.n_rows() * BATCH * net.n_features(), 0.9);
    for (row, x) in x.chunks_exact_mut(net.n_features()).enumerate() {
        for &column in codes {
            x[column] = ((row * 5 + column) % 3) as f64;
        }
    }
    x
}

fn training(on: bool) -> Mode {
    Mode {
        training: on,
        dropout_key: 5,
        ..Mode::default()
    }
}

fn check(net: &impl Net, layout: &Arc<Layout>, codes: &[usize], on: bool) -> GradientCheck {
    let x = batch(net, codes);
    let labels: Vec<f64> = (0..net.n_answers() * BATCH * net.n_outputs())
        .map(|i| f64::from(i % 2 == 0))
        .collect();
    check_gradients(layout, 17, training(on), |tape, params| {
        let input = tape.input(&[net.n_rows(), BATCH, net.n_features()], &x);
        let z = net.forward(&mut Graph { tape, params }, input);
        tape.bce_with_logits(z, &labels, 1.7, labels.len())
    })
}

fn agrees(net: &impl Net, codes: &[usize]) {
    for on in [false, true] {
        assert_gradients(&check(net, net.layout(), codes, on), BOUND);
    }
}

fn lstms() -> Vec<LstmNet> {
    let config = |n_hidden, n_layers, head: &[usize], dropout| LstmNetConfig {
        n_features: 2,
        lookback: 5,
        n_hidden,
        n_layers,
        head: head.to_vec(),
        dropout,
    };
    [
        config(3, 1, &[1], 0.0),
        config(4, 2, &[3, 1], 0.3),
        config(2, 3, &[3, 4, 2], 0.2),
    ]
    .into_iter()
    .map(|c| LstmNet::new(c).unwrap())
    .collect()
}

const TFT_INPUTS: [&str; 5] = ["ret", "sector", "hour", "day", "size"];
const TFT_CODES: [usize; 2] = [1, 3];

fn variable(name: &str, columns: &[&str], width: usize, n_categories: Option<usize>) -> Variable {
    Variable {
        name: name.into(),
        columns: columns.iter().map(|&c| c.into()).collect(),
        width,
        n_categories,
        padding: false,
        table: None,
    }
}

fn tft(rules: TftRules, n_ahead: usize, n_layers: usize) -> TftConfig {
    let known = vec![
        variable("hour", &["hour"], 2, None),
        variable("day", &["day"], 3, Some(3)),
    ];
    let mut encoder = vec![
        variable("ret", &["ret"], 4, None),
        variable("bag", &["sector", "day"], 2, Some(3)),
    ];
    encoder.extend(known.clone());
    TftConfig {
        lookback: 4,
        n_ahead,
        n_hidden: 4,
        n_heads: 2,
        n_layers,
        static_variables: vec![
            variable("sector", &["sector"], 2, Some(3)),
            variable("size", &["size"], 4, None),
        ],
        encoder_variables: encoder,
        decoder_variables: if n_ahead > 0 { known } else { Vec::new() },
        rules,
        n_outputs: 2,
    }
}

fn quantile_tft() -> QuantileTftNet {
    let config = QuantileTftConfig {
        lookback: 4,
        n_hidden: 4,
        n_heads: 2,
        n_layers: 2,
        n_classes: 3,
        n_quantiles: 2,
    };
    QuantileTftNet::new(config, 3, 0.2).unwrap()
}

fn xtrend(form: XtrendForm, head: XtrendHead, context_mode: ContextMode, zero_shot: bool) -> XtrendNet {
    let config = XtrendConfig {
        lookback: 3,
        context_lookback: 3,
        n_contexts: 2,
        n_hidden: 4,
        n_heads: 2,
        n_layers: if form == XtrendForm::Shared { 2 } else { 1 },
        n_entities: 3,
        form,
        head,
        n_quantiles: if head == XtrendHead::Quantile { 3 } else { 0 },
        context_mode,
        zero_shot,
    };
    XtrendNet::new(config, 2, 0.2).unwrap()
}

#[test]
fn lstm_nets_match_central_differences() {
    lstms().iter().for_each(|net| agrees(net, &[]));
}

#[test]
fn the_tft_in_every_form_matches_central_differences() {
    let shared = TftRules {
        share_variable_networks: true,
        mask: MaskRule::Open,
        ..TftRules::PYTORCH_FORECASTING
    };
    let forms = [
        (TftRules::PYTORCH_FORECASTING, 2, 2),
        (TftRules::GOOGLE, 2, 1),
        (TftRules::GOOGLE, 0, 1),
        (shared, 2, 1),
    ];
    for (rules, n_ahead, n_layers) in forms {
        let net = TftNet::new(tft(rules, n_ahead, n_layers), &TFT_INPUTS, 0.2).unwrap();
        agrees(&net, &TFT_CODES);
    }
}

#[test]
fn the_tft_without_static_and_decoder_variables_matches_central_differences() {
    let mut config = tft(TftRules::PYTORCH_FORECASTING, 2, 1);
    config.static_variables.clear();
    config.decoder_variables.clear();
    let net = TftNet::new(config, &TFT_INPUTS, 0.0).unwrap();
    let check = check(&net, net.layout(), &TFT_CODES, false);
    assert_gradients(&check, BOUND);
}

#[test]
fn a_single_variable_needs_no_weights_and_leaves_their_context_unused() {
    let mut config = tft(TftRules::PYTORCH_FORECASTING, 0, 1);
    config.encoder_variables.truncate(1);
    let net = TftNet::new(config, &TFT_INPUTS, 0.0).unwrap();
    let check = check(&net, net.layout(), &TFT_CODES, false);
    assert!(check.worst <= BOUND, "{}: {}", check.worst, check.place);
    let of_selection = |name: &String| name.starts_with("static_context_variable_selection.");
    assert_eq!(check.untouched.len(), 8, "{:?}", check.untouched);
    assert!(check.untouched.iter().all(of_selection), "{:?}", check.untouched);
}

#[test]
fn a_tft_with_rows_that_end_early_matches_central_differences() {
    let net = TftNet::new(tft(TftRules::PYTORCH_FORECASTING, 2, 2), &TFT_INPUTS, 0.0).unwrap();
    let x = batch(&net, &TFT_CODES);
    let lengths = Lengths {
        encoder: &[4, 1, 0],
        decoder: &[2, 2, 1],
    };
    let weights = wave(2 * BATCH * 2, 1.3);
    let check = check_gradients(net.layout(), 17, Mode::default(), |tape, params| {
        let input = tape.input(&[6, BATCH, TFT_INPUTS.len()], &x);
        let z = net.forward_ragged(&mut Graph { tape, params }, input, Some(lengths));
        tape.weighted_sum(z, &weights)
    });
    assert_gradients(&check, BOUND);
}

#[test]
fn the_quantile_tft_matches_central_differences() {
    agrees(&quantile_tft(), &[]);
}

#[test]
fn x_trend_in_every_form_matches_central_differences() {
    use ContextMode::{FinalState, TimeEquivalent};
    use XtrendForm::{Separate, Shared};
    use XtrendHead::{Gaussian, Position, Quantile};
    for (form, head, mode, zero_shot) in [
        (Shared, Gaussian, FinalState, false),
        (Separate, Position, FinalState, false),
        (Separate, Gaussian, TimeEquivalent, false),
        (Separate, Quantile, FinalState, true),
    ] {
        agrees(&xtrend(form, head, mode, zero_shot), &[3]);
    }
}

#[test]
fn a_parameter_the_forward_pass_forgets_fails() {
    let net = &lstms()[0];
    let mut layout = (**net.layout()).clone();
    layout.declare("head.0.gain", &[1], Init::Constant(1.0));
    let check = check(net, &Arc::new(layout), &[], false);
    assert_eq!(check.untouched, ["head.0.gain"]);
}

/// Buffers after each of some steps of training in f32, batches of changing size.
fn allocated(net: &impl Net, codes: &[usize]) -> Vec<usize> {
    let x: Vec<f32> = batch(net, codes).iter().map(|&x| x as f32).collect();
    let params = Params::<f32>::init(net.layout(), 3);
    let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(net.layout()));
    let mut counts = Vec::new();
    for _ in 0..4 {
        tape.begin(training(true));
        let input = tape.input(&[net.n_rows(), BATCH, net.n_features()], &x);
        let tape = &mut tape;
        let z = net.forward(
            &mut Graph {
                tape,
                params: &params,
            },
            input,
        );
        let labels = vec![1.0; tape.value(z).len()];
        let loss = tape.bce_with_logits(z, &labels, 1.0, labels.len());
        tape.backward(loss, &params, &mut grads);
        counts.push(tape.n_allocated());
    }
    counts
}

#[test]
fn a_training_step_of_any_net_allocates_no_buffer_after_the_first_ones() {
    let tft = TftNet::new(tft(TftRules::PYTORCH_FORECASTING, 2, 2), &TFT_INPUTS, 0.2).unwrap();
    let paper = xtrend(
        XtrendForm::Separate,
        XtrendHead::Gaussian,
        ContextMode::TimeEquivalent,
        false,
    );
    for counts in [
        allocated(&tft, &TFT_CODES),
        allocated(&quantile_tft(), &[]),
        allocated(&paper, &[3]),
    ] {
        assert!(counts[0] > 50, "{counts:?}");
        assert_eq!(counts[2], counts[3], "{counts:?}");
    }
}
