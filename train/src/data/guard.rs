//! Checks that no information flows backwards in time; each returns the first leak it finds.
//!
//! They look at the products (tables, windows, parts, scalers), not at how these were made, so they catch a mistake
//! in this crate as well as in code that builds the same types elsewhere.

use super::bars::Series;
use super::contexts::Context;
use super::error::DataError;
use super::split::{Part, Split};
use super::table::{FeatureTable, Panel};
use super::time::iso;
use super::window::{Sample, WindowIndex};
use std::collections::{HashMap, HashSet};
use tickfuse_core::bundle::Scaler;
use tickfuse_core::features::Bar;

/// A way in which the future, or another symbol, got into a window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Leak {
    /// A row is no bar of its symbol, or neighbours in a segment are none in the series.
    #[error("{symbol}: row {row} at {time} does not follow from the bars of its own symbol")]
    ForeignRow {
        /// Symbol of the table.
        symbol: String,
        /// Row of the table.
        row: usize,
        /// Its time.
        time: String,
    },
    /// A window or its label reaches beyond its segment.
    #[error("{symbol}: window decided at {decision}: rows {rows} to {end} are not inside one segment")]
    Crossing {
        /// Symbol.
        symbol: String,
        /// Decision time.
        decision: String,
        /// First row of the window.
        rows: i64,
        /// Row of the label.
        end: usize,
    },
    /// A label is not `close[t+H] > close[t]` of the last bar of its window.
    #[error(
        "{symbol}: window decided at {decision}: label says {found}, close[t+{horizon}] > close[t] is {expected}"
    )]
    Label {
        /// Symbol.
        symbol: String,
        /// Decision time.
        decision: String,
        /// Bars from t to the label.
        horizon: usize,
        /// What the label has to be.
        expected: bool,
        /// What it is.
        found: bool,
    },
    /// Times of a sample are not those of its rows.
    #[error(
        "{symbol}: window decided at {decision}: its times are not those of its last and its labelled row"
    )]
    Times {
        /// Symbol.
        symbol: String,
        /// Decision time.
        decision: String,
    },
    /// A label of an earlier part is known only after the next part's first decision.
    #[error("a label of the earlier part is known at {known}, the later part decides from {decision} on")]
    Purge {
        /// Latest label of the earlier part.
        known: String,
        /// First decision of the later part.
        decision: String,
    },
    /// A window stands in two parts.
    #[error("window {position} stands in two parts")]
    SharedWindow {
        /// Position in the index.
        position: usize,
    },
    /// A fitted object saw rows outside the training part.
    #[error("`{what}` was fitted on {from} to {until}, training decides until {train}")]
    Fitted {
        /// Name of the object.
        what: String,
        /// First row seen.
        from: String,
        /// Last row seen.
        until: String,
        /// Last training decision.
        train: String,
    },
    /// A fitted object does not say what it was fitted on.
    #[error("`{what}` does not say which rows it was fitted on")]
    NotStated {
        /// Name of the object.
        what: String,
    },
    /// A context, or one of its labels, is not known before the window beside it begins.
    #[error(
        "{symbol}: window that begins at {begins}: the context that starts at {context} is known at {known} only"
    )]
    Context {
        /// Symbol of the window.
        symbol: String,
        /// First bar of the window.
        begins: String,
        /// First bar of the context.
        context: String,
        /// When its last label is known.
        known: String,
    },
    /// A value at or before a time changed when only later bars did.
    #[error("a value known at {at} changed when only bars after it were changed")]
    Future {
        /// The time.
        at: String,
    },
    /// The perturbed data could not be processed.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Every guard that looks at one prepared experiment.
///
/// # Errors
/// The first leak found.
pub fn check(
    series: &[Series],
    panel: &Panel,
    index: &WindowIndex,
    split: &Split,
    scalers: &[Scaler],
) -> Result<(), Leak> {
    rows_are_of_their_symbol(series, panel)?;
    windows_and_labels_are_right(panel, index)?;
    split_is_purged(index, split)?;
    scalers_are_of_train(panel, scalers, &split.train)
}

