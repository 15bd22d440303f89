//! numpy arrays inside a pickle: element type, shape, order, and raw bytes or pickled objects.

use super::error::Fault;
use super::tree::Id;
use std::fmt;
use std::sync::Arc;

/// numpy's element type: a kind as in `f` or `O`, the bytes of an element, the byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayType {
    /// numpy's letter: `f` float, `i` integer, `u` unsigned, `b` truth value, `O` object, `M` date, `U` text ...
    pub kind: char,
    /// Bytes of an element as the letter's number says (characters for `U`).
    pub size: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

impl ArrayType {
    /// From text such as `f8`, as `numpy.dtype` is pickled.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut letters = text.chars();
        let kind = letters.next().filter(char::is_ascii_alphabetic);
        let digits = letters.as_str();
        let digits = if digits.len() < 10 { digits } else { "too many" };
        let size = if digits.is_empty() {
            Some(0)
        } else {
            digits.parse().ok()
        };
        match (kind, size) {
            (Some(kind), Some(size)) => Ok(Self {
                kind,
                size,
                big_endian: false,
            }),
            _ => Err(Fault::new("a dtype such as `f8`", format!("`{text}`"))),
        }
    }

    /// How an element is read, where it is a number.
    fn number(self) -> Option<fn(&[u8]) -> Number> {
        macro_rules! read {
            ($t:ty) => {
                |b| {
                    Number::from(<$t>::from_le_bytes(
                        b.try_into().expect("bytes of one element"),
                    ))
                }
            };
        }
        Some(match (self.kind, self.size) {
            ('f', 2) => |b| Number::Float(half::f16::from_le_bytes([b[0], b[1]]).to_f64()),
            ('f', 4) => read!(f32),
            ('f', 8) => read!(f64),
            ('i', 1) => read!(i8),
            ('i', 2) => read!(i16),
            ('i', 4) => read!(i32),
            ('i', 8) => read!(i64),
            ('b' | 'u', 1) => read!(u8),
            ('u', 2) => read!(u16),
            ('u', 4) => read!(u32),
            ('u', 8) => |b| match Number::unsigned(b) {
                Some(v) => Number::Int(v),
                None => Number::Large,
            },
            _ => return None,
        })
    }
}

impl fmt::Display for ArrayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.big_endian { ">" } else { "" };
        write!(f, "{order}{}{}", self.kind, self.size)
    }
}

/// One element that is a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    /// An unsigned integer above `i64`.
    Large,
}

impl Number {
    fn unsigned(bytes: &[u8]) -> Option<i64> {
        i64::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    }
}

macro_rules! number_from {
    ($($t:ty => $variant:ident),*) => {
        $(impl From<$t> for Number {
            fn from(v: $t) -> Self {
                Self::$variant(v.into())
            }
        })*
    };
}

number_from! { f32 => Float, f64 => Float, i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int }

/// Elements of an array.
#[derive(Debug, Clone)]
pub(super) enum Elements {
    Raw(Arc<[u8]>),
    /// Row by row whatever the array's order: numpy pickles them through an iterator.
    Objects(Vec<Id>),
}

/// An array as it stands in the pickle.
#[derive(Debug, Clone)]
pub(super) struct ArrayNode {
    pub(super) kind: ArrayType,
    pub(super) shape: Vec<usize>,
    pub(super) fortran: bool,
    pub(super) elements: Elements,
}

impl ArrayNode {
    /// What `numpy._reconstruct` makes before its state arrives.
    pub(super) fn empty() -> Self {
        Self {
            kind: ArrayType {
                kind: 'V',
                size: 0,
                big_endian: false,
            },
            shape: vec![0],
            fortran: false,
            elements: Elements::Objects(Vec::new()),
        }
    }

    pub(super) fn new(
        kind: ArrayType,
        shape: Vec<usize>,
        fortran: bool,
        elements: Elements,
    ) -> Result<Self, Fault> {
        let n = shape.iter().try_fold(1_usize, |n, size| n.checked_mul(*size));
        let expected = match (&elements, kind.number()) {
            (Elements::Objects(_), _) => n,
            (Elements::Raw(_), Some(_)) => n.and_then(|n| n.checked_mul(kind.size)),
            (Elements::Raw(raw), None) => n.and(Some(raw.len())),
        };
        let (found, unit) = match &elements {
            Elements::Objects(ids) => (ids.len(), "objects"),
            Elements::Raw(raw) => (raw.len(), "bytes"),
        };
        if expected != Some(found) {
            let expected = expected.map_or_else(|| "fewer".to_owned(), |n| n.to_string());
            return Err(Fault::new(
                format!("{expected} {unit} for an array {shape:?} of {kind}"),
                found,
            ));
        }
        Ok(Self {
            kind,
            shape,
            fortran,
            elements,
        })
    }

    /// Elements as numbers in row-major order; the message says what stands in the way.
    pub(super) fn numbers(&self) -> Result<Vec<Number>, String> {
        let Elements::Raw(raw) = &self.elements else {
            return Err("an array of objects".into());
        };
        let read = self
            .kind
            .number()
            .filter(|_| !self.kind.big_endian || self.kind.size == 1);
        let read = read.ok_or_else(|| format!("an array of {}", self.kind))?;
        let stored: Vec<Number> = raw.chunks_exact(self.kind.size).map(read).collect();
        Ok(self.row_major(stored))
    }

    /// Undoes column-major order.
    fn row_major(&self, stored: Vec<Number>) -> Vec<Number> {
        if !self.fortran || self.shape.len() < 2 {
            return stored;
        }
        let n = stored.len();
        (0..n).map(|i| stored[self.column_major_place(i)]).collect()
    }

    fn column_major_place(&self, mut row_major: usize) -> usize {
        let mut place = 0;
        let mut stride: usize = self.shape.iter().product();
        for size in self.shape.iter().rev() {
            stride /= size;
            place += row_major % size * stride;
            row_major /= size;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f8(shape: &[usize], fortran: bool, values: &[f64]) -> Result<ArrayNode, Fault> {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        ArrayNode::new(
            ArrayType::parse("f8")?,
            shape.to_vec(),
            fortran,
            Elements::Raw(raw.into()),
        )
    }

    #[test]
    fn column_major_arrays_are_read_row_by_row() {
        let array = f8(&[2, 3], true, &[11.0, 21.0, 12.0, 22.0, 13.0, 23.0]).unwrap();
        let expected = [11.0, 12.0, 13.0, 21.0, 22.0, 23.0].map(Number::Float);
        assert_eq!(array.numbers().unwrap(), expected);
    }

    #[test]
    fn the_bytes_must_fill_the_shape() {
        assert!(f8(&[2, 2], false, &[1.0; 4]).is_ok());
        let error = f8(&[2, 2], false, &[1.0; 3]).unwrap_err().to_string();
        assert_eq!(error, "expected 32 bytes for an array [2, 2] of f8, found 24");
        assert!(f8(&[usize::MAX, usize::MAX], false, &[]).is_err());
    }

    #[test]
    fn big_endian_numbers_are_refused_not_swapped_silently() {
        let mut array = f8(&[1], false, &[1.0]).unwrap();
        array.kind.big_endian = true;
        assert_eq!(array.numbers().unwrap_err(), "an array of >f8");
    }

    #[test]
    fn a_dtype_is_a_letter_and_a_number() {
        assert_eq!(ArrayType::parse("f4").unwrap().to_string(), "f4");
        for text in ["", "8", "f-1", "f99999999999999999999"] {
            assert!(ArrayType::parse(text).is_err(), "{text}");
        }
    }
}
