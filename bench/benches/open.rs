//! Opening a mapped model file of the shape M2, with and without its hash and its golden windows.
//!
//! Before anything is timed, one opened model answers as the oracle does, and the private memory that opening one
//! costs is compared with the file: weights stay the file's own pages.

use criterion::Criterion;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tickfuse_bench::{Case, N_WINDOWS, Prepared, memory};
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Level, Model, OpenOptions, Session};

/// What may be checked on opening; the first is what a product does.
const CHECKS: [(&str, bool, bool); 4] = [
    ("hash_golden", true, true),
    ("hash", true, false),
    ("golden", false, true),
    ("unchecked", false, false),
];

fn open(path: &Path, verify_hash: bool, verify_golden: bool) -> Arc<Model> {
    let options = OpenOptions {
        level: None,
        verify_hash,
        verify_golden,
    };
    Model::open(path, options).expect("the file opens")
}

/// Opens and keeps one model; growth must stay below a tenth of the file.
///
/// The golden windows need a session's buffers for a moment, which the allocator may keep: they are left out here.
fn assert_nothing_is_copied(prepared: &Prepared, path: &Path) {
    let Some(before) = memory::anonymous() else {
        eprintln!("private memory: not measured, this system does not tell");
        return;
    };
    let model = open(path, true, false);
    let after = memory::anonymous().expect("it was told before");
    let (grown, file) = (after.saturating_sub(before), prepared.file.len() as u64);
    eprintln!(
        "{} {}: file {} of {file} bytes, private memory grew by {grown} bytes",
        prepared.case.name,
        prepared.precision.name(),
        prepared.hash,
    );
    assert!(model.is_mapped());
    assert!(
        grown < file / 10,
        "expected less than a tenth of {file} bytes, found {grown}"
    );
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let level = Level::detect();
    let mut group = criterion.benchmark_group("open");
    for precision in Precision::ALL {
        let prepared = Prepared::new(Case::M2, precision);
        let path = folder.path().join(precision.name());
        std::fs::write(&path, &prepared.file).expect("the file is written");
        assert_nothing_is_copied(&prepared, &path);
        prepared.check(&mut Session::new(&open(&path, true, true), N_WINDOWS), N_WINDOWS);
        for (checks, verify_hash, verify_golden) in CHECKS {
            group.bench_function(format!("{}/{checks}", prepared.name(level)), |b| {
                b.iter(|| open(black_box(&path), verify_hash, verify_golden));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
