//! A quantile relative of the TFT: bidirectional LSTM, plain attention, gated fusion with a second LSTM, two heads.
//!
//! `w = softmax(W2 W1 x)`, `v = grn(T (x ⊙ w))`, `e = P BiLSTM(v)`, `r = grn1(MHA(e, e, e) + e)`, `c = ReLU(S mean_t r)`,
//! `d = LSTM(r)`, `g = σ(G [d | c])`, `y = LN(grn2(g ⊙ d + (1 - g) ⊙ c))` at the last step; head: `Linear, ReLU, Linear`. Its
//! GRN gates with the block's input: `LN(x + σ(gate x) ⊙ fc2 ELU(fc1 x))`. Everything behind `d` reads the last step alone, so
//! that is where it is computed. Dropout and start values as in its source: between the maps of `w`, on ELU, on the attention
//! weights, between LSTM layers, behind every ReLU; `PyTorch`'s defaults.

use super::Net;
use super::blocks::Dropout;
use super::blocks::declare::{Declare, DenseInit};
use super::blocks::lstm::{BiLstm, LstmStack};
use super::blocks::multihead::MultiHead;
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use crate::tape::params::Layout;
use std::sync::Arc;
use tickfuse_core::bundle::QuantileTftConfig;

const DECODER_LAYERS: usize = 2;
const EPS: f64 = 1e-5;

/// A residual block whose gate reads its input.
#[derive(Debug, Clone)]
struct InputGatedGrn {
    fc1: DenseParams,
    fc2: DenseParams,
    gate: DenseParams,
    norm: NormParams,
    dropout: Dropout,
}

impl InputGatedGrn {
    fn new(declare: &mut Declare, name: &str, n: usize) -> Self {
        let [fc1, fc2, gate] = ["fc1", "fc2", "gate.0"]
            .map(|layer| declare.dense(&format!("{name}.{layer}"), n, n, DenseInit::Torch));
        Self {
            fc1,
            fc2,
            gate,
            norm: declare.norm(&format!("{name}.layer_norm"), n, EPS),
            dropout: declare.dropout(),
        }
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let h = engine.linear(x, self.fc1);
        let h = engine.elu(h);
        let h = self.dropout.apply(engine, h);
        let h = engine.linear(h, self.fc2);
        let gate = engine.linear(x, self.gate);
        let gate = engine.sigmoid(gate);
        let gated = engine.mul(gate, h);
        let sum = engine.add(x, gated);
        engine.layer_norm(sum, self.norm)
    }
}

/// Two dense layers with ReLU and dropout between.
#[derive(Debug, Clone)]
struct Head {
    layers: [DenseParams; 2],
    dropout: Dropout,
}

impl Head {
    fn new(declare: &mut Declare, name: &str, n: usize, n_out: usize) -> Self {
        let init = DenseInit::Torch;
        Self {
            layers: [
                declare.dense(&format!("{name}.0"), n, n / 2, init),
                declare.dense(&format!("{name}.3"), n / 2, n_out, init),
            ],
            dropout: declare.dropout(),
        }
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let h = engine.linear(x, self.layers[0]);
        let h = engine.relu(h);
        let h = self.dropout.apply(engine, h);
        engine.linear(h, self.layers[1])
    }
}

/// The net; its parameters live in [`crate::tape::params::Params`].
#[derive(Debug, Clone)]
pub struct QuantileTftNet {
    config: QuantileTftConfig,
    n_features: usize,
    p: f64,
    layout: Arc<Layout>,
    gating: [DenseParams; 2],
    feature_transform: DenseParams,
    selected: InputGatedGrn,
    encoder: BiLstm,
    projection: DenseParams,
    attention: MultiHead,
    grn1: InputGatedGrn,
    static_encoder: DenseParams,
    decoder: LstmStack,
    enrichment_gate: DenseParams,
    grn2: InputGatedGrn,
    norm: NormParams,
    heads: [Head; 2],
    on_gating: Dropout,
    on_static: Dropout,
}

impl QuantileTftNet {
    /// Declares the parameters for rows of `n_features` reals.
    ///
    /// # Errors
    /// When a size is out of range, or the dropout is no probability.
    pub fn new(config: QuantileTftConfig, n_features: usize, dropout: f64) -> Result<Self, String> {
        validate(&config, n_features)?;
        let mut d = Declare::new(dropout)?;
        let (h, f) = (config.n_hidden, n_features);
        let dense = |d: &mut Declare, name: &str, n_in, n_out| d.dense(name, n_in, n_out, DenseInit::Torch);
        Ok(Self {
            n_features,
            p: dropout,
            gating: [
                dense(&mut d, "vsn.gating.0", f, h),
                dense(&mut d, "vsn.gating.2", h, f),
            ],
            feature_transform: dense(&mut d, "vsn.feature_transform", f, h),
            selected: InputGatedGrn::new(&mut d, "vsn.grn", h),
            encoder: BiLstm::new(&mut d, "encoder_lstm", h, h, config.n_layers),
            projection: dense(&mut d, "encoder_projection", 2 * h, h),
            attention: MultiHead::new(&mut d, "attention", h, config.n_heads, true),
            grn1: InputGatedGrn::new(&mut d, "grn1", h),
            static_encoder: dense(&mut d, "static_encoder.0", h, h),
            decoder: LstmStack::new(&mut d, "decoder_lstm", h, h, DECODER_LAYERS),
            enrichment_gate: dense(&mut d, "enrichment_gate.0", 2 * h, h),
            grn2: InputGatedGrn::new(&mut d, "grn2", h),
            norm: d.norm("layer_norm", h, EPS),
            heads: [
                Head::new(&mut d, "classifier", h, config.n_classes),
                Head::new(&mut d, "quantile_head", h, config.n_quantiles),
            ],
            on_gating: d.dropout(),
            on_static: d.dropout(),
            layout: d.finish(),
            config,
        })
    }

