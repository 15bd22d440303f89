//! The `tickfuse` program: one file per subcommand, one JSON document on stdout with `--json`, people's text and
//! progress on stderr, exit code 0 (done), 1 (a gate failed), 2 (bad use or bad input).

mod data;
mod export;
mod features;
mod home;
mod import;
mod inspect;
mod latency;
mod model_file;
mod models;
mod predict;
mod quickstart;
mod snapshot;
mod tables;
mod tabulate;
mod train;

use clap::{Parser, Subcommand};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Train, publish and serve sequence models for trading.
#[derive(Debug, Parser)]
#[command(name = "tickfuse", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Context {
    /// Print one JSON document on stdout instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Seed of everything random, instead of the configured one.
    #[arg(long, global = true)]
    pub seed: Option<u64>,
}

/// How a subcommand ended when nothing was wrong with its use or input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: the work was done and a gate (quality, drift, verification) failed.
    GateFailed,
}

/// Result of a subcommand; an error is bad use or bad input, exit code 2.
pub type CommandResult = anyhow::Result<Outcome>;

impl Context {
    /// Prints the result: the JSON document with `--json`, else the text.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, or stdout not at all.
    pub fn emit(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        let text = if self.json {
            &serde_json::to_string_pretty(value)?
        } else {
            text.trim_end()
        };
        match writeln!(std::io::stdout(), "{text}") {
            // Whoever closed the pipe has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => Ok(done?),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    /// Look at bar files.
    #[command(subcommand)]
    Data(data::Command),
    /// Immutable data sets for training.
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// Feature lists, and the table they make of bars.
    #[command(subcommand)]
    Features(features::Command),
    Train(train::Args),
    Predict(predict::Args),
    Latency(latency::Args),
    Inspect(inspect::Args),
    Models(models::Models),
    /// Bring in a foreign model.
    #[command(subcommand)]
    Import(import::Command),
    Export(export::Args),
    Tabulate(tabulate::Args),
}

/// Parses the command line, runs the subcommand and turns its result into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::GateFailed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("tickfuse: {}", message(&error));
            ExitCode::from(2)
        }
    }
}

/// An error with its causes, but for those whose text it carries already.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(cause.trim_end()) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn run(cli: &Cli) -> CommandResult {
    let context = &cli.context;
    match &cli.command {
        Command::Quickstart(args) => quickstart::run(context, args),
        Command::Data(command) => data::run(context, command),
        Command::Snapshot(command) => snapshot::run(context, command),
        Command::Features(command) => features::run(context, command),
        Command::Train(args) => train::run(context, args),
        Command::Predict(args) => predict::run(context, args),
        Command::Latency(args) => latency::run(context, args),
        Command::Inspect(args) => inspect::run(context, args),
        Command::Models(args) => models::run(args, context),
        Command::Import(command) => import::run(context, command),
        Command::Export(args) => export::run(context, args),
        Command::Tabulate(args) => tabulate::run(context, args),
    }
}

#[cfg(test)]
mod tests {
    use super::message;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || std::io::Error::other("no such file");
        let told = anyhow::Error::new(cause()).context("a.toml: no such file");
        assert_eq!(message(&told), "a.toml: no such file");
        let untold = Err::<(), _>(cause()).context("a.toml").unwrap_err();
        assert_eq!(message(&untold), "a.toml: no such file");
    }
}
