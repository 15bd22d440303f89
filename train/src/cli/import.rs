//! `tickfuse import`: foreign models to a model file.

mod seed;

use super::model_file::PrecisionArg;
use super::{CommandResult, Context, Outcome};
use crate::assemble::assemble;
use crate::durable::write_atomic;
use crate::import::seed::Finding;
use crate::import::torch;
use serde_json::json;
use std::path::PathBuf;
use tickfuse_core::bundle::Schema;
use tickfuse_core::plain::PlainTensors;
use tickfuse_core::{Model, OpenOptions, nets};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// A plain PyTorch network of any family: state dict as safetensors, its sizes and the meaning of its columns as TOML.
    Torch(Torch),
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
    #[arg(long, default_value = "model.safetensors")]
    out: PathBuf,
    /// Type of the weights in the model file.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::Torch(args) => {
            let (schema, tensors) = torch::read(&args.weights, &args.config, args.target.precision.into())?;
            args.target.write(context, &schema, &tensors, &[])
        }
        Command::Seed(command) => seed::run(context, command),
    }
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
