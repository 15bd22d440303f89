//! Opening arbitrary bytes ends in a model or an error. Seeds: `fixtures/hostile`.
//!
//! With nightly: `cargo fuzz run open_bundle corpus ../../fixtures/hostile`. With stable, without sanitizers:
//!
//! ```text
//! RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
//!   cargo build --release --target x86_64-unknown-linux-gnu
//! mkdir -p corpus && target/x86_64-unknown-linux-gnu/release/open_bundle corpus ../../fixtures/hostile
//! ```
//!
//! `--target` keeps the flags away from build scripts, which have no fuzzer to link with.
//!
//! The hash is not checked, so that changed bytes reach every later step.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickfuse_core::{Model, OpenOptions};

fuzz_target!(|file: &[u8]| {
    let options = OpenOptions {
        verify_hash: false,
        ..OpenOptions::default()
    };
    let Ok(model) = Model::from_bytes(file, options) else {
        return;
    };
    let bundle = model.bundle();
    let mut at = bundle.tensors().first().map_or(file.len(), |t| t.range.start);
    for tensor in bundle.tensors() {
        assert_eq!(tensor.range.start, at);
        at = tensor.range.end;
    }
    assert_eq!(at, file.len());
    assert_eq!(
        bundle.golden().output.len(),
        bundle.golden().n_windows * bundle.schema().n_outputs()
    );
});
