//! `tickfuse data`: what stands in bar files.

use super::{CommandResult, Context, Outcome};
use crate::data::bars::{self, ReadOptions};
use crate::data::inspect::{Report, inspect};
use crate::data::time::TimeUnit;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Report gaps, duplicates, disorder, zero volume and odd prices with row numbers.
    Inspect(Inspect),
}

#[derive(Debug, clap::Args)]
pub(super) struct Inspect {
    /// Parquet or CSV files of bars, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Places to list per kind of finding.
    #[arg(long, default_value_t = 5)]
    max_list: usize,
    /// Unit of whole-number times where their magnitude does not tell.
    #[arg(long, value_enum)]
    time_unit: Option<TimeUnit>,
    /// End with exit code 1 when a series cannot be used for training.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::Inspect(args) => run_inspect(context, args),
    }
}

fn run_inspect(context: &Context, args: &Inspect) -> CommandResult {
    let options = ReadOptions {
        time_unit: args.time_unit,
        is_table: false,
    };
    let mut reports: Vec<Report> = Vec::new();
    for path in bars::list(&args.files)? {
        let file = bars::read(&path, &options)?;
        reports.extend(file.series.iter().map(|series| inspect(series, args.max_list)));
    }
    let text: String = reports.iter().map(Report::text).collect();
    context.emit(&reports, &text)?;
    let sound = reports.iter().all(|report| report.problems().is_none());
    Ok(if args.strict && !sound {
        Outcome::GateFailed
    } else {
        Outcome::Done
    })
}
