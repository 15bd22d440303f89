//! What calls in a pickle stand for: the allow-list of constructors that are turned into data; all others stay objects
//! that remember class, arguments and state. Python 2's names of modules, which protocol 2 writes, are read as today's.
//!
//! | call | becomes |
//! |---|---|
//! | `collections.{OrderedDict, defaultdict}` | dict |
//! | `builtins.{set, frozenset}` of a list | set |
//! | `builtins.{bytes, bytearray}`, `_codecs.encode(text, "latin1")` | bytes |
//! | `builtins.getattr(class, name)` | the nested class, by name |
//! | `torch._utils.{_rebuild_tensor_v2, _rebuild_parameter}` | tensor |
//! | `torch.Size`, `torch.device` | tuple, text |
//! | `numpy.dtype`, `numpy.*.multiarray.{_reconstruct, scalar}`, `numpy.*.numeric._frombuffer` | dtype, array, number |

use super::array::{ArrayNode, ArrayType, Elements, Number};
use super::error::Fault;
use super::machine::Machine;
use super::tensor::{Storage, Tensor, TensorType};
use super::tree::{Class, Id, Node, Object};
use std::sync::Arc;

impl Machine<'_> {
    /// The value of a call.
    pub(super) fn reduce(&mut self, callee: Id, args: Id) -> Result<Id, Fault> {
        if matches!(self.tree.node(callee), Node::Object(_)) {
            return self.called_object(callee, args);
        }
        let class = self.class(callee)?;
        let given = self.tuple_of(args)?;
        let node = match (&*class.module, &*class.name, &given[..]) {
            ("collections", "OrderedDict", []) | ("collections", "defaultdict", _) => Node::dict(),
            ("builtins", name, given) => match self.builtin(name, given)? {
                Some(node) => node,
                None => return self.new_object(callee, args, None),
            },
            ("_codecs", "encode", [text, encoding]) => self.latin1(*text, *encoding)?,
            ("torch._utils", "_rebuild_tensor_v2", given) => self.tensor(given)?,
            ("torch._utils", "_rebuild_parameter", [tensor, ..]) => return self.expect_tensor(*tensor),
            ("torch", "Size", [sizes]) => return Ok(*sizes),
            ("torch", "device", given) => self.device(given)?,
            ("numpy", "dtype", [text, ..]) => Node::Dtype(ArrayType::parse(&self.text_of(*text)?)?),
            (module, "_reconstruct", _) if is_numpy(module, "multiarray") => {
                Node::Array(Box::new(ArrayNode::empty()))
            }
            (module, "scalar", [kind, value]) if is_numpy(module, "multiarray") => {
                return self.scalar(*kind, *value);
            }
            (module, "_frombuffer", [raw, kind, shape, order]) if is_numpy(module, "numeric") => {
                let fortran = &*self.text_of(*order)? == "F";
                self.array(*kind, *shape, fortran, *raw)?
            }
            _ => return self.new_object(callee, args, None),
        };
        self.tree.add(node)
    }

    /// An object that is not made: its class and arguments; keyword arguments become the last element of the tuple.
    pub(super) fn new_object(&mut self, class: Id, args: Id, keywords: Option<Id>) -> Result<Id, Fault> {
        let class = self.class(class)?;
        let mut given = self.tuple_of(args)?;
        let args = match keywords {
            None => args,
            Some(keywords) => {
                self.tree.charge(given.len())?;
                given.push(keywords);
                self.tree.add(Node::Tuple(given))?
            }
        };
        self.tree.charge(3)?;
        self.tree.add(Node::Object(Box::new(Object {
            class,
            args,
            state: None,
            items: Vec::new(),
            pairs: Vec::new(),
        })))
    }

    /// The call of an object, as protocol 2 has for keyword arguments: its class's `__call__` of itself and the arguments.
    fn called_object(&mut self, callee: Id, args: Id) -> Result<Id, Fault> {
        let Node::Object(object) = self.tree.node(callee) else {
            return Err(Fault::new("an object", self.tree.describe(callee)));
        };
        let class = object.class.clone();
        let mut given = vec![callee];
        given.extend(self.tuple_of(args)?);
        let method = self.member(class, "__call__")?;
        let class = self.tree.add(method)?;
        let args = self.tree.add(Node::Tuple(given))?;
        self.new_object(class, args, None)
    }

    /// A name in a class.
    fn member(&mut self, class: Class, name: &str) -> Result<Node, Fault> {
        self.charge_copy(class.name.len() + name.len() + 1)?;
        let name = format!("{}.{name}", class.name).into();
        let module = class.module;
        Ok(Node::Class(Box::new(Class { module, name })))
    }

    /// Gives a value its state.
    pub(super) fn build(&mut self, target: Id, state: Id) -> Result<(), Fault> {
        let slot = match self.tree.node_mut(target) {
            Node::Array(_) => return self.build_array(target, state),
            Node::Dtype(_) => return self.build_dtype(target, state),
            Node::Dict(dict) => &mut dict.state,
            Node::Object(object) => &mut object.state,
            _ => {
                return Err(Fault::new(
                    "an object that takes a state",
                    self.tree.describe(target),
                ));
            }
        };
        if slot.replace(state).is_some() {
            return Err(Fault::new("one state", "a second one"));
        }
        Ok(())
    }

    fn builtin(&mut self, name: &str, given: &[Id]) -> Result<Option<Node>, Fault> {
        Ok(Some(match (name, given) {
            ("set" | "frozenset", []) => Node::Set(Vec::new()),
            ("set" | "frozenset", [list]) => {
                let items = self.list_of(*list)?;
                Node::Set(items)
            }
            ("bytes" | "bytearray", []) => Node::Bytes(Arc::new([])),
            ("bytes" | "bytearray", [bytes]) => match self.tree.node(*bytes) {
                Node::Bytes(bytes) => Node::Bytes(bytes.clone()),
                _ => return Ok(None),
            },
            ("bytes" | "bytearray", [text, encoding]) => self.latin1(*text, *encoding)?,
            ("getattr", [class, name]) if matches!(self.tree.node(*class), Node::Class(_)) => {
                let (class, name) = (self.class(*class)?, self.text_of(*name)?);
                self.member(class, &name)?
            }
            _ => return Ok(None),
        }))
    }

    /// Bytes as protocol 2 writes them: text whose characters are the bytes.
    fn latin1(&mut self, text: Id, encoding: Id) -> Result<Node, Fault> {
        let (text, encoding) = (self.text_of(text)?, self.text_of(encoding)?);
        if !matches!(&*encoding, "latin1" | "latin-1") {
            return Err(Fault::new("encoding `latin1`", format!("`{encoding}`")));
        }
        self.charge_copy(text.len())?;
        let byte = |c| u8::try_from(c).map_err(|_| Fault::new("characters up to U+00FF", format!("{c:?}")));
        let bytes: Vec<u8> = text.chars().map(byte).collect::<Result<_, _>>()?;
        Ok(Node::Bytes(bytes.into()))
    }

    fn device(&mut self, given: &[Id]) -> Result<Node, Fault> {
        let Some((kind, index)) = given.split_first() else {
            return Err(Fault::new("the name of a device", "none"));
        };
        let kind = self.text_of(*kind)?;
        self.charge_copy(kind.len() + 20)?;
        Ok(Node::Str(match index {
            [index] => format!("{kind}:{}", self.size_of(*index)?).into(),
            _ => kind,
        }))
    }

    /// A persistent id: `("storage", class, key, device, elements)`.
    pub(super) fn storage(&mut self, name: Id) -> Result<Storage, Fault> {
        let expected = "(\"storage\", class, key, device, elements)";
        let [tag, class, key, _device, n] = self.tuple_of(name)?[..] else {
            return Err(Fault::new(expected, self.tree.describe(name)));
        };
        if &*self.text_of(tag)? != "storage" {
            return Err(Fault::new(expected, self.tree.describe(tag)));
        }
        let (class, key, n) = (self.class(class)?, self.text_of(key)?, self.size_of(n)?);
        if &*class.module != "torch" {
            return Err(Fault::new("a storage class of module `torch`", class.path()));
        }
        let kind = TensorType::of_storage(&class.name)?;
        self.charge_copy(key.len())?;
        let Some(archive) = self.archive else {
            return Err(Fault::new(
                "a pickle without tensors",
                format!("storage `{key}`: a file for TorchFile?"),
            ));
        };
        let bytes = archive
            .entry(&format!("data/{key}"))
            .map_err(|problem| Fault::new(format!("the data of storage `{key}`"), problem))?;
        if n.checked_mul(kind.n_bytes()) != Some(bytes.len()) {
            let found = format!("{} bytes in entry `data/{key}`", bytes.len());
            return Err(Fault::new(format!("{n} elements of {kind:?}"), found));
        }
        let file = archive.file().clone();
        Ok(Storage { file, bytes, kind })
    }

    /// `(storage, offset, size, stride, requires_grad, hooks)`.
    fn tensor(&mut self, given: &[Id]) -> Result<Node, Fault> {
        let [storage, offset, size, stride, ..] = given else {
            return Err(Fault::new(
                "storage, offset, size and stride",
                format!("{} arguments", given.len()),
            ));
        };
        let Node::Storage(found) = self.tree.node(*storage) else {
            return Err(Fault::new("a storage", self.tree.describe(*storage)));
        };
        let storage = (**found).clone();
        let (shape, strides) = (self.sizes_of(*size)?, self.sizes_of(*stride)?);
        let tensor = Tensor::new(storage, self.size_of(*offset)?, shape, strides, self.limits)?;
        let n = tensor.n_elements() as u64;
        self.n_elements_left = self.n_elements_left.checked_sub(n).ok_or(Fault::Limit {
            what: "tensor elements per byte of the file",
            limit: self.limits.elements_per_byte,
        })?;
        self.tree.charge(3 + tensor.shape().len())?;
        Ok(Node::Tensor(Box::new(tensor)))
    }

    fn expect_tensor(&self, id: Id) -> Result<Id, Fault> {
        match self.tree.node(id) {
            Node::Tensor(_) => Ok(id),
            _ => Err(Fault::new("a tensor", self.tree.describe(id))),
        }
    }

    /// `(3 or 4, byte order, ...)`.
    fn build_dtype(&mut self, target: Id, state: Id) -> Result<(), Fault> {
        let [_version, order, ..] = self.tuple_of(state)?[..] else {
            return Err(Fault::new("the state of a dtype", self.tree.describe(state)));
        };
        let order = self.text_of(order)?;
        let is_known = matches!(&*order, "<" | ">" | "|" | "=");
        match self.tree.node_mut(target) {
            Node::Dtype(kind) if is_known => kind.big_endian = &*order == ">",
            _ => return Err(Fault::new("byte order <, >, | or =", format!("`{order}`"))),
        }
        Ok(())
    }

    /// `(1, shape, dtype, is column-major, bytes or list)`.
    fn build_array(&mut self, target: Id, state: Id) -> Result<(), Fault> {
        let [_version, shape, kind, fortran, elements] = self.tuple_of(state)?[..] else {
            return Err(Fault::new("the state of an array", self.tree.describe(state)));
        };
        let fortran = match self.tree.node(fortran) {
            Node::Bool(fortran) => *fortran,
            Node::Int(fortran) => *fortran != 0,
            _ => {
                return Err(Fault::new(
                    "a truth value of the order",
                    self.tree.describe(fortran),
                ));
            }
        };
        let array = self.array(kind, shape, fortran, elements)?;
        *self.tree.node_mut(target) = array;
        Ok(())
    }

    fn array(&mut self, kind: Id, shape: Id, fortran: bool, elements: Id) -> Result<Node, Fault> {
        let kind = self.dtype_of(kind)?;
        let shape = self.sizes_of(shape)?;
        let elements = match self.tree.node(elements) {
            Node::Bytes(raw) if kind.kind != 'O' => Elements::Raw(raw.clone()),
            Node::List(_) if kind.kind == 'O' => Elements::Objects(self.list_of(elements)?),
            _ => {
                let expected = format!("the elements of an array of {kind}");
                return Err(Fault::new(expected, self.tree.describe(elements)));
            }
        };
        self.tree.charge(3 + shape.len())?;
        let array = ArrayNode::new(kind, shape, fortran, elements)?;
        Ok(Node::Array(Box::new(array)))
    }

    /// A numpy scalar: a plain number, the object itself, or an array without dimensions.
    fn scalar(&mut self, kind: Id, value: Id) -> Result<Id, Fault> {
        let kind = self.dtype_of(kind)?;
        let raw = match self.tree.node(value) {
            Node::Bytes(raw) if kind.kind != 'O' => raw.clone(),
            _ if kind.kind == 'O' => return Ok(value),
            _ => {
                return Err(Fault::new(
                    format!("the bytes of a {kind}"),
                    self.tree.describe(value),
                ));
            }
        };
        let array = ArrayNode::new(kind, Vec::new(), false, Elements::Raw(raw))?;
        let numbers = array.numbers();
        self.tree.add(match numbers.as_deref() {
            Ok([Number::Int(v)]) if kind.kind == 'b' => Node::Bool(*v != 0),
            Ok([Number::Int(v)]) => Node::Int(*v),
            Ok([Number::Float(v)]) => Node::Float(*v),
            _ => Node::Array(Box::new(array)),
        })
    }

    fn class(&self, id: Id) -> Result<Class, Fault> {
        match self.tree.node(id) {
            Node::Class(class) => Ok((**class).clone()),
            _ => Err(Fault::new("a class or function", self.tree.describe(id))),
        }
    }

    pub(super) fn text_of(&self, id: Id) -> Result<Arc<str>, Fault> {
        match self.tree.node(id) {
            Node::Str(text) => Ok(text.clone()),
            _ => Err(Fault::new("text", self.tree.describe(id))),
        }
    }

    /// A copy of a tuple's references, counted.
    fn tuple_of(&mut self, id: Id) -> Result<Vec<Id>, Fault> {
        let Node::Tuple(ids) = self.tree.node(id) else {
            return Err(Fault::new("a tuple", self.tree.describe(id)));
        };
        let ids = ids.clone();
        self.tree.charge(ids.len())?;
        Ok(ids)
    }

    /// A copy of a list's references, counted.
    fn list_of(&mut self, id: Id) -> Result<Vec<Id>, Fault> {
        let Node::List(ids) = self.tree.node(id) else {
            return Err(Fault::new("a list", self.tree.describe(id)));
        };
        let ids = ids.clone();
        self.tree.charge(ids.len())?;
        Ok(ids)
    }

    fn size_of(&self, id: Id) -> Result<usize, Fault> {
        let refuse = || Fault::new("a size", self.tree.describe(id));
        match self.tree.node(id) {
            Node::Int(n) => usize::try_from(*n).map_err(|_| refuse()),
            _ => Err(refuse()),
        }
    }

    fn sizes_of(&mut self, id: Id) -> Result<Vec<usize>, Fault> {
        let ids = self.tuple_of(id)?;
        Fault::above("dimensions", ids.len() as u64, self.limits.rank)?;
        ids.into_iter().map(|id| self.size_of(id)).collect()
    }

    fn dtype_of(&self, id: Id) -> Result<ArrayType, Fault> {
        match self.tree.node(id) {
            Node::Dtype(kind) => Ok(*kind),
            _ => Err(Fault::new("a numpy dtype", self.tree.describe(id))),
        }
    }
}

/// Modules moved from `numpy.core` to `numpy._core` in numpy 2.
fn is_numpy(module: &str, name: &str) -> bool {
    let rest = module
        .strip_prefix("numpy.core.")
        .or_else(|| module.strip_prefix("numpy._core."));
    rest == Some(name)
}
