//! Bars from Parquet: flat columns by name, whole or floating numbers, typed or whole-number times.
//!
//! Times: TIMESTAMP of any unit (one that is not adjusted to UTC is taken as UTC), INT96, DATE, whole numbers, ISO
//! 8601 text. A null is an error, not a value. Compression: snappy, zstd or none.

mod frame;
mod meaning;

pub(super) use self::frame::columns;

use self::meaning::{Meaning, int96_to_ns, meaning, type_text};
use super::bars::{BarFile, ReadOptions, symbol_from_name};
use super::columns::{Columns, Layout, Symbols, Times};
use super::error::{DataError, Place};
use super::time::{self, RawTime};
use ::parquet::basic::Compression;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;
use std::fmt::Display;
use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

/// Reads every row group of the file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<BarFile, DataError> {
    let columns = catch_unwind(|| read_columns(path, options)).unwrap_or_else(|_| Err(damaged(path)));
    columns?.into_file(path, options)
}

/// The Parquet reader asserts where damaged pages contradict the footer; a damaged file has to be an error.
fn damaged(path: &Path) -> DataError {
    DataError::Malformed {
        path: path.to_owned(),
        detail: "damaged: the pages contradict the footer".into(),
    }
}

/// Places and names of the columns that hold one value per row.
fn flat_columns(reader: &SerializedFileReader<File>) -> impl Iterator<Item = (usize, String)> {
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let flat = columns.iter().enumerate().filter(|(_, c)| is_flat(c));
    flat.map(|(i, c)| (i, c.name().to_owned()))
}

fn read_columns(path: &Path, options: &ReadOptions) -> Result<Columns, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let reader = SerializedFileReader::new(file).map_err(|error| malformed(path, &error))?;
    let (leaves, names): (Vec<usize>, Vec<String>) = flat_columns(&reader).unzip();
    let layout = Layout::find(path, &names, options)?;
    let mut columns = Columns {
        time_name: names[layout.time].clone(),
        times: Times::Epoch(Vec::new()),
        values: Default::default(),
        symbols: layout.symbol.map(|_| Symbols::default()),
        default_symbol: symbol_from_name(path, '.'),
    };
    let mut first_row = 1;
    for index in 0..reader.num_row_groups() {
        let group = reader
            .get_row_group(index)
            .map_err(|error| malformed(path, &error))?;
        let leaf = |column: usize| Leaf::new(path, &*group, leaves[column], first_row);
        for (values, place) in columns.values.iter_mut().zip(layout.values.iter().flatten()) {
            values.extend(leaf(*place)?.numbers()?);
        }
        leaf(layout.time)?.times(&mut columns.times)?;
        if let (Some(column), Some(symbols)) = (layout.symbol, &mut columns.symbols) {
            leaf(column)?.symbols(symbols)?;
        }
        first_row += n_rows(path, &*group)? as u64;
    }
    Ok(columns)
}

fn malformed(path: &Path, error: &ParquetError) -> DataError {
    DataError::Malformed {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}

fn is_flat(column: &ColumnDescriptor) -> bool {
    column.path().parts().len() == 1 && column.max_rep_level() == 0
}

/// One column of one row group.
struct Leaf<'a> {
    rows: Rows<'a>,
    meaning: Meaning,
    reader: ColumnReader,
}

impl<'a> Leaf<'a> {
    fn new(
        path: &'a Path,
        group: &dyn RowGroupReader,
        index: usize,
        first_row: u64,
    ) -> Result<Self, DataError> {
        let chunk = group.metadata().column(index);
        let column = chunk.column_descr_ptr();
        check_compression(path, column.name(), chunk.compression())?;
        let reader = group
            .get_column_reader(index)
            .map_err(|error| malformed(path, &error))?;
        let rows = Rows {
            path,
            name: column.name().to_owned(),
            type_text: type_text(&column),
            optional: column.max_def_level() > 0,
            n_rows: n_rows(path, group)?,
            first_row,
        };
        Ok(Self {
            rows,
            meaning: meaning(&column),
            reader,
        })
    }

