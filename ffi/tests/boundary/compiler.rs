//! Compiles programs of `tests/c` with the system's compilers, and reads what they print.

use crate::library::{Libraries, has, libraries, successful};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const WARNINGS: [&str; 7] = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wundef",
    "-pedantic",
    "-Werror",
];

/// A compiler, told the standard, all warnings and where the headers are.
pub(crate) fn compiler(name: &str, standard: &str) -> Command {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(name);
    command
        .args([standard, "-O1"])
        .args(WARNINGS)
        .arg("-I")
        .arg(package.join("include"))
        .current_dir(package.join("tests/c"));
    command
}

/// Adds a library, what it needs, and the program's name.
pub(crate) fn link(command: &mut Command, library: &Path, program: &Path) {
    command
        .arg(library)
        .arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display()))
        .arg("-o")
        .arg(program);
    if cfg!(target_os = "linux") {
        command.args(["-pthread", "-ldl", "-lm"]);
    }
    successful(command);
}

pub(crate) const SANITIZERS: [&str; 3] = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];

/// Data races. The library itself is not instrumented: only what the program's own threads share is watched.
pub(crate) const RACES: [&str; 3] = ["-fsanitize=thread", "-fno-sanitize-recover=all", "-g"];

/// Whether the compiler is there and brings these sanitizers; says so where not.
pub(crate) fn has_sanitizers(name: &str, sanitizers: &[&str], folder: &Path) -> bool {
    let mut command = Command::new(name);
    command
        .args(sanitizers)
        .args(["-x", "c", "-", "-o"])
        .arg(folder.join("probe"));
    let found = with_input(&mut command, "int main(void) { return 0; }");
    if !found {
        eprintln!("SKIPPED: `{name} {}` fails", sanitizers[0]);
    }
    found
}

/// Whether a command succeeds that is given a text.
fn with_input(command: &mut Command, text: &str) -> bool {
    let started = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
    started.is_ok_and(|mut child| {
        let written = child
            .stdin
            .take()
            .is_some_and(|mut to| to.write_all(text.as_bytes()).is_ok());
        child.wait().is_ok_and(|status| written && status.success())
    })
}

/// A source as a program of the static library, one of the shared library and one that watches over memory.
pub(crate) fn programs(name: &str, standard: &str, source: &str, folder: &Path) -> Vec<PathBuf> {
    let Libraries { fixed, shared } = libraries();
    let mut kinds: Vec<(&str, &Path, &[&str])> = vec![("static", fixed, &[]), ("shared", shared, &[])];
    if has_sanitizers(name, &SANITIZERS, folder) {
        kinds.push(("watched", fixed, &SANITIZERS));
    }
    let made = |(kind, library, more): (&str, &Path, &[&str])| {
        let program = folder.join(format!("{}-{kind}", source.replace('/', "-")));
        let mut command = compiler(name, standard);
        command.args(more).arg(source);
        link(&mut command, library, &program);
        program
    };
    kinds.into_iter().map(made).collect()
}

/// A program that prints what it was told.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    source: &'static str,
}

impl Program {
    /// Expects these lines to have been printed. Only C prints the layout of structures too.
    pub(crate) fn check(&self, found: &str, expected: &[String]) {
        let counts = |line: &&str| self.source != HANDLES || !line.starts_with("layout ");
        let expected: Vec<&str> = expected.iter().map(String::as_str).filter(counts).collect();
        assert_eq!(
            found.lines().collect::<Vec<_>>(),
            expected,
            "{}",
            self.path.display()
        );
    }
}

/// Does through `tickfuse.hpp` what the programs in C do.
const HANDLES: &str = "handles.cpp";

/// The programs of `source`, which is in C, and those in C++ that do the same.
pub(crate) fn told_alike(source: &str) -> impl Iterator<Item = &'static Program> {
    static ALL: OnceLock<Vec<Program>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let c = ["streams.c", "contexts.c", "memory.c", "series.c", "symbols.c"]
            .into_iter()
            .filter(|_| has("cc"));
        let c = c.flat_map(|source| {
            let paths = programs("cc", "-std=c11", source, folder);
            paths.into_iter().map(move |path| Program { path, source })
        });
        let cpp = handles(folder).into_iter().map(|path| Program {
            path,
            source: HANDLES,
        });
        c.chain(cpp).collect()
    });
    all.iter()
        .filter(move |program| [source, HANDLES].contains(&program.source))
}

/// Compilers of C++ with the standards that `tickfuse.hpp` is for.
pub(crate) fn cpp_compilers() -> impl Iterator<Item = (&'static str, &'static str)> {
    let found = ["g++", "clang++"].into_iter().filter(|name| has(name));
    found.flat_map(|name| [(name, "-std=c++17"), (name, "-std=c++20")])
}

fn handles(folder: &Path) -> Vec<PathBuf> {
    let watched = has("g++") && has_sanitizers("g++", &SANITIZERS, folder);
    let last = watched.then_some(("g++", "-std=c++17", &SANITIZERS[..], &libraries().fixed));
    let others = cpp_compilers().map(|(name, standard)| (name, standard, &[][..], &libraries().shared));
    let made = |(i, (name, standard, more, library)): (usize, (&str, &str, &[&str], &PathBuf))| {
        let program = folder.join(format!("handles{i}"));
        let mut command = compiler(name, standard);
        command.args(more).arg(HANDLES);
        link(&mut command, library, &program);
        program
    };
    others.chain(last).enumerate().map(made).collect()
}

pub(crate) fn digits(out: &[f32]) -> String {
    out.iter().map(|v| format!(" {:08x}", v.to_bits())).collect()
}

/// A line of `print_answer`.
pub(crate) fn answer(name: &str, flags: u32, out: &[f32]) -> String {
    format!("{name} {flags}{}", digits(out))
}
