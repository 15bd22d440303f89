//! One LSTM layer over all steps, with a hand-written way back.
//!
//! `z_t = x_t Wihᵀ + h_{t-1} Whhᵀ + b_ih + b_hh`, `[i f g o] = [σ σ tanh σ](z_t)`, `c_t = f c_{t-1} + i g`, `h_t = o tanh(c_t)`
//! (Hochreiter and Schmidhuber 1997 with a forget gate; gate order and tensors as in `PyTorch`). Time-major: `x [T, B, n_in]`,
//! `h [T, B, H]`. Arrangement:
//! 1. `h` and `c` have T+1 slots, slot 0 the initial state: "all previous h" is one matrix `[T B, H]`.
//! 2. Forward: the gate buffer `[T B, 4H]` starts as the bias, takes the input projection of all steps in one product, then
//!    per step `h_{t-1} Whhᵀ` with a weight packed once, then one pass over the slab in place.
//! 3. Backward: per step the cell pass overwrites activations with pre-activation gradients `dz_t`, and one product
//!    `dz_t Whh` gives the next carry. Nothing else is in the loop.
//! 4. After the loop three large products and a column sum: `dWhh = dzᵀ h_prev`, `dWih = dzᵀ x`, `dx = dz Wih`, `db = Σ dz`.
//! 5. A gradient that exists only in the last steps is read as it is; the initial state receives `dh_0`, `dc_0`.
//! 6. Rows may end early: behind its length a row's output is zero and nothing flows back. The state a row ends with is read
//!    by [`super::lstm_state`], whose gradient enters at the row's last step.

use super::linear::{add_column_sums, fill_rows, matrix_shape};
use super::mat::Mat;
use super::real::Real;
use super::reverse::check_lengths;
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// Parameters of one layer, as `PyTorch` keeps them.
///
/// Both biases are parameters: only their sum matters to the output, but an optimiser moves each of them, so a net with one
/// bias would learn it at half the speed.
#[derive(Debug, Clone, Copy)]
pub struct LstmParams {
    /// `[4H, n_in]`, gates i, f, g, o.
    pub weight_ih: ParamId,
    /// `[4H, H]`.
    pub weight_hh: ParamId,
    /// `[4H]`.
    pub bias_ih: ParamId,
    /// `[4H]`.
    pub bias_hh: ParamId,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    steps: usize,
    batch: usize,
    n_in: usize,
    n_hidden: usize,
}

impl Sizes {
    /// Rows of the matrix of all steps.
    fn rows(self) -> usize {
        self.steps * self.batch
    }

    /// Values of one state, `[B, H]`.
    fn state(self) -> usize {
        self.batch * self.n_hidden
    }
}

struct Lstm {
    x: Var,
    params: LstmParams,
    initial: Option<(Var, Var)>,
    lengths: Option<Vec<usize>>,
    sizes: Sizes,
}

// Places in `Node::saved`. The last two are empty, or the gradients of the state each row ends with.
const GATES: usize = 0;
pub(super) const CELLS: usize = 1;
pub(super) const FINAL_H: usize = 3;
pub(super) const FINAL_C: usize = 4;

impl<R: Real> Tape<R> {
    /// One LSTM layer; `initial` is `(h_0, c_0)`, each `[B, H]`, zero when absent. Behind a row's length, where there are
    /// lengths, the answer is zero.
    ///
    /// # Panics
    /// When shapes do not meet, or there is not one length of at most `steps` per row.
    pub fn lstm(
        &mut self,
        params: &Params<R>,
        x: Var,
        layer: LstmParams,
        initial: Option<(Var, Var)>,
        lengths: Option<&[usize]>,
    ) -> Var {
        let sizes = self.lstm_sizes(params, x, layer);
        check_lengths(lengths, sizes.steps, sizes.batch);
        let state = sizes.state();
        let mut gates = self.pool.take(sizes.rows() * 4 * sizes.n_hidden);
        self.project_inputs(params, x, layer, sizes, &mut gates);
        let mut hidden = self.pool.take((sizes.steps + 1) * state);
        let mut cells = self.pool.take((sizes.steps + 1) * state);
        let mut tanh_cells = self.pool.take(sizes.rows() * sizes.n_hidden);
        self.initial_state(initial.map(|i| i.0), &mut hidden[..state]);
        self.initial_state(initial.map(|i| i.1), &mut cells[..state]);
        let recurrent = Mat::new(params.values(layer.weight_hh), 4 * sizes.n_hidden, sizes.n_hidden).t();
        self.products.pack(recurrent, &mut self.packed);
        for t in 0..sizes.steps {
            let slab = &mut gates[t * 4 * state..(t + 1) * 4 * state];
            let (h_prev, h) = hidden[t * state..(t + 2) * state].split_at_mut(state);
            let (c_prev, c) = cells[t * state..(t + 2) * state].split_at_mut(state);
            let tanh_c = &mut tanh_cells[t * state..(t + 1) * state];
            let h_mat = Mat::new(h_prev, sizes.batch, sizes.n_hidden);
            self.products.gemm_packed(h_mat, &self.packed, true, slab);
            R::lstm_cell_forward(slab, c_prev, c, tanh_c, h, sizes.n_hidden);
            for row in ended(lengths, t) {
                h[row * sizes.n_hidden..][..sizes.n_hidden].fill(R::ZERO);
            }
        }
        let op = Lstm {
            x,
            params: layer,
            initial,
            lengths: lengths.map(<[usize]>::to_vec),
            sizes,
        };
        let shape = [sizes.steps, sizes.batch, sizes.n_hidden];
        let saved = vec![gates, cells, tanh_cells, Vec::new(), Vec::new()];
        self.push(Node::behind(&shape, hidden, state, saved).with_op(true, op))
    }

