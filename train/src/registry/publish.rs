//! Publishing: a model file and its card become an immutable version.

use super::error::At;
use super::folder::Folder;
use super::log::Event;
use super::manifest::{self, FileRecord, OWN_FILES};
use super::names::check_attachment;
use super::writer::Writer;
use super::{CARD, CARD_TEXT, MANIFEST, MODEL, Manifest, Registry, RegistryError, VersionId, sha256_hex};
use crate::card::{ModelCard, ModelFile};
use crate::durable;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Refuses a model file with a reason; usually opens it as serving would.
pub type BundleCheck = dyn Fn(&[u8]) -> Result<(), String>;

/// What is to be published.
#[derive(Default)]
pub struct Draft<'a> {
    /// Content of the model file. The registry does not look inside.
    pub bundle: &'a [u8],
    /// The card; a bare one is made where it is missing. The registry fills in `file`.
    pub card: Option<&'a ModelCard>,
    /// Further files by name, such as `report.html`.
    pub attachments: BTreeMap<String, Vec<u8>>,
    /// The caller's condition on the model file.
    pub check: Option<&'a BundleCheck>,
    /// Written to the log.
    pub reason: &'a str,
}

/// What publishing did.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// The new version.
    pub version: VersionId,
    /// Its folder.
    pub path: PathBuf,
    /// sha-256 of the model file.
    pub sha256: String,
    /// `seq` of the log entry.
    pub entry: u64,
    /// What an earlier, killed writer had left and how it was settled.
    pub repairs: Vec<String>,
}

type Files = BTreeMap<String, Vec<u8>>;

impl Registry {
    /// Publishes a version; no alias moves.
    ///
    /// # Errors
    /// A name against the rules, a model file or card that is refused, or the operating system's. Nothing is then
    /// visible to readers, unless flushing failed after the rename.
    pub fn publish(&self, name: &str, draft: &Draft<'_>) -> Result<Published, RegistryError> {
        let folder = Folder::new(self.root(), name)?;
        draft
            .check
            .map_or(Ok(()), |check| check(draft.bundle))
            .map_err(RegistryError::Bundle)?;
        let now = Timestamp::now();
        let mut files = files(name, draft, now)?;
        let mut writer = Writer::open(self, folder)?;
        let versions = writer.folder.versions()?;
        let last = versions.last().map_or(0, VersionId::number);
        let sha256 = sha256_hex(draft.bundle);
        let version = VersionId::new(last.max(writer.history.last_number) + 1, now, &sha256);
        let manifest = manifest_bytes(name, &version, now, &files);
        let manifest_sha256 = sha256_hex(&manifest);
        files.insert(MANIFEST.to_owned(), manifest);
        let event = Event::Publish {
            version: version.clone(),
            manifest_sha256,
        };
        let entry = commit(&mut writer, &files, event, draft.reason, &version)?;
        Ok(Published {
            path: writer.folder.version_path(&version),
            repairs: writer.repairs,
            version,
            sha256,
            entry,
        })
    }
}

/// Steps 2 to 5 of the protocol.
fn commit(
    writer: &mut Writer<'_>,
    files: &Files,
    event: Event,
    reason: &str,
    version: &VersionId,
) -> Result<u64, RegistryError> {
    let staged = durable::temporary_in(&writer.folder.versions_path());
    let path = writer.folder.version_path(version);
    let renamed = stage(&staged, files)
        .and_then(|()| writer.append(event, reason))
        .and_then(|entry| {
            durable::rename(&staged, &path)
                .at("rename to", &path)
                .map(|()| entry)
        });
    if renamed.is_err() {
        // The error is the one worth reporting; the next writer removes what stays.
        let _ = std::fs::remove_dir_all(&staged);
    }
    let entry = renamed?;
    durable::set_read_only(&path).at("protect", &path)?;
    Ok(entry)
}

fn stage(staged: &Path, files: &Files) -> Result<(), RegistryError> {
    durable::create_dir(staged).at("create", staged)?;
    for (name, bytes) in files {
        let path = staged.join(name);
        durable::write_new(&path, bytes).at("write", &path)?;
        durable::set_read_only(&path).at("protect", &path)?;
    }
    durable::sync_dir(staged).at("flush", staged)
}

fn files(name: &str, draft: &Draft<'_>, now: Timestamp) -> Result<Files, RegistryError> {
    for attachment in draft.attachments.keys() {
        check_attachment(attachment, &OWN_FILES)?;
    }
    let card = card(name, draft, now)?;
    let mut files = draft.attachments.clone();
    files.insert(MODEL.to_owned(), draft.bundle.to_vec());
    files.insert(CARD.to_owned(), json(&card));
    files.insert(CARD_TEXT.to_owned(), card.to_markdown().into_bytes());
    Ok(files)
}

fn card(name: &str, draft: &Draft<'_>, now: Timestamp) -> Result<ModelCard, RegistryError> {
    let refused = |e: crate::card::CardError| RegistryError::Card(e.to_string());
    let mut card = match draft.card {
        Some(card) => card.clone(),
        None => ModelCard::new(name, &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    if card.model_name != name {
        let text = format!("model_name: expected `{name}`, found `{}`", card.model_name);
        return Err(RegistryError::Card(text));
    }
    let record = FileRecord::of(draft.bundle);
    let file = ModelFile {
        bytes: record.bytes,
        sha256: record.sha256,
    };
    card.bind(&file).map_err(refused)?;
    Ok(card)
}

fn manifest_bytes(name: &str, version: &VersionId, now: Timestamp, files: &Files) -> Vec<u8> {
    let record = |(name, bytes): (&String, &Vec<u8>)| (name.clone(), FileRecord::of(bytes));
    json(&Manifest {
        format: manifest::FORMAT,
        name: name.to_owned(),
        version: version.clone(),
        created_at: format!("{now:.3}"),
        files: files.iter().map(record).collect(),
    })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("text, finite numbers and text keys");
    bytes.push(b'\n');
    bytes
}
