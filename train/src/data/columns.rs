//! From named columns to series: which name holds which field, and how the rows of a file become bars per symbol.

use super::bars::{BarFile, ReadOptions, Series};
use super::error::{DataError, Place};
use super::time::{RawTime, TimeUnit};
use std::collections::HashMap;
use std::path::Path;
use tickfuse_core::features::Bar;

/// A field of a bar and the column names that can hold it, lower case with `_` for space and `-`.
struct Field {
    name: &'static str,
    aliases: &'static [&'static str],
}

const TIME: Field = Field {
    name: "time",
    aliases: &["ts", "timestamp", "open_time", "unix", "datetime", "time", "date"],
};
/// What pandas calls an index without a name in a file; taken when no other column is a time.
const PANDAS_INDEX: &str = "__index_level_0__";
/// The first this many time aliases name a whole instant; of several the earliest in the list is taken.
const N_WHOLE_TIMES: usize = 5;
const SYMBOL: Field = Field {
    name: "symbol",
    aliases: &["symbol", "ticker", "instrument", "pair", "tic"],
};
const VALUES: [Field; 5] = [
    Field {
        name: "open",
        aliases: &["open", "o", "open_price"],
    },
    Field {
        name: "high",
        aliases: &["high", "h", "high_price"],
    },
    Field {
        name: "low",
        aliases: &["low", "l", "low_price"],
    },
    Field {
        name: "close",
        aliases: &["close", "c", "close_price"],
    },
    Field {
        name: "volume",
        aliases: &["volume", "v", "vol", "tick_volume"],
    },
];

/// Which column of a file holds which field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) time: usize,
    pub(super) symbol: Option<usize>,
    /// Open, high, low, close, volume; none of a table.
    pub(super) values: Option<[usize; 5]>,
}

impl Layout {
    /// Finds the fields among the column names of a file, in a table only time and symbol.
    pub(super) fn find(path: &Path, names: &[String], options: &ReadOptions) -> Result<Self, DataError> {
        let plain: Vec<String> = names.iter().map(|name| normal(name)).collect();
        let need =
            |field: &Field| find_one(path, field, names, &plain)?.ok_or_else(|| missing(path, field, names));
        let [open, high, low, close, volume] = &VALUES;
        Ok(Self {
            time: find_time(path, names, &plain)?,
            symbol: find_one(path, &SYMBOL, names, &plain)?,
            values: match options.is_table {
                false => Some([need(open)?, need(high)?, need(low)?, need(close)?, need(volume)?]),
                true => None,
            },
        })
    }
}

fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

fn find_time(path: &Path, names: &[String], plain: &[String]) -> Result<usize, DataError> {
    let whole = TIME.aliases[..N_WHOLE_TIMES].iter();
    if let Some(column) = whole
        .filter_map(|alias| plain.iter().position(|name| name == alias))
        .next()
    {
        return Ok(column);
    }
    find_one(path, &TIME, names, plain)?
        .or_else(|| plain.iter().position(|name| name == PANDAS_INDEX))
        .ok_or_else(|| missing(path, &TIME, names))
}

fn find_one(
    path: &Path,
    field: &Field,
    names: &[String],
    plain: &[String],
) -> Result<Option<usize>, DataError> {
    let mut found = (0..plain.len()).filter(|&column| field.aliases.contains(&plain[column].as_str()));
    let first = found.next();
    if let (Some(first), Some(second)) = (first, found.next()) {
        return Err(DataError::AmbiguousColumn {
            path: path.to_owned(),
            field: field.name,
            first: names[first].clone(),
            second: names[second].clone(),
        });
    }
    Ok(first)
}

fn missing(path: &Path, field: &Field, names: &[String]) -> DataError {
    DataError::MissingColumn {
        path: path.to_owned(),
        field: field.name,
        expected: field.aliases.join(", "),
        found: if names.is_empty() {
            "(none)".into()
        } else {
            names.join(", ")
        },
    }
}

/// Times of a file, all of one kind.
#[derive(Debug)]
pub(super) enum Times {
    /// Whole numbers whose unit is still open.
    Epoch(Vec<i64>),
    /// ns since the epoch.
    Ns(Vec<i64>),
}

impl Times {
    /// Takes one more time; false when it is of the other kind.
    pub(super) fn push(&mut self, time: RawTime) -> bool {
        match (&mut *self, time) {
            (Self::Epoch(values), RawTime::Epoch(value)) | (Self::Ns(values), RawTime::Ns(value)) => {
                values.push(value);
                true
            }
            (Self::Epoch(values), RawTime::Ns(value)) if values.is_empty() => {
                *self = Self::Ns(vec![value]);
                true
            }
            _ => false,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Epoch(values) | Self::Ns(values) => values.len(),
        }
    }
}

