//! Reading without a lock: list, show, resolve, log.

use super::error::At;
use super::folder::{Folder, names_in};
use super::{CARD, Log, MODEL, Manifest, Registry, RegistryError, VersionId};
use crate::card::ModelCard;
use serde::Serialize;
use std::path::PathBuf;

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The version.
    pub version: VersionId,
    /// Aliases that point to it.
    pub aliases: Vec<String>,
    /// UTC time of publication.
    pub created_at: String,
    /// Size of the model file.
    pub bytes: u64,
    /// sha-256 of the model file.
    pub sha256: String,
}

/// A version in full.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    /// Its folder.
    pub path: PathBuf,
    /// Aliases that point to it.
    pub aliases: Vec<String>,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its card.
    pub card: ModelCard,
}

/// The version an alias or selector stood for at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The version.
    pub version: VersionId,
    /// Its folder, which never changes.
    pub path: PathBuf,
}

impl Resolved {
    /// The model file.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }
}

impl Registry {
    /// Names of the models, sorted.
    ///
    /// # Errors
    /// The operating system's.
    pub fn names(&self) -> Result<Vec<String>, RegistryError> {
        let mut names = names_in(self.root())?;
        names.retain(|name| Folder::existing(self.root(), name).is_ok());
        Ok(names)
    }

    /// Versions of a model, oldest first.
    ///
    /// # Errors
    /// An unknown model, a manifest that cannot be read, or the operating system's.
    pub fn list(&self, name: &str) -> Result<Vec<Summary>, RegistryError> {
        let folder = Folder::existing(self.root(), name)?;
        let versions = folder.versions()?.into_iter();
        versions.map(|version| summary(&folder, version)).collect()
    }

    /// Manifest, card and aliases of a version.
    ///
    /// # Errors
    /// Unknown names, a manifest or card that cannot be read, or the operating system's.
    pub fn show(&self, name: &str, selector: &str) -> Result<Detail, RegistryError> {
        let folder = Folder::existing(self.root(), name)?;
        let version = folder.select(selector)?;
        let path = folder.version_path(&version);
        let card_path = path.join(CARD);
        let bytes = std::fs::read(&card_path).at("read", &card_path)?;
        let card = ModelCard::from_json(&bytes)
            .map_err(std::io::Error::other)
            .at("accept", &card_path)?;
        Ok(Detail {
            manifest: folder.manifest(&version)?,
            aliases: aliases(&folder, &version)?,
            path,
            card,
        })
    }

    /// The version that `selector` (a version's name or number, `latest`, or an alias) stands for now.
    ///
    /// # Errors
    /// Unknown names, or the operating system's.
    pub fn resolve(&self, name: &str, selector: &str) -> Result<Resolved, RegistryError> {
        let folder = Folder::existing(self.root(), name)?;
        let version = folder.select(selector)?;
        let path = folder.version_path(&version);
        Ok(Resolved { version, path })
    }

    /// The deployment log, checked line by line.
    ///
    /// # Errors
    /// An unknown model, a broken chain, or the operating system's.
    pub fn log(&self, name: &str) -> Result<Log, RegistryError> {
        Log::read(&Folder::existing(self.root(), name)?.log_path())
    }
}

fn summary(folder: &Folder, version: VersionId) -> Result<Summary, RegistryError> {
    let manifest = folder.manifest(&version)?;
    let model = manifest.files.get(MODEL);
    Ok(Summary {
        aliases: aliases(folder, &version)?,
        created_at: manifest.created_at.clone(),
        bytes: model.map_or(0, |file| file.bytes),
        sha256: model.map_or_else(String::new, |file| file.sha256.clone()),
        version,
    })
}

fn aliases(folder: &Folder, version: &VersionId) -> Result<Vec<String>, RegistryError> {
    let id = version.to_string();
    let links = folder.links()?.into_iter();
    Ok(links
        .filter(|(_, to)| *to == id)
        .map(|(alias, _)| alias)
        .collect())
}
