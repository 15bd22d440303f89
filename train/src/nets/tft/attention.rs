//! The TFT's interpretable attention: one value head, `W_h mean_i A_i V`, `A_i = softmax(mask(Q_i K_iᵀ / √d))`.
//!
//! Width of a head: `d = n_hidden / n_heads` rounded down. Start values: Xavier-uniform, biases 0. Dropout on each head's
//! answer and behind `W_h`.

use super::super::blocks::Dropout;
use super::super::blocks::declare::{Declare, DenseInit};
use crate::ops::attention::{Attention, Visible};
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use tickfuse_core::bundle::TftConfig;

#[derive(Debug, Clone)]
pub(super) struct InterpretableAttention {
    queries: Vec<DenseParams>,
    keys: Vec<DenseParams>,
    values: DenseParams,
    out: DenseParams,
    on_heads: Dropout,
    behind: Dropout,
}

impl InterpretableAttention {
    pub(super) fn new(declare: &mut Declare, config: &TftConfig) -> Self {
        let (h, d) = (config.n_hidden, config.d_head());
        let layer = |declare: &mut Declare, name: &str| {
            let name = format!("multihead_attn.{name}");
            if config.rules.attention_bias {
                declare.dense(&name, h, d, DenseInit::Xavier)
            } else {
                declare.dense_without_bias(&name, h, d, DenseInit::Xavier)
            }
        };
        let (mut queries, mut keys) = (Vec::new(), Vec::new());
        for i in 0..config.n_heads {
            queries.push(layer(declare, &format!("q_layers.{i}")));
            keys.push(layer(declare, &format!("k_layers.{i}")));
        }
        Self {
            queries,
            keys,
            values: layer(declare, "v_layer"),
            out: declare.dense_without_bias("multihead_attn.w_h", d, h, DenseInit::Xavier),
            on_heads: declare.dropout(),
            behind: declare.dropout(),
        }
    }

    /// `queries [Tq, batch, n_hidden]` over `steps [Tk, batch, n_hidden]` to `[Tq, batch, n_hidden]`.
    pub(super) fn forward<E: Engine>(
        &self,
        engine: &mut E,
        queries: E::Var,
        steps: E::Var,
        visible: Visible<'_>,
    ) -> E::Var {
        let q = engine.linear_heads(queries, &self.queries);
        let k = engine.linear_heads(steps, &self.keys);
        let v = engine.linear(steps, self.values);
        let how = Attention {
            n_heads: self.queries.len(),
            visible,
            dropout: None,
        };
        let heads = engine.attention(q, k, v, how);
        let heads = self.on_heads.apply(engine, heads);
        let mean = engine.mean_heads(heads, self.queries.len());
        let out = engine.linear(mean, self.out);
        self.behind.apply(engine, out)
    }
}
