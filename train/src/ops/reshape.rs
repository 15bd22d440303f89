//! The same values under another shape, and two leading axes exchanged: `y[j, i, ..] = x[i, j, ..]`.
//!
//! Backward: the gradient under the old shape; exchanged back.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Reshape(Var);

struct Swap {
    x: Var,
    sizes: [usize; 2],
}

/// Blocks `[n, m]` into `[m, n]`.
fn swap<R: Copy>(x: &[R], [n, m]: [usize; 2], out: &mut [R]) {
    let size = out.len() / (n * m);
    for (at, out) in out.chunks_exact_mut(size).enumerate() {
        let (j, i) = (at / n, at % n);
        out.copy_from_slice(&x[(i * m + j) * size..][..size]);
    }
}

impl<R: Real> Tape<R> {
    /// The same values as `shape`.
    ///
    /// # Panics
    /// When their number differs.
    pub fn reshape(&mut self, x: Var, shape: &[usize]) -> Var {
        let len = self.value(x).len();
        assert_eq!(
            shape.iter().product::<usize>(),
            len,
            "reshape {:?} to {shape:?}",
            self.shape(x)
        );
        let mut out = self.pool.take(len);
        out.copy_from_slice(self.value(x));
        let node = Node::new(shape, out).with_op(self.needs_grad(x), Reshape(x));
        self.push(node)
    }

    /// The first two axes exchanged.
    pub fn swap_axes(&mut self, x: Var) -> Var {
        let mut shape = self.shape(x).to_vec();
        let sizes = [shape[0], shape[1]];
        shape.swap(0, 1);
        let mut out = self.pool.take(self.value(x).len());
        swap(self.value(x), sizes, &mut out);
        let node = Node::new(&shape, out).with_op(self.needs_grad(x), Swap { x, sizes });
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Reshape {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        pass.tape.add_grad(self.0, grad.data.iter().copied());
    }
}

impl<R: Real> Backward<R> for Swap {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut dx = pass.tape.pool.take(grad.data.len());
        swap(&grad.data, [self.sizes[1], self.sizes[0]], &mut dx);
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
    fn gradients_return_to_their_places() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3, 4], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.0).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let x = tape.param(params, x);
            let y = tape.reshape(x, &[3, 2, 2]);
            let y = tape.swap_axes(y);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn exchanged_axes_keep_the_rest_together() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        let x = tape.input(&[3, 2, 2], &values);
        let y = tape.swap_axes(x);
        assert_eq!(tape.shape(y), [2, 3, 2]);
        assert_eq!(
            tape.value(y),
            [0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 2.0, 3.0, 6.0, 7.0, 10.0, 11.0]
        );
        let back = tape.swap_axes(y);
        assert_eq!(tape.value(back), values);
    }
}
