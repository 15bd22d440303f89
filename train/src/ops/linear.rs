//! `y = x Wᵀ + b` over the last axis; `x [.., n_in]`, `W [n_out, n_in]`, `b [n_out]`.
//!
//! Backward: `dW += dyᵀ x`, `db += Σ_rows dy`, `dx += dy W`.

use super::mat::Mat;
use super::real::Real;
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Linear {
    x: Var,
    weight: ParamId,
    bias: ParamId,
}

impl<R: Real> Tape<R> {
    /// `x Wᵀ + b` over the last axis.
    ///
    /// # Panics
    /// When the last axis of `x` is not the width of `W`, with both.
    pub fn linear(&mut self, params: &Params<R>, x: Var, weight: ParamId, bias: ParamId) -> Var {
        let (n_out, n_in) = matrix_shape(params, weight);
        let mut shape = self.shape(x).to_vec();
        assert_eq!(
            shape.last(),
            Some(&n_in),
            "linear: width of {shape:?} and of the weight"
        );
        let rows = self.value(x).len() / n_in;
        let mut out = self.pool.take(rows * n_out);
        fill_rows(&mut out, params.values(bias));
        let w = Mat::new(params.values(weight), n_out, n_in).t();
        let (input, products) = self.value_and_products(x);
        products.gemm(Mat::new(input, rows, n_in), w, true, &mut out);
        *shape.last_mut().expect("checked above") = n_out;
        let node = Node::new(&shape, out).with_op(true, Linear { x, weight, bias });
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Linear {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let (n_out, n_in) = matrix_shape(pass.params, self.weight);
        let rows = grad.data.len() / n_out;
        let dy = Mat::new(&grad.data, rows, n_out);
        add_column_sums(&grad.data, pass.grads.add_to(self.bias));
        let opened = pass.tape.open_grad(self.x);
        let (x, products) = pass.tape.value_and_products(self.x);
        products.gemm(
            dy.t(),
            Mat::new(x, rows, n_in),
            true,
            pass.grads.add_to(self.weight),
        );
        if let Some((mut dx, fresh)) = opened {
            let w = Mat::new(pass.params.values(self.weight), n_out, n_in);
            products.gemm(dy, w, !fresh, &mut dx);
            pass.tape.close_grad(self.x, dx);
        }
    }
}

/// Rows and columns of a weight.
pub(super) fn matrix_shape<R: Real>(params: &Params<R>, weight: ParamId) -> (usize, usize) {
    let &[rows, cols] = params.shape(weight) else {
        panic!(
            "weight: expected two dimensions, found {:?}",
            params.shape(weight)
        )
    };
    (rows, cols)
}

/// Writes `row` into every row of `out`.
pub(super) fn fill_rows<R: Real>(out: &mut [R], row: &[R]) {
    for out in out.chunks_exact_mut(row.len()) {
        out.copy_from_slice(row);
    }
}

/// Adds the sum of all rows, in parts of 64 rows so that long sums keep their precision.
pub(super) fn add_column_sums<R: Real>(rows: &[R], out: &mut [R]) {
    let n = out.len();
    let mut part = vec![R::ZERO; n];
    for block in rows.chunks(64 * n) {
        part.fill(R::ZERO);
        for row in block.chunks_exact(n) {
            for (sum, &x) in part.iter_mut().zip(row) {
                *sum += x;
            }
        }
        for (out, &x) in out.iter_mut().zip(&part) {
            *out += x;
        }
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
    fn weight_bias_and_input_match_central_differences() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[2, 3, 4], Init::Uniform(1.0));
        let w = layout.declare("w", &[5, 4], Init::Uniform(1.0));
        let b = layout.declare("b", &[5], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..30).map(|i| f64::from(i % 7) - 3.0).collect();
        let check = check_gradients(&Arc::new(layout), 9, Mode::default(), |tape, params| {
            let x = tape.param(params, x);
            let y = tape.linear(params, x, w, b);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn a_row_is_the_affine_map() {
        let mut layout = Layout::default();
        let w = layout.declare("w", &[2, 2], Init::Constant(0.0));
        let b = layout.declare("b", &[2], Init::Constant(0.5));
        let mut params = Params::<f32>::init(&Arc::new(layout), 0);
        params.set("w", &[1.0, 2.0, 3.0, 4.0]);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.input(&[1, 2], &[10.0, 1.0]);
        let y = tape.linear(&params, x, w, b);
        assert_eq!(tape.value(y), [12.5, 34.5]);
    }

    #[test]
    fn column_sums_go_over_all_rows() {
        let rows: Vec<f64> = (0..300).map(f64::from).collect();
        let mut out = [1.0, 0.0, 0.0];
        add_column_sums(&rows, &mut out);
        let sum: f64 = (0..100).map(|i| f64::from(3 * i)).sum();
        assert_eq!(out, [sum + 1.0, sum + 100.0, sum + 200.0]);
    }
}
