//! Every kernel of every level against the oracle: edge lengths, tiles, alignments, NaN.

use super::{Affine, Kernels, LastStep, MAX_BATCH, Recurrence};
use crate::bundle::{
    Precision, pack_dense, pack_dense_bf16, pack_dense_bias, pack_gate_bias, pack_gates, pack_gates_bf16,
    pack_gates_i16,
};
use crate::plain;
use crate::simd::{LANES, Lane, Level};
use alloc::vec;
use alloc::vec::Vec;
use half::bf16;
use std::eprintln;

/// A reproducible number in (-1, 1) per index.
fn noise(seed: u64, i: usize) -> f32 {
    let mut z = (seed << 32) ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
}

pub(super) fn vector(seed: u64, n: usize) -> Vec<f32> {
    (0..n).map(|i| noise(seed, i)).collect()
}

pub(super) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

pub(super) fn bf16_rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|v| bf16::from_f32(*v).to_f32()).collect()
}

/// Runs a check on every level of this machine and logs which those were.
pub(super) fn on_every_level(what: &str, check: impl Fn(&Kernels)) {
    for level in Level::available() {
        eprintln!("{what}: level {}", level.name());
        check(Kernels::for_level(level).unwrap());
    }
}

pub(super) fn assert_close(found: f32, expected: f64, bound: f64, what: &str) {
    assert!(
        (f64::from(found) - expected).abs() <= bound,
        "{what}: expected {expected}, found {found}"
    );
}

/// `[rows, stride]` with the first `n_k` columns filled; what lies behind must not matter for f32.
pub(super) fn padded(x: &[f32], n_k: usize, stride: usize, filler: f32) -> Vec<f32> {
    x.chunks_exact(n_k)
        .flat_map(|row| {
            row.iter()
                .copied()
                .chain(core::iter::repeat_n(filler, stride - n_k))
        })
        .collect()
}

#[test]
fn projections_equal_the_oracle_for_every_tile_and_width() {
    on_every_level("project", |kernels| {
        for (n_hidden, n_k, rows) in [
            (1, 1, 1),
            (16, 5, 6),
            (17, 3, 7),
            (37, 11, 13),
            (64, 33, 5),
            (100, 100, 12),
        ] {
            let (w, b) = (vector(1, 4 * n_hidden * n_k), vector(2, 4 * n_hidden));
            let x = vector(3, rows * n_k);
            let stride = n_k.next_multiple_of(2);
            let blocks = n_hidden.div_ceil(LANES);
            let bias = pack_gate_bias(&b, n_hidden);
            let mut out = vec![[Lane::ZERO; 4]; rows * blocks];
            let check = |out: &[[Lane; 4]], w: &[f32], bound: f64| {
                for row in 0..rows {
                    let expected = plain::dense(&wide(w), &wide(&b), &wide(&x[row * n_k..][..n_k]));
                    for (i, expected) in expected.iter().enumerate() {
                        let (gate, unit) = (i / n_hidden, i % n_hidden);
                        let found = out[row * blocks + unit / LANES][gate].0[unit % LANES];
                        assert_close(found, *expected, bound * n_k as f64, "projection");
                    }
                }
            };
            kernels.project_f32(
                &pack_gates(&w, n_hidden, n_k),
                &bias,
                &padded(&x, n_k, stride, 9.0),
                stride,
                n_k,
                &mut out,
            );
            check(&out, &w, 3e-7);
            let packed = pack_gates_bf16(&w, n_hidden, n_k);
            kernels.project_bf16(
                &packed,
                &bias,
                &padded(&x, n_k, stride, 0.0),
                stride,
                n_k,
                &mut out,
            );
            check(&out, &bf16_rounded(&w), 3e-7);
        }
    });
}

#[test]
fn the_recurrence_equals_the_oracle_and_batches_keep_their_bits() {
    on_every_level("recur", |kernels| {
        for (n_hidden, steps) in [(1, 1), (15, 3), (16, 4), (17, 9), (64, 5), (80, 3), (100, 4)] {
            let r = vector(4, 4 * n_hidden * n_hidden);
            let g = vector(5, steps * MAX_BATCH * 4 * n_hidden);
            for precision in Precision::ALL {
                let alone: Vec<Vec<f32>> = (0..MAX_BATCH)
                    .map(|w| recur(kernels, &r, &g, n_hidden, steps, &[w], precision).remove(0))
                    .collect();
                for n in 2..=MAX_BATCH {
                    let windows: Vec<usize> = (0..n).collect();
                    let together = recur(kernels, &r, &g, n_hidden, steps, &windows, precision);
                    assert_eq!(together, alone[..n], "batch of {n}, H {n_hidden}, {precision:?}");
                }
                let (exact, bound) = match precision {
                    Precision::F32 => (r.clone(), 4e-6),
                    Precision::Bf16 if kernels.level() == Level::Avx512Bf16 => (bf16_rounded(&r), 2e-2),
                    Precision::Bf16 => (bf16_rounded(&r), 4e-6),
                    Precision::I16 => (r.clone(), 2e-3),
                };
                for (window, found) in alone.iter().enumerate() {
                    let expected = oracle(&exact, &g, n_hidden, steps, window);
                    for (found, expected) in found.iter().zip(&expected) {
                        assert_close(*found, *expected, bound, "recurrence");
                    }
                }
            }
        }
    });
}

