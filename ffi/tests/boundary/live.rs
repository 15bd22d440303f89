//! Models replaced under running series by `tickfuse_live.h`: every answer has the bits of a stream that saw everything.

use crate::compiler::{RACES, SANITIZERS, compiler, cpp_compilers, has_sanitizers, link};
use crate::library::{has, libraries, successful};
use crate::models;
use std::path::{Path, PathBuf};
use std::process::Command;
use tickfuse_core::bundle::{Net, Schema};
use tickfuse_core::features::FeatureOp;
use tickfuse_core::{Model, OpenOptions};

const N_SWAPS: &str = "10000";
const KINDS: [&str; 2] = ["rows", "bars"];

/// Two models of the same rows and outputs, of other lookbacks and weights; two of bars with other features; one of bars with
/// other outputs.
struct Models {
    rows: [String; 2],
    bars: [String; 2],
    other_outputs: String,
}

fn written(folder: &Path, name: &str, schema: &Schema, seed: u64) -> String {
    let path = folder.join(name);
    std::fs::write(&path, models::file(schema, &models::tensors(schema, seed))).unwrap();
    path.to_str().unwrap().to_owned()
}

pub(crate) fn with_lookback(mut schema: Schema, lookback: usize) -> Schema {
    let Net::Lstm(config) = &mut schema.net else {
        panic!("a stack")
    };
    config.lookback = lookback;
    schema
}

pub(crate) fn of_bars(mut schema: Schema, features: [FeatureOp; 2]) -> Schema {
    schema.inputs.truncate(2);
    schema.bar_interval_ns = Some(60);
    for (input, feature) in schema.inputs.iter_mut().zip(features) {
        input.feature = Some(feature);
    }
    schema
}

fn small_models(folder: &Path) -> Models {
    let (schema, _) = models::small_models().swap_remove(0);
    let longer = with_lookback(schema.clone(), 11);
    let first = of_bars(
        schema.clone(),
        [FeatureOp::LogRet { lag: 2 }, FeatureOp::SmaRatio { n: 4 }],
    );
    let second = of_bars(
        longer.clone(),
        [FeatureOp::HighLowRange, FeatureOp::LogRet { lag: 9 }],
    );
    let mut other_outputs = first.clone();
    other_outputs.outputs[0].labels.swap(0, 1);
    Models {
        rows: [
            written(folder, "rows0", &schema, 3),
            written(folder, "rows1", &longer, 4),
        ],
        bars: [
            written(folder, "bars0", &first, 5),
            written(folder, "bars1", &second, 6),
        ],
        other_outputs: written(folder, "other", &other_outputs, 7),
    }
}

/// What the program prints of a model when it refuses.
fn interface(path: &str) -> String {
    let model = Model::open(Path::new(path), OpenOptions::default()).unwrap();
    let inputs = model.schema().inputs_json().unwrap();
    format!("{} {inputs}\n", model.n_bars().unwrap_or(0))
}

fn built(name: &str, more: &[&str], folder: &Path) -> PathBuf {
    let program = folder.join(format!("live-{name}"));
    let mut command = compiler(name, "-std=c11");
    command.args(more).arg("live.c");
    link(&mut command, &libraries().fixed, &program);
    program
}

