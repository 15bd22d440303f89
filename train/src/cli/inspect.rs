//! `tickfuse inspect`: what a model file says about itself.

use super::model_file::ModelArg;
use super::{CommandResult, Context, Outcome};
use serde_json::{Value, json};
use std::fmt::Write as _;
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

fn text(model: &Model, deviation: f32) -> String {
    let schema = model.schema();
    let mut out = format!(
        "{}: {} parameters, {:?} weights, window {} x {}\n{:?}\nhash {}\nlevel {}, golden windows met within {deviation:e} (tolerance {:e})\n",
        schema.name,
        nets::n_parameters(schema),
        schema.precision,
        schema.lookback(),
        schema.n_features(),
        schema.net,
        model.hash(),
        model.level().name(),
        schema.golden_tolerance,
    );
    if let Some(target) = &schema.target {
        let _ = writeln!(out, "target: {} (horizon {} bars)", target.label, target.horizon);
    }
    out.push_str("inputs:\n");
    for input in &schema.inputs {
        let feature = input
            .feature
            .as_ref()
            .map_or("given by the caller".into(), |op| format!("{op:?}"));
        let (center, scale) = input.scaler.map_or((f64::NAN, f64::NAN), |s| (s.center, s.scale));
        let _ = writeln!(
            out,
            "  {:16} {feature}, center {center:.6}, scale {scale:.6}",
            input.name
        );
    }
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
