//! `tickfuse import`: foreign models to a model file.

use super::model_file::PrecisionArg;
use super::{CommandResult, Context, Outcome};
use crate::assemble::assemble;
use crate::durable::write_atomic;
use crate::import::torch;
use serde_json::json;
use std::path::PathBuf;
use tickfuse_core::{Model, OpenOptions, nets};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// A plain PyTorch LSTM stack: state dict as safetensors, meaning of its columns as TOML.
    Torch(Torch),
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

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::Torch(args) => run_torch(context, args),
    }
}

fn run_torch(context: &Context, args: &Torch) -> CommandResult {
    let (schema, tensors) = torch::read(&args.weights, &args.config, args.precision.into())?;
    let bytes = assemble(&schema, &tensors)?;
    write_atomic(&args.out, &bytes)?;
    let model = Model::open(&args.out, OpenOptions::default())?;
    let n_parameters = nets::n_parameters(&schema);
    let found = json!({
        "model": schema.name, "out": args.out, "hash": model.hash(), "bytes": bytes.len(),
        "n_parameters": n_parameters, "precision": schema.precision, "level": model.level().name(),
    });
    let text = format!(
        "{}: {n_parameters} parameters, {} bytes -> {}\nhash {}",
        schema.name,
        bytes.len(),
        args.out.display(),
        model.hash()
    );
    context.emit(&found, &text)?;
    Ok(Outcome::Done)
}
