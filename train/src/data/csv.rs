//! Bars from CSV: columns by name, or the twelve columns of an exchange's kline files without a header.
//!
//! Klines (Binance): open time, open, high, low, close, volume, close time, quote volume, trades, two taker
//! volumes, unused. The separator is the one of `,` `;` tab that the first line has most of.

use super::bars::{BarFile, ReadOptions, symbol_from_name};
use super::columns::{Columns, Layout, Symbols, Times};
use super::error::{DataError, Place};
use super::time;
use ::csv::{ByteRecord, Reader, ReaderBuilder};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

const KLINE_COLUMNS: [&str; 12] = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_base_volume",
    "taker_quote_volume",
    "unused",
];

/// Reads every row of the file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<BarFile, DataError> {
    let (mut reader, delimiter) = open(path)?;
    let mut record = ByteRecord::new();
    if !next(path, &mut reader, &mut record)? {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let headerless = is_headerless(&record);
    let names = if headerless {
        kline_names(path, &record)?
    } else {
        header(&record)
    };
    let layout = Layout::find(path, &names, options).map_err(|error| explain(error, delimiter))?;
    let mut sink = Sink::new(path, names, layout);
    if headerless {
        sink.take(&record)?;
    }
    while next(path, &mut reader, &mut record)? {
        sink.take(&record)?;
    }
    sink.columns.into_file(path, options)
}

fn open(path: &Path) -> Result<(Reader<BufReader<File>>, u8), DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(DataError::io(path))?;
    let first_line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| first_line.iter().filter(|&&byte| byte == delimiter).count();
    let delimiter = [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|&one| count(one))
        .unwrap_or(b',');
    file.rewind().map_err(DataError::io(path))?;
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(file);
    Ok((reader, delimiter))
}

fn next(
    path: &Path,
    reader: &mut Reader<BufReader<File>>,
    record: &mut ByteRecord,
) -> Result<bool, DataError> {
    reader.read_byte_record(record).map_err(|error| {
        let detail = match error.kind() {
            ::csv::ErrorKind::UnequalLengths {
                pos,
                expected_len,
                len,
            } => {
                let line = pos.as_ref().map_or(0, ::csv::Position::line);
                format!("line {line}: expected {expected_len} columns like the first line, found {len}")
            }
            _ => error.to_string(),
        };
        DataError::Malformed {
            path: path.to_owned(),
            detail,
        }
    })
}

fn header(record: &ByteRecord) -> Vec<String> {
    record
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).trim().to_owned())
        .collect()
}

/// A header has at least one cell that is no number.
fn is_headerless(record: &ByteRecord) -> bool {
    let number = |cell: &[u8]| number(cell).is_some();
    record.iter().all(|cell| cell.is_empty() || number(cell)) && record.iter().any(number)
}

fn kline_names(path: &Path, record: &ByteRecord) -> Result<Vec<String>, DataError> {
    let value = |column: usize| record.get(column).and_then(number);
    if record.len() == KLINE_COLUMNS.len() && value(6) > value(0) {
        return Ok(KLINE_COLUMNS.map(str::to_owned).to_vec());
    }
    let detail = format!(
        "line 1: expected a header, or the 12 columns of exchange klines (open time first, close time seventh), \
         found {} numbers",
        record.len()
    );
    Err(DataError::Malformed {
        path: path.to_owned(),
        detail,
    })
}

/// A file with one column most likely has another separator.
fn explain(error: DataError, delimiter: u8) -> DataError {
    match error {
        DataError::MissingColumn {
            path,
            field,
            expected,
            found,
        } if !found.contains(", ") => {
            let found = format!(
                "{found} (separated by `{}`)",
                char::from(delimiter).escape_default()
            );
            DataError::MissingColumn {
                path,
                field,
                expected,
                found,
            }
        }
        other => other,
    }
}

fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.trim().parse().ok()
}

/// Collects the rows of one file.
struct Sink<'a> {
    path: &'a Path,
    names: Vec<String>,
    layout: Layout,
    columns: Columns,
    row: u64,
}

