//! Random models of the families whose rows go through the intake.

use super::noise;
use tickfuse_core::bundle::{
    Arrival, Categories, ContextMode, FORMAT, Input, Net, Normalizer, NormalizerSource, Output, OutputKind,
    Precision, QuantileTftConfig, Role, Scaler, Schema, Tables, TftConfig, TftRules, Transform, Variable,
    XtrendConfig, XtrendForm, XtrendHead,
};
use tickfuse_core::features::{Cycle, FeatureOp, Wave};
use tickfuse_core::nets;
use tickfuse_core::plain::{PlainTensor, PlainTensors};
use tickfuse_core::{Level, Model, OpenOptions, Session, write_model};

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

/// A scaler of input `i`.
fn scaler(i: usize) -> Scaler {
    Scaler {
        center: i as f64 * 0.5,
        scale: 1.0 + i as f64,
        fitted_ns: None,
    }
}

/// A static column of three categories.
fn categorical(name: &str) -> Input {
    let categories = Categories {
        labels: ["a", "b", "c"].map(String::from).to_vec(),
        unknown: None,
    };
    Input::categorical(name, categories)
}

fn schema_of(net: Net, inputs: Vec<Input>) -> Schema {
    Schema {
        format: FORMAT,
        name: "sizes".into(),
        precision: Precision::F32,
        inputs,
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
        tables: None,
        golden_tolerance: 1e30,
        provenance: serde_json::Map::new(),
    }
}

/// A schema with `n_features` observed reals, every third scaled by a normalizer, and an entity where the family has one.
pub(crate) fn schema(net: Net, n_features: usize) -> Schema {
    let real = |i: usize| match i % 3 {
        1 => Input {
            scaler: None,
            scaled_by: Some("n".into()),
            ..Input::real(format!("x{i}"), Scaler::IDENTITY)
        },
        _ => Input::real(format!("x{i}"), scaler(i)),
    };
    // The entity stands in front, so that columns and reals differ.
    let entity = matches!(net, Net::Xtrend(_)).then(|| categorical("entity"));
    schema_of(net, entity.into_iter().chain((0..n_features).map(real)).collect())
}

/// Sizes of a random TFT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TftSize {
    pub(crate) lookback: usize,
    pub(crate) n_ahead: usize,
    pub(crate) n_hidden: usize,
    pub(crate) n_heads: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_static: usize,
    pub(crate) n_known: usize,
    pub(crate) n_observed: usize,
    pub(crate) rules: TftRules,
}

/// A small TFT with everything in it.
pub(crate) const SMALL_TFT: TftSize = TftSize {
    lookback: 5,
    n_ahead: 3,
    n_hidden: 6,
    n_heads: 2,
    n_layers: 1,
    n_static: 2,
    n_known: 2,
    n_observed: 3,
    rules: TftRules::PYTORCH_FORECASTING,
};

/// The input of role `role` and number `i`, and the variable that reads it: every other one is categorical, but for
/// observed ones.
fn variable(role: Role, i: usize) -> (Input, Variable) {
    let name = format!("{role:?}{i}").to_lowercase();
    let input = match (role, i % 2) {
        (Role::Static | Role::Known, 0) => Input {
            role,
            ..categorical(&name)
        },
        _ => Input {
            role,
            ..Input::real(name.clone(), scaler(i))
        },
    };
    let variable = Variable {
        n_categories: input.categories.as_ref().map(Categories::n_codes),
        columns: vec![name.clone()],
        width: 1 + i * 2,
        name,
        padding: false,
        table: None,
    };
    (input, variable)
}

/// A schema whose known columns are variables of encoder and decoder.
pub(crate) fn tft_schema(size: TftSize) -> Schema {
    let all = |role: Role, n: usize| (0..n).map(move |i| variable(role, i));
    let (mut inputs, mut groups) = (Vec::new(), Vec::new());
    for (role, n) in [
        (Role::Static, size.n_static),
        (Role::Known, size.n_known),
        (Role::Observed, size.n_observed),
    ] {
        let (columns, variables): (Vec<Input>, Vec<Variable>) = all(role, n).unzip();
        inputs.extend(columns);
        groups.push(variables);
    }
    let decoder_variables = if size.n_ahead == 0 {
        Vec::new()
    } else {
        groups[1].clone()
    };
    let net = Net::Tft(TftConfig {
        lookback: size.lookback,
        n_ahead: size.n_ahead,
        n_hidden: size.n_hidden,
        n_heads: size.n_heads,
        n_layers: size.n_layers,
        static_variables: groups[0].clone(),
        encoder_variables: groups[1..].concat(),
        decoder_variables,
        rules: size.rules,
        n_outputs: 3,
    });
    schema_of(net, inputs)
}

/// A TFT that answers for three bars ahead of minutes, of which `known` is known and `past` is not; a symbol, unknown as zero, if
/// `n_static` is 1.
pub(crate) fn tft_of_minutes(n_static: usize, known: &FeatureOp, past: &FeatureOp) -> Schema {
    let mut schema = tft_schema(TftSize {
        n_static,
        n_observed: 1,
        ..SMALL_TFT
    });
    // A categorical is no feature of bars.
    schema.inputs.retain(|i| i.name != "known0");
    if let Net::Tft(net) = &mut schema.net {
        net.encoder_variables.retain(|v| v.name != "known0");
        net.decoder_variables.retain(|v| v.name != "known0");
    }
    for input in &mut schema.inputs {
        if let (Role::Static, Some(symbols)) = (input.role, &mut input.categories) {
            symbols.unknown = Some(0);
        }
        input.feature = match input.role {
            Role::Static => None,
            Role::Known => Some(known.clone()),
            Role::Observed => Some(past.clone()),
        };
    }
    schema.bar_interval_ns = Some(60_000_000_000);
    schema
}

/// What is known of every bar ahead.
pub(crate) fn minute_of_hour() -> FeatureOp {
    FeatureOp::Calendar {
        cycle: Cycle::MinuteOfHour,
        wave: Wave::Sin,
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

/// A schema of every family whose rows go through the intake, in every form with every head.
pub(crate) fn small_schemas() -> impl Iterator<Item = Schema> {
    let others = core::iter::once(Net::QuantileTft(quantile_tft())).chain(xtrends().map(Net::Xtrend));
    let decoderless = TftSize {
        n_ahead: 0,
        rules: TftRules::GOOGLE,
        ..SMALL_TFT
    };
    let tfts = [SMALL_TFT, decoderless].map(tft_schema);
    let tabulated = [SMALL_TFT].map(tft_schema).map(|schema| Schema {
        tables: Some(Tables::wish(1e-3, -1.0, 1.0)),
        ..schema
    });
    let tfts = tfts.into_iter().chain(tabulated);
    tfts.chain(others.map(|net| schema(net, 5)))
}

/// A model file whose golden window is answered by whatever comes.
pub(crate) fn file(schema: &Schema, plain: &PlainTensors) -> Vec<u8> {
    let zeros = vec![0.0; schema.n_outputs()];
    write_model(schema, plain, &windows(schema, 1)[0], &zeros).expect("the model is written")
}

/// A session at a level.
pub(crate) fn session(file: &[u8], level: Level) -> Session {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    Session::new(&Model::from_bytes(file, options).expect("the model opens"), 2)
}
