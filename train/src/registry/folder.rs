//! The folder of one model as it lies on disk: paths, versions, symlinks. Reading only.

use super::error::At;
use super::names::{check_alias, check_model};
use super::{MODEL, Manifest, RegistryError, VersionId};
use crate::durable;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(super) const VERSIONS: &str = "versions";
pub(super) const LOG: &str = "deployments.log";
pub(super) const LOCK: &str = ".lock";
/// Start of the names under which unfinished log lines are kept.
pub(super) const TORN: &str = "deployments.log.torn-";

/// Folder of one model.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path, name: &str) -> Result<Self, RegistryError> {
        check_model(name)?;
        Ok(Self {
            root: root.to_owned(),
            name: name.to_owned(),
            path: root.join(name),
        })
    }

    /// As [`Folder::new`], for a model that must exist.
    pub(super) fn existing(root: &Path, name: &str) -> Result<Self, RegistryError> {
        let folder = Self::new(root, name)?;
        if folder.versions_path().is_dir() {
            return Ok(folder);
        }
        let (name, root) = (folder.name, folder.root);
        Err(RegistryError::UnknownModel { name, root })
    }

    pub(super) fn versions_path(&self) -> PathBuf {
        self.path.join(VERSIONS)
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub(super) fn version_path(&self, id: &VersionId) -> PathBuf {
        self.versions_path().join(id.to_string())
    }

    /// Published versions, oldest first.
    pub(super) fn versions(&self) -> Result<Vec<VersionId>, RegistryError> {
        let names = names_in(&self.versions_path())?;
        let mut ids: Vec<VersionId> = names.iter().filter_map(|n| n.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// Target of every alias, as a version's name where it points to one, else as the link's own text.
    pub(super) fn links(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        let mut links = BTreeMap::new();
        for name in names_in(&self.path)? {
            if check_alias(&name).is_ok()
                && let Some(target) = self.link(&name)?
            {
                links.insert(name, target);
            }
        }
        Ok(links)
    }

    /// Target of one alias; `None` where nothing or no symlink has that name.
    pub(super) fn link(&self, alias: &str) -> Result<Option<String>, RegistryError> {
        let path = self.path.join(alias);
        let target = match std::fs::read_link(&path) {
            // InvalidInput: something is there, and it is no symlink.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(None),
            other => other.at("read the symlink", &path)?,
        };
        let text = target.to_string_lossy();
        let version = text.strip_prefix(VERSIONS).and_then(|t| t.strip_prefix('/'));
        Ok(Some(version.unwrap_or(&text).to_owned()))
    }

    /// The version that a version's name, its number, `latest` or an alias stands for.
    pub(super) fn select(&self, selector: &str) -> Result<VersionId, RegistryError> {
        let versions = self.versions()?;
        let link = match check_alias(selector) {
            Ok(()) => self.link(selector)?,
            Err(_) => None,
        };
        let found = match (link, selector) {
            (Some(target), _) => versions.iter().find(|id| id.to_string() == target),
            (None, "latest") => versions.last(),
            (None, text) => versions.iter().find(|id| is_called(id, text)),
        };
        match found {
            Some(id) => Ok(id.clone()),
            None => Err(self.unknown(selector, &versions)?),
        }
    }

    fn unknown(&self, selector: &str, versions: &[VersionId]) -> Result<RegistryError, RegistryError> {
        let range = match versions {
            [] => "no versions".to_owned(),
            [one] => format!("version {}", one.number()),
            [first, .., last] => format!("versions {} to {}", first.number(), last.number()),
        };
        let aliases: Vec<_> = self.links()?.into_keys().collect();
        Ok(RegistryError::UnknownVersion {
            name: self.name.clone(),
            found: selector.to_owned(),
            known: format!("{range} and aliases [{}]", aliases.join(", ")),
        })
    }

    /// The manifest of a version and its bytes.
    pub(super) fn manifest(&self, id: &VersionId) -> Result<Manifest, RegistryError> {
        let path = self.version_path(id).join(super::MANIFEST);
        let bytes = std::fs::read(&path).at("read", &path)?;
        serde_json::from_slice(&bytes)
            .map_err(std::io::Error::other)
            .at("parse", &path)
    }

    pub(super) fn model_path(&self, id: &VersionId) -> PathBuf {
        self.version_path(id).join(MODEL)
    }

    /// Leftovers of killed writers: temporary files, symlinks and folders.
    pub(super) fn leftovers(&self) -> Result<Vec<PathBuf>, RegistryError> {
        let mut found = Vec::new();
        for folder in [self.path.clone(), self.versions_path()] {
            let names = names_in(&folder)?.into_iter();
            found.extend(names.filter(|n| durable::is_temporary(n)).map(|n| folder.join(n)));
        }
        Ok(found)
    }

    /// Files with unfinished log lines, by name.
    pub(super) fn torn(&self) -> Result<Vec<String>, RegistryError> {
        let names = names_in(&self.path)?;
        Ok(names.into_iter().filter(|n| n.starts_with(TORN)).collect())
    }
}

fn is_called(id: &VersionId, text: &str) -> bool {
    text.parse() == Ok(id.number()) || id.to_string() == text
}

/// Names in a folder, sorted; a missing folder has none.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.at("list", folder)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