    fn numbers(self) -> Result<Vec<f64>, DataError> {
        let Self {
            rows,
            meaning,
            reader,
        } = self;
        match (reader, meaning) {
            (ColumnReader::DoubleColumnReader(reader), _) => rows.all(reader),
            (ColumnReader::FloatColumnReader(reader), _) => rows.convert(reader, f64::from),
            (ColumnReader::Int32ColumnReader(reader), Meaning::Number { signed: true }) => {
                rows.convert(reader, f64::from)
            }
            (ColumnReader::Int32ColumnReader(reader), Meaning::Number { signed: false }) => {
                rows.convert(reader, |value| f64::from(value.cast_unsigned()))
            }
            (ColumnReader::Int64ColumnReader(reader), Meaning::Number { signed: true }) => {
                rows.convert(reader, |value| value as f64)
            }
            (ColumnReader::Int64ColumnReader(reader), Meaning::Number { signed: false }) => {
                rows.convert(reader, |value| value.cast_unsigned() as f64)
            }
            _ => Err(rows.wrong_type("whole or floating numbers")),
        }
    }

    fn times(self, times: &mut Times) -> Result<(), DataError> {
        let Self {
            rows,
            meaning,
            reader,
        } = self;
        match (reader, meaning) {
            (ColumnReader::Int64ColumnReader(reader), Meaning::Number { .. }) => {
                rows.push_times(&rows.all(reader)?, times, |&value| Some(RawTime::Epoch(value)))
            }
            (ColumnReader::Int64ColumnReader(reader), Meaning::Timestamp(unit)) => {
                rows.push_times(&rows.all(reader)?, times, |&value| {
                    unit.to_ns(value).map(RawTime::Ns)
                })
            }
            (ColumnReader::Int32ColumnReader(reader), Meaning::Date) => {
                rows.push_times(&rows.all(reader)?, times, |&days| {
                    time::days_to_ns(days).map(RawTime::Ns)
                })
            }
            (ColumnReader::Int32ColumnReader(reader), Meaning::Number { .. }) => {
                rows.push_times(&rows.all(reader)?, times, |&value| {
                    Some(RawTime::Epoch(value.into()))
                })
            }
            (ColumnReader::Int96ColumnReader(reader), _) => {
                rows.push_times(&rows.all(reader)?, times, int96_to_ns)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Meaning::Text) => {
                let texts: Vec<_> = rows.all(reader)?.iter().map(shown).collect();
                rows.push_times(&texts, times, |text| time::parse(text))
            }
            _ => Err(rows.wrong_type("TIMESTAMP, DATE, whole numbers or text")),
        }
    }

    fn symbols(self, symbols: &mut Symbols) -> Result<(), DataError> {
        let Self { rows, reader, .. } = self;
        let ColumnReader::ByteArrayColumnReader(reader) = reader else {
            return Err(rows.wrong_type("text"));
        };
        for (i, symbol) in rows.all(reader)?.iter().enumerate() {
            match symbol.as_utf8().map(str::trim) {
                Ok(text) if !text.is_empty() => symbols.push(text),
                _ => return Err(rows.refuse(i, "a symbol in UTF-8", &shown(symbol))),
            }
        }
        Ok(())
    }
}

fn check_compression(path: &Path, column: &str, found: Compression) -> Result<(), DataError> {
    match found {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => Ok(()),
        other => Err(DataError::ColumnType {
            path: path.to_owned(),
            column: column.to_owned(),
            expected: "compression by snappy or zstd, or none",
            found: other.to_string(),
        }),
    }
}

fn n_rows(path: &Path, group: &dyn RowGroupReader) -> Result<usize, DataError> {
    usize::try_from(group.metadata().num_rows()).map_err(|_| DataError::Malformed {
        path: path.to_owned(),
        detail: "a row group has a negative number of rows".into(),
    })
}

/// At most 40 characters of a text.
fn shown(text: &ByteArray) -> String {
    String::from_utf8_lossy(text.data()).chars().take(40).collect()
}

/// Where the values of a leaf stand; what reading needs besides the typed reader.
struct Rows<'a> {
    path: &'a Path,
    name: String,
    type_text: String,
    optional: bool,
    n_rows: usize,
    first_row: u64,
}

