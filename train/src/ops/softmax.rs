//! `y = softmax(x)` over the last axis: `e^(x_i - max x) / Σ_j e^(x_j - max x)`.
//!
//! Backward: `dx = y ⊙ (dy - Σ_j dy_j y_j)`.

use super::real::Real;
use super::rows::{dot, sum, vectorised};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};
use std::ops::Range;

/// Softmax of every row of `x [rows, n]` in place.
pub(super) fn softmax_rows<R: Real>(x: &mut [R], n: usize) {
    x.chunks_exact_mut(n).for_each(subtract_top);
    R::exp_all(x);
    vectorised(
        #[inline(always)]
        || x.chunks_exact_mut(n).for_each(scale_to_one),
    );
}

/// Softmax of a row without the stretches `hidden`, which become 0; `any` is a value outside them.
pub(super) fn softmax_row_without<R: Real>(row: &mut [R], hidden: [Range<usize>; 2], any: R) {
    for stretch in &hidden {
        row[stretch.clone()].fill(any);
    }
    subtract_top(row);
    R::exp_all(row);
    for stretch in hidden {
        row[stretch].fill(R::ZERO);
    }
    vectorised(
        #[inline(always)]
        || scale_to_one(row),
    );
}

fn subtract_top<R: Real>(row: &mut [R]) {
    let top = row.iter().fold(row[0], |top, &x| if x > top { x } else { top });
    row.iter_mut().for_each(|x| *x = *x - top);
}

#[inline(always)]
fn scale_to_one<R: Real>(row: &mut [R]) {
    let scale = R::ONE / sum(row);
    row.iter_mut().for_each(|x| *x *= scale);
}

/// The gradient `d` of the answer `y [rows, n]` becomes that of the input.
pub(super) fn softmax_rows_back<R: Real>(y: &[R], d: &mut [R], n: usize) {
    vectorised(
        #[inline(always)]
        || {
            for (y, d) in y.chunks_exact(n).zip(d.chunks_exact_mut(n)) {
                let along = dot(y, d);
                for k in 0..n {
                    d[k] = y[k] * (d[k] - along);
                }
            }
        },
    );
}

struct Softmax(Var);

impl<R: Real> Tape<R> {
    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: Var) -> Var {
        let mut out = self.pool.take(self.value(x).len());
        out.copy_from_slice(self.value(x));
        softmax_rows(&mut out, self.width(x));
        let node = Node::new(self.shape(x), out).with_op(self.needs_grad(x), Softmax(x));
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Softmax {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut dx = pass.tape.pool.take(grad.data.len());
        dx.copy_from_slice(&grad.data);
        softmax_rows_back(node.value(), &mut dx, pass.tape.width(self.0));
        pass.tape.give_grad(self.0, dx);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn the_gradient_matches_central_differences() {
        for n in [1, 2, 17] {
            let mut layout = Layout::default();
            let x = layout.declare("x", &[3, 2, n], Init::Uniform(2.0));
            let weights: Vec<f64> = (0..6 * n).map(|i| (i as f64 * 1.3).sin()).collect();
            let check = check_gradients(&Arc::new(layout), 6, Mode::default(), |tape, params| {
                let x = tape.param(params, x);
                let y = tape.softmax(x);
                tape.weighted_sum(y, &weights)
            });
            assert_gradients(&check, 1e-8);
        }
    }

    #[test]
    fn huge_values_give_a_one_and_rows_stand_alone() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[2, 2], &[3e8, -3e8, 0.0, 0.0]);
        let y = tape.softmax(x);
        assert_eq!(tape.value(y)[0], 1.0);
        assert!(tape.value(y)[1] < 1e-37);
        assert_eq!(tape.value(y)[2..], [0.5, 0.5]);
    }
}
