//! Verification: every file against its manifest, every manifest against the log, every alias against both.

use super::folder::{Folder, LOCK, LOG, TORN, VERSIONS, names_in};
use super::history::{History, unjudged};
use super::log::{Event, Log};
use super::manifest::{self, FileRecord};
use super::names::check_alias;
use super::writer::{is_read_only, lock_shared};
use super::{CARD, CARD_TEXT, MANIFEST, MODEL, Manifest, Registry, RegistryError, VersionId, sha256_hex};
use crate::card::ModelCard;
use crate::durable;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// What verification found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Model name.
    pub name: String,
    /// The versions checked.
    pub versions: Vec<VersionReport>,
    /// What is wrong with log and aliases.
    pub problems: Vec<String>,
    /// Leftovers of a killed writer that the next writer settles; nothing is lost or wrong.
    pub notes: Vec<String>,
    /// Lines in the log.
    pub log_entries: usize,
    /// Hash of the last line.
    pub log_head: String,
}

/// What verification found in one version.
#[derive(Debug, Clone, Serialize)]
pub struct VersionReport {
    /// The version.
    pub version: VersionId,
    /// Everything wrong with it.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty() && self.versions.iter().all(|v| v.problems.is_empty())
    }
}

impl Registry {
    /// Verifies log, aliases and either all versions (`all`) or the one that `selector` stands for. Waits for a writer at
    /// work to finish; changes nothing.
    ///
    /// # Errors
    /// Unknown names, or the operating system's. Damage is no error but part of the report.
    pub fn verify(&self, name: &str, selector: &str) -> Result<Report, RegistryError> {
        let folder = Folder::existing(self.root(), name)?;
        let _lock = lock_shared(&folder)?;
        let mut report = Report {
            name: name.to_owned(),
            versions: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            log_entries: 0,
            log_head: String::new(),
        };
        let log = Log::read(&folder.log_path()).unwrap_or_else(|error| {
            report.problems.push(error.to_string());
            Log::default()
        });
        report.log_entries = log.entries.len();
        log.head().clone_into(&mut report.log_head);
        let history = History::replay(&log.entries);
        let versions = match selector {
            "all" => folder.versions()?,
            one => vec![folder.select(one)?],
        };
        for version in versions {
            let logged = history.published.get(&version.to_string());
            let problems = version_problems(&folder, &version, logged.map(String::as_str));
            report.versions.push(VersionReport { version, problems });
        }
        check_versions_exist(&folder, &history, &log, &mut report)?;
        check_aliases(&folder, &history, &log, &mut report)?;
        check_other_names(&folder, &mut report)?;
        note_leftovers(&folder, &log, &mut report)?;
        Ok(report)
    }
}

/// Everything wrong with one version; `logged` is its manifest's hash according to the log.
pub(super) fn version_problems(folder: &Folder, id: &VersionId, logged: Option<&str>) -> Vec<String> {
    let path = folder.version_path(id);
    let mut problems = Vec::new();
    match std::fs::read(path.join(MANIFEST)) {
        Err(error) => problems.push(format!("{MANIFEST}: {error}")),
        Ok(bytes) => {
            compare(
                "manifest.json: sha-256",
                logged,
                &sha256_hex(&bytes),
                &mut problems,
            );
            match serde_json::from_slice(&bytes) {
                Err(error) => problems.push(format!("{MANIFEST}: {error}")),
                Ok(manifest) => check_manifest(folder, id, &manifest, &mut problems),
            }
        }
    }
    problems
}

fn compare(what: &str, logged: Option<&str>, found: &str, problems: &mut Vec<String>) {
    match logged {
        None => problems.push("the log does not know this version".to_owned()),
        Some(expected) if expected != found => {
            problems.push(format!("{what}: expected {expected}, found {found}"));
        }
        Some(_) => {}
    }
}

fn check_manifest(folder: &Folder, id: &VersionId, manifest: &Manifest, problems: &mut Vec<String>) {
    if manifest.format != manifest::FORMAT {
        let text = format!("expected {}, found {}", manifest::FORMAT, manifest.format);
        problems.push(format!("{MANIFEST}: format: {text}"));
    }
    if manifest.name != folder.name || manifest.version != *id {
        let text = format!("found {} {}", manifest.name, manifest.version);
        problems.push(format!("{MANIFEST}: expected {} {id}, {text}", folder.name));
    }
    let path = folder.version_path(id);
    check_names(&path, manifest, problems);
    for (name, expected) in &manifest.files {
        check_file(&path.join(name), name, expected, problems);
    }
    if let Some(model) = manifest.files.get(MODEL) {
        if !model.sha256.starts_with(id.hash8()) {
            problems.push(format!("{MODEL}: sha-256 {} is not the version's", model.sha256));
        }
        check_card(&path, model, problems);
    }
}

fn check_names(path: &Path, manifest: &Manifest, problems: &mut Vec<String>) {
    for required in [MODEL, CARD, CARD_TEXT] {
        if !manifest.files.contains_key(required) {
            problems.push(format!("{MANIFEST}: {required} is not listed"));
        }
    }
    for name in names_in(path).unwrap_or_default() {
        if name != MANIFEST && !manifest.files.contains_key(&name) {
            problems.push(format!("{name}: not listed in {MANIFEST}"));
        }
    }
}