/// Every row is a bar of its own symbol, and rows of a segment are neighbours in the series.
///
/// # Errors
/// [`Leak::ForeignRow`].
pub fn rows_are_of_their_symbol(series: &[Series], panel: &Panel) -> Result<(), Leak> {
    let by_symbol: HashMap<&str, &Series> = series.iter().map(|one| (one.symbol.as_str(), one)).collect();
    for table in &panel.tables {
        let bars = by_symbol
            .get(table.symbol.as_str())
            .map_or(&[][..], |one| &one.bars);
        for segment in &table.segments {
            let start = table.ts_ns.get(segment.start).copied().unwrap_or(i64::MAX);
            let first = bars.partition_point(|bar| bar.ts_ns < start);
            let follows = |row: usize| {
                let bar = bars.get(first + row - segment.start);
                bar.is_some_and(|bar| {
                    bar.ts_ns == table.ts_ns[row] && bar.close.to_bits() == table.close[row].to_bits()
                })
            };
            if let Some(row) = segment.clone().find(|&row| !follows(row)) {
                let (symbol, time) = (table.symbol.clone(), iso(table.ts_ns[row]));
                return Err(Leak::ForeignRow { symbol, row, time });
            }
        }
    }
    Ok(())
}

/// Every window and its label lie in one segment, without a step above the panel's limit; times and labels are
/// those of the rows, the horizon counted once from the last row of the window.
///
/// # Errors
/// [`Leak::Crossing`], [`Leak::Times`], [`Leak::Label`].
pub fn windows_and_labels_are_right(panel: &Panel, index: &WindowIndex) -> Result<(), Leak> {
    index.samples.iter().try_for_each(|sample| {
        let table = &panel.tables[sample.series as usize];
        check_sample(panel, index, table, sample)
    })
}

fn check_sample(
    panel: &Panel,
    index: &WindowIndex,
    table: &FeatureTable,
    sample: &Sample,
) -> Result<(), Leak> {
    let t = sample.end_row as usize;
    let (symbol, decision) = (table.symbol.clone(), iso(sample.decision_ns));
    let (first, end) = ((t + 1).checked_sub(index.lookback), t + index.horizon);
    let inside = |first: usize| {
        table
            .segment_of(t)
            .is_some_and(|segment| segment.start <= first && end < segment.end)
            && table.ts_ns[first..=end]
                .windows(2)
                .all(|pair| (1..=panel.max_step_ns).contains(&(pair[1] - pair[0])))
    };
    if !first.is_some_and(inside) {
        let rows = t as i64 + 1 - index.lookback as i64;
        return Err(Leak::Crossing {
            symbol,
            decision,
            rows,
            end,
        });
    }
    if [sample.decision_ns, sample.label_ns] != [table.ts_ns[t], table.ts_ns[end]] {
        return Err(Leak::Times { symbol, decision });
    }
    let expected = table.close[end] > table.close[t];
    if sample.up != expected {
        let (horizon, found) = (index.horizon, sample.up);
        return Err(Leak::Label {
            symbol,
            decision,
            horizon,
            expected,
            found,
        });
    }
    Ok(())
}

/// Every label of the earlier part is known before the later part's first decision, globally and hence per symbol,
/// and no window stands in both.
///
/// # Errors
/// [`Leak::Purge`], [`Leak::SharedWindow`].
pub fn parts_do_not_touch(index: &WindowIndex, earlier: &Part, later: &Part) -> Result<(), Leak> {
    let seen: HashSet<usize> = earlier.samples.iter().copied().collect();
    if let Some(&position) = later.samples.iter().find(|position| seen.contains(position)) {
        return Err(Leak::SharedWindow { position });
    }
    let known = earlier
        .samples
        .iter()
        .map(|&position| index.samples[position].label_ns)
        .max();
    let decision = later
        .samples
        .iter()
        .map(|&position| index.samples[position].decision_ns)
        .min();
    match known.zip(decision) {
        Some((known, decision)) if known >= decision => Err(Leak::Purge {
            known: iso(known),
            decision: iso(decision),
        }),
        _ => Ok(()),
    }
}