#[test]
fn a_last_step_from_both_sums_has_the_bits_of_one_from_its_row() {
    on_every_level("last cells", |kernels| {
        for (n_hidden, n_in) in [(1, 1), (16, 3), (19, 8), (80, 80), (130, 5)] {
            let w = pack_gates(&vector(41, 4 * n_hidden * n_in), n_hidden, n_in);
            let bias = pack_gate_bias(&vector(42, 4 * n_hidden), n_hidden);
            let sums = pack_gate_bias(&vector(43, 4 * n_hidden), n_hidden);
            let x = vector(44, n_in);
            let (blocks, c) = (bias.len(), vec![Lane([0.5; LANES]); bias.len()]);
            for precision in Precision::ALL {
                let run = |work: &dyn Fn(LastStep<'_>)| {
                    let [mut h, mut operand] = [(); 2].map(|()| vec![Lane::ZERO; blocks]);
                    let (h_out, operand_out) = (&mut h, &mut operand);
                    work(LastStep {
                        sums: &sums,
                        c: &c,
                        h: h_out,
                        operand: operand_out,
                    });
                    (h, operand)
                };
                let (h, mut operand) = run(&|step| kernels.last_step_f32(&w, &bias, &x, step));
                match precision {
                    Precision::F32 => {}
                    Precision::Bf16 => kernels.encode_bf16(blocks, &h, &mut operand),
                    Precision::I16 => {
                        operand.fill(Lane::ZERO);
                        kernels.encode_i16(blocks, &h, &mut operand);
                    }
                }
                let mut gates = vec![[Lane::ZERO; 4]; blocks];
                kernels.project_f32(&w, &bias, &x, n_in, n_in, &mut gates);
                let found = run(&|step| match precision {
                    Precision::F32 => kernels.last_cells_f32(&gates, step),
                    Precision::Bf16 => kernels.last_cells_bf16(&gates, step),
                    Precision::I16 => kernels.last_cells_i16(&gates, step),
                });
                let bits = |lanes: &[Lane]| bytemuck::cast_slice::<Lane, u32>(lanes).to_vec();
                assert_eq!(bits(&found.0), bits(&h), "H {n_hidden}");
                assert_eq!(bits(&found.1), bits(&operand), "H {n_hidden}, {precision:?}");
            }
        }
    });
}

/// Final h of the chosen windows, computed side by side.
fn recur(
    kernels: &Kernels,
    r: &[f32],
    g: &[f32],
    n_hidden: usize,
    steps: usize,
    windows: &[usize],
    precision: Precision,
) -> Vec<Vec<f32>> {
    let (blocks, n_batch) = (n_hidden.div_ceil(LANES), windows.len());
    let gates: Vec<[Lane; 4]> = (0..steps)
        .flat_map(|t| windows.iter().map(move |w| t * MAX_BATCH + w))
        .flat_map(|at| pack_gate_bias(&g[at * 4 * n_hidden..][..4 * n_hidden], n_hidden))
        .collect();
    let mut lanes = [0, 1, 2].map(|_| vec![Lane::ZERO; n_batch * blocks]);
    let mut sequence = vec![Lane::ZERO; steps * n_batch * blocks];
    let [c, h, operand] = &mut lanes;
    let state = Recurrence {
        raw: false,
        reverse: false,
        gates: &gates,
        c,
        h,
        sequence: &mut sequence,
        operand,
        n_batch,
    };
    match precision {
        Precision::F32 => kernels.recur_f32(&pack_gates(r, n_hidden, n_hidden), n_hidden, state),
        Precision::Bf16 => kernels.recur_bf16(&pack_gates_bf16(r, n_hidden, n_hidden), n_hidden, state),
        Precision::I16 => {
            let w = pack_gates_i16(r, n_hidden, n_hidden);
            kernels.recur_i16(&w.panels, &w.units, n_hidden, state);
        }
    }
    if precision == Precision::F32 {
        assert_eq!(
            sequence[(steps - 1) * n_batch * blocks..],
            *lanes[1],
            "the last step of the sequence is h"
        );
    }
    let h: &[f32] = bytemuck::must_cast_slice(&lanes[1]);
    h.chunks_exact(blocks * LANES)
        .map(|h| h[..n_hidden].to_vec())
        .collect()
}

fn oracle(r: &[f32], g: &[f32], n_hidden: usize, steps: usize, window: usize) -> Vec<f64> {
    let mut state = plain::LstmState::zero(n_hidden);
    for t in 0..steps {
        let gates = wide(&g[(t * MAX_BATCH + window) * 4 * n_hidden..][..4 * n_hidden]);
        plain::lstm_step(&vec![0.0; 4 * n_hidden], &wide(r), &gates, &[0.0], &mut state);
    }
    state.h
}

