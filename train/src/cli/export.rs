//! `tickfuse export`: a model file back to plain PyTorch, or to another precision.

use super::model_file::{ModelArg, PrecisionArg};
use super::{CommandResult, Context, Outcome};
use crate::assemble::with_precision;
use crate::deviation::{self, DeviationReport};
use crate::durable::write_atomic;
use crate::export;
use anyhow::Context as _;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Model, OpenOptions};

/// Write a model as a PyTorch state dict with its configuration, or as a model file of another precision.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArg,
    /// State dict to write; the configuration goes beside it as `.toml`. With --precision: the model file to write.
    #[arg(long)]
    out: PathBuf,
    /// Write a model file with weights of this type instead of a state dict, and tell how far its answers are from the f64 oracle's.
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
    /// With --precision: synthetic windows whose answers are compared; 0 compares none.
    #[arg(long, default_value_t = 200, requires = "precision")]
    windows: usize,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open()?;
    match args.precision {
        Some(precision) => repack(context, args, &model, precision.into()),
        None => {
            let written = write_torch(&export::torch(&model)?, &args.out)?;
            let list: Vec<String> = written.iter().map(|p| p.display().to_string()).collect();
            let document = json!({ "hash": model.hash(), "written": written });
            context.emit(&document, &list.join("\n"))?;
            Ok(Outcome::Done)
        }
    }
}

fn repack(context: &Context, args: &Args, model: &Arc<Model>, precision: Precision) -> CommandResult {
    let file = with_precision(model, precision)?;
    // Opening checks the goldens at this machine's level.
    let written = open_beside(model, &file).context("the repacked model")?;
    let report = compared(model, &written, args.windows)?;
    write_atomic(&args.out, &file)?;
    let document = json!({
        "hash": model.hash(),
        "written": [args.out],
        "written_hash": written.hash(),
        "precision": precision,
        "deviation": report,
    });
    let text = report.map_or_else(String::new, |report| format!("\n{}", report.text()));
    context.emit(&document, &format!("{}{text}", args.out.display()))?;
    Ok(Outcome::Done)
}

/// The deviation of the file, and beside it that of the same model in f32; none where no windows are asked for.
fn compared(model: &Arc<Model>, written: &Arc<Model>, n: usize) -> anyhow::Result<Option<DeviationReport>> {
    if n == 0 {
        return Ok(None);
    }
    if written.schema().precision == Precision::F32 {
        return Ok(Some(deviation::measure(model, &[written], n)?));
    }
    let f32 = match model.schema().precision {
        Precision::F32 => Arc::clone(model),
        _ => open_beside(model, &with_precision(model, Precision::F32)?)?,
    };
    Ok(Some(deviation::measure(model, &[&f32, written], n)?))
}

/// A file in memory, opened at the level of the model it was made from.
fn open_beside(model: &Model, file: &[u8]) -> anyhow::Result<Arc<Model>> {
    let options = OpenOptions {
        level: Some(model.level()),
        ..OpenOptions::default()
    };
    Ok(Model::from_bytes(file, options)?)
}

fn write_torch(files: &export::TorchFiles, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let config = out.with_extension("toml");
    write_atomic(out, &files.weights)?;
    write_atomic(&config, files.config.as_bytes())?;
    Ok(vec![out.into(), config])
}
