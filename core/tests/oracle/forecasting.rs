//! pytorch-forecasting's own nets in float64: raw outputs, de-normalised outputs, weights, every block.

use super::Worst;
use super::fixture::{Array, Fixture, array};
use npyz::npz::NpzArchive;
use tickfuse_core::bundle::{
    EmptyEncoder, Net, Normalizer, NormalizerSource, Output, OutputKind, Precision, Transform,
};
use tickfuse_core::plain::{HeadValues, NetOracle, Notes, Oracle, ScaledWindow};

const BOUND: f64 = 1e-10;

/// Array of the library, what the oracle calls it, and which of its steps.
const STEPS: [(&str, &str, Steps); 14] = [
    ("mid.encoder_vsn", "encoder_selected", Steps::Encoder),
    ("mid.decoder_vsn", "decoder_selected", Steps::Decoder),
    ("encoder_variables", "encoder_weights", Steps::Encoder),
    ("decoder_variables", "decoder_weights", Steps::Decoder),
    ("mid.lstm_encoder", "lstm_encoder", Steps::Encoder),
    ("mid.lstm_decoder", "lstm_decoder", Steps::Decoder),
    ("mid.post_lstm_encoder", "post_lstm", Steps::Encoder),
    ("mid.post_lstm_decoder", "post_lstm", Steps::Decoder),
    ("mid.static_enrichment", "enriched", Steps::Both),
    ("mid.attention", "attended", Steps::Decoder),
    ("mid.post_attention", "post_attention", Steps::Decoder),
    ("mid.pos_wise_ff", "position_wise", Steps::Decoder),
    ("mid.pre_output", "pre_output", Steps::Decoder),
    ("raw_f64", "head", Steps::Decoder),
];
const VECTORS: [(&str, &str); 6] = [
    ("static_variables", "static_weights"),
    ("mid.static_vsn", "static"),
    (
        "mid.static_context_variable_selection",
        "static_context_variable_selection",
    ),
    (
        "mid.static_context_initial_hidden_lstm",
        "static_context_initial_hidden_lstm",
    ),
    (
        "mid.static_context_initial_cell_lstm",
        "static_context_initial_cell_lstm",
    ),
    ("mid.static_context_enrichment", "static_context_enrichment"),
];
const STATES: [&str; 4] = [
    "lstm_encoder_h",
    "lstm_encoder_c",
    "lstm_decoder_h",
    "lstm_decoder_c",
];

/// What depends on the attention of its own step.
const AFTER_ATTENTION: [&str; 5] = [
    "attended",
    "post_attention",
    "position_wise",
    "pre_output",
    "head",
];

/// Which steps of the padded batch an array has.
#[derive(Clone, Copy, PartialEq)]
enum Steps {
    Encoder,
    Decoder,
    Both,
}

/// A batch of the library, one file's arrays under a prefix.
struct Batch<'a> {
    fixture: &'a Fixture,
    file: &'a str,
    prefix: &'a str,
}

