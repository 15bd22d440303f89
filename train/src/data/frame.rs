//! Tables by column name, from CSV or Parquet: numbers and labels as they stand, nothing computed.
//!
//! An empty cell or a null is a missing number or the empty label.

use super::error::{DataError, Place};
use super::parquet;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Some columns of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    path: PathBuf,
    columns: Vec<(String, Cells)>,
    n_rows: usize,
}

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Text, of which numbers are read on demand.
    Text(Vec<String>),
    /// Floating numbers.
    Real(Vec<f64>),
    /// Whole numbers; a null is absent.
    Whole(Vec<Option<i64>>),
    /// Truth values; a null is absent.
    Flag(Vec<Option<bool>>),
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Text(cells) => cells.len(),
            Self::Real(cells) => cells.len(),
            Self::Whole(cells) => cells.len(),
            Self::Flag(cells) => cells.len(),
        }
    }

    /// As Python shows it, which is how labels were learnt.
    fn text(&self, row: usize) -> Cow<'_, str> {
        match self {
            Self::Text(cells) => Cow::Borrowed(cells[row].trim()),
            Self::Real(cells) if cells[row].is_nan() => Cow::Borrowed(""),
            Self::Real(cells) => Cow::Owned(format!("{:?}", cells[row])),
            Self::Whole(cells) => cells[row].map_or(Cow::Borrowed(""), |v| Cow::Owned(v.to_string())),
            Self::Flag(cells) => Cow::Borrowed(match cells[row] {
                Some(true) => "True",
                Some(false) => "False",
                None => "",
            }),
        }
    }

    /// NaN where the cell is empty, none where it is no number.
    fn real(&self, row: usize) -> Option<f64> {
        match self {
            Self::Text(cells) if cells[row].trim().is_empty() => Some(f64::NAN),
            Self::Text(cells) => cells[row].trim().parse().ok(),
            Self::Real(cells) => Some(cells[row]),
            Self::Whole(cells) => Some(cells[row].map_or(f64::NAN, |v| v as f64)),
            Self::Flag(cells) => Some(cells[row].map_or(f64::NAN, |v| f64::from(u8::from(v)))),
        }
    }
}

impl Frame {
    /// The columns of these names, which all must be there.
    ///
    /// # Errors
    /// [`DataError`]: with the first missing name and those found, or with row and column.
    pub fn read(path: &Path, names: &[String]) -> Result<Self, DataError> {
        let columns = match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => csv_columns(path, names)?,
            Some("parquet") => parquet::columns(path, names)?,
            found => {
                return Err(DataError::Extension {
                    path: path.to_owned(),
                    found: found.unwrap_or_default().to_owned(),
                });
            }
        };
        Ok(Self {
            path: path.to_owned(),
            n_rows: columns.first().map_or(0, |(_, cells)| cells.len()),
            columns,
        })
    }

    /// Rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Place of a column that was asked for.
    ///
    /// # Panics
    /// When it was not.
    #[must_use]
    pub fn place(&self, name: &str) -> usize {
        let found = self.columns.iter().position(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("column `{name}` was not asked for"))
    }

    /// A cell as a label.
    #[must_use]
    pub fn label(&self, column: usize, row: usize) -> Cow<'_, str> {
        self.columns[column].1.text(row)
    }

    /// A cell as a number; NaN where it is empty.
    ///
    /// # Errors
    /// [`DataError::Value`].
    pub fn real(&self, column: usize, row: usize) -> Result<f64, DataError> {
        let found = self.columns[column].1.real(row);
        found.ok_or_else(|| self.refuse(column, row, "a number"))
    }

    /// A cell as a whole number.
    ///
    /// # Errors
    /// [`DataError::Value`].
    pub fn whole(&self, column: usize, row: usize) -> Result<i64, DataError> {
        let value = match &self.columns[column].1 {
            Cells::Text(cells) => cells[row].trim().parse().ok(),
            Cells::Whole(cells) => cells[row],
            // Frames with missing values elsewhere keep counts as floating numbers.
            Cells::Real(cells) => {
                let value = cells[row];
                (value.fract() == 0.0 && value.abs() < 2_f64.powi(53)).then_some(value as i64)
            }
            Cells::Flag(_) => None,
        };
        value.ok_or_else(|| self.refuse(column, row, "a whole number"))
    }

    /// An error about one cell.
    #[must_use]
    pub fn refuse(&self, column: usize, row: usize, expected: impl Into<String>) -> DataError {
        let (name, cells) = &self.columns[column];
        let place = Place {
            path: self.path.clone(),
            row: row as u64 + 1,
            line: None,
            column: name.clone(),
        };
        DataError::Value {
            place: Box::new(place),
            expected: expected.into(),
            found: format!("`{}`", cells.text(row)),
        }
    }
}

