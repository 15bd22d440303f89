//! `y = x Wᵀ + b` over the last axis; `x [.., n_in]`, `W [n_out, n_in]`, `b [n_out]` or absent; also with some rows of `W`
//! alone, as attention keeps queries, keys and values in one matrix.
//!
//! Backward: `dW += dyᵀ x`, `db += Σ_rows dy`, `dx += dy W`.

use super::mat::Mat;
use super::real::Real;
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};
use std::ops::Range;

/// Parameters of an affine map, as `PyTorch` keeps them.
#[derive(Debug, Clone, Copy)]
pub struct DenseParams {
    /// `[n_out, n_in]`.
    pub weight: ParamId,
    /// `[n_out]`.
    pub bias: Option<ParamId>,
}

struct Linear {
    x: Var,
    layer: DenseParams,
    rows: Range<usize>,
}

impl<R: Real> Tape<R> {
    /// `x Wᵀ + b` over the last axis.
    ///
    /// # Panics
    /// When the last axis of `x` is not the width of `W`, with both.
    pub fn linear(&mut self, params: &Params<R>, x: Var, layer: DenseParams) -> Var {
        self.linear_rows(params, x, layer, 0..matrix_shape(params, layer.weight).0)
    }

    /// [`Tape::linear`] with the rows `rows` of weight and bias.
    ///
    /// # Panics
    /// When the last axis of `x` is not the width of `W`, with both, or there are fewer rows.
    pub fn linear_rows(&mut self, params: &Params<R>, x: Var, layer: DenseParams, rows: Range<usize>) -> Var {
        let (n_out, n_in) = (rows.len(), matrix_shape(params, layer.weight).1);
        let mut shape = self.shape(x).to_vec();
        assert_eq!(
            shape.last(),
            Some(&n_in),
            "linear: width of {shape:?} and of the weight"
        );
        let n = self.value(x).len() / n_in;
        let mut out = self.pool.take(n * n_out);
        if let Some(bias) = layer.bias {
            fill_rows(&mut out, &params.values(bias)[rows.clone()]);
        }
        let w = Mat::new(weight_rows(params, layer.weight, &rows), n_out, n_in).t();
        let (input, products) = self.value_and_products(x);
        products.gemm(Mat::new(input, n, n_in), w, layer.bias.is_some(), &mut out);
        *shape.last_mut().expect("checked above") = n_out;
        let node = Node::new(&shape, out).with_op(true, Linear { x, layer, rows });
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Linear {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let (n_out, n_in) = (self.rows.len(), matrix_shape(pass.params, self.layer.weight).1);
        if let Some(bias) = self.layer.bias {
            add_column_sums(&grad.data, &mut pass.grads.add_to(bias)[self.rows.clone()]);
        }
        let dy = Mat::new(&grad.data, grad.data.len() / n_out, n_out);
        let opened = pass.tape.open_grad(self.x);
        let (x, products) = pass.tape.value_and_products(self.x);
        let x = Mat::new(x, dy.rows, n_in);
        let dw = &mut pass.grads.add_to(self.layer.weight)[self.rows.start * n_in..self.rows.end * n_in];
        products.gemm(dy.t(), x, true, dw);
        if let Some((mut dx, fresh)) = opened {
            let w = Mat::new(
                weight_rows(pass.params, self.layer.weight, &self.rows),
                n_out,
                n_in,
            );
            products.gemm(dy, w, !fresh, &mut dx);
            pass.tape.close_grad(self.x, dx);
        }
    }
}

/// The values of some rows of a weight.
fn weight_rows<'a, R: Real>(params: &'a Params<R>, weight: ParamId, rows: &Range<usize>) -> &'a [R] {
    let n_in = matrix_shape(params, weight).1;
    &params.values(weight)[rows.start * n_in..rows.end * n_in]
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
            let y = tape.linear(params, x, with_bias(w, b));
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn parts_of_a_weight_and_a_map_without_bias_match_central_differences() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[6, 4], Init::Uniform(1.0));
        let w = layout.declare("w", &[5, 4], Init::Uniform(1.0));
        let b = layout.declare("b", &[5], Init::Uniform(1.0));
        let v = layout.declare("v", &[2, 4], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..12).map(|i| f64::from(i % 5) - 1.5).collect();
        let check = check_gradients(&Arc::new(layout), 4, Mode::default(), |tape, params| {
            let x = tape.param(params, x);
            let mut sum = tape.linear(
                params,
                x,
                DenseParams {
                    weight: v,
                    bias: None,
                },
            );
            for rows in [0..2, 3..5, 1..3] {
                let part = tape.linear_rows(params, x, with_bias(w, b), rows);
                sum = tape.add(sum, part);
            }
            let y = tape.tanh(sum);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    fn with_bias(weight: ParamId, bias: ParamId) -> DenseParams {
        DenseParams {
            weight,
            bias: Some(bias),
        }
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
        let y = tape.linear(&params, x, with_bias(w, b));
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
