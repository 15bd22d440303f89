//! The gated residual network in one operation: three products each way and one pass over the rows.
//!
//! `z = W1 x + b1 (+ Wc c)`, `u = ELU(z)`, `h = W2 u + b2` (or `h = u` without a second layer), `[a | g] = Wg dropout(h) + bg`,
//! `y = LN(a ⊙ σ(g) + skip)`. `x [.., n_in]`, `c [B, n_context]` for every step, `skip [.., n_out]`. (Lim et al. 2021, section
//! 4.1; the form without second layer is X-Trend's production relative.) Tricks: 1. ELU in place, its slope comes from its
//! output; 2. the context is projected once per row of the batch and is where the first layer's sum starts; 3. the way back
//! overwrites gates, hidden values and their gradients in place. The composed form in the tests is its oracle.

use super::activation::elu_slope;
use super::broadcast::sum_steps;
use super::dropout::Mask;
use super::gate_norm::gate_and_add;
use super::glu::gate_rows_back;
use super::layer_norm::NormParams;
use super::linear::{DenseParams, add_column_sums, fill_rows, matrix_shape};
use super::mat::Mat;
use super::real::Real;
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// Parameters of a gated residual network; every layer but the context's has a bias.
#[derive(Debug, Clone, Copy)]
pub struct GrnParams {
    /// `[n_hidden, n_in]`.
    pub fc1: DenseParams,
    /// `[n_hidden, n_context]`.
    pub context: Option<ParamId>,
    /// `[n_hidden, n_hidden]`.
    pub fc2: Option<DenseParams>,
    /// `[2 n_out, n_hidden]`, value half first.
    pub gate: DenseParams,
    /// Of width `n_out`.
    pub norm: NormParams,
}

/// The values a network reads.
#[derive(Debug, Clone, Copy)]
pub struct GrnInputs<V> {
    /// What goes through the layers.
    pub x: V,
    /// What is added behind them: `x` itself where the widths agree.
    pub skip: V,
    /// What every step of a row of the batch sees besides.
    pub context: Option<V>,
}

struct Grn {
    inputs: GrnInputs<Var>,
    layers: GrnParams,
    mask: Option<Mask>,
}

// Places in `Node::saved` behind `x̂` and `1 / σ`; the last is empty where it would repeat the one before.
const GATES: usize = 2;
const HIDDEN: usize = 3;
const GATED: usize = 4;

impl<R: Real> Tape<R> {
    /// The network's answer, of the shape of `skip`; `p` and `site` are those of the dropout.
    ///
    /// # Panics
    /// When widths do not meet, or a context is given to a network without one or the other way round.
    pub fn grn(
        &mut self,
        params: &Params<R>,
        inputs: GrnInputs<Var>,
        layers: GrnParams,
        (p, site): (f64, u32),
    ) -> Var {
        let mask = Mask::of(&self.mode, p, site);
        let n_out = params.values(layers.norm.weight).len();
        let hidden = self.first_layer(params, inputs, layers);
        let gated = self.second_layer(params, &hidden, layers, mask);
        let from = if gated.is_empty() { &hidden } else { &gated };
        let mut gates = self.dense_rows(params, from, layers.gate);
        let mut v = self.pool.take(gates.len() / 2);
        let skip = self.value(inputs.skip);
        assert_eq!(skip.len(), v.len(), "grn: values of the skip");
        gate_and_add(&mut gates, skip, &mut v, n_out);
        let (out, normal) = layers.norm.forward(self, params, v);
        let saved = vec![normal.values, normal.scales, gates, hidden, gated];
        let shape = self.shape(inputs.skip).to_vec();
        let op = Grn { inputs, layers, mask };
        self.push(Node::behind(&shape, out, 0, saved).with_op(true, op))
    }

