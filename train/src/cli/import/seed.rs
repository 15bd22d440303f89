//! `tickfuse import seed`: checkpoints of the systems this project started from.

use super::Target;
use crate::cli::{CommandResult, Context};
use crate::import::seed::quantile::{self, CLASS_INDEX_QUANTILES, CLASS_ORDER};
use crate::import::seed::{Imported, simple, tiny, xtrend};
use std::path::PathBuf;

/// Each tells what is known to be wrong with how its source was trained: warnings with a name, also in the model file.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// TinyTFT: a Lightning checkpoint (`tft.ckpt`), or its state dict.
    Tiny(Tiny),
    /// SimpleTFT: a state dict of torch.save.
    Simple(Simple),
    /// TFT quantile v1.1: a torch.save file of state dict, sizes and feature statistics.
    Quantile(Quantile),
    /// X-Trend production: `model.pt` with `metadata.json` beside it.
    Xtrend(Xtrend),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Tiny {
    /// Checkpoint.
    file: PathBuf,
    /// Rows of a window, which the file does not say.
    #[arg(long, default_value_t = tiny::Options::default().lookback)]
    lookback: usize,
    /// Bars that the label looked ahead, which the file does not say.
    #[arg(long, default_value_t = tiny::Options::default().horizon)]
    horizon: usize,
    /// TOML with a line `name = { center = .., scale = .. }` per feature; then the model computes its inputs from bars.
    #[arg(long)]
    scalers: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Simple {
    /// State dict.
    file: PathBuf,
    /// Rows of a window, which the file does not say.
    #[arg(long, default_value_t = simple::Options::default().lookback)]
    lookback: usize,
    /// Bars that the label looked ahead, which the file does not say.
    #[arg(long, default_value_t = simple::Options::default().horizon)]
    horizon: usize,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Quantile {
    /// Checkpoint.
    file: PathBuf,
    /// Names of the classes in the order of the classifier's columns, such as down,flat,up.
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Import in spite of a finding.
    #[arg(long, value_parser = [CLASS_INDEX_QUANTILES, CLASS_ORDER])]
    accept: Vec<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Xtrend {
    /// State dict.
    file: PathBuf,
    /// The source's `metadata.json`; without it the one beside the file.
    #[arg(long)]
    metadata: Option<PathBuf>,
    /// Safetensors file with `contexts.input` [n, rows, features] (raw values) and `contexts.entity` [n].
    #[arg(long)]
    contexts: PathBuf,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    let (target, imported) = match command {
        Command::Tiny(args) => (&args.target, args.read()?),
        Command::Simple(args) => (&args.target, args.read()?),
        Command::Quantile(args) => (&args.target, args.read()?),
        Command::Xtrend(args) => (&args.target, args.read()?),
    };
    target.write(context, &imported.schema, &imported.tensors, &imported.findings)
}

impl Tiny {
    fn read(&self) -> anyhow::Result<Imported> {
        let options = tiny::Options {
            lookback: self.lookback,
            horizon: self.horizon,
            scalers: self.scalers.clone(),
        };
        Ok(tiny::read(&self.file, &options, self.target.precision.into())?)
    }
}

impl Simple {
    fn read(&self) -> anyhow::Result<Imported> {
        let options = simple::Options {
            lookback: self.lookback,
            horizon: self.horizon,
        };
        Ok(simple::read(&self.file, &options, self.target.precision.into())?)
    }
}

impl Quantile {
    fn read(&self) -> anyhow::Result<Imported> {
        let options = quantile::Options {
            classes: self.classes.clone(),
            accept: self.accept.clone(),
        };
        Ok(quantile::read(
            &self.file,
            &options,
            self.target.precision.into(),
        )?)
    }
}

impl Xtrend {
    fn read(&self) -> anyhow::Result<Imported> {
        let options = xtrend::Options {
            metadata: self.metadata.clone(),
            contexts: self.contexts.clone(),
        };
        Ok(xtrend::read(&self.file, &options, self.target.precision.into())?)
    }
}