/// What the program prints when it has replaced the models of a series.
fn swapped(program: &Path, kind: &str, models: &Models, n_swaps: &str, watch: &str) -> String {
    let paths = match kind {
        "rows" => &models.rows,
        _ => &models.bars,
    };
    let mut command = Command::new(program);
    command.args(["swap", kind]).args(paths).args([n_swaps, watch]);
    let told = successful(&mut command);
    assert!(told.starts_with(&format!("swaps {n_swaps}\n")), "{told}");
    told
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_swaps_leave_memory_mappings_and_descriptors_as_they_were() {
    if !has("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built("cc", &[], folder.path());
    let models = small_models(folder.path());
    for kind in KINDS {
        let told = swapped(&program, kind, &models, N_SWAPS, "flat");
        println!("{kind}: {told}");
        assert_eq!(told.lines().count(), 4, "{told}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_hot_thread_calls_no_system_function_while_models_are_swapped() {
    if !has("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built("cc", &[], folder.path());
    for kind in KINDS {
        swapped(&program, kind, &small_models(folder.path()), "300", "sealed");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_hot_thread_neither_allocates_nor_frees_nor_locks_while_models_are_swapped() {
    if !has("cc") {
        return;
    }
    let names = [
        "malloc",
        "calloc",
        "realloc",
        "posix_memalign",
        "free",
        "pthread_mutex_lock",
    ];
    let wrapped = names.map(|name| format!("-Wl,--wrap={name}"));
    let more: Vec<&str> = wrapped
        .iter()
        .map(String::as_str)
        .chain(["-DWATCHED_HEAP"])
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let program = built("cc", &more, folder.path());
    for kind in KINDS {
        swapped(&program, kind, &small_models(folder.path()), "300", "none");
    }
}

#[test]
#[cfg(unix)]
fn ten_thousand_swaps_race_in_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let models = small_models(folder.path());
    for (name, kind) in ["gcc", "clang"].into_iter().zip(KINDS) {
        if has(name) && has_sanitizers(name, &RACES, folder.path()) {
            let program = built(name, &RACES, folder.path());
            swapped(&program, kind, &models, N_SWAPS, "none");
        }
    }
}

#[test]
#[cfg(unix)]
fn offers_that_are_late_refused_or_never_taken_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let models = small_models(folder.path());
    let watched = has("cc") && has_sanitizers("cc", &SANITIZERS, folder.path());
    if !watched {
        return;
    }
    let program = built("cc", &SANITIZERS, folder.path());
    for (kind, paths) in [("rows", &models.rows), ("bars", &models.bars)] {
        let mut command = Command::new(&program);
        assert_eq!(successful(command.args(["ends", kind]).args(paths)), "ended\n");
    }
    let refused = [&models.rows[0], &models.bars[0], &models.other_outputs];
    let mut command = Command::new(&program);
    let told = successful(command.arg("refuse").args(refused));
    let [of_rows, of_bars] = [refused[0], refused[1]].map(|path| interface(path));
    assert_eq!(told, format!("{of_rows}{of_bars}refused\n"));
    for kind in KINDS {
        swapped(&program, kind, &models, "500", "none");
    }
}

#[test]
#[cfg(unix)]
fn a_row_that_is_overwritten_while_it_is_read_never_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (schema, _) = models::small_models().swap_remove(0);
    let longer = with_lookback(schema.clone(), 100);
    let [first, second] = [
        written(folder.path(), "first", &schema, 3),
        written(folder.path(), "longer", &longer, 4),
    ];
    for name in ["gcc", "clang"].into_iter().filter(|name| has(name)) {
        let program = folder.path().join("lapped");
        let mut command = compiler(name, "-std=c11");
        command.arg("lapped.c");
        link(&mut command, &libraries().fixed, &program);
        let told = successful(Command::new(&program).args([&first, &second]));
        // Stopped before both heads, what the row is, its words, or what hot claims; for each word that hot may be at.
        let width = schema.n_features();
        let torn = format!(" {}", width + 4).repeat(width + 1);
        assert_eq!(told, format!("torn{torn}\n"), "{name}");
    }
}

#[test]
#[cfg(unix)]
fn handles_of_cpp_replace_models_too_and_free_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let models = small_models(folder.path());
    for (name, standard) in cpp_compilers() {
        let program = folder.path().join("live-cpp");
        let mut command = compiler(name, standard);
        if has_sanitizers(name, &SANITIZERS, folder.path()) {
            command.args(SANITIZERS);
        }
        command.arg("live.cpp");
        link(&mut command, &libraries().fixed, &program);
        let mut command = Command::new(&program);
        command.args(&models.rows).arg(&models.other_outputs);
        assert_eq!(successful(&mut command), "swapped\n", "{name} {standard}");
    }
}

#[test]
#[cfg(unix)]
fn the_headers_stand_alone() {
    let c = ["gcc", "clang"].into_iter().filter(|name| has(name));
    let c = c.map(|name| {
        (
            name,
            "-std=c11",
            "c",
            &["tickfuse_live.h", "tickfuse_live_control.h"][..],
        )
    });
    let cpp = cpp_compilers().map(|(name, standard)| (name, standard, "c++", &["tickfuse_live.hpp"][..]));
    for (name, standard, language, headers) in c.chain(cpp) {
        for header in headers {
            let mut command = compiler(name, standard);
            command.args(["-x", language, "-fsyntax-only", "-include", header]);
            successful(command.arg("/dev/null"));
        }
    }
}

#[test]
#[cfg(unix)]
fn the_cpp_header_has_a_form_without_exceptions() {
    for (name, standard) in cpp_compilers() {
        let mut command = compiler(name, standard);
        command.args(["-fno-exceptions", "-fno-rtti", "-x", "c++", "-fsyntax-only"]);
        successful(command.args(["-include", "tickfuse_live.hpp", "/dev/null"]));
    }
}