    /// `ELU(W1 x + b1 + Wc c)`.
    fn first_layer(&mut self, params: &Params<R>, inputs: GrnInputs<Var>, layers: GrnParams) -> Vec<R> {
        let (n_hidden, n_in) = matrix_shape(params, layers.fc1.weight);
        assert_eq!(self.width(inputs.x), n_in, "grn: width of x and of fc1");
        let rows = self.value(inputs.x).len() / n_in;
        let mut z = self.pool.take(rows * n_hidden);
        match (inputs.context, layers.context) {
            (None, None) => fill_rows(&mut z, bias(params, layers.fc1)),
            (Some(c), Some(weight)) => {
                let mut start = self.pool.take(self.value(c).len() / self.width(c) * n_hidden);
                fill_rows(&mut start, bias(params, layers.fc1));
                let weight = weight_mat(params, weight).t();
                let (value, products) = self.value_and_products(c);
                let value = Mat::new(value, start.len() / n_hidden, weight.rows);
                products.gemm(value, weight, true, &mut start);
                fill_rows(&mut z, &start);
                self.pool.give(start);
            }
            _ => panic!("grn: a context and its weight come together"),
        }
        let (x, products) = self.value_and_products(inputs.x);
        let weight = weight_mat(params, layers.fc1.weight).t();
        products.gemm(Mat::new(x, rows, n_in), weight, true, &mut z);
        R::elu(&mut z);
        z
    }

    /// `dropout(W2 u + b2)`, or nothing where that is `u` itself.
    fn second_layer(&mut self, params: &Params<R>, u: &[R], layers: GrnParams, mask: Option<Mask>) -> Vec<R> {
        let mut h = match (layers.fc2, mask) {
            (Some(fc2), _) => self.dense_rows(params, u, fc2),
            (None, None) => return Vec::new(),
            (None, Some(_)) => {
                let mut h = self.pool.take(u.len());
                h.copy_from_slice(u);
                h
            }
        };
        apply(mask, &mut h);
        h
    }

    /// `W x + b` of rows outside the tape.
    fn dense_rows(&mut self, params: &Params<R>, x: &[R], layer: DenseParams) -> Vec<R> {
        let weight = weight_mat(params, layer.weight);
        let rows = x.len() / weight.cols;
        let mut out = self.pool.take(rows * weight.rows);
        fill_rows(&mut out, bias(params, layer));
        self.products
            .gemm(Mat::new(x, rows, weight.cols), weight.t(), true, &mut out);
        out
    }
}

fn weight_mat<R: Real>(params: &Params<R>, weight: ParamId) -> Mat<'_, R> {
    let (rows, cols) = matrix_shape(params, weight);
    Mat::new(params.values(weight), rows, cols)
}

fn bias<R: Real>(params: &Params<R>, layer: DenseParams) -> &[R] {
    params.values(layer.bias.expect("the layers of a grn have biases"))
}

fn apply<R: Real>(mask: Option<Mask>, x: &mut [R]) {
    if let Some(mask) = mask {
        x.iter_mut().zip(mask.factors::<R>()).for_each(|(x, m)| *x *= m);
    }
}

/// Adds the gradients of a layer's weight and bias; answers that of its input.
fn dense_back<R: Real>(layer: DenseParams, dy: &[R], x: &[R], pass: &mut Pass<'_, R>) -> Vec<R> {
    let weight = weight_mat(pass.params, layer.weight);
    let rows = dy.len() / weight.rows;
    let dy_mat = Mat::new(dy, rows, weight.rows);
    let mut dx = pass.tape.pool.take(x.len());
    let products = &mut pass.tape.products;
    products.gemm(dy_mat, weight, false, &mut dx);
    let x = Mat::new(x, rows, weight.cols);
    products.gemm(dy_mat.t(), x, true, pass.grads.add_to(layer.weight));
    let bias = layer.bias.expect("the layers of a grn have biases");
    add_column_sums(dy, pass.grads.add_to(bias));
    dx
}

