//! Attention of one query to rows: scores, softmax, weighted sums, head by head.
//!
//! Heads read their own part of every row, or all the same one. The factor `1 / sqrt(d)` is in the query.

use super::rows::softmax;
use crate::simd::{Isa, Lane};

/// Rows that a query attends to, of which the first `visible` count; none means all with equal weight.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// `[n, key_stride]`.
    pub(crate) keys: &'a [Lane],
    pub(crate) key_stride: usize,
    /// `[n, value_stride]`.
    pub(crate) values: &'a [Lane],
    pub(crate) value_stride: usize,
    /// Lanes from one head's part of a row to the next one's; 0 where all heads read the whole row.
    pub(crate) head_step: usize,
    pub(crate) n: usize,
    pub(crate) visible: usize,
}

/// `weights [heads, n]` and `sums [heads, value lanes]` of the queries `u [heads, lanes]`.
#[inline(always)]
pub(super) fn attend<I: Isa>(isa: I, u: &[Lane], rows: Keys<'_>, weights: &mut [f32], sums: &mut [Lane]) {
    let heads = weights.len() / rows.n;
    let (lanes, value_lanes) = (u.len() / heads, sums.len() / heads);
    let each = u.chunks_exact(lanes).zip(weights.chunks_exact_mut(rows.n));
    for (head, ((u, weights), sums)) in each.zip(sums.chunks_exact_mut(value_lanes)).enumerate() {
        let at = head * rows.head_step;
        let rows = Keys {
            keys: &rows.keys[at..],
            values: &rows.values[at..],
            ..rows
        };
        score(isa, u, rows, weights);
        sum_up(isa, rows, weights, sums);
    }
}

#[inline(always)]
fn score<I: Isa>(isa: I, u: &[Lane], rows: Keys<'_>, weights: &mut [f32]) {
    if rows.visible == 0 {
        weights.fill(1.0 / rows.n as f32);
        return;
    }
    let (seen, hidden) = weights.split_at_mut(rows.visible);
    hidden.fill(0.0);
    for (weight, key) in seen.iter_mut().zip(rows.keys.chunks(rows.key_stride)) {
        let mut acc = isa.splat(0.0);
        for (u, key) in u.iter().zip(key) {
            acc = isa.mul_acc(isa.load(u), isa.load(key), acc);
        }
        *weight = isa.sum(acc);
    }
    softmax(isa, seen);
}

#[inline(always)]
fn sum_up<I: Isa>(isa: I, rows: Keys<'_>, weights: &[f32], sums: &mut [Lane]) {
    let seen = if rows.visible == 0 { rows.n } else { rows.visible };
    sums.fill(Lane::ZERO);
    for (weight, value) in weights[..seen].iter().zip(rows.values.chunks(rows.value_stride)) {
        let w = isa.splat(*weight);
        for (sum, value) in sums.iter_mut().zip(value) {
            isa.store(isa.mul_acc(w, isa.load(value), isa.load(sum)), sum);
        }
    }
}
