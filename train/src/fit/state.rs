//! Where a fit stands, and what it tells whoever watches.

use super::config::Monitor;
use crate::metrics::scores::{Baselines, Scores};
use crate::optim::schedule::PlateauState;
use serde::{Deserialize, Serialize};

/// Everything besides tensors that a run needs to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitState {
    /// Epoch under way, from 0.
    pub epoch: usize,
    /// Steps done in it.
    pub step_in_epoch: usize,
    /// Optimiser steps done over the whole run.
    pub step: u64,
    /// Sum of the losses of this epoch's windows.
    pub loss_sum: f64,
    /// Windows in that sum.
    pub windows: usize,
    /// Memory of the plateau schedule.
    pub plateau: PlateauState,
    /// Memory of early stopping.
    pub early: EarlyStop,
    /// Weight of the positive class in use.
    pub pos_weight: f64,
    /// Share of positive labels in the training set; the mean of all labels where they are not binary.
    pub train_rate: f64,
    /// Statistics of the training labels that metrics are held against.
    pub baselines: Baselines,
    /// Finished epochs.
    pub history: Vec<EpochReport>,
}

/// Memory of early stopping.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// Best value of the monitored metric.
    pub best: Option<f64>,
    /// Epoch it was reached in.
    pub best_epoch: usize,
    /// Epochs since.
    pub stale: usize,
}

impl EarlyStop {
    /// Takes the metric of `epoch` and says whether it is the best so far, by more than `min_delta`.
    pub fn improved(&mut self, value: f64, epoch: usize, monitor: Monitor, min_delta: f64) -> bool {
        let better = match self.best {
            None => true,
            Some(best) if monitor.larger_is_better() => value > best + min_delta,
            Some(best) => value < best - min_delta,
        };
        if better {
            (self.best, self.best_epoch, self.stale) = (Some(value), epoch, 0);
        } else {
            self.stale += 1;
        }
        better
    }
}

/// One finished optimiser step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Steps done in the epoch.
    pub step_in_epoch: usize,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// Mean loss of the batch.
    pub loss: f64,
    /// Mean loss of the epoch so far.
    pub mean_loss: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Norm of the gradients before clipping.
    pub gradient_norm: f64,
}

/// One finished epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochReport {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Optimiser steps so far.
    pub step: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Mean training loss over the epoch, dropout active.
    pub train_loss: f64,
    /// Validation loss with the training's `pos_weight`.
    pub valid_loss: f64,
    /// Validation metrics with baselines.
    pub valid: Scores,
    /// Which metric decides.
    pub monitor: Monitor,
    /// Its value.
    pub value: f64,
    /// Whether it is the best so far.
    pub best: bool,
}

/// Told about a run while it goes on; called on the thread that runs the fit.
pub trait Observer {
    /// After every optimiser step.
    fn on_step(&mut self, _report: &StepReport) {}

    /// After every epoch.
    fn on_epoch(&mut self, _report: &EpochReport) {}
}

/// Watches nothing.
impl Observer for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn improvement_follows_the_direction_and_the_margin() {
        let mut early = EarlyStop::default();
        assert!(early.improved(0.7, 0, Monitor::ValidLoss, 0.01));
        assert!(!early.improved(0.695, 1, Monitor::ValidLoss, 0.01));
        assert!(!early.improved(f64::NAN, 2, Monitor::ValidLoss, 0.01));
        assert_eq!(early.stale, 2);
        assert!(early.improved(0.68, 3, Monitor::ValidLoss, 0.01));
        assert_eq!((early.best, early.best_epoch, early.stale), (Some(0.68), 3, 0));
        let mut early = EarlyStop::default();
        assert!(early.improved(0.5, 0, Monitor::Auc, 0.0));
        assert!(!early.improved(0.5, 1, Monitor::Auc, 0.0));
        assert!(early.improved(0.6, 2, Monitor::Auc, 0.0));
    }
}
