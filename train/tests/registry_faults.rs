//! Writers killed, and disks failing, at every step: readers see the old state or the new one, nothing is corrupt, and
//! the next writer works on.
//!
//! Each case runs a writer in a child process with `TICKFUSE_FAULT` counting up through its steps until it comes through
//! unharmed. No list of steps is kept here; the last test checks that every kind of step was met.
#![cfg(all(debug_assertions, unix))]

mod registry_common;

use registry_common::{MODEL_NAME as M, Root, bundle, publish};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use tickfuse_train::durable::fault::Step;
use tickfuse_train::registry::{BEST, PREVIOUS, Registry};

const SIGABRT: i32 = 6;
const REFUSED: i32 = 3;
const NEW: u32 = 9;

/// What the child does: publishes [`bundle`] [`NEW`], or moves `best`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Publish,
    Promote,
    Rollback,
}

/// A state and what is done to it.
struct Case {
    name: &'static str,
    prepare: fn(&Registry),
    job: Job,
}

const CASES: [Case; 6] = [
    Case {
        name: "first publication",
        prepare: |_| {},
        job: Job::Publish,
    },
    Case {
        name: "later publication",
        prepare: |r| promoted(r, 2),
        job: Job::Publish,
    },
    Case {
        name: "first promotion",
        prepare: |r| drop(publish(r, 1)),
        job: Job::Promote,
    },
    Case {
        name: "later promotion",
        prepare: |r| {
            promoted(r, 2);
            publish(r, 3);
        },
        job: Job::Promote,
    },
    Case {
        name: "rollback",
        prepare: |r| promoted(r, 3),
        job: Job::Rollback,
    },
    Case {
        name: "rollback to the first",
        prepare: |r| promoted(r, 2),
        job: Job::Rollback,
    },
];

fn promoted(registry: &Registry, n: u32) {
    for i in 1..=n {
        publish(registry, i);
        registry.promote(M, "latest", BEST, "").unwrap();
    }
}

/// Not a test of its own: the writer that the others kill.
#[test]
#[ignore = "run by the other tests in a process of its own"]
fn child() {
    let Some(root) = std::env::var_os("TICKFUSE_TEST_ROOT") else {
        return;
    };
    let registry = Registry::open(root, "child");
    let done = match std::env::var("TICKFUSE_TEST_JOB").unwrap().as_str() {
        "Publish" => registry
            .publish(
                M,
                &tickfuse_train::registry::Draft {
                    bundle: &bundle(NEW),
                    ..Default::default()
                },
            )
            .map(drop),
        "Promote" => registry.promote(M, "latest", BEST, "").map(drop),
        _ => registry.rollback(M, BEST, "").map(drop),
    };
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(REFUSED);
    }
}

fn run_child(root: &Path, job: Job, fault: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env("TICKFUSE_TEST_ROOT", root)
        .env("TICKFUSE_TEST_JOB", format!("{job:?}"))
        .env("TICKFUSE_FAULT", fault)
        .output()
        .unwrap()
}

/// Whether the writer came through; otherwise it must have met the fault, and the step's name is kept.
fn came_through(output: &Output, kind: &str, met: &mut BTreeSet<String>) -> bool {
    if output.status.success() {
        return true;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let as_planned = match kind {
        "kill" => output.status.signal() == Some(SIGABRT),
        _ => output.status.code() == Some(REFUSED),
    };
    assert!(as_planned, "{:?}: {text}", output.status);
    let step = text
        .lines()
        .find_map(|l| l.split_once("TICKFUSE_FAULT step "))
        .unwrap();
    met.insert(step.1.split_once(": ").unwrap().1.to_owned());
    false
}

/// What readers see: the version number behind each alias, and the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    best: Option<u32>,
    previous: Option<u32>,
    latest: Option<u32>,
}

/// Reads as serving does; every model file must be whole and the version's own.
fn seen(registry: &Registry) -> Seen {
    let number = |selector: &str| {
        let found = registry.resolve(M, selector).ok()?;
        let bytes = std::fs::read(found.model()).unwrap();
        let sha256 = tickfuse_train::registry::sha256_hex(&bytes);
        assert_eq!(found.version.hash8(), &sha256[..8]);
        Some(found.version.number())
    };
    Seen {
        best: number(BEST),
        previous: number(PREVIOUS),
        latest: number("latest"),
    }
}

