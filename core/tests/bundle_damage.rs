//! Whatever happens to a model file, opening it gives an error and never a panic.
#![cfg(feature = "std")]

mod bundle_support;

use bundle_support::{HASH_DIGITS, Parts, open, rule, valid};
use proptest::prelude::*;
use tickfuse_core::bundle::{Bundle, OpenOptions, Precision};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

/// Opens without the hash, so that damage reaches every later step; only panics count.
fn open_unverified(file: &[u8]) {
    let options = OpenOptions { verify_hash: false };
    if let Ok(bundle) = Bundle::from_bytes(file, options) {
        assert_eq!(bundle.tensors().last().unwrap().range.end, file.len());
    }
}

#[test]
fn every_truncation_is_refused_as_truncated() {
    for precision in PRECISIONS {
        let file = valid(precision);
        for len in 0..file.len() {
            let error = open(&file[..len]).err().unwrap();
            assert_eq!(rule(&error), "Truncated", "{len} bytes: {error}");
        }
        assert!(open(&file).is_ok());
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    for precision in PRECISIONS {
        let mut file = valid(precision);
        for at in 0..file.len() {
            for mask in [0x01, 0x80, 0xff] {
                file[at] ^= mask;
                assert!(open(&file).is_err(), "byte {at} ^ {mask:#04x}");
                open_unverified(&file);
                file[at] ^= mask;
            }
        }
        assert!(open(&file).is_ok());
    }
}

#[test]
fn every_flipped_bit_of_data_and_padding_is_a_hash_error() {
    let mut file = valid(Precision::Bf16);
    let json_end = 8 + Parts::of(&file).json.len();
    for at in json_end..file.len() {
        let data = at >= file.len() - Parts::of(&file).data.len();
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            let found = open(&file).err().map(|e| rule(&e)).unwrap();
            let expected = if data { "Hash" } else { "HeaderJson" };
            assert_eq!(found, expected, "byte {at}, bit {bit}");
            file[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_flip_inside_the_hash_is_a_hash_error() {
    let mut file = valid(Precision::F32);
    for at in HASH_DIGITS {
        for mask in [0x01, 0x20, 0x80, 0xff] {
            file[at] ^= mask;
            let found = open(&file).err().map(|e| rule(&e)).unwrap();
            let expected = ["Hash", "HashPlace", "HeaderJson"];
            assert!(
                expected.contains(&found.as_str()),
                "byte {at} ^ {mask:#04x}: {found}"
            );
            file[at] ^= mask;
        }
    }
}

#[test]
fn bytes_moved_or_repeated_are_refused() {
    let file = valid(Precision::F32);
    for line in (0..file.len() - 64).step_by(64) {
        let mut swapped = file.clone();
        swapped[line..line + 128.min(file.len() - line)].rotate_left(64);
        assert!(swapped == file || open(&swapped).is_err(), "line at {line}");
        let doubled = [&file[..line], &file[line..line + 64], &file[line..]].concat();
        assert!(open(&doubled).is_err(), "line at {line} twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(open(&bytes).is_err());
    }

    #[test]
    fn random_headers_never_panic(json in "\\PC{0,300}", data in prop::collection::vec(any::<u8>(), 0..64)) {
        let file = [&(json.len() as u64).to_le_bytes(), json.as_bytes(), &data].concat();
        prop_assert!(open(&file).is_err());
        open_unverified(&file);
    }

    #[test]
    fn a_piece_of_the_header_replaced_never_panics(
        at in any::<prop::sample::Index>(),
        n_removed in 0_usize..24,
        inserted in r#"[-0-9\[\]{}":,a-z \\]{0,24}"#,
    ) {
        let mut parts = Parts::of(&valid(Precision::F32));
        let from = at.index(parts.json.len());
        let to = (from + n_removed).min(parts.json.len());
        let same = parts.json[from..to] == inserted;
        parts.json.replace_range(from..to, &inserted);
        if parts.json.len() >= HASH_DIGITS.end {
            open_unverified(&parts.file());
        }
        let length = (parts.json.len() as u64).to_le_bytes();
        let unsigned = [&length, parts.json.as_bytes(), &parts.data].concat();
        prop_assert!(same || open(&unsigned).is_err());
    }

    #[test]
    fn a_number_of_the_header_replaced_never_panics(
        at in any::<prop::sample::Index>(),
        number in prop_oneof![any::<u64>(), 0_u64..10_000, Just(u64::MAX)],
    ) {
        let parts = Parts::of(&valid(Precision::F32));
        let tensors = parts.json.find("\"lstm.0.input\"").unwrap();
        let is_start = |i: &usize| {
            let bytes = parts.json.as_bytes();
            bytes[*i].is_ascii_digit() && matches!(bytes[i - 1], b',' | b'[')
        };
        let starts: Vec<usize> = (tensors..parts.json.len()).filter(is_start).collect();
        let start = starts[at.index(starts.len())];
        let digits = parts.json[start..].find(|c: char| !c.is_ascii_digit()).unwrap();
        let old = parts.json[start..start + digits].to_string();
        let mut edited = parts;
        edited.json.replace_range(start..start + digits, &number.to_string());
        let result = open(&edited.file());
        prop_assert_eq!(result.is_ok(), old == number.to_string());
    }
}
