//! What the registry's tests share: a registry in a temporary folder and synthetic model files.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::Path;
use tempfile::TempDir;
use tickfuse_train::registry::{Draft, Published, Registry};

/// Model name in every test.
pub(crate) const MODEL_NAME: &str = "synthetic";

/// A registry's folder that goes with the test, read-only versions included.
pub(crate) struct Root(TempDir);

impl Root {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::open(self.path(), "tester")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        writable(self.path());
    }
}

/// Gives the permission to write back, so that tests can damage and remove what was published.
pub(crate) fn writable(path: &Path) {
    let Ok(found) = path.symlink_metadata() else {
        return;
    };
    if found.is_symlink() {
        return;
    }
    set_writable(path, found.is_dir());
    if found.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            writable(&entry.unwrap().path());
        }
    }
}

#[cfg(unix)]
fn set_writable(path: &Path, is_dir: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if is_dir { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_writable(_path: &Path, _is_dir: bool) {}

/// An opaque model file that differs by number.
pub(crate) fn bundle(n: u32) -> Vec<u8> {
    format!("synthetic model {n} ").repeat(40).into_bytes()
}

/// Publishes [`bundle`] `n`.
pub(crate) fn publish(registry: &Registry, n: u32) -> Published {
    let draft = Draft {
        bundle: &bundle(n),
        ..Draft::default()
    };
    registry.publish(MODEL_NAME, &draft).unwrap()
}
