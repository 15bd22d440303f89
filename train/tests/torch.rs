//! Against `PyTorch`: losses of ten `AdamW` steps, gradients of the first, learning rates of the schedules.
//!
//! The files and their tolerances come from `fixtures/make/train_lstm.py`.

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use std::path::PathBuf;
use tickfuse_train::nets::Net;
use tickfuse_train::nets::lstm::{LstmNet, LstmNetConfig};
use tickfuse_train::optim::adamw::{AdamW, AdamWConfig};
use tickfuse_train::optim::clip::clip_norm;
use tickfuse_train::optim::schedule::{Schedule, ScheduleConfig};
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::{Gradients, Params};
use tickfuse_train::tape::{Mode, Tape};

fn fixture(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    root.join("train").join(name)
}

/// Largest relative deviation the manifest accepts.
fn tolerance(name: &str, kind: &str) -> f64 {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/MANIFEST.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    manifest["files"][&format!("train/{name}")]["tolerance"][kind]
        .as_float()
        .unwrap()
}

struct Golden {
    bytes: Vec<u8>,
    net: LstmNet,
    pos_weight: f64,
    batch: usize,
    optimiser: serde_json::Value,
}

impl Golden {
    fn open(name: &str) -> Self {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let spec: serde_json::Value = serde_json::from_str(&metadata["net"]).unwrap();
        let number = |key: &str| spec[key].as_u64().unwrap() as usize;
        let net = LstmNet::new(LstmNetConfig {
            n_features: number("n_features"),
            lookback: number("lookback"),
            n_hidden: number("n_hidden"),
            n_layers: number("n_layers"),
            head: serde_json::from_value(spec["head"].clone()).unwrap(),
            dropout: 0.0,
        });
        Self {
            net: net.unwrap(),
            pos_weight: spec["pos_weight"].as_f64().unwrap(),
            batch: number("batch"),
            optimiser: serde_json::from_str(&metadata["optimiser"]).unwrap(),
            bytes,
        }
    }

    fn values(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        let data = view.data();
        match view.dtype() {
            Dtype::F16 => data
                .as_chunks()
                .0
                .iter()
                .map(|&b| f16::from_le_bytes(b).to_f64())
                .collect(),
            Dtype::F32 => data
                .as_chunks()
                .0
                .iter()
                .map(|&b| f64::from(f32::from_le_bytes(b)))
                .collect(),
            Dtype::F64 => data
                .as_chunks()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b))
                .collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn narrow(&self, name: &str) -> Vec<f32> {
        self.values(name).iter().map(|&x| x as f32).collect()
    }

    fn start(&self) -> Params<f32> {
        let mut params = Params::init(self.net.layout(), 0);
        for spec in self.net.layout().specs() {
            // PyTorch has the dense layers in a list: the names agree without further ado.
            params.set(&spec.name, &self.narrow(&format!("start/{}", spec.name)));
        }
        params
    }
}

/// Loss and gradients of one batch.
fn gradients(
    golden: &Golden,
    params: &Params<f32>,
    x: &[f32],
    y: &[f32],
    tape: &mut Tape<f32>,
) -> (f64, Gradients<f32>) {
    let net = &golden.net;
    let mut grads = Gradients::zeros(net.layout());
    tape.begin(Mode {
        training: true,
        ..Mode::default()
    });
    let input = tape.input(&[net.n_rows(), golden.batch, net.n_features()], x);
    let z = net.forward(&mut Graph { tape, params }, input);
    let loss = tape.bce_with_logits(z, y, golden.pos_weight, y.len());
    let value = f64::from(tape.value(loss)[0]);
    tape.backward(loss, params, &mut grads);
    (value, grads)
}

