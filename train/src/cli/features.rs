//! `tickfuse features`: the feature lists and the table they make of bars.

use super::{CommandResult, Context, Outcome};
use crate::data::bars::{self, ReadOptions};
use crate::durable::write_atomic;
use anyhow::Context as _;
use serde_json::json;
use std::path::PathBuf;
use tickfuse_core::features::{FeatureDef, FeatureSet, STANDARD_SETS, rows, standard_set};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Named feature lists with the definition, unit and warm-up of every feature.
    List,
    /// Feature rows of bars as a CSV table.
    Build(Build),
}

#[derive(Debug, clap::Args)]
pub(super) struct Build {
    /// Bars as Parquet or CSV.
    file: PathBuf,
    /// Feature list.
    #[arg(long, default_value = "scale-free")]
    set: String,
    /// CSV file to write.
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(context: &Context, command: &Command) -> CommandResult {
    match command {
        Command::List => list(context),
        Command::Build(args) => build(context, args),
    }
}

/// The list of that name.
pub(super) fn named(set: &str) -> anyhow::Result<Vec<FeatureDef>> {
    let known = || STANDARD_SETS.map(|(name, _)| name).join(", ");
    standard_set(set).with_context(|| format!("feature set `{set}`: expected one of {}", known()))
}

fn list(context: &Context) -> CommandResult {
    let (mut documents, mut text) = (Vec::new(), String::new());
    for (name, about) in STANDARD_SETS {
        let defs = named(name)?;
        let set = FeatureSet::new(&defs)?;
        text += &format!(
            "{name}: {about} (first row after {} bars, settled after {})\n",
            set.warm_up(),
            set.history()
        );
        for def in &defs {
            text += &format!("  {:18} {:?} [{}]\n", def.name, def.op, def.op.unit());
        }
        documents.push(json!({ "set": name, "about": about, "warm_up": set.warm_up(), "history": set.history(), "features": defs }));
    }
    context.emit(&documents, &text)?;
    Ok(Outcome::Done)
}

fn build(context: &Context, args: &Build) -> CommandResult {
    let defs = named(&args.set)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(
        ["ts_ns", "symbol"]
            .into_iter()
            .chain(defs.iter().map(|d| d.name.as_str())),
    )?;
    let mut n_rows = 0;
    for series in bars::read(&args.file, &ReadOptions::default())?.series {
        series.check()?;
        let table = rows(&defs, &series.bars).with_context(|| series.symbol.clone())?;
        for (i, row) in table.values.chunks_exact(table.n_features).enumerate() {
            let ts = series.bars[table.first_bar + i].ts_ns.to_string();
            let lead = [ts, series.symbol.clone()];
            writer.write_record(lead.into_iter().chain(row.iter().map(f64::to_string)))?;
            n_rows += 1;
        }
    }
    write_atomic(&args.out, &writer.into_inner()?)?;
    let text = format!(
        "{n_rows} rows of {} features -> {}",
        defs.len(),
        args.out.display()
    );
    context.emit(
        &json!({ "rows": n_rows, "set": args.set, "out": args.out }),
        &text,
    )?;
    Ok(Outcome::Done)
}
