//! Pickles that would ask for far more memory, time or stack than their size, and the limit that stops each.

use crate::stream::{call, read, read_within, refused};
use crate::tell::Tell;
use crate::writer::{global, pickle, text};
use tickfuse_train::import::pickle::Limits;

/// Each level is a list of the level below, twice: 2^n values in 4n bytes.
fn doubling(levels: usize) -> Vec<u8> {
    let mut opcodes = b"N".to_vec();
    for i in 0..levels {
        opcodes.extend(b"\x942\x86");
        assert!(i < 1000);
    }
    pickle(&opcodes)
}

#[test]
fn values_that_share_without_end_are_refused() {
    assert!(read(&doubling(10)).is_ok());
    refused(
        &doubling(100),
        "pickled value: expected at most 33554432 values in one walk, found more",
    );
}

#[test]
fn deep_nesting_is_refused_without_a_deep_stack() {
    let nested = |levels: usize| pickle(&[vec![b'N'], vec![0x85; levels]].concat());
    assert!(read(&nested(200)).unwrap().told().is_object());
    for levels in [201, 1_000_000] {
        refused(
            &nested(levels),
            "pickled value: expected at most 200 levels of nesting, found more",
        );
    }
}

/// `set(list)` copies references; a short loop of it must not outgrow the file.
#[test]
fn copies_are_counted() {
    let mut opcodes = [&b"]\x94("[..], &b"N".repeat(1000), b"e0("].concat();
    for _ in 0..10_000 {
        opcodes.extend([&global("builtins", "set")[..], b"h\0\x85R"].concat());
    }
    opcodes.push(b't');
    let error = read(&pickle(&opcodes)).unwrap_err().to_string();
    assert!(
        error.ends_with("opcode REDUCE: expected at most 4194304 values, found more"),
        "{error}"
    );

    let long = [&b"X\0\0\x01\0"[..], &b"a".repeat(1 << 16), b"\x940("].concat();
    let encode = call("_codecs", "encode", &[b"h\0".to_vec(), text("latin1")]);
    let opcodes = [long, encode.repeat(1000), vec![b't']].concat();
    let error = read(&pickle(&opcodes)).unwrap_err().to_string();
    assert!(error.contains("opcode REDUCE: expected at most"), "{error}");
    assert!(error.contains("bytes of copied text"), "{error}");
}

#[test]
fn every_limit_is_an_error_of_its_own() {
    let list = pickle(b"](NNNe");
    let texts = pickle(b"\x8c\x03abc\x94");
    let default = Limits::default;
    for (pickle, limits, what) in [
        (
            &list,
            Limits {
                pickle_bytes: 5,
                ..default()
            },
            "expected at most 5 bytes of pickle",
        ),
        (
            &list,
            Limits {
                nodes: 0,
                ..default()
            },
            "expected at most 0 values",
        ),
        (
            &list,
            Limits { walk: 3, ..default() },
            "expected at most 3 values in one walk",
        ),
        (
            &list,
            Limits {
                depth: 0,
                ..default()
            },
            "expected at most 0 levels of nesting",
        ),
        (
            &texts,
            Limits {
                text_bytes: 2,
                ..default()
            },
            "expected at most 2 bytes of one text",
        ),
        (
            &texts,
            Limits { memo: 0, ..default() },
            "expected at most 0 memo entries",
        ),
    ] {
        let error = read_within(pickle, &limits).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(read(pickle).is_ok());
    }
}
