//! The `quantile_tft` family, seed 003's network: BiLSTM, self-attention, decoder LSTM, classes and quantiles.
//!
//! Every row asks in the attention, since its answer feeds the decoder and the mean over time; what follows the fusion is
//! run for the last row alone. Both heads are one: a hidden layer side by side, an output matrix with two blocks.

use super::fold::{Mat, Plain, add};
use super::open_plain;
use super::parts::in_two_halves;
use super::shapes::QUANTILE_TFT_DECODER_LAYERS;
use super::store::{Opener, Packed, Packer};
use crate::bundle::{Bundle, QuantileTftConfig, Schema, n_blocks};
use crate::error::OpenError;
use crate::interpretation::Interpretation;
use crate::kernels::Kernels;
use crate::layers::{Attention, BiStack, Fusion, Gating, InputGatedGrn, Linear, LstmStack, Norm, Rows};
use crate::plain::PlainTensors;
use crate::simd::{LANES, Lane};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

const NORM_EPS: f32 = 1e-5;

/// The opened net.
pub(crate) struct QuantileTftNet {
    lookback: usize,
    n_features: usize,
    lanes: usize,
    gating: Gating,
    transform: Linear,
    selected: InputGatedGrn,
    encoder: BiStack,
    projection: Linear,
    attention: Attention,
    grn1: InputGatedGrn,
    decoder: LstmStack,
    fusion: Fusion,
    grn2: InputGatedGrn,
    norm: Norm,
    hidden: Linear,
    output: Linear,
}

/// Buffers of one window.
pub(crate) struct QuantileTftWork {
    weights: Vec<Lane>,
    scaled: Vec<Lane>,
    rows: [Vec<Lane>; 2],
    both: [Vec<Lane>; 2],
    keys: [Vec<Lane>; 2],
    state: Vec<Lane>,
    fused: Vec<Lane>,
    hidden: Vec<Lane>,
    head: Vec<Lane>,
    scratch: Vec<Lane>,
    attention: Vec<f32>,
}

impl QuantileTftNet {
    /// Takes the net's tensors out of the bundle.
    pub(crate) fn open(bundle: &Bundle, config: &QuantileTftConfig) -> Result<Self, OpenError> {
        let schema = bundle.schema();
        let mut from = Opener::new(bundle);
        let (n, f) = (config.n_hidden, schema.n_features());
        let lanes = n_blocks(n);
        let half = LANES * n_blocks(n / 2);
        let net = Self {
            lookback: config.lookback,
            n_features: f,
            lanes,
            gating: Gating {
                weights: from.linear("run.gating", f, f)?,
            },
            transform: from.linear("run.transform", f, n)?,
            selected: from.input_gated("run.selected", n, NORM_EPS)?,
            encoder: from.bi_stack("run.encoder", n, n, config.n_layers)?,
            projection: from.linear("run.projection", 2 * LANES * lanes, n)?,
            attention: from.multi_head("run.attention", n, config.n_heads)?,
            grn1: from.input_gated("run.grn1", n, NORM_EPS)?,
            decoder: from.stack("run.decoder", n, n, QUANTILE_TFT_DECODER_LAYERS)?,
            fusion: Fusion {
                summary: from.linear("run.summary", n, n)?,
                gate: from.linear("run.gate", 2 * LANES * lanes, n)?,
            },
            grn2: from.input_gated("run.grn2", n, NORM_EPS)?,
            norm: from.norm("run.norm", n, NORM_EPS)?,
            hidden: from.linear("run.hidden", n, 2 * half)?,
            output: from.linear("run.output", 2 * half, config.n_classes + config.n_quantiles)?,
        };
        open_plain(&mut from, schema)?;
        from.finish()?;
        Ok(net)
    }

    /// Buffers for one window.
    pub(crate) fn work(&self) -> QuantileTftWork {
        let block = |n: usize| vec![Lane::ZERO; n];
        let (rows, l) = (self.lookback, self.lanes);
        let inputs = rows * self.gating.weights.n_lanes();
        let grn = [&self.selected, &self.grn1, &self.grn2].map(InputGatedGrn::n_scratch);
        let others = [
            self.encoder.n_scratch(rows),
            self.attention.n_scratch(rows, self.attention.row_lanes()),
            self.decoder.n_scratch(rows),
            self.fusion.n_scratch(),
        ];
        QuantileTftWork {
            weights: block(inputs),
            scaled: block(inputs),
            rows: [block(rows * l), block(rows * l)],
            both: [block(2 * rows * l), block(2 * rows * l)],
            keys: [0, 1].map(|_| block(rows * self.attention.row_lanes())),
            state: block(self.decoder.n_state()),
            fused: block(l),
            hidden: block(self.hidden.n_lanes()),
            head: block(self.output.n_lanes()),
            scratch: block(grn.into_iter().chain(others).max().unwrap_or(0)),
            attention: vec![0.0; rows * self.attention.n_heads * rows],
        }
    }

