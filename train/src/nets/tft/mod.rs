//! The Temporal Fusion Transformer (Lim, Arik, Loeff and Pfister 2021) in its published forms.
//!
//! `s = VSN(static)`; `c_s, c_h, c_c, c_e` four GRN(s); `v = VSN_encoder(x[:E], c_s) ; VSN_decoder(x[E:], c_s)`;
//! `l = LSTM_encoder(v[:E]; c_h, c_c in every layer) ; LSTM_decoder(v[E:]; the encoder's last state)`;
//! `lo = LN(GLU(l) + v)`; `ai = GRN(lo, c_e)`; `a = attention(ai[E:] over ai)`; `b = LN(GLU(a) + ai[E:])`;
//! `y = W LN(GLU(GRN(b)) + lo[E:]) + w`. With `n_ahead = 0` there is no decoder, and every encoder step is a query and an
//! answer. Without static variables `s` is zero, and the four networks still run.
//!
//! Tensors are named as pytorch-forecasting names them, aliases dropped. Start values and dropouts are that library's: dropout
//! at the input of every GLU but the last, between LSTM layers, on the attention's heads and behind them.

mod attention;
mod inputs;
mod selection;

use super::Net;
use super::blocks::declare::{Declare, DenseInit};
use super::blocks::gate::GateNorm;
use super::blocks::grn::{Grn, GrnSize, SkipKind};
use super::blocks::lstm::{LstmStack, State};
use crate::ops::attention::{Lengths, Visible};
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use crate::tape::params::Layout;
use attention::InterpretableAttention;
use inputs::{Embedded, Inputs};
use selection::{Networks, Selection};
use std::sync::Arc;
use tickfuse_core::bundle::TftConfig;

/// The net; its parameters live in [`crate::tape::params::Params`].
#[derive(Debug, Clone)]
pub struct TftNet {
    config: TftConfig,
    inputs: Vec<String>,
    dropout: f64,
    layout: Arc<Layout>,
    embeddings: Inputs,
    statics: Option<Selection>,
    encoder: Selection,
    decoder: Option<Selection>,
    contexts: [Grn; 4],
    lstm_encoder: LstmStack,
    lstm_decoder: Option<LstmStack>,
    post_lstm: GateNorm,
    enrichment: Grn,
    attention: InterpretableAttention,
    post_attention: GateNorm,
    position_wise: Grn,
    pre_output: GateNorm,
    output: DenseParams,
}