/// Refuses a file without one of the names.
pub(super) fn places(path: &Path, names: &[String], found: &[String]) -> Result<Vec<usize>, DataError> {
    let place = |name: &String| {
        let mut places = (0..found.len()).filter(|at| found[*at].trim() == name);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(DataError::AmbiguousColumn {
                path: path.to_owned(),
                field: "an input",
                first: name.clone(),
                second: name.clone(),
            }),
            (None, _) => Err(DataError::MissingColumn {
                path: path.to_owned(),
                field: "an input",
                expected: name.clone(),
                found: found.join(", "),
            }),
        }
    };
    names.iter().map(place).collect()
}

fn csv_columns(path: &Path, names: &[String]) -> Result<Vec<(String, Cells)>, DataError> {
    let malformed = |error: ::csv::Error| match error.into_kind() {
        ::csv::ErrorKind::Io(reason) => DataError::Io {
            path: path.to_owned(),
            reason,
        },
        kind => DataError::Malformed {
            path: path.to_owned(),
            detail: format!("{kind:?}"),
        },
    };
    let mut reader = ::csv::Reader::from_path(path).map_err(malformed)?;
    let header: Vec<String> = reader
        .headers()
        .map_err(malformed)?
        .iter()
        .map(Into::into)
        .collect();
    let places = places(path, names, &header)?;
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        for (column, place) in columns.iter_mut().zip(&places) {
            column.push(record[*place].to_owned());
        }
    }
    Ok(names
        .iter()
        .cloned()
        .zip(columns.into_iter().map(Cells::Text))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str, names: &[&str]) -> Result<Frame, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.csv");
        std::fs::write(&path, text).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        Frame::read(&path, &names).map(|frame| Frame {
            path: "f.csv".into(),
            ..frame
        })
    }

    #[test]
    fn columns_are_taken_by_name_in_any_order() {
        let frame = frame("b,a,c\n1,x,7\n, y ,8\n", &["a", "b"]).unwrap();
        assert_eq!((frame.n_rows(), frame.place("b")), (2, 1));
        assert_eq!(frame.label(0, 1), "y");
        assert_eq!(frame.real(1, 0).unwrap(), 1.0);
        assert!(frame.real(1, 1).unwrap().is_nan());
        assert_eq!(frame.whole(1, 0).unwrap(), 1);
    }

    #[test]
    fn a_cell_of_another_kind_is_refused_by_its_place() {
        let frame = frame("a\nx\n1.5\n", &["a"]).unwrap();
        let text = |error: DataError| error.to_string();
        assert_eq!(
            text(frame.real(0, 0).unwrap_err()),
            "f.csv: row 1, column `a`: expected a number, found `x`"
        );
        assert_eq!(
            text(frame.whole(0, 1).unwrap_err()),
            "f.csv: row 2, column `a`: expected a whole number, found `1.5`"
        );
    }

    #[test]
    fn a_missing_or_repeated_column_is_refused() {
        assert!(matches!(
            frame("a,b\n1,2\n", &["c"]),
            Err(DataError::MissingColumn { .. })
        ));
        assert!(matches!(
            frame("a,a\n1,2\n", &["a"]),
            Err(DataError::AmbiguousColumn { .. })
        ));
    }

    #[test]
    fn labels_are_written_as_python_writes_them() {
        assert_eq!(Cells::Real(vec![3.0, f64::NAN]).text(0), "3.0");
        assert_eq!(Cells::Real(vec![3.0, f64::NAN]).text(1), "");
        assert_eq!(Cells::Whole(vec![Some(-2), None]).text(0), "-2");
        assert_eq!(Cells::Flag(vec![Some(true)]).text(0), "True");
    }
}
