//! The Temporal Fusion Transformer from plain tensors, in all its published forms.
//!
//! ```text
//! s  = VSN(static), 0 without static variables;   c_s, c_h, c_c, c_e = four GRN(s)
//! v  = VSN_encoder(x[:E], c_s) | VSN_decoder(x[E:], c_s)
//! l  = LSTM_encoder(v[:E]; c_h, c_c in every layer) | LSTM_decoder(v[E:]; last states)
//! lo = LN(GLU(l) + v);   ai = GRN(lo, c_e)
//! a  = attention(queries ai[E:], keys ai);   b = LN(GLU(a) + ai[E:])
//! y  = output_layer LN(GLU(GRN(b)) + lo[E:])
//! ```
//! Without decoder steps (the Momentum Transformer) every encoder step is a query. Lim et al. 2021, section 4;
//! pytorch-forecasting 1.8.

use super::attention::each;
use super::notes::keep;
use super::{
    HeadValues, LstmState, Notes, Part, ScaledWindow, Selected, add, gate_add_norm, glu, grn,
    interpretable_attention, linear, lstm_stack, norm, selection, visible_steps,
};
use crate::bundle::{EmptyEncoder, Input, Schema, TftConfig, Variable};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// The oracle of the `tft` family.
pub(super) struct TftNet<'a> {
    schema: &'a Schema,
    config: &'a TftConfig,
    part: Part<'a>,
    eps: f64,
}

impl<'a> TftNet<'a> {
    pub(super) fn new(schema: &'a Schema, config: &'a TftConfig, part: Part<'a>) -> Self {
        Self {
            schema,
            config,
            part,
            eps: as_written(config.rules.norm_eps),
        }
    }

    pub(super) fn run(&self, window: &ScaledWindow) -> HeadValues {
        let mut notes = Notes::new();
        let s = self.static_vector(window, &mut notes);
        let mut context = |name: &str| {
            let name = format!("static_context_{name}");
            let c = grn(&self.part.at(&name), &s, None, self.eps);
            keep(&mut notes, name, &c);
            c
        };
        let [c_s, c_h, c_c, c_e] = [
            "variable_selection",
            "initial_hidden_lstm",
            "initial_cell_lstm",
            "enrichment",
        ]
        .map(&mut context);
        let selected = self.selected(window, &c_s, &mut notes);
        let start = LstmState { h: c_h, c: c_c };
        let steps = self.recurrent(&selected, window.n_encoder, start, &mut notes);
        let local = self.local(&steps, &selected);
        let enriched = each(&local, |x| {
            grn(&self.part.at("static_enrichment"), x, Some(&c_e), self.eps)
        });
        keep(&mut notes, "post_lstm", &local);
        keep(&mut notes, "enriched", &enriched);
        let every_step = self.answers(&enriched, &local, window.n_encoder, &mut notes);
        HeadValues {
            n_answered: if self.config.n_ahead > 0 {
                every_step.len()
            } else {
                1
            },
            every_step,
            named: notes,
        }
    }

    fn static_vector(&self, window: &ScaledWindow, notes: &mut Notes) -> Vec<f64> {
        let variables = &self.config.static_variables;
        if variables.is_empty() {
            return vec![0.0; self.config.n_hidden];
        }
        let s = self.selection("static_variable_selection", variables, window, 0, None);
        keep(notes, "static_weights", &s.weights);
        keep(notes, "static", &s.row);
        s.row
    }

    /// `[rows][H]`: encoder steps, then decoder steps.
    fn selected(&self, window: &ScaledWindow, c_s: &[f64], notes: &mut Notes) -> Vec<Vec<f64>> {
        let n_rows = window.reals.len();
        let parts = [
            ("encoder", &self.config.encoder_variables, 0..window.n_encoder),
            (
                "decoder",
                &self.config.decoder_variables,
                window.n_encoder..n_rows,
            ),
        ];
        let mut rows = Vec::new();
        for (name, variables, steps) in parts {
            let step = |row| {
                let name = format!("{name}_variable_selection");
                self.selection(&name, variables, window, row, Some(c_s))
            };
            let (own, weights): (Vec<_>, Vec<_>) =
                steps.map(step).map(|step| (step.row, step.weights)).unzip();
            if !variables.is_empty() {
                keep(notes, format!("{name}_weights"), &weights);
                keep(notes, format!("{name}_selected"), &own);
            }
            rows.extend(own);
        }
        rows
    }

    fn selection(
        &self,
        name: &str,
        variables: &'a [Variable],
        window: &ScaledWindow,
        row: usize,
        context: Option<&[f64]>,
    ) -> Selected {
        let part = self.part.at(name);
        let shared = self.config.rules.share_variable_networks && context.is_some();
        let branches = match shared {
            true => self.part.at("shared_single_variable_grns"),
            false => part.at("single_variable_grns"),
        };
        let entry = |v: &'a Variable| (v.name.as_str(), self.embedded(v, window, row));
        let entries: Vec<(&str, Vec<f64>)> = variables.iter().map(entry).collect();
        selection(
            &part,
            &branches,
            &entries,
            context,
            self.config.n_hidden,
            self.eps,
        )
    }

