//! The manifest of a version: every published file with its size and sha-256.

use super::VersionId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The model file.
pub const MODEL: &str = "model.safetensors";
/// The model card as JSON.
pub const CARD: &str = "model_card.json";
/// The model card for people.
pub const CARD_TEXT: &str = "card.md";
/// The manifest.
pub const MANIFEST: &str = "manifest.json";

/// Names the registry writes itself.
pub(super) const OWN_FILES: [&str; 4] = [MODEL, CARD, CARD_TEXT, MANIFEST];

/// Layout version of manifests this build writes and reads.
pub(super) const FORMAT: u32 = 1;

/// Content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout version.
    pub format: u32,
    /// Model name.
    pub name: String,
    /// Version.
    pub version: VersionId,
    /// UTC time of publication.
    pub created_at: String,
    /// Every file but the manifest, by name.
    pub files: BTreeMap<String, FileRecord>,
}

/// Size and hash of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// sha-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: sha256_hex(bytes),
        }
    }
}

/// sha-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_test_vector() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), abc);
        assert_eq!(FileRecord::of(b"abc").bytes, 3);
    }
}
