//! Instances that were not made: class, arguments, state and attributes as plain values.

use super::super::error::ValueError;
use super::super::tree::Object as Node;
use super::path::Step;
use super::{Kind, Value};

/// An instance of a class that is not turned into data: never made, its parts are plain values.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    value: Value<'a>,
    node: &'a Node,
}

impl<'a> Object<'a> {
    pub(super) fn new(value: Value<'a>, node: &'a Node) -> Self {
        Self { value, node }
    }

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
            if let Some((key, id)) = part.entry(name)? {
                return Ok(Some(self.value.at(id, Step::Key(key))));
            }
        }
        Ok(None)
    }
}
