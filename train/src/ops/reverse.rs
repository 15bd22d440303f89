//! Every row's steps backwards: `y[t, b] = x[n_b - 1 - t, b]` for `t < n_b`, zero behind, with `n_b` the row's length.
//!
//! It is its own inverse, and its own way back. A recurrent layer between two of them runs from the end.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Reverse {
    x: Var,
    lengths: Option<Vec<usize>>,
    shape: [usize; 3],
}

impl Reverse {
    fn run<R: Real>(&self, x: &[R], out: &mut [R]) {
        let [steps, batch, width] = self.shape;
        for (at, out) in out.chunks_exact_mut(width).enumerate() {
            let (t, b) = (at / batch, at % batch);
            let length = self.lengths.as_ref().map_or(steps, |lengths| lengths[b]);
            match t < length {
                true => out.copy_from_slice(&x[((length - 1 - t) * batch + b) * width..][..width]),
                false => out.fill(R::ZERO),
            }
        }
    }
}

impl<R: Real> Tape<R> {
    /// The steps of `x [steps, batch, width]` backwards, each row within its length where there are lengths.
    ///
    /// # Panics
    /// When `x` has another rank, or there is not one length of at most `steps` per row.
    pub fn reverse_steps(&mut self, x: Var, lengths: Option<&[usize]>) -> Var {
        let &[steps, batch, width] = self.shape(x) else {
            panic!(
                "reverse_steps: expected [steps, batch, width], found {:?}",
                self.shape(x)
            )
        };
        check_lengths(lengths, steps, batch);
        let op = Reverse {
            x,
            lengths: lengths.map(<[usize]>::to_vec),
            shape: [steps, batch, width],
        };
        let mut out = self.pool.take(steps * batch * width);
        op.run(self.value(x), &mut out);
        let node = Node::new(&op.shape, out).with_op(self.needs_grad(x), op);
        self.push(node)
    }
}

/// One length of at most `steps` per row.
pub(super) fn check_lengths(lengths: Option<&[usize]>, steps: usize, batch: usize) {
    if let Some(lengths) = lengths {
        let fits = lengths.len() == batch && lengths.iter().all(|&n| n <= steps);
        assert!(fits, "lengths {lengths:?} of {batch} rows with {steps} steps");
    }
}

impl<R: Real> Backward<R> for Reverse {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut dx = pass.tape.pool.take(grad.data.len());
        self.run(&grad.data, &mut dx);
        pass.tape.give_grad(self.x, dx);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn gradients_return_to_their_steps() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[4, 3, 2], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..24).map(|i| (f64::from(i) * 0.9).sin()).collect();
        for lengths in [None, Some(&[4, 0, 2][..])] {
            let check = check_gradients(&Arc::new(layout.clone()), 1, Mode::default(), |tape, params| {
                let x = tape.param(params, x);
                let y = tape.reverse_steps(x, lengths);
                let y = tape.tanh(y);
                tape.weighted_sum(y, &weights)
            });
            assert_gradients(&check, 1e-8);
        }
    }

    #[test]
    fn a_short_row_turns_within_its_length() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[3, 2, 1], &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        let y = tape.reverse_steps(x, Some(&[3, 2]));
        assert_eq!(tape.value(y), [3.0, 20.0, 2.0, 10.0, 1.0, 0.0]);
    }
}
