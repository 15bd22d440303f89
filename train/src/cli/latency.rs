//! `tickfuse latency`: how long one answer takes on this machine.

use super::model_file::{ModelArg, PrecisionArg};
use super::{CommandResult, Context, Outcome};
use crate::latency::{LatencyOptions, Mode, measure};

/// Time the answers of a model, one call at a time.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArg,
    /// Repack the weights in memory to this precision first.
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
    /// Timed calls.
    #[arg(long, default_value_t = 20_000)]
    n: u64,
    /// Calls before them.
    #[arg(long, default_value_t = 500)]
    warmup: u64,
    /// What is timed: whole windows, rows that arrive at a prepared stream, or peeks.
    #[arg(long, value_enum, default_value_t = ModeArg::Window)]
    mode: ModeArg,
    /// Walk through other memory before every call, so that it finds its caches cold.
    #[arg(long)]
    cold: bool,
    /// Core to pin the measuring thread to.
    #[arg(long)]
    cpu: Option<usize>,
}

/// [`Mode`] on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ModeArg {
    Window,
    Arrival,
    Peek,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Window => Self::Window,
            ModeArg::Arrival => Self::Arrival,
            ModeArg::Peek => Self::Peek,
        }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open_as(args.precision)?;
    let options = LatencyOptions {
        mode: args.mode.into(),
        cold: args.cold,
        n: args.n,
        warmup: args.warmup,
        cpu: args.cpu,
    };
    let report = measure(&model, options)?;
    context.emit(&report, &report.text())?;
    Ok(Outcome::Done)
}
