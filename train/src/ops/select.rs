//! The sum of a variable selection: `y = Σ_j w_j v_j`; weights `w [.., V]`, parts `v_j [.., n]`.
//!
//! Backward: `dv_j = w_j dy`, `dw_j = v_j · dy`.

use super::real::Real;
use super::rows::{dot, vectorised};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Select {
    weights: Var,
    parts: Vec<Var>,
}

impl<R: Real> Tape<R> {
    /// `Σ_j weights[.., j] parts[j]`.
    ///
    /// # Panics
    /// When there are not as many parts as weights, or their shapes do not meet.
    pub fn select(&mut self, weights: Var, parts: &[Var]) -> Var {
        let (shape, v) = (self.shape(parts[0]).to_vec(), self.width(weights));
        let n = self.width(parts[0]);
        assert_eq!(v, parts.len(), "weights and parts of a selection");
        let mut out = self.pool.take_zeroed(self.value(parts[0]).len());
        for (j, &part) in parts.iter().enumerate() {
            assert_eq!(self.shape(part), shape, "parts of a selection");
            let (weights, part) = (self.value(weights), self.value(part));
            assert_eq!(weights.len() / v, part.len() / n, "rows of weights and parts");
            vectorised(
                #[inline(always)]
                || {
                    let rows = out.chunks_exact_mut(n).zip(part.chunks_exact(n));
                    for ((out, part), weights) in rows.zip(weights.chunks_exact(v)) {
                        for k in 0..n {
                            out[k] += weights[j] * part[k];
                        }
                    }
                },
            );
        }
        let needs_grad = self.needs_grad(weights) || parts.iter().any(|&p| self.needs_grad(p));
        let parts = parts.to_vec();
        self.push(Node::new(&shape, out).with_op(needs_grad, Select { weights, parts }))
    }
}

impl Select {
    /// `dv_j = w_j dy` and `dw_j = v_j · dy` of one part.
    fn part_back<R: Real>(&self, j: usize, dy: &[R], dw: &mut [R], tape: &mut Tape<R>) {
        let (v, n) = (self.parts.len(), tape.width(self.parts[j]));
        let part = tape.value(self.parts[j]);
        vectorised(
            #[inline(always)]
            || {
                let rows = dy.chunks_exact(n).zip(part.chunks_exact(n));
                for ((dy, part), dw) in rows.zip(dw.chunks_exact_mut(v)) {
                    dw[j] = dot(dy, part);
                }
            },
        );
        let mut dv = tape.pool.take(dy.len());
        let weights = tape.value(self.weights);
        vectorised(
            #[inline(always)]
            || {
                let rows = dy.chunks_exact(n).zip(dv.chunks_exact_mut(n));
                for ((dy, dv), weights) in rows.zip(weights.chunks_exact(v)) {
                    for k in 0..n {
                        dv[k] = weights[j] * dy[k];
                    }
                }
            },
        );
        tape.give_grad(self.parts[j], dv);
    }
}

impl<R: Real> Backward<R> for Select {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut dw = pass.tape.pool.take(pass.tape.value(self.weights).len());
        for j in 0..self.parts.len() {
            self.part_back(j, &grad.data, &mut dw, pass.tape);
        }
        pass.tape.give_grad(self.weights, dw);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn weights_and_parts_match_central_differences() {
        let mut layout = Layout::default();
        let w = layout.declare("w", &[2, 2, 3], Init::Uniform(1.0));
        let parts = ["a", "b", "c"].map(|name| layout.declare(name, &[2, 2, 5], Init::Uniform(1.0)));
        let weights: Vec<f64> = (0..20).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let w = tape.param(params, w);
            let parts = parts.map(|id| tape.param(params, id));
            let y = tape.select(w, &parts);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn a_row_is_its_weighted_sum() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let w = tape.input(&[2, 2], &[0.5, 2.0, 1.0, 0.0]);
        let (a, b) = (
            tape.input(&[2, 1], &[2.0, 3.0]),
            tape.input(&[2, 1], &[10.0, 20.0]),
        );
        let y = tape.select(w, &[a, b]);
        assert_eq!(tape.value(y), [21.0, 3.0]);
    }
}
