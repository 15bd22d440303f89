//! `y[b, :] = x[T-1, b, :]`: the last step of a time-major value.
//!
//! Backward: `dx` is `dy` in the last step and zero before; the zeros are not stored, so a recurrent layer starts its way
//! back from the last step alone.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct TakeLast(Var);

impl<R: Real> Tape<R> {
    /// The last step of `x [steps, batch, width]`.
    ///
    /// # Panics
    /// When `x` has another rank or no steps.
    pub fn take_last(&mut self, x: Var) -> Var {
        let &[steps, batch, width] = self.shape(x) else {
            panic!(
                "take_last: expected [steps, batch, width], found {:?}",
                self.shape(x)
            )
        };
        assert!(steps > 0, "take_last: no steps");
        let mut out = self.pool.take(batch * width);
        out.copy_from_slice(&self.value(x)[(steps - 1) * batch * width..]);
        let node = Node::new(&[batch, width], out).with_op(self.needs_grad(x), TakeLast(x));
        self.push(node)
    }
}

impl<R: Real> Backward<R> for TakeLast {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        pass.tape.add_grad_tail(self.0, &grad.data);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    #[test]
    fn the_tail_joins_a_gradient_of_the_whole_in_either_order() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3, 2, 2], Init::Uniform(1.0));
        let whole: Vec<f64> = (0..12).map(|i| f64::from(i) - 4.0).collect();
        for last_first in [true, false] {
            let check = check_gradients(&Arc::new(layout.clone()), 2, Mode::default(), |tape, params| {
                let x = tape.param(params, x);
                let x = tape.tanh(x);
                let mut parts = Vec::new();
                for last in [last_first, !last_first] {
                    parts.push(if last {
                        let y = tape.take_last(x);
                        tape.weighted_sum(y, &[1.0, 2.0, 3.0, 4.0])
                    } else {
                        tape.weighted_sum(x, &whole)
                    });
                }
                tape.add(parts[0], parts[1])
            });
            assert_gradients(&check, 1e-8);
        }
    }
}
