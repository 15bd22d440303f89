//! Binary cross-entropy on logits, `l(z, y) = (1 - y) z + w (ln(1 + e^-|z|) + max(-z, 0))` with `w = 1 + (p - 1) y`.
//!
//! `p` is the weight of the positive class (`pos_weight` of `PyTorch`); labels may be soft, in [0, 1]. Backward:
//! `dl/dz = (1 - y) - w σ(-z)`. The probability is never formed, so no logit is too large.

use crate::ops::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// Loss of one logit.
#[must_use]
pub fn bce<R: Real>(z: R, y: R, pos_weight: R) -> R {
    let weight = R::ONE + (pos_weight - R::ONE) * y;
    let hinge = if z < R::ZERO { -z } else { R::ZERO };
    (R::ONE - y) * z + weight * ((-z.abs()).exp().ln_1p() + hinge)
}

/// Derivative of [`bce`] by the logit.
#[must_use]
pub fn bce_slope<R: Real>(z: R, y: R, pos_weight: R) -> R {
    let weight = R::ONE + (pos_weight - R::ONE) * y;
    let small = (-z.abs()).exp();
    let opposite = if z < R::ZERO { R::ONE } else { small } / (R::ONE + small);
    (R::ONE - y) - weight * opposite
}

struct BceWithLogits {
    z: Var,
    pos_weight: f64,
    count: usize,
}

impl<R: Real> Tape<R> {
    /// `Σ l(z, y) / count`; `count` is the number of values of the *whole* batch, so that the losses of its parts add up to
    /// the mean.
    ///
    /// # Panics
    /// When there is not one label per logit.
    pub fn bce_with_logits(&mut self, z: Var, labels: &[R], pos_weight: f64, count: usize) -> Var {
        let logits = self.value(z);
        assert_eq!(logits.len(), labels.len(), "labels of the logits");
        let p = R::from_f64(pos_weight);
        let terms = logits.iter().zip(labels).map(|(&z, &y)| bce(z, y, p).to_f64());
        let sum: f64 = terms.sum();
        let mut out = self.pool.take(1);
        out[0] = R::from_f64(sum / count as f64);
        let mut saved = self.pool.take(labels.len());
        saved.copy_from_slice(labels);
        let op = BceWithLogits { z, pos_weight, count };
        let mut node = Node::new(&[1], out).with_op(self.needs_grad(z), op);
        node.saved.push(saved);
        self.push(node)
    }
}

impl<R: Real> Backward<R> for BceWithLogits {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let scale = grad.data[0] / R::from_f64(self.count as f64);
        let p = R::from_f64(self.pos_weight);
        let mut dz = pass.tape.pool.take(node.saved[0].len());
        let logits = pass.tape.value(self.z).iter().zip(&node.saved[0]);
        for (dz, (&z, &y)) in dz.iter_mut().zip(logits) {
            *dz = scale * bce_slope(z, y, p);
        }
        pass.tape.add_grad(self.z, dz.iter().copied());
        pass.tape.pool.give(dz);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    #[test]
    fn the_gradient_matches_central_differences_with_hard_and_soft_labels() {
        let mut layout = Layout::default();
        let z = layout.declare("z", &[6, 1], Init::Uniform(3.0));
        let labels = [0.0, 1.0, 0.3, 1.0, 0.0, 0.9];
        for pos_weight in [1.0, 2.5] {
            let check = check_gradients(&Arc::new(layout.clone()), 8, Mode::default(), |tape, params| {
                let z = tape.param(params, z);
                tape.bce_with_logits(z, &labels, pos_weight, 6)
            });
            assert_gradients(&check, 1e-8);
        }
    }

    #[test]
    fn values_are_the_textbook_ones() {
        let p = 1.0 / (1.0 + (-0.7f64).exp());
        assert!((bce(0.7, 1.0, 1.0) + p.ln()).abs() < 1e-15);
        assert!((bce(0.7, 0.0, 1.0) + (1.0 - p).ln()).abs() < 1e-15);
        assert!((bce(0.7, 1.0, 3.0) + 3.0 * p.ln()).abs() < 1e-15);
    }

    #[test]
    fn huge_logits_give_finite_losses_and_slopes() {
        for (z, y, loss, slope) in [
            (200.0f32, 1.0, 0.0, 0.0),
            (200.0, 0.0, 200.0, 1.0),
            (-200.0, 1.0, 200.0, -1.0),
            (-200.0, 0.0, 0.0, 0.0),
        ] {
            assert_eq!((bce(z, y, 1.0), bce_slope(z, y, 1.0)), (loss, slope));
        }
    }
}
