//! The libraries as cargo builds them, and the tools of the system.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
#[cfg(target_os = "linux")]
use tickfuse::ABI_VERSION;

/// The built libraries.
#[derive(Debug)]
pub(crate) struct Libraries {
    pub(crate) fixed: PathBuf,
    pub(crate) shared: PathBuf,
}

/// Builds with the profile and the target folder of this test program, where nearly all is built already.
pub(crate) fn libraries() -> &'static Libraries {
    static BUILT: OnceLock<Libraries> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (target, profile) = target_and_profile();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        cargo
            .args([
                "build",
                "--package",
                "tickfuse-ffi",
                "--lib",
                "--message-format",
                "json",
            ])
            .args(["--profile", &profile, "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = from_messages(&successful(&mut cargo));
        Libraries {
            shared: named(&built.shared),
            ..built
        }
    })
}

/// The shared library under the name with which programs ask for it, beside the one under which they are linked.
#[cfg(target_os = "linux")]
fn named(shared: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lib");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["libtickfuse.so", &format!("libtickfuse.so.{}", ABI_VERSION >> 16)] {
        let link = folder.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(shared, &link).unwrap();
    }
    folder.join("libtickfuse.so")
}

#[cfg(not(target_os = "linux"))]
fn named(shared: &Path) -> PathBuf {
    shared.to_owned()
}

/// From `<target>[/<triple>]/<profile>/deps/<this program>`.
pub(crate) fn target_and_profile() -> (PathBuf, String) {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().and_then(Path::parent).unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    (folder.parent().unwrap().to_owned(), profile.to_owned())
}

/// The files that cargo's message about the target `tickfuse` names.
fn from_messages(messages: &str) -> Libraries {
    let artifact = messages
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|m| m["reason"] == "compiler-artifact" && m["target"]["name"] == "tickfuse")
        .expect("cargo names the artifact `tickfuse`");
    let files: Vec<PathBuf> = serde_json::from_value(artifact["filenames"].clone()).unwrap();
    let with = |extensions: &[&str]| {
        let wanted = |file: &&PathBuf| {
            let extension = file.extension().and_then(|e| e.to_str());
            extension.is_some_and(|e| extensions.contains(&e))
        };
        files
            .iter()
            .find(wanted)
            .unwrap_or_else(|| panic!("{extensions:?} in {files:?}"))
            .clone()
    };
    Libraries {
        fixed: with(&["a", "lib"]),
        shared: with(&["so", "dylib", "dll"]),
    }
}

/// Standard output of a command that must succeed.
pub(crate) fn successful(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let complaint = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{complaint}");
    String::from_utf8(stdout).unwrap()
}

/// Whether the system has the tool. Says so where not, and fails where the environment has `TICKFUSE_ALL_TOOLS`.
pub(crate) fn has(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success());
    let may_lack = std::env::var_os("TICKFUSE_ALL_TOOLS").is_none();
    assert!(found || may_lack, "`{tool} --version` fails");
    if !found {
        eprintln!("SKIPPED: `{tool} --version` fails, so this machine cannot run the test");
    }
    found
}
