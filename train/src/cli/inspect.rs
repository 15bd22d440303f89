//! `tickfuse inspect`: what a model file says about itself.

use super::model_file::ModelArg;
use super::{CommandResult, Context, Outcome, tables};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tickfuse_core::bundle::{Input, Net};
use tickfuse_core::{Model, nets};

/// Show a model file: network, inputs with scalers, outputs, provenance, hash. Opening it checks everything.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArg,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open()?;
    let deviation = model.check_golden()?;
    context.emit(&document(&model, deviation)?, &text(&model, deviation))?;
    Ok(Outcome::Done)
}

fn document(model: &Model, deviation: f32) -> anyhow::Result<Value> {
    let tensors: Vec<Value> = model
        .bundle()
        .tensors()
        .iter()
        .map(|t| json!({ "name": t.name, "dtype": t.dtype.name(), "shape": t.shape }))
        .collect();
    Ok(json!({
        "schema": serde_json::to_value(model.schema())?,
        "hash": model.hash(),
        "level": model.level().name(),
        "n_parameters": nets::n_parameters(model.schema()),
        "golden_deviation": deviation,
        "tensors": tensors,
    }))
}

/// How a column is scaled, or what its categories are.
fn scaling(input: &Input) -> String {
    match (&input.categories, &input.scaler, &input.scaled_by) {
        (Some(categories), _, _) => format!("{:?}, categories {}", input.role, categories.labels.join(", ")),
        (_, Some(s), _) => format!("center {:.6}, scale {:.6}", s.center, s.scale),
        (_, _, normalizer) => format!("normalizer {}", normalizer.as_deref().unwrap_or("none")),
    }
}

/// Family and sizes in a line.
fn sizes(net: &Net) -> String {
    match net {
        Net::Lstm(c) => format!("lstm, {} x {}, head {}", c.n_layers, c.n_hidden, c.head.len()),
        Net::Tft(c) => format!(
            "tft, hidden {}, {} heads, {} LSTM layers, {} static, {} encoder and {} decoder variables, {} steps ahead",
            c.n_hidden,
            c.n_heads,
            c.n_layers,
            c.static_variables.len(),
            c.encoder_variables.len(),
            c.decoder_variables.len(),
            c.n_ahead
        ),
        Net::QuantileTft(c) => format!(
            "quantile_tft, hidden {}, {} heads, {} layers",
            c.n_hidden, c.n_heads, c.n_layers
        ),
        Net::Xtrend(c) => format!(
            "xtrend, {:?} form, {:?} head, hidden {}, {} contexts of {} rows",
            c.form, c.head, c.n_hidden, c.n_contexts, c.context_lookback
        ),
    }
}

fn text(model: &Model, deviation: f32) -> String {
    let schema = model.schema();
    let mut out = format!(
        "{}: {} parameters, {} weights, window {} x {}\n{}\nhash {}\nlevel {}, golden windows met within {deviation:e} (tolerance {:e})\n",
        schema.name,
        nets::n_parameters(schema),
        schema.precision.name(),
        schema.n_rows(),
        schema.n_features(),
        sizes(&schema.net),
        model.hash(),
        model.level().name(),
        schema.golden_tolerance,
    );
    if let Some(target) = &schema.target {
        let _ = writeln!(out, "target: {} (horizon {} bars)", target.label, target.horizon);
    }
    out.push_str("inputs:\n");
    for input in &schema.inputs {
        let feature = match (&input.feature, &input.derived) {
            (Some(op), _) => format!("{op:?}"),
            (None, Some(_)) => "follows from the window".into(),
            (None, None) => "given by the caller".into(),
        };
        let _ = writeln!(out, "  {:16} {feature}, {}", input.name, scaling(input));
    }
    out.push_str(&tables::text(schema));
    out.push_str("outputs:\n");
    for output in &schema.outputs {
        let _ = writeln!(
            out,
            "  {:16} {:?} [{}] in {}",
            output.name,
            output.kind,
            output.labels.join(", "),
            output.unit
        );
    }
    out
}