impl<'a> Sink<'a> {
    fn new(path: &'a Path, names: Vec<String>, layout: Layout) -> Self {
        // Files of klines are named PAIR-INTERVAL-MONTH.
        let symbol_end = if names.iter().any(|name| name == KLINE_COLUMNS[6]) {
            '-'
        } else {
            '.'
        };
        let columns = Columns {
            time_name: names[layout.time].clone(),
            times: Times::Epoch(Vec::new()),
            values: Default::default(),
            symbols: layout.symbol.map(|_| Symbols::default()),
            default_symbol: symbol_from_name(path, symbol_end),
        };
        Self {
            path,
            names,
            layout,
            columns,
            row: 0,
        }
    }

    fn take(&mut self, record: &ByteRecord) -> Result<(), DataError> {
        self.row += 1;
        for (field, &column) in self.layout.values.iter().flatten().enumerate() {
            let value = number(&record[column]).ok_or_else(|| self.refuse(record, column, "a number"))?;
            self.columns.values[field].push(value);
        }
        self.take_time(record)?;
        self.take_symbol(record)
    }

    fn take_time(&mut self, record: &ByteRecord) -> Result<(), DataError> {
        let column = self.layout.time;
        let parsed = std::str::from_utf8(&record[column]).ok().and_then(time::parse);
        match parsed.map(|time| self.columns.times.push(time)) {
            Some(true) => Ok(()),
            Some(false) => Err(self.refuse(record, column, "the same kind of time as in the rows before")),
            None => Err(self.refuse(record, column, "a whole number since the epoch or ISO 8601 text")),
        }
    }

    fn take_symbol(&mut self, record: &ByteRecord) -> Result<(), DataError> {
        let Some(column) = self.layout.symbol else {
            return Ok(());
        };
        let symbol = std::str::from_utf8(&record[column]).unwrap_or_default().trim();
        match &mut self.columns.symbols {
            Some(symbols) if !symbol.is_empty() => symbols.push(symbol),
            _ => return Err(self.refuse(record, column, "a symbol in UTF-8")),
        }
        Ok(())
    }

    fn refuse(&self, record: &ByteRecord, column: usize, expected: &str) -> DataError {
        let cell = &record[column];
        let found = match String::from_utf8_lossy(cell) {
            text if text.trim().is_empty() => "nothing".to_owned(),
            text => format!("`{}`", text.chars().take(40).collect::<String>()),
        };
        let place = Place {
            path: self.path.to_owned(),
            row: self.row,
            line: record.position().map(::csv::Position::line),
            column: self.names[column].clone(),
        };
        DataError::Value {
            place: Box::new(place),
            expected: expected.to_owned(),
            found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::TimeUnit;
    use super::*;

    const HEADER: &str = "ts,open,high,low,close,volume\n";

    fn read_named(name: &str, text: &str) -> Result<BarFile, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path, &ReadOptions::default())
    }

    fn message(text: &str) -> String {
        let error = read_named("A.csv", text).unwrap_err().to_string();
        error.rsplit_once("A.csv: ").unwrap().1.to_owned()
    }

    #[test]
    fn bars_with_a_header_are_read_with_the_detected_unit() {
        let file = read_named("A.x.csv", &format!("{HEADER}1746372780000,1,4,0.5,2,7\n")).unwrap();
        assert_eq!(file.time_unit, Some(TimeUnit::Ms));
        let series = &file.series[0];
        assert_eq!(series.symbol, "A");
        let bar = series.bars[0];
        assert_eq!(bar.ts_ns, 1_746_372_780_000_000_000);
        assert_eq!(
            [bar.open, bar.high, bar.low, bar.close, bar.volume],
            [1.0, 4.0, 0.5, 2.0, 7.0]
        );
    }

    #[test]
    fn separators_byte_order_mark_and_carriage_returns_do_not_matter() {
        let text = "\u{feff}Date;Open;High;Low;Close;Volume\r\n2024-01-02;1;1;1;1;1\r\n";
        for text in [text.to_owned(), text.replace(';', "\t"), text.replace(';', ",")] {
            let file = read_named("A.csv", &text).unwrap();
            assert_eq!(
                file.series[0].bars[0].ts_ns, 1_704_153_600_000_000_000,
                "{text:?}"
            );
            assert_eq!(file.time_unit, None);
        }
    }

