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
    /// Timed calls; unless given 20,000, and 20 of `slide`.
    #[arg(long)]
    n: Option<u64>,
    /// Calls before them; unless given 500, and 2 of `slide`.
    #[arg(long)]
    warmup: Option<u64>,
    /// What is timed: whole windows, rows that arrive at a prepared stream, peeks, or each window of a long series that is slid over.
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
    Slide,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Window => Self::Window,
            ModeArg::Arrival => Self::Arrival,
            ModeArg::Peek => Self::Peek,
            ModeArg::Slide => Self::Slide,
        }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open_as(args.precision)?;
    let mode = args.mode.into();
    let (n, warmup) = if mode == Mode::Slide {
        (20, 2)
    } else {
        (20_000, 500)
    };
    let options = LatencyOptions {
        mode,
        cold: args.cold,
        n: args.n.unwrap_or(n),
        warmup: args.warmup.unwrap_or(warmup),
        cpu: args.cpu,
    };
    let report = measure(&model, options)?;
    context.emit(&report, &report.text())?;
    Ok(Outcome::Done)
}
