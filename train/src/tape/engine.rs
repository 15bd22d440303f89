//! The operations a net is written with; [`Graph`] runs them on a [`Tape`].
//!
//! A second engine (a GPU, another autodiff as an oracle) implements this trait; no net changes.

use super::params::{ParamId, Params};
use super::{Tape, Var};
use crate::ops::attention::Attention;
use crate::ops::embedding::TableParams;
use crate::ops::grn::{GrnInputs, GrnParams};
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::ops::lstm::LstmParams;
use crate::ops::real::Real;
use std::ops::Range;

/// Operations over whole layers. Shapes are time first: `[steps, batch, width]` or `[batch, width]`.
pub trait Engine {
    /// A value of this engine.
    type Var: Copy;

    /// The shape of a value.
    fn shape(&self, x: Self::Var) -> &[usize];
    /// Zeros, without gradient.
    fn zeros(&mut self, shape: &[usize]) -> Self::Var;

    /// `x Wᵀ + b` over the last axis; `W [n_out, n_in]`.
    fn linear(&mut self, x: Self::Var, layer: DenseParams) -> Self::Var;
    /// [`Engine::linear`] with some rows of weight and bias.
    fn linear_rows(&mut self, x: Self::Var, layer: DenseParams, rows: Range<usize>) -> Self::Var;
    /// Several layers' answers to `x`, side by side.
    fn linear_heads(&mut self, x: Self::Var, layers: &[DenseParams]) -> Self::Var;
    /// One column of `x` through `Linear(1 -> n)`.
    fn affine_column(&mut self, x: Self::Var, column: usize, layer: DenseParams) -> Self::Var;
    /// The sum of the table's vectors for the codes in some columns of `x`.
    fn embedding(&mut self, x: Self::Var, columns: &[usize], table: TableParams) -> Self::Var;
    /// Interpolation along the features with a learned gain `2 σ(mask)`.
    fn resample(&mut self, x: Self::Var, mask: ParamId) -> Self::Var;

    /// One LSTM layer from `(h_0, c_0)` or from a zero state: `[steps, batch, n_in]` to `[steps, batch, n_hidden]`. Behind a
    /// row's length, where there are lengths, the answer is zero.
    fn lstm(
        &mut self,
        x: Self::Var,
        layer: LstmParams,
        initial: Option<(Self::Var, Self::Var)>,
        lengths: Option<&[usize]>,
    ) -> Self::Var;
    /// `(h, c)` behind the last step of each row of an answer of [`Engine::lstm`].
    fn lstm_state(&mut self, layer: Self::Var, lengths: Option<&[usize]>) -> (Self::Var, Self::Var);
    /// A gated residual network with the probability and the site of its dropout.
    fn grn(&mut self, inputs: GrnInputs<Self::Var>, layers: GrnParams, dropout: (f64, u32)) -> Self::Var;
    /// Layer normalisation over the last axis.
    fn layer_norm(&mut self, x: Self::Var, norm: NormParams) -> Self::Var;
    /// `LN(a ⊙ σ(g) + skip)`, `[a | g] = x`.
    fn gate_norm(&mut self, x: Self::Var, skip: Self::Var, norm: NormParams) -> Self::Var;
    /// Attention of queries over keys and values.
    fn attention(&mut self, q: Self::Var, k: Self::Var, v: Self::Var, how: Attention<'_>) -> Self::Var;
    /// The mean of `n_heads` groups of columns.
    fn mean_heads(&mut self, x: Self::Var, n_heads: usize) -> Self::Var;
    /// `Σ_j weights[.., j] parts[j]`.
    fn select(&mut self, weights: Self::Var, parts: &[Self::Var]) -> Self::Var;

    /// `max(0, x)`.
    fn relu(&mut self, x: Self::Var) -> Self::Var;
    /// `x` where positive, else `e^x - 1`.
    fn elu(&mut self, x: Self::Var) -> Self::Var;
    /// `1 / (1 + e^-x)`.
    fn sigmoid(&mut self, x: Self::Var) -> Self::Var;
    /// Hyperbolic tangent.
    fn tanh(&mut self, x: Self::Var) -> Self::Var;
    /// `ln(1 + e^x) + floor`.
    fn softplus(&mut self, x: Self::Var, floor: f64) -> Self::Var;
    /// Softmax over the last axis.
    fn softmax(&mut self, x: Self::Var) -> Self::Var;
    /// `a + b` of equal shapes.
    fn add(&mut self, a: Self::Var, b: Self::Var) -> Self::Var;
    /// `a ⊙ b` of equal shapes.
    fn mul(&mut self, a: Self::Var, b: Self::Var) -> Self::Var;
    /// `gate ⊙ a + (1 - gate) ⊙ b` of equal shapes.
    fn mix(&mut self, gate: Self::Var, a: Self::Var, b: Self::Var) -> Self::Var;
    /// `x[t] + c` for every step.
    fn add_steps(&mut self, x: Self::Var, c: Self::Var) -> Self::Var;

    /// Some columns of the last axis.
    fn columns(&mut self, x: Self::Var, columns: &[usize]) -> Self::Var;
    /// Values side by side over the last axis.
    fn concat_columns(&mut self, parts: &[Self::Var]) -> Self::Var;
    /// Some steps of the first axis.
    fn steps(&mut self, x: Self::Var, steps: Range<usize>) -> Self::Var;
    /// One step: `[steps, batch, width]` to `[batch, width]`.
    fn step(&mut self, x: Self::Var, t: usize) -> Self::Var;
    /// The last step: `[steps, batch, width]` to `[batch, width]`.
    fn take_last(&mut self, x: Self::Var) -> Self::Var;
    /// Values behind one another over the first axis.
    fn concat_steps(&mut self, parts: &[Self::Var]) -> Self::Var;
    /// The mean over the first axis.
    fn mean_steps(&mut self, x: Self::Var) -> Self::Var;
    /// The steps of `[steps, batch, width]` backwards, each row within its length where there are lengths.
    fn reverse_steps(&mut self, x: Self::Var, lengths: Option<&[usize]>) -> Self::Var;
    /// The same values under another shape.
    fn reshape(&mut self, x: Self::Var, shape: &[usize]) -> Self::Var;
    /// The first two axes exchanged.
    fn swap_axes(&mut self, x: Self::Var) -> Self::Var;

    /// Zeroes values with probability `p` and scales the others by `1 / (1 - p)` while training. `site` tells the dropouts
    /// of a net apart.
    fn dropout(&mut self, x: Self::Var, p: f64, site: u32) -> Self::Var;
}

/// A tape together with the parameters its operations read.
pub struct Graph<'a, R: Real> {
    /// Where values and the way back are kept.
    pub tape: &'a mut Tape<R>,
    /// Read by the layers.
    pub params: &'a Params<R>,
}

