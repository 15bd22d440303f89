//! A strict reader of safetensors headers: names, types, shapes and byte ranges, or one error per rule.
//!
//! File: 8 bytes little-endian header length `n`, `n` bytes of JSON, then the data. The rules are numbered in
//! `core/docs/format.md`; the steps here follow their order.

use super::dtype::Dtype;
use super::hash;
use super::json::{JsonFault, check_unique_keys};
use super::storage::ALIGNMENT;
use crate::error::OpenError;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Largest header in bytes.
pub const MAX_HEADER: u64 = 4 << 20;
/// Largest number of tensors.
pub const MAX_TENSORS: usize = 4096;
/// Largest number of dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// Tensors of this prefix are test data, not weights: aligned to their element only.
pub const GOLDEN_PREFIX: &str = "golden.";

/// Key of the schema document in `__metadata__`.
pub(super) const DOCUMENT_KEY: &str = "tickfuse";
const HASH_KEY: &str = "tickfuse_sha256";
const METADATA_KEY: &str = "__metadata__";

/// Where one tensor lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name.
    pub name: String,
    /// Type of the values.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes, counted from the start of the file.
    pub range: Range<usize>,
}

impl TensorInfo {
    /// Whether the tensor is test data instead of a weight.
    #[must_use]
    pub fn is_golden(&self) -> bool {
        self.name.starts_with(GOLDEN_PREFIX)
    }
}

/// Alignment in bytes that a tensor needs.
pub(super) fn alignment(name: &str, dtype: Dtype) -> usize {
    if name.starts_with(GOLDEN_PREFIX) {
        dtype.size()
    } else {
        ALIGNMENT
    }
}

/// A header whose text is right; the layout it describes is not checked yet.
pub(super) struct Header {
    /// The schema document.
    pub(super) document: String,
    /// The content hash the file states.
    pub(super) hash: [u8; 32],
    data_start: u64,
    entries: Vec<(String, Entry)>,
}

impl Header {
    /// Reads the header at the start of `file`.
    pub(super) fn parse(file: &[u8]) -> Result<Self, OpenError> {
        let text = header_text(file)?;
        let mut json = parse_json(text)?;
        let document = json.metadata.remove(DOCUMENT_KEY).ok_or(OpenError::NotABundle)?;
        let hash = hash::stated(file)?;
        if let Some(key) = json.metadata.keys().find(|k| *k != HASH_KEY) {
            return Err(json_error(format!("{METADATA_KEY}: unknown key `{key}`")));
        }
        Ok(Self {
            document,
            hash,
            data_start: 8 + text.len() as u64,
            entries: json.entries,
        })
    }

    /// Checks that the tensors tile the rest of the file, whose whole length is `file_len`, and returns them.
    pub(super) fn layout(self, file_len: usize) -> Result<Vec<TensorInfo>, OpenError> {
        if self.entries.len() > MAX_TENSORS {
            return Err(OpenError::TooManyTensors { limit: MAX_TENSORS });
        }
        check_aligned("data", ALIGNMENT, self.data_start)?;
        let mut at = self.data_start;
        let mut tensors = Vec::with_capacity(self.entries.len());
        for (name, entry) in self.entries {
            let (dtype, end) = place(&name, &entry, self.data_start, at)?;
            tensors.push((name, dtype, entry.shape, at..end));
            at = end;
        }
        check_length(at, file_len)?;
        Ok(tensors.into_iter().map(tensor_info).collect())
    }
}

/// Ranges end inside the file here, so they fit.
#[allow(
    clippy::cast_possible_truncation,
    reason = "every range was checked against the file's length"
)]
fn tensor_info((name, dtype, shape, range): (String, Dtype, Vec<usize>, Range<u64>)) -> TensorInfo {
    TensorInfo {
        name,
        dtype,
        shape,
        range: range.start as usize..range.end as usize,
    }
}

/// The bytes of the header's JSON, padding included.
fn header_text(file: &[u8]) -> Result<&[u8], OpenError> {
    let found = file.len() as u64;
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(OpenError::Truncated { expected: 8, found });
    };
    let length = u64::from_le_bytes(*length);
    if !(2..=MAX_HEADER).contains(&length) {
        return Err(OpenError::HeaderLength {
            limit: MAX_HEADER,
            found: length,
        });
    }
    let text = usize::try_from(length).ok().and_then(|n| rest.get(..n));
    text.ok_or(OpenError::Truncated {
        expected: 8 + length,
        found,
    })
}