/// The symbol of every row, each name stored once.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    names: Vec<String>,
    known: HashMap<String, u32>,
    rows: Vec<u32>,
}

impl Symbols {
    /// Takes the symbol of one more row.
    pub(super) fn push(&mut self, symbol: &str) {
        let id = self.known.get(symbol).copied().unwrap_or_else(|| {
            let id = u32::try_from(self.names.len()).expect("fewer than 2^32 symbols fit in memory");
            self.names.push(symbol.to_owned());
            self.known.insert(symbol.to_owned(), id);
            id
        });
        self.rows.push(id);
    }
}

/// Everything read from one file, in file order.
#[derive(Debug)]
pub(super) struct Columns {
    /// Name of the time column, for messages.
    pub(super) time_name: String,
    pub(super) times: Times,
    /// Open, high, low, close, volume; empty for a table.
    pub(super) values: [Vec<f64>; 5],
    /// Absent when the file has no such column.
    pub(super) symbols: Option<Symbols>,
    /// Symbol of a file without such a column.
    pub(super) default_symbol: String,
}

impl Columns {
    /// Splits the rows into one series per symbol, in order of first appearance.
    pub(super) fn into_file(self, path: &Path, options: &ReadOptions) -> Result<BarFile, DataError> {
        let Self {
            time_name,
            times,
            values,
            symbols,
            default_symbol,
        } = self;
        if times.len() == 0 {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        }
        let (times, time_unit) = settle(path, &time_name, times, options.time_unit)?;
        let bars = bars(&times, &values);
        let series = match symbols {
            None => vec![Series::new(default_symbol, bars, path)],
            Some(symbols) => split(symbols, bars, path),
        };
        let series = match options.is_table {
            false => series,
            true => series.into_iter().map(Series::into_table).collect(),
        };
        Ok(BarFile { series, time_unit })
    }
}

fn bars(times: &[i64], values: &[Vec<f64>; 5]) -> Vec<Bar> {
    let [open, high, low, close, volume] = values;
    let at = |values: &[f64], i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    let bar = |i: usize| Bar {
        ts_ns: times[i],
        open: at(open, i),
        high: at(high, i),
        low: at(low, i),
        close: at(close, i),
        volume: at(volume, i),
    };
    (0..times.len()).map(bar).collect()
}

fn split(symbols: Symbols, bars: Vec<Bar>, path: &Path) -> Vec<Series> {
    let n_series = symbols.names.len();
    let mut parts: Vec<(Vec<Bar>, Vec<u64>)> = vec![(Vec::new(), Vec::new()); n_series];
    for ((bar, &id), row) in bars.into_iter().zip(&symbols.rows).zip(1..) {
        let (bars, rows) = &mut parts[id as usize];
        bars.push(bar);
        rows.push(row);
    }
    let series = |(symbol, (bars, rows))| Series::with_rows(symbol, bars, path, rows);
    symbols.names.into_iter().zip(parts).map(series).collect()
}

/// Times in ns, and the unit they had when they were whole numbers.
fn settle(
    path: &Path,
    column: &str,
    times: Times,
    declared: Option<TimeUnit>,
) -> Result<(Vec<i64>, Option<TimeUnit>), DataError> {
    let values = match times {
        Times::Ns(values) => return Ok((values, None)),
        Times::Epoch(values) => values,
    };
    let unit = match declared {
        Some(unit) => unit,
        None => detect(path, column, &values)?,
    };
    let to_ns = |(i, &value): (usize, &i64)| {
        unit.to_ns(value).ok_or_else(|| {
            let expected = format!("a time in {unit:?} between 1677 and 2262").to_lowercase();
            time_error(path, column, i, expected, value)
        })
    };
    let ns = values.iter().enumerate().map(to_ns).collect::<Result<_, _>>()?;
    Ok((ns, Some(unit)))
}

/// The unit of the largest value; another value that reads well in another unit means a mixed file.
fn detect(path: &Path, column: &str, values: &[i64]) -> Result<TimeUnit, DataError> {
    let largest = values.iter().copied().max().unwrap_or_default();
    let unit = TimeUnit::detect(largest).ok_or_else(|| DataError::TimeUnit {
        path: path.to_owned(),
        column: column.to_owned(),
        found: largest,
    })?;
    let other = |&value: &i64| TimeUnit::detect(value).is_some_and(|found| found != unit);
    match values.iter().position(other) {
        None => Ok(unit),
        Some(i) => {
            let expected = format!("a time in {unit:?} like the largest of the column").to_lowercase();
            Err(time_error(path, column, i, expected, values[i]))
        }
    }
}

