//! Compiles programs of `tests/c` with the system's compilers, and reads what they print.

use crate::library::{Libraries, libraries, successful};
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The sources as a program of the static library and one of the shared library.
pub(crate) fn programs(name: &str, standard: &str, sources: &[&str], folder: &Path) -> [PathBuf; 2] {
    let Libraries { fixed, shared } = libraries();
    [("static", fixed), ("shared", shared)].map(|(kind, library)| {
        let program = folder.join(kind);
        let mut command = compiler(name, standard);
        command.args(sources);
        link(&mut command, library, &program);
        program
    })
}

pub(crate) fn digits(out: &[f32]) -> String {
    out.iter().map(|v| format!(" {:08x}", v.to_bits())).collect()
}

/// A line of `print_answer`.
pub(crate) fn answer(name: &str, flags: u32, out: &[f32]) -> String {
    format!("{name} {flags}{}", digits(out))
}
