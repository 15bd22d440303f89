//! Header, Rust constants, committed symbol list and built library tell the same story.

use crate::library::{has, libraries, successful};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tickfuse::{
    ABI_VERSION, HASH_SIZE, MAX_BATCH, MAX_DIMS, NAME_SIZE, OPEN_COPIED, OPEN_DECLINE_GOLDEN,
    OPEN_DECLINE_HASH, STEP_ANSWER, STEP_WARMING_UP, Status,
};
use tickfuse_core::Flags;

const HEADER: &str = include_str!("../../include/tickfuse.h");
const SYMBOLS: &str = include_str!("../../symbols.txt");
const CONSUMERS: [&str; 3] = [
    include_str!("../c/consumer.c"),
    include_str!("../c/streams.c"),
    include_str!("../c/contexts.c"),
];

/// Every `#define` with a number.
fn defined_numbers() -> BTreeMap<String, i64> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let define = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let (name, value) = (words.next()?, words.next()?);
        Some((name.to_owned(), number(value)?))
    };
    HEADER.lines().filter_map(define).collect()
}

/// Every number that Rust knows by a name of the header.
fn rust_numbers() -> BTreeMap<String, i64> {
    let statuses = Status::ALL.iter().map(|s| (s.name(), i64::from(s.number())));
    let others = [
        ("TICKFUSE_ABI_VERSION", i64::from(ABI_VERSION)),
        ("TICKFUSE_OPEN_COPIED", i64::from(OPEN_COPIED)),
        ("TICKFUSE_OPEN_DECLINE_HASH", i64::from(OPEN_DECLINE_HASH)),
        ("TICKFUSE_OPEN_DECLINE_GOLDEN", i64::from(OPEN_DECLINE_GOLDEN)),
        ("TICKFUSE_HASH_SIZE", HASH_SIZE as i64),
        ("TICKFUSE_MAX_BATCH", MAX_BATCH as i64),
        ("TICKFUSE_MAX_DIMS", MAX_DIMS as i64),
        ("TICKFUSE_NAME_SIZE", NAME_SIZE as i64),
        ("TICKFUSE_STEP_WARMING_UP", i64::from(STEP_WARMING_UP)),
        ("TICKFUSE_STEP_ANSWER", i64::from(STEP_ANSWER)),
        ("TICKFUSE_FLAG_IMPUTED", i64::from(Flags::IMPUTED.bits())),
        ("TICKFUSE_FLAG_OVERFLOW", i64::from(Flags::OVERFLOW.bits())),
        (
            "TICKFUSE_FLAG_UNKNOWN_CATEGORY",
            i64::from(Flags::UNKNOWN_CATEGORY.bits()),
        ),
    ];
    statuses
        .chain(others)
        .map(|(name, number)| (name.to_owned(), number))
        .collect()
}

/// Every function the header declares: outside comments, a name that an opening parenthesis follows.
fn declared_functions() -> BTreeSet<String> {
    let code: String = HEADER
        .split("/*")
        .map(|part| part.split_once("*/").map_or(part, |(_, code)| code))
        .collect();
    let name = |(at, _): (usize, &str)| {
        let rest = &code[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        rest[end..].starts_with('(').then(|| rest[..end].to_owned())
    };
    code.match_indices("tickfuse_").filter_map(name).collect()
}

fn listed_symbols() -> BTreeSet<String> {
    SYMBOLS.lines().map(str::to_owned).collect()
}

#[test]
fn the_header_and_rust_name_the_same_numbers() {
    assert_eq!(defined_numbers(), rust_numbers());
}

#[test]
fn the_symbol_list_is_sorted_and_is_what_the_header_declares() {
    assert!(SYMBOLS.lines().is_sorted());
    assert_eq!(declared_functions(), listed_symbols());
}

#[test]
fn the_c_programs_use_every_function() {
    for symbol in listed_symbols() {
        let call = format!("{symbol}(");
        assert!(CONSUMERS.iter().any(|source| source.contains(&call)), "{symbol}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_library_exports_the_listed_symbols_and_nothing_else() {
    if !has("nm") {
        return;
    }
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(&libraries().shared);
    let listing = successful(&mut nm);
    let exported: BTreeSet<String> = listing
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(exported, listed_symbols());
}