fn time_error(path: &Path, column: &str, index: usize, expected: String, found: i64) -> DataError {
    let place = Place {
        path: path.to_owned(),
        row: index as u64 + 1,
        line: None,
        column: column.to_owned(),
    };
    DataError::Value {
        place: Box::new(place),
        expected,
        found: format!("`{found}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn columns(times: Times, symbols: Option<Symbols>) -> Columns {
        let n = times.len();
        let values = std::array::from_fn(|field| (0..n).map(|i| (10 * i + field) as f64).collect());
        Columns {
            time_name: "ts".into(),
            times,
            values,
            symbols,
            default_symbol: "X".into(),
        }
    }

    #[test]
    fn columns_are_found_by_alias_in_any_order_and_case() {
        let layout = Layout::find(
            Path::new("f"),
            &names("Vol,C,L,H,O,Open Time,extra,TICKER"),
            &ReadOptions::default(),
        )
        .unwrap();
        assert_eq!(
            layout,
            Layout {
                time: 5,
                symbol: Some(7),
                values: Some([4, 3, 2, 1, 0])
            }
        );
    }

    #[test]
    fn an_instant_is_preferred_to_a_date_and_a_split_date_and_time_is_refused() {
        let layout = Layout::find(
            Path::new("f"),
            &names("date,unix,open,high,low,close,volume"),
            &ReadOptions::default(),
        )
        .unwrap();
        assert_eq!(layout.time, 1);
        let error = Layout::find(
            Path::new("f"),
            &names("date,time,open,high,low,close,volume"),
            &ReadOptions::default(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "f: two columns for time, `date` and `time`: expected one"
        );
    }

    #[test]
    fn an_unnamed_index_is_the_time_when_nothing_else_is() {
        let layout = Layout::find(
            Path::new("f"),
            &names("open,high,low,close,volume,__index_level_0__"),
            &ReadOptions::default(),
        );
        assert_eq!(layout.unwrap().time, 5);
        let layout = Layout::find(
            Path::new("f"),
            &names("__index_level_0__,date,open,high,low,close,volume"),
            &ReadOptions::default(),
        );
        assert_eq!(layout.unwrap().time, 1);
    }

    #[test]
    fn a_missing_column_is_named_with_what_was_found() {
        let error = Layout::find(
            Path::new("f"),
            &names("ts,open,high,low,price,volume"),
            &ReadOptions::default(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "f: no column for close: expected one of close, c, close_price, \
             found columns ts, open, high, low, price, volume"
        );
    }

    #[test]
    fn rows_of_two_symbols_become_two_series_that_remember_their_rows() {
        let mut symbols = Symbols::default();
        ["B", "A", "B"].into_iter().for_each(|name| symbols.push(name));
        let times = Times::Ns(vec![1, 1, 2]);
        let file = columns(times, Some(symbols))
            .into_file(Path::new("f"), &ReadOptions::default())
            .unwrap();
        let b = &file.series[0];
        assert_eq!((b.symbol.as_str(), b.bars.len(), b.row(1)), ("B", 2, 3));
        assert_eq!((file.series[1].symbol.as_str(), file.series[1].row(0)), ("A", 2));
        assert_eq!(b.bars[1].close, 23.0);
    }

    #[test]
    fn a_unit_change_inside_a_file_is_refused_with_its_row() {
        let times = Times::Epoch(vec![1_735_689_600_000_000, 1_735_689_660_000]);
        let error = columns(times, None)
            .into_file(Path::new("f"), &ReadOptions::default())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "f: row 2, column `ts`: expected a time in us like the largest of the column, found `1735689660000`"
        );
    }

    #[test]
    fn a_declared_unit_is_obeyed_and_overflow_is_refused() {
        let options = ReadOptions {
            time_unit: Some(TimeUnit::S),
            ..ReadOptions::default()
        };
        let file = columns(Times::Epoch(vec![0, 60]), None)
            .into_file(Path::new("f"), &options)
            .unwrap();
        assert_eq!(file.series[0].bars[1].ts_ns, 60_000_000_000);
        let error = columns(Times::Epoch(vec![0, i64::MAX]), None).into_file(Path::new("f"), &options);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("f: row 2, column `ts`: expected a time in s ")
        );
    }

    #[test]
    fn small_numbers_ask_for_a_declared_unit() {
        let error =
            columns(Times::Epoch(vec![0, 60]), None).into_file(Path::new("f"), &ReadOptions::default());
        assert!(matches!(error, Err(DataError::TimeUnit { found: 60, .. })));
    }
}
