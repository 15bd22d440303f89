//! Published models: immutable versions, movable aliases, and a log of every deployment.
//!
//! ```text
//! <root>/<name>/versions/<NNNN>-<UTC>-<hash8>/{model.safetensors, model_card.json, card.md, manifest.json, ...}
//! <root>/<name>/<alias> -> versions/<NNNN>-<UTC>-<hash8>      best, previous, champion, challenger, shadow, any other
//! <root>/<name>/deployments.log                               JSON lines, hash-chained
//! <root>/<name>/.lock                                         held by the one writer
//! ```
//!
//! **Readers** take no lock. They resolve an alias once ([`Registry::resolve`]) and then read from the version's own
//! folder, which never changes.
//!
//! **Writers** hold the lock and follow one rule: *the entry goes first, one rename is the commit.*
//! 1. Recover (below), so that log and folder agree.
//! 2. Publish only: write all files under a temporary name, flush them, take the permission to write away.
//! 3. Append the entry to the log and flush it. It says what is about to happen.
//! 4. Rename: the temporary folder to the version's name, or a temporary symlink over the alias; flush the folder.
//!    From here on readers see the new state.
//! 5. What follows from it: `previous` moves after `best`; a published folder becomes read-only.
//!
//! **Recovery**, by the next writer, never changes what readers see of a finished or unbegun step. It judges the last
//! entry by its rename: without it the entry is marked abandoned by a further entry (killed between 3 and 4: readers saw
//! the old state and keep it); with it step 5 is completed. An unfinished last line of the log (killed inside 3) is moved
//! to a file beside the log and that is logged. Aliases moved by hand are logged, not moved back. Temporary files go.
//! Each of these steps can itself be killed and repeated.
//!
//! `previous` names where a rollback of `best` leads. A rollback is a new entry, found through the log, and rolling back
//! twice goes two versions back. Version numbers are never used twice, abandoned or not.
//!
//! Who can write to the folder can forge all of it; the hashes find damage and unlogged changes, not an adversary. To find
//! one too, keep [`Log::head`] elsewhere.

mod deploy;
mod error;
mod folder;
mod history;
mod log;
mod manifest;
mod names;
mod publish;
mod read;
mod verify;
mod writer;

pub use deploy::Deployed;
pub use error::RegistryError;
pub use log::{Change, Entry, Event, Log, Move};
pub use manifest::{CARD, CARD_TEXT, FileRecord, MANIFEST, MODEL, Manifest, sha256_hex};
pub use names::{BEST, PREVIOUS, VersionId};
pub use publish::{BundleCheck, Draft, Published};
pub use read::{Detail, Resolved, Summary};
pub use verify::{Report, VersionReport};

use std::path::{Path, PathBuf};

/// A folder of published models. Cheap to open and to clone; any number of processes and threads may use one folder.
#[derive(Debug, Clone)]
pub struct Registry {
    root: PathBuf,
    actor: String,
}

impl Registry {
    /// The registry in `root`, which need not exist before the first publication. `actor` is written to the log.
    #[must_use]
    pub fn open(root: impl Into<PathBuf>, actor: impl Into<String>) -> Self {
        let (root, actor) = (root.into(), actor.into());
        Self { root, actor }
    }

    /// The registry's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
