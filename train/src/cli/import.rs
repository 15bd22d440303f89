//! `tickfuse import`: foreign models to a model file.

use super::model_file::PrecisionArg;
use super::{CommandResult, Context, Outcome};
use crate::assemble::assemble;
use crate::durable::write_atomic;
use crate::import::{checkpoint, forecasting, torch};
use anyhow::Context as _;
use serde_json::json;
use std::path::{Path, PathBuf};
use tickfuse_core::bundle::Schema;
use tickfuse_core::plain::PlainTensors;
use tickfuse_core::{Model, OpenOptions, nets};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// A plain PyTorch LSTM stack: state dict as safetensors, meaning of its columns as TOML.
    Torch(Torch),
    /// A TemporalFusionTransformer of pytorch-forecasting with its data preparation.
    PytorchForecasting(PytorchForecasting),
}

#[derive(Debug, clap::Args)]
pub(super) struct Torch {
    /// State dict written by `safetensors.torch.save_file(module.state_dict(), ...)`.
    #[arg(long)]
    weights: PathBuf,
    /// Configuration: name, sizes, head layers, inputs with scalers, outputs.
    #[arg(long)]
    config: PathBuf,
    /// Model file to write.
    #[arg(long, default_value = "model.safetensors")]
    out: PathBuf,
    /// Type of the weights in the model file.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
}

#[derive(Debug, clap::Args)]
pub(super) struct PytorchForecasting {
    /// Checkpoint saved by Lightning, or the folder that `python -m tickfuse.export_pytorch_forecasting` wrote of one.
    source: PathBuf,
    /// Model file to write.
    #[arg(long, visible_alias = "out", default_value = "model.safetensors")]
    output: PathBuf,
    /// Model name; without it that of the checkpoint or folder.
    #[arg(long)]
    name: Option<String>,
    /// Type of the weights in the model file.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::Torch(args) => {
            let (schema, tensors) = torch::read(&args.weights, &args.config, args.precision.into())?;
            finish(context, &schema, &tensors, &args.out)
        }
        Command::PytorchForecasting(args) => run_forecasting(context, args),
    }
}

fn run_forecasting(context: &Context, args: &PytorchForecasting) -> CommandResult {
    let source = args.source.as_path();
    let own_name = if source.is_dir() {
        source.file_name()
    } else {
        source.file_stem()
    };
    let own_name = own_name.map(|name| name.to_string_lossy().into_owned());
    let options = forecasting::ImportOptions {
        name: args.name.clone().or(own_name).unwrap_or_else(|| "tft".into()),
        precision: args.precision.into(),
    };
    let imported = if source.is_dir() {
        forecasting::read(source, &options)
    } else {
        let (description, tensors) = checkpoint::read(source)?;
        let description = forecasting::Description::from_value(description);
        description.and_then(|description| forecasting::import(&description, tensors, &options))
    };
    let imported = imported.with_context(|| source.display().to_string())?;
    finish(context, &imported.schema, &imported.tensors, &args.output)
}

/// Assembles, writes and opens the model, and tells what it is.
fn finish(context: &Context, schema: &Schema, tensors: &PlainTensors, out: &Path) -> CommandResult {
    let bytes = assemble(schema, tensors)?;
    write_atomic(out, &bytes)?;
    let model = Model::open(out, OpenOptions::default())?;
    let n_parameters = nets::n_parameters(schema);
    let found = json!({
        "model": schema.name, "out": out, "hash": model.hash(), "bytes": bytes.len(),
        "n_parameters": n_parameters, "precision": schema.precision, "level": model.level().name(),
    });
    let text = format!(
        "{}: {n_parameters} parameters, {} bytes -> {}\nhash {}",
        schema.name,
        bytes.len(),
        out.display(),
        model.hash()
    );
    context.emit(&found, &text)?;
    Ok(Outcome::Done)
}
