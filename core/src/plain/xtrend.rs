//! X-Trend as the paper has it, from plain tensors: three encoders, a decoder, every step of the target a query.
//!
//! ```text
//! block(x, s)   h = LSTM(x; FFN(Emb s), FFN(Emb s));   a = LN(h + x);   block = LN(FFN(a, s) + a)
//! encoder(x, s) = block(VSN(x, s), s)
//! K = key_encoder(x^c, s_c),   V = value_encoder([x^c | y^c], s_c),   q = query_encoder(x, s)
//! o = LN(cross_ffn(attention(q, K, V'))),   V' = self_ffn(attention(V, V, V))
//! steps = block(LN(fuse([VSN(x, s) | o], s)), s),   raw = head steps
//! ```
//! Head values: position before its tanh, then mean and raw deviation, or quantiles. Without an entity on the target's side
//! (`zero_shot`) its terms are absent and its states start at zero. Wood, Kessler, Roberts and Zohren 2023, sections 3, 4.

use super::answer::SIGMA_FLOOR;
use super::attention::each;
use super::notes::keep;
use super::{
    Attended, Context, HeadValues, LstmState, Notes, Part, ScaledWindow, add, attention, ffn, linear,
    lstm_stack, norm, selection_ffn, softplus,
};
use crate::bundle::{ContextMode, XtrendConfig, XtrendHead};
use alloc::format;
use alloc::vec::Vec;

/// Of every norm: PyTorch's default.
const EPS: f64 = 1e-5;

/// The oracle of the `xtrend` family's separate form.
pub(super) struct XtrendNet<'a> {
    config: &'a XtrendConfig,
    part: Part<'a>,
    contexts: &'a [Context],
}

/// Keys and values of the contexts, `[contexts][steps][d]`.
struct Encoded {
    keys: Vec<Vec<Vec<f64>>>,
    values: Vec<Vec<Vec<f64>>>,
}

impl<'a> XtrendNet<'a> {
    pub(super) fn new(config: &'a XtrendConfig, part: Part<'a>, contexts: &'a [Context]) -> Self {
        Self {
            config,
            part,
            contexts,
        }
    }

    pub(super) fn run(&self, window: &ScaledWindow) -> HeadValues {
        let mut notes = Notes::new();
        let own = self.embedding(window.codes[0][0]);
        let entity = (!self.config.zero_shot).then_some(own);
        let encoded = self.contexts(window.reals[0].len(), &mut notes);
        let query = self.encoder("query", &window.reals, entity, &mut notes);
        keep(&mut notes, "query", &query);
        let attended = match self.config.context_mode {
            ContextMode::FinalState => self.attend_last(&query, &encoded, &mut notes),
            ContextMode::TimeEquivalent => self.attend_stepwise(&query, &encoded, &mut notes),
        };
        keep(&mut notes, "attended", &attended);
        let o = each(&attended, |x| {
            let through = ffn(&self.part.at("cross_ffn"), x, None);
            norm(&self.part.at("cross_norm"), &through, EPS)
        });
        keep(&mut notes, "cross_norm", &o);
        let steps = self.decoder(&window.reals, &o, entity, &mut notes);
        keep(&mut notes, "decoder", &steps);
        let raw = each(&steps, |x| linear(&self.part.at("head"), x));
        keep(&mut notes, "head", &raw);
        HeadValues {
            every_step: each(&raw, |raw| self.columns(raw)),
            n_answered: 1,
            named: notes,
        }
    }

