//! The LSTM cell of every level against the oracle: ordinary gates, saturated ones, NaN and infinities.

use super::agreement::{on_every_level, vector};
use super::{Kernels, Recurrence};
use crate::plain;
use crate::simd::{LANES, Lane};
use alloc::vec::Vec;

/// One step of sixteen units without recurrent weights: `(c', h)`.
fn cell(kernels: &Kernels, gates: [Lane; 4], c: Lane) -> (Lane, Lane) {
    let (mut c, mut h, mut operand) = ([c], [Lane::ZERO], [Lane::ZERO]);
    let state = Recurrence {
        gates: &[gates],
        c: &mut c,
        h: &mut h,
        sequence: &mut [],
        raw: true,
        reverse: false,
        operand: &mut operand,
        n_batch: 1,
    };
    kernels.recur_f32(&[[Lane::ZERO; 4]], 1, state);
    (c[0], h[0])
}

/// The same in f64, unit by unit.
fn exact(gates: &[Lane; 4], c: &Lane, unit: usize) -> (f64, f64) {
    let [i, f, g, o] = gates.map(|gate| f64::from(gate.0[unit]));
    let kept = plain::sigmoid(f) * f64::from(c.0[unit]);
    let next = kept + plain::sigmoid(i) * plain::tanh(g);
    (next, plain::sigmoid(o) * plain::tanh(next))
}

/// Largest error of a cell state, of the size of `max(1, |c|)`, and of an output; cells are at most 100 before.
fn worst(kernels: &Kernels, size: f32) -> (f64, f64) {
    let mut worst = (0.0_f64, 0.0_f64);
    let numbers: Vec<f32> = vector(61, 5 * LANES * 4000);
    for chunk in numbers.as_chunks::<{ 5 * LANES }>().0 {
        let lane = |j: usize, size: f32| Lane(core::array::from_fn(|u| size * chunk[j * LANES + u]));
        let (gates, c) = (core::array::from_fn(|j| lane(j, size)), lane(4, size.min(100.0)));
        let (next, output) = cell(kernels, gates, c);
        for unit in 0..LANES {
            let (c_exact, h_exact) = exact(&gates, &c, unit);
            let scale = f64::from(c.0[unit].abs()).max(1.0);
            worst.0 = worst.0.max((f64::from(next.0[unit]) - c_exact).abs() / scale);
            worst.1 = worst.1.max((f64::from(output.0[unit]) - h_exact).abs());
        }
    }
    worst
}

#[test]
fn a_cell_equals_the_oracle_for_gates_of_every_size() {
    on_every_level("cell", |kernels| {
        for size in [1e-3, 1.0, 8.0, 40.0, 200.0, 1e6] {
            let (c, h) = worst(kernels, size);
            std::eprintln!("gates up to {size}: c {c:.2e}, h {h:.2e}");
            assert!(c < 4e-7 && h < 4e-7, "gates up to {size}: c {c:e}, h {h:e}");
        }
    });
}

#[test]
fn small_gates_keep_their_relative_accuracy() {
    on_every_level("cell", |kernels| {
        for g in [1e-30_f32, -1e-20, 1e-8, -3e-4] {
            let gates = [0.0, 0.0, g, 0.0].map(|x| Lane([x; LANES]));
            let (next, output) = cell(kernels, gates, Lane::ZERO);
            let (c, h) = exact(&gates, &Lane::ZERO, 0);
            let close = |found: f32, exact: f64| (f64::from(found) - exact).abs() <= 6e-7 * exact.abs();
            assert!(close(next.0[0], c), "{g}: expected {c}, found {}", next.0[0]);
            assert!(close(output.0[0], h), "{g}: expected {h}, found {}", output.0[0]);
        }
    });
}

#[test]
fn infinite_gates_saturate_and_nan_stays_nan() {
    on_every_level("cell", |kernels| {
        let half = Lane([0.5; LANES]);
        for size in [f32::INFINITY, f32::MAX] {
            for signs in 0..16_u32 {
                let gate = |k: usize| if signs >> k & 1 == 1 { -size } else { size };
                let gates = core::array::from_fn(|k| Lane([gate(k); LANES]));
                let (next, output) = cell(kernels, gates, half);
                let (c, h) = exact(&gates, &half, 3);
                assert!(
                    (f64::from(next.0[3]) - c).abs() < 1e-6,
                    "{signs:04b}: {c} {}",
                    next.0[3]
                );
                assert!((f64::from(output.0[3]) - h).abs() < 1e-6, "{signs:04b}: {h}");
            }
        }
        for poisoned in 0..5 {
            let lane = |k: usize| Lane([if k == poisoned { f32::NAN } else { 0.25 }; LANES]);
            let (next, output) = cell(kernels, core::array::from_fn(lane), lane(4));
            assert_eq!(next.0[0].is_nan(), poisoned != 3, "gate {poisoned} and the cell");
            assert!(output.0[0].is_nan(), "gate {poisoned} and the output");
        }
    });
}
