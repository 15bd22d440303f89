//! X-Trend's production relative: one encoder for target and contexts, the last step answered.
//!
//! `VSN(x, s) = Σ_j w_j GRN_j(x_j)`, `w = softmax(GRN(x, s))`, networks with one hidden layer; encoder: `LN(LSTM(VSN(x, s); h0, c0))`,
//! `h0`, `c0` dense maps of the entity's vector, cut into layers. `K = V` the contexts' last steps, `q` the target's;
//! `V' = LN(V + MHA(V, V, V))`, `y = LN(q + MHA(q, K, V'))`, `u = LN(dropout(ELU(D [q | y])))`; heads for the position (ELU between)
//! and for mean and logarithm of the deviation. Dropout also inside the networks, between LSTM layers and on attention weights.

use super::super::blocks::Dropout;
use super::super::blocks::declare::{Declare, DenseInit};
use super::super::blocks::grn::{Grn, GrnSize, SkipKind};
use super::super::blocks::lstm::LstmStack;
use super::super::blocks::multihead::MultiHead;
use super::Series;
use crate::ops::embedding::TableParams;
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use tickfuse_core::bundle::XtrendConfig;

const EPS: f64 = 1e-5;

/// The net of the production system.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    weights: Grn,
    features: Vec<Grn>,
    entities: TableParams,
    h0: DenseParams,
    c0: DenseParams,
    lstm: LstmStack,
    lstm_norm: NormParams,
    self_attention: MultiHead,
    cross_attention: MultiHead,
    norm1: NormParams,
    norm2: NormParams,
    decoder: DenseParams,
    decoder_norm: NormParams,
    position: [DenseParams; 2],
    mu: DenseParams,
    log_sigma: DenseParams,
    on_decoder: Dropout,
    on_position: Dropout,
    n_hidden: usize,
    n_layers: usize,
    n_contexts: usize,
}

impl Shared {
    pub(super) fn new(declare: &mut Declare, config: &XtrendConfig, n_features: usize) -> Self {
        let (d, f, layers) = (config.n_hidden, n_features, config.n_layers);
        let size = |n_in, n_out, n_context| GrnSize {
            n_in,
            n_hidden: d,
            n_out,
            n_context,
            skip: SkipKind::Identity,
        };
        let weights = Grn::one_layer(declare, "vsn.weight_grn", size(f, f, Some(d)));
        let feature = |j| Grn::one_layer(declare, &format!("vsn.feature_grns.{j}"), size(1, d, None));
        let features = (0..f).map(feature).collect();
        let dense = |declare: &mut Declare, name: &str, n_in, n_out| {
            declare.dense(name, n_in, n_out, DenseInit::Torch)
        };
        let attention = |declare: &mut Declare, name| MultiHead::new(declare, name, d, config.n_heads, true);
        Self {
            weights,
            features,
            entities: declare.table("entity_embed.embedding", config.n_entities, d, false),
            h0: dense(declare, "h0_proj", d, d * layers),
            c0: dense(declare, "c0_proj", d, d * layers),
            lstm: LstmStack::new(declare, "lstm", d, d, layers),
            lstm_norm: declare.norm("lstm_norm", d, EPS),
            self_attention: attention(declare, "cross_attn.self_attn"),
            cross_attention: attention(declare, "cross_attn.cross_attn"),
            norm1: declare.norm("cross_attn.norm1", d, EPS),
            norm2: declare.norm("cross_attn.norm2", d, EPS),
            decoder: dense(declare, "decoder.0", 2 * d, d),
            decoder_norm: declare.norm("decoder.3", d, EPS),
            position: [
                dense(declare, "position_head.0", d, d / 2),
                dense(declare, "position_head.3", d / 2, 1),
            ],
            mu: dense(declare, "gaussian_mu", d, 1),
            log_sigma: dense(declare, "gaussian_log_sigma", d, 1),
            on_decoder: declare.dropout(),
            on_position: declare.dropout(),
            n_hidden: d,
            n_layers: layers,
            n_contexts: config.n_contexts,
        }
    }

    pub(super) fn forward<E: Engine>(
        &self,
        engine: &mut E,
        target: Series<E::Var>,
        contexts: Series<E::Var>,
    ) -> E::Var {
        let query = self.encode(engine, target);
        let contexts = self.encode(engine, contexts);
        let y = self.attend(engine, query, contexts);
        let both = engine.concat_columns(&[query, y]);
        let u = engine.linear(both, self.decoder);
        let u = engine.elu(u);
        let u = self.on_decoder.apply(engine, u);
        let u = engine.layer_norm(u, self.decoder_norm);
        let z = engine.linear(u, self.position[0]);
        let z = engine.elu(z);
        let z = self.on_position.apply(engine, z);
        let z = engine.linear(z, self.position[1]);
        let (mu, s) = (engine.linear(u, self.mu), engine.linear(u, self.log_sigma));
        engine.concat_columns(&[z, mu, s])
    }

    /// The last state of every series, normalised, `[n, d]`.
    fn encode<E: Engine>(&self, engine: &mut E, series: Series<E::Var>) -> E::Var {
        let entity = series.entity(engine, self.entities);
        let x = series.features(engine, false);
        let scores = self.weights.forward(engine, x, Some(entity));
        let weights = engine.softmax(scores);
        let mut parts = Vec::new();
        for (j, grn) in self.features.iter().enumerate() {
            let column = engine.columns(x, &[j]);
            parts.push(grn.forward(engine, column, None));
        }
        let selected = engine.select(weights, &parts);
        let (h0, c0) = (engine.linear(entity, self.h0), engine.linear(entity, self.c0));
        let mut start = Vec::new();
        for k in 0..self.n_layers {
            let columns: Vec<usize> = (k * self.n_hidden..(k + 1) * self.n_hidden).collect();
            start.push((engine.columns(h0, &columns), engine.columns(c0, &columns)));
        }
        let steps = self.lstm.forward(engine, selected, &start, None);
        let last = engine.take_last(steps);
        engine.layer_norm(last, self.lstm_norm)
    }

    /// `query [batch, d]` over `contexts [n_contexts * batch, d]`.
    fn attend<E: Engine>(&self, engine: &mut E, query: E::Var, contexts: E::Var) -> E::Var {
        let (batch, d) = (engine.shape(query)[0], self.n_hidden);
        let contexts = engine.reshape(contexts, &[self.n_contexts, batch, d]);
        let mixed = self.self_attention.forward(engine, contexts, contexts, contexts);
        let values = engine.add(contexts, mixed);
        let values = engine.layer_norm(values, self.norm1);
        let q = engine.reshape(query, &[1, batch, d]);
        let attended = self.cross_attention.forward(engine, q, contexts, values);
        let attended = engine.reshape(attended, &[batch, d]);
        let sum = engine.add(query, attended);
        engine.layer_norm(sum, self.norm2)
    }
}
