//! The kernels that work on rows of lanes, every level against the oracle: widths, tiles, padding.

use super::agreement::{assert_close, bf16_rounded, on_every_level, padded, vector, wide};
use super::{Column, Gated, Kernels, Keys, LINEAR_ROWS, NormWeights, ScalarAffine};
use crate::bundle::{pack_dense, pack_dense_bf16, pack_dense_bias};
use crate::plain;
use crate::simd::{LANES, Lane, Level};
use alloc::vec;
use alloc::vec::Vec;

/// Widths around a register, and rows around a tile.
const WIDTHS: [usize; 7] = [1, 2, 15, 16, 17, 33, 64];
const ROWS: [usize; 7] = [1, 2, 3, LINEAR_ROWS - 1, LINEAR_ROWS, LINEAR_ROWS + 1, 14];

/// `[rows, width]` in whole lanes, zeros behind the width.
fn lanes(x: &[f32], width: usize) -> Vec<Lane> {
    x.chunks(width).flat_map(pack_dense_bias).collect()
}

/// Rows of lanes back to `[rows, width]`; what lies behind the width must be zero.
fn floats(x: &[Lane], width: usize) -> Vec<f32> {
    let rows = x.chunks_exact(width.div_ceil(LANES));
    rows.flat_map(|row| {
        let row: &[f32] = bytemuck::must_cast_slice(row);
        assert!(row[width..].iter().all(|v| *v == 0.0), "padding stays zero");
        row[..width].to_vec()
    })
    .collect()
}

fn assert_rows(found: &[f32], expected: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_close(*found, *expected, bound, what);
    }
}

#[test]
fn dense_rows_equal_the_oracle_and_a_row_does_not_see_its_tile() {
    on_every_level("linear", |kernels| {
        for (n_out, n_k) in [(1, 1), (14, 14), (16, 5), (33, 17), (64, 64), (130, 31)] {
            for rows in ROWS {
                let (w, b, x) = (vector(1, n_out * n_k), vector(2, n_out), vector(3, rows * n_k));
                let stride = n_k.next_multiple_of(2);
                let x_rows = padded(&x, n_k, stride, 0.0);
                let (weights, pairs) = (pack_dense(&w, n_out, n_k), pack_dense_bf16(&w, n_out, n_k));
                let bias = pack_dense_bias(&b);
                let mut out = vec![Lane::ZERO; rows * bias.len()];
                let expected = |w: &[f32]| -> Vec<f64> {
                    let row = |x: &[f32]| plain::dense(&wide(w), &wide(&b), &wide(x));
                    x.chunks_exact(n_k).flat_map(row).collect()
                };
                kernels.linear_f32(&weights, &bias, &x_rows, stride, n_k, &mut out);
                assert_rows(&floats(&out, n_out), &expected(&w), 3e-7 * n_k as f64, "linear");
                let mut last = vec![Lane::ZERO; bias.len()];
                let at = (rows - 1) * stride;
                kernels.linear_f32(&weights, &bias, &x_rows[at..], stride, n_k, &mut last);
                assert_eq!(last, out[out.len() - last.len()..], "the same bits alone");
                kernels.linear_bf16(&pairs, &bias, &x_rows, stride, n_k, &mut out);
                assert_rows(
                    &floats(&out, n_out),
                    &expected(&bf16_rounded(&w)),
                    3e-7 * n_k as f64,
                    "linear bf16",
                );
            }
        }
    });
}

/// Gain, shift and epsilon of a test norm.
struct Norm {
    gain: Vec<f32>,
    shift: Vec<f32>,
    lanes: [Vec<Lane>; 2],
}

impl Norm {
    fn new(width: usize) -> Self {
        let (gain, shift) = (vector(11, width), vector(12, width));
        let lanes = [lanes(&gain, width), lanes(&shift, width)];
        Self { gain, shift, lanes }
    }

    fn weights(&self) -> NormWeights<'_> {
        NormWeights {
            gain: &self.lanes[0],
            shift: &self.lanes[1],
            width: self.gain.len(),
            eps: 1e-3,
        }
    }

    fn expected(&self, x: &[f64]) -> Vec<f64> {
        let row =
            |row: &[f64]| plain::layer_norm(row, &wide(&self.gain), &wide(&self.shift), f64::from(1e-3_f32));
        x.chunks_exact(self.gain.len()).flat_map(row).collect()
    }
}