impl Batch<'_> {
    fn get<T: npyz::Deserialize>(&self, name: &str) -> Array<T> {
        let name = format!("{}{name}", self.prefix);
        array(&self.fixture.folder.join(self.file), &name)
    }

    fn has(&self, name: &str) -> bool {
        let archive = NpzArchive::open(self.fixture.folder.join(self.file)).expect(self.file);
        let name = format!("{}{name}", self.prefix);
        archive.array_names().any(|known| known == name)
    }

    fn lengths(&self, i: usize) -> [usize; 2] {
        ["encoder_lengths", "decoder_lengths"].map(|name| self.get::<i64>(name).data[i] as usize)
    }

    fn longest(&self) -> [usize; 2] {
        ["encoder_cont", "decoder_cont"].map(|name| self.get::<f32>(name).shape[1])
    }

    fn len(&self) -> usize {
        self.get::<i64>("encoder_lengths").data.len()
    }

    fn window(&self, i: usize) -> ScaledWindow {
        let n = self.lengths(i);
        let (mut reals, mut codes) = (Vec::new(), Vec::new());
        for (part, n) in ["encoder", "decoder"].into_iter().zip(n) {
            let (cont, cat) = (
                self.get::<f32>(&format!("{part}_cont")),
                self.get::<i64>(&format!("{part}_cat")),
            );
            for row in 0..n {
                let (n_reals, n_codes) = (cont.shape[2], cat.shape[2]);
                let own = &cont.at(i)[row * n_reals..][..n_reals];
                reals.push(own.iter().map(|v| f64::from(*v)).collect());
                let own = &cat.at(i)[row * n_codes..][..n_codes];
                codes.push(own.iter().map(|code| *code as usize).collect());
            }
        }
        ScaledWindow {
            reals,
            codes,
            n_encoder: n[0],
        }
    }

    /// Entry `i` of an array, padded steps cut off.
    fn steps(&self, name: &str, i: usize, which: Steps) -> Vec<f64> {
        let array = self.get::<f64>(name);
        let width = array.shape[2..].iter().product::<usize>();
        let row = |row: usize| array.at(i)[row * width..][..width].to_vec();
        let ([n_encoder, n_decoder], [longest, _]) = (self.lengths(i), self.longest());
        match which {
            Steps::Encoder => (0..n_encoder).flat_map(row).collect(),
            Steps::Decoder => (0..n_decoder).flat_map(row).collect(),
            Steps::Both => (0..n_encoder)
                .chain(longest..longest + n_decoder)
                .flat_map(row)
                .collect(),
        }
    }

    /// `[heads][queries][encoder steps | decoder steps]` of window `i`.
    fn attention(&self, i: usize) -> Vec<f64> {
        let (past, future) = (
            self.get::<f64>("encoder_attention"),
            self.get::<f64>("decoder_attention"),
        );
        let ([n_encoder, n_decoder], [longest, ahead]) = (self.lengths(i), self.longest());
        let n_heads = past.shape[2];
        let row = |head: usize, query: usize| {
            let at = query * n_heads + head;
            let (past, future) = (&past.at(i)[at * longest..], &future.at(i)[at * ahead..]);
            [&past[..n_encoder], &future[..n_decoder]].concat()
        };
        (0..n_heads)
            .flat_map(|head| (0..n_decoder).flat_map(move |query| row(head, query)))
            .collect()
    }

    /// `[layers][H]` of window `i`.
    fn state(&self, name: &str, i: usize) -> Vec<f64> {
        let array = self.get::<f64>(&format!("mid.{name}"));
        let width = array.shape[2];
        (0..array.shape[0])
            .flat_map(|layer| array.at(layer)[i * width..][..width].to_vec())
            .collect()
    }

    /// Decoder steps of window `i` that nothing can be said about: without encoder rows the first one sees no step, so that
    /// it weighs all of them alike, in the library those of the padding, too.
    fn n_blind(&self, i: usize) -> usize {
        let ([n_encoder, n_decoder], [_, longest]) = (self.lengths(i), self.longest());
        usize::from(n_encoder == 0 && n_decoder < longest)
    }

    /// Requires that window `i` was answered as the library did.
    fn check(&self, i: usize, found: &HeadValues, worst: &mut Worst) {
        let what = |name: &str| format!("{} {}window {i} {name}", self.fixture.name, self.prefix);
        let mut compare = |what: String, own: &[f64], expected: &[f64]| {
            worst.check(&what, own, expected, BOUND);
        };
        let named = |name: &str| named(&found.named, name);
        let [n_encoder, n_decoder] = self.lengths(i);
        for (array, name, which) in STEPS {
            let own = match name {
                "head" => found.every_step.concat(),
                _ => named(name),
            };
            let expected = self.steps(array, i, which);
            let (from, to) = match (name, which) {
                ("post_lstm", Steps::Encoder) => (0, expected.len()),
                ("post_lstm", _) => (own.len() - expected.len(), own.len()),
                _ => (0, own.len()),
            };
            let skipped = match AFTER_ATTENTION.contains(&name) {
                true => self.n_blind(i) * expected.len() / n_decoder,
                false => 0,
            };
            compare(what(array), &own[from + skipped..to], &expected[skipped..]);
        }
        for (array, name) in VECTORS {
            // Without static variables the library has no static network.
            let expected = match self.has(array) {
                true => self.get::<f64>(array).at(i).to_vec(),
                false => Vec::new(),
            };
            compare(what(array), &named(name), &expected);
        }
        for name in STATES.iter().skip(if n_encoder == 0 { 2 } else { 0 }) {
            compare(what(name), &named(name), &self.state(name, i));
        }
        let seen = |all: &[f64]| {
            let of_head = all.chunks_exact(n_decoder * (n_encoder + n_decoder));
            let skipped = self.n_blind(i) * (n_encoder + n_decoder);
            of_head
                .flat_map(|head| head[skipped..].to_vec())
                .collect::<Vec<f64>>()
        };
        compare(
            what("attention"),
            &seen(&named("attention")),
            &seen(&self.attention(i)),
        );
    }
}

/// What the oracle kept, or nothing where the net has no such part.
fn named(notes: &Notes, name: &str) -> Vec<f64> {
    notes
        .get(name)
        .map(|found| found.values.clone())
        .unwrap_or_default()
}

#[test]
fn every_block_answers_as_pytorch_forecasting() {
    for name in ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"] {
        let fixture = Fixture::open(name);
        let schema = fixture.schema(Precision::F32, 1.0);
        schema.validate().expect(name);
        let net = NetOracle::new(&schema, &fixture.tensors);
        let batch = Batch {
            fixture: &fixture,
            file: "golden.npz",
            prefix: "",
        };
        let mut worst = Worst::default();
        for i in 0..batch.len() {
            batch.check(i, &net.run(&batch.window(i)), &mut worst);
        }
        worst.report(name);
    }
}

