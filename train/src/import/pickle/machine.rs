//! The pickle stack machine, protocols 2 to 5: opcodes build data, and nothing is ever called or looked up.
//!
//! `GLOBAL` makes a name, `REDUCE` and `NEWOBJ` an object that remembers its class and arguments (or plain data, for the
//! few classes of [`construct`](super::construct)), `BUILD` attaches a state. Memory is bounded by the pickle's own
//! length: each opcode makes at most one value, references share it, and what is copied is counted.
//! Reference: Python's `pickletools`, whose names the opcodes have.

use super::error::{Fault, Problem};
use super::limits::Limits;
use super::opcode as op;
use super::tree::{Class, Id, Node, Tree};
use super::zip::Archive;

/// Reads one pickle; `archive` has its storages, where it stands in one.
pub(super) fn read(pickle: &[u8], archive: Option<&Archive>, limits: &Limits) -> Result<Tree, Problem> {
    Fault::above("bytes of pickle", pickle.len() as u64, limits.pickle_bytes).map_err(Problem::Whole)?;
    let mut machine = Machine::new(pickle, archive, limits);
    let root = machine.run()?;
    machine.tree.finish(root).map_err(Problem::Whole)
}

pub(super) struct Machine<'a> {
    pub(super) pickle: &'a [u8],
    pub(super) at: usize,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: Vec<Id>,
    pub(super) tree: Tree,
    pub(super) archive: Option<&'a Archive>,
    pub(super) limits: &'a Limits,
    /// Bytes of text that may still be made out of other text.
    n_copyable: usize,
    /// Tensor elements that may still be referred to.
    pub(super) n_elements_left: u64,
}

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8], archive: Option<&'a Archive>, limits: &'a Limits) -> Self {
        let file_bytes = archive.map_or(0, |a| a.file().len() as u64);
        Self {
            pickle,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            tree: Tree::new(*limits),
            archive,
            limits,
            n_copyable: pickle.len().saturating_add(1 << 16),
            n_elements_left: file_bytes.saturating_mul(limits.elements_per_byte),
        }
    }

    fn run(&mut self) -> Result<Id, Problem> {
        loop {
            let offset = self.at;
            let code = self.pickle.get(offset).copied();
            let step = code.map_or_else(
                || Err(Fault::new("STOP", "the end of the pickle")),
                |c| self.step(c),
            );
            let opcode = code.map_or("(none)", op::name);
            match step {
                Ok(Some(root)) => return Ok(root),
                Ok(None) => {}
                Err(fault) => {
                    return Err(Problem::Opcode {
                        offset,
                        opcode,
                        fault,
                    });
                }
            }
        }
    }

    /// Runs one opcode; an id is the finished value.
    fn step(&mut self, code: u8) -> Result<Option<Id>, Fault> {
        if (self.at == 0) != (code == op::PROTO) {
            let found = format!("byte {code:#04x} ({})", op::name(code));
            return Err(Fault::new(
                "PROTO (0x80) as the first opcode and nowhere else: an uncompressed pickle",
                found,
            ));
        }
        self.at += 1;
        match code {
            op::STOP => return self.stop().map(Some),
            op::PROTO | op::FRAME => self.envelope(code)?,
            op::MARK => self.marks.push(self.stack.len()),
            op::POP | op::POP_MARK | op::DUP => self.shuffle(code)?,
            op::BINGET | op::LONG_BINGET | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => {
                self.memorize(code)?;
            }
            op::APPEND | op::APPENDS | op::ADDITEMS | op::SETITEM | op::SETITEMS => self.extend(code)?,
            op::EMPTY_TUPLE | op::TUPLE | op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.tuple(code)?,
            op::GLOBAL | op::STACK_GLOBAL => self.global(code)?,
            op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX | op::BUILD | op::BINPERSID => self.call(code)?,
            op::FROZENSET => {
                let items = self.pop_mark()?;
                self.push(Node::Set(items))?;
            }
            _ => {
                let node = self.literal(code)?;
                self.push(node)?;
            }
        }
        Ok(None)
    }

    fn stop(&mut self) -> Result<Id, Fault> {
        if self.stack.len() != 1 || !self.marks.is_empty() {
            let found = format!("{} and {} marks", self.stack.len(), self.marks.len());
            return Err(Fault::new("one value on the stack", found));
        }
        let rest = self.pickle.len() - self.at;
        if rest > 0 {
            let found = format!("{rest} bytes behind it: several pickles, or arrays of joblib");
            return Err(Fault::new("STOP as the last byte", found));
        }
        self.pop()
    }

    fn envelope(&mut self, code: u8) -> Result<(), Fault> {
        if code == op::PROTO {
            let [protocol] = self.take()?;
            return match protocol {
                2..=5 => Ok(()),
                _ => Err(Fault::new("protocol 2 to 5", protocol)),
            };
        }
        let (n, rest) = (u64::from_le_bytes(self.take()?), self.pickle.len() - self.at);
        if n > rest as u64 {
            return Err(Fault::new(format!("a frame of at most {rest} bytes"), n));
        }
        Ok(())
    }

    fn shuffle(&mut self, code: u8) -> Result<(), Fault> {
        match code {
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            op::POP if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            op::POP => {
                self.pop()?;
            }
            _ => {
                self.pop_mark()?;
            }
        }
        Ok(())
    }

    fn memorize(&mut self, code: u8) -> Result<(), Fault> {
        let i = match code {
            op::MEMOIZE => self.memo.len(),
            op::BINGET | op::BINPUT => usize::from(self.take::<1>()?[0]),
            _ => u32::from_le_bytes(self.take()?) as usize,
        };
        if matches!(code, op::BINGET | op::LONG_BINGET) {
            let n = self.memo.len();
            let kept = self.memo.get(i).copied();
            self.stack.push(
                kept.ok_or_else(|| Fault::new(format!("one of {n} memo entries"), format!("number {i}")))?,
            );
            return Ok(());
        }
        let top = self.top()?;
        match self.memo.len() {
            n if i < n => self.memo[i] = top,
            n if i == n => self.memo.push(top),
            n => return Err(Fault::new(format!("memo entry {n} as the next one"), i)),
        }
        Fault::above("memo entries", self.memo.len() as u64, self.limits.memo)
    }

    /// Puts values into the list, set, dict or object below them.
    fn extend(&mut self, code: u8) -> Result<(), Fault> {
        let values = match code {
            op::APPEND => vec![self.pop()?],
            op::SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let target = self.top()?;
        let is_pairs = matches!(code, op::SETITEM | op::SETITEMS);
        if is_pairs && values.len() % 2 != 0 {
            return Err(Fault::new("keys and values", format!("{} of them", values.len())));
        }
        let pairs = || values.as_chunks().0.iter().map(|[key, value]| (*key, *value));
        match (self.tree.node_mut(target), code) {
            (Node::List(ids), op::APPEND | op::APPENDS) | (Node::Set(ids), op::ADDITEMS) => {
                ids.extend(values);
            }
            (Node::Dict(dict), _) if is_pairs => dict.pairs.extend(pairs()),
            (Node::Object(object), _) if is_pairs => object.pairs.extend(pairs()),
            (Node::Object(object), _) => object.items.extend(values),
            _ => return Err(Fault::new("a value that takes items", self.tree.describe(target))),
        }
        Ok(())
    }

    fn tuple(&mut self, code: u8) -> Result<(), Fault> {
        let n = match code {
            op::EMPTY_TUPLE => 0,
            op::TUPLE1 => 1,
            op::TUPLE2 => 2,
            op::TUPLE3 => 3,
            _ => {
                let items = self.pop_mark()?;
                return self.push(Node::Tuple(items));
            }
        };
        let bottom = self.marks.last().copied().unwrap_or(0);
        let n_there = self.stack.len() - bottom;
        if n_there < n {
            return Err(Fault::new(format!("{n} values on the stack"), n_there));
        }
        let items = self.stack.split_off(self.stack.len() - n);
        self.push(Node::Tuple(items))
    }

    fn global(&mut self, code: u8) -> Result<(), Fault> {
        let class = if code == op::GLOBAL {
            let (module, name) = (self.line()?, self.line()?);
            current(Class { module, name })
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let (module, name) = (self.text_of(module)?, self.text_of(name)?);
            Class { module, name }
        };
        if &*class.module == "joblib.numpy_pickle" {
            return Err(Fault::new("a pickle without joblib arrays", class.path()));
        }
        self.push(Node::Class(Box::new(class)))
    }

    fn call(&mut self, code: u8) -> Result<(), Fault> {
        if code == op::BINPERSID {
            let name = self.pop()?;
            let storage = self.storage(name)?;
            return self.push(Node::Storage(Box::new(storage)));
        }
        let last = self.pop()?;
        let id = match code {
            op::REDUCE => {
                let callee = self.pop()?;
                self.reduce(callee, last)?
            }
            op::NEWOBJ => {
                let class = self.pop()?;
                self.new_object(class, last, None)?
            }
            op::NEWOBJ_EX => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.new_object(class, args, Some(last))?
            }
            _ => {
                let target = self.top()?;
                return self.build(target, last);
            }
        };
        self.stack.push(id);
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), Fault> {
        let id = match node {
            Node::None => Tree::NONE,
            Node::Bool(true) => Tree::TRUE,
            Node::Bool(false) => Tree::FALSE,
            node => self.tree.add(node)?,
        };
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> Result<Id, Fault> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        let top = self.stack[bottom..].last().copied();
        top.ok_or_else(|| Fault::new("a value on the stack", "none above the last mark"))
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| Fault::new("a mark on the stack", "none"))?;
        Ok(self.stack.split_off(mark))
    }

    /// Counts bytes of text made out of other text, which a short pickle could do again and again.
    pub(super) fn charge_copy(&mut self, n: usize) -> Result<(), Fault> {
        let left = self.n_copyable.checked_sub(n).ok_or(Fault::Limit {
            what: "bytes of copied text (the pickle's own length)",
            limit: self.pickle.len() as u64,
        })?;
        self.n_copyable = left;
        Ok(())
    }
}

/// Protocol 2 writes builtins by the names they had in Python 2.
fn current(class: Class) -> Class {
    let (module, name) = match (&*class.module, &*class.name) {
        ("__builtin__", "long") => ("builtins", "int"),
        ("__builtin__", "unicode") => ("builtins", "str"),
        ("__builtin__", "xrange") => ("builtins", "range"),
        ("__builtin__", name) => ("builtins", name),
        ("copy_reg", name) => ("copyreg", name),
        _ => return class,
    };
    Class {
        module: module.into(),
        name: name.into(),
    }
}
