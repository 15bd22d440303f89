//! Products of integers on every level: equal bits, the oracle's values, many k, rows without numbers.

use super::agreement::{assert_close, on_every_level, padded, vector, wide};
use super::{Kernels, LINEAR_ROWS, LastStep, Recurrence};
use crate::bundle::{pack_dense_bias, pack_dense_i16, pack_gate_bias, pack_gates_i16};
use crate::plain;
use crate::simd::{LANES, Lane, Level};
use alloc::vec;
use alloc::vec::Vec;

/// Widths of input around a pair and a lane, and many.
const N_IN: [usize; 8] = [1, 2, 15, 16, 17, 100, 513, 1024];

/// Rows as integers.
struct Rounded {
    words: Vec<u32>,
    units: Vec<f32>,
    stride: usize,
}

impl Rounded {
    fn new(kernels: &Kernels, x: &[f32], stride: usize, n_in: usize) -> Self {
        let n_words = n_in.next_multiple_of(LANES) / 2;
        let mut words = vec![7; x.len() / stride * n_words];
        let mut units = vec![7.0; x.len() / stride];
        kernels.round_rows(x, stride, n_in, &mut words, &mut units);
        let stride = n_words;
        Self { words, units, stride }
    }
}

/// `W x + b` of `rows` rows: what a kernel gave, `[rows, n_out]`, padding left out.
fn linear(kernels: &Kernels, w: &[f32], b: &[f32], x: &[f32], n_in: usize, filler: f32) -> Vec<f32> {
    let (packed, bias) = (pack_dense_i16(w, b.len(), n_in), pack_dense_bias(b));
    let stride = n_in.next_multiple_of(2);
    let rows = padded(x, n_in, stride, filler);
    let rounded = Rounded::new(kernels, &rows, stride, n_in);
    let mut out = vec![Lane([7.0; LANES]); bias.len() * x.len() / n_in];
    kernels.linear_i16(
        &packed.panels,
        &packed.units,
        &bias,
        &rounded.words,
        &rounded.units,
        rounded.stride,
        n_in,
        &mut out,
    );
    let floats: &[f32] = bytemuck::must_cast_slice(&out);
    let rows = floats.chunks_exact(bias.len() * LANES);
    rows.flat_map(|row| row[..b.len()].to_vec()).collect()
}

/// The same through the kernel of gates, for a quarter of the outputs per gate.
fn project(kernels: &Kernels, w: &[f32], b: &[f32], x: &[f32], n_in: usize) -> Vec<[Lane; 4]> {
    let n_hidden = b.len() / 4;
    let (packed, bias) = (pack_gates_i16(w, n_hidden, n_in), pack_gate_bias(b, n_hidden));
    let rounded = Rounded::new(kernels, x, n_in, n_in);
    let mut out = vec![[Lane([7.0; LANES]); 4]; bias.len() * x.len() / n_in];
    kernels.project_i16(
        &packed.panels,
        &packed.units,
        &bias,
        &rounded.words,
        &rounded.units,
        rounded.stride,
        n_in,
        &mut out,
    );
    out
}

/// Deviation of a sum over `n_in` weights of (-1, 1) and activations of (-3, 3), both rounded to their units.
fn deviation(n_in: usize) -> f64 {
    let n = n_in as f64;
    let weight = (n / 2.0 * 8192.0 / 2_f64.powi(31)).max(1.0 / 32767.0);
    let activation = 3.0 / 8192.0;
    (n / 12.0 * (3.0 * weight * weight + activation * activation / 3.0)).sqrt() + 1e-6
}

#[test]
fn rows_are_near_the_oracle_and_neither_level_nor_tile_nor_padding_changes_a_bit() {
    for n_in in N_IN {
        for (rows, n_out) in [(1, 1), (2, 33), (LINEAR_ROWS, 64), (LINEAR_ROWS + 4, 20)] {
            let (w, b) = (vector(1, n_out * n_in), vector(2, n_out));
            let x: Vec<f32> = vector(3, rows * n_in).iter().map(|v| 3.0 * v).collect();
            let first = linear(
                Kernels::for_level(Level::Portable).unwrap(),
                &w,
                &b,
                &x,
                n_in,
                0.0,
            );
            for (found, x) in first.chunks_exact(n_out).zip(x.chunks_exact(n_in)) {
                let expected = plain::dense(&wide(&w), &wide(&b), &wide(x));
                for (found, expected) in found.iter().zip(expected) {
                    assert_close(*found, expected, 6.0 * deviation(n_in), "linear i16");
                }
            }
            on_every_level("linear i16", |kernels| {
                let found = linear(kernels, &w, &b, &x, n_in, f32::NAN);
                // The portable level rounds a multiply-add twice.
                for (found, expected) in found.iter().zip(&first) {
                    assert_close(*found, f64::from(*expected), 5e-7 * (n_in as f64).sqrt(), "level");
                }
                for (row, x) in x.chunks_exact(n_in).enumerate() {
                    let alone = linear(kernels, &w, &b, x, n_in, 0.0);
                    assert_eq!(alone, found[row * n_out..][..n_out], "row {row} alone");
                }
            });
        }
    }
}