#[test]
fn dense_equals_the_oracle_for_every_width() {
    on_every_level("dense", |kernels| {
        for (n_out, n_in) in [(1, 1), (1, 64), (3, 5), (16, 16), (17, 31), (64, 128), (80, 7)] {
            let (w, b, x) = (vector(6, n_out * n_in), vector(7, n_out), vector(8, n_in));
            let mut out = vec![Lane::ZERO; n_out.div_ceil(LANES)];
            let check = |out: &[Lane], w: &[f32]| {
                let found: &[f32] = bytemuck::must_cast_slice(out);
                let expected = plain::dense(&wide(w), &wide(&b), &wide(&x));
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close(*found, *expected, 3e-7 * n_in as f64, "dense");
                }
                assert!(found[n_out..].iter().all(|v| *v == 0.0), "padding stays zero");
            };
            kernels.dense_f32(&pack_dense(&w, n_out, n_in), &pack_dense_bias(&b), &x, &mut out);
            check(&out, &w);
            let even = padded(&x, n_in, n_in.next_multiple_of(2), 0.0);
            kernels.dense_bf16(
                &pack_dense_bf16(&w, n_out, n_in),
                &pack_dense_bias(&b),
                &even,
                &mut out,
            );
            check(&out, &bf16_rounded(&w));
        }
    });
}

#[test]
fn activations_do_not_depend_on_length_or_alignment() {
    let functions = [
        Kernels::exp,
        Kernels::sigmoid,
        Kernels::tanh,
        Kernels::elu,
        Kernels::relu,
    ];
    on_every_level("activations", |kernels| {
        let x: Vec<f32> = vector(9, 80).iter().map(|v| v * 20.0).collect();
        for apply in functions {
            let each: Vec<f32> = x
                .iter()
                .map(|v| {
                    let mut one = [*v];
                    apply(kernels, &mut one);
                    one[0]
                })
                .collect();
            for (start, n) in [(0, 0), (0, 1), (1, 15), (2, 16), (3, 17), (5, 33), (7, 64)] {
                let mut y = x.clone();
                apply(kernels, &mut y[start..start + n]);
                assert_eq!(y[start..start + n], each[start..start + n]);
                assert_eq!(y[start + n..], x[start + n..], "nothing behind the slice changes");
            }
        }
    });
}

#[test]
fn nan_stays_nan_in_every_lane() {
    let functions = [
        Kernels::exp,
        Kernels::sigmoid,
        Kernels::tanh,
        Kernels::elu,
        Kernels::relu,
    ];
    on_every_level("NaN", |kernels| {
        for apply in functions {
            for lane in 0..LANES {
                let mut x = [0.5_f32; LANES];
                x[lane] = f32::NAN;
                apply(kernels, &mut x);
                assert!((0..LANES).all(|i| x[i].is_nan() == (i == lane)));
            }
        }
        let mut x = [0.5, f32::NAN, 1.0];
        kernels.softmax(&mut x);
        assert!(x.iter().all(|v| v.is_nan()));
    });
}

#[test]
fn softmax_equals_the_oracle() {
    on_every_level("rows", |kernels| {
        for n in [1, 2, 3, 15, 16, 17, 31, 64, 100] {
            let x: Vec<f32> = vector(10, n).iter().map(|v| v * 30.0).collect();
            let mut y = x.clone();
            kernels.softmax(&mut y);
            for (found, expected) in y.iter().zip(plain::softmax(&wide(&x))) {
                assert_close(*found, expected, 3e-6, "softmax");
            }
        }
    });
}

#[test]
fn scaling_rounds_once_and_reports_what_is_not_finite() {
    let scalers = [
        Affine {
            center: 95_000.25,
            recip: 1.0 / 123.0,
        },
        Affine {
            center: -1.0,
            recip: 1e-3,
        },
    ];
    on_every_level("scale", |kernels| {
        let x = [95_505.4, 3.0, 94_999.9, f64::from(f32::MAX)];
        let mut out = [7.0_f32; 6];
        assert!(kernels.scale_f64(&x, &scalers, &mut out, 3));
        let expected = |i: usize| ((x[i] - scalers[i % 2].center) * scalers[i % 2].recip) as f32;
        assert_eq!(
            out,
            [expected(0), expected(1), 7.0, expected(2), expected(3), 7.0]
        );
        assert!(!kernels.scale_f64(&[1.0, f64::NAN], &scalers, &mut out, 3));
        assert!(
            !kernels.scale_f64(&[1e300, 0.0], &scalers, &mut out, 3),
            "f32 cannot hold it"
        );
    });
}

#[test]
fn avx2_and_avx512_give_the_same_bits() {
    let tables: Vec<_> = [Level::Avx2, Level::Avx512]
        .into_iter()
        .filter_map(Kernels::for_level)
        .collect();
    let (n_hidden, steps) = (37, 6);
    let (r, g) = (
        vector(13, 4 * n_hidden * n_hidden),
        vector(14, steps * MAX_BATCH * 4 * n_hidden),
    );
    for precision in Precision::ALL {
        let answers: Vec<_> = tables
            .iter()
            .map(|kernels| recur(kernels, &r, &g, n_hidden, steps, &[0], precision))
            .collect();
        assert!(answers.windows(2).all(|two| two[0] == two[1]));
    }
}
