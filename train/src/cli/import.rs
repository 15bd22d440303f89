//! `tickfuse import`: foreign models to a model file.

mod seed;

use super::model_file::PrecisionArg;
use super::{CommandResult, Context, Outcome};
use crate::assemble::assemble;
use crate::durable::write_atomic;
use crate::import::seed::Finding;
use crate::import::{checkpoint, forecasting, torch};
use anyhow::Context as _;
use serde_json::json;
use std::path::PathBuf;
use tickfuse_core::bundle::Schema;
use tickfuse_core::plain::PlainTensors;
use tickfuse_core::{Model, OpenOptions, nets};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// A plain PyTorch network of any family: state dict as safetensors, its sizes and the meaning of its columns as TOML.
    Torch(Torch),
    /// A TemporalFusionTransformer of pytorch-forecasting with its data preparation.
    PytorchForecasting(PytorchForecasting),
    /// A checkpoint of one of the published systems this project started from.
    #[command(subcommand)]
    Seed(seed::Command),
}

#[derive(Debug, clap::Args)]
pub(super) struct Torch {
    /// State dict written by `safetensors.torch.save_file(module.state_dict(), ...)`.
    #[arg(long)]
    weights: PathBuf,
    /// Configuration: name, sizes, inputs with scalers, outputs.
    #[arg(long)]
    config: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// The model file to make.
#[derive(Debug, clap::Args)]
struct Target {
    /// Model file to write.
    #[arg(long, visible_alias = "output", default_value = "model.safetensors")]
    out: PathBuf,
    /// Type of the weights in the model file.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
}

#[derive(Debug, clap::Args)]
pub(super) struct PytorchForecasting {
    /// Checkpoint saved by Lightning, or the folder that `python -m tickfuse.export_pytorch_forecasting` wrote of one.
    source: PathBuf,
    /// Model name; without it that of the checkpoint or folder.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::Torch(args) => {
            let (schema, tensors) = torch::read(&args.weights, &args.config, args.target.precision.into())?;
            args.target.write(context, &schema, &tensors, &[])
        }
        Command::PytorchForecasting(args) => run_forecasting(context, args),
        Command::Seed(command) => seed::run(context, command),
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
        precision: args.target.precision.into(),
    };
    let imported = if source.is_dir() {
        forecasting::read(source, &options)
    } else {
        let (description, tensors) = checkpoint::read(source)?;
        let description = forecasting::Description::from_value(description);
        description.and_then(|description| forecasting::import(&description, tensors, &options))
    };
    let imported = imported.with_context(|| source.display().to_string())?;
    args.target
        .write(context, &imported.schema, &imported.tensors, &[])
}

impl Target {
    /// Writes the model file, opens it, and tells what it is and what is wrong with where it comes from.
    fn write(
        &self,
        context: &Context,
        schema: &Schema,
        tensors: &PlainTensors,
        findings: &[Finding],
    ) -> CommandResult {
        let bytes = assemble(schema, tensors)?;
        write_atomic(&self.out, &bytes)?;
        let model = Model::open(&self.out, OpenOptions::default())?;
        let n_parameters = nets::n_parameters(schema);
        let document = json!({
            "model": schema.name, "out": self.out, "hash": model.hash(), "bytes": bytes.len(),
            "n_parameters": n_parameters, "precision": schema.precision, "level": model.level().name(),
            "target": schema.target, "findings": findings,
        });
        let warnings: String = findings.iter().map(|f| format!("warning {f}\n")).collect();
        let text = format!(
            "{warnings}{}: {n_parameters} parameters, {} bytes -> {}\nhash {}",
            schema.name,
            bytes.len(),
            self.out.display(),
            model.hash()
        );
        context.emit(&document, &text)?;
        Ok(Outcome::Done)
    }
}
