//! Values as callers see them: typed access by key, attribute and index, with errors that name the path taken.

use super::array::{ArrayNode, ArrayType, Elements, Number};
use super::error::ValueError;
use super::tensor::Tensor;
use super::tree::{Id, Node, Tree, shortened};
use std::fmt::{self, Write};
use std::rc::Rc;

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

/// Steps from the root, the last one first.
#[derive(Clone)]
struct Path<'a>(Option<Rc<(Path<'a>, Step<'a>)>>);

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(i64),
    /// The key or value at a place of a dict whose key is neither text nor integer.
    Place(usize),
}

impl<'a> Path<'a> {
    fn then(&self, step: Step<'a>) -> Self {
        Self(Some(Rc::new((self.clone(), step))))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((parent, step)) = self.0.as_deref() else {
            return Ok(());
        };
        parent.fmt(f)?;
        match step {
            Step::Key(key) if parent.0.is_none() => f.write_str(&shortened(key)),
            Step::Key(key) => write!(f, ".{}", shortened(key)),
            Step::Index(i) => write!(f, "[{i}]"),
            Step::Place(i) => write!(f, "[item {i}]"),
        }
    }
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
            path: Path(None),
        }
    }

    /// Keys, attributes and indices from the root, as `hyper_parameters.loss.quantiles[2]`; `root` for the root.
    #[must_use]
    pub fn path(&self) -> String {
        match self.path.0 {
            None => "root".into(),
            Some(_) => self.path.to_string(),
        }
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
            Node::Array(node) => Ok(Array {
                value: self.clone(),
                node,
            }),
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
            Node::Object(object) => Ok(Object {
                value: self.clone(),
                node: object,
            }),
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
        let found = self
            .pairs()?
            .iter()
            .find_map(|(id, value)| match self.tree.node(*id) {
                Node::Str(text) if **text == *key => Some(self.at(*value, Step::Key(text))),
                _ => None,
            });
        Ok(found)
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

/// An instance of a class that is not turned into data: never made, its parts are plain values.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    value: Value<'a>,
    node: &'a super::tree::Object,
}

impl<'a> Object<'a> {
    /// Module of its class.
    #[must_use]
    pub fn module(&self) -> &'a str {
        &self.node.class.module
    }

    /// Name of its class, with dots for nested ones.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.node.class.name
    }

    /// What its class would have been called with: a tuple; keyword arguments are a dict as its last element.
    #[must_use]
    pub fn args(&self) -> Value<'a> {
        self.value.at(self.node.args, Step::Key("(args)"))
    }

    /// What it would have been given as its state.
    #[must_use]
    pub fn state(&self) -> Option<Value<'a>> {
        self.node.state.map(|id| self.value.at(id, Step::Key("(state)")))
    }

    /// Elements it would have been given, for a class derived from list; else none.
    #[must_use]
    pub fn items(&self) -> Vec<Value<'a>> {
        self.value.indexed(&self.node.items)
    }

    /// Keys and values it would have been given, for a class derived from dict; else none.
    #[must_use]
    pub fn entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        self.value.keyed(&self.node.pairs)
    }

    /// An attribute: an entry of its state, which is a dict or a pair of dicts (the second one for slots).
    ///
    /// # Errors
    /// It has no such attribute, or its state is not made of attributes.
    pub fn attr(&self, name: &str) -> Result<Value<'a>, ValueError> {
        self.find_attr(name)?.ok_or_else(|| {
            let found = self
                .state()
                .map_or_else(|| "no attributes".into(), |state| state.keys());
            let expected = format!("an attribute `{name}` of `{}`", self.node.class.path());
            self.value.mismatch(&expected, found)
        })
    }

    /// An attribute, if it is there.
    ///
    /// # Errors
    /// Its state is not made of attributes.
    pub fn find_attr(&self, name: &str) -> Result<Option<Value<'a>>, ValueError> {
        let Some(state) = self.state() else {
            return Ok(None);
        };
        let parts = match state.kind() {
            Kind::Tuple => state.items()?,
            _ => vec![state],
        };
        for part in parts.iter().filter(|part| !part.is_none()) {
            if let Some(found) = part.find(name)? {
                let step = found.path.0.as_deref().map_or(Step::Key("?"), |(_, step)| *step);
                return Ok(Some(self.value.at(found.id, step)));
            }
        }
        Ok(None)
    }
}

/// A numpy array of the file.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    value: Value<'a>,
    node: &'a ArrayNode,
}

impl<'a> Array<'a> {
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
