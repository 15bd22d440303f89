//! The models of these tests, their rows and their bars.

use crate::common::families;
use crate::common::{Shape, file, noise, schema, tensors};
use std::sync::Arc;
use tickfuse_core::bundle::{
    Arrival, Derived, Input, MaskRule, Net, NormalizerSource, OutputKind, Precision, QuantileTftConfig, Role,
    Scaler, Schema, Tables, TftRules, Variable,
};
use tickfuse_core::features::{Bar, FeatureOp, standard_set};
use tickfuse_core::{Level, Model, OpenOptions};

pub(crate) const SMALL: Shape = Shape {
    n_features: 3,
    lookback: 7,
    n_layers: 2,
    n_hidden: 19,
    precision: Precision::F32,
    kind: OutputKind::Softmax,
};

pub(crate) fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

/// A raw row; categories are codes, now and then a value is missing.
pub(crate) fn raw_row(schema: &Schema, step: usize, is_sound: bool) -> Vec<f32> {
    let value = |(i, input): (usize, &Input)| {
        let x = noise(step as u64 + 10, i);
        match &input.categories {
            // Symbols change seldom.
            Some(categories) => (step / 40 * 7 + i) as f32 % categories.n_codes() as f32,
            None if !is_sound && i == step % schema.inputs.len() => f32::NAN,
            None => x * 3.0,
        }
    };
    schema
        .inputs
        .iter()
        .filter(|i| i.derived.is_none())
        .enumerate()
        .map(value)
        .collect()
}

/// A raw row with `n` rows of the future as those would come; now and then one of them is unsound.
pub(crate) fn row_with_future(schema: &Schema, step: usize, n: usize, is_sound: bool) -> Vec<f32> {
    let unsound = (!is_sound).then_some(step % (n + 1));
    let row = |k: usize| raw_row(schema, step + k, Some(k) != unsound);
    (0..=n).flat_map(row).collect()
}

pub(crate) fn shapes() -> [Shape; 5] {
    let shape = |(n_features, lookback, n_layers, n_hidden): (usize, usize, usize, usize)| Shape {
        n_features,
        lookback,
        n_layers,
        n_hidden,
        ..SMALL
    };
    [
        (3, 7, 2, 19),
        (1, 1, 1, 3),
        (2, 2, 3, 40),
        (5, 20, 1, 64),
        (4, 13, 2, 128),
    ]
    .map(shape)
}

/// The other families, pre-rolled where the net allows it.
pub(crate) fn families() -> Vec<Schema> {
    let tft = |size| Schema {
        arrival: Arrival::PreRolled,
        ..families::tft_schema(size)
    };
    let small = families::TftSize {
        n_ahead: 0,
        ..families::SMALL_TFT
    };
    let mut of_encoder = tft(small);
    let column = of_encoder
        .inputs
        .iter()
        .find(|i| i.name == "observed0")
        .map(|i| i.name.clone());
    of_encoder.normalizers[0].source = NormalizerSource::Encoder {
        input: column.expect("an observed real"),
        epsilon: 1e-3,
        center: true,
    };
    let quantile = Net::QuantileTft(QuantileTftConfig {
        lookback: 6,
        n_hidden: 8,
        n_heads: 2,
        n_layers: 1,
        n_classes: 3,
        n_quantiles: 2,
    });
    let mut all = vec![
        tft(small),
        tft(families::TftSize {
            n_hidden: 40,
            n_layers: 2,
            n_static: 0,
            lookback: 9,
            rules: TftRules::GOOGLE,
            ..small
        }),
        tft(families::TftSize { lookback: 1, ..small }),
        of_encoder,
        families::schema(quantile, 3),
    ];
    for arrival in [Arrival::PreRolled, Arrival::WholeWindow] {
        let of_net = |net| Schema {
            arrival,
            ..families::schema(Net::Xtrend(net), 3)
        };
        all.extend(families::xtrends().map(of_net));
    }
    // Tables that some rows leave and others do not.
    let tabulated = |schema: &Schema| Schema {
        tables: Some(Tables::wish(1e-4, -1.5, 1.0)),
        ..schema.clone()
    };
    let with_tables: Vec<Schema> = [0, 1, 5, 7].map(|i| tabulated(&all[i])).into();
    all.extend(with_tables);
    all.extend(decoders());
    let ahead = all.last().map(tabulated);
    all.extend(ahead);
    all
}

