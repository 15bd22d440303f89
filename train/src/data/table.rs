//! Feature rows of every symbol, cut into segments that no window may leave.
//!
//! A segment ends where more bars are missing than the limit allows. The feature engine starts anew in every
//! segment, so neither a feature nor a window reaches across a gap or into another symbol.

use super::bars::Series;
use super::error::DataError;
use std::ops::Range;
use tickfuse_core::error::FeatureError;
use tickfuse_core::features::{Bar, FeatureSet, Ready};

/// Turns one bar after another into feature rows: the core's [`FeatureSet`], or a caller's own features.
pub trait RowMaker {
    /// Column names; their number is `n_features`.
    fn names(&self) -> Vec<String>;

    /// Forgets every bar.
    fn reset(&mut self);

    /// Takes the next bar; true when `out[n_features]` now holds its row, false while warming up.
    ///
    /// # Errors
    /// When the engine refuses the bar.
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> Result<bool, FeatureError>;
}

impl RowMaker for FeatureSet {
    fn names(&self) -> Vec<String> {
        Self::names(self).map(str::to_owned).collect()
    }

    fn reset(&mut self) {
        Self::reset(self);
    }

    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> Result<bool, FeatureError> {
        Ok(Self::push(self, bar, out)? == Ready::Row)
    }
}

/// How tables are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// Bars that may be missing between two neighbours inside one segment; 0 accepts no gap at all.
    pub max_missing_bars: u32,
}

/// The feature rows of one symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    /// Symbol.
    pub symbol: String,
    /// Values of a row.
    pub n_features: usize,
    /// Open time of every row's bar, ns, rising.
    pub ts_ns: Vec<i64>,
    /// Closing price of every row's bar.
    pub close: Vec<f64>,
    /// Labels that the file brought, column after column, one value per row; NaN where it has none.
    pub labels: Vec<Vec<f64>>,
    /// `[n_rows, n_features]`, row after row.
    pub rows: Vec<f64>,
    /// Stretches of neighbouring rows, in order, none empty; together all rows.
    pub segments: Vec<Range<usize>>,
}

impl FeatureTable {
    /// Row `index`.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f64] {
        &self.rows[index * self.n_features..(index + 1) * self.n_features]
    }

    /// The segment that holds row `index`.
    #[must_use]
    pub fn segment_of(&self, index: usize) -> Option<&Range<usize>> {
        let position = self.segments.partition_point(|segment| segment.end <= index);
        self.segments
            .get(position)
            .filter(|segment| segment.contains(&index))
    }
}

/// Tables of all symbols with the same features and the same bar interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Column names.
    pub names: Vec<String>,
    /// Time between two bars of every symbol, ns.
    pub interval_ns: i64,
    /// Largest distance of neighbours inside a segment, ns.
    pub max_step_ns: i64,
    /// One table per symbol, in the order of the series.
    pub tables: Vec<FeatureTable>,
}

impl Panel {
    /// Values of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.names.len()
    }
}

/// Runs every series through the feature engine; the columns that the series' files brought are labels.
///
/// # Errors
/// Series with different intervals or without one, a table without prices, a bar the engine refuses, a feature that is not
/// finite: with file, row and feature.
pub fn build(
    series: &[Series],
    maker: &mut impl RowMaker,
    options: &TableOptions,
) -> Result<Panel, DataError> {
    if let Some(one) = series.iter().find(|one| one.is_table) {
        return Err(no_prices(one, "features of bars"));
    }
    panel(series, maker.names(), options, |one, names, max_step_ns| {
        let make = |index: usize, is_first: bool, row: &mut [f64]| {
            if is_first {
                maker.reset();
            }
            let ready = maker.push(&one.bars[index], row);
            ready.map_err(|reason| refused(one, index, reason))
        };
        table(one, &one.columns, names, max_step_ns, make)
    })
}

/// Takes the first columns that the series' files brought as features of these names; those behind them are labels.
///
/// # Errors
/// As [`build`], for a feature that is missing or not finite.
pub fn of_columns(series: &[Series], names: Vec<String>, options: &TableOptions) -> Result<Panel, DataError> {
    panel(series, names, options, |one, names, max_step_ns| {
        let make = |index: usize, _: bool, row: &mut [f64]| {
            let values = one.columns.iter().map(|column| column[index]);
            row.iter_mut().zip(values).for_each(|(x, value)| *x = value);
            Ok(true)
        };
        table(one, &one.columns[names.len()..], names, max_step_ns, make)
    })
}

