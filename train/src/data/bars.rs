//! Bars of one symbol in time order, and how files become them.

use super::error::DataError;
use super::frame::Frame;
use super::time::TimeUnit;
use super::{csv, inspect, parquet};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tickfuse_core::features::Bar;

/// The bars of one symbol from one source, in file order.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Symbol.
    pub symbol: String,
    /// Bars as they stand in the file.
    pub bars: Vec<Bar>,
    /// File they come from.
    pub source: PathBuf,
    /// Whether the bars are times alone, their prices and volumes NaN: the file is a table of rows.
    pub is_table: bool,
    /// Columns of the file beside the bars, in the order asked for, one value per bar; an empty cell is NaN.
    pub columns: Vec<Vec<f64>>,
    /// Row of every bar where the file holds other symbols between them.
    rows: Option<Vec<u64>>,
}

impl Series {
    /// A series whose bars are rows 1, 2, 3, ... of its source.
    pub fn new(symbol: impl Into<String>, bars: Vec<Bar>, source: impl Into<PathBuf>) -> Self {
        Self {
            symbol: symbol.into(),
            bars,
            source: source.into(),
            is_table: false,
            columns: Vec::new(),
            rows: None,
        }
    }

    pub(super) fn with_rows(symbol: String, bars: Vec<Bar>, source: &Path, rows: Vec<u64>) -> Self {
        assert_eq!(bars.len(), rows.len(), "one row number per bar");
        Self {
            rows: Some(rows),
            ..Self::new(symbol, bars, source)
        }
    }

    pub(super) fn into_table(self) -> Self {
        Self {
            is_table: true,
            ..self
        }
    }

    /// The same with columns of its file, each value in the row of its bar.
    pub(super) fn with_columns(mut self, frame: &Frame, names: &[String]) -> Result<Self, DataError> {
        let rows: Vec<usize> = (0..self.bars.len()).map(|i| self.row(i) as usize - 1).collect();
        let column = |name: &String| {
            rows.iter()
                .map(|row| frame.real(frame.place(name), *row))
                .collect()
        };
        self.columns = names.iter().map(column).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Row of bar `index` in its file; the first is 1, a header is not counted.
    #[must_use]
    pub fn row(&self, index: usize) -> u64 {
        self.rows.as_ref().map_or(index as u64 + 1, |rows| rows[index])
    }

    /// The most frequent positive distance between bars that follow each other in time; the shorter one of equals.
    #[must_use]
    pub fn interval_ns(&self) -> Option<i64> {
        let mut times: Vec<i64> = self.bars.iter().map(|bar| bar.ts_ns).collect();
        times.sort_unstable();
        mode_of_steps(&times)
    }

    /// Refuses bars that no feature may be computed from: disordered, duplicated, not finite, a price that is not
    /// positive, a negative volume, a high or low inside the bar. Of a table only the times are looked at.
    ///
    /// # Errors
    /// [`DataError::Empty`] or [`DataError::Unclean`] with kinds, counts and first rows.
    pub fn check(&self) -> Result<(), DataError> {
        if self.bars.is_empty() {
            return Err(DataError::Empty {
                path: self.source.clone(),
            });
        }
        let mut report = inspect::inspect(self, 3);
        if self.is_table {
            report.non_finite = inspect::Finding::default();
        }
        match report.problems() {
            None => Ok(()),
            Some(problems) => Err(DataError::Unclean {
                path: self.source.clone(),
                symbol: self.symbol.clone(),
                problems,
            }),
        }
    }
}

/// The most frequent positive step of sorted times.
pub(super) fn mode_of_steps(sorted: &[i64]) -> Option<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for pair in sorted.windows(2) {
        let step = pair[1].saturating_sub(pair[0]);
        if step > 0 {
            *counts.entry(step).or_default() += 1;
        }
    }
    let most = counts.values().copied().max()?;
    counts
        .into_iter()
        .find(|&(_, count)| count == most)
        .map(|(step, _)| step)
}

/// What a file cannot say about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Unit of whole-number times; told by magnitude where absent, ignored where the column states its own.
    pub time_unit: Option<TimeUnit>,
    /// The file holds rows of a caller's own columns beside times, and its prices, if any, mean nothing.
    pub is_table: bool,
}

/// What one file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct BarFile {
    /// One series per symbol, in order of first appearance.
    pub series: Vec<Series>,
    /// Unit of the time column when it held whole numbers.
    pub time_unit: Option<TimeUnit>,
}

/// Reads the bars of a `.parquet` or `.csv` file as they stand; disorder and the like are left to
/// [`Series::check`] and [`inspect::inspect`].
///
/// Without a symbol column the symbol is the file name up to the first `.` (exchange klines: or `-`).
/// Times without an offset are UTC.
///
/// # Errors
/// Names file, row and column.
pub fn read(path: &Path, options: &ReadOptions) -> Result<BarFile, DataError> {
    match extension(path).as_str() {
        "parquet" | "pq" => parquet::read(path, options),
        "csv" => csv::read(path, options),
        other => Err(DataError::Extension {
            path: path.to_owned(),
            found: other.to_owned(),
        }),
    }
}

