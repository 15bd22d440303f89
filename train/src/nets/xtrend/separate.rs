//! The paper's form: three encoders, attention among and over contexts, a decoder, an answer at every target step.
//!
//! `VSN(x, s) = Σ_j w_j FFN_j(x_j)`, `w = softmax(FFN(x, s))`; block: `h = LSTM(x'; FFN(Emb s), FFN(Emb s))`, `a = LN(h + x')`,
//! `Ξ = LN(FFN(a, s) + a)`; encoder: `Ξ` of the VSN. `K_c`, `V_c` from the contexts (values with their own next returns), `q_t`
//! from the target; `V' = FFN(MHA(V, V, V))`, `o_t = LN(FFN(MHA(q_t, K, V')))`; decoder: `Ξ` of `LN(FFN([VSN(x_t, s) | o_t], s))`.
//! Position: `z = ptp([mu, sigma])` or `ptp(quantiles)`, a network of its own. `final_state` keeps the last step of each context;
//! `time_equivalent` lets step `t` see step `t` of every context. `zero_shot` drops the entity on the target's side, and with it
//! the initial states there.

use super::super::blocks::declare::{Declare, DenseInit};
use super::super::blocks::lstm::LstmStack;
use super::super::blocks::multihead::MultiHead;
use super::Series;
use super::ffn::Ffn;
use crate::ops::embedding::TableParams;
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use tickfuse_core::bundle::{ContextMode, XtrendConfig, XtrendHead};

const EPS: f64 = 1e-5;
const SIGMA_FLOOR: f64 = 1e-6;

/// Variable selection with networks of two layers.
#[derive(Debug, Clone)]
struct Selection {
    weights: Ffn,
    variables: Vec<Ffn>,
}

impl Selection {
    fn new(declare: &mut Declare, name: &str, n_features: usize, d: usize, entity: bool) -> Self {
        let sizes = [n_features, d, n_features];
        let weights = Ffn::new(declare, &format!("{name}.vsn.weights"), sizes, entity);
        let variable = |j| Ffn::new(declare, &format!("{name}.vsn.variables.{j}"), [1, d, d], false);
        Self {
            weights,
            variables: (0..n_features).map(variable).collect(),
        }
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var, entity: Option<E::Var>) -> E::Var {
        let scores = self.weights.forward(engine, x, entity);
        let weights = engine.softmax(scores);
        let networks = self.variables.iter().enumerate();
        let parts: Vec<E::Var> = networks.map(|(j, ffn)| ffn.on_column(engine, x, j)).collect();
        engine.select(weights, &parts)
    }
}

/// The recurrent block with its two residual norms.
#[derive(Debug, Clone)]
struct Temporal {
    start: Option<[Ffn; 2]>,
    lstm: LstmStack,
    norm1: NormParams,
    ffn: Ffn,
    norm2: NormParams,
}

impl Temporal {
    fn new(declare: &mut Declare, name: &str, d: usize, entity: bool) -> Self {
        let start = ["h0", "c0"];
        let state =
            |declare: &mut Declare, part| Ffn::new(declare, &format!("{name}.{part}"), [d, d, d], false);
        Self {
            start: entity.then(|| start.map(|part| state(declare, part))),
            lstm: LstmStack::new(declare, &format!("{name}.lstm"), d, d, 1),
            norm1: declare.norm(&format!("{name}.norm1"), d, EPS),
            ffn: Ffn::new(declare, &format!("{name}.ffn"), [d, d, d], entity),
            norm2: declare.norm(&format!("{name}.norm2"), d, EPS),
        }
    }

    /// `x [steps, n, d]` to `[steps, n, d]`, or to `[n, d]`, its last step.
    fn forward<E: Engine>(
        &self,
        engine: &mut E,
        x: E::Var,
        entity: Option<E::Var>,
        last_alone: bool,
    ) -> E::Var {
        let start = self.start.as_ref().zip(entity).map(|(networks, entity)| {
            let [h, c] = [0, 1].map(|k| networks[k].forward(engine, entity, None));
            (h, c)
        });
        let mut h = self.lstm.forward(engine, x, start.as_slice(), None);
        let mut skip = x;
        if last_alone {
            (h, skip) = (engine.take_last(h), engine.take_last(x));
        }
        let sum = engine.add(h, skip);
        let a = engine.layer_norm(sum, self.norm1);
        let y = self.ffn.forward(engine, a, entity);
        let sum = engine.add(y, a);
        engine.layer_norm(sum, self.norm2)
    }
}

#[derive(Debug, Clone)]
struct Encoder {
    selection: Selection,
    temporal: Temporal,
}

impl Encoder {
    fn new(declare: &mut Declare, name: &str, n_features: usize, d: usize, entity: bool) -> Self {
        Self {
            selection: Selection::new(declare, name, n_features, d, entity),
            temporal: Temporal::new(declare, name, d, entity),
        }
    }

    fn forward<E: Engine>(
        &self,
        engine: &mut E,
        x: E::Var,
        entity: Option<E::Var>,
        last_alone: bool,
    ) -> E::Var {
        let selected = self.selection.forward(engine, x, entity);
        self.temporal.forward(engine, selected, entity, last_alone)
    }
}

#[derive(Debug, Clone)]
struct Decoder {
    selection: Selection,
    fuse: Ffn,
    fuse_norm: NormParams,
    temporal: Temporal,
}

/// The net of the paper.
#[derive(Debug, Clone)]
pub(super) struct Separate {
    entities: TableParams,
    keys: Encoder,
    values: Encoder,
    queries: Encoder,
    self_attention: MultiHead,
    self_ffn: Ffn,
    cross_attention: MultiHead,
    cross_ffn: Ffn,
    cross_norm: NormParams,
    decoder: Decoder,
    head: DenseParams,
    ptp: Option<Ffn>,
    kind: XtrendHead,
    mode: ContextMode,
    zero_shot: bool,
    n_contexts: usize,
}

