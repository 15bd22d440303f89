//! Multi-head attention as `torch.nn.MultiheadAttention` keeps it: one matrix for queries, keys and values.
//!
//! Start values: `in_proj_weight` Xavier-uniform over all of it, `out_proj.weight` `U(±1/√n)`, biases 0. Dropout falls on the
//! attention weights.

use super::Dropout;
use super::declare::{Declare, DenseInit};
use crate::ops::attention::{Attention, Visible};
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use crate::tape::params::Init;

/// Attention of every query over every key.
#[derive(Debug, Clone)]
pub struct MultiHead {
    in_proj: DenseParams,
    out_proj: DenseParams,
    n: usize,
    n_heads: usize,
    dropout: Option<Dropout>,
}

impl MultiHead {
    /// `{name}.{in_proj_weight [3n, n], in_proj_bias [3n], out_proj.weight [n, n], out_proj.bias [n]}`.
    pub fn new(declare: &mut Declare, name: &str, n: usize, n_heads: usize, drops: bool) -> Self {
        let xavier = Init::Uniform((6.0 / (4 * n) as f64).sqrt());
        let zero = Init::Constant(0.0);
        let in_proj = DenseParams {
            weight: declare.tensor(format!("{name}.in_proj_weight"), &[3 * n, n], xavier),
            bias: Some(declare.tensor(format!("{name}.in_proj_bias"), &[3 * n], zero)),
        };
        let out = format!("{name}.out_proj");
        let mut out_proj = declare.dense_without_bias(&out, n, n, DenseInit::Torch);
        out_proj.bias = Some(declare.tensor(format!("{out}.bias"), &[n], zero));
        Self {
            in_proj,
            out_proj,
            n,
            n_heads,
            dropout: drops.then(|| declare.dropout()),
        }
    }

    /// `query [Tq, batch, n]`, `key` and `value [Tk, batch, n]` to `[Tq, batch, n]`.
    pub fn forward<E: Engine>(&self, engine: &mut E, query: E::Var, key: E::Var, value: E::Var) -> E::Var {
        let n = self.n;
        let q = engine.linear_rows(query, self.in_proj, 0..n);
        let k = engine.linear_rows(key, self.in_proj, n..2 * n);
        let v = engine.linear_rows(value, self.in_proj, 2 * n..3 * n);
        let how = Attention {
            n_heads: self.n_heads,
            visible: Visible::ALL,
            dropout: self.dropout.map(|d| (d.p, d.site)),
        };
        let heads = engine.attention(q, k, v, how);
        engine.linear(heads, self.out_proj)
    }
}