    fn embedding(&self, entity: usize) -> &'a [f64] {
        self.part.at("entity_embedding").row(entity)
    }

    fn contexts(&self, n_features: usize, notes: &mut Notes) -> Encoded {
        let mut encoded = |name: &str, width: usize| {
            let mut weights = Vec::new();
            let mut steps = Vec::new();
            for context in self.contexts {
                let rows = each(&context.rows, |row| row[..width].to_vec());
                let entity = Some(self.embedding(context.entity));
                let part = self.part.at(format!("{name}_encoder"));
                let (selected, own) = self.selected(&part, &rows, entity);
                weights.push(own);
                steps.push(self.block(&part, &selected, entity).1);
            }
            keep(notes, format!("{name}_vsn_weights"), &weights);
            steps
        };
        Encoded {
            keys: encoded("key", n_features),
            values: encoded("value", n_features + 1),
        }
    }

    fn encoder(
        &self,
        name: &str,
        rows: &[Vec<f64>],
        entity: Option<&[f64]>,
        notes: &mut Notes,
    ) -> Vec<Vec<f64>> {
        let part = self.part.at(format!("{name}_encoder"));
        let (selected, weights) = self.selected(&part, rows, entity);
        let (h, out) = self.block(&part, &selected, entity);
        keep(notes, format!("{name}_vsn_weights"), &weights);
        keep(notes, format!("{name}_vsn"), &selected);
        keep(notes, format!("{name}_lstm"), &h);
        out
    }

    fn decoder(
        &self,
        rows: &[Vec<f64>],
        o: &[Vec<f64>],
        entity: Option<&[f64]>,
        notes: &mut Notes,
    ) -> Vec<Vec<f64>> {
        let part = self.part.at("decoder");
        let (selected, weights) = self.selected(&part, rows, entity);
        let both = selected.iter().zip(o).map(|(x, o)| [x.as_slice(), o].concat());
        let fused: Vec<Vec<f64>> = both
            .map(|x| norm(&part.at("fuse_norm"), &ffn(&part.at("fuse"), &x, entity), EPS))
            .collect();
        let (h, out) = self.block(&part, &fused, entity);
        keep(notes, "decoder_vsn_weights", &weights);
        keep(notes, "decoder_vsn", &selected);
        keep(notes, "decoder_fused", &fused);
        keep(notes, "decoder_lstm", &h);
        out
    }

    /// Rows and weights of the selection, step by step.
    fn selected(
        &self,
        part: &Part<'_>,
        rows: &[Vec<f64>],
        entity: Option<&[f64]>,
    ) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let steps = rows.iter().map(|x| selection_ffn(&part.at("vsn"), x, entity));
        steps.map(|step| (step.row, step.weights)).unzip()
    }

    /// The temporal block: the LSTM's states and the block's answer.
    fn block(
        &self,
        part: &Part<'_>,
        x: &[Vec<f64>],
        entity: Option<&[f64]>,
    ) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let start = match entity {
            Some(s) => LstmState {
                h: ffn(&part.at("h0"), s, None),
                c: ffn(&part.at("c0"), s, None),
            },
            None => LstmState::zero(self.config.n_hidden),
        };
        let h = lstm_stack(&part.at("lstm"), x, &mut [start]);
        let step = |(h, x): (&Vec<f64>, &Vec<f64>)| {
            let a = norm(&part.at("norm1"), &add(h, x), EPS);
            norm(
                &part.at("norm2"),
                &add(&ffn(&part.at("ffn"), &a, entity), &a),
                EPS,
            )
        };
        let out = h.iter().zip(x).map(step).collect();
        (h, out)
    }

    /// The values after they attended to each other, and the weights.
    fn mixed(&self, values: &[Vec<f64>]) -> Attended {
        let among = attention(
            &self.part.at("self_attention"),
            self.config.n_heads,
            values,
            values,
            values,
        );
        Attended {
            rows: each(&among.rows, |x| ffn(&self.part.at("self_ffn"), x, None)),
            weights: among.weights,
        }
    }

    fn across(&self, query: &[Vec<f64>], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Attended {
        let part = self.part.at("cross_attention");
        attention(&part, self.config.n_heads, query, keys, values)
    }

    /// Every query sees the last step of each context.
    fn attend_last(&self, query: &[Vec<f64>], encoded: &Encoded, notes: &mut Notes) -> Vec<Vec<f64>> {
        let last = |all: &[Vec<Vec<f64>>]| all.iter().map(|c| c[c.len() - 1].clone()).collect::<Vec<_>>();
        let (keys, values) = (last(&encoded.keys), last(&encoded.values));
        let mixed = self.mixed(&values);
        let across = self.across(query, &keys, &mixed.rows);
        keep(notes, "keys", &keys);
        keep(notes, "values", &values);
        keep(notes, "self_attention", &mixed.weights);
        keep(notes, "mixed_values", &mixed.rows);
        keep(notes, "cross_attention", &across.weights);
        across.rows
    }

    /// Query t sees step t of each context.
    fn attend_stepwise(&self, query: &[Vec<f64>], encoded: &Encoded, notes: &mut Notes) -> Vec<Vec<f64>> {
        let by_step = |all: &[Vec<Vec<f64>>]| {
            let step = |t: usize| all.iter().map(|c| c[t].clone()).collect();
            (0..query.len()).map(step).collect::<Vec<Vec<Vec<f64>>>>()
        };
        let (keys, values) = (by_step(&encoded.keys), by_step(&encoded.values));
        let mixed: Vec<Attended> = values.iter().map(|values| self.mixed(values)).collect();
        let across: Vec<Attended> = (0..query.len())
            .map(|t| self.across(&query[t..=t], &keys[t], &mixed[t].rows))
            .collect();
        let head = |i: usize| across.iter().map(|a| a.weights[i][0].clone()).collect();
        let weights: Vec<Vec<Vec<f64>>> = (0..self.config.n_heads).map(head).collect();
        let (rows, among): (Vec<_>, Vec<_>) = mixed.into_iter().map(|m| (m.rows, m.weights)).unzip();
        keep(notes, "keys", &keys);
        keep(notes, "values", &values);
        keep(notes, "self_attention", &among);
        keep(notes, "mixed_values", &rows);
        keep(notes, "cross_attention", &weights);
        across.into_iter().map(|a| a.rows[0].clone()).collect()
    }

    fn columns(&self, raw: &[f64]) -> Vec<f64> {
        let position = match self.config.head {
            XtrendHead::Position => return raw.to_vec(),
            XtrendHead::Gaussian => {
                let sigma = softplus(raw[1]) + SIGMA_FLOOR;
                ffn(&self.part.at("ptp"), &[raw[0], sigma], None)
            }
            XtrendHead::Quantile => ffn(&self.part.at("ptp"), raw, None),
        };
        [position.as_slice(), raw].concat()
    }
}
