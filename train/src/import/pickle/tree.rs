//! The pickled data as a flat arena: values refer to others by number, so that sharing costs nothing and dropping a
//! deep value needs no stack.
//!
//! [`Tree::finish`] makes it safe to walk: references back to an enclosing value are cut, nesting is limited, and so is
//! the number of values a walk meets when it enters a shared value once per reference (ten lists of the same list of
//! the same list ... would otherwise be 10^n values in a few bytes).

use super::array::{ArrayNode, ArrayType, Elements};
use super::error::Fault;
use super::limits::Limits;
use super::tensor::{Storage, Tensor};
use std::collections::HashSet;
use std::sync::Arc;

/// Number of a node in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(u32);

/// One value.
#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond `i64`; its little-endian bytes.
    Long(Box<[u8]>),
    Float(f64),
    Str(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    Dict(Box<Dict>),
    Class(Box<Class>),
    Object(Box<Object>),
    Dtype(ArrayType),
    Array(Box<ArrayNode>),
    Storage(Box<Storage>),
    Tensor(Box<Tensor>),
    /// A reference back to a value that encloses it.
    Cut,
}

/// A dict, in the order of the file; `state` holds attributes of a subclass such as `OrderedDict`.
#[derive(Debug, Default)]
pub(super) struct Dict {
    pub(super) pairs: Vec<(Id, Id)>,
    pub(super) state: Option<Id>,
}

/// A class or function by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) module: Arc<str>,
    pub(super) name: Arc<str>,
}

/// An instance that was not made: what its class would have been called with, and what it would have been given.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) class: Class,
    pub(super) args: Id,
    pub(super) state: Option<Id>,
    pub(super) items: Vec<Id>,
    pub(super) pairs: Vec<(Id, Id)>,
}

impl Node {
    pub(super) fn dict() -> Self {
        Self::Dict(Box::default())
    }

    /// The `i`-th value this one refers to; nothing behind the last.
    fn child_mut(&mut self, i: usize) -> Option<&mut Id> {
        match self {
            Self::List(ids) | Self::Tuple(ids) | Self::Set(ids) => ids.get_mut(i),
            Self::Dict(dict) => child_of(&mut dict.pairs, &mut [dict.state.as_mut()], i),
            Self::Array(array) => match &mut array.elements {
                Elements::Objects(ids) => ids.get_mut(i),
                Elements::Raw(_) => None,
            },
            Self::Object(object) => {
                let n = object.items.len();
                if i < n {
                    return object.items.get_mut(i);
                }
                let named = &mut [Some(&mut object.args), object.state.as_mut()];
                child_of(&mut object.pairs, named, i - n)
            }
            _ => None,
        }
    }
}

fn child_of<'a>(pairs: &'a mut [(Id, Id)], named: &mut [Option<&'a mut Id>], i: usize) -> Option<&'a mut Id> {
    let n = 2 * pairs.len();
    if i < n {
        let (key, value) = &mut pairs[i / 2];
        return Some(if i.is_multiple_of(2) { key } else { value });
    }
    named.iter_mut().filter_map(Option::take).nth(i - n)
}

/// Values of one pickle; node 0 is `None`, nodes 1 and 2 are `False` and `True`, node 3 is a cut reference.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    root: Id,
    limits: Limits,
    n_charged: u64,
}

impl Tree {
    pub(super) const NONE: Id = Id(0);
    pub(super) const FALSE: Id = Id(1);
    pub(super) const TRUE: Id = Id(2);
    const CUT: Id = Id(3);

    pub(super) fn new(limits: Limits) -> Self {
        Self {
            nodes: vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Cut],
            root: Self::NONE,
            limits,
            n_charged: 0,
        }
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    pub(super) fn add(&mut self, node: Node) -> Result<Id, Fault> {
        self.charge(1)?;
        let id = Id(u32::try_from(self.nodes.len()).map_err(|_| self.too_many())?);
        self.nodes.push(node);
        Ok(id)
    }