impl TftNet {
    /// Declares the parameters. `inputs` names the columns of `x` in order.
    ///
    /// # Errors
    /// When a variable reads no column of that name, a size is out of range, or the dropout is no probability.
    pub fn new(config: TftConfig, inputs: &[impl AsRef<str>], dropout: f64) -> Result<Self, String> {
        validate(&config)?;
        let inputs: Vec<String> = inputs.iter().map(|name| name.as_ref().to_owned()).collect();
        let mut d = Declare::new(dropout)?;
        let (h, eps) = (config.n_hidden, f64::from(config.rules.norm_eps));
        let embeddings = Inputs::new(&mut d, &config, &inputs)?;
        let mut networks = Networks::new(&config);
        let mut select = |d: &mut Declare, name, variables, temporal| {
            Selection::new(d, name, variables, &mut networks, temporal)
        };
        let statics = select(
            &mut d,
            "static_variable_selection",
            &config.static_variables,
            false,
        );
        let encoder = select(
            &mut d,
            "encoder_variable_selection",
            &config.encoder_variables,
            true,
        );
        let decoder = select(
            &mut d,
            "decoder_variable_selection",
            &config.decoder_variables,
            true,
        );
        let square = |n_context| GrnSize {
            n_in: h,
            n_hidden: h,
            n_out: h,
            n_context,
            skip: SkipKind::Identity,
        };
        let context =
            |d: &mut Declare, use_: &str| Grn::new(d, &format!("static_context_{use_}"), square(None), eps);
        let contexts = CONTEXTS.map(|name| context(&mut d, name));
        let lstm_encoder = LstmStack::new(&mut d, "lstm_encoder", h, h, config.n_layers);
        let lstm_decoder =
            (config.n_ahead > 0).then(|| LstmStack::new(&mut d, "lstm_decoder", h, h, config.n_layers));
        let gate = |d: &mut Declare, names, drops| GateNorm::new(d, names, h, eps, drops);
        let post_lstm = gate(
            &mut d,
            ["post_lstm_gate_encoder.fc", "post_lstm_add_norm_encoder.norm"],
            true,
        );
        let enrichment = Grn::new(&mut d, "static_enrichment", square(Some(h)), eps);
        let attention = InterpretableAttention::new(&mut d, &config);
        let post_attention = gate(
            &mut d,
            ["post_attn_gate_norm.glu.fc", "post_attn_gate_norm.add_norm.norm"],
            true,
        );
        let position_wise = Grn::new(&mut d, "pos_wise_ff", square(None), eps);
        let pre_output = gate(
            &mut d,
            [
                "pre_output_gate_norm.glu.fc",
                "pre_output_gate_norm.add_norm.norm",
            ],
            false,
        );
        let output = d.dense("output_layer", h, config.n_outputs, DenseInit::Torch);
        Ok(Self {
            inputs,
            dropout,
            layout: d.finish(),
            embeddings,
            statics,
            encoder: encoder.expect("validated: the encoder has variables"),
            decoder,
            contexts,
            lstm_encoder,
            lstm_decoder,
            post_lstm,
            enrichment,
            attention,
            post_attention,
            position_wise,
            pre_output,
            output,
            config,
        })
    }

    /// Sizes and rules.
    #[must_use]
    pub fn config(&self) -> &TftConfig {
        &self.config
    }

    /// The forward pass with rows that end early: encoders begin at row 0 and decoders at row `lookback`; what lies behind a
    /// length is not read, and answers behind a decoder's length mean nothing.
    pub fn forward_ragged<E: Engine>(
        &self,
        engine: &mut E,
        x: E::Var,
        lengths: Option<Lengths<'_>>,
    ) -> E::Var {
        let s = self.static_vector(engine, x);
        let [c_s, c_h, c_c, c_e] = [0, 1, 2, 3].map(|k| self.contexts[k].forward(engine, s, None));
        let selected = self.selected(engine, x, c_s);
        let steps = self.recurrent(engine, &selected, (c_h, c_c), lengths);
        let (steps, selected) = (joined(engine, &steps), joined(engine, &selected));
        let local = self.post_lstm.forward(engine, steps, selected);
        let enriched = self.enrichment.forward(engine, local, Some(c_e));
        self.answer(engine, enriched, local, lengths)
    }

