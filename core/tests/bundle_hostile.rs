//! Every hostile file gives the error of its rule, and every rule has a hostile file.
#![cfg(feature = "std")]

mod bundle_support;

use bundle_support::cases::{self, Case, NOT_BY_FILE};
use bundle_support::{open, rule};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tickfuse_core::{Model, OpenOptions};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/hostile")
}

fn path(case: &Case) -> PathBuf {
    folder().join(case.name).with_extension("safetensors")
}

/// The variant of the error the file gives, `None` if it opens.
fn outcome(file: &[u8]) -> Option<String> {
    open(file).err().map(|e| rule(&e))
}

#[test]
fn every_hostile_file_gives_exactly_its_error() {
    for case in cases::all() {
        let file = std::fs::read(path(&case)).unwrap();
        assert_eq!(outcome(&file).as_deref(), Some(case.rule), "{}", case.name);
    }
}

#[test]
fn mapped_and_copied_files_give_the_same_error() {
    for case in cases::all() {
        let options = OpenOptions::default();
        let mapped = Model::open(path(&case), options).err();
        let copied = Model::open_copied(path(&case), options).err();
        let in_memory = Model::from_bytes(&case.file, options).err();
        assert!(in_memory.is_some());
        assert_eq!(mapped, in_memory, "{}", case.name);
        assert_eq!(copied, in_memory, "{}", case.name);
    }
}

#[test]
fn the_files_in_the_tree_are_those_of_the_maker() {
    let mut names = BTreeSet::new();
    for case in cases::all() {
        assert!(
            names.insert(format!("{}.safetensors", case.name)),
            "{} twice",
            case.name
        );
        assert!(
            std::fs::read(path(&case)).unwrap() == case.file,
            "{} differs: make it again",
            case.name
        );
    }
    let found = std::fs::read_dir(folder()).unwrap();
    let found: BTreeSet<String> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".safetensors"))
        .collect();
    assert_eq!(found, names);
}

#[test]
fn every_variant_of_open_error_has_a_hostile_file() {
    let covered: BTreeSet<String> = cases::all().iter().map(|c| c.rule.to_string()).collect();
    let exempt = NOT_BY_FILE.map(String::from);
    let expected: BTreeSet<String> = variants().difference(&exempt.into()).cloned().collect();
    assert_eq!(covered, expected);
}

#[test]
fn the_format_text_names_every_rule_and_every_hostile_file() {
    let text = include_str!("../docs/format.md");
    for name in variants() {
        assert!(text.contains(&format!("`{name}`")), "variant {name}");
    }
    for case in cases::all() {
        let row = text
            .lines()
            .find(|line| line.contains(&format!("`{}`", case.name)));
        let row = row.unwrap_or_else(|| panic!("file {} is not listed", case.name));
        assert!(row.contains(&format!("`{}`", case.rule)), "{}: {row}", case.name);
    }
}

#[test]
fn messages_name_the_tensor_and_both_sizes() {
    let message = |name: &str| {
        let case = cases::all().into_iter().find(|c| c.name == name).unwrap();
        open(&case.file).err().unwrap().to_string()
    };
    assert_eq!(
        message("tensor_size"),
        "tensor `lstm.0.bias`: shape and type need 240 bytes, offsets give 256"
    );
    assert_eq!(
        message("nan_weight"),
        "`lstm.0.recurrent`: value 32 is NaN or infinite"
    );
    assert_eq!(
        message("missing_scaler"),
        "input `a` has no scaler: a bundle must carry the statistics its inputs were scaled with"
    );
    assert!(message("header_entry_unknown_key").contains("`head.0.bias`: unknown field `strides`"));
}

/// The names of `OpenError`'s variants, read from its source: an enum cannot list itself.
fn variants() -> BTreeSet<String> {
    let source = include_str!("../src/error/file.rs");
    let body = source.split_once("pub enum OpenError {").unwrap().1;
    let body = body.split_once("\n}\n").unwrap().0;
    let name = |line: &str| -> Option<String> {
        let rest = line.strip_prefix("    ")?;
        let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        rest.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
    };
    let names: BTreeSet<String> = body.lines().filter_map(name).collect();
    assert!(names.len() > 20, "{names:?}");
    names
}
