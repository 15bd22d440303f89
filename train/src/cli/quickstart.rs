//! `tickfuse quickstart`: the whole way on a real series, from bars to a published, timed model and its answer.

use super::home::{self, RegistryArg};
use super::train::{Done, Plan, execute};
use super::{CommandResult, Context, Outcome};
use crate::data::bars::{self, ReadOptions};
use crate::data::snapshot;
use crate::data::time::iso;
use crate::durable::write_atomic;
use crate::experiment::TrainConfig;
use crate::predict;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Train, publish and time a SimpleTFT-size model on the daily bars of two indices that come with the program.
///
/// Takes no network and no service. Writes into $TICKFUSE_HOME, else ./tickfuse-home. About two minutes on two cores.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    registry: RegistryArg,
    /// Go on from the checkpoint of an interrupted quickstart.
    #[arg(long)]
    resume: bool,
}

/// Daily bars 1999 to 2018; origin and licence in `fixtures/data/README.md`.
const BARS: [(&str, &[u8]); 2] = [
    (
        "NASDAQ.1d.parquet",
        include_bytes!("../../../fixtures/data/NASDAQ.1d.parquet"),
    ),
    (
        "SP500.1d.parquet",
        include_bytes!("../../../fixtures/data/SP500.1d.parquet"),
    ),
];
const CONFIG: &str = include_str!("../../examples/quickstart.toml");

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let home = home::folder();
    let files = write_bars(&home.join("data"))?;
    let snapshot = snapshot::create(&home.join("snapshots"), &files, &ReadOptions::default())?;
    let mut config: TrainConfig = toml::from_str(CONFIG).context("the quickstart's own configuration")?;
    config.data.snapshot.clone_from(&snapshot.path);
    config.fit.seed = context.seed.unwrap_or(config.fit.seed);
    config.fit.threads = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        out: home.join("runs").join(&config.name),
        config,
        resume: args.resume,
        publish: true,
        promote: true,
        registry: args.registry.clone(),
    };
    eprintln!("quickstart: daily bars of two indices -> {}", home.display());
    let Some(done) = execute(&plan)? else {
        eprintln!("interrupted; `quickstart --resume` goes on");
        return Ok(Outcome::GateFailed);
    };
    let newest = newest(&done, &files)?;
    context.emit(&document(&done, &newest), &text(&done, &newest))?;
    Ok(Outcome::Done)
}

fn write_bars(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let write = |(name, bytes): &(&str, &[u8])| {
        let path = folder.join(name);
        if std::fs::read(&path).is_ok_and(|found| found == *bytes) {
            return Ok(path);
        }
        write_atomic(&path, bytes)?;
        Ok(path)
    };
    BARS.iter().map(write).collect()
}

/// The answer to the newest window of every series.
fn newest(done: &Done, files: &[PathBuf]) -> anyhow::Result<Vec<(String, i64, f32)>> {
    let limit = done.experiment.config.data.max_missing_bars;
    let mut found = Vec::new();
    for path in files {
        for series in bars::read(path, &ReadOptions::default())?.series {
            let answers = predict::bars(&done.model, &series.symbol, &series.bars, Some(limit))?;
            if let (Some(ts), Some(p)) = (answers.ts_ns.last(), answers.values.last()) {
                found.push((series.symbol, *ts, *p));
            }
        }
    }
    Ok(found)
}

fn document(done: &Done, newest: &[(String, i64, f32)]) -> Value {
    let answers: Vec<Value> = newest
        .iter()
        .map(|(symbol, ts_ns, p)| json!({ "symbol": symbol, "ts_ns": ts_ns, "p_up": p }))
        .collect();
    let mut document = done.document();
    document["newest"] = json!(answers);
    document
}

fn text(done: &Done, newest: &[(String, i64, f32)]) -> String {
    let mut out = done.text();
    out.push('\n');
    let target = done
        .model
        .schema()
        .target
        .as_ref()
        .map_or("up", |t| t.label.as_str());
    for (symbol, ts, p) in newest {
        out += &format!(
            "{symbol} after the bar of {}: probability of {target}: {p:.4}\n",
            iso(*ts)
        );
    }
    out
}
