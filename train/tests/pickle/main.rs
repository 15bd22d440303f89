//! Pickled files: what real PyTorch, pickle and joblib wrote is read exactly; what nobody wrote is refused.

mod bombs;
mod container;
mod genuine;
mod mutations;
mod stream;
mod tell;
mod writer;

use std::path::PathBuf;

/// A file of `fixtures/`.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}
