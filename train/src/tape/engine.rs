//! The operations a net is written with; [`Graph`] runs them on a [`Tape`].
//!
//! A second engine (a GPU, another autodiff as an oracle) implements this trait; no net changes.

use super::params::{ParamId, Params};
use super::{Tape, Var};
use crate::ops::lstm::LstmParams;
use crate::ops::real::Real;

/// Operations over whole layers. Shapes are time first: `[steps, batch, width]` or `[batch, width]`.
pub trait Engine {
    /// A value of this engine.
    type Var: Copy;

    /// `x Wᵀ + b` over the last axis; `W [n_out, n_in]`.
    fn linear(&mut self, x: Self::Var, weight: ParamId, bias: ParamId) -> Self::Var;
    /// One LSTM layer from a zero state: `[steps, batch, n_in]` to `[steps, batch, n_hidden]`.
    fn lstm(&mut self, x: Self::Var, layer: LstmParams) -> Self::Var;
    /// The last step: `[steps, batch, width]` to `[batch, width]`.
    fn take_last(&mut self, x: Self::Var) -> Self::Var;
    /// `max(0, x)`.
    fn relu(&mut self, x: Self::Var) -> Self::Var;
    /// `1 / (1 + e^-x)`.
    fn sigmoid(&mut self, x: Self::Var) -> Self::Var;
    /// Hyperbolic tangent.
    fn tanh(&mut self, x: Self::Var) -> Self::Var;
    /// `a + b` of equal shapes.
    fn add(&mut self, a: Self::Var, b: Self::Var) -> Self::Var;
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

impl<R: Real> Engine for Graph<'_, R> {
    type Var = Var;

    fn linear(&mut self, x: Var, weight: ParamId, bias: ParamId) -> Var {
        self.tape.linear(self.params, x, weight, bias)
    }

    fn lstm(&mut self, x: Var, layer: LstmParams) -> Var {
        self.tape.lstm(self.params, x, layer, None)
    }

    fn take_last(&mut self, x: Var) -> Var {
        self.tape.take_last(x)
    }

    fn relu(&mut self, x: Var) -> Var {
        self.tape.relu(x)
    }

    fn sigmoid(&mut self, x: Var) -> Var {
        self.tape.sigmoid(x)
    }

    fn tanh(&mut self, x: Var) -> Var {
        self.tape.tanh(x)
    }

    fn add(&mut self, a: Var, b: Var) -> Var {
        self.tape.add(a, b)
    }

    fn dropout(&mut self, x: Var, p: f64, site: u32) -> Var {
        self.tape.dropout(x, p, site)
    }
}
