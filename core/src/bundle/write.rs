//! The only writer of model files. What it returns has been opened by the reader.

use super::dtype::{Dtype, Element};
use super::file::{Bundle, OpenOptions};
use super::hash;
use super::header::{self, DOCUMENT_KEY};
use super::schema::Schema;
use super::storage::ALIGNMENT;
use crate::error::{OpenError, WriteError};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One tensor to write.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    name: &'a str,
    dtype: Dtype,
    shape: &'a [usize],
    bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// `values` in row-major order of `shape`.
    #[must_use]
    pub fn new<T: Element>(name: &'a str, shape: &'a [usize], values: &'a [T]) -> Self {
        Self {
            name,
            dtype: T::DTYPE,
            shape,
            bytes: bytemuck::cast_slice(values),
        }
    }

    fn is_weight(&self) -> bool {
        header::is_weight(self.name)
    }

    /// Weights are not padded here: whoever packs panels makes them whole cache lines.
    fn check(&self) -> Result<(), WriteError> {
        let expected = header::byte_size(self.dtype, self.shape).unwrap_or(u64::MAX);
        let found = self.bytes.len() as u64;
        if expected != found {
            return Err(WriteError::ShapeSize {
                tensor: self.name.to_string(),
                expected,
                found,
            });
        }
        if self.is_weight() && !self.bytes.len().is_multiple_of(ALIGNMENT) {
            return Err(WriteError::NotWholeLines {
                tensor: self.name.to_string(),
                found,
            });
        }
        Ok(())
    }
}

/// The bytes of a model file: weights in the given order, then the other tensors. Equal arguments give equal bytes.
///
/// # Errors
/// [`WriteError`] if a tensor contradicts its own shape or is not a multiple of 64 bytes, or if the reader refuses
/// the file.
pub fn write(schema: &Schema, tensors: &[Tensor<'_>]) -> Result<Vec<u8>, WriteError> {
    for tensor in tensors {
        tensor.check()?;
    }
    let document = schema.to_json()?;
    let (weights, data): (Vec<&Tensor<'_>>, Vec<_>) = tensors.iter().partition(|t| t.is_weight());
    let ordered: Vec<&Tensor<'_>> = weights.into_iter().chain(data).collect();
    let mut file = header_bytes(&document, &ordered)?;
    for tensor in ordered {
        file.extend_from_slice(tensor.bytes);
    }
    let digits = hash::to_hex(&hash::of_content(&file));
    file[hash::DIGITS].copy_from_slice(digits.as_bytes());
    Bundle::from_bytes(&file, OpenOptions::default())?;
    Ok(file)
}

/// Length and JSON, padded so that the data starts on a cache line; the hash is still blank.
fn header_bytes(document: &str, tensors: &[&Tensor<'_>]) -> Result<Vec<u8>, OpenError> {
    let mut file = Vec::from([0; 8]);
    file.extend_from_slice(hash::OPENING);
    file.extend_from_slice(&hash::BLANK_DIGITS);
    let text = format!("\",\"{DOCUMENT_KEY}\":{}}}", quoted(document)?);
    file.extend_from_slice(text.as_bytes());
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes.len();
        file.extend_from_slice(entry(tensor, at, end)?.as_bytes());
        at = end;
    }
    file.push(b'}');
    file.resize(file.len().next_multiple_of(ALIGNMENT), b' ');
    let length = (file.len() - 8) as u64;
    file[..8].copy_from_slice(&length.to_le_bytes());
    Ok(file)
}

fn entry(tensor: &Tensor<'_>, begin: usize, end: usize) -> Result<String, OpenError> {
    let dims: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
    Ok(format!(
        r#",{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{begin},{end}]}}"#,
        quoted(tensor.name)?,
        tensor.dtype,
        dims.join(",")
    ))
}

fn quoted(text: &str) -> Result<String, OpenError> {
    serde_json::to_string(text).map_err(|e| OpenError::HeaderJson(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::TINY;
    use super::*;

    fn tiny() -> Schema {
        Schema::from_json(TINY).unwrap()
    }

    const INPUT: Tensor<'_> = Tensor {
        name: "golden.input",
        dtype: Dtype::F32,
        shape: &[1, 3, 2],
        bytes: &[0; 24],
    };
    const OUTPUT: Tensor<'_> = Tensor {
        name: "golden.output",
        dtype: Dtype::F32,
        shape: &[1, 1],
        bytes: &[0; 4],
    };

    #[test]
    fn weights_come_first_and_start_on_cache_lines() {
        let values = [1.5_f32; 32];
        let tensors = [
            INPUT,
            OUTPUT,
            Tensor::new("w", &[2, 16], &values),
            Tensor::new("v", &[16], &values[..16]),
        ];
        let file = write(&tiny(), &tensors).unwrap();
        let bundle = Bundle::from_bytes(&file, OpenOptions::default()).unwrap();
        let names: Vec<&str> = bundle.tensors().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["w", "v", "golden.input", "golden.output"]);
        assert!(
            bundle.tensors()[..2]
                .iter()
                .all(|t| t.range.start.is_multiple_of(64))
        );
        assert_eq!(*bundle.tensor::<f32>("w", &[2, 16]).unwrap(), values);
        assert_eq!(write(&tiny(), &tensors).unwrap(), file);
    }

    #[test]
    fn a_weight_of_broken_lines_is_refused_by_name() {
        let values = [0.0_f32; 17];
        let error = write(&tiny(), &[INPUT, OUTPUT, Tensor::new("w", &[17], &values)]).err();
        let expected = WriteError::NotWholeLines {
            tensor: "w".into(),
            found: 68,
        };
        assert_eq!(error, Some(expected));
    }

    #[test]
    fn a_shape_that_contradicts_the_values_is_refused() {
        for shape in [&[15][..], &[4, 5], &[usize::MAX, usize::MAX]] {
            let error = write(&tiny(), &[Tensor::new("w", shape, &[0.0_f32; 16])])
                .err()
                .unwrap();
            assert!(
                matches!(error, WriteError::ShapeSize { found: 64, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn what_the_reader_would_refuse_is_not_written() {
        let twice = [INPUT, OUTPUT, OUTPUT];
        let refused = |tensors: &[Tensor<'_>]| match write(&tiny(), tensors) {
            Err(WriteError::Refused(e)) => e,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&twice), OpenError::DuplicateKey("golden.output".into()));
        assert_eq!(
            refused(&[INPUT]),
            OpenError::MissingTensor("golden.output".into())
        );
        let mut schema = tiny();
        schema.inputs[0].scaler.as_mut().unwrap().center = f64::NAN;
        assert!(matches!(
            write(&schema, &[INPUT, OUTPUT]),
            Err(WriteError::Refused(OpenError::Schema(_)))
        ));
    }

    #[test]
    fn names_with_quotes_and_other_scripts_survive() {
        let mut schema = tiny();
        schema.name = "a \"quoted\\\" näme \u{1F600}\n".into();
        let file = write(&schema, &[INPUT, OUTPUT]).unwrap();
        let bundle = Bundle::from_bytes(&file, OpenOptions::default()).unwrap();
        assert_eq!(bundle.schema(), &schema);
    }
}
