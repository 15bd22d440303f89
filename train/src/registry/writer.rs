//! The one writer of a model's folder: takes the lock, finishes or undoes what a killed writer left, appends to the log.

use super::error::At;
use super::folder::{Folder, LOCK, TORN, VERSIONS};
use super::history::{History, unjudged};
use super::log::{Change, Entry, Event, Log, Move};
use super::manifest::sha256_hex;
use super::{Registry, RegistryError};
use crate::durable;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::Path;

const RECOVERY: &str = "registry recovery";

/// Holds the lock; the log agrees with what readers see from construction on.
pub(super) struct Writer<'a> {
    pub(super) folder: Folder,
    pub(super) history: History,
    /// What was found unfinished and how it was settled, for people.
    pub(super) repairs: Vec<String>,
    actor: &'a str,
    log: Log,
    _lock: File,
}

impl<'a> Writer<'a> {
    /// Waits for the lock, creates the folder where missing, recovers.
    pub(super) fn open(registry: &'a Registry, folder: Folder) -> Result<Self, RegistryError> {
        let versions = folder.versions_path();
        durable::create_dir(&versions).at("create", &versions)?;
        let _lock = lock(&folder)?;
        let mut writer = Self {
            repairs: Vec::new(),
            actor: &registry.actor,
            log: Log::read(&folder.log_path())?,
            history: History::default(),
            folder,
            _lock,
        };
        writer.recover()?;
        Ok(writer)
    }

    /// Appends one entry, flushed; its effect must follow.
    pub(super) fn append(&mut self, event: Event, reason: &str) -> Result<u64, RegistryError> {
        let mut entry = Entry {
            seq: self.log.entries.len() as u64 + 1,
            time: timestamp(),
            event,
            actor: self.actor.to_owned(),
            reason: reason.to_owned(),
            prev: self.log.head().to_owned(),
            hash: String::new(),
        };
        let path = self.folder.log_path();
        let line = entry.seal();
        durable::append(&path, line.as_bytes()).at("append to", &path)?;
        let seq = entry.seq;
        self.log.entries.push(entry);
        self.history = History::replay(&self.log.entries);
        Ok(seq)
    }

    /// Makes the symlinks say what `change` says: the main move first, its rename is the commit.
    pub(super) fn carry_out(&self, change: &Change) -> Result<(), RegistryError> {
        self.set_link(&change.main)?;
        change.also.as_ref().map_or(Ok(()), |also| self.set_link(also))
    }

