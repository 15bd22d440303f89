//! The comparison itself: loss and gradients of a first step in f64, losses of ten steps in f32.

use crate::fixture::Tensors;
use crate::labels::slopes;
use tickfuse_train::nets::Net;
use tickfuse_train::ops::real::Real;
use tickfuse_train::optim::adamw::{AdamW, AdamWConfig};
use tickfuse_train::optim::clip::clip_norm;
use tickfuse_train::tape::engine::Graph;
use tickfuse_train::tape::params::{Gradients, Params};
use tickfuse_train::tape::{Mode, Tape, Var};

/// A batch and what is asked of the net's answers to it.
pub(crate) struct Case<'a, N> {
    pub(crate) name: &'a str,
    pub(crate) net: &'a N,
    pub(crate) file: &'a Tensors,
    /// `[n_rows, batch, n_features]`.
    pub(crate) x: Vec<f64>,
    pub(crate) loss: &'a dyn Fn(&[f64]) -> f64,
    pub(crate) loss_tolerance: f64,
    pub(crate) optimiser: Optimiser,
}

pub(crate) struct Optimiser {
    pub(crate) lr: f64,
    pub(crate) weight_decay: f64,
    pub(crate) clip_norm: Option<f64>,
}

/// Puts the net's answers on the tape: the ordinary pass, or one with lengths.
pub(crate) trait Answer<N> {
    fn answer<R: Real>(&self, net: &N, graph: &mut Graph<'_, R>, x: Var) -> Var;
}

impl<N: Net> Case<'_, N> {
    /// Loss and gradients of one step.
    fn step<R: Real>(
        &self,
        params: &Params<R>,
        tape: &mut Tape<R>,
        how: &impl Answer<N>,
    ) -> (f64, Gradients<R>) {
        tape.begin(Mode {
            training: true,
            ..Mode::default()
        });
        let x: Vec<R> = self.x.iter().map(|&x| R::from_f64(x)).collect();
        let (rows, width) = (self.net.n_rows(), self.net.n_features());
        let input = tape.input(&[rows, x.len() / (rows * width), width], &x);
        let out = how.answer(self.net, &mut Graph { tape, params }, input);
        let values: Vec<f64> = tape.value(out).iter().map(|x| x.to_f64()).collect();
        let slopes = slopes(&values, self.loss).into_iter();
        let scalar = tape.weighted_sum(out, &slopes.map(R::from_f64).collect::<Vec<R>>());
        let mut grads = Gradients::zeros(self.net.layout());
        tape.backward(scalar, params, &mut grads);
        ((self.loss)(&values), grads)
    }

    pub(crate) fn compare(&self, how: &impl Answer<N>) {
        let expected = self.file.values("losses");
        let params = self.file.params::<f64>(self.net, "w.");
        let (loss, grads) = self.step(&params, &mut Tape::default(), how);
        let error = (loss - expected[0]).abs() / expected[0].abs().max(1.0);
        assert!(
            error < 1e-7,
            "{}: loss {loss}, PyTorch {}",
            self.name,
            expected[0]
        );
        self.gradients_agree(&grads);
        self.ten_steps_agree(&expected, how);
    }

    /// Gradients are relative to the largest of their tensor; those that are zero but for rounding, to the largest of all.
    fn gradients_agree(&self, grads: &Gradients<f64>) {
        assert_eq!(
            grads.untouched().count(),
            0,
            "{}: {:?}",
            self.name,
            grads.untouched().next()
        );
        let of_all = grads.data().iter().fold(0.0f64, |m, g| m.max(g.abs()));
        for tensor in grads.tensors() {
            let expected = self.file.values(&format!("g.{}", tensor.name));
            assert_eq!(expected.len(), tensor.data.len(), "{}", tensor.name);
            let largest = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            let bound = (2e-6 * largest).max(1e-8 * of_all);
            for (i, (found, expected)) in tensor.data.iter().zip(&expected).enumerate() {
                assert!(
                    (found - expected).abs() <= bound,
                    "{}: {}[{i}]: {found}, PyTorch {expected}, bound {bound}",
                    self.name,
                    tensor.name
                );
            }
        }
    }

    fn ten_steps_agree(&self, expected: &[f64], how: &impl Answer<N>) {
        let config = AdamWConfig {
            weight_decay: self.optimiser.weight_decay,
            ..AdamWConfig::default()
        };
        let mut params = self.file.params::<f32>(self.net, "w.");
        let (mut adam, mut tape) = (AdamW::new(config, self.net.layout()), Tape::default());
        for (step, expected) in expected.iter().enumerate() {
            let (loss, mut grads) = self.step(&params, &mut tape, how);
            let error = (loss - expected).abs() / expected.abs().max(1.0);
            assert!(
                error <= self.loss_tolerance,
                "{}, step {step}: loss {loss}, PyTorch {expected}",
                self.name
            );
            clip_norm(grads.data_mut(), self.optimiser.clip_norm);
            adam.update(&mut params, grads.data(), self.optimiser.lr, None);
        }
    }
}
