//! `tickfuse.hpp` by itself: without a warning, alone and twice, with and without exceptions, in one program.

use crate::compiler::{SANITIZERS, compiler, cpp_compilers, has_sanitizers, link};
use crate::library::{libraries, successful};
use crate::models;
use std::process::Command;

const WITHOUT: [&str; 2] = ["-fno-exceptions", "-fno-rtti"];
const INCLUDED: [&str; 2] = ["-include", "tickfuse.hpp"];

#[test]
#[cfg(unix)]
fn the_cpp_header_stands_alone_and_may_be_included_twice() {
    for (name, standard) in cpp_compilers() {
        for more in [&[][..], &WITHOUT[..]] {
            let mut command = compiler(name, standard);
            command.args(more).args(["-x", "c++", "-fsyntax-only"]);
            command.args(INCLUDED).args(INCLUDED).arg("/dev/null");
            successful(&mut command);
        }
    }
}

#[test]
#[cfg(unix)]
fn files_of_other_standards_without_exceptions_meet_in_one_program() {
    let (schema, bytes) = models::small_models().swap_remove(0);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::write(&model, bytes).unwrap();
    let halves = [
        ("-std=c++17", &[][..]),
        ("-std=c++20", &[]),
        ("-std=c++20", &WITHOUT),
    ];
    for (name, standard) in cpp_compilers().filter(|(_, standard)| *standard == "-std=c++17") {
        let mut whole = compiler(name, standard);
        for (i, (standard, more)) in halves.iter().enumerate() {
            let object = folder.path().join(format!("half{i}.o"));
            let mut command = compiler(name, standard);
            command
                .args(*more)
                .args(["-c", "half.cpp", &format!("-DHALF={i}"), "-o"]);
            successful(command.arg(&object));
            whole.arg(object);
        }
        let program = folder.path().join("whole");
        link(&mut whole, &libraries().shared, &program);
        let n = schema.lookback() - 1;
        let found = successful(Command::new(&program).arg(&model));
        assert_eq!(found, format!("{n} {n} {n}\n"), "{name} {standard}");
    }
}

#[test]
#[cfg(unix)]
fn fast_calls_and_rows_of_the_past_have_the_bits_of_pushes_with_exceptions_and_without() {
    let (schema, bytes) = models::small_models().swap_remove(0);
    let folder = tempfile::tempdir().unwrap();
    let [model, program] = ["model", "fast"].map(|name| folder.path().join(name));
    std::fs::write(&model, bytes).unwrap();
    for (name, standard) in cpp_compilers() {
        let mut kinds = vec![&[][..], &WITHOUT];
        if has_sanitizers(name, &SANITIZERS, folder.path()) {
            kinds.push(&SANITIZERS);
        }
        for more in kinds {
            let mut command = compiler(name, standard);
            command.args(more).arg("fast.cpp");
            link(&mut command, &libraries().fixed, &program);
            let found = successful(Command::new(&program).arg(&model));
            let expected = format!("compared {}\n", 41 - schema.lookback());
            assert_eq!(found, expected, "{name} {standard} {more:?}");
        }
    }
}

#[test]
#[cfg(unix)]
fn the_latency_example_runs_and_names_what_it_timed() {
    let (schema, bytes) = models::small_models().swap_remove(0);
    let folder = tempfile::tempdir().unwrap();
    let [model, program] = ["model", "push_latency"].map(|name| folder.path().join(name));
    std::fs::write(&model, bytes).unwrap();
    let Some((name, standard)) = cpp_compilers().next() else {
        return;
    };
    let mut command = compiler(name, standard);
    command.arg("../../examples/push_latency.cpp");
    link(&mut command, &libraries().fixed, &program);
    let found = successful(Command::new(&program).arg(&model).arg("20"));
    let lines: Vec<&str> = found.lines().collect();
    let size = format!(
        "lookback {}, {} features, 20 rows",
        schema.lookback(),
        schema.n_features()
    );
    assert!(lines[0].ends_with(&size), "{found}");
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["ns", "p50", "p90", "p99", "p99.9", "max"]
    );
    let names = [
        "push after prepare",
        "prepare",
        "push without prepare",
        "reading the clock",
    ];
    for (line, name) in lines[2..].iter().zip(names) {
        let figures = line.strip_prefix(name).expect("the name of what was timed");
        let ascending = figures.split_whitespace().map(|n| n.parse::<u64>().unwrap());
        assert!(ascending.clone().is_sorted() && ascending.count() == 5, "{found}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_loop_that_rust_times_beside_its_own_is_built_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for (name, standard) in cpp_compilers() {
        let mut command = compiler(name, standard);
        command.args(["-shared", "-fPIC", "../../examples/push_overhead.cpp"]);
        link(
            &mut command,
            &libraries().shared,
            &folder.path().join("push_overhead.so"),
        );
    }
}
