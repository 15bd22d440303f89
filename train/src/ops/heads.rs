//! Many small affine maps of one value side by side, `y = [x W_0ᵀ + b_0 | x W_1ᵀ + b_1 | ..]`, and the mean of groups of
//! columns, `y[.., k] = Σ_i x[.., i n + k] / m`: what interpretable attention has before and behind its heads.
//!
//! The maps of the heads are one product with their weights stacked. Backward: `dW_i += dy_iᵀ x`, `db_i += Σ dy_i`,
//! `dx += dy [W_0 ; W_1 ; ..]`; `dx[.., i n + k] = dy[.., k] / m`.

use super::linear::{DenseParams, add_column_sums, fill_rows, matrix_shape};
use super::mat::Mat;
use super::real::Real;
use crate::tape::params::Params;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct LinearHeads {
    x: Var,
    layers: Vec<DenseParams>,
}

struct MeanHeads {
    x: Var,
    n_heads: usize,
}

impl<R: Real> Tape<R> {
    /// The layers' answers to `x`, side by side.
    ///
    /// # Panics
    /// When a layer's width is not that of `x`.
    pub fn linear_heads(&mut self, params: &Params<R>, x: Var, layers: &[DenseParams]) -> Var {
        let (mut shape, n_in) = (self.shape(x).to_vec(), self.width(x));
        let stacked = self.stacked(params, layers, n_in);
        let n_out = stacked.len() / n_in;
        let rows = self.value(x).len() / n_in;
        let mut out = self.pool.take(rows * n_out);
        fill_rows(&mut out, &stacked_biases(params, layers));
        let (input, products) = self.value_and_products(x);
        let weight = Mat::new(&stacked, n_out, n_in).t();
        products.gemm(Mat::new(input, rows, n_in), weight, true, &mut out);
        *shape.last_mut().expect("a value has an axis") = n_out;
        let layers = layers.to_vec();
        let node = Node::behind(&shape, out, 0, vec![stacked]);
        self.push(node.with_op(true, LinearHeads { x, layers }))
    }

    fn stacked(&mut self, params: &Params<R>, layers: &[DenseParams], n_in: usize) -> Vec<R> {
        let n_out: usize = layers.iter().map(|l| matrix_shape(params, l.weight).0).sum();
        let mut stacked = self.pool.take(n_out * n_in);
        let mut from = 0;
        for layer in layers {
            assert_eq!(matrix_shape(params, layer.weight).1, n_in, "linear_heads: width");
            let weight = params.values(layer.weight);
            stacked[from..from + weight.len()].copy_from_slice(weight);
            from += weight.len();
        }
        stacked
    }

    /// The mean of `n_heads` groups of columns.
    ///
    /// # Panics
    /// When the columns do not divide.
    pub fn mean_heads(&mut self, x: Var, n_heads: usize) -> Var {
        let (mut shape, width) = (self.shape(x).to_vec(), self.width(x));
        assert!(
            width.is_multiple_of(n_heads),
            "mean_heads: {width} columns, {n_heads} heads"
        );
        let n = width / n_heads;
        *shape.last_mut().expect("a value has an axis") = n;
        let mut out = self.pool.take_zeroed(self.value(x).len() / n_heads);
        let share = R::from_f64(1.0 / n_heads as f64);
        for (out, x) in out.chunks_exact_mut(n).zip(self.value(x).chunks_exact(width)) {
            for head in x.chunks_exact(n) {
                out.iter_mut().zip(head).for_each(|(sum, &x)| *sum += x);
            }
            out.iter_mut().for_each(|x| *x *= share);
        }
        let node = Node::new(&shape, out).with_op(self.needs_grad(x), MeanHeads { x, n_heads });
        self.push(node)
    }
}