#[test]
fn norms_alone_behind_a_sum_and_behind_a_gate_equal_the_oracle() {
    on_every_level("norms", |kernels| {
        for width in WIDTHS {
            let (norm, n) = (Norm::new(width), 19 * width);
            let x: Vec<f32> = vector(10, n).iter().map(|v| v * 9.0).collect();
            let (value, gate) = (vector(13, n), vector(14, n));
            let mut y = lanes(&x, width);
            kernels.norm_rows(norm.weights(), &mut y);
            assert_rows(&floats(&y, width), &norm.expected(&wide(&x)), 3e-6, "norm");

            let mut y = lanes(&x, width);
            kernels.add_norm_rows(norm.weights(), &lanes(&value, width), &mut y);
            let sum: Vec<f64> = wide(&x).iter().zip(wide(&value)).map(|(a, b)| a + b).collect();
            assert_rows(&floats(&y, width), &norm.expected(&sum), 3e-6, "norm of a sum");

            let gated: Vec<f64> = (0..n)
                .map(|i| f64::from(x[i]) + f64::from(value[i]) * plain::sigmoid(f64::from(gate[i])))
                .collect();
            let per_row = width.div_ceil(LANES);
            let (values, gates) = (lanes(&value, width), lanes(&gate, width));
            let each = values.chunks_exact(per_row).zip(gates.chunks_exact(per_row));
            let both: Vec<Lane> = each.flat_map(|(a, b)| [a, b].concat()).collect();
            let apart = Gated {
                value: &values,
                gate: &gates,
                stride: per_row,
            };
            for halves in [Gated::halves(&both, per_row), apart] {
                let mut y = lanes(&x, width);
                kernels.gate_norm_rows(norm.weights(), halves, &mut y);
                assert_rows(
                    &floats(&y, width),
                    &norm.expected(&gated),
                    3e-6,
                    "norm behind a gate",
                );
            }
        }
    });
}

#[test]
fn a_normalised_row_has_the_same_bits_alone_and_a_gate_may_be_of_any_size() {
    on_every_level("rows", |kernels| {
        for width in WIDTHS {
            let (norm, n, per_row) = (Norm::new(width), 35 * width, width.div_ceil(LANES));
            let x: Vec<f32> = vector(15, n);
            let sizes = [1.0, 40.0, 1e4, 1e30].iter().cycle();
            let gate: Vec<f32> = vector(16, n).iter().zip(sizes).map(|(g, s)| g * s).collect();
            let (values, gates) = (lanes(&vector(17, n), width), lanes(&gate, width));
            let run = |first: usize, n_rows: usize| {
                let rows = first * per_row..(first + n_rows) * per_row;
                let apart = Gated {
                    value: &values[rows.clone()],
                    gate: &gates[rows.clone()],
                    stride: per_row,
                };
                let mut y = lanes(&x, width)[rows].to_vec();
                kernels.gate_norm_rows(norm.weights(), apart, &mut y);
                kernels.norm_rows(norm.weights(), &mut y);
                y
            };
            let all = run(0, 35);
            assert!(
                all.iter().all(|lane| lane.0.iter().all(|v| v.is_finite())),
                "{width}"
            );
            for row in 0..35 {
                assert_eq!(
                    run(row, 1),
                    all[row * per_row..][..per_row],
                    "row {row} of {width}"
                );
            }
        }
    });
}

#[test]
fn a_constant_row_is_normalised_to_the_shift() {
    on_every_level("constant", |kernels| {
        let norm = Norm::new(17);
        let mut y = lanes(&[3.5; 17], 17);
        kernels.norm_rows(norm.weights(), &mut y);
        assert_rows(&floats(&y, 17), &wide(&norm.shift), 1e-5, "shift");
    });
}

#[test]
fn what_depends_on_one_scalar_equals_the_oracle() {
    on_every_level("select", |kernels| {
        for width in WIDTHS {
            let (slope, offset, x) = (vector(20, width), vector(21, width), vector(22, 4 * 6));
            let (slopes, offsets) = (lanes(&slope, width), lanes(&offset, width));
            let column = Column {
                x: &x,
                stride: 6,
                at: 3,
            };
            let line = ScalarAffine {
                slope: &slopes,
                offset: &offsets,
            };
            let expected: Vec<f64> = (0..4 * width)
                .map(|i| {
                    let (row, at) = (i / width, i % width);
                    f64::from(slope[at]) * f64::from(x[row * 6 + 3]) + f64::from(offset[at])
                })
                .collect();
            let mut out = vec![Lane::ZERO; 4 * slopes.len()];
            kernels.line(column, line, &mut out);
            assert_rows(&floats(&out, width), &expected, 3e-7, "line");
            let mut sum = out.clone();
            kernels.add_weighted(column, &out, slopes.len(), &mut sum);
            let weighted: Vec<f64> = (0..4 * width)
                .map(|i| expected[i] * (1.0 + f64::from(x[i / width * 6 + 3])))
                .collect();
            assert_rows(&floats(&sum, width), &weighted, 6e-7, "weighted sum");
            kernels.expand(column, line, &mut out);
            let bent: Vec<f64> = expected.iter().map(|v| plain::elu(*v)).collect();
            assert_rows(&floats(&out, width), &bent, 5e-7, "expand");
        }
    });
}

