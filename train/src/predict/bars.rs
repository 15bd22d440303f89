//! Answers for series of bars: rows as the model defines them, the series' symbol, and what is known of the bars ahead.

use super::{Answers, PredictError, Runner};
use crate::data::bars::Series;
use crate::data::entities::SYMBOL;
use crate::data::time::span;
use std::sync::Arc;
use tickfuse_core::features::{Bar, Ready};
use tickfuse_core::{BarRows, Model};

/// Every window of a series of bars, features computed as the model defines them.
///
/// With `max_missing_bars` features and windows start anew behind every longer gap, as in training; without it they
/// run across gaps ([`gaps`] counts them).
///
/// # Errors
/// [`PredictError`]; [`PredictError::Interval`] where the bars are not of the interval the model was made for.
pub fn bars(
    model: &Arc<Model>,
    symbol: &str,
    bars: &[Bar],
    max_missing_bars: Option<u32>,
) -> Result<Answers, PredictError> {
    let mut maker = model.bar_rows().map_err(PredictError::NotFromBars)?;
    let n_ahead = model.schema().net.n_ahead();
    if let Some(column) = maker.unforeseen().filter(|_| n_ahead > 0) {
        return Err(PredictError::Unforeseen(
            model.schema().inputs[column].name.clone(),
        ));
    }
    let is_known = name_series(&mut maker, symbol)?;
    let interval = checked_interval(model, symbol, bars)?;
    let max_step = max_missing_bars.map_or(i64::MAX, |n| interval.saturating_mul(i64::from(n) + 1));
    let lookback = model.schema().lookback();
    let mut run = Runner::new(model);
    let (mut first, mut longest, mut ts_ns) = (0, 0, Vec::new());
    for segment in bars.chunk_by(|a, b| b.ts_ns.saturating_sub(a.ts_ns) <= max_step) {
        let table = segment_rows(&mut maker, symbol, segment, first, (interval, n_ahead))?;
        first += segment.len();
        longest = longest.max(table.ts_ns.len());
        if table.ts_ns.len() >= lookback {
            run.slide_ahead(symbol, &table.rows, &table.ahead)?;
            ts_ns.extend_from_slice(&table.ts_ns[lookback - 1..]);
        }
    }
    if ts_ns.is_empty() {
        return Err(PredictError::TooShort {
            what: symbol.into(),
            expected: lookback,
            found: longest,
        });
    }
    let mut answers = run.answers;
    answers.unknown_category |= !is_known;
    answers.symbols = vec![symbol.into(); ts_ns.len()];
    answers.ts_ns = ts_ns;
    Ok(answers)
}

/// Says which series this is, where the model tells symbols apart; whether it knows this one.
fn name_series(maker: &mut BarRows, symbol: &str) -> Result<bool, PredictError> {
    let names: Vec<String> = maker.categories().map(str::to_owned).collect();
    let mut is_known = true;
    for name in names {
        if name != SYMBOL {
            return Err(PredictError::NotFromBars(name));
        }
        let found = maker.set_category(&name, symbol);
        is_known &= found.map_err(|error| PredictError::Run {
            what: symbol.into(),
            error,
        })?;
    }
    Ok(is_known)
}

/// Rows of one stretch of bars.
struct Table {
    /// `[n, n_features]`.
    rows: Vec<f64>,
    /// `[n, n_ahead, n_features]`: what is known of the bars behind each.
    ahead: Vec<f64>,
    ts_ns: Vec<i64>,
}

/// Rows of one stretch of bars; `first` is the stretch's place in its series. Rows ahead have the times at which bars are due.
fn segment_rows(
    maker: &mut BarRows,
    symbol: &str,
    segment: &[Bar],
    first: usize,
    (interval, n_ahead): (i64, usize),
) -> Result<Table, PredictError> {
    maker.reset();
    let mut table = Table {
        rows: Vec::new(),
        ahead: Vec::new(),
        ts_ns: Vec::new(),
    };
    for (i, bar) in segment.iter().enumerate() {
        let refused = |error| PredictError::Bar {
            symbol: symbol.into(),
            bar: first + i,
            error,
        };
        if maker.push(bar).map_err(refused)? != Ready::Row {
            continue;
        }
        table.rows.extend_from_slice(maker.row());
        table.ts_ns.push(bar.ts_ns);
        let start = table.ahead.len();
        table.ahead.resize(start + n_ahead * maker.row().len(), 0.0);
        maker.foresee(bar.ts_ns, interval, &mut table.ahead[start..]);
    }
    Ok(table)
}

/// The commonest step of the bars, which must be the model's interval where it states one.
fn checked_interval(model: &Model, symbol: &str, bars: &[Bar]) -> Result<i64, PredictError> {
    let series = Series::new(symbol, bars.to_vec(), "");
    let found = series.interval_ns();
    match (model.schema().bar_interval_ns, found) {
        (Some(expected), Some(found)) if expected != found => Err(PredictError::Interval {
            symbol: symbol.into(),
            expected: span(expected),
            found: span(found),
        }),
        (_, Some(found)) => Ok(found),
        (_, None) => Err(PredictError::TooShort {
            what: symbol.into(),
            expected: 2,
            found: bars.len(),
        }),
    }
}

/// Neighbouring bars further apart than the series' commonest step.
#[must_use]
pub fn gaps(symbol: &str, bars: &[Bar]) -> usize {
    let interval = Series::new(symbol, bars.to_vec(), "")
        .interval_ns()
        .unwrap_or(i64::MAX);
    bars.windows(2)
        .filter(|two| two[1].ts_ns - two[0].ts_ns > interval)
        .count()
}
