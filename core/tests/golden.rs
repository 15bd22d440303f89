//! Answers of PyTorch: the nets of `fixtures/nets` through the core on every level, and through the oracle.
//!
//! Tolerances come from `fixtures/MANIFEST.toml`, whose hashes must be those of the files read here. What each array
//! is, and which tolerance belongs to it, is told in `fixtures/README.md`.

use npyz::npz::NpzArchive;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{
    Activation, Arrival, DenseConfig, FORMAT, Input, LstmConfig, Net, Output, OutputKind, Precision, Scaler,
    Schema,
};
use tickfuse_core::plain::{self, PlainTensor, PlainTensors};
use tickfuse_core::{Level, Model, OpenOptions, Session, write_model};

const NETS: [&str; 4] = ["tiny_tft", "simple_tft", "odd_net", "lstm_a"];
/// Two f64 programs with the same weights and rows differ by the order of their sums only.
const SAME_PROGRAM: f64 = 1e-10;

/// Absolute deviations of the manifest.
#[derive(Deserialize)]
struct Tolerance {
    f32: f64,
    bf16: f64,
    bf16_products: f64,
}

#[derive(Deserialize)]
struct Entry {
    sha256: String,
    tolerance: Option<Tolerance>,
}

#[derive(Deserialize)]
struct Manifest {
    files: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct HeadLayer {
    prefix: String,
    activation: Activation,
}

/// `net.toml`.
#[derive(Deserialize)]
struct Config {
    name: String,
    lookback: usize,
    n_hidden: usize,
    n_layers: usize,
    lstm_prefix: String,
    head: Vec<HeadLayer>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

/// One net as PyTorch left it.
struct Torch {
    folder: PathBuf,
    config: Config,
    tensors: BTreeMap<String, PlainTensor>,
    tolerance: Tolerance,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// The manifest's entry of a file, whose bytes must have the hash it states.
fn entry(manifest: &mut Manifest, name: &str) -> (Entry, Vec<u8>) {
    let bytes = std::fs::read(fixtures().join(name)).expect(name);
    let entry = manifest.files.remove(name).expect(name);
    let entry: Entry = entry.try_into().expect(name);
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(found, entry.sha256, "{name} is not the file of the manifest");
    (entry, bytes)
}

impl Torch {
    fn open(net: &str) -> Self {
        let text = std::fs::read_to_string(fixtures().join("MANIFEST.toml")).expect("MANIFEST.toml");
        let mut manifest: Manifest = toml::from_str(&text).expect("MANIFEST.toml");
        let mut file = |name: &str| entry(&mut manifest, &format!("nets/{net}/{name}"));
        let config = String::from_utf8(file("net.toml").1).expect("net.toml is text");
        Self {
            folder: fixtures().join("nets").join(net),
            config: toml::from_str(&config).expect("net.toml"),
            tensors: tensors(&file("weights.safetensors").1),
            tolerance: file("golden.npz").0.tolerance.expect("a tolerance"),
        }
    }

    fn golden<T: npyz::Deserialize>(&self, name: &str) -> Vec<T> {
        let mut archive = NpzArchive::open(self.folder.join("golden.npz")).expect("golden.npz");
        let array = archive.by_name(name).expect(name).expect(name);
        array.into_vec().expect(name)
    }

    fn n_window(&self) -> usize {
        self.config.lookback * self.config.inputs.len()
    }

    fn tensor(&self, name: &str) -> &PlainTensor {
        self.tensors.get(name).expect(name)
    }

    fn wide(&self, name: &str) -> Vec<f64> {
        self.tensor(name).data.iter().map(|v| f64::from(*v)).collect()
    }

    fn lstm_name(&self, kind: &str, l: usize) -> String {
        format!("{}.{kind}_l{l}", self.config.lstm_prefix)
    }

    fn schema(&self, precision: Precision, golden_tolerance: f64) -> Schema {
        let config = &self.config;
        let dense = |h: &HeadLayer| DenseConfig {
            n_out: self.tensor(&format!("{}.bias", h.prefix)).data.len(),
            activation: h.activation,
        };
        Schema {
            format: FORMAT,
            name: config.name.clone(),
            net: Net::Lstm(LstmConfig {
                lookback: config.lookback,
                n_hidden: config.n_hidden,
                n_layers: config.n_layers,
                head: config.head.iter().map(dense).collect(),
            }),
            precision,
            inputs: config.inputs.clone(),
            bar_interval_ns: None,
            outputs: config.outputs.clone(),
            target: None,
            arrival: Arrival::PreRolled,
            normalizers: Vec::new(),
            tables: None,
            golden_tolerance: golden_tolerance as f32,
            provenance: serde_json::Map::new(),
        }
    }

