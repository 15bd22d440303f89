//! Random models of the families whose rows go through the intake.

use super::noise;
use tickfuse_core::bundle::{
    Arrival, Categories, ContextMode, FORMAT, Input, Net, Normalizer, NormalizerSource, Output, OutputKind,
    Precision, QuantileTftConfig, Scaler, Schema, Transform, XtrendConfig, XtrendForm, XtrendHead,
};
use tickfuse_core::nets;
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// The groups of the head's columns: the values as they are, but for an X-Trend.
pub(crate) fn outputs(net: &Net) -> Vec<Output> {
    let labels = |n: usize| (0..n).map(|i| format!("y{i}")).collect();
    let Net::Xtrend(config) = net else {
        return vec![Output::new(
            "y",
            OutputKind::Linear,
            labels(net.n_columns()),
            "one",
        )];
    };
    let (position, rest) = match (config.form, config.head) {
        (XtrendForm::Shared, XtrendHead::Gaussian) => (OutputKind::Linear, OutputKind::GaussianLogSigma),
        (XtrendForm::Shared, _) => (OutputKind::Tanh, OutputKind::Linear),
        (_, XtrendHead::Gaussian) => (OutputKind::Tanh, OutputKind::GaussianSoftplus),
        _ => (OutputKind::Tanh, OutputKind::Linear),
    };
    let n = net.n_columns() - 1;
    let rest = (n > 0).then(|| Output::new("distribution", rest, labels(n), "one"));
    [Output::new("position", position, labels(1), "one")]
        .into_iter()
        .chain(rest)
        .collect()
}

/// A schema of any family with `n_features` reals, every third scaled by a normalizer, and an entity where the family has one.
pub(crate) fn schema(net: Net, n_features: usize) -> Schema {
    let scaler = |i: usize| Scaler {
        center: i as f64 * 0.5,
        scale: 1.0 + i as f64,
        fitted_ns: None,
    };
    let real = |i: usize| match i % 3 {
        1 => Input {
            scaler: None,
            scaled_by: Some("n".into()),
            ..Input::real(format!("x{i}"), Scaler::IDENTITY)
        },
        _ => Input::real(format!("x{i}"), scaler(i)),
    };
    let entity = || {
        let labels = ["a", "b", "c"].map(String::from).to_vec();
        Input::categorical(
            "entity",
            Categories {
                labels,
                unknown: None,
            },
        )
    };
    let entity = matches!(net, Net::Xtrend(_)).then(entity);
    Schema {
        format: FORMAT,
        name: "sizes".into(),
        precision: Precision::F32,
        // The entity stands in front, so that columns and reals differ.
        inputs: entity.into_iter().chain((0..n_features).map(real)).collect(),
        bar_interval_ns: None,
        outputs: outputs(&net),
        net,
        target: None,
        arrival: Arrival::WholeWindow,
        normalizers: vec![Normalizer {
            name: "n".into(),
            source: NormalizerSource::Fixed {
                center: 0.25,
                scale: 2.0,
            },
            transform: Transform::Identity,
        }],
        golden_tolerance: 1e30,
        provenance: serde_json::Map::new(),
    }
}

/// Random weights; contexts of all entities.
pub(crate) fn tensors(schema: &Schema) -> PlainTensors {
    let tensor = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
        let n = shape.iter().product();
        let value = |j| match name.as_str() {
            "contexts.entity" => (j % 3) as f32,
            _ => noise(i as u64 + 1, j) * 0.8,
        };
        let data = (0..n).map(value).collect();
        (name, PlainTensor { shape, data })
    };
    let shapes = nets::tensor_shapes(schema);
    shapes.into_iter().enumerate().map(tensor).collect()
}

/// Raw windows.
pub(crate) fn windows(schema: &Schema, n: usize) -> Vec<Vec<f32>> {
    let width = schema.n_features();
    let is_code = |i: usize| schema.inputs[i % width].categories.is_some();
    let value = |w: usize, i: usize| match is_code(i) {
        true => ((w + i) % 3) as f32,
        false => noise(100 + w as u64, i) * 3.0,
    };
    let size = schema.n_rows() * width;
    (0..n).map(|w| (0..size).map(|i| value(w, i)).collect()).collect()
}

/// A small X-Trend.
fn xtrend(form: XtrendForm, head: XtrendHead) -> XtrendConfig {
    XtrendConfig {
        lookback: 5,
        context_lookback: 4,
        n_contexts: 3,
        n_hidden: 6,
        n_heads: 2,
        n_layers: 1,
        n_entities: 4,
        form,
        head,
        n_quantiles: if head == XtrendHead::Quantile { 17 } else { 0 },
        context_mode: ContextMode::FinalState,
        zero_shot: false,
    }
}

/// Small X-Trends of every form with every head it has.
pub(crate) fn xtrends() -> impl Iterator<Item = XtrendConfig> {
    use XtrendForm::{Separate, Shared};
    use XtrendHead::{Gaussian, Position, Quantile};
    [
        (Shared, Position),
        (Shared, Gaussian),
        (Separate, Position),
        (Separate, Gaussian),
        (Separate, Quantile),
    ]
    .into_iter()
    .map(|(form, head)| xtrend(form, head))
}

/// A small quantile TFT.
pub(crate) fn quantile_tft() -> QuantileTftConfig {
    QuantileTftConfig {
        lookback: 5,
        n_hidden: 6,
        n_heads: 2,
        n_layers: 2,
        n_classes: 3,
        n_quantiles: 15,
    }
}

/// A small net of every family and form but the TFT's.
pub(crate) fn small_nets() -> impl Iterator<Item = Net> {
    let quantile_tft = core::iter::once(Net::QuantileTft(quantile_tft()));
    quantile_tft.chain(xtrends().map(Net::Xtrend))
}
