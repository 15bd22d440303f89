//! Whole windows: one at a time, and in batches of 6 and 60, on every level in every precision.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use tickfuse_bench::{Case, Prepared};
use tickfuse_core::Level;
use tickfuse_core::bundle::Precision;

fn prepared(cases: &[Case]) -> Vec<Prepared> {
    let each = |case: &Case| Precision::ALL.map(|p| Prepared::new(*case, p));
    cases.iter().flat_map(each).collect()
}

fn window(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    for prepared in prepared(&Case::ALL) {
        let (case, precision) = (prepared.case.name, prepared.precision.name());
        eprintln!("{case} {precision}: file {}", prepared.hash);
        let window = prepared.batch(1);
        for level in Level::available() {
            let mut session = prepared.session(level, 1);
            let mut out = vec![0.0; session.model().schema().n_outputs()];
            group.bench_function(prepared.name(level), |b| {
                b.iter(|| session.run(black_box(&window), black_box(&mut out)));
            });
        }
    }
    group.finish();
}

/// The throughput counts windows.
fn batch(criterion: &mut Criterion) {
    let all = prepared(&[Case::M2, Case::LSTM_A]);
    for n in [6, 60] {
        let mut group = criterion.benchmark_group(format!("batch{n}"));
        group.throughput(Throughput::Elements(n as u64));
        for prepared in &all {
            let (windows, mut out) = (prepared.batch(n), vec![0.0; n]);
            for level in Level::available() {
                let mut session = prepared.session(level, n);
                group.bench_function(prepared.name(level), |b| {
                    b.iter(|| session.run_batch(black_box(&windows), n, black_box(&mut out)));
                });
            }
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    window(&mut criterion);
    batch(&mut criterion);
    criterion.final_summary();
}