impl Rows<'_> {
    /// Every value of the column; the first null is an error.
    fn all<T: DataType>(&self, reader: ColumnReaderImpl<T>) -> Result<Vec<T::T>, DataError> {
        let (values, levels) = self.values(reader)?;
        if let Some(null) = levels.iter().position(|&level| level == 0) {
            return Err(self.refuse(null, "a value", "null"));
        }
        self.require(values.len())?;
        Ok(values)
    }

    /// The values that are there, and of an optional column a level per row: 0 for a null.
    fn values<T: DataType>(
        &self,
        mut reader: ColumnReaderImpl<T>,
    ) -> Result<(Vec<T::T>, Vec<i16>), DataError> {
        let mut values = Vec::with_capacity(self.n_rows.min(1 << 20));
        let mut levels = Vec::new();
        let mut read = 0;
        while read < self.n_rows {
            let levels = self.optional.then_some(&mut levels);
            let (n, _, _) = reader
                .read_records(self.n_rows - read, levels, None, &mut values)
                .map_err(|error| malformed(self.path, &error))?;
            if n == 0 {
                break;
            }
            read += n;
        }
        Ok((values, levels))
    }

    fn require(&self, found: usize) -> Result<(), DataError> {
        if found == self.n_rows {
            return Ok(());
        }
        let detail = format!(
            "column `{}`: expected {} rows, found {found}",
            self.name, self.n_rows
        );
        Err(DataError::Malformed {
            path: self.path.to_owned(),
            detail,
        })
    }

    fn convert<T: DataType>(
        &self,
        reader: ColumnReaderImpl<T>,
        to_f64: impl Fn(T::T) -> f64,
    ) -> Result<Vec<f64>, DataError> {
        Ok(self.all(reader)?.into_iter().map(to_f64).collect())
    }

    fn push_times<T: Display>(
        &self,
        values: &[T],
        times: &mut Times,
        parse: impl Fn(&T) -> Option<RawTime>,
    ) -> Result<(), DataError> {
        for (i, value) in values.iter().enumerate() {
            let taken = parse(value).is_some_and(|time| times.push(time));
            if !taken {
                return Err(self.refuse(i, "a time between 1677 and 2262", &value.to_string()));
            }
        }
        Ok(())
    }

    fn refuse(&self, index: usize, expected: &str, found: &str) -> DataError {
        let place = Place {
            path: self.path.to_owned(),
            row: self.first_row + index as u64,
            line: None,
            column: self.name.clone(),
        };
        DataError::Value {
            place: Box::new(place),
            expected: expected.to_owned(),
            found: format!("`{found}`"),
        }
    }

    fn wrong_type(&self, expected: &'static str) -> DataError {
        DataError::ColumnType {
            path: self.path.to_owned(),
            column: self.name.clone(),
            expected,
            found: self.type_text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::column::writer::ColumnWriter;
    use ::parquet::data_type::Int96;
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// One column: its declaration in the schema language and its values; `None` is a null.
    enum Values {
        I32(Vec<i32>),
        I64(Vec<i64>),
        I96(Vec<Int96>),
        F32(Vec<f32>),
        F64(Vec<Option<f64>>),
        Text(Vec<&'static str>),
    }

    type Column = (&'static str, Values);

    fn prices(n: usize) -> Vec<Column> {
        let ones = || Values::F64(vec![Some(1.0); n]);
        vec![
            ("required double open", ones()),
            ("required double high", ones()),
            ("required double low", ones()),
            ("required double close", ones()),
            ("required double volume", ones()),
        ]
    }

    fn put(group: &mut SerializedRowGroupWriter<'_, File>, values: &Values) {
        let mut column = group.next_column().unwrap().unwrap();
        match (column.untyped(), values) {
            (ColumnWriter::Int32ColumnWriter(w), Values::I32(v)) => w.write_batch(v, None, None).unwrap(),
            (ColumnWriter::Int64ColumnWriter(w), Values::I64(v)) => w.write_batch(v, None, None).unwrap(),
            (ColumnWriter::Int96ColumnWriter(w), Values::I96(v)) => w.write_batch(v, None, None).unwrap(),
            (ColumnWriter::FloatColumnWriter(w), Values::F32(v)) => w.write_batch(v, None, None).unwrap(),
            (ColumnWriter::DoubleColumnWriter(w), Values::F64(v)) => {
                let levels: Vec<i16> = v.iter().map(|value| i16::from(value.is_some())).collect();
                let present: Vec<f64> = v.iter().copied().flatten().collect();
                w.write_batch(&present, Some(&levels), None).unwrap()
            }
            (ColumnWriter::ByteArrayColumnWriter(w), Values::Text(v)) => {
                let texts: Vec<ByteArray> = v.iter().map(|&text| text.into()).collect();
                w.write_batch(&texts, None, None).unwrap()
            }
            _ => panic!("declaration and values of a test column differ"),
        };
        column.close().unwrap();
    }

    fn read_groups(compression: Compression, groups: &[Vec<Column>]) -> Result<BarFile, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("A.x.parquet");
        write(&path, compression, groups);
        read(&path, &ReadOptions::default())
    }

    fn write(path: &Path, compression: Compression, groups: &[Vec<Column>]) {
        let fields: Vec<String> = groups[0]
            .iter()
            .map(|(declaration, _)| format!("{declaration};"))
            .collect();
        let schema =
            Arc::new(parse_message_type(&format!("message bars {{ {} }}", fields.concat())).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
        for columns in groups {
            let mut group = writer.next_row_group().unwrap();
            columns.iter().for_each(|(_, values)| put(&mut group, values));
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    fn read_with(mut columns: Vec<Column>, first: Column) -> Result<BarFile, DataError> {
        columns.insert(0, first);
        read_groups(Compression::UNCOMPRESSED, &[columns])
    }

    fn message(result: Result<BarFile, DataError>) -> String {
        result
            .unwrap_err()
            .to_string()
            .rsplit_once("A.x.parquet: ")
            .unwrap()
            .1
            .to_owned()
    }

    const TIME_NS: i64 = 1_746_372_780_000_000_000;

    #[test]
    fn every_type_of_time_gives_the_same_instant() {
        let times: [Column; 5] = [
            ("required int64 ts", Values::I64(vec![TIME_NS / 1_000_000])),
            (
                "required int64 ts (TIMESTAMP(MICROS,true))",
                Values::I64(vec![TIME_NS / 1_000]),
            ),
            (
                "required int64 ts (TIMESTAMP_MILLIS)",
                Values::I64(vec![TIME_NS / 1_000_000]),
            ),
            (
                "required int64 ts (TIMESTAMP(NANOS,false))",
                Values::I64(vec![TIME_NS]),
            ),
            (
                "required binary ts (STRING)",
                Values::Text(vec!["2025-05-04 15:33:00"]),
            ),
        ];
        for time in times {
            let name = time.0;
            let file = read_with(prices(1), time).unwrap();
            assert_eq!(file.series[0].bars[0].ts_ns, TIME_NS, "{name}");
        }
        let file = read_with(
            prices(1),
            ("required int32 date (DATE)", Values::I32(vec![20_212])),
        )
        .unwrap();
        assert_eq!(time::iso(file.series[0].bars[0].ts_ns), "2025-05-04T00:00:00Z");
    }

    #[test]
    fn a_julian_day_is_a_time_while_ns_can_hold_it() {
        let julian = |day: u32, ns: u64| {
            let mut time = Int96::new();
            time.set_data(ns as u32, (ns >> 32) as u32, day);
            ("required int96 ts", Values::I96(vec![time]))
        };
        let ns_of_day = 15 * 3_600_000_000_000 + 33 * 60_000_000_000;
        let file = read_with(prices(1), julian(2_440_588 + 20_212, ns_of_day)).unwrap();
        assert_eq!(file.series[0].bars[0].ts_ns, TIME_NS);
        for day in [0, u32::MAX] {
            let found = message(read_with(prices(1), julian(day, 0)));
            assert!(
                found.contains("column `ts`: expected a time between 1677 and 2262"),
                "{found}"
            );
        }
    }

    #[test]
    fn whole_and_short_numbers_are_prices_too() {
        let columns: Vec<Column> = vec![
            ("required int64 ts", Values::I64(vec![TIME_NS])),
            ("required float open", Values::F32(vec![0.5])),
            ("required int32 high", Values::I32(vec![-1])),
            ("required int64 low", Values::I64(vec![2])),
            ("required int64 close (INTEGER(64,false))", Values::I64(vec![-1])),
            ("required int32 volume (INTEGER(32,false))", Values::I32(vec![-1])),
        ];
        let file = read_groups(Compression::UNCOMPRESSED, &[columns]).unwrap();
        let bar = file.series[0].bars[0];
        let found = [bar.open, bar.high, bar.low, bar.close, bar.volume];
        assert_eq!(found, [0.5, -1.0, 2.0, u64::MAX as f64, f64::from(u32::MAX)]);
    }

    #[test]
    fn rows_run_on_over_row_groups_and_symbols_split_them() {
        let group = |times: Vec<i64>, symbols: Vec<&'static str>| {
            let mut columns = prices(times.len());
            columns.push(("required int64 ts", Values::I64(times)));
            columns.push(("required binary symbol (STRING)", Values::Text(symbols)));
            columns
        };
        let groups = [
            group(vec![TIME_NS, TIME_NS], vec!["B", "A"]),
            group(vec![TIME_NS + 1], vec!["A"]),
        ];
        for compression in [Compression::SNAPPY, Compression::ZSTD(Default::default())] {
            let file = read_groups(compression, &groups).unwrap();
            let a = &file.series[1];
            assert_eq!((a.symbol.as_str(), a.bars.len(), a.row(1)), ("A", 2, 3));
        }
    }

    #[test]
    fn a_null_names_row_and_column_across_row_groups() {
        let group = |values: Vec<Option<f64>>| {
            let mut columns = prices(values.len());
            columns[3] = ("optional double close", Values::F64(values.clone()));
            columns.push(("required int64 ts", Values::I64(vec![TIME_NS; values.len()])));
            columns
        };
        let sound = group(vec![Some(1.0), Some(2.0)]);
        let groups = [sound, group(vec![Some(3.0), None])];
        let found = message(read_groups(Compression::UNCOMPRESSED, &groups));
        assert_eq!(found, "row 4, column `close`: expected a value, found `null`");
    }

    #[test]
    fn types_that_would_be_misread_are_refused() {
        let decimal = ("required int64 close (DECIMAL(10,2))", Values::I64(vec![100]));
        let mut columns = prices(1);
        columns[3] = decimal;
        let found = message(read_with(
            columns,
            ("required int64 ts", Values::I64(vec![TIME_NS])),
        ));
        assert!(
            found.starts_with("column `close`: expected whole or floating numbers, found INT64 (Decimal")
        );
        let found = message(read_with(
            prices(1),
            ("required float ts", Values::F32(vec![1.0])),
        ));
        assert_eq!(
            found,
            "column `ts`: expected TIMESTAMP, DATE, whole numbers or text, found FLOAT"
        );
    }

    #[test]
    fn other_compression_is_refused_by_name() {
        let check = |found| check_compression(Path::new("f"), "ts", found);
        check(Compression::ZSTD(Default::default())).unwrap();
        let error = check(Compression::GZIP(Default::default()))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("f: column `ts`: expected compression by snappy or zstd, or none, found GZIP")
        );
    }

    #[test]
    fn an_empty_or_damaged_file_is_refused() {
        let found = message(read_with(prices(0), ("required int64 ts", Values::I64(vec![]))));
        assert_eq!(found, "expected at least one bar, found none");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("A.parquet");
        std::fs::write(&path, b"PAR1 but nothing more").unwrap();
        assert!(matches!(
            read(&path, &ReadOptions::default()),
            Err(DataError::Malformed { .. })
        ));
    }

    #[test]
    fn flipped_bytes_and_truncations_are_errors_or_bars_and_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("A.parquet");
        let mut columns = prices(9);
        columns.push((
            "required int64 ts",
            Values::I64((0..9).map(|i| TIME_NS + i).collect()),
        ));
        columns.push(("optional double extra", Values::F64(vec![None; 9])));
        write(&path, Compression::SNAPPY, &[columns]);
        let sound = std::fs::read(&path).unwrap();
        let (mut n_refused, mut n_read) = (0, 0);
        for at in (0..sound.len()).step_by(7) {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, &damaged).unwrap();
            match read(&path, &ReadOptions::default()) {
                Ok(_) => n_read += 1,
                Err(_) => n_refused += 1,
            }
            std::fs::write(&path, &sound[..at]).unwrap();
            assert!(read(&path, &ReadOptions::default()).is_err(), "{at} bytes");
        }
        assert!(
            n_refused > n_read / 2 && n_read > 0,
            "{n_refused} refused, {n_read} read"
        );
    }
}