    /// The tensors under the core's names: the two biases of a layer summed in f32.
    fn plain(&self) -> PlainTensors {
        let mut out = PlainTensors::new();
        for l in 0..self.config.n_layers {
            for kind in ["weight_ih", "weight_hh"] {
                let tensor = self.tensor(&self.lstm_name(kind, l)).clone();
                out.insert(format!("lstm.{kind}_l{l}"), tensor);
            }
            let mut bias = self.tensor(&self.lstm_name("bias_ih", l)).clone();
            let other = &self.tensor(&self.lstm_name("bias_hh", l)).data;
            bias.data.iter_mut().zip(other).for_each(|(a, b)| *a += b);
            out.insert(format!("lstm.bias_l{l}"), bias);
        }
        for (j, layer) in self.config.head.iter().enumerate() {
            for kind in ["weight", "bias"] {
                let tensor = self.tensor(&format!("{}.{kind}", layer.prefix)).clone();
                out.insert(format!("head.{j}.{kind}"), tensor);
            }
        }
        out
    }

    /// Every window's answer, from a model file opened on `level`.
    fn answers(&self, file: &[u8], level: Level) -> Vec<f32> {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(file, options).expect("the model opens");
        let input: Vec<f32> = self.golden("input");
        let n = input.len() / self.n_window();
        let mut out = vec![0.0; n * model.schema().n_outputs()];
        Session::new(&model, n)
            .run_batch(&input, n, &mut out)
            .expect("the windows are finite");
        out
    }

    /// A model file with the first window as its golden one.
    fn file(&self, precision: Precision, expected: &[f64], tolerance: f64) -> Vec<u8> {
        let schema = self.schema(precision, tolerance);
        let input: Vec<f32> = self.golden("input");
        let output: Vec<f32> = expected[..schema.n_outputs()].iter().map(|v| *v as f32).collect();
        write_model(&schema, &self.plain(), &input[..self.n_window()], &output).expect("the model is written")
    }

    /// Rows as both PyTorch modules read them: scaled in f64, rounded to f32.
    fn scaled(&self, window: &[f32]) -> Vec<Vec<f64>> {
        let z = |(x, input): (&f32, &Input)| {
            let s = input.scaler.unwrap_or(Scaler::IDENTITY);
            f64::from(((f64::from(*x) - s.center) / s.scale) as f32)
        };
        let row = |row: &[f32]| row.iter().zip(&self.config.inputs).map(z).collect();
        window.chunks_exact(self.config.inputs.len()).map(row).collect()
    }

