//! Time and memory of one training step of a 2-layer LSTM: forward, BCE, backward, clip, `AdamW`.
//!
//! `cargo run --release -p tickfuse-train --example train_step -- [hidden] [lookback] [batch] [steps] [f32|bf16]`, one thread.
//! The same work in `PyTorch`: `bench/peers/train_step.py`. Data are synthetic.

use std::time::Instant;
use tickfuse_train::nets::Net;
use tickfuse_train::nets::lstm::{LstmNet, LstmNetConfig};
use tickfuse_train::ops::product::Compute;
use tickfuse_train::optim::adamw::{AdamW, AdamWConfig};
use tickfuse_train::optim::clip::clip_norm;
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::{Gradients, Params};
use tickfuse_train::tape::{Mode, Tape};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (hidden, lookback, batch, steps) = (number(0, 128), number(1, 64), number(2, 64), number(3, 60));
    let bf16 = args.get(4).is_some_and(|a| a == "bf16");
    let mode = Mode {
        training: true,
        compute: if bf16 { Compute::Bf16 } else { Compute::F32 },
        dropout_key: 0,
    };
    let net = LstmNet::new(LstmNetConfig {
        n_features: 5,
        lookback,
        n_hidden: hidden,
        n_layers: 2,
        head: vec![1],
        dropout: 0.0,
    })
    .expect("sizes in range");
    let before = peak_memory();
    let mut times = run(&net, batch, steps, mode);
    times.sort_by(f64::total_cmp);
    let quantile = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    println!(
        "tickfuse H{hidden} T{lookback} B{batch}: median {:.2} ms/step, best {:.2}, p90 {:.2}; {:.3} s per 1,000 windows; peak RSS {}, {before} before the first step",
        quantile(0.5),
        quantile(0.0),
        quantile(0.9),
        quantile(0.5) / batch as f64,
        peak_memory()
    );
}

/// Milliseconds of each step after ten to warm up.
fn run(net: &LstmNet, batch: usize, steps: usize, mode: Mode) -> Vec<f64> {
    let wave = |n: usize, k: f64| (0..n).map(|i| (i as f64 * k).sin() as f32).collect::<Vec<f32>>();
    let x = wave(net.n_rows() * batch * net.n_features(), 0.37);
    let y: Vec<f32> = (0..batch).map(|i| f32::from(i % 3 == 0)).collect();
    let mut params = Params::<f32>::init(net.layout(), 42);
    let mut adam = AdamW::new(AdamWConfig::default(), net.layout());
    let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(net.layout()));
    let mut times = Vec::new();
    for step in 0..steps + 10 {
        let start = Instant::now();
        tape.begin(mode);
        grads.clear();
        let input = tape.input(&[net.n_rows(), batch, net.n_features()], &x);
        let mut graph = Graph {
            tape: &mut tape,
            params: &params,
        };
        let logits = net.forward(&mut graph, input);
        let loss = tape.bce_with_logits(logits, &y, 1.0, batch);
        tape.backward(loss, &params, &mut grads);
        clip_norm(grads.data_mut(), Some(1.0));
        adam.update(&mut params, grads.data(), 1e-3, None);
        if step >= 10 {
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