    /// Counts values that are copied from one node into another.
    pub(super) fn charge(&mut self, n: usize) -> Result<(), Fault> {
        self.n_charged += n as u64;
        if self.n_charged > self.limits.nodes {
            return Err(self.too_many());
        }
        Ok(())
    }

    fn too_many(&self) -> Fault {
        Fault::Limit {
            what: "values",
            limit: self.limits.nodes,
        }
    }

    /// What kind of value a node is, with its size, for messages.
    pub(super) fn describe(&self, id: Id) -> String {
        match self.node(id) {
            Node::None => "None".into(),
            Node::Bool(v) => format!("bool {v}"),
            Node::Int(v) => format!("int {v}"),
            Node::Long(bytes) => format!("an int of {} bytes", bytes.len()),
            Node::Float(v) => format!("float {v}"),
            Node::Str(text) => format!("str `{}`", shortened(text)),
            Node::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Node::List(ids) => format!("a list of {}", ids.len()),
            Node::Tuple(ids) => format!("a tuple of {}", ids.len()),
            Node::Set(ids) => format!("a set of {}", ids.len()),
            Node::Dict(dict) => format!("a dict of {}", dict.pairs.len()),
            Node::Class(class) => format!("class or function `{}`", class.path()),
            Node::Object(object) => format!("an object of `{}`", object.class.path()),
            Node::Dtype(kind) => format!("numpy dtype {kind}"),
            Node::Array(array) => format!("a numpy array {:?} of {}", array.shape, array.kind),
            Node::Storage(storage) => format!("a storage of {:?}", storage.kind),
            Node::Tensor(tensor) => format!("a tensor {:?} of {:?}", tensor.shape(), tensor.dtype()),
            Node::Cut => "a reference back to an enclosing value".into(),
        }
    }

    /// Makes `root` the value of the file and checks that it can be walked.
    pub(super) fn finish(mut self, root: Id) -> Result<Self, Fault> {
        self.root = root;
        self.limit_walks()?;
        for node in &self.nodes {
            if let Node::Dict(dict) = node {
                self.check_keys(&dict.pairs)?;
            }
        }
        Ok(self)
    }

    /// Depth first without recursion. A node that is met while it is still being walked encloses itself.
    fn limit_walks(&mut self) -> Result<(), Fault> {
        let mut seen = vec![Seen::default(); self.nodes.len()];
        let mut open = vec![(self.root, 0)];
        seen[self.root.0 as usize].is_open = true;
        while let Some((id, i)) = open.last_mut() {
            let id = *id;
            let child = self.nodes[id.0 as usize].child_mut(*i);
            *i += 1;
            match child {
                Some(child) if seen[child.0 as usize].is_open => *child = Self::CUT,
                Some(child) if seen[child.0 as usize].n_walked == 0 => {
                    let child = *child;
                    seen[child.0 as usize].is_open = true;
                    open.push((child, 0));
                }
                Some(child) => {
                    let child = seen[child.0 as usize];
                    seen[id.0 as usize].take(child);
                }
                None => {
                    open.pop();
                    let done = self.close(&mut seen[id.0 as usize])?;
                    if let Some((parent, _)) = open.last() {
                        seen[parent.0 as usize].take(done);
                    }
                }
            }
        }
        Ok(())
    }

    fn close(&self, seen: &mut Seen) -> Result<Seen, Fault> {
        seen.is_open = false;
        seen.n_walked = seen.below.saturating_add(1);
        Fault::above("levels of nesting", u64::from(seen.height), self.limits.depth)?;
        Fault::above("values in one walk", seen.n_walked, self.limits.walk)?;
        Ok(*seen)
    }

    /// Two equal keys cannot come from a dict.
    fn check_keys(&self, pairs: &[(Id, Id)]) -> Result<(), Fault> {
        let mut keys = HashSet::with_capacity(pairs.len());
        for (key, _) in pairs {
            if let Node::Str(key) = self.node(*key)
                && !keys.insert(&**key)
            {
                return Err(Fault::new(
                    "a dict of unique keys",
                    format!("`{}` twice", shortened(key)),
                ));
            }
        }
        Ok(())
    }
}

