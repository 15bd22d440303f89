//! Learning rates over a run: constant, plateau, cosine with warm-up, one-cycle; formulas of `torch.optim.lr_scheduler`.
//!
//! Rates by step are functions of the step alone, `step` counted from 0 over the whole run; the plateau rule keeps state
//! and moves once per epoch. The configured rate is the constant, the start of the plateau, and the peak of the others.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Which rule, with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The configured rate throughout.
    #[default]
    Constant,
    /// Multiply by `factor` when the monitored metric has not improved for more than `patience` epochs.
    Plateau {
        /// Multiplier, in (0, 1).
        #[serde(default = "defaults::factor")]
        factor: f64,
        /// Epochs without improvement that are tolerated.
        #[serde(default = "defaults::patience")]
        patience: u32,
        /// Relative improvement that counts.
        #[serde(default = "defaults::threshold")]
        threshold: f64,
        /// Epochs after a reduction that do not count.
        #[serde(default)]
        cooldown: u32,
        /// Lowest rate.
        #[serde(default)]
        min_lr: f64,
    },
    /// Linear from `warmup_start` times the rate over `warmup_steps`, then half a cosine down to `min_lr` at the last step.
    Cosine {
        /// Steps of the warm-up; 0 for none.
        #[serde(default)]
        warmup_steps: u64,
        /// Share of the rate at step 0 of the warm-up.
        #[serde(default = "defaults::warmup_start")]
        warmup_start: f64,
        /// Rate at the end.
        #[serde(default)]
        min_lr: f64,
    },
    /// Smith's one-cycle policy in two cosine phases; the first moment's decay runs the other way.
    OneCycle {
        /// Share of the steps that rise.
        #[serde(default = "defaults::pct_start")]
        pct_start: f64,
        /// Peak over start.
        #[serde(default = "defaults::div_factor")]
        div_factor: f64,
        /// Start over end.
        #[serde(default = "defaults::final_div_factor")]
        final_div_factor: f64,
        /// Whether `beta1` runs from 0.95 down to 0.85 and back.
        #[serde(default = "defaults::cycle_momentum")]
        cycle_momentum: bool,
    },
}

mod defaults {
    pub(super) fn factor() -> f64 {
        0.1
    }
    pub(super) fn patience() -> u32 {
        10
    }
    pub(super) fn threshold() -> f64 {
        1e-4
    }
    pub(super) fn warmup_start() -> f64 {
        0.1
    }
    pub(super) fn pct_start() -> f64 {
        0.3
    }
    pub(super) fn div_factor() -> f64 {
        25.0
    }
    pub(super) fn final_div_factor() -> f64 {
        1e4
    }
    pub(super) fn cycle_momentum() -> bool {
        true
    }
}

impl ScheduleConfig {
    /// Checks ranges.
    ///
    /// # Errors
    /// The first key out of range, with what was expected and found.
    pub fn validate(&self) -> Result<(), String> {
        let share = |key: &str, x: f64| {
            let inside = x > 0.0 && x < 1.0;
            inside
                .then_some(())
                .ok_or_else(|| format!("schedule.{key}: expected a number in (0, 1), found {x}"))
        };
        let floor = |x: f64| {
            let fine = x >= 0.0 && x.is_finite();
            fine.then_some(())
                .ok_or_else(|| format!("schedule.min_lr: expected 0 or more, found {x}"))
        };
        match *self {
            Self::Constant => Ok(()),
            Self::Plateau { factor, min_lr, .. } => share("factor", factor).and(floor(min_lr)),
            Self::Cosine {
                warmup_start, min_lr, ..
            } => share("warmup_start", warmup_start).and(floor(min_lr)),
            Self::OneCycle {
                pct_start,
                div_factor,
                final_div_factor,
                ..
            } => share("pct_start", pct_start)
                .and(share("div_factor^-1", div_factor.recip()))
                .and(share("final_div_factor^-1", final_div_factor.recip())),
        }
    }
}

/// Learning rate and, where the schedule moves it, `beta1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment when the schedule sets it.
    pub beta1: Option<f64>,
}

/// A schedule under way; everything it remembers is in [`PlateauState`].
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    config: ScheduleConfig,
    base_lr: f64,
    total_steps: u64,
    /// What the plateau rule remembers.
    pub state: PlateauState,
}

/// Memory of the plateau rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// Present rate.
    pub lr: f64,
    /// Best metric so far.
    pub best: Option<f64>,
    /// Epochs since.
    pub bad_epochs: u32,
    /// Epochs left in which nothing counts.
    pub cooldown_left: u32,
}

impl Schedule {
    /// A schedule from rate `base_lr` over `total_steps` optimiser steps.
    #[must_use]
    pub fn new(config: ScheduleConfig, base_lr: f64, total_steps: u64) -> Self {
        let state = PlateauState {
            lr: base_lr,
            best: None,
            bad_epochs: 0,
            cooldown_left: 0,
        };
        Self {
            config,
            base_lr,
            total_steps,
            state,
        }
    }

