//! The input projection of an LSTM layer: `out[r] = b + W x[r]` for all rows of all steps, gates in panels.
//!
//! Weights `[blocks, k, 4, 16]`: a block is sixteen units, and one pass over it yields their gates i, f, g, o. A tile
//! of `TILE_ROWS` rows shares every weight it loads. Each output is one chain over k from the bias on, so the tile's
//! height does not change a bit. Rows of x lie `stride` apart.

use super::panel::Panel;
use crate::simd::{FixedLane, Isa, Lane};

/// Rows of activations `[n, stride]` of which the first `n_k` columns count; columns are f32, or pairs for bf16 and i16.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, X> {
    pub(super) x: &'a [X],
    pub(super) stride: usize,
    pub(super) n_k: usize,
    /// Units of integers, row by row; that of states where none is given.
    pub(super) units: &'a [f32],
}

impl<'a, X> Rows<'a, X> {
    /// Floats, or states.
    #[inline(always)]
    pub(super) fn new(x: &'a [X], stride: usize, n_k: usize) -> Self {
        let units = &[];
        Self {
            x,
            stride,
            n_k,
            units,
        }
    }

    /// The rows from `row` on.
    #[inline(always)]
    pub(super) fn from(&self, row: usize) -> Self {
        Self {
            x: &self.x[row * self.stride..],
            units: self.units.get(row..).unwrap_or(&[]),
            ..*self
        }
    }

    /// The unit of a row.
    #[inline(always)]
    pub(super) fn unit(&self, row: usize) -> f32 {
        self.units.get(row).copied().unwrap_or(STATE_UNIT)
    }
}

/// One for each gate. (`array::from_fn` may stay a call, which knows nothing of a level's features.)
#[inline(always)]
pub(super) fn four<T>(of: impl Fn(usize) -> T) -> [T; 4] {
    [of(0), of(1), of(2), of(3)]
}

/// The unit of an LSTM's states as integers.
pub(super) const STATE_UNIT: f32 = 1.0 / FixedLane::LIMIT as f32;

/// Weights of the four gates `[blocks, n_k, 4, 16]`, and of integers the unit of every output `[blocks, 4, 16]`.
#[derive(Clone, Copy)]
pub(super) struct Gates<'a, W> {
    pub(super) panels: &'a [[W; 4]],
    pub(super) units: &'a [[Lane; 4]],
}

impl<'a, W> Gates<'a, W> {
    /// Floats.
    #[inline(always)]
    pub(super) fn floats(panels: &'a [[W; 4]]) -> Self {
        Self { panels, units: &[] }
    }

    /// The units of a block's sums over activations in units of `x`.
    #[inline(always)]
    pub(super) fn units<I: Isa>(&self, isa: I, block: usize, x: f32) -> [W::Unit; 4]
    where
        W: Panel<I>,
    {
        let units = self.units.get(block);
        four(|gate| W::unit(isa, units.map(|units| &units[gate]), x))
    }
}

/// `out [n, blocks, 4, 16] = bias [blocks, 4, 16] + W x [n, n_k]`.
#[inline(always)]
pub(super) fn project<I: Isa, W: Panel<I>>(
    isa: I,
    weights: Gates<'_, W>,
    bias: &[[Lane; 4]],
    rows: Rows<'_, W::X>,
    out: &mut [[Lane; 4]],
) {
    let n_rows = out.len() / bias.len();
    let mut row = 0;
    while row < n_rows {
        let (rows, out) = (rows.from(row), &mut out[row * bias.len()..]);
        let height = tile_height::<I>(n_rows - row);
        match height {
            6 => tile::<I, W, 6>(isa, weights, bias, rows, out),
            3 => tile::<I, W, 3>(isa, weights, bias, rows, out),
            2 => tile::<I, W, 2>(isa, weights, bias, rows, out),
            _ => tile::<I, W, 1>(isa, weights, bias, rows, out),
        }
        row += height;
    }
}

/// Rows of the next tile when `left` are left: 6, 3, 2 or 1, so that few forms need be compiled; 1 where a level takes no more.
#[inline(always)]
pub(super) fn tile_height<I: Isa>(left: usize) -> usize {
    match left.min(I::TILE_ROWS) {
        left @ (1 | 2) => left,
        3..6 => 3,
        _ => I::TILE_ROWS,
    }
}

/// All blocks of `R` rows.
#[inline(always)]
fn tile<I: Isa, W: Panel<I>, const R: usize>(
    isa: I,
    weights: Gates<'_, W>,
    bias: &[[Lane; 4]],
    rows: Rows<'_, W::X>,
    out: &mut [[Lane; 4]],
) {
    let n_blocks = bias.len();
    for (block, (panels, bias)) in weights.panels.chunks_exact(rows.n_k).zip(bias).enumerate() {
        let bias: [I::F; 4] = four(|gate| isa.load(&bias[gate]));
        let begin = four(|gate| W::begin(isa, bias[gate]));
        let sums = block_sums::<I, W, R>(isa, panels, rows, [begin; R]);
        for (row, sums) in sums.into_iter().enumerate() {
            let units = weights.units(isa, block, rows.unit(row));
            let to = &mut out[row * n_blocks + block];
            for gate in 0..4 {
                isa.store(W::end(isa, sums[gate], units[gate], bias[gate]), &mut to[gate]);
            }
        }
    }
}

/// One block of `R` rows: `acc[r] + W x[r]`, four gates each.
#[inline(always)]
pub(super) fn block_sums<I: Isa, W: Panel<I>, const R: usize>(
    isa: I,
    weights: &[[W; 4]],
    rows: Rows<'_, W::X>,
    mut acc: [[W::Sum; 4]; R],
) -> [[W::Sum; 4]; R] {
    let x: [&[W::X]; R] = core::array::from_fn(|row| &rows.x[row * rows.stride..][..rows.n_k]);
    for (k, w) in weights[..rows.n_k].iter().enumerate() {
        for row in 0..R {
            let b = W::splat(isa, &x[row][k]);
            for gate in 0..4 {
                acc[row][gate] = w[gate].mul_acc(isa, b, acc[row][gate]);
            }
        }
    }
    acc
}
