//! `y = a + b` of equal shapes. Backward: `da = dy`, `db = dy`.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Add(Var, Var);

impl<R: Real> Tape<R> {
    /// `a + b`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        assert_eq!(self.shape(a), self.shape(b), "shapes of a sum");
        let mut out = self.pool.take(self.value(a).len());
        for ((out, &a), &b) in out.iter_mut().zip(self.value(a)).zip(self.value(b)) {
            *out = a + b;
        }
        let needs_grad = self.needs_grad(a) || self.needs_grad(b);
        let node = Node::new(self.shape(a), out).with_op(needs_grad, Add(a, b));
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Add {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        pass.tape.add_grad(self.0, grad.data.iter().copied());
        pass.tape.add_grad(self.1, grad.data.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    #[test]
    fn both_sides_receive_the_gradient() {
        let mut layout = Layout::default();
        let a = layout.declare("a", &[2, 2], Init::Uniform(1.0));
        let b = layout.declare("b", &[2, 2], Init::Uniform(1.0));
        let check = check_gradients(&Arc::new(layout), 3, Mode::default(), |tape, params| {
            let (a, b) = (tape.param(params, a), tape.param(params, b));
            let sum = tape.add(a, b);
            let y = tape.tanh(sum);
            tape.weighted_sum(y, &[1.0, -0.5, 2.0, 0.3])
        });
        assert_gradients(&check, 1e-8);
    }
}
