//! The gated end of a block of the TFT: `y = LN(GLU(fc x) + skip)`.

use super::Dropout;
use super::declare::{Declare, DenseInit};
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;

/// `fc [2n, n_in]`, the norm, and the dropout on `x`.
#[derive(Debug, Clone)]
pub struct GateNorm {
    fc: DenseParams,
    norm: NormParams,
    dropout: Option<Dropout>,
}

impl GateNorm {
    /// Tensors `{fc}.*` and `{norm}.*`, between values of width `n`.
    pub fn new(declare: &mut Declare, [fc, norm]: [&str; 2], n: usize, eps: f64, drops: bool) -> Self {
        Self {
            fc: declare.dense(fc, n, 2 * n, DenseInit::Xavier),
            norm: declare.norm(norm, n, eps),
            dropout: drops.then(|| declare.dropout()),
        }
    }

    /// `x [.., n]` and `skip [.., n]` to `[.., n]`.
    pub fn forward<E: Engine>(&self, engine: &mut E, x: E::Var, skip: E::Var) -> E::Var {
        let x = match self.dropout {
            Some(dropout) => dropout.apply(engine, x),
            None => x,
        };
        let gates = engine.linear(x, self.fc);
        engine.gate_norm(gates, skip, self.norm)
    }
}
