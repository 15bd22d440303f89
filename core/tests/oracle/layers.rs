//! Single layers against `fixtures/layers`: PyTorch in float64, repeated there in numpy.

use super::Worst;
use super::fixture::{Array, array};
use npyz::npz::NpzArchive;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tickfuse_core::plain::{
    self, Attended, LstmState, Part, Selected, Weights, interpretable_attention, lstm_bidirectional,
    lstm_stack,
};

const BOUND: f64 = 1e-12;

/// The arrays of one layer.
struct Layer {
    name: String,
    weights: Weights,
    arrays: BTreeMap<String, Array<f64>>,
}

type Rows = Vec<Vec<f64>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/layers")
}

impl Layer {
    fn open(name: &str) -> Self {
        let path = folder().join(format!("{name}.npz"));
        let (mut weights, mut arrays) = (Weights::default(), BTreeMap::new());
        let archive = NpzArchive::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let names: Vec<String> = archive.array_names().map(String::from).collect();
        for key in names {
            let found = array::<f64>(&path, &key);
            match key.strip_prefix("w.") {
                Some(tensor) => weights.insert(tensor, &found.shape, found.data),
                None => drop(arrays.insert(key, found)),
            }
        }
        Self {
            name: name.into(),
            weights,
            arrays,
        }
    }

    fn part(&self) -> Part<'_> {
        self.weights.root()
    }

    fn get(&self, name: &str) -> &Array<f64> {
        &self.arrays[name]
    }

    fn eps(&self) -> f64 {
        self.get("eps").data[0]
    }

    /// The rows of an array, all axes but the last joined.
    fn rows(&self, name: &str) -> Rows {
        let array = self.get(name);
        let width = *array.shape.last().expect("an axis");
        array.data.chunks_exact(width).map(<[f64]>::to_vec).collect()
    }

    /// Rows of entry `i` of the first axis.
    fn entry(&self, name: &str, i: usize) -> Rows {
        let array = self.get(name);
        let width = *array.shape.last().expect("an axis");
        array.at(i).chunks_exact(width).map(<[f64]>::to_vec).collect()
    }

    /// The context of row `i`, where the layer has one; rows of one series share theirs.
    fn context(&self, i: usize, n: usize) -> Option<Vec<f64>> {
        let contexts = self
            .arrays
            .contains_key("context")
            .then(|| self.rows("context"))?;
        Some(contexts[i * contexts.len() / n].clone())
    }

    fn check(&self, worst: &mut Worst, name: &str, found: &[f64]) {
        let what = format!("{} {name}", self.name);
        worst.check(&what, found, &self.get(name).data, BOUND);
    }

    /// Compares `output` with `f(row, context)` of every row of `input`.
    fn check_rows(&self, worst: &mut Worst, f: impl Fn(&[f64], Option<&[f64]>) -> Vec<f64>) {
        let rows = self.rows("input");
        let found = rows
            .iter()
            .enumerate()
            .flat_map(|(i, x)| f(x, self.context(i, rows.len()).as_deref()));
        self.check(worst, "output", &found.collect::<Vec<f64>>());
    }
}

/// The layers whose names start like this, at least one.
fn layers(prefix: &str) -> Vec<Layer> {
    let entries = std::fs::read_dir(folder()).expect("fixtures/layers");
    let mut names: Vec<String> = entries
        .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter_map(|file| Some(file.strip_suffix(".npz")?.to_string()))
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "fixtures/layers/{prefix}*.npz");
    names.iter().map(|name| Layer::open(name)).collect()
}

fn check_all(prefix: &str, f: impl Fn(&Layer, &[f64], Option<&[f64]>) -> Vec<f64>) {
    let mut worst = Worst::default();
    for layer in layers(prefix) {
        layer.check_rows(&mut worst, |x, context| f(&layer, x, context));
    }
    worst.report(prefix);
}

#[test]
fn gated_units_norms_and_resampled_skips_are_those_of_pytorch() {
    check_all("glu", |l, x, _| plain::glu(&l.part(), x));
    check_all("layer_norm_", |l, x, _| plain::norm(&l.part(), x, l.eps()));
    check_all("resample_norm_", |l, x, _| {
        plain::resample_norm(&l.part(), x, l.eps())
    });
}

#[test]
fn gated_residual_networks_of_every_form_are_those_of_pytorch() {
    for prefix in ["grn_plain", "grn_context", "grn_resample_", "grn_linear"] {
        check_all(prefix, |l, x, c| plain::grn(&l.part(), x, c, l.eps()));
    }
    check_all("grn_input_gate", |l, x, _| {
        plain::grn_input_gate(&l.part(), x, l.eps())
    });
    check_all("grn_one_layer", |l, x, c| {
        plain::grn_one_layer(&l.part(), x, c, l.eps())
    });
    check_all("ffn_", |l, x, c| plain::ffn(&l.part(), x, c));
}

/// Variables of a selection in order, `[variables]` of (name, rows).
fn variables(layer: &Layer) -> Vec<(String, Rows)> {
    let names = layer.arrays.keys().filter_map(|key| key.strip_prefix("input."));
    let variable = |name: &str| {
        let (_, own) = name.split_once('.').expect("a place and a name");
        (own.to_string(), layer.rows(&format!("input.{name}")))
    };
    names.map(variable).collect()
}

