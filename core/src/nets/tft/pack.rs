//! The `tft` family's plain tensors folded into what runs.

use super::selection::{self, Columns};
use crate::bundle::{Schema, TftConfig};
use crate::nets::fold::Plain;
use crate::nets::shapes::STATIC_CONTEXTS;
use crate::nets::store::{Packed, Packer};
use crate::plain::PlainTensors;
use alloc::format;
use alloc::vec::Vec;

/// The model file's tensors from plain ones that have their places and shapes.
pub(crate) fn pack(schema: &Schema, config: &TftConfig, plain: &PlainTensors) -> Packed {
    let (mut to, plain) = (Packer::new(schema), Plain(plain));
    let columns = Columns::new(schema);
    let selections = [
        ("static", &config.static_variables, false),
        ("encoder", &config.encoder_variables, true),
        ("decoder", &config.decoder_variables, true),
    ];
    for (name, variables, temporal) in selections {
        selection::pack(&mut to, plain, config, &columns, name, variables, temporal);
    }
    for context in STATIC_CONTEXTS {
        to.grn(
            &format!("run.context.{context}"),
            plain,
            &format!("static_context_{context}"),
        );
    }
    to.stack("run.lstm_encoder", plain, "lstm_encoder", config.n_layers);
    if config.n_ahead > 0 {
        to.stack("run.lstm_decoder", plain, "lstm_decoder", config.n_layers);
    }
    gate_norm(
        &mut to,
        plain,
        "post_lstm",
        ["post_lstm_gate_encoder.fc", "post_lstm_add_norm_encoder.norm"],
    );
    to.grn("run.enrichment", plain, "static_enrichment");
    pack_attention(&mut to, plain, config.n_heads);
    let under = |block: &str| [format!("{block}.glu.fc"), format!("{block}.add_norm.norm")];
    let [glu, norm] = under("post_attn_gate_norm");
    gate_norm(&mut to, plain, "post_attention", [&glu, &norm]);
    to.grn("run.feed_forward", plain, "pos_wise_ff");
    let [glu, norm] = under("pre_output_gate_norm");
    gate_norm(&mut to, plain, "pre_output", [&glu, &norm]);
    to.plain_linear("run.output", plain, "output_layer");
    to.finish()
}

fn gate_norm(to: &mut Packer, plain: Plain<'_>, name: &str, [glu, norm]: [&str; 2]) {
    let (weight, bias) = plain.linear(glu);
    to.gate_norm(&format!("run.{name}"), &weight, &bias, &plain.norm(norm));
}

/// Interpretable attention: queries folded with keys, the shared value head with the output matrix, heads averaged.
fn pack_attention(to: &mut Packer, plain: Plain<'_>, n_heads: usize) {
    let head = |kind: &str, i: usize| plain.linear(&format!("multihead_attn.{kind}_layers.{i}"));
    let heads: Vec<_> = (0..n_heads).map(|i| (head("q", i), head("k", i).0)).collect();
    to.queries("run.attention", &heads);
    let (value, value_bias) = plain.linear("multihead_attn.v_layer");
    let mix = plain.mat("multihead_attn.w_h.weight");
    let weight = mix.mul(&value).scaled(1.0 / n_heads as f64);
    let bias = mix.apply(&value_bias);
    to.linear("run.attention.output", &weight, &bias);
}
