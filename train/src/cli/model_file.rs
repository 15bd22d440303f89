//! How subcommands take a model file.

use crate::assemble::with_precision;
use anyhow::Context as _;
use std::path::PathBuf;
use std::sync::Arc;
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Level, Model, OpenOptions};

/// A model file and the level to run it on.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArg {
    /// Model file, or the folder of a published version.
    pub(super) bundle: PathBuf,
    /// Level of CPU features instead of the best: portable, avx2, avx512, avx512bf16 (also read from TICKFUSE_LEVEL).
    #[arg(long, value_parser = level)]
    level: Option<Level>,
}

fn level(name: &str) -> Result<Level, String> {
    let known = || Level::ALL.map(Level::name).join(", ");
    Level::from_name(name).ok_or_else(|| format!("expected one of {}", known()))
}

/// Type of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PrecisionArg {
    /// 32-bit floats.
    F32,
    /// bfloat16 weights, f32 accumulation.
    Bf16,
    /// 16-bit integers in units of their output, exact sums.
    I16,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
            PrecisionArg::I16 => Self::I16,
        }
    }
}

impl ModelArg {
    /// The file itself, also where a version's folder was named.
    pub(super) fn path(&self) -> PathBuf {
        if self.bundle.is_dir() {
            self.bundle.join("model.safetensors")
        } else {
            self.bundle.clone()
        }
    }

    fn options(&self) -> OpenOptions {
        OpenOptions {
            level: self.level.or_else(Level::from_env),
            ..OpenOptions::default()
        }
    }

    /// Opens the model by mapping.
    pub(super) fn open(&self) -> anyhow::Result<Arc<Model>> {
        let path = self.path();
        Model::open(&path, self.options()).with_context(|| path.display().to_string())
    }

    /// Opens the model, repacked in memory if another precision is asked for.
    pub(super) fn open_as(&self, precision: Option<PrecisionArg>) -> anyhow::Result<Arc<Model>> {
        let model = self.open()?;
        match precision.map(Precision::from) {
            Some(wanted) if wanted != model.schema().precision => Ok(Model::from_bytes(
                &with_precision(&model, wanted)?,
                self.options(),
            )?),
            _ => Ok(model),
        }
    }
}
