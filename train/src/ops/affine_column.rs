//! One column as a vector: `y[.., k] = x[.., column] w_k + b_k`, the `Linear(1 -> n)` of a scalar input; `w [n, 1]`, `b [n]`.
//!
//! Backward: `dw_k += Σ dy_k x`, `db_k += Σ dy_k`, `dx[.., column] += Σ_k dy_k w_k`.

use super::linear::{DenseParams, add_column_sums};
use super::mat::Mat;
use super::real::Real;
use super::rows::{dot, vectorised};
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct AffineColumn {
    x: Var,
    column: usize,
    weight: ParamId,
    bias: ParamId,
}

impl<R: Real> Tape<R> {
    /// Column `column` of `x` through `Linear(1 -> n)`.
    ///
    /// # Panics
    /// When there is no such column, the weight is not `[n, 1]`, or the map has no bias.
    pub fn affine_column(&mut self, params: &Params<R>, x: Var, column: usize, layer: DenseParams) -> Var {
        let (mut shape, width) = (self.shape(x).to_vec(), self.width(x));
        assert!(column < width, "affine_column: column {column} of {width}");
        let bias = layer.bias.expect("affine_column: a bias");
        let (w, b) = (params.values(layer.weight), params.values(bias));
        assert_eq!(params.shape(layer.weight), [b.len(), 1], "affine_column: weight");
        *shape.last_mut().expect("a value has an axis") = w.len();
        let mut out = self.pool.take(self.value(x).len() / width * w.len());
        let rows = self.value(x).chunks_exact(width);
        vectorised(
            #[inline(always)]
            || {
                for (out, x) in out.chunks_exact_mut(w.len()).zip(rows) {
                    for k in 0..w.len() {
                        out[k] = x[column] * w[k] + b[k];
                    }
                }
            },
        );
        let op = AffineColumn {
            x,
            column,
            weight: layer.weight,
            bias,
        };
        self.push(Node::new(&shape, out).with_op(true, op))
    }
}

impl<R: Real> Backward<R> for AffineColumn {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let w = pass.params.values(self.weight);
        let width = pass.tape.width(self.x);
        add_column_sums(&grad.data, pass.grads.add_to(self.bias));
        let mut column = pass.tape.pool.take(grad.data.len() / w.len());
        for (to, x) in column.iter_mut().zip(pass.tape.value(self.x).chunks_exact(width)) {
            *to = x[self.column];
        }
        let dy = Mat::new(&grad.data, column.len(), w.len());
        let row = Mat::new(&column, 1, column.len());
        pass.tape
            .products
            .gemm(row, dy, true, pass.grads.add_to(self.weight));
        pass.tape.pool.give(column);
        if let Some((mut dx, fresh)) = pass.tape.open_grad(self.x) {
            if fresh {
                dx.fill(R::ZERO);
            }
            for (dx, dy) in dx.chunks_exact_mut(width).zip(grad.data.chunks_exact(w.len())) {
                dx[self.column] += dot(dy, w);
            }
            pass.tape.close_grad(self.x, dx);
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
    fn column_weight_and_bias_match_central_differences() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3, 2, 4], Init::Uniform(1.0));
        let layer = DenseParams {
            weight: layout.declare("weight", &[5, 1], Init::Uniform(1.0)),
            bias: Some(layout.declare("bias", &[5], Init::Uniform(1.0))),
        };
        let weights: Vec<f64> = (0..30).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let x = tape.param(params, x);
            let (a, b) = (
                tape.affine_column(params, x, 2, layer),
                tape.affine_column(params, x, 0, layer),
            );
            let y = tape.mul(a, b);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn it_is_the_dense_layer_of_that_column() {
        let mut layout = Layout::default();
        let layer = DenseParams {
            weight: layout.declare("weight", &[7, 1], Init::Uniform(1.0)),
            bias: Some(layout.declare("bias", &[7], Init::Uniform(1.0))),
        };
        let params = Params::<f64>::init(&Arc::new(layout), 2);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.input(&[2, 2], &[0.5, -1.0, 2.0, 3.0]);
        let column = tape.columns(x, &[1]);
        let (found, expected) = (
            tape.affine_column(&params, x, 1, layer),
            tape.linear(&params, column, layer),
        );
        assert_eq!(tape.shape(found), tape.shape(expected));
        for (found, expected) in tape.value(found).iter().zip(tape.value(expected)) {
            assert!((found - expected).abs() < 1e-15);
        }
    }
}
