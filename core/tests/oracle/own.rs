//! Nets without a library against their PyTorch goldens, every intermediate value included.

use super::Worst;
use super::fixture::{Array, Fixture, array};
use npyz::npz::NpzArchive;
use tickfuse_core::bundle::{
    Net, Output, OutputKind, Precision, Schema, XtrendConfig, XtrendForm, XtrendHead,
};
use tickfuse_core::plain::{Inspected, Oracle, PlainTensor};

const BOUND: f64 = 1e-10;

/// The window's answer and everything in between, as an oracle of the schema gives it.
fn inspected(fixture: &Fixture, schema: &Schema) -> Vec<Inspected> {
    let oracle = Oracle::new(schema, &fixture.tensors);
    let inputs = array::<f32>(&fixture.folder.join("golden.npz"), "input");
    let run = |i: usize| {
        let window: Vec<f64> = inputs.at(i).iter().map(|v| f64::from(*v)).collect();
        oracle.inspect(&window, schema.lookback(), schema.net.n_ahead())
    };
    (0..inputs.shape[0]).map(run).collect()
}

/// Compares every `mid.*` array with what the oracle keeps under that name.
fn check_intermediates(fixture: &Fixture, found: &[Inspected], worst: &mut Worst) {
    let path = fixture.folder.join("golden.npz");
    let archive = NpzArchive::open(&path).expect("golden.npz");
    let names: Vec<String> = archive
        .array_names()
        .filter_map(|name| Some(name.strip_prefix("mid.")?.to_string()))
        .collect();
    assert!(names.len() > 8, "{}: {names:?}", fixture.name);
    for name in names {
        let expected = array::<f64>(&path, &format!("mid.{name}"));
        for (i, found) in found.iter().enumerate() {
            let what = format!("{} window {i} {name}", fixture.name);
            let own = found
                .named
                .get(&name)
                .unwrap_or_else(|| panic!("{what}: not kept"));
            assert_eq!(own.shape, expected.shape[1..], "{what}");
            worst.check(&what, &own.values, expected.at(i), BOUND);
        }
    }
}

/// Compares the answers of every step; `columns` are the golden's, in the oracle's order.
fn check_outputs(fixture: &Fixture, found: &[Inspected], columns: &[usize], worst: &mut Worst) {
    let expected: Array<f64> = array(&fixture.folder.join("golden.npz"), "output_f64");
    let width = *expected.shape.last().expect("an axis");
    for (i, found) in found.iter().enumerate() {
        let what = format!("{} window {i} output", fixture.name);
        let all = &found.named["every_step"];
        let rows: Vec<&[f64]> = all.values.chunks_exact(all.shape[1]).collect();
        let picked: Vec<f64> = rows
            .iter()
            .flat_map(|row| columns.iter().map(|c| row[*c]))
            .collect();
        assert_eq!(columns.len(), width, "{what}: columns");
        worst.check(&what, &picked, expected.at(i), BOUND);
        let last = &all.values[all.values.len() - found.outputs.len()..];
        assert_eq!(found.outputs, last, "{what}: serving answers the last steps");
    }
}

fn check(fixture: &Fixture, schema: &Schema, columns: &[usize]) {
    schema.validate().expect(fixture.name);
    let found = inspected(fixture, schema);
    let mut worst = Worst::default();
    check_intermediates(fixture, &found, &mut worst);
    check_outputs(fixture, &found, columns, &mut worst);
    worst.report(fixture.name);
}

/// All columns as the head gives them.
fn check_linear(name: &'static str) {
    let fixture = Fixture::open(name);
    let schema = fixture.schema(Precision::F32, 1.0);
    let columns: Vec<usize> = (0..schema.n_columns()).collect();
    check(&fixture, &schema, &columns);
}

#[test]
fn the_tft_in_its_forms_without_a_library_answers_as_pytorch() {
    check_linear("tft_google");
    check_linear("tft_momentum");
    check_linear("tft_static_free");
}

