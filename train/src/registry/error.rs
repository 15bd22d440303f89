//! What can go wrong in the registry, with what was expected, what was found and where.

use std::io;
use std::path::{Path, PathBuf};

/// Why the registry refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A model, alias or attachment name breaks its rule.
    #[error("{kind} name: expected {rule}, found `{found}`")]
    Name {
        /// What is named.
        kind: &'static str,
        /// The rule.
        rule: &'static str,
        /// The name found.
        found: String,
    },
    /// No model of that name.
    #[error("model `{name}`: not found in registry {}", root.display())]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The registry's folder.
        root: PathBuf,
    },
    /// Neither an alias nor a version of the model.
    #[error(
        "model `{name}`: expected a version, its number, `latest` or an alias, found `{found}`; there are {known}"
    )]
    UnknownVersion {
        /// Model name.
        name: String,
        /// What was asked for.
        found: String,
        /// What could have been asked for.
        known: String,
    },
    /// The alias has no earlier version to return to.
    #[error("model `{name}`: alias `{alias}` has no earlier version in the log to roll back to")]
    NothingEarlier {
        /// Model name.
        name: String,
        /// Alias.
        alias: String,
    },
    /// A version does not pass verification, so no alias is moved to it.
    #[error("model `{name}`, version {version} does not verify: {}", problems.join("; "))]
    Damaged {
        /// Model name.
        name: String,
        /// Version.
        version: String,
        /// Everything found wrong.
        problems: Vec<String>,
    },
    /// The deployment log is not the one that was written.
    #[error("{} line {line}: {text}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What was expected and found.
        text: String,
    },
    /// The bundle did not pass the caller's check.
    #[error("model file is not publishable: {0}")]
    Bundle(String),
    /// The card cannot go with this file.
    #[error("model card is not publishable: {0}")]
    Card(String),
    /// Something that is no symlink stands where an alias belongs.
    #[error("{}: expected a symlink or nothing where an alias belongs, found a file or folder", path.display())]
    NotAnAlias {
        /// The path.
        path: PathBuf,
    },
}

/// Adds what was tried and where to an operating system's error.
pub(super) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, RegistryError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, RegistryError> {
        self.map_err(|source| RegistryError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