    /// The prescaled real, or the sum of the embeddings of a categorical's columns.
    fn embedded(&self, variable: &Variable, window: &ScaledWindow, row: usize) -> Vec<f64> {
        if !variable.is_categorical() {
            let x = window.reals[row][self.place(&variable.columns[0])];
            return linear(&self.part.at("prescalers").at(&variable.name), &[x]);
        }
        let table = self.part.at("input_embeddings.embeddings").at(variable.table());
        let mut sum = vec![0.0; variable.width];
        for column in &variable.columns {
            let code = window.codes[row][self.place(column)];
            if !(variable.padding && code == 0) {
                sum = add(&sum, table.row(code));
            }
        }
        sum
    }

    /// Place of an input among the reals or among the codes of a row.
    fn place(&self, name: &str) -> usize {
        let found = self.schema.inputs.iter().find(|i| i.name == name);
        let input = found.unwrap_or_else(|| panic!("no input `{name}`"));
        let same_kind = |i: &&Input| i.categories.is_some() == input.categories.is_some();
        let mut of_kind = self.schema.inputs.iter().filter(same_kind);
        of_kind.position(|i| i.name == name).unwrap_or_default()
    }

    fn recurrent(
        &self,
        selected: &[Vec<f64>],
        n_encoder: usize,
        start: LstmState,
        notes: &mut Notes,
    ) -> Vec<Vec<f64>> {
        let (past, future) = selected.split_at(n_encoder);
        let faithful = self.config.rules.empty_encoder == EmptyEncoder::Faithful;
        let start = match past.is_empty() && faithful {
            true => LstmState::zero(self.config.n_hidden),
            false => start,
        };
        let mut states = vec![start; self.config.n_layers];
        let mut steps = Vec::new();
        for (name, rows) in [("lstm_encoder", past), ("lstm_decoder", future)] {
            if rows.is_empty() {
                continue;
            }
            let own = lstm_stack(&self.part.at(name), rows, &mut states);
            let (h, c): (Vec<_>, Vec<_>) = states.iter().cloned().map(|s| (s.h, s.c)).unzip();
            keep(notes, name, &own);
            keep(notes, format!("{name}_h"), &h);
            keep(notes, format!("{name}_c"), &c);
            steps.extend(own);
        }
        steps
    }

    fn local(&self, steps: &[Vec<f64>], selected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (gate, add_norm) = (
            self.part.at("post_lstm_gate_encoder"),
            self.part.at("post_lstm_add_norm_encoder.norm"),
        );
        steps
            .iter()
            .zip(selected)
            .map(|(l, v)| norm(&add_norm, &add(&glu(&gate, l), v), self.eps))
            .collect()
    }

    fn answers(
        &self,
        enriched: &[Vec<f64>],
        local: &[Vec<f64>],
        n_encoder: usize,
        notes: &mut Notes,
    ) -> Vec<Vec<f64>> {
        let first = if self.config.n_ahead > 0 { n_encoder } else { 0 };
        let queries = &enriched[first..];
        let visible = visible_steps(self.config.rules.mask, enriched.len(), first);
        let heads = self.part.at("multihead_attn");
        let a = interpretable_attention(&heads, self.config.n_heads, queries, enriched, &visible);
        let gated = |name: &str, rows: &[Vec<f64>], skips: &[Vec<f64>]| {
            let part = self.part.at(name);
            let each = rows.iter().zip(skips);
            each.map(|(x, skip)| gate_add_norm(&part, x, skip, self.eps))
                .collect::<Vec<_>>()
        };
        let b = gated("post_attn_gate_norm", &a.rows, queries);
        let c = each(&b, |x| grn(&self.part.at("pos_wise_ff"), x, None, self.eps));
        let z = gated("pre_output_gate_norm", &c, &local[first..]);
        keep(notes, "attention", &a.weights);
        keep(notes, "attended", &a.rows);
        keep(notes, "post_attention", &b);
        keep(notes, "position_wise", &c);
        keep(notes, "pre_output", &z);
        each(&z, |x| linear(&self.part.at("output_layer"), x))
    }
}

/// The decimal number that was written, such as 0.001, where the schema holds its nearest f32.
fn as_written(x: f32) -> f64 {
    format!("{x}").parse().unwrap_or(f64::from(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epsilon_is_the_decimal_number_that_was_written() {
        assert_eq!(as_written(1e-3), 1e-3);
        assert_eq!(as_written(1e-5), 1e-5);
        assert_ne!(f64::from(1e-3_f32), 1e-3);
    }
}