    /// Sizes.
    #[must_use]
    pub fn config(&self) -> &QuantileTftConfig {
        &self.config
    }

    fn select<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let h = engine.linear(x, self.gating[0]);
        let h = self.on_gating.apply(engine, h);
        let scores = engine.linear(h, self.gating[1]);
        let weights = engine.softmax(scores);
        let weighted = engine.mul(x, weights);
        let v = engine.linear(weighted, self.feature_transform);
        self.selected.forward(engine, v)
    }

    fn encode<E: Engine>(&self, engine: &mut E, v: E::Var) -> E::Var {
        let both = self.encoder.forward(engine, v);
        let e = engine.linear(both, self.projection);
        let attended = self.attention.forward(engine, e, e, e);
        let sum = engine.add(attended, e);
        self.grn1.forward(engine, sum)
    }

    /// The fused last step.
    fn fuse<E: Engine>(&self, engine: &mut E, r: E::Var) -> E::Var {
        let mean = engine.mean_steps(r);
        let c = engine.linear(mean, self.static_encoder);
        let c = engine.relu(c);
        let c = self.on_static.apply(engine, c);
        let d = self.decoder.forward(engine, r, &[], None);
        let d = engine.take_last(d);
        let both = engine.concat_columns(&[d, c]);
        let gate = engine.linear(both, self.enrichment_gate);
        let gate = engine.sigmoid(gate);
        engine.mix(gate, d, c)
    }
}

fn validate(config: &QuantileTftConfig, n_features: usize) -> Result<(), String> {
    let sizes = [
        ("lookback", config.lookback, usize::MAX),
        ("n_features", n_features, 8192),
        ("n_hidden / 2", config.n_hidden / 2, 4096),
        ("n_heads", config.n_heads, config.n_hidden),
        ("n_layers", config.n_layers, 4),
        ("n_classes", config.n_classes, 8192),
        ("n_quantiles", config.n_quantiles, 8192),
    ];
    for (key, found, limit) in sizes {
        if !(1..=limit).contains(&found) {
            return Err(format!("{key}: expected 1 to {limit}, found {found}"));
        }
    }
    if !config.n_hidden.is_multiple_of(config.n_heads) {
        return Err(format!(
            "n_heads: expected a divisor of {}, found {}",
            config.n_hidden, config.n_heads
        ));
    }
    Ok(())
}

impl Net for QuantileTftNet {
    fn n_rows(&self) -> usize {
        self.config.lookback
    }

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn n_outputs(&self) -> usize {
        self.config.n_classes + self.config.n_quantiles
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn description(&self) -> serde_json::Value {
        serde_json::json!({
            "family": "quantile_tft", "config": self.config, "n_features": self.n_features, "dropout": self.p,
        })
    }

    /// Answers `[batch, n_classes + n_quantiles]`: logits, then quantiles as they come.
    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let v = self.select(engine, x);
        let r = self.encode(engine, v);
        let fused = self.fuse(engine, r);
        let y = self.grn2.forward(engine, fused);
        let y = engine.layer_norm(y, self.norm);
        let [classes, quantiles] = [0, 1].map(|k| self.heads[k].forward(engine, y));
        engine.concat_columns(&[classes, quantiles])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_has_its_published_parameter_count() {
        let config = QuantileTftConfig {
            lookback: 120,
            n_hidden: 128,
            n_heads: 8,
            n_layers: 3,
            n_classes: 3,
            n_quantiles: 3,
        };
        let net = QuantileTftNet::new(config, 14, 0.2).unwrap();
        assert_eq!(net.layout().n_values(), 1_639_444);
    }

    #[test]
    fn heads_that_do_not_divide_are_named() {
        let config = QuantileTftConfig {
            lookback: 3,
            n_hidden: 10,
            n_heads: 4,
            n_layers: 1,
            n_classes: 3,
            n_quantiles: 3,
        };
        assert_eq!(
            QuantileTftNet::new(config, 2, 0.0).unwrap_err(),
            "n_heads: expected a divisor of 10, found 4"
        );
    }
}
