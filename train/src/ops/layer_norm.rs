//! Layer normalisation over the last axis: `y = x̂ ⊙ w + b`, `x̂ = (x - mean) / sqrt(variance + eps)`, biased variance.
//!
//! Backward, per row with `d = dy ⊙ w`: `dx = (d - mean(d) - x̂ mean(d x̂)) / sqrt(variance + eps)`, `dw += Σ dy x̂`, `db += Σ dy`.
//! (Ba, Kiros and Hinton 2016.) `eps` is 1e-5 in `PyTorch`, 1e-3 in Keras.

use super::real::Real;
use super::rows::{normalise, normalise_back, vectorised};
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// Gain and bias of a layer norm, each `[n]`, and what is added to the variance.
#[derive(Debug, Clone, Copy)]
pub struct NormParams {
    /// Gain.
    pub weight: ParamId,
    /// Bias.
    pub bias: ParamId,
    /// Added to the variance.
    pub eps: f64,
}

/// What the way back needs: `x̂ [rows, n]` and `1 / σ [rows]`.
pub(super) struct Normal<R> {
    pub(super) values: Vec<R>,
    pub(super) scales: Vec<R>,
}

impl NormParams {
    /// Normalises the rows of `v` and writes `y`; panics when the widths differ.
    pub(super) fn forward<R: Real>(
        &self,
        tape: &mut Tape<R>,
        params: &Params<R>,
        mut v: Vec<R>,
    ) -> (Vec<R>, Normal<R>) {
        let (w, b) = (params.values(self.weight), params.values(self.bias));
        assert!(v.len().is_multiple_of(w.len()), "layer norm of width {}", w.len());
        let eps = R::from_f64(self.eps);
        let mut scales = tape.pool.take(v.len() / w.len());
        let mut out = tape.pool.take(v.len());
        vectorised(
            #[inline(always)]
            || {
                let rows = v.chunks_exact_mut(w.len()).zip(out.chunks_exact_mut(w.len()));
                for ((v, out), scale) in rows.zip(&mut scales) {
                    *scale = normalise(v, eps);
                    for k in 0..w.len() {
                        out[k] = v[k] * w[k] + b[k];
                    }
                }
            },
        );
        (out, Normal { values: v, scales })
    }

    /// The gradient of the rows before normalisation, from that of the answer; adds to those of gain and bias.
    pub(super) fn backward<R: Real>(&self, dy: &[R], saved: &[Vec<R>], pass: &mut Pass<'_, R>) -> Vec<R> {
        let [values, scales] = saved else {
            unreachable!("forward saves two buffers")
        };
        let w = pass.params.values(self.weight);
        let n = w.len();
        let mut dx = pass.tape.pool.take(dy.len());
        let mut sums = pass.tape.pool.take_zeroed(2 * n);
        vectorised(
            #[inline(always)]
            || {
                let blocks = dy.chunks(64 * n).zip(values.chunks(64 * n));
                let blocks = blocks.zip(dx.chunks_mut(64 * n).zip(scales.chunks(64)));
                let mut part = vec![R::ZERO; 2 * n];
                for ((dy, values), (dx, scales)) in blocks {
                    part.fill(R::ZERO);
                    let (dw, db) = part.split_at_mut(n);
                    let rows = dy.chunks_exact(n).zip(values.chunks_exact(n));
                    for ((dy, x), (dx, &scale)) in rows.zip(dx.chunks_exact_mut(n).zip(scales)) {
                        for k in 0..n {
                            dw[k] += dy[k] * x[k];
                            db[k] += dy[k];
                            dx[k] = dy[k] * w[k];
                        }
                        normalise_back(dx, x, scale);
                    }
                    sums.iter_mut().zip(&part).for_each(|(sum, &x)| *sum += x);
                }
            },
        );
        let (dw, db) = sums.split_at(n);
        for (id, d) in [(self.weight, dw), (self.bias, db)] {
            pass.grads
                .add_to(id)
                .iter_mut()
                .zip(d)
                .for_each(|(g, &d)| *g += d);
        }
        pass.tape.pool.give(sums);
        dx
    }
}

struct LayerNorm {
    x: Var,
    norm: NormParams,
}

impl<R: Real> Tape<R> {
    /// Layer normalisation over the last axis.
    ///
    /// # Panics
    /// When the last axis of `x` is not the width of the gain, with both.
    pub fn layer_norm(&mut self, params: &Params<R>, x: Var, norm: NormParams) -> Var {
        let shape = self.shape(x).to_vec();
        let n = params.values(norm.weight).len();
        assert_eq!(
            shape.last(),
            Some(&n),
            "layer norm: width of {shape:?} and of the gain"
        );
        let mut v = self.pool.take(self.value(x).len());
        v.copy_from_slice(self.value(x));
        let (out, normal) = norm.forward(self, params, v);
        let saved = vec![normal.values, normal.scales];
        self.push(Node::behind(&shape, out, 0, saved).with_op(true, LayerNorm { x, norm }))
    }
}

impl<R: Real> Backward<R> for LayerNorm {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let dx = self.norm.backward(&grad.data, &node.saved, pass);
        pass.tape.give_grad(self.x, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    fn declare(layout: &mut Layout, n: usize, eps: f64) -> NormParams {
        NormParams {
            weight: layout.declare("weight", &[n], Init::Uniform(1.0)),
            bias: layout.declare("bias", &[n], Init::Uniform(1.0)),
            eps,
        }
    }

    #[test]
    fn input_gain_and_bias_match_central_differences() {
        for (rows, n) in [(3, 1), (70, 5), (4, 19)] {
            let mut layout = Layout::default();
            let x = layout.declare("x", &[rows, n], Init::Uniform(1.0));
            let norm = declare(&mut layout, n, 1e-3);
            let weights: Vec<f64> = (0..rows * n).map(|i| (i as f64 * 0.7).sin()).collect();
            let check = check_gradients(&Arc::new(layout), 9, Mode::default(), |tape, params| {
                let x = tape.param(params, x);
                let y = tape.layer_norm(params, x, norm);
                let y = tape.tanh(y);
                tape.weighted_sum(y, &weights)
            });
            assert_gradients(&check, 1e-7);
        }
    }

    #[test]
    fn eps_is_added_to_the_variance() {
        let mut layout = Layout::default();
        let norm = declare(&mut layout, 2, 3.0);
        let mut params = Params::<f64>::init(&Arc::new(layout), 0);
        params.set("weight", &[1.0, 2.0]);
        params.set("bias", &[0.0, 0.5]);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.input(&[1, 2], &[1.0, 3.0]);
        let y = tape.layer_norm(&params, x, norm);
        assert_eq!(tape.value(y), [-0.5, 1.5]);
    }
}