    /// One window through the oracle's layers, biases summed in f64: last h of every layer, then the outputs.
    fn oracle(&self, window: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (mut rows, mut last) = (self.scaled(window), Vec::new());
        for l in 0..self.config.n_layers {
            let [w, r, b, b_hh] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                .map(|kind| self.wide(&self.lstm_name(kind, l)));
            let b: Vec<f64> = b.iter().zip(&b_hh).map(|(a, b)| a + b).collect();
            rows = plain::lstm(&w, &r, &b, &rows);
            last.extend_from_slice(&rows[rows.len() - 1]);
        }
        let mut z = rows.pop().expect("a lookback of one or more");
        for layer in &self.config.head {
            let [w, b] = ["weight", "bias"].map(|kind| self.wide(&format!("{}.{kind}", layer.prefix)));
            z = plain::dense(&w, &b, &z);
            if layer.activation == Activation::Relu {
                z = z.into_iter().map(plain::relu).collect();
            }
        }
        let output = match self.config.outputs[0].kind {
            OutputKind::Linear => z,
            OutputKind::Sigmoid => z.into_iter().map(plain::sigmoid).collect(),
            OutputKind::Softmax => plain::softmax(&z),
            kind => panic!("not an output of this family: {kind:?}"),
        };
        (last, output)
    }
}

fn tensors(file: &[u8]) -> BTreeMap<String, PlainTensor> {
    let file = safetensors::SafeTensors::deserialize(file).expect("weights.safetensors");
    let plain = |view: &safetensors::tensor::TensorView<'_>| {
        assert_eq!(view.dtype(), safetensors::Dtype::F32);
        let (values, rest) = view.data().as_chunks();
        assert!(rest.is_empty(), "whole floats");
        PlainTensor {
            shape: view.shape().to_vec(),
            data: values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        }
    };
    file.tensors()
        .iter()
        .map(|(name, view)| (name.clone(), plain(view)))
        .collect()
}

/// Largest deviation; NaN counts as infinite.
fn worst<T: Copy + Into<f64>>(found: &[T], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let apart = |(f, e): (&T, &f64)| {
        let d = ((*f).into() - e).abs();
        if d.is_nan() { f64::INFINITY } else { d }
    };
    found.iter().zip(expected).map(apart).fold(0.0, f64::max)
}

fn assert_within(what: &str, deviation: f64, tolerance: f64) {
    eprintln!("{what}: worst deviation {deviation:.2e}, tolerance {tolerance:.2e}");
    assert!(
        deviation <= tolerance,
        "{what}: expected at most {tolerance:e}, found {deviation:e}"
    );
}

#[test]
fn f32_answers_are_those_of_pytorch_on_every_level() {
    for net in NETS.map(Torch::open) {
        let (wide, single): (Vec<f64>, Vec<f32>) = (net.golden("output_f64"), net.golden("output"));
        let single: Vec<f64> = single.into_iter().map(f64::from).collect();
        let file = net.file(Precision::F32, &wide, net.tolerance.f32);
        for level in Level::available() {
            let found = net.answers(&file, level);
            let what = format!("{} {} f32", net.config.name, level.name());
            assert_within(&what, worst(&found, &wide), net.tolerance.f32);
            assert_within(
                &format!("{what}, PyTorch f32"),
                worst(&found, &single),
                net.tolerance.f32,
            );
        }
    }
}

#[test]
fn bf16_answers_are_those_of_pytorch_with_rounded_matrices_on_every_level() {
    for net in NETS.map(Torch::open) {
        let expected: Vec<f64> = net.golden("output_bf16_weights");
        let file = net.file(Precision::Bf16, &expected, net.tolerance.bf16_products);
        for level in Level::available() {
            let tolerance = match level {
                Level::Avx512Bf16 => net.tolerance.bf16_products,
                _ => net.tolerance.bf16,
            };
            let found = net.answers(&file, level);
            let what = format!("{} {} bf16", net.config.name, level.name());
            assert_within(&what, worst(&found, &expected), tolerance);
        }
    }
}

#[test]
fn i16_answers_are_nearer_to_pytorch_in_double_than_bf16_answers() {
    for net in NETS.map(Torch::open) {
        let expected: Vec<f64> = net.golden("output_f64");
        let size = expected.iter().fold(1.0_f64, |top, v| top.max(v.abs()));
        let [bf16, i16] = [Precision::Bf16, Precision::I16].map(|precision| {
            let file = net.file(precision, &expected, 0.02);
            let answers = Level::available().map(|level| worst(&net.answers(&file, level), &expected));
            answers.fold(0.0, f64::max)
        });
        let what = &net.config.name;
        assert_within(&format!("{what} i16"), i16, 1e-3 * size);
        assert!(i16 < bf16 / 4.0, "{what}: i16 {i16:e}, bf16 {bf16:e}");
    }
}

/// What `core/docs/numerics.md` promises: fused levels agree bit for bit unless activations are rounded to bf16.
#[test]
fn levels_with_fused_products_give_the_same_bits() {
    let apart = |precision| match precision {
        Precision::F32 | Precision::I16 => vec![Level::Avx2, Level::Avx512, Level::Avx512Bf16],
        Precision::Bf16 => vec![Level::Avx2, Level::Avx512],
    };
    for net in NETS.map(Torch::open) {
        let wide: Vec<f64> = net.golden("output_f64");
        for precision in Precision::ALL {
            let file = net.file(precision, &wide, 0.02);
            let levels = apart(precision).into_iter().filter(|level| level.is_available());
            let answers: Vec<_> = levels.map(|level| (level, net.answers(&file, level))).collect();
            for two in answers.windows(2) {
                eprintln!(
                    "{} {precision:?}: {:?} and {:?}",
                    net.config.name, two[0].0, two[1].0
                );
                assert_eq!(two[0].1, two[1].1);
            }
        }
    }
}

#[test]
fn the_oracles_layers_are_those_of_pytorch_in_double() {
    for net in NETS.map(Torch::open) {
        let (input, h_last, output): (Vec<f32>, Vec<f64>, Vec<f64>) = (
            net.golden("input"),
            net.golden("h_last"),
            net.golden("output_f64"),
        );
        let answers = input.chunks_exact(net.n_window()).map(|w| net.oracle(w));
        let (h, y): (Vec<_>, Vec<_>) = answers.unzip();
        let name = &net.config.name;
        assert_within(
            &format!("{name} oracle, h of every layer"),
            worst(&h.concat(), &h_last),
            SAME_PROGRAM,
        );
        assert_within(
            &format!("{name} oracle, outputs"),
            worst(&y.concat(), &output),
            SAME_PROGRAM,
        );
    }
}

/// The net of the oracle scales without rounding and has its biases summed in f32, so the bound is that of f32.
#[test]
fn the_oracles_net_is_that_of_pytorch_but_for_scaled_rows_and_summed_biases() {
    for net in NETS.map(Torch::open) {
        let (schema, plain) = (net.schema(Precision::F32, net.tolerance.f32), net.plain());
        let oracle = plain::LstmNet::new(&schema, &plain);
        let input: Vec<f32> = net.golden("input");
        let wide: Vec<f64> = input.into_iter().map(f64::from).collect();
        let found: Vec<f64> = wide
            .chunks_exact(net.n_window())
            .flat_map(|w| oracle.run(w))
            .collect();
        let expected: Vec<f64> = net.golden("output_f64");
        let what = format!("{} net of the oracle", net.config.name);
        assert_within(&what, worst(&found, &expected), net.tolerance.f32);
    }
}