fn extension(path: &Path) -> String {
    path.extension()
        .and_then(OsStr::to_str)
        .unwrap_or_default()
        .to_lowercase()
}

/// Replaces every folder by the bar files directly inside it, sorted by name.
///
/// # Errors
/// A folder that cannot be listed or holds no bar file.
pub fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(list_folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn list_folder(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        if matches!(extension(&path).as_str(), "parquet" | "pq" | "csv") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(DataError::Empty {
            path: folder.to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

/// Symbol of a file without a symbol column.
pub(super) fn symbol_from_name(path: &Path, end: char) -> String {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.split(end).next().unwrap_or_default().to_owned()
}

/// Appends series of the same symbol that follow each other in time (monthly files of one exchange) to one
/// series; the result is sorted by symbol and names its earliest source. The series must have passed
/// [`Series::check`].
///
/// # Errors
/// [`DataError::Overlap`] when two sources cover the same time of a symbol.
pub fn join(mut series: Vec<Series>) -> Result<Vec<Series>, DataError> {
    let start = |one: &Series| one.bars.first().map(|bar| bar.ts_ns);
    series.sort_by(|a, b| (&a.symbol, start(a)).cmp(&(&b.symbol, start(b))));
    let mut joined: Vec<Series> = Vec::with_capacity(series.len());
    let mut last_source = PathBuf::new();
    for next in series {
        let source = next.source.clone();
        match joined.last_mut().filter(|one| one.symbol == next.symbol) {
            None => joined.push(next),
            Some(one) => append(one, next, &last_source)?,
        }
        last_source = source;
    }
    Ok(joined)
}

fn append(one: &mut Series, next: Series, last_source: &Path) -> Result<(), DataError> {
    let end = one.bars.last().map(|bar| bar.ts_ns);
    if next.bars.first().map(|bar| bar.ts_ns) <= end {
        return Err(DataError::Overlap {
            symbol: next.symbol,
            first: last_source.to_owned(),
            second: next.source,
        });
    }
    one.bars.extend(next.bars);
    for (column, more) in one.columns.iter_mut().zip(next.columns) {
        column.extend(more);
    }
    one.is_table |= next.is_table;
    one.rows = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(symbol: &str, source: &str, times: &[i64]) -> Series {
        let bar = |&ts_ns: &i64| Bar {
            ts_ns,
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
        };
        Series::new(symbol, times.iter().map(bar).collect(), source)
    }

    #[test]
    fn the_interval_is_the_most_frequent_step_whatever_the_order() {
        assert_eq!(series("A", "a", &[0, 10, 30, 20, 20, 60]).interval_ns(), Some(10));
        assert_eq!(series("A", "a", &[5]).interval_ns(), None);
        assert_eq!(
            series("A", "a", &[0, 3, 5]).interval_ns(),
            Some(2),
            "the shorter of equals"
        );
    }

    #[test]
    fn monthly_files_of_a_symbol_become_one_series() {
        let parts = vec![
            series("B", "b", &[1]),
            series("A", "2", &[3, 4]),
            series("A", "1", &[1, 2]),
        ];
        let joined = join(parts).unwrap();
        assert_eq!(
            joined,
            vec![series("A", "1", &[1, 2, 3, 4]), series("B", "b", &[1])]
        );
    }

    #[test]
    fn overlapping_sources_of_a_symbol_are_refused_by_name() {
        let parts = vec![series("A", "2", &[2, 3]), series("A", "1", &[1, 2])];
        assert_eq!(
            join(parts).unwrap_err().to_string(),
            "A: 1 and 2 overlap in time: expected one source per symbol and time"
        );
    }

    #[test]
    fn a_disordered_series_is_refused_with_its_rows() {
        let error = series("A", "a.csv", &[1, 3, 2]).check().unwrap_err().to_string();
        assert!(error.starts_with("a.csv: A: 1 out of order (row 3)"), "{error}");
        assert!(matches!(
            series("A", "a", &[]).check(),
            Err(DataError::Empty { .. })
        ));
    }

    #[test]
    fn an_unknown_extension_is_refused_before_the_file_is_opened() {
        let error = read(Path::new("bars.feather"), &ReadOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bars.feather: expected a .parquet or .csv file, found extension `feather`"
        );
    }

    #[test]
    fn the_symbol_ends_at_the_first_dot_or_dash() {
        assert_eq!(
            symbol_from_name(Path::new("x/BTCUSDT.typ.parquet"), '.'),
            "BTCUSDT"
        );
        assert_eq!(
            symbol_from_name(Path::new("BTCUSDT-1m-2024-01.csv"), '-'),
            "BTCUSDT"
        );
        assert_eq!(symbol_from_name(Path::new("BRK-B.csv"), '.'), "BRK-B");
    }
}
