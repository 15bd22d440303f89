//! Checkpoints of pytorch-forecasting read without Python against what its export script wrote of the same files.

mod genuine;

use std::path::{Path, PathBuf};

/// A committed file.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}
