//! Checkpoints of pytorch-forecasting read without Python: what its export script wrote of the same files, or a refusal; and the
//! model file they become.

mod genuine;
mod imported;
mod patched;
mod refusals;
#[path = "../pickle/writer.rs"]
#[allow(dead_code, reason = "the tests of pickles use the rest")]
mod writer;

use std::path::{Path, PathBuf};

/// A committed file.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}
