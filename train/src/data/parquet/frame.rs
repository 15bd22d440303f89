//! Columns of a Parquet file by name, nulls kept.

use super::super::error::DataError;
use super::super::frame::{Cells, places};
use super::{Leaf, Meaning, Rows, damaged, is_flat, malformed, n_rows, shown};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

/// The columns of these names, which all must be there.
pub(in super::super) fn columns(path: &Path, names: &[String]) -> Result<Vec<(String, Cells)>, DataError> {
    catch_unwind(|| read(path, names)).unwrap_or_else(|_| Err(damaged(path)))
}

fn read(path: &Path, names: &[String]) -> Result<Vec<(String, Cells)>, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let reader = SerializedFileReader::new(file).map_err(|error| malformed(path, &error))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let leaves: Vec<usize> = (0..schema.num_columns())
        .filter(|&i| is_flat(&schema.column(i)))
        .collect();
    let found: Vec<String> = leaves
        .iter()
        .map(|&i| schema.column(i).name().to_owned())
        .collect();
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