impl Grn {
    /// Gradients of the first layer, its context and `x`, from that of the pre-activations.
    fn first_layer_back<R: Real>(&self, dz: &[R], pass: &mut Pass<'_, R>) {
        let (weight, bias) = (self.layers.fc1.weight, self.layers.fc1.bias);
        let (n_hidden, n_in) = matrix_shape(pass.params, weight);
        let dz_mat = Mat::new(dz, dz.len() / n_hidden, n_hidden);
        add_column_sums(
            dz,
            pass.grads.add_to(bias.expect("the layers of a grn have biases")),
        );
        let opened = pass.tape.open_grad(self.inputs.x);
        let (x, products) = pass.tape.value_and_products(self.inputs.x);
        let x = Mat::new(x, dz_mat.rows, n_in);
        products.gemm(dz_mat.t(), x, true, pass.grads.add_to(weight));
        if let Some((mut dx, fresh)) = opened {
            products.gemm(dz_mat, weight_mat(pass.params, weight), !fresh, &mut dx);
            pass.tape.close_grad(self.inputs.x, dx);
        }
        if let (Some(c), Some(weight)) = (self.inputs.context, self.layers.context) {
            context_back(c, weight, dz, pass);
        }
    }
}

/// Gradients of the context and its weight.
fn context_back<R: Real>(c: Var, weight: ParamId, dz: &[R], pass: &mut Pass<'_, R>) {
    let weight_values = weight_mat(pass.params, weight);
    let rows = pass.tape.value(c).len() / weight_values.cols;
    let mut sums = pass.tape.pool.take_zeroed(rows * weight_values.rows);
    sum_steps(dz, &mut sums);
    let opened = pass.tape.open_grad(c);
    let (value, products) = pass.tape.value_and_products(c);
    let dc = Mat::new(&sums, rows, weight_values.rows);
    let value = Mat::new(value, rows, weight_values.cols);
    products.gemm(dc.t(), value, true, pass.grads.add_to(weight));
    if let Some((mut grad, fresh)) = opened {
        products.gemm(dc, weight_values, !fresh, &mut grad);
        pass.tape.close_grad(c, grad);
    }
    pass.tape.pool.give(sums);
}

impl<R: Real> Backward<R> for Grn {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let dv = self.layers.norm.backward(&grad.data, &node.saved[..GATES], pass);
        let mut gates = std::mem::take(&mut node.saved[GATES]);
        gate_rows_back(&mut gates, &dv, pass.params.values(self.layers.norm.weight).len());
        pass.tape.give_grad(self.inputs.skip, dv);
        let (hidden, gated) = (&node.saved[HIDDEN], &node.saved[GATED]);
        let from = if gated.is_empty() { hidden } else { gated };
        let mut d = dense_back(self.layers.gate, &gates, from, pass);
        pass.tape.pool.give(gates);
        apply(self.mask, &mut d);
        if let Some(fc2) = self.layers.fc2 {
            let du = dense_back(fc2, &d, hidden, pass);
            pass.tape.pool.give(std::mem::replace(&mut d, du));
        }
        d.iter_mut().zip(hidden).for_each(|(d, &u)| *d *= elu_slope(u));
        self.first_layer_back(&d, pass);
        pass.tape.pool.give(d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Gradients, Init, Layout};
    use std::sync::Arc;

    const STEPS: usize = 4;
    const BATCH: usize = 3;

    struct Setup {
        layout: Arc<Layout>,
        layers: GrnParams,
        x: ParamId,
        skip: Option<ParamId>,
        context: Option<ParamId>,
        n_out: usize,
    }

    fn dense(layout: &mut Layout, name: &str, n_in: usize, n_out: usize) -> DenseParams {
        let all = Init::Uniform(0.7);
        DenseParams {
            weight: layout.declare(format!("{name}.weight"), &[n_out, n_in], all),
            bias: Some(layout.declare(format!("{name}.bias"), &[n_out], all)),
        }
    }

