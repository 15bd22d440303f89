//! `tickfuse snapshot`: immutable data sets for training.

use super::{CommandResult, Context, Outcome};
use crate::data::bars::{self, ReadOptions};
use crate::data::manifest::SeriesEntry;
use crate::data::snapshot::{self, Snapshot, Verification};
use crate::data::time::{TimeUnit, iso, span};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Copy bar files into an immutable folder named by its content.
    Create(Create),
    /// Compare a snapshot with its manifest; exit code 1 when they differ.
    Verify(Folder),
    /// Print what a snapshot holds.
    Show(Folder),
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Parquet or CSV files of bars, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Folder in which the snapshot's folder appears.
    #[arg(long)]
    out: PathBuf,
    /// Unit of whole-number times where their magnitude does not tell.
    #[arg(long, value_enum)]
    time_unit: Option<TimeUnit>,
    /// The files are tables of your own columns beside times (and symbols), without prices that mean anything.
    #[arg(long)]
    table: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// Folder of the snapshot.
    snapshot: PathBuf,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::Create(args) => {
            let options = ReadOptions {
                time_unit: args.time_unit,
                is_table: args.table,
            };
            let made = snapshot::create(&args.out, &bars::list(&args.files)?, &options)?;
            context.emit(&made, &describe(&made))?;
            Ok(Outcome::Done)
        }
        Command::Verify(folder) => {
            let found = snapshot::verify(&folder.snapshot)?;
            context.emit(&found, &verdict(&found))?;
            Ok(if found.problems.is_empty() {
                Outcome::Done
            } else {
                Outcome::GateFailed
            })
        }
        Command::Show(folder) => {
            let found = snapshot::show(&folder.snapshot)?;
            context.emit(&found, &describe(&found))?;
            Ok(Outcome::Done)
        }
    }
}

fn verdict(found: &Verification) -> String {
    let Verification {
        id,
        n_files,
        n_bars,
        problems,
    } = found;
    if problems.is_empty() {
        return format!("{id}: sound, {n_files} files, {n_bars} bars");
    }
    problems
        .iter()
        .fold(format!("{id}: does not verify"), |text, problem| {
            text + "\n  " + problem
        })
}

fn describe(snapshot: &Snapshot) -> String {
    let manifest = &snapshot.manifest;
    let mut text = format!(
        "{}\nid {}\n{} files, {} bars\n",
        snapshot.path.display(),
        snapshot.id,
        manifest.files.len(),
        manifest.bars
    );
    for file in &manifest.files {
        let _ = writeln!(
            text,
            "  {} ({} bytes, sha256 {})",
            file.name, file.bytes, file.sha256
        );
        for SeriesEntry {
            symbol,
            rows,
            first_ns,
            last_ns,
            interval_ns,
        } in &file.series
        {
            let _ = write!(
                text,
                "    {symbol}: {rows} bars, {} to {}",
                iso(*first_ns),
                iso(*last_ns)
            );
            let _ = writeln!(
                text,
                "{}",
                interval_ns.map_or(String::new(), |ns| format!(", every {}", span(ns)))
            );
        }
    }
    text
}
