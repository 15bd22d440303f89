//! Seed 002's relative of X-Trend from plain tensors: one encoder for target and contexts, the last step answered.
//!
//! ```text
//! encoder = LN(LSTM(VSN(x, s); h0_proj s, c0_proj s)), s the entity's vector, row k of a projection the state of layer k
//! K = V = last step of each context,   q = last step of the target
//! V' = norm1(V + attention(V, V, V));   y = norm2(q + attention(q, K, V'))
//! u  = LN(ELU(decoder.0 [q | y]))
//! head values = position | mu | ln sigma
//! ```
//! The position is `position_head.3 ELU(position_head.0 u)` before its tanh, or with the Gaussian head
//! `2 Phi(mu / sigma) - 1` as it is.

use super::answer::SIGMA_FLOOR;
use super::attention::each;
use super::notes::keep;
use super::{
    Context, HeadValues, LstmState, Notes, Part, ScaledWindow, add, attention, elu, exp, linear, lstm_stack,
    map, norm, selection_one_layer, tanh, two_phi_minus_one,
};
use crate::bundle::{XtrendConfig, XtrendHead};
use alloc::vec;
use alloc::vec::Vec;

/// Of every norm: PyTorch's default.
const EPS: f64 = 1e-5;

/// The oracle of the `xtrend` family's shared form.
pub(super) struct SharedXtrendNet<'a> {
    config: &'a XtrendConfig,
    part: Part<'a>,
    contexts: &'a [Context],
}

impl<'a> SharedXtrendNet<'a> {
    pub(super) fn new(config: &'a XtrendConfig, part: Part<'a>, contexts: &'a [Context]) -> Self {
        Self {
            config,
            part,
            contexts,
        }
    }

    pub(super) fn run(&self, window: &ScaledWindow) -> HeadValues {
        let mut notes = Notes::new();
        let query = self.encoded(&window.reals, window.codes[0][0], &mut notes);
        let last = |c: &Context| self.encoded(&c.rows, c.entity, &mut Notes::new());
        let contexts: Vec<Vec<f64>> = self.contexts.iter().map(last).collect();
        keep(&mut notes, "contexts", &contexts);
        let y = self.attended(&query, &contexts, &mut notes);
        let u = linear(&self.part.at("decoder.0"), &[query, y].concat());
        let u = norm(&self.part.at("decoder.3"), &map(&u, elu), EPS);
        keep(&mut notes, "decoder", &u);
        HeadValues {
            every_step: vec![self.head(&u, &mut notes)],
            n_answered: 1,
            named: notes,
        }
    }

    /// The last step of a segment.
    fn encoded(&self, rows: &[Vec<f64>], entity: usize, notes: &mut Notes) -> Vec<f64> {
        let s = self.part.at("entity_embed.embedding").row(entity);
        let step = |x: &Vec<f64>| {
            let selected = selection_one_layer(&self.part.at("vsn"), x, s, EPS);
            (selected.row, selected.weights)
        };
        let (selected, weights): (Vec<_>, Vec<_>) = rows.iter().map(step).unzip();
        let (h, c) = (
            linear(&self.part.at("h0_proj"), s),
            linear(&self.part.at("c0_proj"), s),
        );
        let layers = h
            .chunks_exact(self.config.n_hidden)
            .zip(c.chunks_exact(self.config.n_hidden));
        let mut states: Vec<LstmState> = layers
            .map(|(h, c)| LstmState {
                h: h.to_vec(),
                c: c.to_vec(),
            })
            .collect();
        let steps = lstm_stack(&self.part.at("lstm"), &selected, &mut states);
        let steps = each(&steps, |x| norm(&self.part.at("lstm_norm"), x, EPS));
        keep(notes, "target_vsn_weights", &weights);
        keep(notes, "target_vsn", &selected);
        keep(notes, "target_encoder", &steps);
        steps[steps.len() - 1].clone()
    }

    fn attended(&self, query: &[f64], contexts: &[Vec<f64>], notes: &mut Notes) -> Vec<f64> {
        let (part, n_heads) = (self.part.at("cross_attn"), self.config.n_heads);
        let among = attention(&part.at("self_attn"), n_heads, contexts, contexts, contexts);
        let sums = contexts.iter().zip(&among.rows).map(|(v, a)| add(v, a));
        let values: Vec<Vec<f64>> = sums.map(|x| norm(&part.at("norm1"), &x, EPS)).collect();
        let queries = [query.to_vec()];
        let across = attention(&part.at("cross_attn"), n_heads, &queries, contexts, &values);
        let y = norm(&part.at("norm2"), &add(query, &across.rows[0]), EPS);
        let of_heads: Vec<Vec<f64>> = across.weights.iter().map(|head| head[0].clone()).collect();
        keep(notes, "self_attention", &among.weights);
        keep(notes, "mixed_values", &values);
        keep(notes, "cross_attention", &of_heads);
        keep(notes, "attended", &y);
        y
    }

    fn head(&self, u: &[f64], notes: &mut Notes) -> Vec<f64> {
        let one = |name: &str, x: &[f64]| linear(&self.part.at(name), x)[0];
        let (mu, log_sigma) = (one("gaussian_mu", u), one("gaussian_log_sigma", u));
        let hidden = map(&linear(&self.part.at("position_head.0"), u), elu);
        let z = one("position_head.3", &hidden);
        keep(notes, "position_head", &vec![tanh(z)]);
        let position = match self.config.head {
            XtrendHead::Gaussian => two_phi_minus_one(mu / exp(log_sigma).max(SIGMA_FLOOR)),
            _ => z,
        };
        vec![position, mu, log_sigma]
    }
}
