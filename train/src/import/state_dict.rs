//! A state dict on its way into a model: tensors by name, each taken once, none left over.
//!
//! Where it comes from, a safetensors file or a pickled dict, is forgotten here; values are f32 from now on. Who takes
//! tensors says which shape they must have, and [`StateDict::finish`] refuses what nobody took.

use super::pickle::{Tensor, Value, ValueError};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use tickfuse_core::plain::PlainTensor;

/// Names listed in a message.
const MAX_LISTED: usize = 20;

/// Why a tensor could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// A tensor that the net needs is absent.
    #[error("tensor `{name}` is missing; not yet in their place are {left}")]
    Missing {
        /// Tensor.
        name: String,
        /// Names that nobody took so far.
        left: String,
    },
    /// Tensors that the net has no place for.
    #[error("tensors that the network has no place for: {0}")]
    Leftover(String),
    /// A tensor has another shape than the net needs.
    #[error("tensor `{name}`: expected shape {expected}, found {found:?}")]
    Shape {
        /// Tensor.
        name: String,
        /// What the net needs.
        expected: String,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// A tensor has a type that is not imported.
    #[error("tensor `{name}`: expected {expected}, found {found}")]
    Type {
        /// Tensor.
        name: String,
        /// Types that are imported.
        expected: &'static str,
        /// Type found.
        found: String,
    },
}

/// Tensors that nobody took so far.
#[derive(Debug, Clone, Default)]
pub struct StateDict(BTreeMap<String, Entry>);

#[derive(Debug, Clone)]
struct Entry {
    shape: Vec<usize>,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f32>),
    /// As f32, with the name of their type.
    Integers(Vec<f32>, String),
    /// Of the type named.
    Foreign(String),
}

impl StateDict {
    /// The tensors of a safetensors file.
    #[must_use]
    pub fn from_safetensors(file: &SafeTensors<'_>) -> Self {
        let entry = |(name, view): (String, TensorView<'_>)| {
            let (shape, values) = (view.shape().to_vec(), stored_values(&view));
            (name, Entry { shape, values })
        };
        Self(file.tensors().into_iter().map(entry).collect())
    }

    /// The tensors of a pickled dict, every entry one.
    ///
    /// # Errors
    /// It is no dict, a key is no text, or a value is no tensor.
    pub fn from_pickle(dict: &Value<'_>) -> Result<Self, ValueError> {
        let entry = |(key, value): (Value<'_>, Value<'_>)| {
            Ok((key.as_str()?.to_owned(), Entry::of_pickle(value.as_tensor()?)))
        };
        dict.entries()?
            .into_iter()
            .map(entry)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a tensor of that name is there and was not taken.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The shape of a tensor that was not taken.
    ///
    /// # Errors
    /// [`TensorError::Missing`].
    pub fn shape(&self, name: &str) -> Result<&[usize], TensorError> {
        let missing = || TensorError::Missing {
            name: name.into(),
            left: listed(self.0.keys()),
        };
        Ok(&self.0.get(name).ok_or_else(missing)?.shape)
    }

    /// A size that a tensor of `rank` dimensions states.
    ///
    /// # Errors
    /// [`TensorError::Missing`], or [`TensorError::Shape`] where it has another number of dimensions.
    pub fn size(&self, name: &str, rank: usize, dimension: usize) -> Result<usize, TensorError> {
        let found = self.shape(name)?;
        if found.len() == rank {
            return Ok(found[dimension]);
        }
        Err(TensorError::Shape {
            name: name.into(),
            expected: format!("of {rank} dimensions"),
            found: found.to_vec(),
        })
    }

    /// A tensor of floats.
    ///
    /// # Errors
    /// [`TensorError`]: missing, or of another shape or type.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<PlainTensor, TensorError> {
        match self.entry(name, shape)?.values {
            Values::Floats(data) => Ok(plain(shape, data)),
            Values::Integers(_, found) | Values::Foreign(found) => {
                Err(foreign(name, "F32, F64, F16 or BF16", found))
            }
        }
    }

    /// A tensor of codes, as integers or floats.
    ///
    /// # Errors
    /// [`TensorError`]: missing, or of another shape or type.
    pub fn take_codes(&mut self, name: &str, shape: &[usize]) -> Result<PlainTensor, TensorError> {
        match self.entry(name, shape)?.values {
            Values::Floats(data) | Values::Integers(data, _) => Ok(plain(shape, data)),
            Values::Foreign(found) => Err(foreign(name, "F32, F64, F16, BF16, I32 or I64", found)),
        }
    }

    /// Puts the tensors of another file beside these; one of the same name replaces.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Every tensor was taken.
    ///
    /// # Errors
    /// [`TensorError::Leftover`] with the names of the others.
    pub fn finish(self) -> Result<(), TensorError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(TensorError::Leftover(listed(self.0.keys())))
    }

    fn entry(&mut self, name: &str, shape: &[usize]) -> Result<Entry, TensorError> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(TensorError::Shape {
                name: name.into(),
                expected: format!("{shape:?}"),
                found: found.to_vec(),
            });
        }
        Ok(self.0.remove(name).expect("its shape was found"))
    }
}

impl Entry {
    fn of_pickle(tensor: &Tensor) -> Self {
        let values = if tensor.dtype().is_float() {
            Values::Floats(tensor.to_f32())
        } else {
            Values::Integers(tensor.to_f32(), format!("{:?}", tensor.dtype()))
        };
        Self {
            shape: tensor.shape().to_vec(),
            values,
        }
    }
}

