//! Where batches come from, and the order in which windows are seen.

use crate::data::context_batches::ContextBatches;
use crate::data::window::Batches;
use crate::random;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A set of windows with labels; filled by several threads at once.
pub trait BatchSource: Sync {
    /// Number of windows.
    fn len(&self) -> usize;

    /// Labels of a window, over all its answered steps: `[steps, label columns]` row-major. One unless said.
    fn n_labels(&self) -> usize {
        1
    }

    /// When the answer to a window is due, ns; windows of one time form one return of a portfolio. Absent where windows have
    /// no time: each is then a date of its own.
    fn decision_ns(&self, _window: usize) -> Option<i64> {
        None
    }

    /// Told before every epoch of training; what is drawn by chance beside a window may then change.
    fn begin_epoch(&self, _epoch: usize) {}

    /// Writes the windows `indices` time-major, `x [rows, indices.len(), n_features]`, and their labels
    /// `y [indices.len(), n_labels]`. Every value is to be written.
    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]);

    /// Whether there are no windows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl BatchSource for Batches {
    fn len(&self) -> usize {
        self.len()
    }

    fn n_labels(&self) -> usize {
        self.n_labels()
    }

    fn decision_ns(&self, window: usize) -> Option<i64> {
        Some(self.decision_ns(window))
    }

    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]) {
        self.fill(indices, x, y);
    }
}

impl BatchSource for ContextBatches<'_> {
    fn len(&self) -> usize {
        self.len()
    }

    fn n_labels(&self) -> usize {
        self.n_labels()
    }

    fn decision_ns(&self, window: usize) -> Option<i64> {
        Some(self.decision_ns(window))
    }

    fn begin_epoch(&self, epoch: usize) {
        self.begin_epoch(epoch);
    }

    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]) {
        self.fill(indices, x, y);
    }
}

/// Order of the windows in one epoch: a Fisher-Yates shuffle keyed by (seed, epoch), or as they come.
#[must_use]
pub fn epoch_order(len: usize, seed: u64, epoch: usize, shuffle: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    if shuffle {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Stream 0 and up belong to the parameters' start values.
        rng.set_stream((1 << 63) | epoch as u64);
        random::shuffle(&mut rng, &mut order);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_seen_once_per_epoch() {
        let mut order = epoch_order(1000, 3, 5, true);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_alone() {
        assert_eq!(epoch_order(50, 3, 5, true), epoch_order(50, 3, 5, true));
        assert_ne!(epoch_order(50, 3, 5, true), epoch_order(50, 3, 6, true));
        assert_ne!(epoch_order(50, 3, 5, true), epoch_order(50, 4, 5, true));
        assert_eq!(epoch_order(4, 3, 5, false), [0, 1, 2, 3]);
    }
}
