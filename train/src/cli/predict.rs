//! `tickfuse predict`: a model's answers for arrays, feature rows, bars, frames of raw columns or foreign batches.

use super::model_file::ModelArg;
use super::{CommandResult, Context, Outcome};
use crate::arrays::{self, Archive, Column};
use crate::data::bars::{self, ReadOptions};
use crate::durable::write_atomic;
use crate::import::forecasting::{Batch, Layout};
use crate::predict::{self, Answers, frame, scaled};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tickfuse_core::Model;

/// Answer every window of a file.
///
/// Input: `.npy` or `.npz` (array `input`) of windows [n, rows, n_features]; a CSV table whose columns carry the
/// model's input names; or bars as Parquet or CSV, from which the model computes its inputs.
///
/// A model imported from pytorch-forecasting takes a frame of its raw columns as Parquet or CSV: per series the past, and behind
/// it the steps to answer with the columns known ahead. It also takes the library's own batches, `.npz` with the keys of
/// its data loader (`encoder_cont`, `decoder_cat`, `target_scale`, ...).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArg,
    /// Windows, feature rows or bars.
    #[arg(long)]
    input: PathBuf,
    /// `.npz` (arrays `output`, `ts_ns`) or `.csv` to write; without it the last answer of each series is printed.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Bars that may be missing between two neighbours before features and windows start anew; without it they run
    /// across every gap, and the number of gaps is told.
    #[arg(long)]
    max_missing_bars: Option<u32>,
    /// Of a frame: every window of a series, instead of the one that ends with it.
    #[arg(long)]
    every_window: bool,
    /// The same as --out.
    #[arg(long, conflicts_with = "out")]
    output: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let model = args.model.open()?;
    let series = answers(&model, args)?;
    let written = args.out.as_ref().or(args.output.as_ref());
    if let Some(path) = written {
        write(path, &series)?;
    }
    context.emit(
        &document(&model, &series, written),
        &text(&model, &series, written),
    )?;
    Ok(Outcome::Done)
}

fn answers(model: &Arc<Model>, args: &Args) -> anyhow::Result<Vec<Answers>> {
    let input = args.input.as_path();
    let layout = Layout::of(model.schema());
    match input.extension().and_then(|e| e.to_str()) {
        Some("npy" | "npz") => Ok(vec![
            from_arrays(model, input, layout.as_ref()).with_context(|| input.display().to_string())?,
        ]),
        Some("csv" | "parquet") if layout.is_some() => from_frame(model, args),
        Some("csv") => match feature_rows(model, input)? {
            Some(rows) => Ok(vec![predict::rows(model, &input.display().to_string(), &rows)?]),
            None => from_bars(model, input, args.max_missing_bars),
        },
        Some("parquet") => from_bars(model, input, args.max_missing_bars),
        _ => bail!("{}: expected .npy, .npz, .csv or .parquet", input.display()),
    }
}

fn from_arrays(model: &Arc<Model>, input: &Path, layout: Option<&Layout>) -> anyhow::Result<Answers> {
    if let Some(layout) = layout.filter(|_| input.extension().is_some_and(|e| e == "npz")) {
        let mut archive = Archive::open(input)?;
        if Batch::is_in(&archive) {
            return Ok(scaled::batch(model, &Batch::read(&mut archive, layout)?)?);
        }
    }
    Ok(predict::arrays(model, &arrays::read(input, "input")?)?)
}

fn from_frame(model: &Arc<Model>, args: &Args) -> anyhow::Result<Vec<Answers>> {
    let windows = match args.every_window {
        true => frame::Windows::Every,
        false => frame::Windows::Last,
    };
    let answers = frame::file(model, &args.input, windows)?;
    for series in &answers.too_short {
        eprintln!("{series}: no answer, fewer rows than a window needs");
    }
    Ok(answers.series)
}

fn from_bars(
    model: &Arc<Model>,
    input: &Path,
    max_missing_bars: Option<u32>,
) -> anyhow::Result<Vec<Answers>> {
    let file = bars::read(input, &ReadOptions::default())?;
    let one = |series: &bars::Series| {
        series.check()?;
        let gaps = predict::gaps(&series.symbol, &series.bars);
        if max_missing_bars.is_none() && gaps > 0 {
            eprintln!(
                "{}: windows run across {gaps} gaps; --max-missing-bars N starts anew behind longer ones",
                series.symbol
            );
        }
        Ok(predict::bars(
            model,
            &series.symbol,
            &series.bars,
            max_missing_bars,
        )?)
    };
    file.series.iter().map(one).collect()
}

/// The columns named like the model's inputs, in the model's order; `None` if one of them is not there.
fn feature_rows(model: &Model, input: &Path) -> anyhow::Result<Option<Vec<f64>>> {
    let mut reader = csv::Reader::from_path(input).with_context(|| input.display().to_string())?;
    let header = reader.headers()?.clone();
    let place = |name: &String| header.iter().position(|h| h.trim() == name);
    let places: Option<Vec<usize>> = model.schema().inputs.iter().map(|i| place(&i.name)).collect();
    let Some(places) = places else { return Ok(None) };
    let mut rows = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let record = record.with_context(|| format!("{}: row {}", input.display(), i + 2))?;
        for place in &places {
            let cell = record.get(*place).unwrap_or("").trim();
            let number = cell.parse::<f64>().with_context(|| {
                format!(
                    "{}: row {}, column `{}`: expected a number, found `{cell}`",
                    input.display(),
                    i + 2,
                    &header[*place]
                )
            })?;
            rows.push(number);
        }
    }
    Ok(Some(rows))
}

