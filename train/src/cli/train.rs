//! `tickfuse train`: a configuration and a snapshot to a model file, and with `--publish` to a published version.

use super::home::RegistryArg;
use super::{CommandResult, Context, Outcome};
use crate::card::ModelCard;
use crate::checkpoint::Checkpoint;
use crate::durable::write_atomic;
use crate::experiment::{Experiment, Finished, TrainConfig, card};
use crate::fit::Status;
use crate::fit::progress::Progress;
use crate::latency::{LatencyOptions, LatencyReport, Mode, measure};
use crate::metrics::scores::Scores;
use crate::registry::{BEST, Draft, Published};
use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tickfuse_core::bundle::Arrival;
use tickfuse_core::{Model, OpenOptions};

/// Train a model from a configuration file.
///
/// Ctrl-C ends the run after the step under way and leaves a checkpoint; the same command with --resume goes on to
/// the same bits. A second Ctrl-C ends the program at once.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration (TOML).
    #[arg(long)]
    config: PathBuf,
    /// Snapshot instead of the configured one.
    #[arg(long)]
    snapshot: Option<PathBuf>,
    /// Folder for checkpoint, model file and report [default: runs/NAME].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on from the checkpoint in the folder.
    #[arg(long)]
    resume: bool,
    /// Epochs instead of the configured ones.
    #[arg(long)]
    epochs: Option<usize>,
    /// Threads instead of the configured ones; the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Publish the model under its name.
    #[arg(long)]
    publish: bool,
    /// Publish and point `best` to it.
    #[arg(long)]
    promote: bool,
    #[command(flatten)]
    registry: RegistryArg,
}

/// What is to be done with a configuration.
pub(super) struct Plan {
    pub(super) config: TrainConfig,
    pub(super) out: PathBuf,
    pub(super) resume: bool,
    pub(super) publish: bool,
    pub(super) promote: bool,
    pub(super) registry: RegistryArg,
}

/// What came of it.
pub(super) struct Done {
    pub(super) finished: Finished,
    pub(super) latency: LatencyReport,
    pub(super) arrival: Option<LatencyReport>,
    pub(super) model: Arc<Model>,
    pub(super) model_path: PathBuf,
    pub(super) published: Option<Published>,
    pub(super) experiment: Experiment,
    pub(super) seconds: f64,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let mut config = TrainConfig::read(&args.config)?;
    config.fit.seed = context.seed.unwrap_or(config.fit.seed);
    config.fit.epochs = args.epochs.unwrap_or(config.fit.epochs);
    config.fit.threads = args.threads.unwrap_or(config.fit.threads);
    if let Some(snapshot) = &args.snapshot {
        config.data.snapshot.clone_from(snapshot);
    }
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(&config.name));
    let plan = Plan {
        config,
        out,
        resume: args.resume,
        publish: args.publish || args.promote,
        promote: args.promote,
        registry: args.registry.clone(),
    };
    match execute(&plan)? {
        Some(done) => {
            context.emit(&done.document(), &done.text())?;
            Ok(Outcome::Done)
        }
        None => {
            let text = format!(
                "interrupted; go on with --resume ({})",
                checkpoint_path(&plan.out).display()
            );
            context.emit(
                &json!({ "interrupted": true, "checkpoint": checkpoint_path(&plan.out) }),
                &text,
            )?;
            Ok(Outcome::GateFailed)
        }
    }
}

fn checkpoint_path(out: &Path) -> PathBuf {
    out.join("checkpoint.safetensors")
}

