//! Layers: weights as they lie in the model file and the kernels they call. No state.

mod attention;
mod dense;
mod gating;
mod grn;
mod linear;
mod lstm;
mod norm;
mod rounded;
mod selection;
mod stack;
mod tabulated;

use crate::simd::Lane;

pub(crate) use attention::Attention;
pub(crate) use dense::{DenseLayer, DenseWeights};
pub(crate) use gating::{Fusion, Gating};
pub(crate) use grn::{Grn, InputGatedGrn, SLICE};
pub(crate) use linear::Linear;
pub(crate) use lstm::{GateWeights, LstmLayer, LstmScratch, Order};
pub(crate) use norm::{GateNorm, Norm};
pub(crate) use rounded::MAX_ROUNDED;
pub(crate) use selection::{Branch, Lookup, Rows, Selection, Source, WeightNet, WeightOutput};
pub(crate) use stack::{BiStack, LstmStack};
pub(crate) use tabulated::{ScalarTable, Tabulated, steps};

/// The first `n` lanes of a scratch buffer; the buffer keeps the rest.
pub(crate) fn take<'a>(scratch: &mut &'a mut [Lane], n: usize) -> &'a mut [Lane] {
    let (first, rest) = core::mem::take(scratch).split_at_mut(n);
    *scratch = rest;
    first
}
