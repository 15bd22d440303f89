//! A value of every row handed to all steps: `y[t] = x[t] + c` and `y[t] = c`; `x [T, .., n]`, `c [.., n]`.
//!
//! Backward: `dx = dy`, `dc = Σ_t dy[t]`.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct AddSteps {
    x: Var,
    c: Var,
}

struct Repeat(Var);

/// `Σ_t dy[t]` over stretches of `out.len()` values.
pub(super) fn sum_steps<R: Real>(dy: &[R], out: &mut [R]) {
    for step in dy.chunks_exact(out.len()) {
        out.iter_mut().zip(step).for_each(|(sum, &x)| *sum += x);
    }
}

impl<R: Real> Tape<R> {
    /// `x[t] + c` for every step `t`.
    ///
    /// # Panics
    /// When a step of `x` has another shape than `c`.
    pub fn add_steps(&mut self, x: Var, c: Var) -> Var {
        assert_eq!(
            &self.shape(x)[1..],
            self.shape(c),
            "a step and what is added to it"
        );
        let mut out = self.pool.take(self.value(x).len());
        let added = self.value(c);
        for (out, x) in out
            .chunks_exact_mut(added.len())
            .zip(self.value(x).chunks_exact(added.len()))
        {
            for ((out, &x), &c) in out.iter_mut().zip(x).zip(added) {
                *out = x + c;
            }
        }
        let needs_grad = self.needs_grad(x) || self.needs_grad(c);
        let node = Node::new(self.shape(x), out).with_op(needs_grad, AddSteps { x, c });
        self.push(node)
    }

    /// `c` at each of `steps` steps.
    pub fn repeat_steps(&mut self, c: Var, steps: usize) -> Var {
        let shape: Vec<usize> = std::iter::once(steps)
            .chain(self.shape(c).iter().copied())
            .collect();
        let mut out = self.pool.take(shape.iter().product());
        for step in out.chunks_exact_mut(self.value(c).len()) {
            step.copy_from_slice(self.value(c));
        }
        let node = Node::new(&shape, out).with_op(self.needs_grad(c), Repeat(c));
        self.push(node)
    }

    fn add_summed_steps(&mut self, c: Var, dy: &[R]) {
        if self.needs_grad(c) {
            let mut dc = self.pool.take_zeroed(self.value(c).len());
            sum_steps(dy, &mut dc);
            self.give_grad(c, dc);
        }
    }
}

impl<R: Real> Backward<R> for AddSteps {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        pass.tape.add_grad(self.x, grad.data.iter().copied());
        pass.tape.add_summed_steps(self.c, &grad.data);
    }
}

impl<R: Real> Backward<R> for Repeat {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        pass.tape.add_summed_steps(self.0, &grad.data);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn both_sides_match_central_differences() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3, 2, 2], Init::Uniform(1.0));
        let c = layout.declare("c", &[2, 2], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..12).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let (x, c) = (tape.param(params, x), tape.param(params, c));
            let sum = tape.add_steps(x, c);
            let sum = tape.tanh(sum);
            let all = tape.repeat_steps(c, 3);
            let y = tape.mul(sum, all);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn every_step_receives_the_same() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let c = tape.input(&[1, 2], &[10.0, 20.0]);
        let y = tape.add_steps(x, c);
        assert_eq!(tape.value(y), [11.0, 22.0, 13.0, 24.0]);
        let y = tape.repeat_steps(c, 2);
        assert_eq!(
            (tape.value(y), tape.shape(y)),
            (&[10.0, 20.0, 10.0, 20.0][..], &[2, 1, 2][..])
        );
    }
}