/// Scores, softmax and sums of the oracle for one head.
fn attention(u: &[f32], keys: &[f32], values: &[f32], visible: usize) -> (Vec<f64>, Vec<f64>) {
    let (width, n) = (u.len(), keys.len() / u.len());
    let score = |key: &[f32]| wide(u).iter().zip(wide(key)).map(|(a, b)| a * b).sum::<f64>();
    let mut weights = match visible {
        0 => vec![1.0 / n as f64; n],
        _ => plain::softmax(
            &keys
                .chunks_exact(width)
                .take(visible)
                .map(score)
                .collect::<Vec<_>>(),
        ),
    };
    weights.resize(n, 0.0);
    let sum = |j: usize| {
        (0..n)
            .map(|t| weights[t] * f64::from(values[t * width + j]))
            .sum()
    };
    (weights.clone(), (0..width).map(sum).collect())
}

#[test]
fn attention_equals_the_oracle_with_shared_rows_and_with_a_part_per_head() {
    on_every_level("attend", |kernels| {
        let (n, heads) = (9, 3);
        for width in WIDTHS {
            let per_row = width.div_ceil(LANES);
            for (shared, visible) in [(true, 9), (true, 4), (true, 0), (false, 9), (false, 1)] {
                let parts = if shared { 1 } else { heads };
                let (u, k) = (vector(30, heads * width), vector(31, n * parts * width));
                let v = vector(32, n * parts * width);
                let (u_lanes, k_lanes, v_lanes) = (lanes(&u, width), lanes(&k, width), lanes(&v, width));
                let rows = Keys {
                    keys: &k_lanes,
                    key_stride: parts * per_row,
                    values: &v_lanes,
                    value_stride: parts * per_row,
                    head_step: if shared { 0 } else { per_row },
                    n,
                    visible,
                };
                let mut weights = vec![f32::NAN; heads * n];
                let mut sums = vec![Lane::ZERO; heads * per_row];
                kernels.attend(&u_lanes, rows, &mut weights, &mut sums);
                let found = floats(&sums, width);
                for head in 0..heads {
                    let part = |x: &[f32]| -> Vec<f32> {
                        let at = if shared { 0 } else { head };
                        x.chunks_exact(width)
                            .skip(at)
                            .step_by(parts)
                            .flatten()
                            .copied()
                            .collect()
                    };
                    let (w, s) = attention(&u[head * width..][..width], &part(&k), &part(&v), visible);
                    assert_rows(&weights[head * n..][..n], &w, 2e-6, "attention weights");
                    assert_rows(&found[head * width..][..width], &s, 5e-6, "attention sums");
                }
            }
        }
    });
}

#[test]
fn fused_levels_give_rows_the_same_bits() {
    let tables: Vec<&Kernels> = [Level::Avx2, Level::Avx512]
        .into_iter()
        .filter_map(Kernels::for_level)
        .collect();
    let (w, b, x) = (vector(40, 70 * 37), vector(41, 70), vector(42, 11 * 38));
    let norm = Norm::new(70);
    let answers: Vec<Vec<Lane>> = tables
        .iter()
        .map(|kernels| {
            let bias = pack_dense_bias(&b);
            let mut out = vec![Lane::ZERO; 11 * bias.len()];
            kernels.linear_f32(&pack_dense(&w, 70, 37), &bias, &x, 38, 37, &mut out);
            kernels.norm_rows(norm.weights(), &mut out);
            let (value, gate) = (out.clone(), out.iter().rev().copied().collect::<Vec<_>>());
            let stride = bias.len();
            let gated = Gated {
                value: &value,
                gate: &gate,
                stride,
            };
            kernels.gate_norm_rows(norm.weights(), gated, &mut out);
            out
        })
        .collect();
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
}
