//! `tickfuse export`: a model file back to plain PyTorch, or to another precision.

use super::model_file::{ModelArg, PrecisionArg};
use super::{CommandResult, Context, Outcome};
use crate::assemble::with_precision;
use crate::durable::write_atomic;
use crate::export;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a model as a PyTorch state dict with its configuration, or as a model file of another precision.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArg,
    /// State dict to write; the configuration goes beside it as `.toml`. With --precision: the model file to write.
    #[arg(long)]
    out: PathBuf,
    /// Write a model file with weights of this type instead of a state dict.
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open()?;
    let written: Vec<PathBuf> = match args.precision {
        Some(precision) => {
            write_atomic(&args.out, &with_precision(&model, precision.into())?)?;
            vec![args.out.clone()]
        }
        None => write_torch(&export::torch(&model)?, &args.out)?,
    };
    let list: Vec<String> = written.iter().map(|p| p.display().to_string()).collect();
    context.emit(
        &json!({ "hash": model.hash(), "written": written }),
        &list.join("\n"),
    )?;
    Ok(Outcome::Done)
}

fn write_torch(files: &export::TorchFiles, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let config = out.with_extension("toml");
    write_atomic(out, &files.weights)?;
    write_atomic(&config, files.config.as_bytes())?;
    Ok(vec![out.into(), config])
}
