//! Pickles nobody wrote: one per rule of the stack machine, and calls that must not happen.

use crate::writer::{global, int, pickle, text, tuple};
use std::path::Path;
use tickfuse_train::import::pickle::{Kind, Limits, PickleError, PickleFile};

pub(crate) fn read_within(pickle: &[u8], limits: &Limits) -> Result<PickleFile, PickleError> {
    PickleFile::from_bytes(Path::new("p"), pickle, limits)
}

pub(crate) fn read(pickle: &[u8]) -> Result<PickleFile, PickleError> {
    read_within(pickle, &Limits::default())
}

#[track_caller]
pub(crate) fn refused(pickle: &[u8], expected: &str) {
    let found = read(pickle).unwrap_err().to_string();
    assert_eq!(found, format!("p: {expected}"));
}

#[track_caller]
fn refused_opcodes(opcodes: &[u8], expected: &str) {
    refused(&pickle(opcodes), expected);
}

#[test]
fn a_pickle_starts_with_its_protocol_and_ends_with_stop() {
    refused(
        b"",
        "pickle, byte 0, opcode (none): expected STOP, found the end of the pickle",
    );
    refused(
        b"\x80\x04N",
        "pickle, byte 3, opcode (none): expected STOP, found the end of the pickle",
    );
    let first = "expected PROTO (0x80) as the first opcode and nowhere else: an uncompressed pickle, found";
    refused(
        b"PK\x03\x04",
        &format!("pickle, byte 0, opcode PERSID: {first} byte 0x50 (PERSID)"),
    );
    refused(
        b"\x78\x9c",
        &format!("pickle, byte 0, opcode unknown: {first} byte 0x78 (unknown)"),
    );
    refused(
        b"\x80\x04\x80\x04N.",
        &format!("pickle, byte 2, opcode PROTO: {first} byte 0x80 (PROTO)"),
    );
    for protocol in [0, 1, 6, 255] {
        let expected = format!("pickle, byte 0, opcode PROTO: expected protocol 2 to 5, found {protocol}");
        refused(&[0x80, protocol, b'N', b'.'], &expected);
    }
    let rest =
        "expected STOP as the last byte, found 1 bytes behind it: several pickles, or arrays of joblib";
    refused(b"\x80\x04N.N", &format!("pickle, byte 3, opcode STOP: {rest}"));
}

#[test]
fn one_value_is_left_at_the_end() {
    let place = |at| format!("pickle, byte {at}, opcode STOP: expected one value on the stack, found");
    refused_opcodes(b"", &format!("{} 0 and 0 marks", place(2)));
    refused_opcodes(b"NN", &format!("{} 2 and 0 marks", place(4)));
    refused_opcodes(b"N(", &format!("{} 1 and 1 marks", place(4)));
}

#[test]
fn opcodes_of_other_protocols_are_named() {
    let what = "expected an opcode of protocols 2 to 5 without extensions and buffers, found byte";
    for (code, byte, name) in [
        (&b"I1\n"[..], "0x49", "INT"),
        (b"io\nsystem\n", "0x69", "INST"),
        (b"\x82\x01", "0x82", "EXT1"),
        (b"\x97", "0x97", "NEXT_BUFFER"),
        (b"\xff", "0xff", "unknown"),
    ] {
        refused_opcodes(
            code,
            &format!("pickle, byte 2, opcode {name}: {what} {byte} ({name})"),
        );
    }
}

#[test]
fn the_stack_holds_what_an_opcode_takes() {
    let none = "expected a value on the stack, found none above the last mark";
    refused_opcodes(b"0", &format!("pickle, byte 2, opcode POP: {none}"));
    refused_opcodes(b"2", &format!("pickle, byte 2, opcode DUP: {none}"));
    refused_opcodes(b"N(R", &format!("pickle, byte 4, opcode REDUCE: {none}"));
    refused_opcodes(b"N(\x94", &format!("pickle, byte 4, opcode MEMOIZE: {none}"));
    let mark = "expected a mark on the stack, found none";
    refused_opcodes(b"]Ne", &format!("pickle, byte 4, opcode APPENDS: {mark}"));
    refused_opcodes(b"t", &format!("pickle, byte 2, opcode TUPLE: {mark}"));
    refused_opcodes(
        b"N(N\x86",
        "pickle, byte 5, opcode TUPLE2: expected 2 values on the stack, found 1",
    );
}