fn parse_json(text: &[u8]) -> Result<HeaderJson, OpenError> {
    let end = text.iter().rposition(|&b| b != b' ').map_or(0, |last| last + 1);
    if !(text.starts_with(b"{") && text[..end].ends_with(b"}")) {
        return Err(json_error(
            "expected one JSON object, padded behind with blanks only".to_string(),
        ));
    }
    check_unique_keys(text).map_err(|fault| match fault {
        JsonFault::Duplicate(path) => OpenError::DuplicateKey(path),
        JsonFault::Syntax(message) => json_error(message),
    })?;
    serde_json::from_slice(text).map_err(|e| json_error(e.to_string()))
}

/// Type and end of a tensor that must begin at file offset `at`.
fn place(name: &str, entry: &Entry, data_start: u64, at: u64) -> Result<(Dtype, u64), OpenError> {
    let tensor = || name.to_string();
    let dtype = Dtype::from_name(&entry.dtype).ok_or_else(|| OpenError::TensorType {
        tensor: tensor(),
        expected: "F32, F64 or BF16".to_string(),
        found: entry.dtype.clone(),
    })?;
    if entry.shape.len() > MAX_RANK {
        return Err(OpenError::TensorRank {
            tensor: tensor(),
            limit: MAX_RANK,
            found: entry.shape.len(),
        });
    }
    let [begin, end] = entry.data_offsets;
    let (Some(begin), Some(end)) = (data_start.checked_add(begin), data_start.checked_add(end)) else {
        return Err(json_error(format!("tensor `{name}`: data_offsets beyond 2^64")));
    };
    check_neighbour(name, begin, at)?;
    check_aligned(name, alignment(name, dtype), begin)?;
    let expected = byte_size(dtype, &entry.shape).unwrap_or(u64::MAX);
    let found = end.saturating_sub(begin);
    if expected != found || end < begin {
        return Err(OpenError::TensorSize {
            tensor: tensor(),
            expected,
            found,
        });
    }
    Ok((dtype, end))
}

fn check_neighbour(name: &str, begin: u64, previous_end: u64) -> Result<(), OpenError> {
    let tensor = name.to_string();
    match begin.cmp(&previous_end) {
        core::cmp::Ordering::Less => Err(OpenError::Overlap { tensor }),
        core::cmp::Ordering::Equal => Ok(()),
        core::cmp::Ordering::Greater => Err(OpenError::Hole { tensor }),
    }
}

fn check_aligned(tensor: &str, alignment: usize, offset: u64) -> Result<(), OpenError> {
    let expected = alignment as u64;
    if offset.is_multiple_of(expected) {
        return Ok(());
    }
    Err(OpenError::Misaligned {
        tensor: tensor.to_string(),
        expected,
        offset,
    })
}

fn check_length(expected: u64, file_len: usize) -> Result<(), OpenError> {
    let found = file_len as u64;
    match found.cmp(&expected) {
        core::cmp::Ordering::Less => Err(OpenError::Truncated { expected, found }),
        core::cmp::Ordering::Equal => Ok(()),
        core::cmp::Ordering::Greater => Err(OpenError::TrailingBytes { expected, found }),
    }
}

/// Bytes of a tensor, `None` beyond 2^64.
pub(super) fn byte_size(dtype: Dtype, shape: &[usize]) -> Option<u64> {
    shape
        .iter()
        .try_fold(dtype.size() as u64, |size, &dim| size.checked_mul(dim as u64))
}

fn json_error(message: String) -> OpenError {
    OpenError::HeaderJson(message)
}

/// One tensor's entry as the JSON has it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The header's JSON with its tensors in the order of the text.
struct HeaderJson {
    metadata: BTreeMap<String, String>,
    entries: Vec<(String, Entry)>,
}

impl<'de> Deserialize<'de> for HeaderJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = HeaderJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderJson, A::Error> {
        let mut metadata = BTreeMap::new();
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA_KEY {
                metadata = named(&name, map.next_value())?;
            } else {
                let entry = named(&name, map.next_value())?;
                entries.push((name, entry));
            }
        }
        Ok(HeaderJson { metadata, entries })
    }
}

/// Adds the name of the entry to its error.
fn named<T, E: Error>(name: &str, value: Result<T, E>) -> Result<T, E> {
    value.map_err(|e| E::custom(format!("`{name}`: {e}")))
}
