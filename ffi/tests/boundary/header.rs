//! Header, Rust constants, committed symbol list and built library tell the same story.

use crate::library::{has, libraries, successful};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tickfuse::{
    ABI_VERSION, ARRIVAL_NONE, ARRIVAL_PREPARED, ARRIVAL_WHOLE_WINDOW, FAST_F64, FAST_PEEK, FAST_PUSH,
    FAST_RUN, HASH_SIZE, LABEL_SIZE, MAX_BATCH, MAX_DIMS, MAX_SYMBOLS, MISSING_IMPUTED, MISSING_REFUSED,
    NAME_SIZE, OPEN_COPIED, OPEN_DECLINE_GOLDEN, OPEN_DECLINE_HASH, OUTPUT_DEVIATION, OUTPUT_MEAN,
    OUTPUT_POSITION, OUTPUT_PROBABILITY, OUTPUT_QUANTILE, OUTPUT_VALUE, ROLE_KNOWN, ROLE_OBSERVED,
    ROLE_STATIC, STEP_ANSWER, STEP_WARMING_UP, Status,
};
use tickfuse_core::Flags;

const HEADER: &str = include_str!("../../include/tickfuse.h");
const SYMBOLS: &str = include_str!("../../symbols.txt");
const CONSUMERS: [&str; 7] = [
    include_str!("../c/symbols.c"),
    include_str!("../c/series.c"),
    include_str!("../c/memory.c"),
    include_str!("../c/consumer.c"),
    include_str!("../c/streams.c"),
    include_str!("../c/contexts.c"),
    include_str!("../c/live.c"),
];

/// Every `#define` with a number.
pub(crate) fn defined_numbers(header: &str) -> BTreeMap<String, i64> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let define = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let (name, value) = (words.next()?, words.next()?);
        Some((name.to_owned(), number(value)?))
    };
    header.lines().filter_map(define).collect()
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
        ("TICKFUSE_MAX_SYMBOLS", MAX_SYMBOLS as i64),
        ("TICKFUSE_MAX_DIMS", MAX_DIMS as i64),
        ("TICKFUSE_NAME_SIZE", NAME_SIZE as i64),
        ("TICKFUSE_LABEL_SIZE", LABEL_SIZE as i64),
        ("TICKFUSE_ARRIVAL_NONE", i64::from(ARRIVAL_NONE)),
        ("TICKFUSE_ARRIVAL_WHOLE_WINDOW", i64::from(ARRIVAL_WHOLE_WINDOW)),
        ("TICKFUSE_ARRIVAL_PREPARED", i64::from(ARRIVAL_PREPARED)),
        ("TICKFUSE_ROLE_OBSERVED", i64::from(ROLE_OBSERVED)),
        ("TICKFUSE_ROLE_KNOWN", i64::from(ROLE_KNOWN)),
        ("TICKFUSE_ROLE_STATIC", i64::from(ROLE_STATIC)),
        ("TICKFUSE_MISSING_REFUSED", i64::from(MISSING_REFUSED)),
        ("TICKFUSE_MISSING_IMPUTED", i64::from(MISSING_IMPUTED)),
        ("TICKFUSE_OUTPUT_VALUE", i64::from(OUTPUT_VALUE)),
        ("TICKFUSE_OUTPUT_PROBABILITY", i64::from(OUTPUT_PROBABILITY)),
        ("TICKFUSE_OUTPUT_POSITION", i64::from(OUTPUT_POSITION)),
        ("TICKFUSE_OUTPUT_QUANTILE", i64::from(OUTPUT_QUANTILE)),
        ("TICKFUSE_OUTPUT_MEAN", i64::from(OUTPUT_MEAN)),
        ("TICKFUSE_OUTPUT_DEVIATION", i64::from(OUTPUT_DEVIATION)),
        ("TICKFUSE_FAST_PUSH", i64::from(FAST_PUSH)),
        ("TICKFUSE_FAST_PEEK", i64::from(FAST_PEEK)),
        ("TICKFUSE_FAST_RUN", i64::from(FAST_RUN)),
        ("TICKFUSE_FAST_F64", i64::from(FAST_F64)),
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

/// A header without its comments.
fn code(header: &str) -> String {
    let behind = |part: &'_ str| {
        part.split_once("*/")
            .map_or(part.to_owned(), |(_, code)| code.to_owned())
    };
    header.split("/*").map(behind).collect()
}

/// Every declaration of a header, in one line each.
pub(crate) fn declarations(header: &str) -> BTreeSet<String> {
    let code: String = code(header)
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("extern"))
        .flat_map(|line| [line.trim(), " "])
        .collect();
    let one = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    code.split(';').map(one).collect()
}

/// Every function the header declares: outside comments, a name that an opening parenthesis follows.
fn declared_functions() -> BTreeSet<String> {
    let code = code(HEADER);
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
    assert_eq!(defined_numbers(HEADER), rust_numbers());
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
