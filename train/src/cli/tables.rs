//! Tables of networks of single reals in words, and how they are asked for.

use std::fmt::Write as _;
use tickfuse_core::bundle::{Schema, Tables, Tabulated};

/// What tables are asked for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct TablesArg {
    /// Largest error of a table, as a share of the range of its network's outputs.
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Tables reach from minus to plus this many scaled units; values outside are answered by the networks.
    #[arg(long, default_value_t = 8.0)]
    range: f64,
}

impl TablesArg {
    pub(super) fn wish(self) -> Tables {
        Tables::wish(self.tolerance, -self.range, self.range)
    }
}

/// Selection and variable of a network; an X-Trend's variables are numbered in the order of the real inputs.
pub(super) fn variable(schema: &Schema, network: &str) -> String {
    let mut reals = schema.inputs.iter().filter(|i| i.categories.is_none());
    let Some((selection, variable)) = network.rsplit_once("variables.") else {
        return network.into();
    };
    let name = match variable.parse::<usize>() {
        Ok(j) => reals.nth(j).map_or("next return", |input| &input.name),
        Err(_) => variable,
    };
    match selection.trim_end_matches("vsn.").trim_end_matches('.') {
        "" => name.into(),
        selection => format!("{selection} {name}"),
    }
}

fn line(schema: &Schema, found: &Tabulated) -> String {
    let name = variable(schema, &found.network);
    let (error, share) = (found.error, found.share);
    match found.knots {
        Some(knots) => format!(
            "  {name:24} {:4} intervals in {} to {}, within {error:.1e} ({share:.1e} of the range)",
            knots.n_intervals, knots.low, knots.high
        ),
        None => format!("  {name:24} exact: a table would be {error:.1e} off ({share:.1e} of the range)"),
    }
}

/// A line per network, or nothing where a model has no tables.
pub(super) fn text(schema: &Schema) -> String {
    let Some(tables) = &schema.tables else {
        return String::new();
    };
    let mut out = format!("tables within {:e} of the range:\n", tables.tolerance);
    for found in &tables.networks {
        let _ = writeln!(out, "{}", line(schema, found));
    }
    out
}
