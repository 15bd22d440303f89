//! Activations over 4,096 floats, and one step of the recurrence by width, on every level.
//!
//! An activation works in place, so each round first copies its input: the row `copy` tells what that costs.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use tickfuse_bench::{Case, Prepared, assert_close};
use tickfuse_core::bundle::Precision;
use tickfuse_core::kernels::Kernels;
use tickfuse_core::{Level, plain};

const N: usize = 4096;
const WIDTHS: [usize; 6] = [16, 64, 100, 128, 200, 256];

type InPlace = fn(&Kernels, &mut [f32]);
type Exact = fn(&[f64]) -> Vec<f64>;

fn each(x: &[f64], f: fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|v| f(*v)).collect()
}

const FUNCTIONS: [(&str, InPlace, Exact); 6] = [
    ("exp", Kernels::exp, |x| each(x, plain::exp)),
    ("sigmoid", Kernels::sigmoid, |x| each(x, plain::sigmoid)),
    ("tanh", Kernels::tanh, |x| each(x, plain::tanh)),
    ("elu", Kernels::elu, |x| each(x, plain::elu)),
    ("relu", Kernels::relu, |x| each(x, plain::relu)),
    ("softmax", Kernels::softmax, plain::softmax),
];

fn activations(criterion: &mut Criterion) {
    let x: Vec<f32> = (0..N).map(|i| (i as f32 - 2048.0) / 256.0).collect();
    let wide: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    let mut y = x.clone();
    let mut group = criterion.benchmark_group("activation");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("copy", |b| {
        b.iter(|| black_box(&mut y).copy_from_slice(black_box(&x)));
    });
    for (name, apply, exact) in FUNCTIONS {
        let expected = exact(&wide);
        let largest = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for level in Level::available() {
            let kernels = Kernels::for_level(level).expect("the level is available");
            y.copy_from_slice(&x);
            apply(kernels, &mut y);
            let what = format!("{name}/{}/f32", level.name());
            assert_close(&what, &y, &expected, largest * 1e-6);
            group.bench_function(what, |b| {
                b.iter(|| {
                    y.copy_from_slice(black_box(&x));
                    apply(kernels, black_box(&mut y));
                });
            });
        }
    }
    group.finish();
}

/// Whole windows of nets that are almost nothing but the recurrence; the throughput counts steps.
fn recurrence(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recurrence");
    for n_hidden in WIDTHS {
        for precision in Precision::ALL {
            let prepared = Prepared::new(Case::recurrence(n_hidden), precision);
            let (window, mut out) = (prepared.batch(1), [0.0]);
            group.throughput(Throughput::Elements(prepared.case.lookback as u64));
            for level in Level::available() {
                let mut session = prepared.session(level, 1);
                let name = prepared.name(level);
                let name = name.replace("recurrence", &format!("H{n_hidden}"));
                group.bench_function(name, |b| {
                    b.iter(|| session.run(black_box(&window), black_box(&mut out)));
                });
            }
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    activations(&mut criterion);
    recurrence(&mut criterion);
    criterion.final_summary();
}
