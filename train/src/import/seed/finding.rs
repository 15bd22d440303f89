//! What is known to be wrong with how a source system made its checkpoint: a name to accept it by, a text to act on.

use serde::Serialize;
use std::fmt;

/// Something wrong, or not said, that the importer knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name, lower case with hyphens; never reused for another meaning.
    pub name: &'static str,
    /// What it is and what follows from it.
    pub text: String,
}

impl Finding {
    pub(super) fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}