    /// Refuses before anything is written when a file or folder stands where an alias belongs.
    pub(super) fn check_alias_paths(&self, change: &Change) -> Result<(), RegistryError> {
        for moved in [Some(&change.main), change.also.as_ref()].into_iter().flatten() {
            let path = self.folder.path.join(&moved.alias);
            if path.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
                return Err(RegistryError::NotAnAlias { path });
            }
        }
        Ok(())
    }

    fn set_link(&self, moved: &Move) -> Result<(), RegistryError> {
        let link = self.folder.path.join(&moved.alias);
        match (&moved.to, link.symlink_metadata()) {
            (Some(to), _) => {
                durable::replace_symlink(&link, &Path::new(VERSIONS).join(to)).at("point the alias", &link)
            }
            (None, Ok(_)) => durable::remove_file(&link).at("remove the alias", &link),
            (None, Err(_)) => Ok(()),
        }
    }

    fn recover(&mut self) -> Result<(), RegistryError> {
        self.keep_torn_line()?;
        self.record_torn_files()?;
        self.history = History::replay(&self.log.entries);
        self.judge_last_entry()?;
        self.record_foreign_moves()?;
        self.remove_leftovers()?;
        self.protect_versions()
    }

    fn keep_torn_line(&mut self) -> Result<(), RegistryError> {
        if self.log.unfinished.is_empty() {
            return Ok(());
        }
        let log = self.folder.log_path();
        let torn = std::mem::take(&mut self.log.unfinished);
        let line = self.log.entries.len() + 1;
        let name = format!("{TORN}{line}-{}", &sha256_hex(&torn)[..8]);
        let kept = self.folder.path.join(name);
        durable::write_atomic(&kept, &torn).at("write", &kept)?;
        let whole = log.metadata().at("read", &log)?.len() - torn.len() as u64;
        durable::truncate(&log, whole).at("truncate", &log)
    }

    fn record_torn_files(&mut self) -> Result<(), RegistryError> {
        for kept in self.folder.torn()? {
            if !self.log.records_repair(&kept) {
                self.note(format!("an unfinished last line of the log was moved to {kept}"));
                self.append(Event::Repair { kept }, RECOVERY)?;
            }
        }
        Ok(())
    }

    /// The entry was written ahead of its rename: without the rename it is abandoned, with it what follows is finished.
    fn judge_last_entry(&mut self) -> Result<(), RegistryError> {
        let Some(last) = unjudged(&self.log.entries).cloned() else {
            return Ok(());
        };
        let happened = match &last.event {
            Event::Publish { version, .. } => self.folder.version_path(version).is_dir(),
            Event::Promote(change) | Event::Rollback(change) => {
                self.folder.link(&change.main.alias)? != change.main.from
            }
            _ => true,
        };
        if !happened {
            self.note(format!(
                "entry {} never took effect and was marked abandoned",
                last.seq
            ));
            self.append(Event::Abandon { entry: last.seq }, RECOVERY)?;
        } else if let Event::Promote(change) | Event::Rollback(change) = &last.event {
            self.finish(last.seq, change)?;
        }
        Ok(())
    }

    fn finish(&mut self, seq: u64, change: &Change) -> Result<(), RegistryError> {
        let Some(also) = &change.also else {
            return Ok(());
        };
        let main = self.folder.link(&change.main.alias)?;
        if main == change.main.to && self.folder.link(&also.alias)? == also.from {
            self.note(format!("entry {seq} was finished: `{}` moved", also.alias));
            self.set_link(also)?;
        }
        Ok(())
    }

    /// Readers follow the symlinks, so where a hand moved one the log takes note instead of moving it back.
    fn record_foreign_moves(&mut self) -> Result<(), RegistryError> {
        let links = self.folder.links()?;
        let known: BTreeSet<String> = self.history.aliases().map(str::to_owned).collect();
        let all: BTreeSet<String> = links.keys().cloned().chain(known).collect();
        for alias in all {
            let to = links.get(&alias).cloned();
            let from = self.history.target(&alias).map(str::to_owned);
            if from != to {
                self.note(format!(
                    "alias `{alias}` was found moved by something else than the registry"
                ));
                self.append(Event::External(Move { alias, from, to }), RECOVERY)?;
            }
        }
        Ok(())
    }

    fn remove_leftovers(&mut self) -> Result<(), RegistryError> {
        for path in self.folder.leftovers()? {
            self.note(format!("removed the unfinished {}", path.display()));
            let is_folder = path.symlink_metadata().is_ok_and(|m| m.is_dir());
            let removed = if is_folder {
                durable::remove_dir_all(&path)
            } else {
                durable::remove_file(&path)
            };
            removed.at("remove", &path)?;
        }
        Ok(())
    }

    fn protect_versions(&self) -> Result<(), RegistryError> {
        for id in self.folder.versions()? {
            let path = self.folder.version_path(&id);
            if !is_read_only(&path) {
                durable::set_read_only(&path).at("protect", &path)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, text: String) {
        self.repairs.push(text);
    }
}

/// Whether nobody may write to a file or folder.
pub(super) fn is_read_only(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.permissions().readonly())
}

/// Now, UTC, in whole milliseconds.
pub(super) fn timestamp() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Waits until no other process or thread writes to this model; the lock ends with the file handle.
fn lock(folder: &Folder) -> Result<File, RegistryError> {
    let path = folder.path.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .at("open", &path)?;
    file.lock().at("lock", &path)?;
    Ok(file)
}

/// Waits until nobody writes; `None` where nobody ever did.
pub(super) fn lock_shared(folder: &Folder) -> Result<Option<File>, RegistryError> {
    let path = folder.path.join(LOCK);
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.at("open", &path)?,
    };
    file.lock_shared().at("lock", &path)?;
    Ok(Some(file))
}
