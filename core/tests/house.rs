//! The house rules that a program can hold: directions of dependencies, places of unsafe code, first sentences, sizes.
//!
//! A failure here asks for a decision, not for a workaround: change the table together with its reason, or the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Who may use whom inside core, and for what. Tests at the foot of a file may use anything.
const EDGES: [(&str, &str, &str); 74] = [
    (
        "bar_rows",
        "bundle",
        "which inputs are features, and which tell series apart",
    ),
    ("bar_rows", "error", "its errors"),
    ("bar_rows", "features", "the features of bars"),
    ("bar_rows", "saved", "their state as bytes"),
    ("bundle", "error", "its errors"),
    ("bundle", "features", "the schema stores feature definitions"),
    ("bundle", "simd", "lanes are the unit of packed weights"),
    ("columns", "bundle", "what the schema says of inputs and outputs"),
    ("columns", "error", "its errors"),
    ("columns", "flags", "remarks about a window and an answer"),
    ("columns", "kernels", "functions of output groups"),
    ("columns", "layers", "the rows that layers read"),
    ("decide", "error", "its errors"),
    ("features", "error", "its errors"),
    ("features", "saved", "their state as bytes"),
    ("interpretation", "simd", "lanes are the unit of weights"),
    ("kernels", "simd", "loops are written over its primitives"),
    ("layers", "bundle", "weights are views into the file"),
    ("layers", "kernels", "the loops behind a layer"),
    ("layers", "simd", "lanes are the unit of weights and states"),
    ("model", "bar_rows", "what makes its rows"),
    ("model", "bundle", "the file behind the model"),
    ("model", "columns", "how its windows are read"),
    ("model", "error", "its errors"),
    (
        "model",
        "features",
        "checks the inputs' definitions and makes their stream",
    ),
    ("model", "kernels", "picks the level's table"),
    ("model", "nets", "the net it opens"),
    ("model", "session", "runs the golden windows"),
    ("model", "simd", "the level"),
    ("nets", "bundle", "tensors in and out of the file"),
    ("nets", "columns", "scales contexts as windows are scaled"),
    ("nets", "error", "its errors"),
    ("nets", "interpretation", "what a net hands out of its buffers"),
    (
        "nets",
        "kernels",
        "the table handed to layers, and the batch they take",
    ),
    ("nets", "layers", "what a net is made of"),
    (
        "nets",
        "plain",
        "the plain tensors it packs (types, no arithmetic)",
    ),
    ("nets", "simd", "lanes are the unit of states"),
    ("plain", "bundle", "the oracle follows the same schema"),
    ("saved", "error", "its errors"),
    ("session", "bundle", "policies and kinds of the schema"),
    ("session", "columns", "reads windows and finishes answers"),
    ("session", "error", "its errors"),
    ("session", "flags", "remarks about an answer"),
    ("session", "interpretation", "what its last run attended to"),
    ("session", "kernels", "scaling and output functions"),
    ("session", "model", "the model it serves"),
    ("session", "nets", "the net's buffers"),
    ("sliding", "bundle", "policies and kinds of the schema"),
    ("sliding", "columns", "reads rows and finishes answers"),
    ("sliding", "error", "its errors"),
    ("sliding", "flags", "remarks about an answer"),
    ("sliding", "kernels", "the batch that nets take"),
    ("sliding", "model", "the model it serves"),
    ("sliding", "nets", "the net's buffers"),
    ("sliding", "session", "whole windows, and the checks of a row"),
    ("stream", "bar_rows", "makes rows of bars"),
    ("stream", "bundle", "policies of the schema"),
    ("stream", "columns", "reads rows and finishes answers"),
    ("stream", "error", "its errors"),
    ("stream", "features", "bars"),
    ("stream", "flags", "remarks about an answer"),
    ("stream", "model", "the model it serves"),
    ("stream", "nets", "the windows under way"),
    ("stream", "saved", "its state as bytes"),
    ("stream", "session", "whole windows, and the checks of a row"),
    ("root", "bar_rows", "the public names"),
    ("root", "flags", "the public names"),
    ("root", "interpretation", "the public names"),
    ("root", "model", "the public names"),
    ("root", "nets", "the public names"),
    ("root", "session", "the public names"),
    ("root", "simd", "the public names"),
    ("root", "sliding", "the public names"),
    ("root", "stream", "the public names"),
];

/// Files that are compiled for tests only, so that their edges do not count.
const TEST_FILES: [&str; 4] = [
    "core/src/kernels/agreement.rs",
    "core/src/kernels/agreement_cell.rs",
    "core/src/kernels/agreement_fixed.rs",
    "core/src/kernels/agreement_rows.rs",
];

/// Where unsafe code may stand, and why.
const UNSAFE: [(&str, &str); 8] = [
    ("core/src/simd/", "intrinsics"),
    ("core/src/kernels/table.rs", "calls into functions of a CPU level"),
    ("core/src/bundle/view.rs", "bytes of the file as numbers"),
    ("core/src/bundle/storage.rs", "the mapping"),
    ("core/tests/allocation.rs", "a counting allocator"),
    (
        "core/tests/tails.rs",
        "a mapping behind which nothing lies, and the control word",
    ),
    (
        "core/tests/no_std/",
        "an allocator and an entry point without std",
    ),
    ("ffi/", "the C boundary"),
];

