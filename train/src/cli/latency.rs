//! `tickfuse latency`: how long one answer takes on this machine.

use super::model_file::{ModelArg, PrecisionArg};
use super::{CommandResult, Context, Outcome};
use crate::latency::{LatencyOptions, measure};

/// Time whole windows of a model, one call at a time.
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
    /// Core to pin the measuring thread to.
    #[arg(long)]
    cpu: Option<usize>,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open_as(args.precision)?;
    let options = LatencyOptions {
        n: args.n,
        warmup: args.warmup,
        cpu: args.cpu,
    };
    let report = measure(&model, options)?;
    context.emit(&report, &report.text())?;
    Ok(Outcome::Done)
}