/// The panel of the tables that `of` makes.
fn panel(
    series: &[Series],
    names: Vec<String>,
    options: &TableOptions,
    mut of: impl FnMut(&Series, &[String], i64) -> Result<FeatureTable, DataError>,
) -> Result<Panel, DataError> {
    let interval_ns = common_interval(series)?;
    let max_step_ns = interval_ns.saturating_mul(i64::from(options.max_missing_bars) + 1);
    let tables = series
        .iter()
        .map(|one| of(one, &names, max_step_ns))
        .collect::<Result<_, _>>()?;
    Ok(Panel {
        names,
        interval_ns,
        max_step_ns,
        tables,
    })
}

/// Refuses a table where prices are needed.
pub(crate) fn no_prices(series: &Series, what: &'static str) -> DataError {
    DataError::NoPrices {
        path: series.source.clone(),
        symbol: series.symbol.clone(),
        what,
    }
}

fn common_interval(series: &[Series]) -> Result<i64, DataError> {
    let mut first: Option<(&Series, i64)> = None;
    for one in series {
        let interval = one.interval_ns().ok_or_else(|| DataError::TooLittleHistory {
            symbol: one.symbol.clone(),
            expected: 2,
            found: one.bars.len(),
        })?;
        match first {
            None => first = Some((one, interval)),
            Some((other, other_ns)) if other_ns != interval => {
                return Err(DataError::MixedIntervals {
                    first: other.symbol.clone(),
                    first_ns: other_ns,
                    second: one.symbol.clone(),
                    second_ns: interval,
                });
            }
            Some(_) => {}
        }
    }
    first.map(|(_, interval)| interval).ok_or(DataError::Setting {
        name: "series",
        expected: "one or more",
        found: "none".into(),
    })
}

/// `make` fills the row of a bar, told whether it is the first of a stretch; `labels` are columns of the series' file.
fn table(
    series: &Series,
    labels: &[Vec<f64>],
    names: &[String],
    max_step_ns: i64,
    mut make: impl FnMut(usize, bool, &mut [f64]) -> Result<bool, DataError>,
) -> Result<FeatureTable, DataError> {
    let mut table = FeatureTable {
        symbol: series.symbol.clone(),
        n_features: names.len(),
        ts_ns: Vec::with_capacity(series.bars.len()),
        close: Vec::with_capacity(series.bars.len()),
        labels: vec![Vec::new(); labels.len()],
        rows: Vec::with_capacity(series.bars.len() * names.len()),
        segments: Vec::new(),
    };
    let mut row = vec![0.0; names.len()];
    for stretch in stretches(&series.bars, max_step_ns) {
        let (start, first) = (table.ts_ns.len(), stretch.start);
        for index in stretch {
            if make(index, index == first, &mut row)? {
                check_finite(series, index, names, &row)?;
                table.ts_ns.push(series.bars[index].ts_ns);
                table.close.push(series.bars[index].close);
                table.rows.extend_from_slice(&row);
                let values = labels.iter().map(|column| column[index]);
                table.labels.iter_mut().zip(values).for_each(|(l, v)| l.push(v));
            }
        }
        let segment = start..table.ts_ns.len();
        table.segments.extend((!segment.is_empty()).then_some(segment));
    }
    Ok(table)
}

/// Ranges of bars without a step above the limit.
fn stretches(bars: &[Bar], max_step_ns: i64) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    let breaks = move |&end: &usize| {
        end == bars.len() || bars[end].ts_ns.saturating_sub(bars[end - 1].ts_ns) > max_step_ns
    };
    (1..=bars.len())
        .filter(breaks)
        .map(move |end| std::mem::replace(&mut start, end)..end)
}

fn refused(series: &Series, index: usize, reason: FeatureError) -> DataError {
    DataError::Feature {
        path: series.source.clone(),
        symbol: series.symbol.clone(),
        row: series.row(index),
        reason,
    }
}

