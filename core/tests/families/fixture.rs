//! One net of `fixtures/nets` as a schema, plain tensors, and windows with the answers expected for them.

use crate::common::families::outputs;
use npyz::npz::NpzArchive;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::{
    Arrival, Categories, FORMAT, Input, Net, Precision, Role, Scaler, Schema, TftConfig,
};
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// A window of raw rows and what the original answered, `[steps, columns]`.
pub(crate) struct Window {
    pub(crate) rows: Vec<f32>,
    pub(crate) n_encoder: usize,
    pub(crate) n_decoder: usize,
    pub(crate) expected: Vec<f64>,
}

/// One net.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) net: Net,
    pub(crate) inputs: Vec<Input>,
    pub(crate) tensors: PlainTensors,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    role: Role,
    n_categories: Option<usize>,
}

#[derive(Deserialize)]
struct ModelJson {
    hyper_parameters: Columns,
}

/// The columns of pytorch-forecasting's arrays.
#[derive(Deserialize)]
struct Columns {
    x_reals: Vec<String>,
    x_categoricals: Vec<String>,
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn input(column: &Column) -> Input {
    let base = Input::real(&column.name, Scaler::IDENTITY);
    match column.n_categories {
        None => Input {
            role: column.role,
            ..base
        },
        Some(n) => Input {
            role: column.role,
            ..Input::categorical(
                &column.name,
                Categories {
                    labels: (0..n).map(|code| format!("c{code}")).collect(),
                    unknown: None,
                },
            )
        },
    }
}

/// The inputs of a pytorch-forecasting net, already scaled and encoded: reals, then categoricals.
fn forecasting_inputs(folder: &Path, config: &TftConfig) -> Vec<Input> {
    let columns: ModelJson = read(&folder.join("model.json"));
    let columns = columns.hyper_parameters;
    let reads = |variables: &[tickfuse_core::bundle::Variable], name: &String| {
        variables
            .iter()
            .find(|v| v.columns.contains(name))
            .map(|v| v.n_categories)
    };
    let column = |name: &String| {
        let (fixed, known, seen) = (
            reads(&config.static_variables, name),
            reads(&config.decoder_variables, name),
            reads(&config.encoder_variables, name),
        );
        let role = match (fixed, known) {
            (Some(_), _) => Role::Static,
            (_, Some(_)) => Role::Known,
            _ => Role::Observed,
        };
        input(&Column {
            name: name.clone(),
            role,
            n_categories: fixed.or(known).or(seen).flatten(),
        })
    };
    columns
        .x_reals
        .iter()
        .chain(&columns.x_categoricals)
        .map(column)
        .collect()
}

fn tensors(path: &Path) -> PlainTensors {
    let bytes = std::fs::read(path).expect("weights.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("weights.safetensors");
    let plain = |view: &safetensors::tensor::TensorView<'_>| PlainTensor {
        shape: view.shape().to_vec(),
        data: view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
    };
    let named = file.tensors();
    named
        .iter()
        .map(|(name, view)| (name.clone(), plain(view)))
        .collect()
}

/// Attention `[n, heads, queries, rows]` of window `i` as `[queries, heads, rows]`.
fn queries_first(attention: &Array<f64>, i: usize) -> Vec<f64> {
    let (n_queries, n_rows) = (attention.shape[2], attention.shape[3]);
    let rows: Vec<&[f64]> = attention.at(i).chunks_exact(n_rows).collect();
    let of_query = |q: usize| rows.iter().skip(q).step_by(n_queries);
    (0..n_queries)
        .flat_map(of_query)
        .flat_map(|row| row.iter().copied())
        .collect()
}

/// The last step's columns as the core orders them: the original has the position behind the distribution.
fn position_first(answers: &[f64], n_columns: usize) -> Vec<f64> {
    let mut last = answers[answers.len() - n_columns..].to_vec();
    last.rotate_right(1);
    last
}

/// An array with its shape.
pub(crate) struct Array<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<T>,
}

impl<T> Array<T> {
    /// Entry `i` along the first axis.
    pub(crate) fn at(&self, i: usize) -> &[T] {
        let size = self.shape[1..].iter().product::<usize>();
        &self.data[i * size..][..size]
    }
}

pub(crate) fn array<T: npyz::Deserialize>(path: &Path, name: &str) -> Array<T> {
    let mut archive = NpzArchive::open(path).expect("an npz file");
    let array = archive.by_name(name).expect(name).expect(name);
    Array {
        shape: array.shape().iter().map(|n| *n as usize).collect(),
        data: array.into_vec().expect(name),
    }
}

impl Fixture {
    pub(crate) fn open(name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fixtures/nets")
            .join(name);
        let net: Net = read(&folder.join("config.json"));
        let inputs = match &net {
            Net::Tft(config) if name.starts_with("pf_") => forecasting_inputs(&folder, config),
            _ => {
                let columns: Vec<Column> = read(&folder.join("inputs.json"));
                columns.iter().map(input).collect()
            }
        };
        let mut tensors = tensors(&folder.join("weights.safetensors"));
        if let Net::Xtrend(_) = &net {
            let golden = folder.join("golden.npz");
            let rows: Array<f32> = array(&golden, "context_input");
            let codes: Vec<f32> = array::<i64>(&golden, "context_entity")
                .data
                .iter()
                .map(|c| *c as f32)
                .collect();
            let plain = |shape: Vec<usize>, data| PlainTensor { shape, data };
            tensors.insert("contexts.entity".into(), plain(vec![codes.len()], codes));
            tensors.insert("contexts.input".into(), plain(rows.shape, rows.data));
        }
        Self {
            name,
            folder,
            net,
            inputs,
            tensors,
        }
    }

