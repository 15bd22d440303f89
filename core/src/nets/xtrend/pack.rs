//! An X-Trend's plain tensors folded into what runs. What an entity alone decides becomes a table.

use crate::bundle::{Schema, XtrendConfig, XtrendForm, XtrendHead, n_blocks};
use crate::nets::fold::{Mat, Plain, add, elu};
use crate::nets::parts::in_two_halves;
use crate::nets::scalar::{Line, Residual, ScalarNet};
use crate::nets::store::{Packed, Packer};
use crate::plain::PlainTensors;
use crate::simd::LANES;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// The model file's tensors from plain ones that have their places and shapes.
pub(crate) fn pack(schema: &Schema, config: &XtrendConfig, plain: &PlainTensors) -> Packed {
    let (mut to, plain) = (Packer::new(schema), Plain(plain));
    let f = super::open::n_features(schema);
    match config.form {
        XtrendForm::Shared => shared(&mut to, plain, config, f),
        XtrendForm::Separate => separate(&mut to, plain, config, f),
    }
    to.finish()
}

fn shared(to: &mut Packer, plain: Plain<'_>, config: &XtrendConfig, f: usize) {
    let embedding = plain.mat("entity_embed.embedding.weight");
    to.rows("run.entities".into(), &embedding);
    gated_selection(to, plain, f);
    let (h0, c0) = (plain.linear("h0_proj"), plain.linear("c0_proj"));
    let state = |e: &[f64]| [&h0, &c0].map(|(w, b)| add(&w.apply(e), b));
    states(to, "run", &embedding, config.n_layers, state);
    to.stack("run.lstm", plain, "lstm", config.n_layers);
    to.plain_norm("run.lstm_norm", plain, "lstm_norm");
    for (name, from) in [("self_attention", "self_attn"), ("cross_attention", "cross_attn")] {
        to.multi_head(
            &format!("run.{name}"),
            plain,
            &format!("cross_attn.{from}"),
            config.n_heads,
        );
    }
    to.plain_norm("run.norm1", plain, "cross_attn.norm1");
    to.plain_norm("run.norm2", plain, "cross_attn.norm2");
    let (decoder, bias) = plain.linear("decoder.0");
    to.linear("run.decoder", &in_two_halves(&decoder, config.n_hidden), &bias);
    to.plain_norm("run.decoder_norm", plain, "decoder.3");
    to.plain_linear("run.position", plain, "position_head.0");
    shared_output(to, plain, config.n_hidden);
}

/// Position from its hidden layer, mean and deviation from what was decoded: one matrix over both.
fn shared_output(to: &mut Packer, plain: Plain<'_>, d: usize) {
    let from = LANES * n_blocks(d);
    let mut weight = Mat::zeros(3, from + LANES * n_blocks(d / 2));
    let mut all = Vec::new();
    let heads = [
        ("position_head.3", from),
        ("gaussian_mu", 0),
        ("gaussian_log_sigma", 0),
    ];
    for (row, (name, at)) in heads.into_iter().enumerate() {
        let (head, bias) = plain.linear(name);
        weight.row_mut(row)[at..at + head.n_cols].copy_from_slice(head.row(0));
        all.extend(bias);
    }
    to.linear("run.output", &weight, &all);
}

fn gated_selection(to: &mut Packer, plain: Plain<'_>, f: usize) {
    let from = "vsn.weight_grn";
    let (fc1, bias) = plain.linear(&format!("{from}.fc1"));
    to.of_columns("run.vsn.weights.fc1", &fc1, &bias);
    let entity = plain.mat(&format!("{from}.context_proj.weight"));
    to.linear("run.vsn.weights.entity", &entity, &bias);
    to.of_columns("run.vsn.weights.skip", &Mat::identity(f), &vec![0.0; f]);
    let (fc2, bias) = plain.linear(&format!("{from}.fc2"));
    let norm = plain.norm(&format!("{from}.layer_norm"));
    to.gate_norm("run.vsn.weights.out", &fc2, &bias, &norm);
    for j in 0..f {
        let (from, network) = (format!("vsn.feature_grns.{j}"), format!("vsn.variables.{j}"));
        let name = format!("run.{network}");
        let hidden = scalar(to, plain, &format!("{name}.hidden"), &format!("{from}.fc1"));
        let skip = scalar(to, plain, &format!("{name}.skip"), &format!("{from}.skip"));
        let (fc2, bias) = plain.linear(&format!("{from}.fc2"));
        let norm = plain.norm(&format!("{from}.layer_norm"));
        to.gate_norm(&format!("{name}.out"), &fc2, &bias, &norm);
        let residual = Residual {
            skip,
            skip_norm: None,
            norm,
            eps: f64::from(super::open::EPS),
        };
        to.scalar(&network, || ScalarNet::new(hidden, &fc2, &bias, Some(residual)));
    }
}

/// A layer of one input as slope and offset.
fn scalar(to: &mut Packer, plain: Plain<'_>, name: &str, from: &str) -> Line {
    let (weight, offset) = plain.linear(from);
    let slope = weight.transposed().row(0).to_vec();
    to.row(format!("{name}.slope"), &slope);
    to.row(format!("{name}.offset"), &offset);
    Line { slope, offset }
}

