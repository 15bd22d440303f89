//! A hundred thousand pushes from C between two marks: no system call, no allocation and no lock between them.

use crate::compiler::{compiler, link};
use crate::library::{has, libraries, successful};
use crate::models;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What ends the program where it is called between the marks.
const WATCHED: [&str; 7] = [
    "-DWATCHED_HEAP",
    "-Wl,--wrap=malloc",
    "-Wl,--wrap=calloc",
    "-Wl,--wrap=realloc",
    "-Wl,--wrap=posix_memalign",
    "-Wl,--wrap=free",
    "-Wl,--wrap=pthread_mutex_lock",
];

fn built(folder: &Path) -> PathBuf {
    let program = folder.join("quiet");
    let mut command = compiler("cc", "-std=gnu11");
    command.args(WATCHED).arg("quiet.c");
    link(&mut command, &libraries().fixed, &program);
    program
}

/// Whether this system lets a program be watched.
fn may_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "true"]).stderr(Stdio::null());
    let may = command.status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("SKIPPED: `strace true` fails");
    }
    may
}

/// The lines of a trace from that which writes `first` to that which writes `last`.
fn between<'a>(trace: &'a str, first: &str, last: &str) -> Vec<&'a str> {
    let begin = trace.lines().skip_while(|line| !line.contains(first));
    let n = begin.clone().position(|line| line.contains(last));
    begin.take(n.expect("the last mark") + 1).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_hundred_thousand_pushes_from_c_call_no_system_function_and_allocate_nothing() {
    if !has("cc") || !has("strace") || !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(folder.path());
    for (i, (schema, bytes)) in models::small_models().into_iter().enumerate() {
        let [model, calls] = ["model", "calls"].map(|name| folder.path().join(format!("{name}{i}")));
        std::fs::write(&model, bytes).unwrap();
        let mut command = Command::new("strace");
        let told = successful(command.args(["-f", "-o"]).arg(&calls).arg(&program).arg(&model));
        let n = 100_001 - schema.lookback();
        assert_eq!(told, format!("{n} answers of 100000 rows\n"));
        let trace = std::fs::read_to_string(&calls).unwrap();
        let found = between(&trace, r#""begin\n""#, r#""end\n""#);
        assert_eq!(found.len(), 2, "{found:#?}");
    }
}
