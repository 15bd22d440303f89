//! Containers nobody wrote, one per rule of the zip reader, and tensors that do not fit their storages.

use crate::fixture;
use crate::tell::Tell;
use crate::writer::{Entry, Zip, int, pickle, storage, tensor, tensor_of, text, tuple};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tickfuse_train::import::pickle::{Limits, PickleError, TorchFile};

const STORED: [u8; 24] = [0; 24];

fn read(file: Vec<u8>) -> Result<TorchFile, PickleError> {
    TorchFile::from_bytes(Path::new("f"), file, &Limits::default())
}

#[track_caller]
fn refused(file: Vec<u8>, expected: &str) {
    let found = read(file).unwrap_err().to_string();
    assert_eq!(found, format!("f: {expected}"));
}

/// Six f32 as a tensor of 2x3.
fn small() -> Zip {
    Zip::torch(&pickle(&tensor(6, 0, &[2, 3], &[3, 1])), &[&STORED])
}

#[test]
fn every_form_of_a_sound_container_is_read() {
    for (has_descriptors, is_zip64) in [(false, false), (true, false), (false, true), (true, true)] {
        let zip = Zip {
            has_descriptors,
            is_zip64,
            ..small()
        };
        let file = read(zip.bytes()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(file.root().as_tensor().unwrap().shape(), [2, 3]);
    }
}

#[test]
fn a_file_without_checksums_is_read() {
    let mut zip = small();
    zip.entries.iter_mut().for_each(|entry| entry.checksum = 0);
    assert!(read(zip.bytes()).is_ok());
}

#[test]
fn the_end_record_is_the_last_thing_in_the_file() {
    let what = "expected an end record as the last 22 bytes (torch.save writes zip files since PyTorch 1.6), found none: not a zip file, truncated, or followed by other bytes";
    refused(Vec::new(), &format!("zip container, end record, byte 0: {what}"));
    refused(vec![0; 21], &format!("zip container, end record, byte 0: {what}"));
    let mut file = small().bytes();
    file.push(0);
    let at = file.len() - 22;
    refused(file, &format!("zip container, end record, byte {at}: {what}"));
    let error = read(fs::read(fixture("pickle/values.p4.pkl")).unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with(what), "{error}");
}

/// Changes 2 bytes of the end record.
fn with_end(at: usize, value: u16) -> Vec<u8> {
    let mut file = small().bytes();
    let end = file.len() - 22 + at;
    file[end..end + 2].copy_from_slice(&value.to_le_bytes());
    file
}

#[test]
fn the_end_record_tells_the_truth() {
    for (at, value, expected) in [
        (4, 1, "expected disk number 0, found 1"),
        (8, 7, "expected entries on this disk 3, found 7"),
        (20, 9, "expected comment length 0, found 9"),
    ] {
        let error = read(with_end(at, value)).unwrap_err().to_string();
        assert!(
            error.contains("end record") && error.ends_with(expected),
            "{error}"
        );
    }
    for at in [12, 16] {
        let error = read(with_end(at, 1)).unwrap_err().to_string();
        assert!(
            error.contains("expected a directory that ends at byte"),
            "{error}"
        );
    }
    let mut file = with_end(8, 2);
    let n = file.len() - 12;
    file[n] = 2;
    let error = read(file).unwrap_err().to_string();
    assert!(
        error.contains("directory") && error.contains("expected 2 entries up to byte"),
        "{error}"
    );
}

#[test]
fn the_zip64_record_stands_where_the_locator_says() {
    let zip = Zip {
        is_zip64: true,
        ..small()
    };
    let n = zip.bytes().len();
    for (back, expected) in [
        (22 + 12, "offset of the zip64 record"),
        (22 + 4, "disks"),
        (22 + 20 + 8, "a directory"),
    ] {
        let mut file = zip.bytes();
        file[n - back] ^= 0x10;
        let error = read(file).unwrap_err().to_string();
        assert!(error.contains(&format!("expected {expected}")), "{error}");
    }
}

/// The small file with its last entry, storage 0, changed.
fn with_storage(change: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let mut zip = small();
    change(zip.entries.last_mut().unwrap());
    zip.bytes()
}

#[test]
fn entries_are_stored_and_agree_with_the_directory() {
    type Change = fn(&mut Entry);
    let changes: [(Change, &str); 6] = [
        (
            |e| e.method = 8,
            "expected a stored entry (method 0), found compression method 8",
        ),
        (|e| e.flags = 1, "expected flag of encryption 0, found 1"),
        (|e| e.size = 23, "expected size 23, found 24"),
        (|e| e.size = 1 << 20, "found 1048576 bytes at"),
        (
            |e| e.local_name = "r/data/1".into(),
            "expected the name `r/data/0`, found `r/data/1` in front of the data",
        ),
        (|e| e.checksum = 5, "expected checksum 00000005, found"),
    ];
    for (change, expected) in changes {
        let error = read(with_storage(change)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn names_are_unique_and_share_one_root() {
    let with = |entry: Entry| {
        let mut zip = small();
        zip.entries.push(entry);
        read(zip.bytes()).unwrap_err().to_string()
    };
    let twice = with(Entry::new("r/data/0", &STORED));
    assert!(
        twice.contains("expected unique names, found `r/data/0` twice"),
        "{twice}"
    );
    let outside = with(Entry::new("other/x", b""));
    assert!(
        outside.ends_with("expected all entries in the folder `r`, found `other/x`"),
        "{outside}"
    );
    let two = with(Entry::new("s/data.pkl", b""));
    assert!(
        two.ends_with("(a file written by torch.save), found 2 of them in 4 entries"),
        "{two}"
    );
    let mut zip = small();
    zip.entries.remove(0);
    let none = read(zip.bytes()).unwrap_err().to_string();
    assert!(
        none.ends_with("(a file written by torch.save), found 0 of them in 2 entries"),
        "{none}"
    );
}

#[test]
fn an_entry_inside_the_data_of_another_is_refused_does_not_overlap() {
    let order = Entry::new("r/byteorder", b"little");
    let mut zip = small();
    zip.entries = vec![order.clone()];
    let whole_entry = zip.bytes()[..30 + order.name.len() + order.data.len()].to_vec();
    zip.entries = vec![Entry::new("r/data.pkl", &whole_entry), order];
    let mut file = zip.bytes();
    let inside = 30 + "r/data.pkl".len() as u32;
    let header_of_second = file.len() - 22 - "r/byteorder".len() - 4;
    file[header_of_second..header_of_second + 4].copy_from_slice(&inside.to_le_bytes());
    let error = read(file).unwrap_err().to_string();
    assert!(
        error.contains("entry `r/data.pkl`") && error.contains("expected its end up to byte"),
        "{error}"
    );
}

#[test]
fn big_endian_files_are_refused() {
    let mut zip = small();
    zip.entries[1] = Entry::new("r/byteorder", b"big");
    let error = read(zip.bytes()).unwrap_err().to_string();
    assert!(
        error.contains("entry `byteorder`") && error.ends_with("expected byte order `little`, found `big`"),
        "{error}"
    );
}

#[track_caller]
fn refused_pickle(opcodes: &[u8], expected: &str) {
    let error = read(Zip::torch(&pickle(opcodes), &[&STORED]).bytes())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn storages_are_there_and_as_long_as_they_say() {
    let at = |storage: Vec<u8>| tensor_of(storage, 0, &[1], &[1]);
    refused_pickle(
        &at(storage("torch", "FloatStorage", "0", 5)),
        "expected 5 elements of F32, found 24 bytes in entry `data/0`",
    );
    refused_pickle(
        &at(storage("torch", "FloatStorage", "0", i64::MAX)),
        "found 24 bytes in entry `data/0`",
    );
    refused_pickle(
        &at(storage("torch", "FloatStorage", "0", -6)),
        "expected a size, found int -6",
    );
    refused_pickle(
        &at(storage("torch", "FloatStorage", "7", 6)),
        "expected an entry `r/data/7`, found 3 others",
    );
    refused_pickle(
        &at(storage("torch", "FloatStorage", "../0", 6)),
        "expected an entry `r/data/../0`, found 3 others",
    );
    refused_pickle(
        &at(storage("torch", "QInt8Storage", "0", 24)),
        "BoolStorage, found `QInt8Storage`",
    );
    refused_pickle(
        &at(storage("os", "FloatStorage", "0", 6)),
        "expected a storage class of module `torch`, found os.FloatStorage",
    );
    refused_pickle(
        &[tuple(&[text("storage")]), vec![b'Q']].concat(),
        "found a tuple of 1",
    );
    refused_pickle(&at(int(3)), "expected a storage, found int 3");
}

#[test]
fn views_stay_inside_their_storage() {
    let refused = |offset, shape: &[i64], strides: &[i64]| {
        let expected = format!(
            "expected a view of a storage of 6 elements, found offset {offset}, shape {shape:?}, strides {strides:?}"
        );
        refused_pickle(&tensor(6, offset, shape, strides), &expected);
    };
    refused(1, &[2, 3], &[3, 1]);
    refused(0, &[2, 3], &[4, 1]);
    refused(0, &[7], &[1]);
    refused(6, &[], &[]);
    refused(7, &[0], &[1]);
    refused(i64::MAX, &[2], &[i64::MAX]);
    refused(0, &[i64::MAX, i64::MAX], &[0, 0]);
    refused(0, &[3], &[i64::MAX]);
    refused_pickle(&tensor(6, 0, &[2], &[-1]), "expected a size, found int -1");
    refused_pickle(&tensor(6, 0, &[2], &[]), "expected 1 strides, found 0");
    refused_pickle(
        &tensor(6, 0, &[1; 17], &[1; 17]),
        "expected at most 16 dimensions, found more",
    );
}

/// One element, expanded to a billion, is a legal view of PyTorch's.
#[test]
fn expanded_views_are_counted() {
    refused_pickle(
        &tensor(6, 0, &[1 << 30], &[0]),
        "expected at most 16 tensor elements per byte of the file, found more",
    );
    let file = read(Zip::torch(&pickle(&tensor(6, 0, &[1000], &[0])), &[&STORED]).bytes()).unwrap();
    assert_eq!(file.root().as_tensor().unwrap().to_f32().len(), 1000);
}

/// All places a view touches, by the definition.
fn places(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<i64> {
    let mut places = vec![offset];
    for (size, stride) in shape.iter().zip(strides) {
        places = places
            .iter()
            .flat_map(|at| (0..*size).map(move |i| at + i * stride))
            .collect();
    }
    places
}

proptest! {
    #[test]
    fn a_view_is_read_exactly_if_all_its_elements_are_stored(
        offset in 0_i64..8,
        dims in proptest::collection::vec((0_i64..4, 0_i64..6), 0..4),
    ) {
        let (shape, strides): (Vec<i64>, Vec<i64>) = dims.into_iter().unzip();
        let stored: Vec<u8> = (0..12_u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
        let pickle = pickle(&tensor(12, offset, &shape, &strides));
        let found = read(Zip::torch(&pickle, &[&stored]).bytes());
        let places = places(offset, &shape, &strides);
        let is_inside = places.iter().all(|at| *at < 12);
        prop_assert_eq!(found.is_ok(), is_inside);
        if let Ok(file) = found {
            let values: Vec<i64> = file.root().as_tensor().unwrap().to_f32().iter().map(|v| *v as i64).collect();
            prop_assert_eq!(values, places);
            prop_assert!(file.told().is_object());
        }
    }
}