fn check_finite(series: &Series, index: usize, names: &[String], row: &[f64]) -> Result<(), DataError> {
    match row.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(column) => Err(DataError::NonFiniteFeature {
            path: series.source.clone(),
            symbol: series.symbol.clone(),
            row: series.row(index),
            feature: names[column].clone(),
            found: row[column],
        }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Return over the last bar and volume, with a warm-up of one bar: a small engine of the tests.
    #[derive(Default)]
    pub(in super::super) struct ReturnAndVolume {
        last: Option<f64>,
    }

    impl RowMaker for ReturnAndVolume {
        fn names(&self) -> Vec<String> {
            vec!["return".into(), "volume".into()]
        }

        fn reset(&mut self) {
            self.last = None;
        }

        fn push(&mut self, bar: &Bar, out: &mut [f64]) -> Result<bool, FeatureError> {
            if bar.close <= 0.0 {
                return Err(FeatureError::Bar { field: "close" });
            }
            let last = self.last.replace(bar.close);
            out[0] = last.map_or(0.0, |last| bar.close / last - 1.0);
            out[1] = bar.volume;
            Ok(last.is_some())
        }
    }

    /// A series with bars at the given multiples of 10 ns and a close that says where it comes from.
    pub(in super::super) fn series(symbol: &str, start: f64, times: &[i64]) -> Series {
        let bar = |(i, &time): (usize, &i64)| {
            let close = start + ((i * 7) % 5) as f64;
            Bar {
                ts_ns: time * 10,
                open: close,
                high: close,
                low: close,
                close,
                volume: 1.0 + i as f64,
            }
        };
        Series::new(
            symbol,
            times.iter().enumerate().map(bar).collect(),
            format!("{symbol}.csv"),
        )
    }

    /// A panel of [`ReturnAndVolume`] rows that accepts no gap.
    pub(in super::super) fn panel(series: &[Series]) -> Panel {
        let options = TableOptions { max_missing_bars: 0 };
        build(series, &mut ReturnAndVolume::default(), &options).unwrap()
    }

    #[test]
    fn warm_up_bars_give_no_row_and_a_gap_starts_anew() {
        let panel = panel(&[series("A", 100.0, &[0, 1, 2, 5, 6])]);
        let table = &panel.tables[0];
        assert_eq!(table.ts_ns, [10, 20, 60]);
        assert_eq!(table.segments, [0..2, 2..3]);
        assert_eq!(table.row(2), [103.0 / 101.0 - 1.0, 5.0]);
        assert_eq!(table.segment_of(2), Some(&(2..3)));
        assert_eq!(table.segment_of(3), None);
    }

    #[test]
    fn gaps_up_to_the_limit_stay_inside_a_segment() {
        let options = TableOptions { max_missing_bars: 2 };
        let series = [series("A", 100.0, &[0, 1, 2, 5, 9])];
        let panel = build(&series, &mut ReturnAndVolume::default(), &options).unwrap();
        assert_eq!(panel.max_step_ns, 30);
        let segments = &panel.tables[0].segments;
        assert_eq!(
            (segments.len(), &segments[0]),
            (1, &(0..3)),
            "the stretch of one bar gives no row"
        );
    }

    #[test]
    fn the_engine_starts_anew_with_every_symbol() {
        let both = panel(&[series("A", 100.0, &[0, 1, 2]), series("B", 5.0, &[0, 1, 2])]);
        let alone = panel(&[series("B", 5.0, &[0, 1, 2])]);
        assert_eq!(both.tables[1], alone.tables[0]);
    }

    #[test]
    fn different_intervals_in_one_panel_are_refused() {
        let series = [series("A", 1.0, &[0, 1, 2]), series("B", 1.0, &[0, 60, 120])];
        let options = TableOptions { max_missing_bars: 0 };
        let error = build(&series, &mut ReturnAndVolume::default(), &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "one bar interval per panel: A has 10 ns, B has 600 ns"
        );
    }

    #[test]
    fn a_refused_bar_and_a_value_that_is_not_finite_name_their_row() {
        let options = TableOptions { max_missing_bars: 0 };
        let mut bad = series("A", 100.0, &[0, 1, 2]);
        bad.bars[2].close = -1.0;
        let error = build(&[bad], &mut ReturnAndVolume::default(), &options).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("A.csv: row 3: A: bar field `close`"),
            "{error}"
        );
        let mut bad = series("A", 100.0, &[0, 1, 2]);
        bad.bars[1].volume = f64::INFINITY;
        let error = build(&[bad], &mut ReturnAndVolume::default(), &options).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("A.csv: row 2: A: feature `volume`: expected a finite"),
            "{error}"
        );
    }

    #[test]
    fn rows_of_the_core_engine_are_those_of_its_own_batch() {
        let defs = tickfuse_core::features::standard_set("seed-000").unwrap();
        let one = series("A", 100.0, &(0..80).collect::<Vec<_>>());
        let batch = tickfuse_core::features::rows(&defs, &one.bars).unwrap();
        let options = TableOptions { max_missing_bars: 0 };
        let panel = build(&[one], &mut FeatureSet::new(&defs).unwrap(), &options).unwrap();
        assert_eq!(panel.tables[0].rows, batch.values);
        assert_eq!(panel.n_features(), batch.n_features);
    }

    #[test]
    fn no_series_and_a_single_bar_are_refused() {
        let options = TableOptions { max_missing_bars: 0 };
        let mut maker = ReturnAndVolume::default();
        assert!(matches!(
            build(&[], &mut maker, &options),
            Err(DataError::Setting { .. })
        ));
        let one = build(&[series("A", 1.0, &[0])], &mut maker, &options);
        assert!(matches!(one, Err(DataError::TooLittleHistory { found: 1, .. })));
    }
}