    fn lstm_sizes(&self, params: &Params<R>, x: Var, layer: LstmParams) -> Sizes {
        let &[steps, batch, n_in] = self.shape(x) else {
            panic!("lstm: expected [steps, batch, n_in], found {:?}", self.shape(x))
        };
        let n_hidden = matrix_shape(params, layer.weight_hh).1;
        let expected = [[4 * n_hidden, n_in], [4 * n_hidden, n_hidden]];
        let found = [params.shape(layer.weight_ih), params.shape(layer.weight_hh)];
        assert_eq!(found, expected, "lstm: shapes of weight_ih and weight_hh");
        Sizes {
            steps,
            batch,
            n_in,
            n_hidden,
        }
    }

    /// Bias and input projection of all steps.
    fn project_inputs(
        &mut self,
        params: &Params<R>,
        x: Var,
        layer: LstmParams,
        sizes: Sizes,
        gates: &mut [R],
    ) {
        let biases = params
            .values(layer.bias_ih)
            .iter()
            .zip(params.values(layer.bias_hh));
        let bias: Vec<R> = biases.map(|(&a, &b)| a + b).collect();
        fill_rows(gates, &bias);
        let weight = Mat::new(params.values(layer.weight_ih), bias.len(), sizes.n_in).t();
        let (input, products) = self.value_and_products(x);
        products.gemm(Mat::new(input, sizes.rows(), sizes.n_in), weight, true, gates);
    }

    fn initial_state(&self, state: Option<Var>, slot: &mut [R]) {
        match state {
            Some(v) => slot.copy_from_slice(self.value(v)),
            None => slot.fill(R::ZERO),
        }
    }
}

/// Rows that ended before step `t`.
fn ended(lengths: Option<&[usize]>, t: usize) -> impl Iterator<Item = usize> + '_ {
    let lengths = lengths.unwrap_or_default().iter().enumerate();
    lengths
        .filter(move |&(_, &length)| length <= t)
        .map(|(row, _)| row)
}

impl<R: Real> Backward<R> for Lstm {
    fn takes_tail(&self) -> bool {
        true
    }

    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut carry_h = pass.tape.pool.take_zeroed(self.sizes.state());
        let mut carry_c = pass.tape.pool.take_zeroed(self.sizes.state());
        let finals = [FINAL_H, FINAL_C].map(|place| std::mem::take(&mut node.saved[place]));
        self.through_time(node, grad, &finals, pass, [&mut carry_h, &mut carry_c]);
        self.enter_finals(&finals, 0, [&mut carry_h, &mut carry_c]);
        self.weight_gradients(node, pass);
        self.input_gradient(node, pass);
        if let Some((h0, c0)) = self.initial {
            pass.tape.add_grad(h0, carry_h.iter().copied());
            pass.tape.add_grad(c0, carry_c.iter().copied());
        }
        for buffer in finals.into_iter().chain([carry_h, carry_c]) {
            pass.tape.pool.give(buffer);
        }
    }
}

impl Lstm {
    /// Adds the gradients of final states to the carries of the rows that are `length` steps long.
    fn enter_finals<R: Real>(&self, finals: &[Vec<R>; 2], length: usize, carries: [&mut [R]; 2]) {
        let n = self.sizes.n_hidden;
        for (carry, last) in carries.into_iter().zip(finals) {
            let rows = carry.chunks_exact_mut(n).zip(last.chunks_exact(n)).enumerate();
            for (row, (carry, last)) in rows {
                if self.length(row) == length {
                    carry.iter_mut().zip(last).for_each(|(sum, &x)| *sum += x);
                }
            }
        }
    }

