//! Streams under Valgrind: no byte read before it was written, none beside its block, none lost.

use crate::compiler;
use crate::library::{has, successful};
use crate::models;
use crate::streams::{bars, files_of_bars, files_of_rows, of_bars, rows};
use std::process::Command;

/// What the program of streams prints under Valgrind, which must find nothing.
fn watched(arguments: &[String]) -> String {
    let mut programs = compiler::told_alike("streams.c");
    let program = programs.find(|program| program.path.ends_with("streams.c-static"));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
    command.arg("--errors-for-leak-kinds=definite,indirect");
    successful(command.arg(&program.unwrap().path).args(arguments))
}

#[test]
#[cfg(target_os = "linux")]
fn streams_are_clean_under_valgrind() {
    if !has("valgrind") || !has("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (schema, model) = models::small_models().swap_remove(0);
    let found = watched(&files_of_rows(folder.path(), &model, &rows(schema.n_features())));
    assert!(found.lines().any(|line| line.starts_with("push 1 ")), "{found}");
    let found = watched(&files_of_bars(folder.path(), &of_bars(), &bars()));
    assert!(
        found.lines().any(|line| line.starts_with("push_bar 0 ")),
        "{found}"
    );
}
