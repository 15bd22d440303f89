//! Variable selection of real inputs: what depends on one scalar per row, and the weighted sum.
//!
//! A real variable enters its network as a scalar, so everything before the first nonlinearity is affine in it:
//! `hidden = elu(slope x + offset)`, and the skip of the network is `slope x + offset`, maybe normalised.

use super::activation::elu;
use crate::simd::{Isa, Lane};

/// One column of rows `[n, stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) at: usize,
}

impl Column<'_> {
    /// The rows from `row` on.
    pub(crate) fn from(self, row: usize) -> Self {
        Self {
            x: &self.x[row * self.stride..],
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> f32 {
        self.x[row * self.stride + self.at]
    }
}

/// `slope x + offset` over lanes.
#[derive(Clone, Copy)]
pub(crate) struct ScalarAffine<'a> {
    pub(crate) slope: &'a [Lane],
    pub(crate) offset: &'a [Lane],
}

/// `out [n, lanes] = elu(slope x + offset)`.
#[inline(always)]
pub(super) fn expand<I: Isa>(isa: I, x: Column<'_>, line: ScalarAffine<'_>, out: &mut [Lane]) {
    for (row, out) in out.chunks_exact_mut(line.slope.len()).enumerate() {
        let x = isa.splat(x.row(row));
        for ((out, slope), offset) in out.iter_mut().zip(line.slope).zip(line.offset) {
            let z = isa.mul_acc(isa.load(slope), x, isa.load(offset));
            isa.store(elu(isa, z), out);
        }
    }
}

/// `out [n, lanes] = slope x + offset`.
#[inline(always)]
pub(super) fn line<I: Isa>(isa: I, x: Column<'_>, line: ScalarAffine<'_>, out: &mut [Lane]) {
    for (row, out) in out.chunks_exact_mut(line.slope.len()).enumerate() {
        let x = isa.splat(x.row(row));
        for ((out, slope), offset) in out.iter_mut().zip(line.slope).zip(line.offset) {
            isa.store(isa.mul_acc(isa.load(slope), x, isa.load(offset)), out);
        }
    }
}

/// `sum [n, lanes] += weight[row] y [n, lanes]`.
#[inline(always)]
pub(super) fn add_weighted<I: Isa>(isa: I, weight: Column<'_>, y: &[Lane], lanes: usize, sum: &mut [Lane]) {
    for (row, (sum, y)) in sum.chunks_exact_mut(lanes).zip(y.chunks_exact(lanes)).enumerate() {
        let w = isa.splat(weight.row(row));
        for (sum, y) in sum.iter_mut().zip(y) {
            isa.store(isa.mul_acc(w, isa.load(y), isa.load(sum)), sum);
        }
    }
}

/// `sum += y`, lane by lane.
#[inline(always)]
pub(super) fn add_lanes<I: Isa>(isa: I, y: &[Lane], sum: &mut [Lane]) {
    for (sum, y) in sum.iter_mut().zip(y) {
        isa.store(isa.add(isa.load(sum), isa.load(y)), sum);
    }
}
