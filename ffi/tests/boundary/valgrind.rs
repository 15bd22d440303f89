//! Streams under Valgrind: no byte read before it was written, none beside its block, none lost.

use crate::compiler;
use crate::library::{has, successful};
use crate::models;
use crate::streams::{bars, files_of_bars, files_of_rows, of_bars, rows};
use std::process::Command;

/// What the program of a source prints under Valgrind, which must find nothing.
fn watched(source: &str, arguments: &[String]) -> String {
    let mut programs = compiler::told_alike(source);
    let program = programs.find(|program| program.path.ends_with(format!("{source}-static")));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
    command.arg("--errors-for-leak-kinds=definite,indirect");
    successful(command.arg(&program.unwrap().path).args(arguments))
}

#[test]
#[cfg(target_os = "linux")]
fn streams_series_symbols_and_handles_in_the_callers_memory_are_clean_under_valgrind() {
    if !has("valgrind") || !has("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (schema, model) = models::small_models().swap_remove(0);
    let mut files = files_of_rows(folder.path(), &model, &rows(schema.n_features()));
    let found = watched("streams.c", &files);
    assert!(found.lines().any(|line| line.starts_with("push 1 ")), "{found}");
    files[0] = "memory".to_owned();
    let found = watched("memory.c", &files);
    assert!(found.lines().any(|line| line.starts_with("last ")), "{found}");
    files[0] = "series".to_owned();
    let found = watched("series.c", &files);
    assert!(found.lines().any(|line| line.starts_with("window ")), "{found}");
    files[0] = "symbols".to_owned();
    let found = watched("symbols.c", &files);
    assert!(found.lines().any(|line| line.starts_with("push 1 ")), "{found}");
    let found = watched("streams.c", &files_of_bars(folder.path(), &of_bars(), &bars()));
    assert!(
        found.lines().any(|line| line.starts_with("push_bar 0 ")),
        "{found}"
    );
}
