//! Gating: `y = a ⊙ b`, and the mixture `y = g ⊙ a + (1 - g) ⊙ b`, of equal shapes.
//!
//! Backward: `da = dy b`, `db = dy a`; `dg = dy (a - b)`, `da = dy g`, `db = dy (1 - g)`.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Mul(Var, Var);

struct Mix {
    gate: Var,
    a: Var,
    b: Var,
}

impl<R: Real> Tape<R> {
    /// `a ⊙ b`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn mul(&mut self, a: Var, b: Var) -> Var {
        assert_eq!(self.shape(a), self.shape(b), "shapes of a product");
        let mut out = self.pool.take(self.value(a).len());
        for ((out, &a), &b) in out.iter_mut().zip(self.value(a)).zip(self.value(b)) {
            *out = a * b;
        }
        let needs_grad = self.needs_grad(a) || self.needs_grad(b);
        let node = Node::new(self.shape(a), out).with_op(needs_grad, Mul(a, b));
        self.push(node)
    }

    /// `gate ⊙ a + (1 - gate) ⊙ b`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn mix(&mut self, gate: Var, a: Var, b: Var) -> Var {
        let shape = self.shape(gate).to_vec();
        assert_eq!(
            [self.shape(a), self.shape(b)],
            [&shape[..]; 2],
            "shapes of a mixture"
        );
        let mut out = self.pool.take(self.value(gate).len());
        let sides = self.value(a).iter().zip(self.value(b));
        for ((out, &g), (&a, &b)) in out.iter_mut().zip(self.value(gate)).zip(sides) {
            *out = g * a + (R::ONE - g) * b;
        }
        let needs_grad = [gate, a, b].into_iter().any(|v| self.needs_grad(v));
        self.push(Node::new(&shape, out).with_op(needs_grad, Mix { gate, a, b }))
    }

    /// The gradient of one factor, `dy ⊙ other`, in a new buffer.
    fn times(&mut self, dy: &[R], other: Var) -> Vec<R> {
        let mut out = self.pool.take(dy.len());
        for ((out, &dy), &x) in out.iter_mut().zip(dy).zip(self.value(other)) {
            *out = dy * x;
        }
        out
    }
}

impl<R: Real> Backward<R> for Mul {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        for (side, other) in [(self.0, self.1), (self.1, self.0)] {
            if pass.tape.needs_grad(side) {
                let d = pass.tape.times(&grad.data, other);
                pass.tape.give_grad(side, d);
            }
        }
    }
}

impl<R: Real> Backward<R> for Mix {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let tape = &mut *pass.tape;
        let da = tape.times(&grad.data, self.gate);
        let mut db = tape.pool.take(da.len());
        for ((db, &dy), &da) in db.iter_mut().zip(&grad.data).zip(&da) {
            *db = dy - da;
        }
        let mut dg = tape.times(&grad.data, self.a);
        for ((dg, &dy), &b) in dg.iter_mut().zip(&grad.data).zip(tape.value(self.b)) {
            *dg = *dg - dy * b;
        }
        for (v, d) in [(self.a, da), (self.b, db), (self.gate, dg)] {
            tape.give_grad(v, d);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape, Var};
    use std::sync::Arc;

    fn check(combine: impl Fn(&mut Tape<f64>, [Var; 3]) -> Var) {
        let mut layout = Layout::default();
        let ids = ["a", "b", "c"].map(|name| layout.declare(name, &[2, 5], Init::Uniform(1.0)));
        let weights: Vec<f64> = (0..10).map(|i| f64::from(i) * 0.3 - 1.0).collect();
        let check = check_gradients(&Arc::new(layout), 5, Mode::default(), |tape, params| {
            let vars = ids.map(|id| tape.param(params, id));
            let y = combine(tape, vars);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn a_product_matches_central_differences() {
        check(|tape, [a, b, c]| {
            let y = tape.mul(a, b);
            let y = tape.mul(y, y);
            tape.mul(c, y)
        });
    }

    #[test]
    fn a_mixture_matches_central_differences() {
        check(|tape, [a, b, c]| tape.mix(a, b, c));
    }

    #[test]
    fn the_gate_chooses_its_first_side() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let gate = tape.input(&[3], &[1.0, 0.0, 0.5]);
        let (a, b) = (tape.input(&[3], &[2.0; 3]), tape.input(&[3], &[4.0; 3]));
        let y = tape.mix(gate, a, b);
        assert_eq!(tape.value(y), [2.0, 4.0, 3.0]);
    }
}
