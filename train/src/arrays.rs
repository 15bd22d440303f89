//! `.npy` and `.npz` arrays in and out, values as f64 or f32.

use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{DType, NpyFile, TypeChar, WriterBuilder};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

/// An array by value.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

/// Why an array could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The archive has no array of that name and more or less than one in all.
    #[error("{}: expected an array `{expected}` or a single array, found {found}", path.display())]
    Choice {
        /// File.
        path: PathBuf,
        /// Name wanted.
        expected: String,
        /// Names found.
        found: String,
    },
    /// The archive has no array of that name.
    #[error("{}: expected an array `{expected}`, found {found}", path.display())]
    Missing {
        /// File.
        path: PathBuf,
        /// Name wanted.
        expected: String,
        /// Names found.
        found: String,
    },
    /// The element type is not a float.
    #[error("{}: expected float32 or float64, found {found}", path.display())]
    Type {
        /// File.
        path: PathBuf,
        /// Type found.
        found: String,
    },
    /// Fortran order.
    #[error("{}: expected C order, found Fortran order", path.display())]
    Order {
        /// File.
        path: PathBuf,
    },
}

/// Reads a `.npy` file, or of a `.npz` file the array `name` or its only one.
///
/// # Errors
/// [`ArrayError`].
pub fn read(path: &Path, name: &str) -> Result<Array, ArrayError> {
    let io = |source| ArrayError::Io {
        path: path.into(),
        source,
    };
    if path.extension().is_some_and(|e| e == "npz") {
        let mut archive = NpzArchive::open(path).map_err(io)?;
        let mut names: Vec<String> = archive.array_names().map(Into::into).collect();
        names.sort_unstable();
        let chosen = match names.iter().find(|n| *n == name) {
            Some(found) => found,
            None if names.len() == 1 => &names[0],
            None => {
                let (expected, found) = (name.into(), names.join(", "));
                return Err(ArrayError::Choice {
                    path: path.into(),
                    expected,
                    found,
                });
            }
        };
        let missing = || std::io::Error::other("the array vanished from the archive");
        return values(
            path,
            archive
                .by_name(chosen)
                .map_err(io)?
                .ok_or_else(missing)
                .map_err(io)?,
        );
    }
    let file = NpyFile::new(BufReader::new(File::open(path).map_err(io)?)).map_err(io)?;
    values(path, file)
}

/// An archive whose arrays are read one by one.
pub struct Archive {
    path: PathBuf,
    archive: NpzArchive<BufReader<File>>,
}

impl Archive {
    /// Opens a `.npz` file.
    ///
    /// # Errors
    /// [`ArrayError::Io`].
    pub fn open(path: &Path) -> Result<Self, ArrayError> {
        let archive = NpzArchive::open(path).map_err(|source| ArrayError::Io {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.into(),
            archive,
        })
    }

    /// Names of the arrays.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.archive.array_names()
    }

    /// An array of floats or of whole numbers.
    ///
    /// # Errors
    /// [`ArrayError`]; [`ArrayError::Missing`] where there is none of this name.
    pub fn get(&mut self, name: &str) -> Result<Array, ArrayError> {
        let mut names: Vec<String> = self.names().map(Into::into).collect();
        names.sort_unstable();
        let Self { path, archive } = self;
        let found = archive.by_name(name).map_err(|source| ArrayError::Io {
            path: path.clone(),
            source,
        })?;
        let file = found.ok_or_else(|| ArrayError::Missing {
            path: path.clone(),
            expected: name.into(),
            found: names.join(", "),
        })?;
        let is_whole =
            matches!(file.dtype(), DType::Plain(t) if t.type_char() == TypeChar::Int && t.size_field() == 8);
        if !is_whole {
            return values(path, file);
        }
        let shape = shape(path, &file)?;
        let wholes = file.into_vec::<i64>().map_err(|source| ArrayError::Io {
            path: path.clone(),
            source,
        })?;
        Ok(Array {
            shape,
            values: wholes.into_iter().map(|v| v as f64).collect(),
        })
    }
}