fn check_file(path: &Path, name: &str, expected: &FileRecord, problems: &mut Vec<String>) {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => problems.push(format!("{name}: expected a file")),
        _ => match std::fs::read(path) {
            Err(error) => problems.push(format!("{name}: {error}")),
            Ok(bytes) => {
                let found = FileRecord::of(&bytes);
                if found != *expected {
                    problems.push(format!(
                        "{name}: expected {} bytes with sha-256 {}, found {} with {}",
                        expected.bytes, expected.sha256, found.bytes, found.sha256
                    ));
                }
            }
        },
    }
}

fn check_card(path: &Path, model: &FileRecord, problems: &mut Vec<String>) {
    // A card that cannot be read is reported as a file.
    let Ok(bytes) = std::fs::read(path.join(CARD)) else {
        return;
    };
    match ModelCard::from_json(&bytes) {
        Err(error) => problems.push(format!("{CARD}: {error}")),
        Ok(card) if card.file.as_ref().is_none_or(|f| f.sha256 != model.sha256) => {
            problems.push(format!("{CARD}: is not about this model file"));
        }
        Ok(_) => {}
    }
}

fn check_versions_exist(
    folder: &Folder,
    history: &History,
    log: &Log,
    report: &mut Report,
) -> Result<(), RegistryError> {
    let present: BTreeSet<String> = folder.versions()?.iter().map(ToString::to_string).collect();
    let pending = unjudged(&log.entries).and_then(|entry| match &entry.event {
        Event::Publish { version, .. } => Some((entry.seq, version.to_string())),
        _ => None,
    });
    for id in history.published.keys().filter(|id| !present.contains(*id)) {
        match &pending {
            Some((seq, version)) if version == id => {
                report
                    .notes
                    .push(format!("entry {seq} (publish) did not take effect"));
            }
            _ => report
                .problems
                .push(format!("version {id} is in the log and missing")),
        }
    }
    Ok(())
}

fn check_aliases(
    folder: &Folder,
    history: &History,
    log: &Log,
    report: &mut Report,
) -> Result<(), RegistryError> {
    let links = folder.links()?;
    let known: BTreeSet<&str> = history.aliases().collect();
    for alias in known.into_iter().chain(links.keys().map(String::as_str)) {
        let (found, logged) = (links.get(alias).map(String::as_str), history.target(alias));
        if found != logged {
            let [found, logged] = [found, logged].map(|t| t.unwrap_or("nothing"));
            let text = format!("alias `{alias}`: the log says {logged}, the symlink {found}");
            let pending = is_pending(log, alias, links.get(alias));
            let list = if pending {
                &mut report.notes
            } else {
                &mut report.problems
            };
            list.extend((!list.contains(&text)).then_some(text));
        }
    }
    for (alias, target) in &links {
        if !target
            .parse::<VersionId>()
            .is_ok_and(|id| folder.model_path(&id).is_file())
        {
            report
                .problems
                .push(format!("alias `{alias}` points to {target}, which is no version"));
        }
    }
    Ok(())
}

/// Whether an alias is where it was before the last entry, which a killed writer did not carry out in full.
fn is_pending(log: &Log, alias: &str, found: Option<&String>) -> bool {
    match unjudged(&log.entries).map(|entry| &entry.event) {
        Some(Event::Promote(change) | Event::Rollback(change)) => [Some(&change.main), change.also.as_ref()]
            .into_iter()
            .flatten()
            .any(|moved| moved.alias == alias && moved.from.as_ref() == found),
        _ => false,
    }
}

fn check_other_names(folder: &Folder, report: &mut Report) -> Result<(), RegistryError> {
    let links = folder.links()?;
    let own = |name: &str| {
        [VERSIONS, LOG, LOCK].contains(&name)
            || name.starts_with(TORN)
            || durable::is_temporary(name)
            || links.contains_key(name)
    };
    for name in names_in(&folder.path)?.into_iter().filter(|name| !own(name)) {
        let kind = if check_alias(&name).is_ok() {
            "expected a symlink or nothing"
        } else {
            "not the registry's"
        };
        report.problems.push(format!("{name}: {kind}"));
    }
    for name in names_in(&folder.versions_path())? {
        if !durable::is_temporary(&name) && name.parse::<VersionId>().is_err() {
            report
                .problems
                .push(format!("{VERSIONS}/{name}: not the registry's"));
        }
    }
    Ok(())
}

fn note_leftovers(folder: &Folder, log: &Log, report: &mut Report) -> Result<(), RegistryError> {
    if !log.unfinished.is_empty() {
        let bytes = log.unfinished.len();
        report
            .notes
            .push(format!("{LOG}: {bytes} bytes of an unfinished last line"));
    }
    for path in folder.leftovers()? {
        report.notes.push(format!("unfinished: {}", path.display()));
    }
    for id in folder.versions()? {
        if !is_read_only(&folder.version_path(&id)) {
            report.notes.push(format!("version {id} is not read-only yet"));
        }
    }
    for kept in folder
        .torn()?
        .into_iter()
        .filter(|kept| !log.records_repair(kept))
    {
        report
            .notes
            .push(format!("{kept}: an unfinished log line, not recorded yet"));
    }
    Ok(())
}
