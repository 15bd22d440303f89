//! The manifest of a snapshot: what every file holds, in one canonical form whose SHA-256 is the snapshot's id.
//!
//! Canonical: JSON with sorted keys, two spaces of indentation, files sorted by name, a newline at the end. It holds
//! nothing about when or where it was made, so the same files give the same id everywhere.

use super::bars::Series;
use super::time::TimeUnit;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Read, Write};

/// Highest manifest version this build reads and the one it writes.
pub const FORMAT: u32 = 1;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub format: u32,
    /// Bars in all files.
    pub bars: usize,
    /// Files, sorted by name.
    pub files: Vec<FileEntry>,
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name inside the snapshot folder.
    pub name: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// Unit of the time column when it holds whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
    /// Whether it is a table of a caller's own columns, without prices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub table: bool,
    /// Its series, in order of first appearance.
    pub series: Vec<SeriesEntry>,
}

/// One series of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesEntry {
    /// Symbol.
    pub symbol: String,
    /// Bars.
    pub rows: usize,
    /// Open time of the first bar, ns.
    pub first_ns: i64,
    /// Open time of the last bar, ns.
    pub last_ns: i64,
    /// Most frequent distance of two bars, ns; absent for a single bar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ns: Option<i64>,
}

impl SeriesEntry {
    /// Describes a series that has passed [`Series::check`].
    #[must_use]
    pub fn of(series: &Series) -> Self {
        let time = |bar: Option<&tickfuse_core::features::Bar>| bar.map_or(0, |bar| bar.ts_ns);
        Self {
            symbol: series.symbol.clone(),
            rows: series.bars.len(),
            first_ns: time(series.bars.first()),
            last_ns: time(series.bars.last()),
            interval_ns: series.interval_ns(),
        }
    }
}

impl Manifest {
    /// Sorts the files and counts their bars.
    #[must_use]
    pub fn new(mut files: Vec<FileEntry>) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let bars = files
            .iter()
            .flat_map(|file| &file.series)
            .map(|series| series.rows)
            .sum();
        Self {
            format: FORMAT,
            bars,
            files,
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).expect("strings, numbers and lists always are JSON");
        value.sort_all_objects();
        let mut bytes = serde_json::to_vec_pretty(&value).expect("a JSON value can be written");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the canonical form and nothing else.
    ///
    /// # Errors
    /// What was expected and found, as text.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("manifest.json: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "manifest.json: expected format {FORMAT}, found {}",
                manifest.format
            ));
        }
        if manifest.to_bytes() != bytes || Self::new(manifest.files.clone()) != manifest {
            return Err("manifest.json: expected the canonical form, found another writing of it".into());
        }
        Ok(manifest)
    }
}

/// SHA-256 as hexadecimal text.
#[must_use]
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 and size of what `source` gives; the bytes also go to `copy`.
pub(super) fn sha256_of(source: &mut impl Read, copy: &mut impl Write) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut n_bytes = 0;
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex(&hasher.finalize()), n_bytes));
        }
        hasher.update(&buffer[..n]);
        copy.write_all(&buffer[..n])?;
        n_bytes += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let series = SeriesEntry {
            symbol: "A".into(),
            rows: 2,
            first_ns: 1,
            last_ns: 2,
            interval_ns: Some(1),
        };
        let file = |name: &str| FileEntry {
            name: name.into(),
            sha256: sha256(name.as_bytes()),
            bytes: 7,
            time_unit: None,
            table: false,
            series: vec![series.clone()],
        };
        Manifest::new(vec![file("b.csv"), file("a.csv")])
    }

    #[test]
    fn the_canonical_form_reads_back_and_is_sorted() {
        let manifest = manifest();
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
        assert_eq!(manifest.bars, 4);
        let text = String::from_utf8(bytes).unwrap();
        let position = |part: &str| text.find(part).unwrap();
        assert!(position("\"bars\": 4") < position("\"files\""));
        assert!(position("a.csv") < position("b.csv"));
    }

    #[test]
    fn another_writing_of_the_same_content_is_refused() {
        let manifest = manifest();
        let text = String::from_utf8(manifest.to_bytes()).unwrap();
        for other in [
            text.replace("\": ", "\":"),
            text.trim_end().to_owned(),
            text.replace("\"bars\": 4", "\"bars\": 5"),
        ] {
            assert!(
                Manifest::parse(other.as_bytes())
                    .unwrap_err()
                    .contains("canonical form")
            );
        }
        let unknown = text.replacen("\"bars\"", "\"barz\"", 1);
        assert!(
            Manifest::parse(unknown.as_bytes())
                .unwrap_err()
                .contains("unknown field `barz`")
        );
        let newer = text.replace("\"format\": 1", "\"format\": 2");
        assert_eq!(
            Manifest::parse(newer.as_bytes()).unwrap_err(),
            "manifest.json: expected format 1, found 2"
        );
    }

    #[test]
    fn the_digest_is_that_of_the_published_test_vector() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
