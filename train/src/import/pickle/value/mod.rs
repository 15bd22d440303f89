//! Values as callers see them: typed access by key, attribute and index, with errors that name the path taken.

mod array;
mod object;
mod path;

pub use array::Array;
pub use object::Object;

use super::error::ValueError;
use super::tensor::Tensor;
use super::tree::{Id, Node, Tree, shortened};
use path::{Path, Step};
use std::fmt::{self, Write};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool,
    /// An integer, also one beyond 64 bits.
    Int,
    /// A float.
    Float,
    /// Text.
    Str,
    /// `bytes` or `bytearray`.
    Bytes,
    /// A list.
    List,
    /// A tuple.
    Tuple,
    /// A set, in the order of the file.
    Set,
    /// A dict, in the order of the file.
    Dict,
    /// A PyTorch tensor or parameter.
    Tensor,
    /// A numpy array.
    Array,
    /// A class or function, by name.
    Class,
    /// An instance that was not made.
    Object,
    /// A dtype of numpy, a bare storage, a reference back to an enclosing value.
    Other,
}

/// A value of the file. Cheap to clone; it borrows from the file and remembers how it was reached.
#[derive(Clone)]
pub struct Value<'a> {
    tree: &'a Tree,
    id: Id,
    path: Path<'a>,
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.describe())
    }
}

impl<'a> Value<'a> {
    pub(super) fn root(tree: &'a Tree) -> Self {
        Self {
            tree,
            id: tree.root(),
            path: Path::root(),
        }
    }

    /// Keys, attributes and indices from the root, as `hyper_parameters.loss.quantiles[2]`; `root` for the root.
    #[must_use]
    pub fn path(&self) -> String {
        if self.path.is_root() {
            return "root".into();
        }
        self.path.to_string()
    }