#[test]
fn raw_windows_of_reals_and_codes_take_the_same_way() {
    for name in ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"] {
        let fixture = Fixture::open(name);
        let schema = fixture.schema(Precision::F32, 1.0);
        let oracle = Oracle::new(&schema, &fixture.tensors);
        let mut worst = Worst::default();
        for window in fixture.windows() {
            let rows: Vec<f64> = window.rows.iter().map(|v| f64::from(*v)).collect();
            let found = oracle.run_lengths(&rows, window.n_encoder, window.n_decoder);
            worst.check(name, &found, &window.expected, BOUND);
        }
    }
}

fn faithful(name: &'static str) -> Fixture {
    let mut fixture = Fixture::open(name);
    let Net::Tft(config) = &mut fixture.net else {
        panic!("a tft");
    };
    config.rules.empty_encoder = EmptyEncoder::Faithful;
    fixture
}

#[test]
fn a_batch_of_empty_encoders_alone_starts_from_zero_states() {
    let fixture = faithful("pf_mixed");
    let schema = fixture.schema(Precision::F32, 1.0);
    let net = NetOracle::new(&schema, &fixture.tensors);
    let batch = Batch {
        fixture: &fixture,
        file: "empty.npz",
        prefix: "all.",
    };
    let mut worst = Worst::default();
    for i in 0..batch.len() {
        batch.check(i, &net.run(&batch.window(i)), &mut worst);
    }
    worst.report("pf_mixed, empty encoders");
}

#[test]
fn an_empty_encoder_starts_from_its_own_static_context_when_correct() {
    let fixture = Fixture::open("pf_mixed");
    let schema = fixture.schema(Precision::F32, 1.0);
    let batch = Batch {
        fixture: &fixture,
        file: "empty.npz",
        prefix: "all.",
    };
    let window = batch.window(0);
    let correct = NetOracle::new(&schema, &fixture.tensors).run(&window);
    let zero = faithful("pf_mixed");
    let zero_schema = zero.schema(Precision::F32, 1.0);
    let zero = NetOracle::new(&zero_schema, &zero.tensors).run(&window);
    assert_ne!(correct.every_step, zero.every_step);
    assert!(!correct.named.contains_key("lstm_encoder"));
    assert_eq!(correct.named["decoder_selected"], zero.named["decoder_selected"]);
}

/// Groups of columns with the transform of their target.
fn targets(name: &str) -> Vec<(usize, Transform)> {
    match name {
        "pf_reals" => vec![(3, Transform::Identity)],
        "pf_mixed" => vec![(7, Transform::Softplus)],
        "pf_shared" => vec![(3, Transform::Log1p), (1, Transform::Identity)],
        _ => vec![(7, Transform::Relu)],
    }
}

#[test]
fn answers_are_undone_to_the_targets_unit_as_pytorch_forecasting_does() {
    for name in ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"] {
        let fixture = Fixture::open(name);
        let batch = Batch {
            fixture: &fixture,
            file: "golden.npz",
            prefix: "",
        };
        let targets = targets(name);
        let mut worst = Worst::default();
        for (i, window) in fixture.windows().iter().enumerate() {
            let mut schema = fixture.schema(Precision::F32, 1.0);
            schema.outputs.clear();
            for (at, (n, transform)) in targets.iter().enumerate() {
                let scale = match targets.len() {
                    1 => batch.get::<f32>("target_scale"),
                    _ => batch.get::<f32>(&format!("target_scale.{at}")),
                };
                let label = format!("target{at}");
                schema.normalizers.push(Normalizer {
                    name: label.clone(),
                    source: NormalizerSource::Fixed {
                        center: f64::from(scale.at(i)[0]),
                        scale: f64::from(scale.at(i)[1]),
                    },
                    transform: *transform,
                });
                let labels = (0..*n).map(|c| format!("c{c}")).collect();
                schema.outputs.push(Output {
                    normalizer: Some(label.clone()),
                    ..Output::new(&label, OutputKind::Linear, labels, "raw")
                });
            }
            schema.validate().expect(name);
            let rows: Vec<f64> = window.rows.iter().map(|v| f64::from(*v)).collect();
            let oracle = Oracle::new(&schema, &fixture.tensors);
            let found = oracle.run_lengths(&rows, window.n_encoder, window.n_decoder);
            let expected = batch.steps("prediction_f64", i, Steps::Decoder);
            worst.check(&format!("{name} window {i}"), &found, &expected, BOUND);
        }
        worst.report(&format!("{name}, in the target's unit"));
    }
}