fn write(path: &Path, series: &[Answers]) -> anyhow::Result<()> {
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => npz(series)?,
        Some("csv") => csv_text(series)?,
        _ => bail!("{}: expected .npz or .csv", path.display()),
    };
    write_atomic(path, &bytes)?;
    Ok(())
}

fn npz(series: &[Answers]) -> std::io::Result<Vec<u8>> {
    let values: Vec<f32> = series.iter().flat_map(|a| &a.values).copied().collect();
    let ts: Vec<i64> = series.iter().flat_map(|a| &a.ts_ns).copied().collect();
    let steps: Vec<i64> = series.iter().flat_map(|a| &a.first_step).copied().collect();
    let n_outputs = series.first().map_or(0, |a| a.names.len()) as u64;
    let n = values.len() as u64 / n_outputs.max(1);
    let mut columns = vec![("output", vec![n, n_outputs], Column::F32(&values))];
    if !ts.is_empty() {
        columns.push(("ts_ns", vec![ts.len() as u64], Column::I64(&ts)));
    }
    if !steps.is_empty() {
        columns.push(("first_step", vec![steps.len() as u64], Column::I64(&steps)));
    }
    arrays::npz(&columns)
}

fn csv_text(series: &[Answers]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = series.first().map(|a| a.names.clone()).unwrap_or_default();
    let first = series.first().map(|a| lead_of(a, 0)).unwrap_or_default();
    let lead = first.iter().map(|(column, _)| column.as_str());
    writer.write_record(lead.chain(names.iter().map(String::as_str)))?;
    for answers in series {
        for (i, row) in answers.values.chunks_exact(names.len()).enumerate() {
            let lead = lead_of(answers, i).into_iter().map(|(_, cell)| cell);
            writer.write_record(lead.chain(row.iter().map(f32::to_string)))?;
        }
    }
    Ok(writer.into_inner()?)
}

/// What row `i` of a series is about, column by column.
fn lead_of(answers: &Answers, i: usize) -> Vec<(String, String)> {
    let mut lead = Vec::new();
    if let Some(ts_ns) = answers.ts_ns.get(i) {
        lead.push(("ts_ns".to_owned(), ts_ns.to_string()));
        lead.push(("symbol".to_owned(), answers.symbols[i].clone()));
    }
    lead.extend(answers.series.iter().cloned());
    if let Some(step) = answers.first_step.get(i) {
        lead.push(("first_step".to_owned(), step.to_string()));
    }
    lead
}

/// The last answer of a series, column by column.
fn last(answers: &Answers) -> impl Iterator<Item = (&String, f32)> {
    let from = answers.values.len().saturating_sub(answers.names.len());
    answers.names.iter().zip(answers.values[from..].iter().copied())
}

fn document(model: &Model, series: &[Answers], written: Option<&PathBuf>) -> Value {
    let one = |a: &Answers| {
        let last: serde_json::Map<String, Value> =
            last(a).map(|(name, v)| (name.clone(), json!(v))).collect();
        let mut one = json!({
            "symbol": a.symbols.last(), "n": a.len(), "ts_ns": a.ts_ns.last(), "last": last, "imputed": a.imputed,
        });
        if !a.series.is_empty() {
            let labels = a
                .series
                .iter()
                .map(|(column, label)| (column.clone(), json!(label)));
            one["series"] = labels.collect::<serde_json::Map<String, Value>>().into();
            one["first_step"] = json!(a.first_step.last());
            one["unknown_category"] = json!(a.unknown_category);
        }
        one
    };
    json!({
        "hash": model.hash(),
        "out": written,
        "units": model.schema().outputs.iter().map(|o| json!({ "name": o.name, "unit": o.unit })).collect::<Vec<_>>(),
        "series": series.iter().map(one).collect::<Vec<_>>(),
    })
}

fn text(model: &Model, series: &[Answers], written: Option<&PathBuf>) -> String {
    let units: Vec<&str> = model.schema().outputs.iter().map(|o| o.unit.as_str()).collect();
    let line = |a: &Answers| {
        let numbers: Vec<String> = last(a).map(|(name, v)| format!("{name} {v:.6}")).collect();
        let when = match (a.ts_ns.last(), a.first_step.last()) {
            (Some(ts), _) => format!(" at {}", crate::data::time::iso(*ts)),
            (None, Some(step)) => format!(" from step {step}"),
            (None, None) => String::new(),
        };
        let labels: Vec<&str> = a.series.iter().map(|(_, label)| label.as_str()).collect();
        let symbol = match a.symbols.last() {
            Some(symbol) => symbol.clone(),
            None if labels.is_empty() => "windows".into(),
            None => labels.join("/"),
        };
        format!(
            "{symbol}: {} answers, the last{when}: {} ({})",
            a.len(),
            numbers.join(", "),
            units.join(", ")
        )
    };
    let mut lines: Vec<String> = series.iter().map(line).collect();
    lines.extend(written.map(|p| format!("written to {}", p.display())));
    lines.join("\n")
}