fn ten_steps_agree(name: &str) {
    let golden = Golden::open(name);
    let option = |key: &str| golden.optimiser[key].as_f64().unwrap();
    let config = AdamWConfig {
        weight_decay: option("weight_decay"),
        ..AdamWConfig::default()
    };
    let mut params = golden.start();
    let mut adam = AdamW::new(config, golden.net.layout());
    let mut tape = Tape::default();
    let (x, y, losses) = (golden.narrow("x"), golden.narrow("y"), golden.values("losses"));
    let batches = x
        .chunks_exact(x.len() / losses.len())
        .zip(y.chunks_exact(golden.batch));
    for (step, ((x, y), expected)) in batches.zip(&losses).enumerate() {
        let (loss, mut grads) = gradients(&golden, &params, x, y, &mut tape);
        let error = (loss - expected).abs() / expected;
        assert!(
            error <= tolerance(name, "loss"),
            "step {step}: loss {loss}, PyTorch {expected}"
        );
        if step == 0 {
            gradients_agree(&golden, &grads, tolerance(name, "gradient"));
        }
        clip_norm(grads.data_mut(), Some(option("clip_norm")));
        adam.update(&mut params, grads.data(), option("lr"), None);
    }
    for tensor in params.tensors().filter(|t| t.name.starts_with("head")) {
        let end = golden.values(&format!("end/{}", tensor.name));
        for (found, expected) in tensor.data.iter().zip(end) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < 2e-4,
                "{} after ten steps: {found}, PyTorch {expected}",
                tensor.name
            );
        }
    }
}

fn gradients_agree(golden: &Golden, grads: &Gradients<f32>, tolerance: f64) {
    for tensor in grads.tensors() {
        let expected = golden.values(&format!("grad/{}", tensor.name));
        assert_eq!(expected.len(), tensor.data.len(), "{}", tensor.name);
        let largest = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        assert!(largest > 0.0, "{}", tensor.name);
        for (i, (found, expected)) in tensor.data.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / largest;
            assert!(
                error <= tolerance,
                "{}[{i}]: {found}, PyTorch {expected}",
                tensor.name
            );
        }
    }
}

#[test]
fn one_layer_of_64_gives_the_losses_and_gradients_of_pytorch() {
    ten_steps_agree("tiny.safetensors");
}

#[test]
fn two_layers_with_a_dense_stack_give_the_losses_and_gradients_of_pytorch() {
    ten_steps_agree("stack.safetensors");
}

fn schedules() -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(fixture("schedules.json")).unwrap()).unwrap()
}

fn pairs(rates: &serde_json::Value) -> Vec<[f64; 2]> {
    serde_json::from_value(rates.clone()).unwrap()
}

fn close(found: f64, expected: f64, what: &str) {
    let bound = tolerance("schedules.json", "rate") * expected.abs().max(1e-3);
    assert!(
        (found - expected).abs() <= bound,
        "{what}: {found}, PyTorch {expected}"
    );
}

#[test]
fn rates_by_step_are_those_of_pytorch() {
    let cosine = ScheduleConfig::Cosine {
        warmup_steps: 8,
        warmup_start: 0.1,
        min_lr: 1e-5,
    };
    let one_cycle: ScheduleConfig = toml::from_str("kind = \"one_cycle\"").unwrap();
    let golden = schedules();
    for (name, config) in [("cosine", cosine), ("one_cycle", one_cycle)] {
        let schedule = Schedule::new(config, 1e-3, 40);
        for (step, [lr, beta1]) in pairs(&golden[name]).into_iter().enumerate() {
            let rates = schedule.rates(step as u64);
            close(rates.lr, lr, &format!("{name}, step {step}, lr"));
            close(
                rates.beta1.unwrap_or(0.9),
                beta1,
                &format!("{name}, step {step}, beta1"),
            );
        }
    }
}

#[test]
fn the_plateau_reduces_when_pytorch_does_in_both_directions() {
    let config = ScheduleConfig::Plateau {
        factor: 0.5,
        patience: 2,
        threshold: 1e-4,
        cooldown: 1,
        min_lr: 1e-4,
    };
    let golden = schedules();
    for (name, larger_is_better) in [("plateau_min", false), ("plateau_max", true)] {
        let mut schedule = Schedule::new(config, 1e-3, 20);
        let metrics: Vec<f64> = serde_json::from_value(golden[name]["metrics"].clone()).unwrap();
        let rates = pairs(&golden[name]["rates"]);
        assert!(rates.last().unwrap()[0] < 1e-3, "{name} must reduce");
        for (epoch, ([lr, _], metric)) in rates.into_iter().zip(metrics).enumerate() {
            close(schedule.rates(0).lr, lr, &format!("{name}, epoch {epoch}"));
            schedule.on_epoch(metric, larger_is_better);
        }
    }
}