    /// Weights of the last run.
    pub(crate) fn interpret(&self, work: &QuantileTftWork) -> Vec<Interpretation> {
        let shape = [self.lookback, self.attention.n_heads, self.lookback];
        vec![
            Interpretation::of_lanes("encoder_weights", &work.weights, self.lookback, self.n_features),
            Interpretation::of_attention("attention", &work.attention, shape),
        ]
    }

    /// One window to head values, classes then quantiles.
    pub(crate) fn run<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut QuantileTftWork,
        rows: Rows<'_>,
    ) -> &'w [Lane] {
        let QuantileTftWork {
            weights,
            scaled,
            rows: [x, attended],
            both: [both, next],
            keys: [keys, values],
            state,
            fused,
            hidden,
            head,
            scratch,
            attention,
        } = work;
        let reals = &rows.reals[..self.lookback * rows.stride];
        self.gating.forward(kernels, reals, rows.stride, weights, scaled);
        self.transform.forward_lanes(kernels, scaled, x);
        self.selected.forward(kernels, x, scratch);
        self.encoder.forward(kernels, x, scratch, next, both);
        self.projection.forward_lanes(kernels, both, x);
        self.attention.project(kernels, x, x, keys, values);
        let seen = self.attention.keys(keys, values, self.lookback);
        self.attention
            .forward(kernels, x, |_| seen, attention, scratch, attended);
        kernels.add_lanes(attended, x);
        self.grn1.forward(kernels, x, scratch);
        state.fill(Lane::ZERO);
        self.decoder.forward(kernels, x, state, scratch, attended);
        let last = &attended[(self.lookback - 1) * self.lanes..];
        self.fusion.forward(kernels, x, last, scratch, fused);
        self.grn2.forward(kernels, fused, scratch);
        self.norm.forward(kernels, fused);
        self.hidden.forward_lanes(kernels, fused, hidden);
        kernels.relu(bytemuck::must_cast_slice_mut(hidden));
        self.output.forward_lanes(kernels, hidden, head);
        head
    }
}

/// The model file's tensors from plain ones that have their places and shapes.
pub(super) fn pack(schema: &Schema, config: &QuantileTftConfig, plain: &PlainTensors) -> Packed {
    let (mut to, plain) = (Packer::new(schema), Plain(plain));
    let n = config.n_hidden;
    let ((inner, inner_bias), (outer, outer_bias)) =
        (plain.linear("vsn.gating.0"), plain.linear("vsn.gating.2"));
    to.linear(
        "run.gating",
        &outer.mul(&inner),
        &add(&outer.apply(&inner_bias), &outer_bias),
    );
    to.plain_linear("run.transform", plain, "vsn.feature_transform");
    to.input_gated("run.selected", plain, "vsn.grn");
    to.bi_stack("run.encoder", plain, "encoder_lstm", config.n_layers);
    let (projection, bias) = plain.linear("encoder_projection");
    to.linear("run.projection", &in_two_halves(&projection, n), &bias);
    to.multi_head("run.attention", plain, "attention", config.n_heads);
    to.input_gated("run.grn1", plain, "grn1");
    to.stack("run.decoder", plain, "decoder_lstm", QUANTILE_TFT_DECODER_LAYERS);
    to.plain_linear("run.summary", plain, "static_encoder.0");
    let (gate, bias) = plain.linear("enrichment_gate.0");
    to.linear("run.gate", &in_two_halves(&gate, n), &bias);
    to.input_gated("run.grn2", plain, "grn2");
    to.plain_norm("run.norm", plain, "layer_norm");
    pack_heads(&mut to, plain, config);
    to.finish()
}

/// Both heads as one: hidden layers side by side, each in whole lanes; the output matrix in two blocks.
fn pack_heads(to: &mut Packer, plain: Plain<'_>, config: &QuantileTftConfig) {
    let (n, narrow) = (config.n_hidden, config.n_hidden / 2);
    let half = LANES * n_blocks(narrow);
    let (mut hidden, mut hidden_bias) = (Mat::zeros(2 * half, n), vec![0.0; 2 * half]);
    let mut output = Mat::zeros(config.n_classes + config.n_quantiles, 2 * half);
    let mut output_bias = Vec::new();
    for (at, name) in ["classifier", "quantile_head"].into_iter().enumerate() {
        let (first, bias) = plain.linear(&format!("{name}.0"));
        for row in 0..narrow {
            hidden.row_mut(at * half + row).copy_from_slice(first.row(row));
        }
        hidden_bias[at * half..][..narrow].copy_from_slice(&bias);
        let (second, bias) = plain.linear(&format!("{name}.3"));
        for (row, values) in second.iter_rows().enumerate() {
            let to = output.row_mut(output_bias.len() + row);
            to[at * half..][..narrow].copy_from_slice(values);
        }
        output_bias.extend(bias);
    }
    to.linear("run.hidden", &hidden, &hidden_bias);
    to.linear("run.output", &output, &output_bias);
}