const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace by its path from the root, with its text.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for package in ["core", "train", "ffi", "bench"] {
        collect(&root().join(package), package, &mut found);
    }
    assert!(
        found.contains_key("core/src/lib.rs"),
        "the workspace lies where it should"
    );
    found
}

fn collect(folder: &Path, name: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect(name) {
        let entry = entry.expect(name);
        let file = entry.file_name().into_string().expect("names are UTF-8");
        let (path, name) = (entry.path(), format!("{name}/{file}"));
        let is_ours = !file.starts_with('.') && !["target", "out", "node_modules"].contains(&file.as_str());
        if path.is_dir() && is_ours {
            collect(&path, &name, found);
        } else if file.ends_with(".rs") {
            found.insert(name.clone(), std::fs::read_to_string(&path).expect(&name));
        }
    }
}

/// The lines before the tests at the foot, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let body = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    body.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether `word` stands in `line` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// The module that a file of core belongs to: its folder, or its own name, or `root`.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("core/src/")?;
    let first = inside.split('/').next()?;
    match first.strip_suffix(".rs") {
        Some("lib") => Some("root"),
        Some(file) => Some(file),
        None => Some(first),
    }
}

/// Names that follow `crate::` in a line.
fn uses(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::")
        .skip(1)
        .map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

/// Every edge of core, with one file that has it.
fn edges() -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for (path, text) in sources() {
        let Some(from) = module(&path).filter(|_| !TEST_FILES.contains(&path.as_str())) else {
            continue;
        };
        for line in code(&text) {
            let exported = (from == "root").then(|| line.strip_prefix("pub use ")).flatten();
            let exported = exported.map(|rest| rest.split("::").next().unwrap_or_default());
            for to in uses(line).chain(exported).filter(|to| *to != from) {
                found.insert((from.to_string(), to.to_string()), path.clone());
            }
        }
    }
    found
}

#[test]
fn modules_of_core_use_only_what_the_table_lists() {
    let listed: BTreeSet<(&str, &str)> = EDGES.iter().map(|(from, to, _)| (*from, *to)).collect();
    assert_eq!(listed.len(), EDGES.len(), "every edge once");
    let found = edges();
    for ((from, to), path) in &found {
        assert!(
            listed.contains(&(from, to)),
            "{path}: `{from}` uses `{to}`, which the table of this test does not list"
        );
    }
    for (from, to) in listed {
        let edge = (from.to_string(), to.to_string());
        assert!(
            found.contains_key(&edge),
            "`{from}` no longer uses `{to}`: strike it from the table"
        );
    }
}

#[test]
fn no_path_reaches_another_module_unseen() {
    for (path, text) in sources() {
        let Some(module) = module(&path) else { continue };
        let is_top = path.matches('/').count() == 2 || path.ends_with("/mod.rs");
        for line in code(&text) {
            assert!(
                !line.contains("crate::{"),
                "{path}: one `use` per module, so that edges can be read: {line}"
            );
            let climbs = line.contains("super::super::") || (is_top && has_word(line, "super"));
            assert!(
                !climbs,
                "{path}: write `crate::` to leave `{module}`, so that edges can be read: {line}"
            );
        }
    }
}

#[test]
fn unsafe_code_stands_in_its_places_only() {
    for (path, text) in sources() {
        let is_allowed = UNSAFE.iter().any(|(place, _)| path.starts_with(place));
        if is_allowed || path == "core/tests/house.rs" {
            continue;
        }
        if let Some(line) = code(&text).find(|line| has_word(line, "unsafe")) {
            panic!("{path}: unsafe code is not allowed here: {line}");
        }
    }
}

#[test]
fn every_place_for_unsafe_code_is_needed() {
    let all = sources();
    for (place, why) in UNSAFE.iter().filter(|(place, _)| *place != "ffi/") {
        let mut files = all.iter().filter(|(path, _)| path.starts_with(place));
        let needed = files.any(|(_, text)| code(text).any(|line| has_word(line, "unsafe")));
        assert!(
            needed,
            "{place} ({why}) has no unsafe code any more: strike it from the table"
        );
    }
}

#[test]
fn intrinsics_stand_in_simd_only() {
    for (path, text) in sources() {
        if path.starts_with("core/src/simd/") || path == "core/tests/house.rs" {
            continue;
        }
        let is_intrinsic = |line: &&str| line.contains("core::arch") || line.contains("std::arch");
        if let Some(line) = code(&text).find(is_intrinsic) {
            panic!("{path}: intrinsics belong into core/src/simd: {line}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_short_enough() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{path}: expected a first sentence after `//!`"
        );
        let n_lines = text.lines().count();
        assert!(
            n_lines <= MAX_LINES,
            "{path}: expected at most {MAX_LINES} lines, found {n_lines}"
        );
    }
}