    #[test]
    fn klines_without_a_header_are_recognised_and_named_by_their_pair() {
        let line = "1735689600000000,1,4,0.5,2,7,1735689659999999,99,5,1,1,0\n";
        let file = read_named("BTCUSDT-1m-2025-01.csv", line).unwrap();
        assert_eq!(file.time_unit, Some(TimeUnit::Us));
        assert_eq!(file.series[0].symbol, "BTCUSDT");
        assert_eq!(file.series[0].bars.len(), 1, "the first line is a bar");
        assert_eq!(file.series[0].bars[0].volume, 7.0);
        let with_header = format!("{}\n{line}", KLINE_COLUMNS.join(","));
        let same = read_named("BTCUSDT-1m-2025-01.csv", &with_header).unwrap();
        assert_eq!(same.series[0].symbol, "BTCUSDT");
        assert_eq!(same.series[0].bars, file.series[0].bars);
    }

    #[test]
    fn other_numbers_without_a_header_are_refused() {
        assert!(
            message("1735689600,1,1,1,1,1\n").starts_with("line 1: expected a header, or the 12 columns")
        );
        let no_close_time = "1735689600000,1,4,0.5,2,7,5,99,5,1,1,0\n";
        assert!(message(no_close_time).ends_with("found 12 numbers"));
    }

    #[test]
    fn a_bad_number_names_row_line_and_column() {
        let text = format!("{HEADER}1746372780000,1,1,1,1,1\n1746372840000,1,1,1,abc,1\n");
        assert_eq!(
            message(&text),
            "row 2 (line 3), column `close`: expected a number, found `abc`"
        );
        let text = format!("{HEADER}1746372780000,1,,1,1,1\n");
        assert_eq!(
            message(&text),
            "row 1 (line 2), column `high`: expected a number, found nothing"
        );
    }

    #[test]
    fn a_bad_time_and_a_change_of_its_kind_are_refused() {
        let text = format!("{HEADER}yesterday,1,1,1,1,1\n");
        assert!(message(&text).starts_with("row 1 (line 2), column `ts`: expected a whole number"));
        let text = format!("{HEADER}1746372780000,1,1,1,1,1\n2025-01-01,1,1,1,1,1\n");
        assert!(message(&text).starts_with("row 2 (line 3), column `ts`: expected the same kind of time"));
    }

    #[test]
    fn a_short_line_names_its_number() {
        let text = format!("{HEADER}1746372780000,1,1,1,1,1\n1746372840000,1,1\n");
        assert_eq!(
            message(&text),
            "line 3: expected 6 columns like the first line, found 3"
        );
    }

    #[test]
    fn an_empty_symbol_is_refused() {
        let text = "ts,symbol,open,high,low,close,volume\n1746372780000, ,1,1,1,1,1\n";
        assert_eq!(
            message(text),
            "row 1 (line 2), column `symbol`: expected a symbol in UTF-8, found nothing"
        );
    }

    #[test]
    fn files_without_bars_and_missing_files_are_told_apart() {
        assert_eq!(message(""), "expected at least one bar, found none");
        assert_eq!(message(HEADER), "expected at least one bar, found none");
        let error = read(Path::new("/nowhere/A.csv"), &ReadOptions::default());
        assert!(matches!(error, Err(DataError::Io { .. })));
    }

    #[test]
    fn one_column_files_state_the_separator_used() {
        assert!(message("ts|open\n1|2\n").ends_with("found columns ts|open (separated by `,`)"));
    }

    #[test]
    fn not_a_number_in_text_is_read_and_left_to_the_inspection() {
        let file = read_named("A.csv", &format!("{HEADER}1746372780000,1,1,1,NaN,1\n")).unwrap();
        assert!(file.series[0].bars[0].close.is_nan());
    }
}