fn stacked_biases<R: Real>(params: &Params<R>, layers: &[DenseParams]) -> Vec<R> {
    let mut all = Vec::new();
    for layer in layers {
        let n = matrix_shape(params, layer.weight).0;
        match layer.bias {
            Some(bias) => all.extend_from_slice(params.values(bias)),
            None => all.resize(all.len() + n, R::ZERO),
        }
    }
    all
}

impl<R: Real> Backward<R> for LinearHeads {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let stacked = node.saved.pop().expect("forward saves the weights");
        let n_in = pass.tape.width(self.x);
        let n_out = stacked.len() / n_in;
        let dy = Mat::new(&grad.data, grad.data.len() / n_out, n_out);
        let mut dw = pass.tape.pool.take(stacked.len());
        let (x, products) = pass.tape.value_and_products(self.x);
        products.gemm(dy.t(), Mat::new(x, dy.rows, n_in), false, &mut dw);
        let mut db = vec![R::ZERO; n_out];
        add_column_sums(&grad.data, &mut db);
        let mut from = 0;
        for layer in &self.layers {
            let n = matrix_shape(pass.params, layer.weight).0;
            let part = &dw[from * n_in..(from + n) * n_in];
            let sums = pass.grads.add_to(layer.weight).iter_mut();
            sums.zip(part).for_each(|(sum, &x)| *sum += x);
            if let Some(bias) = layer.bias {
                let sums = pass.grads.add_to(bias).iter_mut();
                sums.zip(&db[from..from + n]).for_each(|(sum, &x)| *sum += x);
            }
            from += n;
        }
        if let Some((mut dx, fresh)) = pass.tape.open_grad(self.x) {
            let weight = Mat::new(&stacked, n_out, n_in);
            pass.tape.products.gemm(dy, weight, !fresh, &mut dx);
            pass.tape.close_grad(self.x, dx);
        }
        pass.tape.pool.give(dw);
        pass.tape.pool.give(stacked);
    }
}

impl<R: Real> Backward<R> for MeanHeads {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let n = node.shape.last().map_or(1, |&n| n);
        let share = R::from_f64(1.0 / self.n_heads as f64);
        let mut dx = pass.tape.pool.take(grad.data.len() * self.n_heads);
        for (dx, dy) in dx
            .chunks_exact_mut(n * self.n_heads)
            .zip(grad.data.chunks_exact(n))
        {
            for head in dx.chunks_exact_mut(n) {
                head.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy * share);
            }
        }
        pass.tape.give_grad(self.x, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    fn layers(layout: &mut Layout, widths: &[usize]) -> Vec<DenseParams> {
        let all = Init::Uniform(1.0);
        let layer = |(i, &n): (usize, &usize)| DenseParams {
            weight: layout.declare(format!("{i}.weight"), &[n, 4], all),
            bias: (i != 1).then(|| layout.declare(format!("{i}.bias"), &[n], all)),
        };
        widths.iter().enumerate().map(layer).collect()
    }

    #[test]
    fn heads_and_their_mean_match_central_differences() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3, 2, 4], Init::Uniform(1.0));
        let layers = layers(&mut layout, &[2, 2, 2]);
        let weights: Vec<f64> = (0..12).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let x = tape.param(params, x);
            let y = tape.linear_heads(params, x, &layers);
            let y = tape.tanh(y);
            let y = tape.mean_heads(y, 3);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn the_stacked_product_is_that_of_the_layers() {
        let mut layout = Layout::default();
        let layers = layers(&mut layout, &[3, 1, 2]);
        let params = Params::<f64>::init(&Arc::new(layout), 3);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.input(&[2, 4], &[0.1, -0.2, 0.3, 0.4, 1.0, 2.0, -3.0, 4.0]);
        let together = tape.linear_heads(&params, x, &layers);
        let parts: Vec<Var> = layers.iter().map(|&l| tape.linear(&params, x, l)).collect();
        let apart = tape.concat_columns(&parts);
        assert_eq!(tape.value(together), tape.value(apart));
    }
}
