//! Every f32 through exp, sigmoid, tanh and ELU on every level, against f64 rounded once; prints the bounds.
//!
//! The whole sweep (`cargo sweep`) takes minutes and is ignored by default; the sampled one always runs.

use tickfuse_core::kernels::Kernels;
use tickfuse_core::plain;
use tickfuse_core::simd::Level;

type InPlace = fn(&Kernels, &mut [f32]);
type Exact = fn(f64) -> f64;

const FUNCTIONS: [(&str, InPlace, Exact); 4] = [
    ("exp", Kernels::exp, plain::exp),
    ("sigmoid", Kernels::sigmoid, plain::sigmoid),
    ("tanh", Kernels::tanh, plain::tanh),
    ("elu", Kernels::elu, plain::elu),
];
const LIMIT_ULP: f64 = 2.0;

/// Distance to the true value in units of the last place of the correctly rounded result.
fn ulp_error(found: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if found == rounded || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if rounded.is_infinite() || !found.is_finite() {
        return f64::INFINITY;
    }
    let magnitude = rounded.abs();
    let ulp = f64::from(magnitude.next_up()) - f64::from(magnitude);
    (f64::from(found) - exact).abs() / ulp
}

/// Largest error over the bit patterns `range` in steps of `stride`, and where.
fn worst(level: Level, apply: InPlace, exact: Exact, stride: usize) -> (f64, f32) {
    let kernels = Kernels::for_level(level).unwrap();
    let mut worst = (0.0, 0.0);
    let mut bits = 0_u64;
    while bits <= u64::from(u32::MAX) {
        let x: Vec<f32> = (bits..=u64::from(u32::MAX))
            .step_by(stride)
            .take(4096)
            .map(|b| f32::from_bits(b as u32))
            .collect();
        let mut y = x.clone();
        apply(kernels, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let error = ulp_error(*y, exact(f64::from(*x)));
            if error > worst.0 {
                worst = (error, *x);
            }
        }
        bits += 4096 * stride as u64;
    }
    worst
}

fn sweep(stride: usize) {
    let mut failures: Vec<String> = Vec::new();
    for (name, apply, exact) in FUNCTIONS {
        for level in Level::available() {
            let (error, at) = worst(level, apply, exact, stride);
            let line = format!("{name:8} {:11} worst {error:.4} ulp at {at:e}", level.name());
            println!("{line}");
            if error > LIMIT_ULP {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "more than {LIMIT_ULP} ulp: {failures:#?}");
}

#[test]
fn a_sample_of_all_floats_is_within_two_ulp() {
    sweep(4093);
}

#[test]
#[ignore = "all 2^32 values take minutes; run with `cargo sweep`"]
fn all_floats_are_within_two_ulp() {
    sweep(1);
}
