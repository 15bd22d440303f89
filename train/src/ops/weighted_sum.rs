//! `s = Σ w_i x_i` with constant weights: turns any value into a scalar. Backward: `dx_i = w_i ds`.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct WeightedSum(Var);

impl<R: Real> Tape<R> {
    /// The scalar `Σ w_i x_i`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn weighted_sum(&mut self, x: Var, weights: &[R]) -> Var {
        assert_eq!(self.value(x).len(), weights.len(), "weights");
        let mut saved = self.pool.take(weights.len());
        saved.copy_from_slice(weights);
        let mut out = self.pool.take(1);
        out[0] = self.value(x).iter().zip(weights).map(|(&x, &w)| x * w).sum();
        let mut node = Node::new(&[1], out).with_op(self.needs_grad(x), WeightedSum(x));
        node.saved.push(saved);
        self.push(node)
    }
}

impl<R: Real> Backward<R> for WeightedSum {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let ds = grad.data[0];
        pass.tape.add_grad(self.0, node.saved[0].iter().map(|&w| w * ds));
    }
}

#[cfg(test)]
mod tests {
    use crate::tape::{Mode, Tape};

    #[test]
    fn the_sum_is_the_dot_product() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[3], &[1.0, 2.0, 3.0]);
        let s = tape.weighted_sum(x, &[0.5, 0.0, -1.0]);
        assert_eq!(tape.value(s), [-2.5]);
    }
}