/// Models that read rows of the future.
fn decoders() -> Vec<Schema> {
    let tft = |size| Schema {
        arrival: Arrival::PreRolled,
        ..families::tft_schema(size)
    };
    let small = tft(families::SMALL_TFT);
    let open = TftRules {
        mask: MaskRule::Open,
        ..TftRules::GOOGLE
    };
    let mut of_encoder = small.clone();
    of_encoder.normalizers[0].source = NormalizerSource::Encoder {
        input: "observed0".into(),
        epsilon: 1e-3,
        center: true,
    };
    vec![
        Schema {
            arrival: Arrival::WholeWindow,
            ..small.clone()
        },
        tft(families::TftSize {
            n_hidden: 40,
            n_layers: 2,
            lookback: 9,
            n_ahead: 1,
            rules: TftRules::GOOGLE,
            ..families::SMALL_TFT
        }),
        tft(families::TftSize {
            n_static: 0,
            n_known: 3,
            n_ahead: 4,
            rules: open,
            ..families::SMALL_TFT
        }),
        tft(families::TftSize {
            n_known: 0,
            ..families::SMALL_TFT
        }),
        tft(families::TftSize {
            lookback: 1,
            ..families::SMALL_TFT
        }),
        with_relative_time(small.clone()),
        of_encoder,
        small,
    ]
}

/// With a column that depends on a row's place in the window.
fn with_relative_time(mut schema: Schema) -> Schema {
    let name = String::from("relative");
    schema.inputs.push(Input {
        role: Role::Known,
        derived: Some(Derived::RelativeTime),
        ..Input::real(name.clone(), Scaler::IDENTITY)
    });
    if let Net::Tft(net) = &mut schema.net {
        let variable = Variable {
            columns: vec![name.clone()],
            width: 2,
            name,
            n_categories: None,
            padding: false,
            table: None,
        };
        net.encoder_variables.push(variable.clone());
        net.decoder_variables.push(variable);
    }
    schema
}

/// A model of two features of bars.
pub(crate) fn of_bars() -> Arc<Model> {
    let mut schema = schema(Shape {
        n_features: 2,
        ..SMALL
    });
    schema.bar_interval_ns = Some(60);
    schema.inputs[0].feature = Some(FeatureOp::LogRet { lag: 2 });
    schema.inputs[1].feature = Some(FeatureOp::SmaRatio { n: 4 });
    let bytes = file(&schema, &tensors(&schema, 5));
    Model::from_bytes(&bytes, OpenOptions::default()).unwrap()
}

pub(crate) fn bar(i: i64) -> Bar {
    let close = 100.0 + f64::from(noise(4, i as usize));
    Bar {
        ts_ns: i * 60,
        open: close,
        high: close + 1.0,
        low: close - 1.0,
        close,
        volume: 1.0,
    }
}

/// A model of a standard set of features, most of which remember many bars.
pub(crate) fn of_standard_bars() -> Arc<Model> {
    let defs = standard_set("scale-free").unwrap();
    let mut schema = schema(Shape {
        n_features: defs.len(),
        ..SMALL
    });
    schema.bar_interval_ns = Some(60);
    for (input, def) in schema.inputs.iter_mut().zip(defs) {
        input.feature = Some(def.op);
    }
    let bytes = file(&schema, &tensors(&schema, 5));
    Model::from_bytes(&bytes, OpenOptions::default()).unwrap()
}