/// [`parts_do_not_touch`] for every pair of neighbours of a split.
///
/// # Errors
/// As [`parts_do_not_touch`].
pub fn split_is_purged(index: &WindowIndex, split: &Split) -> Result<(), Leak> {
    parts_do_not_touch(index, &split.train, &split.validation)?;
    split.test.iter().try_for_each(|test| {
        parts_do_not_touch(index, &split.train, test)?;
        parts_do_not_touch(index, &split.validation, test)
    })
}

/// Every context of a window lies in one segment with the bars its labels look at, all of them before the window's first bar.
///
/// # Errors
/// [`Leak::Context`]; [`Leak::ForeignRow`] for a context that leaves its segment.
pub fn contexts_are_past(
    panel: &Panel,
    index: &WindowIndex,
    sample: &Sample,
    contexts: &[Context],
    context_lookback: usize,
) -> Result<(), Leak> {
    let own = &panel.tables[sample.series as usize];
    let begins = own.ts_ns[sample.end_row as usize + 1 - index.lookback];
    contexts.iter().try_for_each(|context| {
        let table = &panel.tables[context.series as usize];
        let first = context.first_row as usize;
        let last = first + context_lookback - 1 + index.horizon;
        if !table
            .segment_of(first)
            .is_some_and(|segment| segment.contains(&last))
        {
            let (symbol, time) = (table.symbol.clone(), iso(table.ts_ns[first]));
            return Err(Leak::ForeignRow {
                symbol,
                row: last,
                time,
            });
        }
        if table.ts_ns[last] < begins {
            return Ok(());
        }
        Err(Leak::Context {
            symbol: own.symbol.clone(),
            begins: iso(begins),
            context: iso(table.ts_ns[first]),
            known: iso(table.ts_ns[last]),
        })
    })
}

/// An object fitted on rows from `fitted_ns[0]` to `fitted_ns[1]` saw no row after the last training decision.
///
/// # Errors
/// [`Leak::Fitted`], or [`Leak::NotStated`] when the range is absent.
pub fn fitted_on_train(what: &str, fitted_ns: Option<[i64; 2]>, train: &Part) -> Result<(), Leak> {
    let Some([from, until]) = fitted_ns else {
        return Err(Leak::NotStated {
            what: what.to_owned(),
        });
    };
    match train.decisions_ns {
        Some([_, last]) if from <= until && until <= last => Ok(()),
        last => Err(Leak::Fitted {
            what: what.to_owned(),
            from: iso(from),
            until: iso(until),
            train: last.map_or_else(|| "never".into(), |[_, last]| iso(last)),
        }),
    }
}

/// [`fitted_on_train`] for every scaler of a panel.
///
/// # Errors
/// As [`fitted_on_train`].
pub fn scalers_are_of_train(panel: &Panel, scalers: &[Scaler], train: &Part) -> Result<(), Leak> {
    let check = |(name, scaler): (&String, &Scaler)| fitted_on_train(name, scaler.fitted_ns, train);
    panel.names.iter().zip(scalers).try_for_each(check)
}

/// Changes every bar after `at_ns` and computes again: everything known at `at_ns` must keep its bits.
///
/// `compute` returns the bits of what is known at `at_ns` (feature rows, scaled windows, predictions).
///
/// # Errors
/// [`Leak::Future`]; [`Leak::Data`] when `compute` fails.
pub fn past_ignores_future(
    series: &[Series],
    at_ns: i64,
    mut compute: impl FnMut(&[Series]) -> Result<Vec<u64>, DataError>,
) -> Result<(), Leak> {
    let before = compute(series)?;
    let mut changed = series.to_vec();
    for one in &mut changed {
        let future = one.bars.iter_mut().filter(|bar| bar.ts_ns > at_ns);
        future.enumerate().for_each(|(i, bar)| disturb(bar, i));
    }
    if compute(&changed)? == before {
        return Ok(());
    }
    Err(Leak::Future { at: iso(at_ns) })
}

