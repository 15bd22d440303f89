//! Time and memory of one training step of each Transformer family: forward, a linear loss, backward, clip, `AdamW`.
//!
//! `cargo run --release -p tickfuse-train --example family_step -- [tft|quantile_tft|xtrend] [hidden] [batch] [steps]`, one
//! thread. The same work in `PyTorch`: `bench/peers/family_step.py`. Data are synthetic; the loss is `Σ w out` with fixed w, so
//! that the net is what is timed.

use std::time::Instant;
use tickfuse_core::bundle::{
    ContextMode, QuantileTftConfig, TftConfig, TftRules, Variable, XtrendConfig, XtrendForm, XtrendHead,
};
use tickfuse_train::nets::Net;
use tickfuse_train::nets::any::AnyNet;
use tickfuse_train::nets::quantile_tft::QuantileTftNet;
use tickfuse_train::nets::tft::TftNet;
use tickfuse_train::nets::xtrend::XtrendNet;
use tickfuse_train::optim::adamw::{AdamW, AdamWConfig};
use tickfuse_train::optim::clip::clip_norm;
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::{Gradients, Params};
use tickfuse_train::tape::{Mode, Tape};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let family = args.first().map_or("tft", String::as_str);
    let (hidden, batch, steps) = (number(1, 64), number(2, 32), number(3, 20));
    let net = match family {
        "tft" => tft(hidden),
        "quantile_tft" => quantile_tft(hidden),
        "xtrend" => xtrend(hidden),
        other => panic!("expected tft, quantile_tft or xtrend, found {other}"),
    };
    let before = peak_memory();
    let mut times = run(&net, batch, steps);
    times.sort_by(f64::total_cmp);
    let quantile = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    println!(
        "tickfuse {family} H{hidden} B{batch}, {} parameters: median {:.2} ms/step, best {:.2}, p90 {:.2}; peak RSS {}, {before} before the first step",
        net.layout().n_values(),
        quantile(0.5),
        quantile(0.0),
        quantile(0.9),
        peak_memory()
    );
}

/// 60 rows of 14 reals, the paper's form, every step answered with three quantiles.
fn tft(n_hidden: usize) -> AnyNet {
    let variable = |i: usize| Variable {
        name: format!("x{i}"),
        columns: vec![format!("x{i}")],
        width: n_hidden,
        n_categories: None,
        padding: false,
        table: None,
    };
    let variables: Vec<Variable> = (0..14).map(variable).collect();
    let names: Vec<String> = variables.iter().map(|v| v.name.clone()).collect();
    let config = TftConfig {
        lookback: 60,
        n_ahead: 0,
        n_hidden,
        n_heads: 4,
        n_layers: 1,
        static_variables: Vec::new(),
        encoder_variables: variables,
        decoder_variables: Vec::new(),
        rules: TftRules::GOOGLE,
        n_outputs: 3,
    };
    AnyNet::Tft(TftNet::new(config, &names, 0.0).expect("sizes in range"))
}

/// 60 rows of 14 features.
fn quantile_tft(n_hidden: usize) -> AnyNet {
    let config = QuantileTftConfig {
        lookback: 60,
        n_hidden,
        n_heads: 8,
        n_layers: 3,
        n_classes: 3,
        n_quantiles: 3,
    };
    AnyNet::QuantileTft(QuantileTftNet::new(config, 14, 0.0).expect("sizes in range"))
}

/// Seed 002's sizes: 42 rows of 24 features, 16 contexts of 42 rows.
fn xtrend(n_hidden: usize) -> AnyNet {
    let config = XtrendConfig {
        lookback: 42,
        context_lookback: 42,
        n_contexts: 16,
        n_hidden,
        n_heads: 4,
        n_layers: 2,
        n_entities: 4,
        form: XtrendForm::Shared,
        head: XtrendHead::Gaussian,
        n_quantiles: 0,
        context_mode: ContextMode::FinalState,
        zero_shot: false,
    };
    AnyNet::Xtrend(XtrendNet::new(config, 24, 0.0).expect("sizes in range"))
}

/// Milliseconds of each step after three to warm up.
fn run(net: &AnyNet, batch: usize, steps: usize) -> Vec<f64> {
    let wave = |n: usize, k: f64| (0..n).map(|i| (i as f64 * k).sin() as f32).collect::<Vec<f32>>();
    let shape = [net.n_rows(), batch, net.n_features()];
    let mut x = wave(shape.iter().product(), 0.37);
    if let AnyNet::Xtrend(_) = net {
        // The last column is the code of an entity.
        x.iter_mut()
            .skip(shape[2] - 1)
            .step_by(shape[2])
            .for_each(|code| *code = 1.0);
    }
    let weights = wave(net.n_answers() * batch * net.n_outputs(), 0.91);
    let mut params = Params::<f32>::init(net.layout(), 42);
    let mut adam = AdamW::new(AdamWConfig::default(), net.layout());
    let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(net.layout()));
    let mode = Mode {
        training: true,
        ..Mode::default()
    };
    let mut times = Vec::new();
    for step in 0..steps + 3 {
        let start = Instant::now();
        tape.begin(mode);
        grads.clear();
        let input = tape.input(&shape, &x);
        let mut graph = Graph {
            tape: &mut tape,
            params: &params,
        };
        let answers = net.forward(&mut graph, input);
        let loss = tape.weighted_sum(answers, &weights);
        tape.backward(loss, &params, &mut grads);
        clip_norm(grads.data_mut(), Some(1.0));
        adam.update(&mut params, grads.data(), 1e-3, None);
        if step >= 3 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times
}

/// Peak resident memory as Linux states it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |l| l.trim().to_owned())
}
