//! The content hash: SHA-256 over the whole file with its own 64 hex digits read as zeros.
//!
//! The digits always stand at [`DIGITS`], because a bundle's header must begin with [`OPENING`]. Nothing is
//! searched, so no text inside the file can pose as the hash.

use crate::error::OpenError;
use alloc::string::String;
use core::ops::Range;
use sha2::{Digest, Sha256};

/// First bytes of every bundle's header, directly behind the 8 bytes of its length.
pub(super) const OPENING: &[u8] = br#"{"__metadata__":{"tickfuse_sha256":""#;

/// Where the digits stand, counted from the start of the file.
pub(super) const DIGITS: Range<usize> = 8 + OPENING.len()..8 + OPENING.len() + N_DIGITS;

const N_DIGITS: usize = 64;

/// What stands in place of the digits while the hash is computed.
pub(super) const BLANK_DIGITS: [u8; N_DIGITS] = [b'0'; N_DIGITS];

/// The hash the file states.
pub(super) fn stated(file: &[u8]) -> Result<[u8; 32], OpenError> {
    let opening = file.get(8..DIGITS.start);
    let digits = file.get(DIGITS);
    if opening != Some(OPENING) || file.get(DIGITS.end) != Some(&b'"') {
        return Err(OpenError::HashPlace);
    }
    digits.and_then(from_hex).ok_or(OpenError::HashPlace)
}

/// The hash of the file's content; the file must reach beyond [`DIGITS`].
pub(super) fn of_content(file: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(&file[..DIGITS.start]);
    sha.update(BLANK_DIGITS);
    sha.update(&file[DIGITS.end..]);
    sha.finalize().into()
}

/// Compares what the file states with its content.
pub(super) fn verify(file: &[u8], stated: &[u8; 32]) -> Result<(), OpenError> {
    let found = of_content(file);
    if found == *stated {
        return Ok(());
    }
    Err(OpenError::Hash {
        expected: to_hex(stated),
        found: to_hex(&found),
    })
}

/// 64 lower-case digits.
pub(super) fn to_hex(hash: &[u8; 32]) -> String {
    const DIGIT: &[u8; 16] = b"0123456789abcdef";
    let digits = |b: &u8| [DIGIT[usize::from(b >> 4)], DIGIT[usize::from(b & 15)]];
    hash.iter().flat_map(digits).map(char::from).collect()
}

/// Accepts exactly 64 lower-case digits: one text per hash.
fn from_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let value = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let mut hash = [0; 32];
    let pairs = digits.chunks_exact(2);
    if digits.len() != N_DIGITS {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn file_with(digits: &[u8], tail: &[u8]) -> Vec<u8> {
        [&[0; 8], OPENING, digits, b"\"", tail].concat()
    }

    #[test]
    fn hex_text_returns_to_the_same_hash() {
        let hash: [u8; 32] = core::array::from_fn(|i| (i * 37) as u8);
        let text = to_hex(&hash);
        assert_eq!(&text[..8], "00254a6f");
        assert_eq!(from_hex(text.as_bytes()), Some(hash));
        assert_eq!(from_hex(text.to_uppercase().as_bytes()), None);
        assert_eq!(from_hex(&text.as_bytes()[1..]), None);
    }

    #[test]
    fn the_hash_is_that_of_the_file_with_zero_digits() {
        let blank = file_with(&BLANK_DIGITS, b"rest");
        let expected: [u8; 32] = Sha256::digest(&blank).into();
        let signed = file_with(to_hex(&expected).as_bytes(), b"rest");
        assert_eq!(of_content(&signed), expected);
        assert_eq!(stated(&signed), Ok(expected));
        assert_eq!(verify(&signed, &expected), Ok(()));
    }

    #[test]
    fn another_byte_anywhere_is_another_hash() {
        let hash = of_content(&file_with(&BLANK_DIGITS, b"rest"));
        let changed = file_with(&BLANK_DIGITS, b"resT");
        assert!(matches!(verify(&changed, &hash), Err(OpenError::Hash { .. })));
    }

    #[test]
    fn a_hash_elsewhere_or_in_other_digits_is_refused() {
        let good = file_with(&BLANK_DIGITS, b"");
        assert_eq!(stated(&good), Ok([0; 32]));
        assert_eq!(stated(&good[..good.len() - 1]), Err(OpenError::HashPlace));
        assert_eq!(stated(b""), Err(OpenError::HashPlace));
        let spaced = [&good[..8], b" ", &good[8..]].concat();
        assert_eq!(stated(&spaced), Err(OpenError::HashPlace));
        let mut letters = good;
        letters[DIGITS.start] = b'A';
        assert_eq!(stated(&letters), Err(OpenError::HashPlace));
    }
}