#[test]
fn the_quantile_tft_answers_as_pytorch() {
    check_linear("quantile_tft");
}

#[test]
fn the_momentum_form_serves_the_last_step_as_a_position() {
    let fixture = Fixture::open("tft_momentum");
    let mut schema = fixture.schema(Precision::F32, 1.0);
    schema.outputs[0].kind = OutputKind::Tanh;
    let expected: Array<f64> = array(&fixture.folder.join("golden.npz"), "position_f64");
    let mut worst = Worst::default();
    for (i, found) in inspected(&fixture, &schema).iter().enumerate() {
        let all = expected.at(i);
        assert_eq!(found.outputs.len(), 1);
        worst.check("position", &found.outputs, &all[all.len() - 1..], BOUND);
    }
    worst.report("position");
}

/// The fixture with the golden's contexts among its tensors.
fn xtrend(name: &'static str) -> (Fixture, XtrendConfig) {
    let mut fixture = Fixture::open(name);
    let path = fixture.folder.join("golden.npz");
    let input: Array<f32> = array(&path, "context_input");
    let entity: Array<i64> = array(&path, "context_entity");
    let contexts = [
        ("contexts.input", input.shape, input.data),
        (
            "contexts.entity",
            entity.shape,
            entity.data.iter().map(|code| *code as f32).collect(),
        ),
    ];
    for (name, shape, data) in contexts {
        fixture.tensors.insert(name.into(), PlainTensor { shape, data });
    }
    let Net::Xtrend(config) = fixture.net.clone() else {
        panic!("an xtrend");
    };
    (fixture, config)
}

/// The groups of an X-Trend's columns: the position, then what its head predicts.
fn xtrend_outputs(config: &XtrendConfig) -> Vec<Output> {
    let group = |name: &str, kind, n: usize| {
        let labels = (0..n).map(|i| format!("{name}{i}")).collect();
        Output::new(name, kind, labels, "one")
    };
    let position = match (config.form, config.head) {
        (XtrendForm::Shared, XtrendHead::Gaussian) => group("position", OutputKind::Linear, 1),
        _ => group("position", OutputKind::Tanh, 1),
    };
    let rest = match (config.form, config.head) {
        (XtrendForm::Shared, _) => group("return", OutputKind::GaussianLogSigma, 2),
        (_, XtrendHead::Gaussian) => group("return", OutputKind::GaussianSoftplus, 2),
        (_, XtrendHead::Quantile) => Output {
            levels: (1..=config.n_quantiles)
                .map(|i| i as f64 / (config.n_quantiles + 1) as f64)
                .collect(),
            ..group("return", OutputKind::Quantiles, config.n_quantiles)
        },
        (_, XtrendHead::Position) => return vec![position],
    };
    vec![position, rest]
}

fn check_xtrend(name: &'static str) {
    let (fixture, config) = xtrend(name);
    let mut schema = fixture.schema(Precision::F32, 1.0);
    schema.outputs = xtrend_outputs(&config);
    // The goldens have the position behind the prediction.
    let columns: Vec<usize> = match config.head {
        XtrendHead::Position => vec![0],
        _ => (1..schema.n_columns()).chain([0]).collect(),
    };
    check(&fixture, &schema, &columns);
}

#[test]
fn the_papers_x_trend_answers_as_pytorch_with_every_head() {
    check_xtrend("xtrend_position");
    check_xtrend("xtrend_gaussian");
    check_xtrend("xtrend_quantile");
}

#[test]
fn x_trend_steps_that_see_their_own_time_answer_as_pytorch() {
    check_xtrend("xtrend_time_equivalent");
}

#[test]
fn x_trend_without_a_target_entity_answers_as_pytorch() {
    check_xtrend("xtrend_zero_shot");
}

#[test]
fn the_shared_x_trend_answers_as_pytorch_with_both_heads() {
    check_xtrend("xtrend_shared");
    check_xtrend("xtrend_shared_position");
}