fn assert_old_or_new(now: &Seen, old: &Seen, new: &Seen, what: &str) {
    assert!(now.best == old.best || now.best == new.best, "{what}: {now:?}");
    assert!(
        now.previous == old.previous || now.previous == new.previous,
        "{what}: {now:?}"
    );
    assert!(
        now.latest == old.latest || now.latest == new.latest,
        "{what}: {now:?}"
    );
    assert!(
        now.best != old.best || now.previous == old.previous,
        "{what}: `previous` went first: {now:?}"
    );
}

fn assert_sound(registry: &Registry, what: &str) {
    if registry.names().unwrap().is_empty() {
        return;
    }
    let report = registry.verify(M, "all").unwrap();
    assert!(report.is_ok(), "{what}: {report:?}");
}

/// The next writers settle what is left, move nothing that readers saw, and leave nothing unfinished.
fn assert_next_writers_work(registry: &Registry, now: &Seen, what: &str) {
    let published = publish(registry, 50);
    assert_eq!(seen(registry).best, now.best, "{what}: recovery moved `best`");
    registry.promote(M, "latest", BEST, "").unwrap();
    let after = seen(registry);
    assert_eq!(after.best, Some(published.version.number()), "{what}");
    assert_eq!(after.previous, now.best, "{what}");
    let report = registry.verify(M, "all").unwrap();
    assert!(report.is_ok() && report.notes.is_empty(), "{what}: {report:?}");
}

/// Old and new state of a case.
fn both_states(case: &Case) -> (Seen, Seen) {
    let root = Root::new();
    (case.prepare)(&root.registry());
    let old = seen(&root.registry());
    let output = run_child(root.path(), case.job, "kill:1000000");
    assert!(output.status.success(), "{}: {output:?}", case.name);
    (old, seen(&root.registry()))
}

/// Strikes at every step of a case; returns the kinds of steps met.
fn sweep(case: &Case, kind: &str) -> BTreeSet<String> {
    let (old, new) = both_states(case);
    assert_ne!(old, new, "{}", case.name);
    let (mut met, mut ends) = (BTreeSet::new(), Vec::new());
    for n in 1.. {
        let what = format!("{}, {kind}:{n}", case.name);
        let root = Root::new();
        let registry = root.registry();
        (case.prepare)(&registry);
        let output = run_child(root.path(), case.job, &format!("{kind}:{n}"));
        let through = came_through(&output, kind, &mut met);
        let now = seen(&registry);
        assert_old_or_new(&now, &old, &new, &what);
        assert!(!through || now == new, "{what}: {now:?}");
        assert_sound(&registry, &what);
        assert_next_writers_work(&registry, &now, &what);
        ends.push(now);
        if through {
            break;
        }
    }
    assert!(ends.contains(&old) && ends.len() > 5, "{}: {ends:?}", case.name);
    met
}

/// Kills a promotion at every step and the writer that recovers from it at every step of that.
fn sweep_recovery() -> BTreeSet<String> {
    let (mut met, mut ignored) = (BTreeSet::new(), BTreeSet::new());
    let case = &CASES[3];
    for first in 1.. {
        let origin = Root::new();
        (case.prepare)(&origin.registry());
        let output = run_child(origin.path(), case.job, &format!("kill:{first}"));
        if came_through(&output, "kill", &mut ignored) {
            break;
        }
        let old = seen(&origin.registry());
        for second in 1.. {
            let what = format!("killed at {first}, recovery killed at {second}");
            let root = Root::new();
            copy(origin.path(), root.path());
            let registry = root.registry();
            let output = run_child(root.path(), Job::Publish, &format!("kill:{second}"));
            let through = came_through(&output, "kill", &mut met);
            let now = seen(&registry);
            assert_eq!(now.best, old.best, "{what}: recovery moved `best`");
            assert_sound(&registry, &what);
            assert_next_writers_work(&registry, &now, &what);
            if through {
                break;
            }
        }
    }
    met
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (source, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        let found = source.symlink_metadata().unwrap();
        if found.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source).unwrap(), &target).unwrap();
        } else if found.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&source, &target);
            std::fs::set_permissions(&target, found.permissions()).unwrap();
        } else {
            std::fs::copy(&source, &target).unwrap();
        }
    }
}

#[test]
fn a_writer_killed_at_any_step_leaves_the_old_or_the_new_state() {
    let mut met = sweep_recovery();
    for case in &CASES {
        met.extend(sweep(case, "kill"));
    }
    let all: BTreeSet<String> = Step::ALL.iter().map(|step| format!("{step:?}")).collect();
    assert_eq!(met, all, "kinds of steps the sweeps met, and all there are");
}

#[test]
fn a_disk_that_fails_at_any_step_leaves_the_old_or_the_new_state() {
    for case in &CASES {
        sweep(case, "fail");
    }
}