/// Operations that the tape has under the same name, with or without parameters.
macro_rules! on_tape {
    (plain { $($plain:ident($($a:ident: $t:ty),*);)* } layers { $($layer:ident($($b:ident: $u:ty),*);)* }) => {
        $(fn $plain(&mut self, $($a: $t),*) -> Var {
            self.tape.$plain($($a),*)
        })*
        $(fn $layer(&mut self, $($b: $u),*) -> Var {
            self.tape.$layer(self.params, $($b),*)
        })*
    };
}

impl<R: Real> Engine for Graph<'_, R> {
    type Var = Var;

    fn shape(&self, x: Var) -> &[usize] {
        self.tape.shape(x)
    }

    fn zeros(&mut self, shape: &[usize]) -> Var {
        self.tape.zeros(shape)
    }

    fn lstm_state(&mut self, layer: Var, lengths: Option<&[usize]>) -> (Var, Var) {
        self.tape.lstm_state(layer, lengths)
    }

    on_tape! {
        plain {
            attention(q: Var, k: Var, v: Var, how: Attention<'_>);
            mean_heads(x: Var, n_heads: usize);
            select(weights: Var, parts: &[Var]);
            relu(x: Var);
            elu(x: Var);
            sigmoid(x: Var);
            tanh(x: Var);
            softplus(x: Var, floor: f64);
            softmax(x: Var);
            add(a: Var, b: Var);
            mul(a: Var, b: Var);
            mix(gate: Var, a: Var, b: Var);
            add_steps(x: Var, c: Var);
            columns(x: Var, columns: &[usize]);
            concat_columns(parts: &[Var]);
            steps(x: Var, steps: Range<usize>);
            step(x: Var, t: usize);
            take_last(x: Var);
            concat_steps(parts: &[Var]);
            mean_steps(x: Var);
            reverse_steps(x: Var, lengths: Option<&[usize]>);
            reshape(x: Var, shape: &[usize]);
            swap_axes(x: Var);
            dropout(x: Var, p: f64, site: u32);
        }
        layers {
            linear(x: Var, layer: DenseParams);
            linear_rows(x: Var, layer: DenseParams, rows: Range<usize>);
            linear_heads(x: Var, layers: &[DenseParams]);
            affine_column(x: Var, column: usize, layer: DenseParams);
            embedding(x: Var, columns: &[usize], table: TableParams);
            resample(x: Var, mask: ParamId);
            lstm(x: Var, layer: LstmParams, initial: Option<(Var, Var)>, lengths: Option<&[usize]>);
            grn(inputs: GrnInputs<Var>, layers: GrnParams, dropout: (f64, u32));
            layer_norm(x: Var, norm: NormParams);
            gate_norm(x: Var, skip: Var, norm: NormParams);
        }
    }
}