    /// Rates of optimiser step `step`, counted from 0.
    #[must_use]
    pub fn rates(&self, step: u64) -> Rates {
        let fixed = |lr| Rates { lr, beta1: None };
        match self.config {
            ScheduleConfig::Constant => fixed(self.base_lr),
            ScheduleConfig::Plateau { .. } => fixed(self.state.lr),
            ScheduleConfig::Cosine {
                warmup_steps,
                warmup_start,
                min_lr,
            } => fixed(self.cosine(step, warmup_steps, warmup_start, min_lr)),
            ScheduleConfig::OneCycle {
                pct_start,
                div_factor,
                final_div_factor,
                cycle_momentum,
            } => self.one_cycle(step, pct_start, [div_factor, final_div_factor], cycle_momentum),
        }
    }

    fn cosine(&self, step: u64, warmup: u64, start: f64, min_lr: f64) -> f64 {
        if step < warmup {
            return self.base_lr * (start + (1.0 - start) * step as f64 / warmup as f64);
        }
        let length = self.total_steps.saturating_sub(warmup).max(1);
        let share = (step - warmup).min(length) as f64 / length as f64;
        anneal(self.base_lr, min_lr, share)
    }

    fn one_cycle(&self, step: u64, pct_start: f64, divisors: [f64; 2], cycle_momentum: bool) -> Rates {
        let start = self.base_lr / divisors[0];
        let end = start / divisors[1];
        let peak_step = pct_start * self.total_steps as f64 - 1.0;
        let last_step = self.total_steps as f64 - 1.0;
        let step = (step as f64).min(last_step);
        let (high, low) = (0.95, 0.85);
        let (lr, beta1) = if step <= peak_step {
            let share = step / peak_step;
            (anneal(start, self.base_lr, share), anneal(high, low, share))
        } else {
            let share = (step - peak_step) / (last_step - peak_step);
            (anneal(self.base_lr, end, share), anneal(low, high, share))
        };
        Rates {
            lr,
            beta1: cycle_momentum.then_some(beta1),
        }
    }

    /// Tells the schedule the monitored metric at the end of an epoch; `larger_is_better` is its direction.
    pub fn on_epoch(&mut self, metric: f64, larger_is_better: bool) {
        let ScheduleConfig::Plateau {
            factor,
            patience,
            threshold,
            cooldown,
            min_lr,
        } = self.config
        else {
            return;
        };
        let state = &mut self.state;
        let better = match state.best {
            None => !metric.is_nan(),
            Some(best) if larger_is_better => metric > best * (1.0 + threshold),
            Some(best) => metric < best * (1.0 - threshold),
        };
        state.bad_epochs = if better { 0 } else { state.bad_epochs + 1 };
        if better {
            state.best = Some(metric);
        }
        if state.cooldown_left > 0 {
            state.cooldown_left -= 1;
            state.bad_epochs = 0;
        }
        if state.bad_epochs > patience {
            let reduced = (state.lr * factor).max(min_lr);
            // PyTorch's `eps`: a smaller change is not made.
            if state.lr - reduced > 1e-8 {
                state.lr = reduced;
            }
            state.cooldown_left = cooldown;
            state.bad_epochs = 0;
        }
    }
}

/// Half a cosine from `from` to `to`.
fn anneal(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_starts_at_the_peak_after_warming_up_and_ends_at_the_floor() {
        let config = ScheduleConfig::Cosine {
            warmup_steps: 10,
            warmup_start: 0.1,
            min_lr: 1e-5,
        };
        let s = Schedule::new(config, 1e-3, 110);
        assert!((s.rates(0).lr - 1e-4).abs() < 1e-12);
        assert!((s.rates(10).lr - 1e-3).abs() < 1e-12);
        assert!((s.rates(60).lr - 5.05e-4).abs() < 1e-12);
        assert!((s.rates(110).lr - 1e-5).abs() < 1e-12);
    }

    #[test]
    fn a_metric_that_stays_nan_counts_as_no_improvement() {
        let config = ScheduleConfig::Plateau {
            factor: 0.5,
            patience: 1,
            threshold: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
        };
        let mut s = Schedule::new(config, 1.0, 10);
        for _ in 0..2 {
            s.on_epoch(f64::NAN, false);
        }
        assert_eq!(s.rates(0).lr, 0.5);
    }

    #[test]
    fn constants_out_of_range_are_named() {
        let config = ScheduleConfig::Plateau {
            factor: 1.5,
            patience: 1,
            threshold: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
        };
        assert!(config.validate().unwrap_err().contains("schedule.factor"));
        assert!(ScheduleConfig::Constant.validate().is_ok());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let parse = |text: &str| toml::from_str::<ScheduleConfig>(text);
        assert!(parse("kind = \"one_cycle\"").is_ok());
        assert!(parse("kind = \"one_cycle\"\nfinal = 3").is_err());
    }
}
