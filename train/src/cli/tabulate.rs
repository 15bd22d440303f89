//! `tickfuse tabulate`: a model file whose networks of single reals are tables.

use super::model_file::ModelArg;
use super::tables::{self, TablesArg};
use super::{CommandResult, Context, Outcome};
use crate::assemble::with_tables;
use crate::durable::write_atomic;
use anyhow::Context as _;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tickfuse_core::{Model, OpenOptions, Session};

/// Write a tft or xtrend whose variable selection interpolates: a table for the network of each real input, with its measured
/// error. Values outside a table, and networks whose table would be too coarse, are answered by the networks, which stay in the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    tables: TablesArg,
    /// Model file to write.
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> CommandResult {
    let exact = args.model.open()?;
    let file = with_tables(&exact, &args.tables.wish())?;
    // Opening checks the goldens at this machine's level.
    let options = OpenOptions {
        level: Some(exact.level()),
        ..OpenOptions::default()
    };
    let model = Model::from_bytes(&file, options).context("the tabulated model")?;
    let deviation = [exact.check_golden()?, model.check_golden()?];
    let apart = apart(&exact, &model)?;
    write_atomic(&args.out, &file)?;
    let schema = model.schema();
    let n_bytes: usize = model
        .bundle()
        .tensors()
        .iter()
        .filter(|t| t.name.ends_with(".knots"))
        .map(|t| t.range.len())
        .sum();
    let text = format!(
        "{}{:.1} MiB of tables\ngolden windows: {:.1e} from the exact file, {:.1e} from the expected answers (before {:.1e}; tolerance {:.1e})\nhash {}\n{}",
        tables::text(schema),
        n_bytes as f64 / f64::from(1 << 20),
        apart,
        deviation[1],
        deviation[0],
        schema.golden_tolerance,
        model.hash(),
        args.out.display()
    );
    let document = json!({
        "hash": model.hash(),
        "exact_hash": exact.hash(),
        "written": [args.out],
        "tables": schema.tables,
        "table_bytes": n_bytes,
        "golden": {
            "deviation": deviation[1],
            "exact_deviation": deviation[0],
            "from_exact": apart,
            "tolerance": schema.golden_tolerance,
        },
    });
    context.emit(&document, &text)?;
    Ok(Outcome::Done)
}

/// Largest difference of the two models' answers to the golden windows.
fn apart(exact: &Arc<Model>, model: &Arc<Model>) -> anyhow::Result<f32> {
    let golden = model.bundle().golden();
    let answer = |model| {
        let mut out = vec![0.0; golden.output.len()];
        Session::new(model, golden.n_windows).run_batch::<f32>(&golden.input, golden.n_windows, &mut out)?;
        anyhow::Ok(out)
    };
    let pairs = answer(exact)?.into_iter().zip(answer(model)?);
    Ok(pairs.fold(0.0, |top, (a, b)| (a - b).abs().max(top)))
}