#[test]
fn selections_of_every_form_are_those_of_pytorch() {
    let mut worst = Worst::default();
    for layer in layers("vsn_") {
        let variables = variables(&layer);
        let (part, n) = (layer.part(), variables[0].1.len());
        let step = |i: usize| {
            let entries: Vec<(&str, Vec<f64>)> = variables
                .iter()
                .map(|(name, rows)| (name.as_str(), rows[i].clone()))
                .collect();
            let (branches, context) = (part.at("single_variable_grns"), layer.context(i, n));
            plain::selection(&part, &branches, &entries, context.as_deref(), 6, layer.eps())
        };
        check_selected(&mut worst, &layer, (0..n).map(step));
    }
    let layer = Layer::open("xtrend_vsn");
    let rows = layer.rows("input");
    let step = |(i, x): (usize, &Vec<f64>)| {
        plain::selection_ffn(&layer.part(), x, layer.context(i, rows.len()).as_deref())
    };
    check_selected(&mut worst, &layer, rows.iter().enumerate().map(step));
    worst.report("selections");
}

fn check_selected(worst: &mut Worst, layer: &Layer, steps: impl Iterator<Item = Selected>) {
    let (rows, weights): (Rows, Rows) = steps.map(|s| (s.row, s.weights)).unzip();
    layer.check(worst, "output", &rows.concat());
    layer.check(worst, "weights", &weights.concat());
}

fn check_attended(worst: &mut Worst, layer: &Layer, attend: impl Fn(usize) -> Attended) {
    let found: Vec<Attended> = (0..layer.get("query").shape[0]).map(attend).collect();
    let rows: Vec<f64> = found.iter().flat_map(|a| a.rows.concat()).collect();
    let weights: Vec<f64> = found.iter().flat_map(|a| a.weights.concat().concat()).collect();
    layer.check(worst, "output", &rows);
    layer.check(worst, "attention", &weights);
}

#[test]
fn both_attentions_are_those_of_pytorch_with_the_weights_of_every_head() {
    let mut worst = Worst::default();
    for layer in layers("attention_") {
        let visible: Vec<Vec<bool>> = layer
            .rows("visible")
            .iter()
            .map(|row| row.iter().map(|v| *v == 1.0).collect())
            .collect();
        check_attended(&mut worst, &layer, |i| {
            let (query, keys) = (layer.entry("query", i), layer.entry("keys", i));
            interpretable_attention(&layer.part(), 3, &query, &keys, &visible)
        });
    }
    for layer in layers("mha_") {
        let n_heads = layer.get("n_heads").data[0] as usize;
        check_attended(&mut worst, &layer, |i| {
            let [query, keys, values] = ["query", "keys", "values"].map(|name| layer.entry(name, i));
            plain::attention(&layer.part(), n_heads, &query, &keys, &values)
        });
    }
    worst.report("attention");
}

#[test]
fn masks_of_the_goldens_are_those_of_the_rules() {
    use tickfuse_core::bundle::MaskRule;
    let rules = [
        ("causal_self", MaskRule::CausalSelf, 0),
        ("causal_self_ahead", MaskRule::CausalSelf, 6),
        ("causal_strict", MaskRule::CausalStrict, 5),
        ("nothing_visible", MaskRule::CausalStrict, 0),
        ("open", MaskRule::Open, 5),
    ];
    for (name, rule, first) in rules {
        let expected = Layer::open(&format!("attention_{name}")).rows("visible");
        let found = plain::visible_steps(rule, 9, first);
        let found: Rows = found
            .iter()
            .map(|row| row.iter().map(|seen| f64::from(*seen)).collect())
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn lstms_with_two_directions_and_with_given_states_are_those_of_pytorch() {
    let mut worst = Worst::default();
    let layer = Layer::open("lstm_bidirectional");
    let n = layer.get("input").shape[0];
    let found = (0..n).flat_map(|i| lstm_bidirectional(&layer.part(), 2, &layer.entry("input", i)).concat());
    layer.check(&mut worst, "output", &found.collect::<Vec<f64>>());

    let layer = Layer::open("lstm_initial_states");
    let (h0, c0) = (layer.get("h0"), layer.get("c0"));
    let n_layers = h0.shape[0];
    let part = |array: &Array<f64>, k: usize, i: usize| array.at(k)[i * 5..][..5].to_vec();
    let mut last = vec![Vec::new(); 2 * n_layers];
    let mut outputs = Vec::new();
    for i in 0..h0.shape[1] {
        let mut states: Vec<LstmState> = (0..n_layers)
            .map(|k| LstmState {
                h: part(h0, k, i),
                c: part(c0, k, i),
            })
            .collect();
        outputs.extend(lstm_stack(&layer.part(), &layer.entry("input", i), &mut states).concat());
        for (k, state) in states.into_iter().enumerate() {
            last[k].extend(state.h);
            last[n_layers + k].extend(state.c);
        }
    }
    layer.check(&mut worst, "output", &outputs);
    layer.check(&mut worst, "h_last", &last[..n_layers].concat());
    layer.check(&mut worst, "c_last", &last[n_layers..].concat());
    worst.report("lstm");
}
