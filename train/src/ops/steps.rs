//! Steps of the first axis: some of them, one of them, several values behind one another, and their mean.
//!
//! The gradient of last steps alone is stored without the zeros before it: a recurrent layer starts its way back there.
//!
//! `y = x[from..to]` · `y = x[t]` without the axis · `y = [a ; b ; ..]` · `y = Σ_t x[t] / T`. Backward: gradients return to the
//! steps they came from; `dx[t] = dy / T`.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};
use std::ops::Range;

/// A stretch of values that starts at `from`.
struct Stretch {
    x: Var,
    from: usize,
}

struct Concat(Vec<Var>);

struct Mean(Var);

impl<R: Real> Tape<R> {
    /// The steps `steps` of the first axis.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn steps(&mut self, x: Var, steps: Range<usize>) -> Var {
        let mut shape = self.shape(x).to_vec();
        assert!(steps.end <= shape[0], "steps {steps:?} of {}", shape[0]);
        shape[0] = steps.len();
        self.stretch(x, &shape, steps.start)
    }

    /// Step `t` of the first axis, which goes.
    ///
    /// # Panics
    /// When there is no such step.
    pub fn step(&mut self, x: Var, t: usize) -> Var {
        let shape = self.shape(x).to_vec();
        assert!(t < shape[0], "step {t} of {}", shape[0]);
        self.stretch(x, &shape[1..], t)
    }

    /// The last step of the first axis, which goes.
    ///
    /// # Panics
    /// When there are no steps.
    pub fn take_last(&mut self, x: Var) -> Var {
        let steps = self.shape(x)[0];
        assert!(steps > 0, "take_last: no steps");
        self.step(x, steps - 1)
    }

    fn stretch(&mut self, x: Var, shape: &[usize], step: usize) -> Var {
        let size = self.value(x).len() / self.shape(x)[0];
        let (from, len) = (step * size, shape.iter().product());
        let mut out = self.pool.take(len);
        out.copy_from_slice(&self.value(x)[from..from + len]);
        let node = Node::new(shape, out).with_op(self.needs_grad(x), Stretch { x, from });
        self.push(node)
    }

    /// `[a ; b ; ..]` over the first axis.
    ///
    /// # Panics
    /// When there are no parts or their other axes differ.
    pub fn concat_steps(&mut self, parts: &[Var]) -> Var {
        let mut shape = self.shape(parts[0]).to_vec();
        for &part in parts {
            assert_eq!(self.shape(part)[1..], shape[1..], "rows of concatenated steps");
        }
        shape[0] = parts.iter().map(|&p| self.shape(p)[0]).sum();
        let mut out = self.pool.take(shape.iter().product());
        let mut from = 0;
        for &part in parts {
            let value = self.value(part);
            out[from..from + value.len()].copy_from_slice(value);
            from += value.len();
        }
        let needs_grad = parts.iter().any(|&p| self.needs_grad(p));
        self.push(Node::new(&shape, out).with_op(needs_grad, Concat(parts.to_vec())))
    }

    /// The mean over the first axis, which goes.
    ///
    /// # Panics
    /// When there are no steps.
    pub fn mean_steps(&mut self, x: Var) -> Var {
        let shape = self.shape(x).to_vec();
        assert!(shape[0] > 0, "mean_steps: no steps");
        let mut out = self.pool.take_zeroed(shape[1..].iter().product());
        for step in self.value(x).chunks_exact(out.len()) {
            out.iter_mut().zip(step).for_each(|(sum, &x)| *sum += x);
        }
        let share = R::from_f64(1.0 / shape[0] as f64);
        out.iter_mut().for_each(|x| *x *= share);
        let node = Node::new(&shape[1..], out).with_op(self.needs_grad(x), Mean(x));
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Stretch {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        if self.from + grad.data.len() == pass.tape.value(self.x).len() {
            return pass.tape.add_grad_tail(self.x, &grad.data);
        }
        let Some((mut dx, fresh)) = pass.tape.open_grad(self.x) else {
            return;
        };
        if fresh {
            dx.fill(R::ZERO);
        }
        let part = dx[self.from..].iter_mut().zip(&grad.data);
        part.for_each(|(dx, &dy)| *dx += dy);
        pass.tape.close_grad(self.x, dx);
    }
}

impl<R: Real> Backward<R> for Concat {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut from = 0;
        for &part in &self.0 {
            let len = pass.tape.value(part).len();
            pass.tape
                .add_grad(part, grad.data[from..from + len].iter().copied());
            from += len;
        }
    }
}

impl<R: Real> Backward<R> for Mean {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let steps = pass.tape.shape(self.0)[0];
        let share = R::from_f64(1.0 / steps as f64);
        let all = std::iter::repeat_n(&grad.data, steps).flatten();
        pass.tape.add_grad(self.0, all.map(|&dy| dy * share));
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn all_kinds_together_match_central_differences() {
        let mut layout = Layout::default();
        let a = layout.declare("a", &[4, 2, 3], Init::Uniform(1.0));
        let b = layout.declare("b", &[1, 2, 3], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..30).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let (a, b) = (tape.param(params, a), tape.param(params, b));
            let a = tape.tanh(a);
            let (middle, tail) = (tape.steps(a, 1..3), tape.steps(a, 2..4));
            let joined = tape.concat_steps(&[tail, b, middle]);
            let mean = tape.mean_steps(joined);
            let one = tape.step(a, 1);
            let (whole, some) = (tape.tanh(joined), tape.mul(mean, one));
            let (whole, some) = (
                tape.weighted_sum(whole, &weights),
                tape.weighted_sum(some, &weights[..6]),
            );
            tape.add(whole, some)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn a_mean_is_over_the_steps_of_each_row() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[2, 2, 1], &[1.0, 10.0, 3.0, 30.0]);
        let y = tape.mean_steps(x);
        assert_eq!((tape.value(y), tape.shape(y)), (&[2.0, 20.0][..], &[2, 1][..]));
    }

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