#[test]
fn memo_entries_are_numbered_without_gaps() {
    refused_opcodes(
        b"Nq\x00h\x01",
        "pickle, byte 5, opcode BINGET: expected one of 1 memo entries, found number 1",
    );
    let gap = "expected memo entry 0 as the next one, found 4294967295";
    refused_opcodes(
        b"Nr\xff\xff\xff\xff",
        &format!("pickle, byte 3, opcode LONG_BINPUT: {gap}"),
    );
}

#[test]
fn items_go_into_lists_sets_dicts_and_objects_only() {
    let takes = "expected a value that takes items, found";
    refused_opcodes(b"NNa", &format!("pickle, byte 4, opcode APPEND: {takes} None"));
    refused_opcodes(
        b"}Na",
        &format!("pickle, byte 4, opcode APPEND: {takes} a dict of 0"),
    );
    refused_opcodes(
        b"](Ne0](NNu",
        &format!("pickle, byte 11, opcode SETITEMS: {takes} a list of 0"),
    );
    refused_opcodes(
        b"](N\x90",
        &format!("pickle, byte 5, opcode ADDITEMS: {takes} a list of 0"),
    );
    refused_opcodes(
        b"}(NNNu",
        "pickle, byte 7, opcode SETITEMS: expected keys and values, found 3 of them",
    );
}

#[test]
fn lengths_beyond_the_end_are_refused_before_memory_is_taken() {
    refused_opcodes(
        b"X\x10\0\0\0ab",
        "pickle, byte 2, opcode BINUNICODE: expected 16 more bytes, found 3",
    );
    refused_opcodes(
        b"\x8b\xff\xff\xff\x7f",
        "pickle, byte 2, opcode LONG4: expected 2147483647 more bytes, found 1",
    );
    let limit = "expected at most 67108864 bytes of one text, found more";
    refused_opcodes(
        b"B\xff\xff\xff\xff",
        &format!("pickle, byte 2, opcode BINBYTES: {limit}"),
    );
    for code in [&b"\x8d"[..], b"\x8e", b"\x96"] {
        let opcodes = [code, &u64::MAX.to_le_bytes()].concat();
        assert!(read(&pickle(&opcodes)).unwrap_err().to_string().ends_with(limit));
    }
    refused_opcodes(
        b"\x95\xff\0\0\0\0\0\0\0N",
        "pickle, byte 2, opcode FRAME: expected a frame of at most 2 bytes, found 255",
    );
    refused_opcodes(
        b"cos",
        "pickle, byte 2, opcode GLOBAL: expected a name that ends in a line feed, found the end of the pickle",
    );
}

#[test]
fn texts_are_utf8_and_names_are_texts() {
    refused_opcodes(
        b"\x8c\x02a\xff",
        "pickle, byte 2, opcode SHORT_BINUNICODE: expected text in UTF-8, found byte 0xff",
    );
    refused_opcodes(
        b"c\xff\nx\n",
        "pickle, byte 2, opcode GLOBAL: expected text in UTF-8, found byte 0xff",
    );
    refused_opcodes(
        b"NN\x93",
        "pickle, byte 4, opcode STACK_GLOBAL: expected text, found None",
    );
}

#[test]
fn calls_need_a_name_and_a_tuple() {
    refused_opcodes(
        b"K\x05)R",
        "pickle, byte 5, opcode REDUCE: expected a class or function, found int 5",
    );
    refused_opcodes(
        b"cm\nC\n]R",
        "pickle, byte 8, opcode REDUCE: expected a tuple, found a list of 0",
    );
    refused_opcodes(
        b"cm\nC\nN\x81",
        "pickle, byte 8, opcode NEWOBJ: expected a tuple, found None",
    );
    refused_opcodes(
        b"]Nb",
        "pickle, byte 4, opcode BUILD: expected an object that takes a state, found a list of 0",
    );
    refused_opcodes(
        b"cm\nC\n)R}b}b",
        "pickle, byte 12, opcode BUILD: expected one state, found a second one",
    );
}

#[test]
fn storages_belong_to_files_of_torch() {
    let name = tuple(&[
        text("storage"),
        global("torch", "FloatStorage"),
        text("0"),
        text("cpu"),
        int(1),
    ]);
    let error = read(&pickle(&[name, vec![b'Q']].concat()))
        .unwrap_err()
        .to_string();
    let expected =
        "opcode BINPERSID: expected a pickle without tensors, found storage `0`: a file for TorchFile?";
    assert!(error.ends_with(expected), "{error}");
}

