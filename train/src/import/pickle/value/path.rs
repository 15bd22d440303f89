//! How a value was reached: keys, attributes and indices from the root, shared between values with the same start.

use super::super::tree::shortened;
use std::fmt;
use std::rc::Rc;

/// Steps from the root, the last one first.
#[derive(Clone)]
pub(super) struct Path<'a>(Option<Rc<(Path<'a>, Step<'a>)>>);

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(i64),
    /// The key or value at a place of a dict whose key is neither text nor integer.
    Place(usize),
}

impl<'a> Path<'a> {
    pub(super) fn root() -> Self {
        Self(None)
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn then(&self, step: Step<'a>) -> Self {
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
