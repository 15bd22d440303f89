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
use core::cmp::Ordering;
use core::fmt;
use core::ops::Range;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Largest header in bytes.
pub const MAX_HEADER: u64 = 4 << 20;
/// Largest number of tensors.
pub const MAX_TENSORS: usize = 4096;
/// Largest number of dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// Tensors of this prefix are test data.
pub const GOLDEN_PREFIX: &str = "golden.";
/// Tensors of this prefix are the trained values as training or an import had them, kept for export.
pub const PLAIN_PREFIX: &str = "plain.";
/// Tensors of this prefix are the contexts that an `xtrend` file brings along.
pub const CONTEXTS_PREFIX: &str = "contexts.";

/// Whether a tensor is read while answering: such a one starts on a cache line, any other at a multiple of its element.
pub(super) fn is_weight(name: &str) -> bool {
    ![GOLDEN_PREFIX, PLAIN_PREFIX, CONTEXTS_PREFIX]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

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
    if is_weight(name) { ALIGNMENT } else { dtype.size() }
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
        expected: "F32, F64, BF16 or I16".to_string(),
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
    match begin.cmp(&previous_end) {
        Ordering::Less => Err(OpenError::Overlap {
            tensor: name.to_string(),
        }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(OpenError::Hole {
            tensor: name.to_string(),
        }),
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
        Ordering::Less => Err(OpenError::Truncated { expected, found }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(OpenError::TrailingBytes { expected, found }),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this text behind the fixed opening, and `n_data` zero bytes of data.
    fn file(rest: &str, n_data: usize) -> Vec<u8> {
        let mut file = [&[0; 8], hash::OPENING, &hash::BLANK_DIGITS, rest.as_bytes()].concat();
        file.resize(file.len().next_multiple_of(ALIGNMENT), b' ');
        let length = (file.len() - 8) as u64;
        file[..8].copy_from_slice(&length.to_le_bytes());
        file.resize(file.len() + n_data, 0);
        file
    }

    fn layout(entries: &str, n_data: usize) -> Result<Vec<TensorInfo>, OpenError> {
        let file = file(&format!(r#"","tickfuse":"{{}}"}}{entries}}}"#), n_data);
        Header::parse(&file)?.layout(file.len())
    }

    #[test]
    fn names_types_shapes_and_ranges_are_those_of_the_text() {
        let entries = concat!(
            r#","w":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]}"#,
            r#","s":{"data_offsets":[64,72],"shape":[],"dtype":"F64"}"#,
        );
        let tensors = layout(entries, 72).unwrap();
        let start = tensors[0].range.start;
        assert!(start.is_multiple_of(ALIGNMENT));
        assert_eq!((tensors[0].name.as_str(), tensors[0].dtype), ("w", Dtype::Bf16));
        assert_eq!((&tensors[0].shape[..], tensors[0].range.len()), (&[4, 8][..], 64));
        assert_eq!((tensors[1].name.as_str(), tensors[1].dtype), ("s", Dtype::F64));
        assert_eq!(tensors[1].range, start + 64..start + 72);
    }

    #[test]
    fn a_header_without_tensors_describes_an_empty_file() {
        assert_eq!(layout("", 0), Ok(Vec::new()));
        assert!(matches!(layout("", 1), Err(OpenError::TrailingBytes { .. })));
    }

    #[test]
    fn the_caps_themselves_are_accepted() {
        let empty = |i: usize| format!(r#","{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
        let entries: String = (0..MAX_TENSORS).map(empty).collect();
        assert_eq!(layout(&entries, 0).unwrap().len(), MAX_TENSORS);
        let entries = entries + &empty(MAX_TENSORS);
        assert_eq!(
            layout(&entries, 0),
            Err(OpenError::TooManyTensors { limit: MAX_TENSORS })
        );
        let ranked = |dims: &str| {
            layout(
                &format!(r#","w":{{"dtype":"F32","shape":[{dims}],"data_offsets":[0,4]}}"#),
                4,
            )
        };
        assert!(ranked("1,1,1,1,1,1,1,1").is_ok());
        assert!(matches!(
            ranked("1,1,1,1,1,1,1,1,1"),
            Err(OpenError::TensorRank { found: 9, .. })
        ));
    }

    #[test]
    fn the_longest_header_is_read_and_one_byte_more_is_not() {
        let rest = r#"","tickfuse":""}}"#;
        let mut longest = file(rest, 0);
        longest.resize(8 + MAX_HEADER as usize, b' ');
        longest[..8].copy_from_slice(&MAX_HEADER.to_le_bytes());
        assert_eq!(Header::parse(&longest).unwrap().document, "");
        longest.push(b' ');
        longest[..8].copy_from_slice(&(MAX_HEADER + 1).to_le_bytes());
        assert!(matches!(
            Header::parse(&longest),
            Err(OpenError::HeaderLength { .. })
        ));
    }

    #[test]
    fn golden_tensors_need_the_alignment_of_their_elements_only() {
        let entries = |name: &str| {
            format!(
                concat!(
                    r#","golden.a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                    r#","{}":{{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                ),
                name
            )
        };
        assert!(layout(&entries("golden.b"), 8).is_ok());
        assert!(matches!(
            layout(&entries("golden"), 8),
            Err(OpenError::Misaligned { expected: 64, .. })
        ));
        let wide = entries("golden.b").replace(
            r#""F32","shape":[1],"data_offsets":[4,8]"#,
            r#""F64","shape":[1],"data_offsets":[4,12]"#,
        );
        assert!(matches!(
            layout(&wide, 12),
            Err(OpenError::Misaligned { expected: 8, .. })
        ));
    }

    #[test]
    fn sizes_beyond_64_bits_do_not_wrap() {
        assert_eq!(byte_size(Dtype::F32, &[usize::MAX, 2]), None);
        assert_eq!(byte_size(Dtype::F64, &[]), Some(8));
        assert_eq!(byte_size(Dtype::Bf16, &[3, 0]), Some(0));
    }
}
