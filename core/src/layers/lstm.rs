//! An LSTM layer over whole windows: one GEMM for the inputs of all steps, then the recurrence.

use super::rounded::{for_rounded, with_rounded};
use crate::bundle::View;
use crate::kernels::{Kernels, LastStep, Recurrence};
use crate::simd::{FixedLane, LANES, Lane, PairLane};

/// Packed weights `[blocks, n_in, 4, 16]` in any precision.
pub(crate) enum GateWeights {
    F32(View<[Lane; 4]>),
    Bf16(View<[PairLane; 4]>),
    /// Integers, and the unit of every output `[blocks, 4, 16]`.
    I16(View<[FixedLane; 4]>, View<[Lane; 4]>),
}

/// `[i f g o] = W x + b + R h`.
pub(crate) struct LstmLayer {
    pub(crate) input: GateWeights,
    pub(crate) recurrent: GateWeights,
    pub(crate) bias: View<[Lane; 4]>,
    pub(crate) n_in: usize,
    pub(crate) n_hidden: usize,
    /// Whether the input rows are another layer's outputs (as its product reads them: rounded to pairs of bf16 or i16).
    pub(crate) stacked: bool,
}

/// Direction of time, and what a sequence is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Forwards; the sequence is what the next LSTM layer of the stack multiplies (maybe rounded to bf16).
    Stacked,
    /// Forwards; the sequence is in f32.
    Forward,
    /// Backwards; the sequence is in f32, in the order of time.
    Backward,
}

/// Buffers of one layer's pass over `steps * n_batch` rows.
pub(crate) struct LstmScratch<'a> {
    /// `[steps, n_batch, blocks, 4, 16]`.
    pub(crate) gates: &'a mut [[Lane; 4]],
    /// `[n_batch, blocks, 16]`: cell state before and after.
    pub(crate) c: &'a mut [Lane],
    /// The same of the outputs.
    pub(crate) h: &'a mut [Lane],
    /// The same.
    pub(crate) operand: &'a mut [Lane],
}

impl LstmLayer {
    /// Blocks of sixteen units.
    pub(crate) fn n_blocks(&self) -> usize {
        self.bias.len()
    }

    /// `gates = W x + b` for the rows of `x [rows, stride]`.
    pub(crate) fn project(&self, kernels: &Kernels, x: &[f32], stride: usize, gates: &mut [[Lane; 4]]) {
        match (&self.input, self.stacked) {
            (GateWeights::F32(w), _) => kernels.project_f32(w, &self.bias, x, stride, self.n_in, gates),
            (GateWeights::Bf16(w), false) => {
                kernels.project_bf16(w, &self.bias, x, stride, self.n_in, gates);
            }
            (GateWeights::Bf16(w), true) => {
                kernels.project_bf16_encoded(w, &self.bias, x, stride, self.n_in, gates);
            }
            (GateWeights::I16(w, units), false) => {
                let blocks = self.n_blocks();
                let sizes = [stride, self.n_in, gates.len() / blocks];
                for_rounded(kernels, x, sizes, |first, x| {
                    let gates = &mut gates[first * blocks..][..x.units.len() * blocks];
                    kernels.project_i16(w, units, &self.bias, x.words, x.units, x.stride, self.n_in, gates);
                });
            }
            (GateWeights::I16(w, units), true) => {
                let x = bytemuck::must_cast_slice(x);
                kernels.project_i16(w, units, &self.bias, x, &[], stride, self.n_in, gates);
            }
        }
    }

    /// `sums = R h` of one window's state, as [`LstmLayer::last_step`] needs them; `zero` is a bias of zeros.
    pub(crate) fn recurrent_sums(
        &self,
        kernels: &Kernels,
        h: &[Lane],
        operand: &mut [Lane],
        zero: &[[Lane; 4]],
        sums: &mut [[Lane; 4]],
    ) {
        let stride = self.n_blocks() * LANES;
        match &self.recurrent {
            GateWeights::F32(w) => {
                kernels.project_f32(w, zero, bytemuck::must_cast_slice(h), stride, self.n_hidden, sums);
            }
            GateWeights::Bf16(w) => {
                kernels.encode_bf16(self.n_blocks(), h, operand);
                let x = bytemuck::must_cast_slice(operand);
                kernels.project_bf16_encoded(w, zero, x, stride, self.n_hidden, sums);
            }
            GateWeights::I16(w, units) => {
                kernels.encode_i16(self.n_blocks(), h, operand);
                let x = bytemuck::must_cast_slice(operand);
                kernels.project_i16(w, units, zero, x, &[], stride, self.n_hidden, sums);
            }
        }
    }

    /// The last step of one window from its row `x`, the recurrent sums known.
    pub(crate) fn last_step(&self, kernels: &Kernels, x: &[f32], step: LastStep<'_>) {
        let even = self.n_in.next_multiple_of(2);
        match (&self.input, self.stacked) {
            (GateWeights::F32(w), _) => kernels.last_step_f32(w, &self.bias, &x[..self.n_in], step),
            (GateWeights::Bf16(w), _) => {
                kernels.last_step_bf16_encoded(w, &self.bias, &x[..even], step);
            }
            (GateWeights::I16(w, units), false) => {
                with_rounded(kernels, &x[..self.n_in], |words, unit| {
                    kernels.last_step_i16(w, units, &self.bias, words, Some(unit), step);
                });
            }
            (GateWeights::I16(w, units), true) => {
                let x = bytemuck::must_cast_slice(&x[..even / 2]);
                kernels.last_step_i16(w, units, &self.bias, x, None, step);
            }
        }
    }

    /// Whether [`LstmLayer::last_step`] takes the layer's rows; those that pairs of bf16 read as they are, are projected first.
    pub(crate) fn takes_rows(&self) -> bool {
        self.stacked || !matches!(self.input, GateWeights::Bf16(_))
    }

    /// The last step of one window whose projected row is known as well, `gates = W x + b`.
    pub(crate) fn last_cells(&self, kernels: &Kernels, gates: &[[Lane; 4]], step: LastStep<'_>) {
        match &self.recurrent {
            GateWeights::F32(_) => kernels.last_cells_f32(gates, step),
            GateWeights::Bf16(_) => kernels.last_cells_bf16(gates, step),
            GateWeights::I16(..) => kernels.last_cells_i16(gates, step),
        }
    }

    /// Runs all steps from the state in `scratch`. `sequence` takes every step's output as `order` says, or is empty.
    pub(crate) fn recur(
        &self,
        kernels: &Kernels,
        scratch: LstmScratch<'_>,
        sequence: &mut [Lane],
        order: Order,
        n_batch: usize,
    ) {
        let LstmScratch { gates, c, h, operand } = scratch;
        let state = Recurrence {
            gates,
            c,
            h,
            sequence,
            raw: order != Order::Stacked,
            reverse: order == Order::Backward,
            operand,
            n_batch,
        };
        match &self.recurrent {
            GateWeights::F32(w) => kernels.recur_f32(w, self.n_hidden, state),
            GateWeights::Bf16(w) => kernels.recur_bf16(w, self.n_hidden, state),
            GateWeights::I16(w, units) => kernels.recur_i16(w, units, self.n_hidden, state),
        }
    }
}
