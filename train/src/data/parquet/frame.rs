//! Columns of a Parquet file by name, nulls kept.

use super::super::error::DataError;
use super::super::frame::{Cells, places};
use super::{Leaf, Meaning, Rows, damaged, flat_columns, malformed, n_rows, shown};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

/// The columns of these names, which all must be there. Damage is an error, though the reader asserts there.
pub(in super::super) fn columns(path: &Path, names: &[String]) -> Result<Vec<(String, Cells)>, DataError> {
    catch_unwind(|| read(path, names)).unwrap_or_else(|_| Err(damaged(path)))
}

fn read(path: &Path, names: &[String]) -> Result<Vec<(String, Cells)>, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let reader = SerializedFileReader::new(file).map_err(|error| malformed(path, &error))?;
    let (leaves, found): (Vec<usize>, Vec<String>) = flat_columns(&reader).unzip();
    let places = places(path, names, &found)?;
    let mut columns: Vec<Option<Cells>> = vec![None; names.len()];
    let mut first_row = 1;
    for index in 0..reader.num_row_groups() {
        let group = reader
            .get_row_group(index)
            .map_err(|error| malformed(path, &error))?;
        for (column, place) in columns.iter_mut().zip(&places) {
            let cells = cells(Leaf::new(path, &*group, leaves[*place], first_row)?)?;
            match column {
                Some(known) => known.extend(cells),
                None => *column = Some(cells),
            }
        }
        first_row += n_rows(path, &*group)? as u64;
    }
    let all = columns
        .into_iter()
        .map(|cells| cells.unwrap_or(Cells::Text(Vec::new())));
    Ok(names.iter().cloned().zip(all).collect())
}

impl Cells {
    /// The same column of another row group, which has the same type.
    fn extend(&mut self, more: Self) {
        match (self, more) {
            (Self::Text(cells), Self::Text(more)) => cells.extend(more),
            (Self::Real(cells), Self::Real(more)) => cells.extend(more),
            (Self::Whole(cells), Self::Whole(more)) => cells.extend(more),
            (Self::Flag(cells), Self::Flag(more)) => cells.extend(more),
            _ => unreachable!("a column has one type in every row group"),
        }
    }
}

fn cells(leaf: Leaf<'_>) -> Result<Cells, DataError> {
    let Leaf {
        rows,
        meaning,
        reader,
    } = leaf;
    Ok(match (reader, meaning) {
        (ColumnReader::DoubleColumnReader(reader), _) => {
            Cells::Real(rows.with_nulls(reader, |v| v, f64::NAN)?)
        }
        (ColumnReader::FloatColumnReader(reader), _) => {
            Cells::Real(rows.with_nulls(reader, f64::from, f64::NAN)?)
        }
        (ColumnReader::BoolColumnReader(reader), _) => Cells::Flag(rows.with_nulls(reader, Some, None)?),
        (ColumnReader::Int32ColumnReader(reader), Meaning::Number { signed: true }) => {
            Cells::Whole(rows.with_nulls(reader, |v| Some(v.into()), None)?)
        }
        (ColumnReader::Int64ColumnReader(reader), Meaning::Number { signed: true }) => {
            Cells::Whole(rows.with_nulls(reader, Some, None)?)
        }
        (ColumnReader::Int32ColumnReader(reader), Meaning::Number { signed: false }) => {
            Cells::Whole(rows.with_nulls(reader, |v| Some(v.cast_unsigned().into()), None)?)
        }
        (ColumnReader::ByteArrayColumnReader(reader), Meaning::Text) => {
            let text = |bytes: ::parquet::data_type::ByteArray| match bytes.as_utf8() {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => Err(shown(&bytes)),
            };
            let texts = rows.with_nulls(reader, text, Ok(String::new()))?;
            let place = texts.iter().position(Result::is_err);
            if let Some((at, Err(found))) = place.map(|at| (at, &texts[at])) {
                return Err(rows.refuse(at, "text in UTF-8", found));
            }
            Cells::Text(texts.into_iter().flatten().collect())
        }
        _ => return Err(rows.wrong_type("numbers, truth values or text")),
    })
}

impl Rows<'_> {
    /// Every value of the column, `null` where there is none.
    fn with_nulls<T: DataType, V: Clone>(
        &self,
        reader: ColumnReaderImpl<T>,
        convert: impl Fn(T::T) -> V,
        null: V,
    ) -> Result<Vec<V>, DataError> {
        let (values, levels) = self.values(reader)?;
        let n_nulls = levels.iter().filter(|level| **level == 0).count();
        self.require(values.len() + n_nulls)?;
        let mut values = values.into_iter().map(convert);
        if levels.is_empty() {
            return Ok(values.collect());
        }
        let cell = |level: &i16| match level {
            0 => Some(null.clone()),
            _ => values.next(),
        };
        Ok(levels.iter().filter_map(cell).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::column::writer::ColumnWriter;
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    const SCHEMA: &str = "message bars { optional binary symbol (STRING); required int64 step; optional double close; \
                          optional boolean open; required int64 at (TIMESTAMP(MILLIS,true)); }";

    /// Two row groups of two rows, the second row of each with nulls.
    fn file(path: &Path) {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
        for first in [0, 2] {
            let mut group = writer.next_row_group().unwrap();
            while let Some(mut column) = group.next_column().unwrap() {
                let levels = Some(&[1, 0][..]);
                match column.untyped() {
                    ColumnWriter::ByteArrayColumnWriter(w) => w.write_batch(&["A".into()], levels, None),
                    ColumnWriter::Int64ColumnWriter(w) => w.write_batch(&[first, first + 1], None, None),
                    ColumnWriter::DoubleColumnWriter(w) => w.write_batch(&[1.5], levels, None),
                    ColumnWriter::BoolColumnWriter(w) => w.write_batch(&[true], levels, None),
                    _ => panic!("a column of another type"),
                }
                .unwrap();
                column.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    fn named(names: &[&str]) -> Result<Vec<(String, Cells)>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.parquet");
        file(&path);
        columns(
            &path,
            &names.iter().map(|name| (*name).into()).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn columns_of_every_row_group_come_with_their_nulls() {
        let found = named(&["close", "symbol", "step", "open"]).unwrap();
        let Cells::Real(close) = &found[0].1 else {
            panic!("{found:?}");
        };
        assert_eq!((close[0], close[2], close.len()), (1.5, 1.5, 4));
        assert!(close[1].is_nan() && close[3].is_nan());
        let text = |texts: [&str; 4]| Cells::Text(texts.map(Into::into).to_vec());
        assert_eq!(found[1].1, text(["A", "", "A", ""]));
        assert_eq!(found[2].1, Cells::Whole((0..4).map(Some).collect()));
        assert_eq!(found[3].1, Cells::Flag(vec![Some(true), None, Some(true), None]));
    }

    #[test]
    fn a_column_that_is_missing_or_of_another_type_is_refused() {
        assert!(matches!(named(&["volume"]), Err(DataError::MissingColumn { .. })));
        let error = named(&["at"]).unwrap_err().to_string();
        assert!(
            error.contains("column `at`: expected numbers, truth values or text"),
            "{error}"
        );
    }
}