fn shape<R: Read>(path: &Path, file: &NpyFile<R>) -> Result<Vec<usize>, ArrayError> {
    if file.order() != npyz::Order::C {
        return Err(ArrayError::Order { path: path.into() });
    }
    Ok(file.shape().iter().map(|d| *d as usize).collect())
}

fn values<R: Read>(path: &Path, file: NpyFile<R>) -> Result<Array, ArrayError> {
    let shape = shape(path, &file)?;
    let io = |source| ArrayError::Io {
        path: path.into(),
        source,
    };
    let kind = match file.dtype() {
        DType::Plain(t) if t.type_char() == TypeChar::Float => t.size_field(),
        _ => 0,
    };
    let values = match kind {
        4 => file
            .into_vec::<f32>()
            .map_err(io)?
            .into_iter()
            .map(f64::from)
            .collect(),
        8 => file.into_vec::<f64>().map_err(io)?,
        _ => {
            return Err(ArrayError::Type {
                path: path.into(),
                found: file.dtype().descr(),
            });
        }
    };
    Ok(Array { shape, values })
}

/// One array of an archive to write.
#[derive(Debug)]
pub enum Column<'a> {
    /// Floats.
    F32(&'a [f32]),
    /// Times or counts.
    I64(&'a [i64]),
}

/// The bytes of a `.npz` archive (stored, not compressed) with these arrays.
///
/// # Errors
/// When an array cannot be encoded.
pub fn npz(arrays: &[(&str, Vec<u64>, Column<'_>)]) -> std::io::Result<Vec<u8>> {
    let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
    for (name, shape, column) in arrays {
        match column {
            Column::F32(values) => add(&mut archive, name, shape, values)?,
            Column::I64(values) => add(&mut archive, name, shape, values)?,
        }
    }
    Ok(archive.zip_writer().finish()?.into_inner())
}

fn add<T: npyz::AutoSerialize + Copy>(
    archive: &mut NpzWriter<Cursor<Vec<u8>>>,
    name: &str,
    shape: &[u64],
    values: &[T],
) -> std::io::Result<()> {
    let mut writer = archive
        .array(name, Default::default())?
        .default_dtype()
        .shape(shape)
        .begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let bytes = npz(&[
            ("output", vec![2, 1], Column::F32(&[0.25, -1.5])),
            ("ts_ns", vec![2], Column::I64(&[1, 2])),
        ]);
        std::fs::write(&path, bytes.unwrap()).unwrap();
        let array = read(&path, "output").unwrap();
        assert_eq!(
            array,
            Array {
                shape: vec![2, 1],
                values: vec![0.25, -1.5]
            }
        );
    }

    #[test]
    fn an_archive_without_the_wanted_array_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let two = [
            ("a", vec![1], Column::F32(&[1.0])),
            ("b", vec![1], Column::F32(&[2.0])),
        ];
        std::fs::write(&path, npz(&two).unwrap()).unwrap();
        let error = read(&path, "input").unwrap_err().to_string();
        assert!(error.contains("`input`") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn an_opened_archive_gives_floats_and_whole_numbers_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let two = [
            ("a", vec![2], Column::F32(&[1.5, 2.0])),
            ("b", vec![1, 0], Column::I64(&[])),
        ];
        std::fs::write(&path, npz(&two).unwrap()).unwrap();
        let mut archive = Archive::open(&path).unwrap();
        assert_eq!(archive.get("a").unwrap().values, [1.5, 2.0]);
        assert_eq!(archive.get("b").unwrap().shape, [1, 0]);
        let error = archive.get("c").unwrap_err().to_string();
        assert!(error.contains("`c`") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn whole_numbers_are_not_taken_for_floats() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        std::fs::write(&path, npz(&[("input", vec![1], Column::I64(&[3]))]).unwrap()).unwrap();
        assert!(matches!(read(&path, "input"), Err(ArrayError::Type { .. })));
    }
}
