//! What `install.sh` puts into a folder serves programs in C11 and C++17 that find it through CMake or pkg-config, over either
//! library, also where the folder was moved.
#![cfg(target_os = "linux")]

use crate::consumers::{Case, cases};
use crate::library::{has, successful, target_and_profile};
use std::path::{Path, PathBuf};
use std::process::Command;
use tickfuse::ABI_VERSION;

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// An installed tree that was moved after it had been made.
fn installed(folder: &Path) -> PathBuf {
    let (target, profile) = target_and_profile();
    let (first, moved) = (folder.join("first"), folder.join("moved"));
    let mut install = Command::new("sh");
    install
        .arg(Path::new(PACKAGE).join("install.sh"))
        .arg(&first)
        .arg(profile);
    successful(install.env("CARGO_TARGET_DIR", target));
    std::fs::rename(first, &moved).unwrap();
    moved
}

/// The version that the packages bear.
fn version() -> String {
    format!("{}.{}", ABI_VERSION >> 16, ABI_VERSION & 0xffff)
}

fn check(cases: &[Case], program: &Path, is_cpp: bool) {
    for case in cases {
        let expected = match is_cpp {
            true => case.expected_from_cpp(),
            false => case.expected_from_c(),
        };
        assert_eq!(case.run(program), expected, "{}", program.display());
    }
}

/// The libraries that a program asks for.
fn needed(program: &Path) -> String {
    successful(Command::new("readelf").arg("--dynamic").arg(program))
}

fn cmake_consumers(prefix: &Path, folder: &Path, cases: &[Case]) {
    let built = folder.join("cmake");
    let mut configure = Command::new("cmake");
    configure
        .args(["-G", "Ninja", "-S"])
        .arg(Path::new(PACKAGE).join("tests/delivery"));
    configure
        .arg("-B")
        .arg(&built)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    successful(&mut configure);
    successful(Command::new("cmake").arg("--build").arg(&built));
    for name in ["c-shared", "c-static", "cpp-shared", "cpp-static"] {
        let program = built.join(name);
        assert_eq!(
            needed(&program).contains("libtickfuse.so.1"),
            name.ends_with("shared"),
            "{name}"
        );
        check(cases, &program, name.starts_with("cpp"));
    }
}

/// Whether `find_package` of this version finds the package.
fn is_found(prefix: &Path, folder: &Path, wanted: &str) -> bool {
    let project = folder.join(format!("asks{wanted}"));
    std::fs::create_dir(&project).unwrap();
    let text = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(asks C)\nfind_package(tickfuse {wanted} REQUIRED)\n"
    );
    std::fs::write(project.join("CMakeLists.txt"), text).unwrap();
    let mut configure = Command::new("cmake");
    configure
        .args(["-G", "Ninja", "-S"])
        .arg(&project)
        .arg("-B")
        .arg(project.join("built"));
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    configure.output().unwrap().status.success()
}

/// What pkg-config of the installed tree says.
fn pkg_config(prefix: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("pkg-config");
    command
        .args(arguments)
        .arg("tickfuse")
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    successful(&mut command)
}

/// Compiles as a shell would: `cc SOURCE $(pkg-config ...) MORE -o PROGRAM`.
fn compiled(
    prefix: &Path,
    (compiler, standard, source): (&str, &str, &str),
    is_static: bool,
    program: &Path,
) {
    let (asked, more) = match is_static {
        true => ("--static --cflags --libs", "-static".to_owned()),
        false => (
            "--cflags --libs",
            format!("-Wl,-rpath,'{}/lib' -pthread", prefix.display()),
        ),
    };
    let line = format!(
        "{compiler} {standard} '{source}' $(pkg-config {asked} tickfuse) {more} -o '{}'",
        program.display()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &line])
        .current_dir(Path::new(PACKAGE).join("tests/c"));
    successful(shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
}

fn pkg_config_consumers(prefix: &Path, folder: &Path, cases: &[Case]) {
    assert_eq!(pkg_config(prefix, &["--modversion"]).trim(), version());
    let kinds = [
        ("cc", "-std=c11", "consumer.c"),
        ("c++", "-std=c++17", "consumer.cpp"),
    ];
    for (kind, is_static) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let program = folder.join(format!("{}-{is_static}", kind.2));
        compiled(prefix, kind, is_static, &program);
        assert_eq!(needed(&program).contains("libtickfuse.so.1"), !is_static);
        check(cases, &program, kind.0 == "c++");
    }
}

#[test]
fn programs_find_a_moved_installation_through_cmake_and_pkg_config() {
    let tools = ["cc", "c++", "cmake", "ninja", "pkg-config", "readelf", "strip"];
    if !tools.into_iter().all(has) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (prefix, cases) = (installed(folder.path()), cases(folder.path()));
    cmake_consumers(&prefix, folder.path(), &cases);
    pkg_config_consumers(&prefix, folder.path(), &cases);
    let (major, minor) = (ABI_VERSION >> 16, ABI_VERSION & 0xffff);
    for (wanted, expected) in [
        (format!("{major}"), true),
        (format!("{major}.{minor}"), true),
        (format!("{major}.{}", minor + 1), false),
        (format!("{}.0", major + 1), false),
        (format!("{}.9", major - 1), false),
    ] {
        assert_eq!(is_found(&prefix, folder.path(), &wanted), expected, "{wanted}");
    }
}
