//! `AdamW`: Adam with decoupled weight decay (Loshchilov and Hutter 2019), in `PyTorch`'s order of operations.
//!
//! `p *= 1 - η λ` · `m += (1 - β1)(g - m)` · `v = β2 v + (1 - β2) g²` · `p -= η / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε)`.

use crate::tape::params::{Layout, Params};
use serde::{Deserialize, Serialize};

/// Constants of the optimiser; defaults are `PyTorch`'s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, per unit of learning rate.
    pub weight_decay: f64,
    /// Whether one-dimensional parameters (biases, gains) decay too.
    pub decay_vectors: bool,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            decay_vectors: true,
        }
    }
}

/// Moments of every parameter value, and the number of steps taken.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    config: AdamWConfig,
    /// Mean of gradients.
    pub m: Vec<f32>,
    /// Mean of squared gradients.
    pub v: Vec<f32>,
    /// Steps taken.
    pub step: u64,
}

impl AdamW {
    /// Zero moments for `layout`.
    #[must_use]
    pub fn new(config: AdamWConfig, layout: &Layout) -> Self {
        Self {
            config,
            m: vec![0.0; layout.n_values()],
            v: vec![0.0; layout.n_values()],
            step: 0,
        }
    }

    /// One step with learning rate `lr`; `beta1` may follow a schedule.
    ///
    /// # Panics
    /// When `gradients` has another length than the parameters.
    pub fn update(&mut self, params: &mut Params<f32>, gradients: &[f32], lr: f64, beta1: Option<f64>) {
        assert_eq!(
            gradients.len(),
            params.data().len(),
            "gradients of the parameters"
        );
        self.step += 1;
        let beta1 = beta1.unwrap_or(self.config.beta1);
        let t = self.step as f64;
        let rates = Rates {
            keep: 1.0,
            gain1: (1.0 - beta1) as f32,
            beta2: self.config.beta2 as f32,
            gain2: (1.0 - self.config.beta2) as f32,
            root: (1.0 - self.config.beta2.powf(t)).sqrt() as f32,
            eps: self.config.eps as f32,
            size: (lr / (1.0 - beta1.powf(t))) as f32,
        };
        let layout = std::sync::Arc::clone(params.layout());
        for spec in layout.specs() {
            let decays = self.config.decay_vectors || !spec.is_vector();
            let decay = if decays {
                lr * self.config.weight_decay
            } else {
                0.0
            };
            let rates = Rates {
                keep: (1.0 - decay) as f32,
                ..rates
            };
            let range = spec.range();
            let (m, v) = (&mut self.m[range.clone()], &mut self.v[range.clone()]);
            rates.apply(&mut params.data_mut()[range.clone()], &gradients[range], m, v);
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Rates {
    keep: f32,
    gain1: f32,
    beta2: f32,
    gain2: f32,
    root: f32,
    eps: f32,
    size: f32,
}

impl Rates {
    fn apply(self, params: &mut [f32], gradients: &[f32], m: &mut [f32], v: &mut [f32]) {
        let moments = m.iter_mut().zip(v);
        for ((p, &g), (m, v)) in params.iter_mut().zip(gradients).zip(moments) {
            *m += self.gain1 * (g - *m);
            *v = self.beta2 * *v + self.gain2 * g * g;
            *p = *p * self.keep - self.size * (*m / (v.sqrt() / self.root + self.eps));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::params::Init;
    use std::sync::Arc;

    fn one(config: AdamWConfig) -> (Params<f32>, AdamW) {
        let mut layout = Layout::default();
        layout.declare("weight", &[1, 1], Init::Constant(1.0));
        layout.declare("bias", &[1], Init::Constant(1.0));
        let layout = Arc::new(layout);
        (Params::init(&layout, 0), AdamW::new(config, &layout))
    }

    #[test]
    fn the_first_step_moves_by_the_rate_against_the_sign() {
        let (mut params, mut adam) = one(AdamWConfig {
            weight_decay: 0.0,
            ..AdamWConfig::default()
        });
        adam.update(&mut params, &[0.5, -2.0], 0.1, None);
        assert!((params.data()[0] - 0.9).abs() < 1e-6 && (params.data()[1] - 1.1).abs() < 1e-6);
    }

    #[test]
    fn decay_is_decoupled_and_spares_vectors_on_request() {
        let (mut params, mut adam) = one(AdamWConfig {
            weight_decay: 0.5,
            decay_vectors: false,
            ..AdamWConfig::default()
        });
        adam.update(&mut params, &[0.0, 0.0], 0.1, None);
        assert_eq!(params.data(), [0.95, 1.0]);
    }

    #[test]
    fn two_steps_follow_the_formula_in_f64() {
        let (mut params, mut adam) = one(AdamWConfig::default());
        let (mut p, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for (t, g) in [(1, 0.3f64), (2, -0.1)] {
            adam.update(&mut params, &[g as f32, 0.0], 0.01, None);
            p *= 1.0 - 0.01 * 0.01;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            p -= 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
        }
        assert!((f64::from(params.data()[0]) - p).abs() < 1e-6);
    }
}
