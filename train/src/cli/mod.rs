//! The `tickfuse` program: one file per subcommand, one JSON document on stdout with `--json`, people's text and
//! progress on stderr, exit code 0 (done), 1 (a gate failed), 2 (bad use or bad input).

mod models;

use clap::{Parser, Subcommand};
use serde::Serialize;
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
    /// Seed of everything random.
    #[arg(long, global = true, default_value_t = 42)]
    pub seed: u64,
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
    /// When the value cannot be written as JSON.
    pub fn emit(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(value)?);
        } else {
            println!("{}", text.trim_end());
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Models(models::Models),
}

/// Parses the command line, runs the subcommand and turns its result into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::GateFailed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("tickfuse: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> CommandResult {
    match &cli.command {
        Command::Models(args) => models::run(args, &cli.context),
    }
}