impl Separate {
    pub(super) fn new(declare: &mut Declare, config: &XtrendConfig, n_features: usize) -> Self {
        let (d, f, target) = (config.n_hidden, n_features, !config.zero_shot);
        let (n_head, has_ptp) = match config.head {
            XtrendHead::Position => (1, false),
            XtrendHead::Gaussian => (2, true),
            XtrendHead::Quantile => (config.n_quantiles, true),
        };
        let attention = |declare: &mut Declare, name| MultiHead::new(declare, name, d, config.n_heads, false);
        Self {
            entities: declare.table("entity_embedding", config.n_entities, d, false),
            keys: Encoder::new(declare, "key_encoder", f, d, true),
            values: Encoder::new(declare, "value_encoder", f + 1, d, true),
            queries: Encoder::new(declare, "query_encoder", f, d, target),
            self_attention: attention(declare, "self_attention"),
            self_ffn: Ffn::new(declare, "self_ffn", [d, d, d], false),
            cross_attention: attention(declare, "cross_attention"),
            cross_ffn: Ffn::new(declare, "cross_ffn", [d, d, d], false),
            cross_norm: declare.norm("cross_norm", d, EPS),
            decoder: Decoder {
                selection: Selection::new(declare, "decoder", f, d, target),
                fuse: Ffn::new(declare, "decoder.fuse", [2 * d, d, d], target),
                fuse_norm: declare.norm("decoder.fuse_norm", d, EPS),
                temporal: Temporal::new(declare, "decoder", d, target),
            },
            head: declare.dense("head", d, n_head, DenseInit::Torch),
            ptp: has_ptp.then(|| Ffn::new(declare, "ptp", [n_head, d, 1], false)),
            kind: config.head,
            mode: config.context_mode,
            zero_shot: config.zero_shot,
            n_contexts: config.n_contexts,
        }
    }

    pub(super) fn forward<E: Engine>(
        &self,
        engine: &mut E,
        target: Series<E::Var>,
        contexts: Series<E::Var>,
    ) -> E::Var {
        let [keys, values] = self.keys_and_values(engine, contexts);
        let entity = (!self.zero_shot).then(|| target.entity(engine, self.entities));
        let x = target.features(engine, false);
        let query = self.queries.forward(engine, x, entity, false);
        let attended = self.attend(engine, query, keys, values);
        let o = self.cross_ffn.forward(engine, attended, None);
        let o = engine.layer_norm(o, self.cross_norm);
        let steps = self.decode(engine, x, o, entity);
        self.answer(engine, steps)
    }

    /// `[n_contexts, batch, d]` each, or `[n_contexts, steps * batch, d]` where steps see the steps of their own time.
    fn keys_and_values<E: Engine>(&self, engine: &mut E, contexts: Series<E::Var>) -> [E::Var; 2] {
        let entity = Some(contexts.entity(engine, self.entities));
        let last_alone = self.mode == ContextMode::FinalState;
        let x = contexts.features(engine, false);
        let keys = self.keys.forward(engine, x, entity, last_alone);
        let x = contexts.features(engine, true);
        let values = self.values.forward(engine, x, entity, last_alone);
        [keys, values].map(|v| self.by_context(engine, v))
    }

    fn by_context<E: Engine>(&self, engine: &mut E, v: E::Var) -> E::Var {
        let (shape, n) = (engine.shape(v).to_vec(), self.n_contexts);
        match shape[..] {
            [series, d] => engine.reshape(v, &[n, series / n, d]),
            [steps, series, d] => {
                let batch = series / n;
                let v = engine.reshape(v, &[steps, n, batch * d]);
                let v = engine.swap_axes(v);
                engine.reshape(v, &[n, steps * batch, d])
            }
            _ => unreachable!("an encoder answers two or three axes"),
        }
    }

    fn attend<E: Engine>(&self, engine: &mut E, query: E::Var, keys: E::Var, values: E::Var) -> E::Var {
        let mixed = self.self_attention.forward(engine, values, values, values);
        let mixed = self.self_ffn.forward(engine, mixed, None);
        if self.mode == ContextMode::FinalState {
            return self.cross_attention.forward(engine, query, keys, mixed);
        }
        let shape = engine.shape(query).to_vec();
        let query = engine.reshape(query, &[1, shape[0] * shape[1], shape[2]]);
        let attended = self.cross_attention.forward(engine, query, keys, mixed);
        engine.reshape(attended, &shape)
    }

    fn decode<E: Engine>(&self, engine: &mut E, x: E::Var, o: E::Var, entity: Option<E::Var>) -> E::Var {
        let decoder = &self.decoder;
        let selected = decoder.selection.forward(engine, x, entity);
        let both = engine.concat_columns(&[selected, o]);
        let fused = decoder.fuse.forward(engine, both, entity);
        let fused = engine.layer_norm(fused, decoder.fuse_norm);
        decoder.temporal.forward(engine, fused, entity, false)
    }

    fn answer<E: Engine>(&self, engine: &mut E, steps: E::Var) -> E::Var {
        let raw = engine.linear(steps, self.head);
        let Some(ptp) = &self.ptp else {
            return raw;
        };
        let predicted = match self.kind {
            XtrendHead::Gaussian => {
                let (mu, s) = (engine.columns(raw, &[0]), engine.columns(raw, &[1]));
                let sigma = engine.softplus(s, SIGMA_FLOOR);
                engine.concat_columns(&[mu, sigma])
            }
            _ => raw,
        };
        let z = ptp.forward(engine, predicted, None);
        engine.concat_columns(&[z, raw])
    }
}