/// What a depth-first search knows of a node.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    is_open: bool,
    /// Levels below.
    height: u32,
    /// Values below, shared ones once per reference; of the children met so far.
    below: u64,
    /// The same with the node itself, 0 until it is known.
    n_walked: u64,
}

impl Seen {
    fn take(&mut self, child: Self) {
        self.height = self.height.max(child.height.saturating_add(1));
        self.below = self.below.saturating_add(child.n_walked);
    }
}

impl Class {
    /// Module and name as Python writes them.
    pub(super) fn path(&self) -> String {
        shortened(&format!("{}.{}", self.module, self.name))
    }
}

/// At most 80 characters of a text, for messages.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            depth: 10,
            walk: 1000,
            ..Limits::default()
        }
    }

    /// Lists in lists: each level refers to the one below `n` times.
    fn nested(levels: usize, n: usize) -> Result<Tree, Fault> {
        let mut tree = Tree::new(limits());
        let mut id = tree.add(Node::Int(7))?;
        for _ in 0..levels {
            id = tree.add(Node::List(vec![id; n]))?;
        }
        tree.finish(id)
    }

    #[test]
    fn nesting_is_limited() {
        assert!(nested(10, 1).is_ok());
        let limit = Fault::Limit {
            what: "levels of nesting",
            limit: 10,
        };
        assert_eq!(nested(11, 1).unwrap_err(), limit);
    }

    #[test]
    fn a_hundred_thousand_levels_need_no_stack() {
        assert!(nested(100_000, 1).is_err());
    }

    #[test]
    fn shared_values_are_counted_once_per_reference() {
        // 1 + 2 + 4 + ... + 2^8 = 511, one level more is 1023
        assert!(nested(8, 2).is_ok());
        let error = nested(9, 2).unwrap_err().to_string();
        assert_eq!(error, "expected at most 1000 values in one walk, found more");
    }

    #[test]
    fn a_list_in_itself_ends_in_a_cut_reference() {
        let mut tree = Tree::new(limits());
        let list = tree.add(Node::List(Vec::new())).unwrap();
        let tuple = tree.add(Node::Tuple(vec![list])).unwrap();
        *tree.node_mut(list) = Node::List(vec![tuple, tuple]);
        let tree = tree.finish(list).unwrap();
        assert!(matches!(tree.node(list), Node::List(ids) if *ids == [tuple, tuple]));
        assert!(matches!(tree.node(tuple), Node::Tuple(ids) if *ids == [Tree::CUT]));
    }

    #[test]
    fn every_reference_of_an_object_is_followed() {
        let mut tree = Tree::new(limits());
        let id = tree.add(Node::Tuple(Vec::new())).unwrap();
        let class = Class {
            module: "m".into(),
            name: "C".into(),
        };
        let object = Object {
            class,
            args: id,
            state: Some(id),
            items: vec![id, id],
            pairs: vec![(Tree::NONE, id)],
        };
        let mut node = Node::Object(Box::new(object));
        let found: Vec<Id> = (0..9).map_while(|i| node.child_mut(i).copied()).collect();
        assert_eq!(found, [id, id, Tree::NONE, id, id, id]);
    }

    #[test]
    fn equal_keys_are_refused() {
        let mut tree = Tree::new(limits());
        let [a, b] = [(); 2].map(|()| tree.add(Node::Str("key".into())).unwrap());
        let dict = Dict {
            pairs: vec![(a, a), (b, a)],
            state: None,
        };
        let dict = tree.add(Node::Dict(Box::new(dict))).unwrap();
        let error = tree.finish(dict).unwrap_err().to_string();
        assert_eq!(error, "expected a dict of unique keys, found `key` twice");
    }
}