#[test]
fn gates_are_those_of_a_dense_layer_alone_and_side_by_side() {
    on_every_level("project i16", |kernels| {
        for n_in in N_IN {
            let (n_hidden, rows) = (19, 7);
            let (w, b) = (vector(11, 4 * n_hidden * n_in), vector(12, 4 * n_hidden));
            let x = vector(13, rows * n_in);
            let dense = linear(kernels, &w, &b, &x, n_in, 0.0);
            let gates = project(kernels, &w, &b, &x, n_in);
            let blocks = n_hidden.div_ceil(LANES);
            for (row, dense) in dense.chunks_exact(4 * n_hidden).enumerate() {
                let of = |gate: usize, unit: usize| gates[row * blocks + unit / LANES][gate].0[unit % LANES];
                let found: Vec<f32> = (0..4 * n_hidden)
                    .map(|i| of(i / n_hidden, i % n_hidden))
                    .collect();
                assert_eq!(found, dense, "row {row} of {n_in} inputs");
                let alone = project(kernels, &w, &b, &x[row * n_in..][..n_in], n_in);
                assert_eq!(alone, gates[row * blocks..][..blocks]);
            }
        }
    });
}

#[test]
fn a_last_step_from_its_row_has_the_bits_of_one_from_its_gates() {
    on_every_level("last step i16", |kernels| {
        for (n_hidden, n_in) in [(1, 1), (16, 3), (80, 81), (130, 256)] {
            let packed = pack_gates_i16(&vector(41, 4 * n_hidden * n_in), n_hidden, n_in);
            let bias = pack_gate_bias(&vector(42, 4 * n_hidden), n_hidden);
            let sums = pack_gate_bias(&vector(43, 4 * n_hidden), n_hidden);
            let (x, c) = (vector(44, n_in), vec![Lane([0.5; LANES]); bias.len()]);
            let run = |work: &dyn Fn(LastStep<'_>)| {
                let [mut h, mut operand] = [(); 2].map(|()| vec![Lane::ZERO; bias.len()]);
                let (h_out, operand_out) = (&mut h, &mut operand);
                work(LastStep {
                    sums: &sums,
                    c: &c,
                    h: h_out,
                    operand: operand_out,
                });
                (h, bytemuck::cast_slice::<Lane, u32>(&operand).to_vec())
            };
            let (w, units) = (&packed.panels, &packed.units);
            let Rounded {
                words,
                units: x_units,
                stride,
            } = Rounded::new(kernels, &x, n_in, n_in);
            let row = &words[..n_in.div_ceil(2)];
            let found = run(&|step| kernels.last_step_i16(w, units, &bias, row, Some(x_units[0]), step));
            let mut gates = vec![[Lane::ZERO; 4]; bias.len()];
            kernels.project_i16(w, units, &bias, &words, &x_units, stride, n_in, &mut gates);
            assert_eq!(
                found,
                run(&|step| kernels.last_cells_i16(&gates, step)),
                "H {n_hidden}"
            );
        }
    });
}

#[test]
fn a_state_beyond_one_is_taken_in_a_unit_of_its_own() {
    on_every_level("first state", |kernels| {
        let n = 20;
        let r = vector(51, 4 * n * n);
        let packed = pack_gates_i16(&r, n, n);
        let gates = vec![[Lane::ZERO; 4]; 2 * 2];
        let states = |x: &[f32]| x.chunks_exact(n).flat_map(pack_dense_bias).collect::<Vec<Lane>>();
        let start: Vec<f32> = vector(52, 2 * n)
            .iter()
            .enumerate()
            .map(|(i, v)| v * if i < n { 9.0 } else { 1.0 })
            .collect();
        let (mut h, mut c, mut operand) = (states(&start), vec![Lane::ZERO; 4], vec![Lane::ZERO; 4]);
        let state = Recurrence {
            raw: true,
            reverse: false,
            gates: &gates,
            c: &mut c,
            h: &mut h,
            sequence: &mut [],
            operand: &mut operand,
            n_batch: 2,
        };
        kernels.recur_i16(&packed.panels, &packed.units, n, state);
        for (h, start) in h.chunks_exact(2).zip(start.chunks_exact(n)) {
            let s = plain::dense(&wide(&r), &vec![0.0; 4 * n], &wide(start));
            let expected = |i: usize| {
                let c = plain::sigmoid(s[i]) * s[2 * n + i].tanh();
                plain::sigmoid(s[3 * n + i]) * c.tanh()
            };
            let found: &[f32] = bytemuck::must_cast_slice(h);
            (0..n).for_each(|i| assert_close(found[i], expected(i), 3e-3, "state"));
        }
    });
}

#[test]
fn zeros_give_the_bias_and_what_is_no_number_gives_none() {
    on_every_level("edges", |kernels| {
        let (w, b) = (vector(61, 4 * 40), vector(62, 4));
        for tiny in [0.0, 1e-40, 1e-31] {
            assert_eq!(linear(kernels, &w, &b, &[tiny; 40], 40, 0.0), b);
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 15, 16, 39] {
                let mut x = vector(63, 40);
                x[at] = bad;
                let out = linear(kernels, &w, &b, &x, 40, 0.0);
                assert!(out.iter().all(|v| v.is_nan()), "{bad} at {at}: {out:?}");
            }
        }
    });
}