/// Another valid bar at the same time.
fn disturb(bar: &mut Bar, i: usize) {
    let factor = 1.1 + 0.7 * ((i * 13) % 10) as f64;
    for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
        *price *= factor;
    }
    bar.volume = bar.volume * factor + 1.0;
}

#[cfg(test)]
mod tests {
    use super::super::split::Cut;
    use super::super::table::tests::{panel, series};
    use super::*;

    fn made() -> (Vec<Series>, Panel, WindowIndex) {
        let times: Vec<i64> = (0..60).collect();
        let series = vec![series("A", 100.0, &times), series("B", 10.0, &times)];
        let panel = panel(&series);
        let index = WindowIndex::new(&panel, 4, 3).unwrap();
        (series, panel, index)
    }

    #[test]
    fn what_this_crate_makes_passes_every_guard() {
        let (series, panel, index) = made();
        let split = Split::new(
            &panel,
            &index,
            &Cut::Shares {
                train: 0.5,
                validation: 0.25,
            },
        )
        .unwrap();
        assert!(split.test.is_some());
        let scalers = super::super::scaler::fit(&panel, &index, &split.train).unwrap();
        rows_are_of_their_symbol(&series, &panel).unwrap();
        windows_and_labels_are_right(&panel, &index).unwrap();
        split_is_purged(&index, &split).unwrap();
        scalers_are_of_train(&panel, &scalers, &split.train).unwrap();
    }

    #[test]
    fn the_test_part_is_held_against_training_and_validation() {
        let (_, panel, index) = made();
        let mut split = Split::new(
            &panel,
            &index,
            &Cut::Shares {
                train: 0.5,
                validation: 0.25,
            },
        )
        .unwrap();
        split.test = Some(split.train.clone());
        assert!(matches!(
            split_is_purged(&index, &split),
            Err(Leak::SharedWindow { .. })
        ));
    }

    #[test]
    fn a_time_that_is_not_the_rows_own_is_found() {
        let (_, panel, mut index) = made();
        index.samples[5].label_ns -= 10;
        let found = windows_and_labels_are_right(&panel, &index).unwrap_err();
        assert!(matches!(found, Leak::Times { .. }), "{found}");
    }

    #[test]
    fn a_window_that_begins_before_the_first_row_or_ends_behind_the_last_is_found() {
        let (_, panel, index) = made();
        for end_row in [0, 58, u32::MAX] {
            let mut wrong = index.clone();
            wrong.samples[0].end_row = end_row;
            let found = windows_and_labels_are_right(&panel, &wrong).unwrap_err();
            assert!(matches!(found, Leak::Crossing { .. }), "{found}");
        }
    }

    #[test]
    fn a_context_that_touches_its_window_or_leaves_its_segment_is_found() {
        let (_, panel, index) = made();
        let sample = index.samples.iter().find(|s| s.end_row == 40).unwrap();
        let check = |first_row| {
            let context = Context { series: 1, first_row };
            contexts_are_past(&panel, &index, sample, &[context], 5)
        };
        // The window begins at row 37; five rows and three bars ahead end at row first + 7.
        assert!(check(29).is_ok());
        assert!(matches!(check(30), Err(Leak::Context { .. })));
        assert!(matches!(check(55), Err(Leak::ForeignRow { .. })));
    }

    #[test]
    fn a_failure_on_changed_data_is_no_leak_but_is_reported() {
        let (series, ..) = made();
        let fails = |_: &[Series]| Err(DataError::Empty { path: "x".into() });
        assert!(matches!(
            past_ignores_future(&series, 0, fails),
            Err(Leak::Data(_))
        ));
    }
}