fn plain(shape: &[usize], data: Vec<f32>) -> PlainTensor {
    PlainTensor {
        shape: shape.to_vec(),
        data,
    }
}

fn foreign(name: &str, expected: &'static str, found: String) -> TensorError {
    TensorError::Type {
        name: name.into(),
        expected,
        found,
    }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let n = names.len();
    let first: Vec<&str> = names.take(MAX_LISTED).map(String::as_str).collect();
    match n {
        0 => "none".into(),
        n if n > MAX_LISTED => format!("{} and {} more", first.join(", "), n - MAX_LISTED),
        _ => first.join(", "),
    }
}

/// Values as f32: exact for F32, F16, BF16 and small integers, rounded once for the others.
fn stored_values(view: &TensorView<'_>) -> Values {
    let bytes = view.data();
    let integers = |values: Vec<f32>| Values::Integers(values, format!("{:?}", view.dtype()));
    match view.dtype() {
        Dtype::F32 => Values::Floats(map(bytes, f32::from_le_bytes)),
        Dtype::F64 => Values::Floats(map(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F16 => Values::Floats(map(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Values::Floats(map(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
        Dtype::I32 => integers(map(bytes, |b| i32::from_le_bytes(b) as f32)),
        Dtype::I64 => integers(map(bytes, |b| i64::from_le_bytes(b) as f32)),
        other => Values::Foreign(format!("{other:?}")),
    }
}

fn map<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> StateDict {
        let view = |t: &(&str, Dtype, &[usize], &[u8])| {
            let values: Vec<u8> = t.3.to_vec();
            (t.0.to_owned(), t.1, t.2.to_vec(), values)
        };
        let owned: Vec<_> = tensors.iter().map(view).collect();
        let views = owned.iter().map(|(name, dtype, shape, values)| {
            (name, TensorView::new(*dtype, shape.clone(), values).unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        StateDict::from_safetensors(&SafeTensors::deserialize(&bytes).unwrap())
    }

    #[test]
    fn every_float_type_becomes_f32() {
        let mut dict = of(&[
            ("double", Dtype::F64, &[1], &1.1f64.to_le_bytes()),
            ("half", Dtype::F16, &[1], &half::f16::from_f32(0.25).to_le_bytes()),
            (
                "brain",
                Dtype::BF16,
                &[1],
                &half::bf16::from_f32(-3.0).to_le_bytes(),
            ),
            ("single", Dtype::F32, &[1, 1], &7.5f32.to_le_bytes()),
        ]);
        assert_eq!(dict.take("double", &[1]).unwrap().data, [1.1]);
        assert_eq!(dict.take("half", &[1]).unwrap().data, [0.25]);
        assert_eq!(dict.take("brain", &[1]).unwrap().data, [-3.0]);
        assert_eq!(dict.take("single", &[1, 1]).unwrap().data, [7.5]);
        dict.finish().unwrap();
    }

    #[test]
    fn integers_are_codes_and_nothing_else() {
        let two = 2i64.to_le_bytes();
        let mut dict = of(&[
            ("a", Dtype::I64, &[1], &two),
            ("b", Dtype::I64, &[1], &two),
            ("c", Dtype::U8, &[1], &[1]),
        ]);
        assert_eq!(dict.take_codes("a", &[1]).unwrap().data, [2.0]);
        let text = dict.take("b", &[1]).unwrap_err().to_string();
        assert_eq!(text, "tensor `b`: expected F32, F64, F16 or BF16, found I64");
        let text = dict.take_codes("c", &[1]).unwrap_err().to_string();
        assert_eq!(
            text,
            "tensor `c`: expected F32, F64, F16, BF16, I32 or I64, found U8"
        );
    }

    #[test]
    fn a_missing_tensor_is_told_with_those_that_are_left() {
        let zero = 0f32.to_le_bytes();
        let mut dict = of(&[
            ("lstm.a", Dtype::F32, &[1], &zero),
            ("lstm.b", Dtype::F32, &[1], &zero),
        ]);
        dict.take("lstm.a", &[1]).unwrap();
        let text = dict.take("rnn.b", &[1]).unwrap_err().to_string();
        assert_eq!(
            text,
            "tensor `rnn.b` is missing; not yet in their place are lstm.b"
        );
        let text = dict.take("lstm.a", &[1]).unwrap_err().to_string();
        assert!(
            text.starts_with("tensor `lstm.a` is missing"),
            "taken twice: {text}"
        );
    }

    #[test]
    fn shapes_must_be_those_asked_for_and_all_must_be_taken() {
        let zero = 0f32.to_le_bytes();
        let mut dict = of(&[("a", Dtype::F32, &[1], &zero)]);
        let text = dict.take("a", &[1, 1]).unwrap_err().to_string();
        assert_eq!(text, "tensor `a`: expected shape [1, 1], found [1]");
        let text = dict.size("a", 2, 0).unwrap_err().to_string();
        assert_eq!(text, "tensor `a`: expected shape of 2 dimensions, found [1]");
        let text = dict.finish().unwrap_err().to_string();
        assert_eq!(text, "tensors that the network has no place for: a");
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let names: Vec<String> = (0..23).map(|i| format!("t{i:02}")).collect();
        let text = listed(names.iter());
        assert!(text.ends_with("t19 and 3 more"), "{text}");
        assert_eq!(listed([].iter()), "none");
    }
}
