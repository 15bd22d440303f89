//! Seed 002's form: one encoder for target and contexts, only the last target step is predicted.

use super::contexts::Encoded;
use super::encoder::EntityLstm;
use super::{Buffers, Job};
use crate::bundle::XtrendHead;
use crate::kernels::Kernels;
use crate::layers::{Attention, Linear, Norm, Selection, take};
use crate::simd::{LANES, Lane};

/// Smallest deviation of a Gaussian position.
const SIGMA_FLOOR: f64 = 1e-6;

/// The opened net.
pub(super) struct Shared {
    pub(super) selection: Selection,
    pub(super) lstm: EntityLstm,
    pub(super) lstm_norm: Norm,
    pub(super) self_attention: Attention,
    pub(super) norm1: Norm,
    pub(super) cross_attention: Attention,
    pub(super) norm2: Norm,
    pub(super) decoder: Linear,
    pub(super) decoder_norm: Norm,
    pub(super) position: Linear,
    /// Of `[decoded | position's hidden layer]` to position, mean and logarithm of the deviation.
    pub(super) output: Linear,
    pub(super) head: XtrendHead,
}

impl Shared {
    pub(super) fn n_scratch(&self, rows: usize, n_contexts: usize) -> usize {
        let lanes = self.selection.lanes;
        let attention = self
            .self_attention
            .n_scratch(n_contexts, self.self_attention.row_lanes());
        let decoder = 2 * lanes + 2 * lanes + 3 * lanes;
        [
            self.selection.n_scratch(),
            self.lstm.n_scratch(rows),
            attention,
            decoder,
        ]
        .into_iter()
        .max()
        .unwrap_or(0)
            + 2 * n_contexts * self.self_attention.row_lanes()
    }

    /// The normalised last state of a series.
    pub(super) fn encode(&self, kernels: &Kernels, job: Job<'_>, work: &mut Buffers, out: &mut [Lane]) {
        let lanes = self.selection.lanes;
        let n = job.n_rows * lanes;
        let weights = &mut work.weights[0][..job.n_rows * self.selection.weight_lanes()];
        let [selected, states, _] = &mut work.rows;
        let (selected, states) = (&mut selected[..n], &mut states[..n]);
        self.selection.forward(
            kernels,
            job.rows,
            Some(job.entity_row),
            &mut work.scratch,
            weights,
            selected,
        );
        self.lstm
            .forward(kernels, selected, job.entity, &mut work.scratch, states);
        out.copy_from_slice(&states[n - lanes..]);
        self.lstm_norm.forward(kernels, out);
    }

    /// Keys and values of the cross attention from the contexts' last states, `norm1(V + SelfAtt(V, V, V))`.
    pub(super) fn mix(&self, kernels: &Kernels, states: &[Lane], work: &mut Buffers) -> Encoded {
        let lanes = self.selection.lanes;
        let n = states.len() / lanes;
        let mut scratch = &mut work.scratch[..];
        let per_row = self.self_attention.row_lanes();
        let (keys, values) = (take(&mut scratch, n * per_row), take(&mut scratch, n * per_row));
        self.self_attention.project(kernels, states, states, keys, values);
        let seen = self.self_attention.keys(keys, values, n);
        let mut weights = alloc::vec![0.0; n * self.self_attention.n_heads * n];
        let mut mixed = alloc::vec![Lane::ZERO; states.len()];
        self.self_attention
            .forward(kernels, states, |_| seen, &mut weights, scratch, &mut mixed);
        kernels.add_norm_rows(self.norm1.weights(), states, &mut mixed);
        Encoded::new(kernels, &self.cross_attention, states, &mixed, 1)
    }

    /// The answer of one window.
    pub(super) fn run(&self, kernels: &Kernels, job: Job<'_>, contexts: &Encoded, work: &mut Buffers) {
        let lanes = self.selection.lanes;
        let mut both = core::mem::take(&mut work.pair);
        let (query, attended) = both.split_at_mut(lanes);
        self.encode(kernels, job, work, query);
        let seen = contexts.of_step(&self.cross_attention, 0);
        let weights = &mut work.attention[..self.cross_attention.n_heads * contexts.n];
        self.cross_attention
            .forward(kernels, query, |_| seen, weights, &mut work.scratch, attended);
        kernels.add_norm_rows(self.norm2.weights(), query, attended);
        let mut scratch = &mut work.scratch[..];
        let narrow = self.position.n_lanes();
        let joined = take(&mut scratch, lanes + narrow);
        let (decoded, hidden) = joined.split_at_mut(lanes);
        self.decoder.forward_lanes(kernels, &both, decoded);
        kernels.elu(bytemuck::must_cast_slice_mut(decoded));
        self.decoder_norm.forward(kernels, decoded);
        self.position.forward_lanes(kernels, decoded, hidden);
        kernels.elu(bytemuck::must_cast_slice_mut(hidden));
        self.output.forward_lanes(kernels, joined, &mut work.head);
        if self.head == XtrendHead::Gaussian {
            let [_, mean, log_sigma, ..]: [f32; LANES] = work.head[0].0;
            work.head[0].0[0] = gaussian_position(mean, log_sigma);
        }
        work.pair = both;
    }
}

/// `2 Phi(mean / sigma) - 1`, NaN for NaN (`max` alone would hide one).
fn gaussian_position(mean: f32, log_sigma: f32) -> f32 {
    if log_sigma.is_nan() {
        return f32::NAN;
    }
    let sigma = libm::exp(f64::from(log_sigma)).max(SIGMA_FLOOR);
    libm::erf(f64::from(mean) / sigma * core::f64::consts::FRAC_1_SQRT_2) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_one_deviation_is_68_percent_and_deviations_have_a_floor() {
        assert!((gaussian_position(1.0, 0.0) - 0.682_689_5).abs() < 1e-7);
        assert_eq!(gaussian_position(-1.0, -40.0), -1.0);
        assert!((gaussian_position(1e-6, f32::NEG_INFINITY) - 0.682_689_5).abs() < 1e-7);
    }

    #[test]
    fn a_position_without_numbers_is_no_number() {
        assert!(gaussian_position(f32::NAN, 0.0).is_nan());
        assert!(gaussian_position(1.0, f32::NAN).is_nan());
    }
}