    fn length(&self, row: usize) -> usize {
        self.lengths
            .as_ref()
            .map_or(self.sizes.steps, |lengths| lengths[row])
    }

    /// Adds the gradient of step `t` to the carry of the rows that have it.
    fn enter_step<R: Real>(&self, grad: &Grad<R>, t: usize, carry_h: &mut [R]) {
        let (state, n) = (self.sizes.state(), self.sizes.n_hidden);
        if t * state < grad.from {
            return;
        }
        let dy = &grad.data[t * state - grad.from..][..state];
        for (row, (carry, dy)) in carry_h.chunks_exact_mut(n).zip(dy.chunks_exact(n)).enumerate() {
            if t < self.length(row) {
                carry.iter_mut().zip(dy).for_each(|(sum, &x)| *sum += x);
            }
        }
    }

    /// Turns the saved activations into pre-activation gradients, step by step from the last.
    fn through_time<R: Real>(
        &self,
        node: &mut Node<R>,
        grad: &Grad<R>,
        finals: &[Vec<R>; 2],
        pass: &mut Pass<'_, R>,
        [carry_h, carry_c]: [&mut [R]; 2],
    ) {
        let (state, n_hidden) = (self.sizes.state(), self.sizes.n_hidden);
        let tape = &mut *pass.tape;
        let recurrent = Mat::new(pass.params.values(self.params.weight_hh), 4 * n_hidden, n_hidden);
        tape.products.pack(recurrent, &mut tape.packed);
        let [gates, cells, tanh_cells, ..] = &mut node.saved[..] else {
            unreachable!("forward saves five buffers")
        };
        for t in (0..self.sizes.steps).rev() {
            self.enter_finals(finals, t + 1, [&mut *carry_h, &mut *carry_c]);
            self.enter_step(grad, t, carry_h);
            let slab = &mut gates[t * 4 * state..(t + 1) * 4 * state];
            let (c_prev, tanh_c) = (&cells[t * state..][..state], &tanh_cells[t * state..][..state]);
            R::lstm_cell_backward(slab, c_prev, tanh_c, carry_h, carry_c, n_hidden);
            let dz = Mat::new(slab, self.sizes.batch, 4 * n_hidden);
            if t > 0 || self.initial.is_some() {
                tape.products.gemm_packed(dz, &tape.packed, false, carry_h);
            }
        }
    }

    fn weight_gradients<R: Real>(&self, node: &Node<R>, pass: &mut Pass<'_, R>) {
        let (rows, n_in, n_hidden) = (self.sizes.rows(), self.sizes.n_in, self.sizes.n_hidden);
        let gates = &node.saved[GATES];
        let dz_t = Mat::new(gates, rows, 4 * n_hidden).t();
        let h_prev = Mat::new(&node.buffer[..rows * n_hidden], rows, n_hidden);
        let (x, products) = pass.tape.value_and_products(self.x);
        products.gemm(dz_t, h_prev, true, pass.grads.add_to(self.params.weight_hh));
        let x = Mat::new(x, rows, n_in);
        products.gemm(dz_t, x, true, pass.grads.add_to(self.params.weight_ih));
        let mut sums = pass.tape.pool.take_zeroed(4 * n_hidden);
        add_column_sums(gates, &mut sums);
        for bias in [self.params.bias_ih, self.params.bias_hh] {
            let db = pass.grads.add_to(bias).iter_mut();
            db.zip(&sums).for_each(|(db, &x)| *db += x);
        }
        pass.tape.pool.give(sums);
    }