/// Prepares, fits, writes, measures, publishes; `None` when interrupted.
pub(super) fn execute(plan: &Plan) -> anyhow::Result<Option<Done>> {
    std::fs::create_dir_all(&plan.out).with_context(|| plan.out.display().to_string())?;
    let experiment = Experiment::prepare(plan.config.clone())?;
    eprintln!("{}", intro(&experiment));
    let path = checkpoint_path(&plan.out);
    let from = plan.resume.then(|| Checkpoint::read(&path)).transpose()?;
    let started = Instant::now();
    let mut progress = if std::io::stderr().is_terminal() {
        Progress::bar()
    } else {
        Progress::lines(Box::new(std::io::stderr()))
    };
    let outcome = experiment.fit(from, &path, stop_on_ctrl_c()?, &mut progress)?;
    let seconds = started.elapsed().as_secs_f64();
    if outcome.status == Status::Interrupted {
        return Ok(None);
    }
    let finished = experiment.finish(&outcome)?;
    let model_path = plan.out.join("model.safetensors");
    write_atomic(&model_path, &finished.bytes)?;
    let model = Model::open(&model_path, OpenOptions::default())?;
    let options = |mode| LatencyOptions {
        mode,
        cold: false,
        n: 5_000,
        warmup: 500,
        cpu: None,
    };
    let latency = measure(&model, options(Mode::Window))?;
    let arrival = match model.schema().arrival {
        Arrival::PreRolled => Some(measure(&model, options(Mode::Arrival))?),
        Arrival::WholeWindow => None,
    };
    let sha256 = hex(&Sha256::digest(&finished.bytes));
    let card = card(
        &experiment,
        &outcome,
        &finished,
        &model,
        &latency,
        arrival.as_ref(),
        &sha256,
        seconds,
    );
    write_atomic(
        &plan.out.join("model_card.json"),
        &serde_json::to_vec_pretty(&card)?,
    )?;
    write_atomic(&plan.out.join("card.md"), card.to_markdown().as_bytes())?;
    let published = if plan.publish {
        Some(publish(plan, &finished, &card)?)
    } else {
        None
    };
    Ok(Some(Done {
        finished,
        latency,
        arrival,
        model,
        model_path,
        published,
        experiment,
        seconds,
    }))
}

fn intro(experiment: &Experiment) -> String {
    let split = &experiment.split;
    format!(
        "{} windows of {} symbols: {} train, {} validation, {} test; snapshot {}",
        experiment.index.samples.len(),
        experiment.panel.tables.len(),
        split.train.n_windows,
        split.validation.n_windows,
        split.test.as_ref().map_or(0, |part| part.n_windows),
        experiment.snapshot_id,
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A flag that the first Ctrl-C sets; the second one ends the program.
fn stop_on_ctrl_c() -> anyhow::Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(&STOP)
}

fn publish(plan: &Plan, finished: &Finished, card: &ModelCard) -> anyhow::Result<Published> {
    let registry = plan.registry.open();
    let name = &plan.config.name;
    let draft = Draft {
        bundle: &finished.bytes,
        card: Some(card),
        attachments: BTreeMap::new(),
        check: Some(&super::models::check_bundle),
        reason: "trained",
    };
    let published = registry.publish(name, &draft)?;
    if plan.promote {
        registry.promote(name, &published.version.to_string(), BEST, "trained")?;
    }
    Ok(published)
}

impl Done {
    pub(super) fn document(&self) -> Value {
        json!({
            "model": self.model_path,
            "hash": self.model.hash(),
            "snapshot_id": self.experiment.snapshot_id,
            "train_seconds": self.seconds,
            "validation": self.finished.validation,
            "test": self.finished.test,
            "split": self.experiment.split,
            "latency": self.latency,
            "arrival_latency": self.arrival,
            "published": self.published,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut out = format!("\ntrained in {:.1} s\n", self.seconds);
        out += &table("validation (chose the epoch)", &self.finished.validation);
        if let Some(test) = &self.finished.test {
            out += &table("test (chose nothing)", test);
        }
        let _ = writeln!(out, "\nlatency: {}", self.latency.text());
        if let Some(arrival) = &self.arrival {
            let _ = writeln!(out, "\n{}", arrival.text());
        }
        let _ = writeln!(out, "\nmodel  {}", self.model_path.display());
        if let Some(published) = &self.published {
            let _ = writeln!(
                out,
                "version {}\ncard   {}",
                published.version,
                published.path.join("card.md").display()
            );
        }
        out
    }
}

/// Figures beside their baselines.
fn table(title: &str, scores: &Scores) -> String {
    let mut out = format!("\n{title}:");
    if let Some(sample) = scores.sample() {
        let _ = write!(
            out,
            " {} answers, about {:.0} independent",
            sample.n, sample.n_effective
        );
    }
    out.push('\n');
    for figure in scores.figures() {
        let _ = write!(out, "  {:14} {:>9}", figure.name, number(figure.value));
        if let (Some((base, what)), Some(beats)) = (&figure.baseline, figure.beats()) {
            let verdict = if beats { "better" } else { "not better" };
            let _ = write!(out, "   {verdict} than {} ({what})", number(*base));
        }
        out.push('\n');
    }
    for sign in scores.warnings() {
        let _ = writeln!(out, "  warning: degenerate output ({sign:?})");
    }
    out
}

/// Four decimals, or four digits of a small number.
fn number(x: f64) -> String {
    if x != 0.0 && x.abs() < 0.01 {
        format!("{x:.3e}")
    } else {
        format!("{x:.4}")
    }
}
