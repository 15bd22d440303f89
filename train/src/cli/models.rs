//! `tickfuse models`: publish, list, show, verify, promote, rollback and log, over [`crate::registry`].

use super::home::RegistryArg;
use super::{CommandResult, Context, Outcome};
use crate::card::ModelCard;
use crate::registry::{BEST, Change, Deployed, Detail, Draft, Entry, Event, Move, Registry, Report, Summary};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tickfuse_core::{Model, OpenOptions};

/// Publish models and move the aliases that serving follows.
#[derive(Debug, Args)]
pub(super) struct Models {
    #[command(flatten)]
    registry: RegistryArg,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Publish a bundle as a new version; no alias moves.
    Publish {
        /// The bundle.
        file: PathBuf,
        /// Model name.
        #[arg(long)]
        name: String,
        /// Model card (JSON); a bare one is made without it.
        #[arg(long)]
        card: Option<PathBuf>,
        /// Further files to publish with it, such as a report.
        #[arg(long, value_name = "FILE")]
        attach: Vec<PathBuf>,
        /// Why; written to the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List models, or the versions of one.
    List {
        /// Model name.
        name: Option<String>,
    },
    /// Show the card of a version.
    Show {
        /// Model name.
        name: String,
        /// Version, its number, `latest` or an alias.
        #[arg(default_value = "latest", value_name = "VERSION")]
        selector: String,
    },
    /// Check files, log and aliases; exit code 1 when something is wrong.
    Verify {
        /// Model name.
        name: String,
        /// Version, its number, `latest`, an alias, or `all`.
        #[arg(default_value = "all", value_name = "VERSION")]
        selector: String,
    },
    /// Point an alias to a version.
    Promote {
        /// Model name.
        name: String,
        /// Version, its number, `latest` or another alias.
        #[arg(value_name = "VERSION")]
        selector: String,
        /// The alias to move.
        #[arg(long = "to", default_value = BEST, value_name = "ALIAS")]
        alias: String,
        /// Why; written to the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Point an alias to where it pointed before.
    Rollback {
        /// Model name.
        name: String,
        /// The alias to move back.
        #[arg(long, default_value = BEST)]
        alias: String,
        /// Why; written to the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show the deployment log, oldest first.
    Log {
        /// Model name.
        name: String,
        /// Only the last N entries.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
}

/// Runs `tickfuse models`.
pub(super) fn run(args: &Models, context: &Context) -> CommandResult {
    let registry = args.registry.open();
    match &args.action {
        Action::Publish {
            file,
            name,
            card,
            attach,
            reason,
        } => publish(&registry, context, name, file, card.as_deref(), attach, reason),
        Action::List { name } => list(&registry, context, name.as_deref()),
        Action::Show { name, selector } => show(&registry, context, name, selector),
        Action::Verify { name, selector } => verify(&registry, context, name, selector),
        Action::Promote {
            name,
            selector,
            alias,
            reason,
        } => deployed(context, &registry.promote(name, selector, alias, reason)?),
        Action::Rollback { name, alias, reason } => {
            deployed(context, &registry.rollback(name, alias, reason)?)
        }
        Action::Log { name, last } => log(&registry, context, name, *last),
    }
}

fn publish(
    registry: &Registry,
    context: &Context,
    name: &str,
    file: &Path,
    card: Option<&Path>,
    attach: &[PathBuf],
    reason: &str,
) -> CommandResult {
    let card = card.map(read_card).transpose()?;
    let published = registry.publish(
        name,
        &Draft {
            bundle: &read(file)?,
            card: card.as_ref(),
            attachments: attachments(attach)?,
            check: Some(&check_bundle),
            reason,
        },
    )?;
    let mut text = repairs(&published.repairs);
    let _ = writeln!(text, "published {name} {}", published.version);
    let _ = writeln!(text, "sha-256 {}\n{}", published.sha256, published.path.display());
    context.emit(&published, &text)?;
    Ok(Outcome::Done)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_card(path: &Path) -> anyhow::Result<ModelCard> {
    ModelCard::from_json(&read(path)?).with_context(|| path.display().to_string())
}

fn attachments(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if files.insert(name, read(path)?).is_some() {
            anyhow::bail!("{}: a file of that name is attached already", path.display());
        }
    }
    Ok(files)
}

/// A file that does not open as a model is not published.
pub(super) fn check_bundle(bytes: &[u8]) -> Result<(), String> {
    Model::from_bytes(bytes, OpenOptions::default())
        .map(|_| ())
        .map_err(|e| e.to_string())
}

fn list(registry: &Registry, context: &Context, name: Option<&str>) -> CommandResult {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => registry.names()?,
    };
    let mut models: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
    for name in names {
        let versions = registry.list(&name)?;
        models.insert(name, versions);
    }
    let mut text = String::new();
    for (name, versions) in &models {
        let _ = writeln!(text, "{name}");
        for v in versions {
            let _ = writeln!(
                text,
                "  {} {:>12} bytes  {}",
                v.version,
                v.bytes,
                v.aliases.join(" ")
            );
        }
    }
    if models.is_empty() {
        let _ = writeln!(text, "no models in {}", registry.root().display());
    }
    context.emit(&models, &text)?;
    Ok(Outcome::Done)
}

fn show(registry: &Registry, context: &Context, name: &str, selector: &str) -> CommandResult {
    let detail: Detail = registry.show(name, selector)?;
    let mut text = format!("{}\n", detail.path.display());
    if !detail.aliases.is_empty() {
        let _ = writeln!(text, "aliases: {}", detail.aliases.join(", "));
    }
    text += "\n";
    text += &detail.card.to_markdown();
    context.emit(&detail, &text)?;
    Ok(Outcome::Done)
}

fn verify(registry: &Registry, context: &Context, name: &str, selector: &str) -> CommandResult {
    let report = registry.verify(name, selector)?;
    context.emit(&report, &report_text(&report))?;
    Ok(if report.is_ok() {
        Outcome::Done
    } else {
        Outcome::GateFailed
    })
}

fn report_text(report: &Report) -> String {
    let mut text = String::new();
    for version in &report.versions {
        let state = if version.problems.is_empty() {
            "ok"
        } else {
            "DAMAGED"
        };
        let _ = writeln!(text, "{} {state}", version.version);
        for problem in &version.problems {
            let _ = writeln!(text, "  {problem}");
        }
    }
    for problem in &report.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    for note in &report.notes {
        let _ = writeln!(text, "unfinished, settled by the next writer: {note}");
    }
    let _ = writeln!(
        text,
        "log: {} entries, head {}",
        report.log_entries, report.log_head
    );
    text
}

fn deployed(context: &Context, done: &Deployed) -> CommandResult {
    let mut text = repairs(&done.repairs);
    let from = done.from.as_deref().unwrap_or("nothing");
    let _ = match done.entry {
        Some(entry) => writeln!(text, "{}: {from} -> {} (log entry {entry})", done.alias, done.to),
        None => writeln!(text, "{}: already at {}", done.alias, done.to),
    };
    context.emit(done, &text)?;
    Ok(Outcome::Done)
}

fn log(registry: &Registry, context: &Context, name: &str, last: Option<usize>) -> CommandResult {
    let log = registry.log(name)?;
    let skip = last.map_or(0, |n| log.entries.len().saturating_sub(n));
    let entries = &log.entries[skip..];
    let mut text: String = entries.iter().map(entry_text).collect();
    if !log.unfinished.is_empty() {
        let _ = writeln!(
            text,
            "{} bytes of an unfinished line follow",
            log.unfinished.len()
        );
    }
    context.emit(&entries, &text)?;
    Ok(Outcome::Done)
}

fn entry_text(entry: &Entry) -> String {
    let what = match &entry.event {
        Event::Publish { version, .. } => format!("publish {version}"),
        Event::Promote(change) => format!("promote {}", change_text(change)),
        Event::Rollback(change) => format!("rollback {}", change_text(change)),
        Event::Abandon { entry } => format!("abandon entry {entry}"),
        Event::External(moved) => format!("found moved: {}", move_text(moved)),
        Event::Repair { kept } => format!("unfinished line kept in {kept}"),
    };
    let reason = match entry.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!(
        "{:>4} {} {what} ({}{reason})\n",
        entry.seq, entry.time, entry.actor
    )
}

fn change_text(change: &Change) -> String {
    let also = change.also.as_ref().map(|also| format!(", {}", move_text(also)));
    move_text(&change.main) + &also.unwrap_or_default()
}

fn move_text(moved: &Move) -> String {
    let or = |target: &Option<String>| target.clone().unwrap_or_else(|| "nothing".to_owned());
    format!("{}: {} -> {}", moved.alias, or(&moved.from), or(&moved.to))
}

fn repairs(repairs: &[String]) -> String {
    repairs
        .iter()
        .map(|repair| format!("recovered: {repair}\n"))
        .collect()
}
