//! Name and shape of every tensor that a network of these sizes has, and the check that the state dict has just those.

use super::net::{Net, Variable};
use super::plain::refused;
use crate::import::pickle::{Value, ValueError};
use std::collections::{BTreeMap, BTreeSet};
use tickfuse_core::plain::PlainTensors;

/// Modules that weigh the static, the encoder's and the decoder's variables.
pub(super) const SELECTIONS: [&str; 3] = [
    "static_variable_selection",
    "encoder_variable_selection",
    "decoder_variable_selection",
];
const CONTEXTS: [&str; 4] = [
    "variable_selection",
    "initial_hidden_lstm",
    "initial_cell_lstm",
    "enrichment",
];

/// Shapes by the name that is kept.
#[derive(Debug, Default)]
pub(super) struct Shapes(BTreeMap<String, Vec<usize>>);

/// Refuses a tensor too many, too few, or of another shape.
pub(super) fn check(state: &Value<'_>, expected: &Shapes, tensors: &PlainTensors) -> Result<(), ValueError> {
    let names: BTreeSet<&String> = expected.0.keys().chain(tensors.keys()).collect();
    for name in names {
        let (wanted, found) = (
            expected.0.get(name),
            tensors.get(name).map(|tensor| &tensor.shape),
        );
        let (expected, found) = match (wanted, found) {
            (Some(wanted), None) => (format!("a tensor {name} of shape {wanted:?}"), "none".into()),
            (None, Some(found)) => (format!("no tensor {name}"), format!("one of shape {found:?}")),
            (Some(wanted), Some(found)) if wanted != found => (
                format!("a tensor {name} of shape {wanted:?}"),
                format!("{found:?}"),
            ),
            _ => continue,
        };
        return Err(refused(state, expected, found));
    }
    Ok(())
}

/// The tensors of a network.
pub(super) fn expected(net: &Net) -> Shapes {
    let (hidden, d_head) = (net.n_hidden, net.n_hidden / net.n_heads);
    let mut shapes = Shapes::default();
    shapes.inputs(net);
    for context in CONTEXTS {
        shapes.grn(&format!("static_context_{context}"), [hidden; 3], None);
    }
    shapes.lstms(net);
    shapes.linear("post_lstm_gate_encoder.fc", hidden, 2 * hidden);
    shapes.norm("post_lstm_add_norm_encoder.norm", hidden);
    shapes.grn("static_enrichment", [hidden; 3], Some(hidden));
    shapes.linear("multihead_attn.v_layer", hidden, d_head);
    for i in 0..net.n_heads {
        shapes.linear(&format!("multihead_attn.q_layers.{i}"), hidden, d_head);
        shapes.linear(&format!("multihead_attn.k_layers.{i}"), hidden, d_head);
    }
    shapes.put("multihead_attn.w_h.weight", &[hidden, d_head]);
    shapes.gate("post_attn_gate_norm", hidden, hidden);
    shapes.grn("pos_wise_ff", [hidden; 3], None);
    shapes.gate("pre_output_gate_norm", hidden, hidden);
    shapes.linear("output_layer", hidden, net.n_outputs);
    shapes
}

impl Shapes {
    fn put(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.to_owned(), shape.to_vec());
    }

    fn inputs(&mut self, net: &Net) {
        let kinds = [
            &net.static_variables,
            &net.encoder_variables,
            &net.decoder_variables,
        ];
        for (selection, variables) in SELECTIONS.into_iter().zip(kinds) {
            for variable in variables {
                self.input(variable);
            }
            self.selection(selection, variables, net);
        }
    }

    fn input(&mut self, variable: &Variable) {
        let name = &variable.name;
        match variable.n_categories {
            Some(n) => self.put(
                &format!("input_embeddings.embeddings.{name}.weight"),
                &[n, variable.width],
            ),
            None => self.linear(&format!("prescalers.{name}"), 1, variable.width),
        }
    }

    fn selection(&mut self, selection: &str, variables: &[Variable], net: &Net) {
        let (hidden, n) = (net.n_hidden, variables.len());
        let is_static = selection == SELECTIONS[0];
        if n > 1 {
            let flat = variables.iter().map(|variable| variable.width).sum();
            let context = (!is_static).then_some(hidden);
            self.grn(
                &format!("{selection}.flattened_grn"),
                [flat, hidden.min(n), n],
                context,
            );
        }
        let is_shared = net.rules.share_variable_networks && !is_static;
        for variable in variables {
            let name = &variable.name;
            let prefix = match is_shared {
                true => format!("shared_single_variable_grns.{name}"),
                false => format!("{selection}.single_variable_grns.{name}"),
            };
            if variable.n_categories.is_some() && !is_shared {
                self.resampled(&prefix, hidden);
            } else {
                self.grn(
                    &prefix,
                    [variable.width, variable.width.min(hidden), hidden],
                    None,
                );
            }
        }
    }

    fn lstms(&mut self, net: &Net) {
        let hidden = net.n_hidden;
        for (lstm, k) in ["lstm_encoder", "lstm_decoder"]
            .into_iter()
            .flat_map(|lstm| (0..net.n_layers).map(move |k| (lstm, k)))
        {
            for part in ["ih", "hh"] {
                self.put(&format!("{lstm}.weight_{part}_l{k}"), &[4 * hidden, hidden]);
                self.put(&format!("{lstm}.bias_{part}_l{k}"), &[4 * hidden]);
            }
        }
    }

    /// Widths in, within and out; where the first and the last differ, the skip is resampled.
    fn grn(&mut self, prefix: &str, [d_in, d_hidden, d_out]: [usize; 3], context: Option<usize>) {
        self.linear(&format!("{prefix}.fc1"), d_in, d_hidden);
        self.linear(&format!("{prefix}.fc2"), d_hidden, d_hidden);
        self.gate(&format!("{prefix}.gate_norm"), d_hidden, d_out);
        if let Some(context) = context {
            self.put(&format!("{prefix}.context.weight"), &[d_hidden, context]);
        }
        if d_in != d_out {
            self.resampled(&format!("{prefix}.resample_norm"), d_out);
        }
    }

    fn resampled(&mut self, prefix: &str, width: usize) {
        self.norm(&format!("{prefix}.norm"), width);
        self.put(&format!("{prefix}.mask"), &[width]);
    }

    fn gate(&mut self, prefix: &str, d_in: usize, d_out: usize) {
        self.linear(&format!("{prefix}.glu.fc"), d_in, 2 * d_out);
        self.norm(&format!("{prefix}.add_norm.norm"), d_out);
    }

    fn linear(&mut self, prefix: &str, d_in: usize, d_out: usize) {
        self.put(&format!("{prefix}.weight"), &[d_out, d_in]);
        self.put(&format!("{prefix}.bias"), &[d_out]);
    }

    fn norm(&mut self, prefix: &str, width: usize) {
        self.put(&format!("{prefix}.weight"), &[width]);
        self.put(&format!("{prefix}.bias"), &[width]);
    }
}