/// `{name}.states`: outputs and cells of every layer for every entity, each in whole lanes.
fn states(
    to: &mut Packer,
    name: &str,
    embedding: &Mat,
    n_layers: usize,
    state: impl Fn(&[f64]) -> [Vec<f64>; 2],
) {
    let (d, lanes) = (embedding.n_cols, LANES * n_blocks(embedding.n_cols));
    let mut table = Mat::zeros(embedding.n_rows, n_layers * 2 * lanes);
    for (entity, e) in embedding.iter_rows().enumerate() {
        for (part, values) in state(e).iter().enumerate() {
            for (layer, values) in values.chunks_exact(d).enumerate() {
                let at = (2 * layer + part) * lanes;
                table.row_mut(entity)[at..at + d].copy_from_slice(values);
            }
        }
    }
    to.rows(format!("{name}.states"), &table);
}

fn separate(to: &mut Packer, plain: Plain<'_>, config: &XtrendConfig, f: usize) {
    let embedding = plain.mat("entity_embedding.weight");
    to.rows("run.entities".into(), &embedding);
    let encoders = [("key", f), ("value", f + 1), ("query", f)];
    for (name, f) in encoders {
        let from = format!("{name}_encoder");
        variables(to, plain, name, &from, f);
        temporal(to, plain, &format!("run.{name}"), &from, &embedding);
    }
    for name in ["self", "cross"] {
        to.multi_head(
            &format!("run.{name}_attention"),
            plain,
            &format!("{name}_attention"),
            config.n_heads,
        );
        ffn(to, plain, &format!("run.{name}_ffn"), &format!("{name}_ffn"));
    }
    to.plain_norm("run.cross_norm", plain, "cross_norm");
    variables(to, plain, "decoder", "decoder", f);
    let (fuse, bias) = plain.linear("decoder.fuse.linear1");
    to.linear(
        "run.decoder.fuse.linear1",
        &in_two_halves(&fuse, config.n_hidden),
        &bias,
    );
    ffn_rest(to, plain, "run.decoder.fuse", "decoder.fuse", &bias);
    to.plain_norm("run.decoder.fuse_norm", plain, "decoder.fuse_norm");
    temporal(to, plain, "run.decoder", "decoder", &embedding);
    to.plain_linear("run.head", plain, "head");
    if config.head != XtrendHead::Position {
        ffn(to, plain, "run.ptp", "ptp");
    }
}

fn ffn(to: &mut Packer, plain: Plain<'_>, name: &str, from: &str) {
    let (weight, bias) = plain.linear(&format!("{from}.linear1"));
    to.linear(&format!("{name}.linear1"), &weight, &bias);
    ffn_rest(to, plain, name, from, &bias);
}

/// The entity's share, with the first layer's bias as its own, and the last layer.
fn ffn_rest(to: &mut Packer, plain: Plain<'_>, name: &str, from: &str, bias: &[f64]) {
    let entity = format!("{from}.linear2.weight");
    if plain.has(&entity) {
        to.linear(&format!("{name}.entity"), &plain.mat(&entity), bias);
    }
    to.plain_linear(&format!("{name}.linear3"), plain, &format!("{from}.linear3"));
}

fn variables(to: &mut Packer, plain: Plain<'_>, selection: &str, from: &str, f: usize) {
    let (weights, of_weights) = (
        format!("run.{selection}.vsn.weights"),
        format!("{from}.vsn.weights"),
    );
    let (linear1, bias) = plain.linear(&format!("{of_weights}.linear1"));
    to.of_columns(&format!("{weights}.linear1"), &linear1, &bias);
    ffn_rest(to, plain, &weights, &of_weights, &bias);
    for j in 0..f {
        let (network, from) = (
            format!("{selection}.vsn.variables.{j}"),
            format!("{from}.vsn.variables.{j}"),
        );
        let name = format!("run.{network}");
        let hidden = scalar(to, plain, &format!("{name}.hidden"), &format!("{from}.linear1"));
        let (weight, bias) = plain.linear(&format!("{from}.linear3"));
        to.linear(&format!("{name}.linear3"), &weight, &bias);
        to.scalar(&network, || ScalarNet::new(hidden, &weight, &bias, None));
    }
}

fn temporal(to: &mut Packer, plain: Plain<'_>, name: &str, from: &str, embedding: &Mat) {
    if plain.has(&format!("{from}.h0.linear1.weight")) {
        let small = ["h0", "c0"].map(|part| {
            let layer = |l: &str| plain.linear(&format!("{from}.{part}.{l}"));
            [layer("linear1"), layer("linear3")]
        });
        let state = |e: &[f64]| {
            small.each_ref().map(|[(w1, b1), (w3, b3)]| {
                let hidden: Vec<f64> = add(&w1.apply(e), b1).into_iter().map(elu).collect();
                add(&w3.apply(&hidden), b3)
            })
        };
        states(to, name, embedding, 1, state);
    }
    to.stack(&format!("{name}.lstm"), plain, &format!("{from}.lstm"), 1);
    to.plain_norm(&format!("{name}.norm1"), plain, &format!("{from}.norm1"));
    ffn(to, plain, &format!("{name}.ffn"), &format!("{from}.ffn"));
    to.plain_norm(&format!("{name}.norm2"), plain, &format!("{from}.norm2"));
}