    fn setup([n_in, n_hidden, n_out]: [usize; 3], n_context: Option<usize>, two_layers: bool) -> Setup {
        let mut layout = Layout::default();
        let all = Init::Uniform(0.9);
        let x = layout.declare("x", &[STEPS, BATCH, n_in], all);
        let skip = (n_in != n_out).then(|| layout.declare("skip", &[STEPS, BATCH, n_out], all));
        let context = n_context.map(|n| layout.declare("c", &[BATCH, n], all));
        let layers = GrnParams {
            fc1: dense(&mut layout, "fc1", n_in, n_hidden),
            context: n_context.map(|n| layout.declare("context.weight", &[n_hidden, n], all)),
            fc2: two_layers.then(|| dense(&mut layout, "fc2", n_hidden, n_hidden)),
            gate: dense(&mut layout, "gate", n_hidden, 2 * n_out),
            norm: NormParams {
                weight: layout.declare("norm.weight", &[n_out], all),
                bias: layout.declare("norm.bias", &[n_out], all),
                eps: 1e-3,
            },
        };
        Setup {
            layout: Arc::new(layout),
            layers,
            x,
            skip,
            context,
            n_out,
        }
    }

    fn all_setups() -> Vec<Setup> {
        let mut all = Vec::new();
        for widths in [[3, 4, 5], [5, 5, 5], [1, 6, 2]] {
            for n_context in [None, Some(2)] {
                all.extend([true, false].map(|two| setup(widths, n_context, two)));
            }
        }
        all
    }

    fn training(p: f64) -> Mode {
        Mode {
            training: p > 0.0,
            dropout_key: 5,
            ..Mode::default()
        }
    }

    fn inputs<R: Real>(s: &Setup, tape: &mut Tape<R>, params: &Params<R>) -> GrnInputs<Var> {
        let x = tape.param(params, s.x);
        GrnInputs {
            x,
            skip: s.skip.map_or(x, |id| tape.param(params, id)),
            context: s.context.map(|id| tape.param(params, id)),
        }
    }

    fn weights(s: &Setup) -> Vec<f64> {
        (0..STEPS * BATCH * s.n_out)
            .map(|i| (i as f64 * 0.7).sin())
            .collect()
    }

    #[test]
    fn all_inputs_and_layers_match_central_differences_with_and_without_dropout() {
        for s in all_setups() {
            for p in [0.0, 0.3] {
                let check = check_gradients(&s.layout, 7, training(p), |tape, params| {
                    let inputs = inputs(&s, tape, params);
                    let y = tape.grn(params, inputs, s.layers, (p, 2));
                    let y = tape.tanh(y);
                    tape.weighted_sum(y, &weights(&s))
                });
                assert_gradients(&check, 1e-6);
            }
        }
    }

    /// The same network from separate operations.
    fn composed<R: Real>(
        tape: &mut Tape<R>,
        params: &Params<R>,
        inputs: GrnInputs<Var>,
        layers: GrnParams,
        (p, site): (f64, u32),
    ) -> Var {
        let mut h = tape.linear(params, inputs.x, layers.fc1);
        if let (Some(c), Some(weight)) = (inputs.context, layers.context) {
            let c = tape.linear(params, c, DenseParams { weight, bias: None });
            h = tape.add_steps(h, c);
        }
        h = tape.elu(h);
        if let Some(fc2) = layers.fc2 {
            h = tape.linear(params, h, fc2);
        }
        h = tape.dropout(h, p, site);
        h = tape.linear(params, h, layers.gate);
        h = tape.glu(h);
        h = tape.add(h, inputs.skip);
        tape.layer_norm(params, h, layers.norm)
    }

    #[test]
    fn the_fused_network_equals_the_composed_one() {
        for s in all_setups() {
            for p in [0.0, 0.4] {
                let params = Params::<f64>::init(&s.layout, 3);
                let run = |fused: bool| {
                    let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(&s.layout));
                    tape.begin(training(p));
                    let inputs = inputs(&s, &mut tape, &params);
                    let y = if fused {
                        tape.grn(&params, inputs, s.layers, (p, 9))
                    } else {
                        composed(&mut tape, &params, inputs, s.layers, (p, 9))
                    };
                    let mut found = tape.value(y).to_vec();
                    let loss = tape.weighted_sum(y, &weights(&s));
                    tape.backward(loss, &params, &mut grads);
                    found.extend_from_slice(grads.data());
                    found
                };
                for (fused, composed) in run(true).iter().zip(run(false)) {
                    assert!((fused - composed).abs() < 1e-12, "{fused} {composed}");
                }
            }
        }
    }
}