    fn static_vector<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let first = engine.step(x, 0);
        match &self.statics {
            Some(selection) => selection.forward(engine, Embedded(&self.embeddings, first), None),
            None => {
                let batch = engine.shape(x)[1];
                engine.zeros(&[batch, self.config.n_hidden])
            }
        }
    }

    /// What the selections of encoder and decoder answer.
    fn selected<E: Engine>(&self, engine: &mut E, x: E::Var, c_s: E::Var) -> Vec<E::Var> {
        let (lookback, n_ahead) = (self.config.lookback, self.config.n_ahead);
        let past = engine.steps(x, 0..lookback);
        let past = self
            .encoder
            .forward(engine, Embedded(&self.embeddings, past), Some(c_s));
        if n_ahead == 0 {
            return vec![past];
        }
        let ahead = match &self.decoder {
            Some(selection) => {
                let rows = engine.steps(x, lookback..lookback + n_ahead);
                selection.forward(engine, Embedded(&self.embeddings, rows), Some(c_s))
            }
            None => {
                let batch = engine.shape(x)[1];
                engine.zeros(&[n_ahead, batch, self.config.n_hidden])
            }
        };
        vec![past, ahead]
    }

    /// What the LSTMs of encoder and decoder answer.
    fn recurrent<E: Engine>(
        &self,
        engine: &mut E,
        selected: &[E::Var],
        start: State<E::Var>,
        lengths: Option<Lengths<'_>>,
    ) -> Vec<E::Var> {
        let (past, ahead) = (lengths.map(|l| l.encoder), lengths.map(|l| l.decoder));
        let start = vec![start; self.config.n_layers];
        let Some(decoder) = &self.lstm_decoder else {
            return vec![self.lstm_encoder.forward(engine, selected[0], &start, past)];
        };
        let (steps, states) = self
            .lstm_encoder
            .forward_with_states(engine, selected[0], &start, past);
        vec![steps, decoder.forward(engine, selected[1], &states, ahead)]
    }

    fn answer<E: Engine>(
        &self,
        engine: &mut E,
        enriched: E::Var,
        local: E::Var,
        lengths: Option<Lengths<'_>>,
    ) -> E::Var {
        let n_steps = engine.shape(enriched)[0];
        let first = if self.config.n_ahead == 0 {
            0
        } else {
            self.config.lookback
        };
        let queries = engine.steps(enriched, first..n_steps);
        let visible = Visible {
            rule: self.config.rules.mask,
            first,
            lengths: lengths.filter(|_| first > 0),
        };
        let attended = self.attention.forward(engine, queries, enriched, visible);
        let b = self.post_attention.forward(engine, attended, queries);
        let c = self.position_wise.forward(engine, b, None);
        let skip = engine.steps(local, first..n_steps);
        let z = self.pre_output.forward(engine, c, skip);
        engine.linear(z, self.output)
    }
}

/// The four networks on the static vector, in the order of their use.
const CONTEXTS: [&str; 4] = [
    "variable_selection",
    "initial_hidden_lstm",
    "initial_cell_lstm",
    "enrichment",
];

fn joined<E: Engine>(engine: &mut E, parts: &[E::Var]) -> E::Var {
    match parts {
        [one] => *one,
        _ => engine.concat_steps(parts),
    }
}

fn validate(config: &TftConfig) -> Result<(), String> {
    let sizes = [
        ("lookback", config.lookback, usize::MAX),
        ("n_hidden", config.n_hidden, 8192),
        ("n_heads", config.n_heads, config.n_hidden),
        ("n_layers", config.n_layers, 4),
        ("n_outputs", config.n_outputs, 8192),
        ("encoder_variables", config.encoder_variables.len(), 1024),
    ];
    for (key, found, limit) in sizes {
        if !(1..=limit).contains(&found) {
            return Err(format!("{key}: expected 1 to {limit}, found {found}"));
        }
    }
    if config.n_ahead == 0 && !config.decoder_variables.is_empty() {
        let found = config.decoder_variables.len();
        return Err(format!(
            "decoder_variables: expected none with n_ahead = 0, found {found}"
        ));
    }
    Ok(())
}

impl Net for TftNet {
    fn n_rows(&self) -> usize {
        self.config.lookback + self.config.n_ahead
    }

    fn n_features(&self) -> usize {
        self.inputs.len()
    }

    fn n_outputs(&self) -> usize {
        self.config.n_outputs
    }

    fn n_answers(&self) -> usize {
        if self.config.n_ahead == 0 {
            self.config.lookback
        } else {
            self.config.n_ahead
        }
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn description(&self) -> serde_json::Value {
        serde_json::json!({
            "family": "tft", "config": self.config, "inputs": self.inputs, "dropout": self.dropout,
        })
    }

    /// Answers `[n_ahead, batch, n_outputs]`; without a decoder `[lookback, batch, n_outputs]`, of which serving reads the
    /// last step.
    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        self.forward_ragged(engine, x, None)
    }
}
