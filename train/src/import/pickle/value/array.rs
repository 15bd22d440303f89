//! numpy arrays as callers see them: numbers, objects or raw bytes.

use super::super::array::{ArrayNode, ArrayType, Elements, Number};
use super::super::error::ValueError;
use super::Value;

/// A numpy array of the file.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    value: Value<'a>,
    node: &'a ArrayNode,
}

impl<'a> Array<'a> {
    pub(super) fn new(value: Value<'a>, node: &'a ArrayNode) -> Self {
        Self { value, node }
    }

    /// Sizes of the dimensions; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        &self.node.shape
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> ArrayType {
        self.node.kind
    }

    /// Elements in row-major order, integers beyond 2^53 rounded.
    ///
    /// # Errors
    /// They are no numbers, big-endian, or unsigned integers beyond 2^63.
    pub fn to_f64(&self) -> Result<Vec<f64>, ValueError> {
        let float = |number| match number {
            Number::Int(v) => Some(v as f64),
            Number::Float(v) => Some(v),
            Number::Large => None,
        };
        self.converted("an array of numbers", float)
    }

    /// Elements in row-major order, truth values as 0 and 1.
    ///
    /// # Errors
    /// They are no integers, big-endian, or unsigned integers beyond 2^63.
    pub fn to_i64(&self) -> Result<Vec<i64>, ValueError> {
        let int = |number| match number {
            Number::Int(v) => Some(v),
            _ => None,
        };
        self.converted("an array of integers", int)
    }

    /// Elements of an array of objects in row-major order, as `object` columns of pandas have them.
    ///
    /// # Errors
    /// It is an array of numbers.
    pub fn items(&self) -> Result<Vec<Value<'a>>, ValueError> {
        match &self.node.elements {
            Elements::Objects(ids) => Ok(self.value.indexed(ids)),
            Elements::Raw(_) => Err(self.value.error("an array of objects")),
        }
    }

    /// Bytes of the elements as they are stored, column by column where [`Self::is_column_major`].
    ///
    /// # Errors
    /// It is an array of objects.
    pub fn raw(&self) -> Result<&'a [u8], ValueError> {
        match &self.node.elements {
            Elements::Raw(raw) => Ok(raw),
            Elements::Objects(_) => Err(self.value.error("an array of plain elements")),
        }
    }

    /// Whether the raw elements are stored column by column (`order="F"`).
    #[must_use]
    pub fn is_column_major(&self) -> bool {
        self.node.fortran
    }

    fn converted<T>(&self, expected: &str, f: impl Fn(Number) -> Option<T>) -> Result<Vec<T>, ValueError> {
        let numbers = self
            .node
            .numbers()
            .map_err(|found| self.value.mismatch(expected, found))?;
        let converted: Option<Vec<T>> = numbers.into_iter().map(f).collect();
        converted.ok_or_else(|| self.value.error(expected))
    }
}
