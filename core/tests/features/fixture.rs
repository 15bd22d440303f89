//! Reads `fixtures/features`: synthetic bars, definitions and the values a foreign implementation gave for them.

use npyz::npz::NpzArchive;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use tickfuse_core::features::{Bar, FeatureDef};

/// A file of the fixture.
pub(crate) fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "fixtures", "features", name]
        .iter()
        .collect()
}

/// Definitions of every operation with every switch.
pub(crate) fn definitions() -> Vec<FeatureDef> {
    let text = std::fs::read_to_string(path("definitions.json")).expect("definitions.json is there");
    serde_json::from_str(&text).expect("definitions.json holds feature definitions")
}

/// One array of an archive.
pub(crate) fn column<T: npyz::Deserialize>(file: &str, name: &str) -> Vec<T> {
    let mut archive = NpzArchive::open(path(file)).expect("the archive opens");
    let array = archive.by_name(name).expect("the archive is sound");
    let array = array.unwrap_or_else(|| panic!("{file} has no array `{name}`"));
    array
        .into_vec()
        .unwrap_or_else(|e| panic!("{file}, array `{name}`: {e}"))
}

/// The synthetic bars.
pub(crate) fn bars() -> Vec<Bar> {
    let ts: Vec<i64> = column("bars.npz", "ts");
    let [open, high, low, close, volume] =
        ["open", "high", "low", "close", "volume"].map(|name| column::<f64>("bars.npz", name));
    let bar = |t: usize| Bar {
        ts_ns: ts[t],
        open: open[t],
        high: high[t],
        low: low[t],
        close: close[t],
        volume: volume[t],
    };
    (0..ts.len()).map(bar).collect()
}

/// The manifest.
pub(crate) fn manifest() -> toml::Table {
    let text = std::fs::read_to_string(path("MANIFEST.toml")).expect("MANIFEST.toml is there");
    text.parse().expect("MANIFEST.toml is TOML")
}

#[test]
fn the_files_are_those_of_the_manifest() {
    let manifest = manifest();
    let files = manifest["file"].as_array().expect("`file` is an array");
    assert_eq!(files.len(), 3);
    for file in files {
        let name = file["name"].as_str().expect("`name` is text");
        let bytes = std::fs::read(path(name)).expect("the file is there");
        let found: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(Some(found.as_str()), file["sha256"].as_str(), "{name}");
    }
}