pub(crate) fn call(module: &str, name: &str, args: &[Vec<u8>]) -> Vec<u8> {
    [global(module, name), tuple(args), vec![b'R']].concat()
}

#[test]
fn arrays_are_held_to_their_type_and_shape() {
    let kind = |code| call("numpy", "dtype", &[text(code)]);
    let bytes = |raw: &[u8]| [&[b'C', raw.len() as u8], raw].concat();
    let shape = |n| tuple(&[int(n)]);
    let array = |shape, kind, raw| {
        call(
            "numpy._core.numeric",
            "_frombuffer",
            &[raw, kind, shape, text("C")],
        )
    };
    assert!(read(&pickle(&array(shape(2), kind("f4"), bytes(&[0; 8])))).is_ok());
    for (opcodes, expected) in [
        (
            array(shape(3), kind("f4"), bytes(&[0; 8])),
            "expected 12 bytes for an array [3] of f4, found 8",
        ),
        (
            array(shape(i64::MAX), kind("f8"), bytes(&[])),
            "expected fewer bytes for an array [9223372036854775807] of f8, found 0",
        ),
        (
            array(shape(-1), kind("f4"), bytes(&[])),
            "expected a size, found int -1",
        ),
        (
            array(shape(0), kind("O8"), bytes(&[])),
            "expected the elements of an array of O8, found 0 bytes",
        ),
        (
            array(shape(0), text("f4"), bytes(&[])),
            "expected a numpy dtype, found str `f4`",
        ),
        (kind("4"), "expected a dtype such as `f8`, found `4`"),
        (
            call("_codecs", "encode", &[text("€"), text("latin1")]),
            "expected characters up to U+00FF, found '€'",
        ),
        (
            call("_codecs", "encode", &[text("a"), text("rot13")]),
            "expected encoding `latin1`, found `rot13`",
        ),
        (
            global("joblib.numpy_pickle", "NumpyArrayWrapper"),
            "expected a pickle without joblib arrays, found joblib.numpy_pickle.NumpyArrayWrapper",
        ),
    ] {
        let error = read(&pickle(&opcodes)).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    let rank_17 = tuple(&vec![int(1); 17]);
    let error = read(&pickle(&array(rank_17, kind("f4"), bytes(&[0; 4]))))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("expected at most 16 dimensions, found more"),
        "{error}"
    );
}

#[test]
fn equal_keys_are_refused() {
    let opcodes = [&b"}("[..], &text("a"), b"N", &text("a"), b"Nu"].concat();
    refused_opcodes(
        &opcodes,
        "pickled value: expected a dict of unique keys, found `a` twice",
    );
}

/// The value is read; what it would have run is not.
#[test]
fn foreign_calls_stay_names_and_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("witness");
    let command = [text(&format!("touch {}", witness.display()))];
    let getattr = [
        global("builtins", "getattr"),
        tuple(&[global("os", "path"), text("system")]),
        vec![b'R'],
    ]
    .concat();
    for (opcodes, class) in [
        (call("os", "system", &command), "os.system"),
        (call("posix", "system", &command), "posix.system"),
        (call("builtins", "eval", &command), "builtins.eval"),
        (call("torch", "load", &command), "torch.load"),
        ([getattr, tuple(&command), vec![b'R']].concat(), "os.path.system"),
        (
            [global("subprocess", "Popen"), tuple(&command), vec![0x81]].concat(),
            "subprocess.Popen",
        ),
    ] {
        let file = read(&pickle(&opcodes)).unwrap();
        let object = file.root().as_object().unwrap();
        assert_eq!(format!("{}.{}", object.module(), object.name()), class);
        assert_eq!(
            object.args().items().unwrap()[0].as_str().unwrap(),
            format!("touch {}", witness.display())
        );
    }
    assert!(!witness.exists());
}

#[test]
fn an_object_that_is_called_stays_an_object() {
    let partial = call("functools", "partial", &[global("m", "f")]);
    let file = read(&pickle(&[partial, tuple(&[int(3)]), vec![b'R']].concat())).unwrap();
    let object = file.root().as_object().unwrap();
    assert_eq!(
        (object.module(), object.name()),
        ("functools", "partial.__call__")
    );
    let args = object.args().items().unwrap();
    assert_eq!((args[0].kind(), args[1].as_int().unwrap()), (Kind::Object, 3));
}
