//! The TFT against pytorch-forecasting itself: batches padded on the right, rows of many lengths.

use crate::fixture::{AnyNet, Tensors, json, net, path, tolerance};
use crate::labels::{pinball, softplus};
use crate::train::{Answer, Case, Optimiser};
use npyz::NpyFile;
use npyz::npz::NpzArchive;
use tickfuse_train::nets::tft::TftNet;
use tickfuse_train::ops::attention::Lengths;
use tickfuse_train::ops::real::Real;
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::Params;
use tickfuse_train::tape::{Mode, Tape, Var};

/// The lengths of a batch.
struct Ragged([Vec<usize>; 2]);

impl Answer<TftNet> for Ragged {
    fn answer<R: Real>(&self, net: &TftNet, graph: &mut Graph<'_, R>, x: Var) -> Var {
        let [encoder, decoder] = &self.0;
        net.forward_ragged(graph, x, Some(Lengths { encoder, decoder }))
    }
}

fn names(name: &str, key: &str) -> Vec<String> {
    serde_json::from_value(json(name, "model.json")["hyper_parameters"][key].clone()).unwrap()
}

/// The net of a folder; its columns are the library's reals, then its categoricals.
fn library_net(name: &str) -> TftNet {
    let columns = [names(name, "x_reals"), names(name, "x_categoricals")].concat();
    match net(name, &columns) {
        AnyNet::Tft(net) => *net,
        _ => panic!("{name}: expected a TFT"),
    }
}

fn lengths(read: &dyn Fn(&str) -> Vec<f64>) -> Ragged {
    let of = |part: &str| read(part).iter().map(|&n| n as usize).collect();
    Ragged([of("encoder_lengths"), of("decoder_lengths")])
}

/// `x [rows, batch, reals + categoricals]` from the library's four tensors `[batch, steps, columns]`.
fn rows(name: &str, batch: usize, read: &dyn Fn(&str) -> Vec<f64>) -> Vec<f64> {
    let widths = ["x_reals", "x_categoricals"].map(|key| names(name, key).len());
    let mut x = Vec::new();
    for part in ["encoder", "decoder"] {
        let [reals, codes] = ["cont", "cat"].map(|kind| read(&format!("{part}_{kind}")));
        let steps = reals.len() / (batch * widths[0]);
        for (t, b) in (0..steps).flat_map(|t| (0..batch).map(move |b| (t, b))) {
            for (values, width) in [&reals, &codes].into_iter().zip(widths) {
                x.extend_from_slice(&values[(b * steps + t) * width..][..width]);
            }
        }
    }
    x
}

/// The library's quantile loss on answers undone to the target's scale: doubled, over all valid steps.
struct QuantileLoss {
    levels: Vec<f64>,
    /// Centre and scale per row.
    scales: Vec<f64>,
    softplus: bool,
    y: Vec<f64>,
    decoder: Vec<usize>,
}

impl QuantileLoss {
    fn value(&self, out: &[f64]) -> f64 {
        let (batch, n) = (self.decoder.len(), self.levels.len());
        let n_ahead = self.y.len() / batch;
        let mut sum = 0.0;
        for (b, &steps) in self.decoder.iter().enumerate() {
            let (center, scale) = (self.scales[2 * b], self.scales[2 * b + 1]);
            for t in 0..steps {
                let row = &out[(t * batch + b) * n..][..n];
                let undone: Vec<f64> = row.iter().map(|z| self.undo(z * scale + center)).collect();
                let y = self.y[b * n_ahead + t];
                sum += 2.0 * pinball(&self.levels, &undone, y) / n as f64;
            }
        }
        sum / self.decoder.iter().sum::<usize>() as f64
    }

    fn undo(&self, x: f64) -> f64 {
        if self.softplus && x <= 20.0 {
            softplus(x)
        } else {
            x
        }
    }
}

fn trains(name: &str) {
    let (net, file) = (library_net(name), Tensors::open(name, "train.safetensors"));
    let read = |part: &str| file.values(&format!("x.{part}"));
    let ragged = lengths(&read);
    let (model, training) = (json(name, "model.json"), file.training());
    let target = model["preprocessing"]["target"].as_str().unwrap();
    let transformation = &model["preprocessing"]["normalizers"][target]["transformation"];
    let loss = QuantileLoss {
        levels: serde_json::from_value(training["loss"]["quantiles"].clone()).unwrap(),
        scales: read("target_scale"),
        softplus: transformation.as_str() == Some("softplus"),
        y: file.values("y"),
        decoder: ragged.0[1].clone(),
    };
    assert!(loss.softplus || transformation.is_null(), "{transformation}");
    Case {
        name,
        net: &net,
        file: &file,
        x: rows(name, loss.decoder.len(), &read),
        loss: &|out| loss.value(out),
        loss_tolerance: tolerance(&format!("nets/{name}/train.safetensors"), "loss_relative"),
        optimiser: Optimiser {
            lr: training["optimiser"]["lr"].as_f64().unwrap(),
            weight_decay: 0.0,
            clip_norm: None,
        },
    }
    .compare(&ragged);
}

#[test]
fn a_net_of_all_kinds_of_variables_trains_as_in_the_library() {
    trains("pf_mixed");
}

#[test]
fn a_net_of_reals_trains_as_in_the_library() {
    trains("pf_reals");
}

/// An array of `golden.npz` as f64, whatever its type.
fn array(name: &str, key: &str) -> Vec<f64> {
    let mut archive = NpzArchive::open(path(name, "golden.npz")).unwrap();
    let array: NpyFile<_> = archive
        .by_name(key)
        .unwrap()
        .unwrap_or_else(|| panic!("{name}: no array `{key}`"));
    match array.dtype().descr().as_str() {
        "'<f4'" => array
            .into_vec::<f32>()
            .unwrap()
            .into_iter()
            .map(f64::from)
            .collect(),
        "'<i8'" => array
            .into_vec::<i64>()
            .unwrap()
            .iter()
            .map(|&x| x as f64)
            .collect(),
        _ => array.into_vec::<f64>().unwrap(),
    }
}

#[test]
fn every_net_of_the_library_answers_as_it_does() {
    for name in ["pf_mixed", "pf_reals", "pf_shared", "pf_auto"] {
        let net = library_net(name);
        let params: Params<f64> = Tensors::open(name, "weights.safetensors").params(&net, "");
        let read = |part: &str| array(name, part);
        let ragged = lengths(&read);
        let batch = ragged.0[0].len();
        let x = rows(name, batch, &read);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let shape = [x.len() / (batch * net_width(name)), batch, net_width(name)];
        let input = tape.input(&shape, &x);
        let graph = &mut Graph {
            tape: &mut tape,
            params: &params,
        };
        let out = ragged.answer(&net, graph, input);
        let (found, expected) = (tape.value(out), array(name, "raw_f64"));
        assert_eq!(found.len(), expected.len(), "{name}");
        let (steps, n) = (tape.shape(out)[0], tape.shape(out)[2]);
        for (at, expected) in expected.iter().enumerate() {
            let (b, t, k) = (at / (steps * n), at / n % steps, at % n);
            let found = found[(t * batch + b) * n + k];
            let valid = t < ragged.0[1][b];
            assert!(
                !valid || (found - expected).abs() < 1e-7,
                "{name}: row {b}, step {t}, column {k}: {found}, the library {expected}"
            );
        }
    }
}

fn net_width(name: &str) -> usize {
    names(name, "x_reals").len() + names(name, "x_categoricals").len()
}
