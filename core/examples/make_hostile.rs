//! Writes the hostile model files: `cargo run -p tickfuse-core --example make_hostile -- fixtures/hostile`.
//!
//! The same code gives the same bytes; a test compares the files in the tree with it.

#[path = "../tests/bundle_support/mod.rs"]
mod bundle_support;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(
        std::env::args()
            .nth(1)
            .unwrap_or_else(|| "fixtures/hostile".into()),
    );
    std::fs::create_dir_all(&folder)?;
    for case in bundle_support::cases::all() {
        let path = folder.join(case.name).with_extension("safetensors");
        std::fs::write(&path, &case.file)?;
        println!("{:<32} {:<16} {:>7} bytes", case.name, case.rule, case.file.len());
    }
    Ok(())
}