    /// What the value is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.node() {
            Node::None => Kind::None,
            Node::Bool(_) => Kind::Bool,
            Node::Int(_) | Node::Long(_) => Kind::Int,
            Node::Float(_) => Kind::Float,
            Node::Str(_) => Kind::Str,
            Node::Bytes(_) => Kind::Bytes,
            Node::List(_) => Kind::List,
            Node::Tuple(_) => Kind::Tuple,
            Node::Set(_) => Kind::Set,
            Node::Dict(_) => Kind::Dict,
            Node::Tensor(_) => Kind::Tensor,
            Node::Array(_) => Kind::Array,
            Node::Class(_) => Kind::Class,
            Node::Object(_) => Kind::Object,
            Node::Dtype(_) | Node::Storage(_) | Node::Cut => Kind::Other,
        }
    }

    /// What the value is, with its size or content, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        self.tree.describe(self.id)
    }

    /// An error about this value: the path, what was expected, what it is.
    #[must_use]
    pub fn error(&self, expected: &str) -> ValueError {
        self.mismatch(expected, self.describe())
    }

    /// Whether it is `None`.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// A truth value.
    ///
    /// # Errors
    /// It is none; so for all accessors: the value is another one.
    pub fn as_bool(&self) -> Result<bool, ValueError> {
        match self.node() {
            Node::Bool(v) => Ok(*v),
            _ => Err(self.error("a bool")),
        }
    }

    /// An integer of 64 bits; a truth value is none.
    ///
    /// # Errors
    /// It is none.
    pub fn as_int(&self) -> Result<i64, ValueError> {
        match self.node() {
            Node::Int(v) => Ok(*v),
            _ => Err(self.error("an int of 64 bits")),
        }
    }

    /// A count or size.
    ///
    /// # Errors
    /// It is none.
    pub fn as_usize(&self) -> Result<usize, ValueError> {
        let refuse = || self.error("an int from 0");
        usize::try_from(self.as_int().map_err(|_| refuse())?).map_err(|_| refuse())
    }

    /// A float, or an integer as one.
    ///
    /// # Errors
    /// It is neither.
    pub fn as_float(&self) -> Result<f64, ValueError> {
        match self.node() {
            Node::Float(v) => Ok(*v),
            Node::Int(v) => Ok(*v as f64),
            _ => Err(self.error("a number")),
        }
    }

    /// Text.
    ///
    /// # Errors
    /// It is none.
    pub fn as_str(&self) -> Result<&'a str, ValueError> {
        match self.node() {
            Node::Str(text) => Ok(text),
            _ => Err(self.error("a str")),
        }
    }

    /// `bytes` or `bytearray`.
    ///
    /// # Errors
    /// It is neither.
    pub fn as_bytes(&self) -> Result<&'a [u8], ValueError> {
        match self.node() {
            Node::Bytes(bytes) => Ok(bytes),
            _ => Err(self.error("bytes")),
        }
    }

    /// A tensor.
    ///
    /// # Errors
    /// It is none.
    pub fn as_tensor(&self) -> Result<&'a Tensor, ValueError> {
        match self.node() {
            Node::Tensor(tensor) => Ok(tensor),
            _ => Err(self.error("a tensor")),
        }
    }

    /// A numpy array.
    ///
    /// # Errors
    /// It is none.
    pub fn as_array(&self) -> Result<Array<'a>, ValueError> {
        match self.node() {
            Node::Array(node) => Ok(Array::new(self.clone(), node)),
            _ => Err(self.error("a numpy array")),
        }
    }

    /// Name of a class or function, as `torch.float32`.
    ///
    /// # Errors
    /// It is neither.
    pub fn as_class(&self) -> Result<String, ValueError> {
        match self.node() {
            Node::Class(class) => Ok(class.path()),
            _ => Err(self.error("a class or function")),
        }
    }

    /// An instance that was not made.
    ///
    /// # Errors
    /// It is none.
    pub fn as_object(&self) -> Result<Object<'a>, ValueError> {
        match self.node() {
            Node::Object(node) => Ok(Object::new(self.clone(), node)),
            _ => Err(self.error("an object")),
        }
    }

    /// Elements of a list, tuple or set, or of an object of a class derived from list.
    ///
    /// # Errors
    /// It is none of them.
    pub fn items(&self) -> Result<Vec<Self>, ValueError> {
        match self.node() {
            Node::List(ids) | Node::Tuple(ids) | Node::Set(ids) => Ok(self.indexed(ids)),
            Node::Object(object) if object.pairs.is_empty() => Ok(self.indexed(&object.items)),
            _ => Err(self.error("a list, tuple or set")),
        }
    }

    /// Keys and values of a dict in the order of the file, or of an object of a class derived from dict.
    ///
    /// # Errors
    /// It is neither.
    pub fn entries(&self) -> Result<Vec<(Self, Self)>, ValueError> {
        Ok(self.keyed(self.pairs()?))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// It is no dict, or has no such key.
    pub fn get(&self, key: &str) -> Result<Self, ValueError> {
        self.find(key)?
            .ok_or_else(|| self.mismatch(&format!("a key `{key}`"), self.keys()))
    }

    /// The value of a key, if it is there.
    ///
    /// # Errors
    /// It is no dict.
    pub fn find(&self, key: &str) -> Result<Option<Self>, ValueError> {
        Ok(self.entry(key)?.map(|(key, id)| self.at(id, Step::Key(key))))
    }

    /// Floats of a list or tuple of numbers.
    ///
    /// # Errors
    /// It is neither, or an element is no number.
    pub fn to_floats(&self) -> Result<Vec<f64>, ValueError> {
        self.items()?.iter().map(Self::as_float).collect()
    }

    /// Texts of a list or tuple.
    ///
    /// # Errors
    /// It is neither, or an element is no text.
    pub fn to_strs(&self) -> Result<Vec<&'a str>, ValueError> {
        self.items()?.iter().map(Self::as_str).collect()
    }

    fn node(&self) -> &'a Node {
        self.tree.node(self.id)
    }

    fn at(&self, id: Id, step: Step<'a>) -> Self {
        Self {
            tree: self.tree,
            id,
            path: self.path.then(step),
        }
    }

    fn indexed(&self, ids: &[Id]) -> Vec<Self> {
        ids.iter()
            .zip(0..)
            .map(|(id, i)| self.at(*id, Step::Index(i)))
            .collect()
    }

    fn keyed(&self, pairs: &[(Id, Id)]) -> Vec<(Self, Self)> {
        let entry = |(i, (key, value)): (usize, &(Id, Id))| {
            let step = self.step_to(*key, i);
            (self.at(*key, Step::Place(i)), self.at(*value, step))
        };
        pairs.iter().enumerate().map(entry).collect()
    }

    fn step_to(&self, key: Id, place: usize) -> Step<'a> {
        match self.tree.node(key) {
            Node::Str(text) => Step::Key(text),
            Node::Int(i) => Step::Index(*i),
            _ => Step::Place(place),
        }
    }

    /// A key that is text, as it stands in the file, and its value.
    fn entry(&self, key: &str) -> Result<Option<(&'a str, Id)>, ValueError> {
        let found = |(id, value): &(Id, Id)| match self.tree.node(*id) {
            Node::Str(text) if **text == *key => Some((&**text, *value)),
            _ => None,
        };
        Ok(self.pairs()?.iter().find_map(found))
    }

    fn pairs(&self) -> Result<&'a [(Id, Id)], ValueError> {
        match self.node() {
            Node::Dict(dict) => Ok(&dict.pairs),
            Node::Object(object) if object.items.is_empty() => Ok(&object.pairs),
            _ => Err(self.error("a dict")),
        }
    }

    /// The first keys of a dict, for messages.
    fn keys(&self) -> String {
        let pairs = self.pairs().unwrap_or(&[]);
        let mut text = String::from("keys");
        for (i, (key, _)) in pairs.iter().take(20).enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let key = match self.tree.node(*key) {
                Node::Str(key) => shortened(key),
                _ => self.tree.describe(*key),
            };
            write!(text, "{comma} {key}").expect("writing to a string");
        }
        match pairs.len() {
            0 => "no keys".into(),
            n if n > 20 => format!("{text} and {} more", n - 20),
            _ => text,
        }
    }

    fn mismatch(&self, expected: &str, found: String) -> ValueError {
        ValueError {
            path: self.path(),
            expected: expected.into(),
            found,
        }
    }
}