    /// A schema whose outputs are what the original answers.
    pub(crate) fn schema(&self, precision: Precision, tolerance: f32) -> Schema {
        Schema {
            format: FORMAT,
            name: self.name.into(),
            net: self.net.clone(),
            precision,
            inputs: self.inputs.clone(),
            bar_interval_ns: None,
            outputs: outputs(&self.net),
            target: None,
            arrival: Arrival::WholeWindow,
            normalizers: Vec::new(),
            tables: None,
            golden_tolerance: tolerance,
            provenance: serde_json::Map::new(),
        }
    }

    /// The windows of `golden.npz`.
    pub(crate) fn windows(&self) -> Vec<Window> {
        if self.name.starts_with("pf_") {
            return self.forecasting_windows("golden.npz", "");
        }
        let golden = self.folder.join("golden.npz");
        let (input, output) = (
            array::<f32>(&golden, "input"),
            array::<f64>(&golden, "output_f64"),
        );
        let (lookback, n_ahead) = (self.net.lookback(), self.net.n_ahead());
        let per_answer = self.net.n_columns() * n_ahead.max(1);
        let window = |i: usize| Window {
            rows: input.at(i).to_vec(),
            n_encoder: lookback,
            n_decoder: n_ahead,
            // Where every step was answered, the last one is the answer of serving.
            expected: match &self.net {
                Net::Xtrend(_) => position_first(output.at(i), output.shape[output.shape.len() - 1]),
                _ => output.at(i)[output.at(i).len() - per_answer..].to_vec(),
            },
        };
        (0..input.shape[0]).map(window).collect()
    }

    /// The same of an own PyTorch program's net.
    pub(crate) fn own_weights(&self, name: &str, i: usize) -> Vec<f64> {
        let path = self.folder.join("golden.npz");
        let get = |part: &str| array::<f64>(&path, &format!("mid.{part}"));
        let shared = self.name.starts_with("xtrend_shared");
        match (name, &self.net) {
            ("encoder_weights", Net::QuantileTft(_)) => get("vsn_weights").at(i).to_vec(),
            ("encoder_weights", _) if shared => get("target_vsn_weights").at(i).to_vec(),
            ("encoder_weights", _) => get("query_vsn_weights").at(i).to_vec(),
            ("decoder_weights", _) => get("decoder_vsn_weights").at(i).to_vec(),
            ("attention", Net::QuantileTft(_)) => queries_first(&get("attention"), i),
            ("attention", _) if shared => get("cross_attention").at(i).to_vec(),
            ("attention", _) => queries_first(&get("cross_attention"), i),
            other => panic!("no array for {other:?}"),
        }
    }

    /// Selection or attention weights of window `i` as the core names and lays them out.
    pub(crate) fn forecasting_weights(&self, name: &str, i: usize, window: &Window) -> Vec<f64> {
        let path = self.folder.join("golden.npz");
        let get = |part: &str| array::<f64>(&path, part);
        let selected = |part: &str, n: usize| {
            let all = get(part);
            let n_variables = all.shape[all.shape.len() - 1];
            all.at(i)[..n * n_variables].to_vec()
        };
        match name {
            "static_weights" => selected("static_variables", 1),
            "encoder_weights" => selected("encoder_variables", window.n_encoder),
            "decoder_weights" => selected("decoder_variables", window.n_decoder),
            "attention" => {
                let (past, future) = (get("encoder_attention"), get("decoder_attention"));
                let (heads, longest) = (past.shape[2], [past.shape[3], future.shape[3]]);
                let row = |at: usize| {
                    let (a, b) = (&past.at(i)[at * longest[0]..], &future.at(i)[at * longest[1]..]);
                    [&a[..window.n_encoder], &b[..window.n_decoder]].concat()
                };
                (0..window.n_decoder * heads).flat_map(row).collect()
            }
            other => panic!("no array for {other}"),
        }
    }

    /// The windows of one of pytorch-forecasting's batches, padding cut off.
    pub(crate) fn forecasting_windows(&self, file: &str, prefix: &str) -> Vec<Window> {
        let path = self.folder.join(file);
        let name = |part: &str| format!("{prefix}{part}");
        let reals = ["encoder_cont", "decoder_cont"].map(|part| array::<f32>(&path, &name(part)));
        let codes = ["encoder_cat", "decoder_cat"].map(|part| array::<i64>(&path, &name(part)));
        let lengths = ["encoder_lengths", "decoder_lengths"].map(|part| array::<i64>(&path, &name(part)));
        let expected = array::<f64>(&path, &name("raw_f64"));
        let window = |i: usize| {
            let n = lengths.each_ref().map(|l| l.data[i] as usize);
            let mut rows = Vec::new();
            for part in 0..2 {
                let (n_reals, n_codes) = (reals[part].shape[2], codes[part].shape[2]);
                for row in 0..n[part] {
                    rows.extend_from_slice(&reals[part].at(i)[row * n_reals..][..n_reals]);
                    rows.extend(
                        codes[part].at(i)[row * n_codes..][..n_codes]
                            .iter()
                            .map(|c| *c as f32),
                    );
                }
            }
            Window {
                rows,
                n_encoder: n[0],
                n_decoder: n[1],
                expected: expected.at(i)[..n[1] * self.net.n_columns()].to_vec(),
            }
        };
        (0..lengths[0].data.len()).map(window).collect()
    }
}