    fn input_gradient<R: Real>(&self, node: &Node<R>, pass: &mut Pass<'_, R>) {
        let Some((mut dx, fresh)) = pass.tape.open_grad(self.x) else {
            return;
        };
        let width = 4 * self.sizes.n_hidden;
        let dz = Mat::new(&node.saved[GATES], self.sizes.rows(), width);
        let weight = Mat::new(pass.params.values(self.params.weight_ih), width, self.sizes.n_in);
        pass.tape.products.gemm(dz, weight, !fresh, &mut dx);
        pass.tape.close_grad(self.x, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Gradients, Init, Layout};
    use std::sync::Arc;

    const T: usize = 4;
    const B: usize = 3;
    const I: usize = 2;
    const H: usize = 5;

    struct Setup {
        layout: Arc<Layout>,
        x: ParamId,
        state: (ParamId, ParamId),
        layer: LstmParams,
    }

    fn setup(with_state: bool) -> Setup {
        let mut layout = Layout::default();
        let all = Init::Uniform(0.8);
        let x = layout.declare("x", &[T, B, I], all);
        let layer = LstmParams {
            weight_ih: layout.declare("weight_ih", &[4 * H, I], all),
            weight_hh: layout.declare("weight_hh", &[4 * H, H], all),
            bias_ih: layout.declare("bias_ih", &[4 * H], all),
            bias_hh: layout.declare("bias_hh", &[4 * H], all),
        };
        let mut state = (x, x);
        if with_state {
            state = (
                layout.declare("h0", &[B, H], all),
                layout.declare("c0", &[B, H], all),
            );
        }
        Setup {
            layout: Arc::new(layout),
            x,
            state,
            layer,
        }
    }

    fn weights(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7) % 11) as f64 * 0.2 - 1.0).collect()
    }

    #[test]
    fn all_inputs_match_central_differences_with_a_gradient_at_every_step() {
        let s = setup(true);
        let check = check_gradients(&s.layout, 1, Mode::default(), |tape, params| {
            let x = tape.param(params, s.x);
            let state = (tape.param(params, s.state.0), tape.param(params, s.state.1));
            let y = tape.lstm(params, x, s.layer, Some(state), None);
            tape.weighted_sum(y, &weights(T * B * H))
        });
        assert_gradients(&check, 1e-7);
    }

    #[test]
    fn a_gradient_at_the_last_step_alone_matches_central_differences() {
        for with_state in [false, true] {
            let s = setup(with_state);
            let check = check_gradients(&s.layout, 2, Mode::default(), |tape, params| {
                let x = tape.param(params, s.x);
                let state =
                    with_state.then(|| (tape.param(params, s.state.0), tape.param(params, s.state.1)));
                let y = tape.lstm(params, x, s.layer, state, None);
                let y = tape.take_last(y);
                tape.weighted_sum(y, &weights(B * H))
            });
            assert_gradients(&check, 1e-7);
        }
    }

    #[test]
    fn two_layers_match_central_differences() {
        let mut layout = (*setup(false).layout).clone();
        let s = setup(false);
        let all = Init::Uniform(0.8);
        let top = LstmParams {
            weight_ih: layout.declare("weight_ih_l1", &[4 * H, H], all),
            weight_hh: layout.declare("weight_hh_l1", &[4 * H, H], all),
            bias_ih: layout.declare("bias_ih_l1", &[4 * H], all),
            bias_hh: layout.declare("bias_hh_l1", &[4 * H], all),
        };
        let check = check_gradients(&Arc::new(layout), 3, Mode::default(), |tape, params| {
            let x = tape.param(params, s.x);
            let y = tape.lstm(params, x, s.layer, None, None);
            let y = tape.lstm(params, y, top, None, None);
            let y = tape.take_last(y);
            tape.weighted_sum(y, &weights(B * H))
        });
        assert_gradients(&check, 1e-7);
    }

    #[test]
    fn f32_gradients_agree_with_f64_at_a_width_no_register_divides() {
        let (steps, batch, n_in, n_hidden) = (9, 5, 3, 19);
        let mut layout = Layout::default();
        let all = Init::Uniform(0.3);
        let x = layout.declare("x", &[steps, batch, n_in], all);
        let layer = LstmParams {
            weight_ih: layout.declare("weight_ih", &[4 * n_hidden, n_in], all),
            weight_hh: layout.declare("weight_hh", &[4 * n_hidden, n_hidden], all),
            bias_ih: layout.declare("bias_ih", &[4 * n_hidden], all),
            bias_hh: layout.declare("bias_hh", &[4 * n_hidden], all),
        };
        let layout = Arc::new(layout);
        let wide = Params::<f64>::init(&layout, 6);
        let exact = gradients(&wide, x, layer, steps * batch * n_hidden);
        let found = gradients(&wide.cast::<f32>(), x, layer, steps * batch * n_hidden);
        let largest = exact.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (exact, found) in exact.iter().zip(&found) {
            assert!((exact - found).abs() < 2e-6 * largest, "{exact} {found}");
        }
    }

    fn gradients<R: Real>(params: &Params<R>, x: ParamId, layer: LstmParams, n: usize) -> Vec<f64> {
        let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(params.layout()));
        tape.begin(Mode::default());
        let x = tape.param(params, x);
        let y = tape.lstm(params, x, layer, None, None);
        let weights: Vec<R> = weights(n).into_iter().map(R::from_f64).collect();
        let loss = tape.weighted_sum(y, &weights);
        tape.backward(loss, params, &mut grads);
        grads.data().iter().map(|x| x.to_f64()).collect()
    }
}
