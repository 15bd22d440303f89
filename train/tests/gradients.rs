//! Whole nets against central differences in f64: every parameter, and that every parameter receives a gradient.

use std::sync::Arc;
use tickfuse_train::nets::Net;
use tickfuse_train::nets::lstm::{LstmNet, LstmNetConfig};
use tickfuse_train::ops::check::{GradientCheck, assert_gradients, check_gradients};
use tickfuse_train::tape::Mode;
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::{Init, Layout};

const BATCH: usize = 3;

fn nets() -> Vec<LstmNet> {
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

fn check(net: &impl Net, layout: &Arc<Layout>, training: bool) -> GradientCheck {
    let wave = |n: usize, k: f64| (0..n).map(|i| (i as f64 * k).sin()).collect::<Vec<f64>>();
    let x = wave(net.n_rows() * BATCH * net.n_features(), 0.9);
    let labels: Vec<f64> = (0..BATCH * net.n_outputs())
        .map(|i| f64::from(i % 2 == 0))
        .collect();
    let mode = Mode {
        training,
        dropout_key: 5,
        ..Mode::default()
    };
    check_gradients(layout, 17, mode, |tape, params| {
        let input = tape.input(&[net.n_rows(), BATCH, net.n_features()], &x);
        let z = net.forward(&mut Graph { tape, params }, input);
        tape.bce_with_logits(z, &labels, 1.7, labels.len())
    })
}

#[test]
fn every_parameter_of_every_net_matches_central_differences() {
    for net in nets() {
        for training in [false, true] {
            assert_gradients(&check(&net, net.layout(), training), 1e-6);
        }
    }
}

#[test]
fn a_parameter_the_forward_pass_forgets_fails() {
    let net = &nets()[0];
    let mut layout = (**net.layout()).clone();
    layout.declare("head.0.gain", &[1], Init::Constant(1.0));
    let check = check(net, &Arc::new(layout), false);
    assert_eq!(check.untouched, ["head.0.gain"]);
}
