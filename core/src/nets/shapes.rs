//! Names and shapes of every family's plain tensors: what training writes, imports bring and exports give back.
//!
//! Layout `[out, in]` as PyTorch; LSTM gates in the order i, f, g, o. The `tft` family has pytorch-forecasting's names
//! without their aliases, `quantile_tft` and the shared form of `xtrend` those of their source systems.

use crate::bundle::{
    CONTEXTS_PREFIX, CategoricalBranch, LstmConfig, Net, QuantileTftConfig, Schema, SkipRule, TftConfig,
    Variable, WeightHidden, XtrendConfig, XtrendForm, XtrendHead,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Names and shapes of the plain tensors a schema needs.
#[must_use]
pub fn tensor_shapes(schema: &Schema) -> Vec<(String, Vec<usize>)> {
    let reals = schema.inputs.iter().filter(|i| i.categories.is_none()).count();
    match &schema.net {
        Net::Lstm(config) => lstm(config, reals),
        Net::Tft(config) => tft(config),
        Net::QuantileTft(config) => quantile_tft(config, reals),
        Net::Xtrend(config) => xtrend(config, reals),
    }
}

/// Number of trained values.
#[must_use]
pub fn n_parameters(schema: &Schema) -> usize {
    let trained = |(name, _): &&(String, Vec<usize>)| !name.starts_with(CONTEXTS_PREFIX);
    let size = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>();
    tensor_shapes(schema).iter().filter(trained).map(size).sum()
}

/// A list of shapes that grows under a prefix.
#[derive(Default)]
struct Shapes(Vec<(String, Vec<usize>)>);

impl Shapes {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.0.push((name, shape.to_vec()));
    }

    fn vector(&mut self, name: String, n: usize) {
        self.add(name, &[n]);
    }

    fn linear(&mut self, name: &str, n_in: usize, n_out: usize) {
        self.add(format!("{name}.weight"), &[n_out, n_in]);
        self.vector(format!("{name}.bias"), n_out);
    }

    fn norm(&mut self, name: &str, n: usize) {
        self.vector(format!("{name}.weight"), n);
        self.vector(format!("{name}.bias"), n);
    }

    fn layer(&mut self, name: &str, suffix: &str, n_in: usize, n_hidden: usize) {
        self.add(format!("{name}.weight_ih_{suffix}"), &[4 * n_hidden, n_in]);
        self.add(format!("{name}.weight_hh_{suffix}"), &[4 * n_hidden, n_hidden]);
        self.vector(format!("{name}.bias_ih_{suffix}"), 4 * n_hidden);
        self.vector(format!("{name}.bias_hh_{suffix}"), 4 * n_hidden);
    }

    fn stack(&mut self, name: &str, n_in: usize, n_hidden: usize, n_layers: usize) {
        for l in 0..n_layers {
            let n_in = if l == 0 { n_in } else { n_hidden };
            self.layer(name, &format!("l{l}"), n_in, n_hidden);
        }
    }

    fn attention(&mut self, name: &str, n_hidden: usize) {
        self.add(format!("{name}.in_proj_weight"), &[3 * n_hidden, n_hidden]);
        self.vector(format!("{name}.in_proj_bias"), 3 * n_hidden);
        self.linear(&format!("{name}.out_proj"), n_hidden, n_hidden);
    }
}

fn lstm(config: &LstmConfig, n_features: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes::default();
    let n_hidden = config.n_hidden;
    for l in 0..config.n_layers {
        let n_in = if l == 0 { n_features } else { n_hidden };
        shapes.add(format!("lstm.weight_ih_l{l}"), &[4 * n_hidden, n_in]);
        shapes.add(format!("lstm.weight_hh_l{l}"), &[4 * n_hidden, n_hidden]);
        shapes.vector(format!("lstm.bias_l{l}"), 4 * n_hidden);
    }
    let mut n_in = n_hidden;
    for (j, layer) in config.head.iter().enumerate() {
        shapes.linear(&format!("head.{j}"), n_in, layer.n_out);
        n_in = layer.n_out;
    }
    shapes.0
}

/// The widths of one gated residual network of the `tft` family.
#[derive(Clone, Copy)]
pub(crate) struct GrnSize {
    pub(crate) n_in: usize,
    pub(crate) n_hidden: usize,
    pub(crate) n_out: usize,
    pub(crate) context: bool,
    pub(crate) skip: Skip,
}

/// What a gated residual network adds its answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    Identity,
    Resample,
    Linear,
}

impl TftConfig {
    /// A network between equal widths.
    pub(crate) fn square(&self, context: bool) -> GrnSize {
        let n = self.n_hidden;
        GrnSize {
            n_in: n,
            n_hidden: n,
            n_out: n,
            context,
            skip: Skip::Identity,
        }
    }

    /// The network of one variable of width `width`.
    pub(crate) fn variable_size(&self, width: usize) -> GrnSize {
        GrnSize {
            n_in: width,
            n_hidden: width.min(self.n_hidden),
            n_out: self.n_hidden,
            context: false,
            skip: self.skip(width != self.n_hidden),
        }
    }

    /// The weight network over all variables of a selection.
    pub(crate) fn weight_size(&self, variables: &[Variable], context: bool) -> GrnSize {
        let (n_in, n) = (variables.iter().map(|v| v.width).sum::<usize>(), variables.len());
        GrnSize {
            n_in,
            n_hidden: match self.rules.weight_hidden {
                WeightHidden::Hidden => self.n_hidden,
                WeightHidden::MinHiddenVariables => n.min(self.n_hidden),
            },
            n_out: n,
            context,
            skip: self.skip(n_in != n || self.rules.skip == SkipRule::Linear),
        }
    }

    /// Whether the embedding of a variable goes through a network, or through the resampled skip alone.
    pub(crate) fn has_network(&self, variable: &Variable, shared: bool) -> bool {
        !variable.is_categorical() || shared || self.rules.categorical_branch == CategoricalBranch::Grn
    }

    fn skip(&self, needed: bool) -> Skip {
        match self.rules.skip {
            _ if !needed => Skip::Identity,
            SkipRule::Resample => Skip::Resample,
            SkipRule::Linear => Skip::Linear,
        }
    }
}

impl Shapes {
    fn grn(&mut self, name: &str, size: GrnSize, n_context: usize) {
        self.linear(&format!("{name}.fc1"), size.n_in, size.n_hidden);
        self.linear(&format!("{name}.fc2"), size.n_hidden, size.n_hidden);
        if size.context {
            self.add(format!("{name}.context.weight"), &[size.n_hidden, n_context]);
        }
        self.linear(&format!("{name}.gate_norm.glu.fc"), size.n_hidden, 2 * size.n_out);
        self.norm(&format!("{name}.gate_norm.add_norm.norm"), size.n_out);
        match size.skip {
            Skip::Identity => {}
            Skip::Resample => {
                self.vector(format!("{name}.resample_norm.mask"), size.n_out);
                self.norm(&format!("{name}.resample_norm.norm"), size.n_out);
            }
            Skip::Linear => self.linear(&format!("{name}.skip"), size.n_in, size.n_out),
        }
    }

    fn selection(&mut self, config: &TftConfig, name: &str, variables: &[Variable], temporal: bool) {
        if variables.len() > 1 {
            let size = config.weight_size(variables, temporal);
            self.grn(&format!("{name}.flattened_grn"), size, config.n_hidden);
        }
        for v in variables {
            if !(temporal && config.rules.share_variable_networks) {
                self.variable(
                    config,
                    &format!("{name}.single_variable_grns.{}", v.name),
                    v,
                    false,
                );
            }
        }
    }

    fn variable(&mut self, config: &TftConfig, name: &str, variable: &Variable, shared: bool) {
        if config.has_network(variable, shared) {
            self.grn(name, config.variable_size(variable.width), 0);
        } else {
            self.vector(format!("{name}.mask"), config.n_hidden);
            self.norm(&format!("{name}.norm"), config.n_hidden);
        }
    }

    fn embeddings(&mut self, config: &TftConfig) {
        let all = config
            .static_variables
            .iter()
            .chain(&config.encoder_variables)
            .chain(&config.decoder_variables);
        for v in all {
            let (name, shape) = match v.n_categories {
                Some(n) => (
                    format!("input_embeddings.embeddings.{}.weight", v.table()),
                    vec![n, v.width],
                ),
                None => (format!("prescalers.{}.weight", v.name), vec![v.width, 1]),
            };
            if self.0.iter().any(|(known, _)| *known == name) {
                continue;
            }
            if !v.is_categorical() {
                self.vector(format!("prescalers.{}.bias", v.name), v.width);
            }
            self.0.push((name, shape));
        }
    }

    fn shared_networks(&mut self, config: &TftConfig) {
        let mut done: Vec<&str> = Vec::new();
        for v in config.encoder_variables.iter().chain(&config.decoder_variables) {
            if config.rules.share_variable_networks && !done.contains(&v.name.as_str()) {
                self.variable(
                    config,
                    &format!("shared_single_variable_grns.{}", v.name),
                    v,
                    true,
                );
                done.push(&v.name);
            }
        }
    }
}

fn tft(config: &TftConfig) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes::default();
    let (h, rules) = (config.n_hidden, config.rules);
    shapes.embeddings(config);
    shapes.selection(
        config,
        "static_variable_selection",
        &config.static_variables,
        false,
    );
    shapes.selection(
        config,
        "encoder_variable_selection",
        &config.encoder_variables,
        true,
    );
    shapes.selection(
        config,
        "decoder_variable_selection",
        &config.decoder_variables,
        true,
    );
    shapes.shared_networks(config);
    for context in STATIC_CONTEXTS {
        shapes.grn(&format!("static_context_{context}"), config.square(false), 0);
    }
    shapes.stack("lstm_encoder", h, h, config.n_layers);
    if config.n_ahead > 0 {
        shapes.stack("lstm_decoder", h, h, config.n_layers);
    }
    shapes.linear("post_lstm_gate_encoder.fc", h, 2 * h);
    shapes.norm("post_lstm_add_norm_encoder.norm", h);
    shapes.grn("static_enrichment", config.square(true), h);
    let d = config.d_head();
    let heads = (0..config.n_heads).flat_map(|i| [format!("q_layers.{i}"), format!("k_layers.{i}")]);
    for name in heads.chain([String::from("v_layer")]) {
        shapes.add(format!("multihead_attn.{name}.weight"), &[d, h]);
        if rules.attention_bias {
            shapes.vector(format!("multihead_attn.{name}.bias"), d);
        }
    }
    shapes.add("multihead_attn.w_h.weight".into(), &[h, d]);
    shapes.linear("post_attn_gate_norm.glu.fc", h, 2 * h);
    shapes.norm("post_attn_gate_norm.add_norm.norm", h);
    shapes.grn("pos_wise_ff", config.square(false), 0);
    shapes.linear("pre_output_gate_norm.glu.fc", h, 2 * h);
    shapes.norm("pre_output_gate_norm.add_norm.norm", h);
    shapes.linear("output_layer", h, config.n_outputs);
    shapes.0
}

/// The four networks on the static vector, in the order they are listed in.
pub(crate) const STATIC_CONTEXTS: [&str; 4] = [
    "variable_selection",
    "initial_hidden_lstm",
    "initial_cell_lstm",
    "enrichment",
];

fn quantile_tft(config: &QuantileTftConfig, n_features: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes::default();
    let h = config.n_hidden;
    let grn = |shapes: &mut Shapes, name: &str| {
        for layer in ["fc1", "fc2", "gate.0"] {
            shapes.linear(&format!("{name}.{layer}"), h, h);
        }
        shapes.norm(&format!("{name}.layer_norm"), h);
    };
    shapes.linear("vsn.gating.0", n_features, h);
    shapes.linear("vsn.gating.2", h, n_features);
    shapes.linear("vsn.feature_transform", n_features, h);
    grn(&mut shapes, "vsn.grn");
    for l in 0..config.n_layers {
        let n_in = if l == 0 { h } else { 2 * h };
        shapes.layer("encoder_lstm", &format!("l{l}"), n_in, h);
        shapes.layer("encoder_lstm", &format!("l{l}_reverse"), n_in, h);
    }
    shapes.linear("encoder_projection", 2 * h, h);
    shapes.attention("attention", h);
    grn(&mut shapes, "grn1");
    shapes.linear("static_encoder.0", h, h);
    shapes.stack("decoder_lstm", h, h, QUANTILE_TFT_DECODER_LAYERS);
    shapes.linear("enrichment_gate.0", 2 * h, h);
    grn(&mut shapes, "grn2");
    shapes.norm("layer_norm", h);
    shapes.linear("classifier.0", h, h / 2);
    shapes.linear("classifier.3", h / 2, config.n_classes);
    shapes.linear("quantile_head.0", h, h / 2);
    shapes.linear("quantile_head.3", h / 2, config.n_quantiles);
    shapes.0
}

/// Layers of the decoder LSTM of `quantile_tft`.
pub(crate) const QUANTILE_TFT_DECODER_LAYERS: usize = 2;

/// `contexts.input` holds raw rows; in the paper's form the last column is the context's own next-day scaled return.
fn xtrend(config: &XtrendConfig, n_features: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes::default();
    match config.form {
        XtrendForm::Shared => shapes.xtrend_shared(config, n_features),
        XtrendForm::Separate => shapes.xtrend_separate(config, n_features),
    }
    let columns = n_features + usize::from(config.form == XtrendForm::Separate);
    let rows = [config.n_contexts, config.context_lookback, columns];
    shapes.add(format!("{CONTEXTS_PREFIX}input"), &rows);
    shapes.vector(format!("{CONTEXTS_PREFIX}entity"), config.n_contexts);
    shapes.0
}

impl Shapes {
    fn xtrend_shared(&mut self, config: &XtrendConfig, n_features: usize) {
        let (d, f, layers) = (config.n_hidden, n_features, config.n_layers);
        self.linear("vsn.weight_grn.fc1", f, d);
        self.add("vsn.weight_grn.context_proj.weight".into(), &[d, d]);
        self.linear("vsn.weight_grn.fc2", d, 2 * f);
        self.norm("vsn.weight_grn.layer_norm", f);
        for j in 0..f {
            let name = format!("vsn.feature_grns.{j}");
            self.linear(&format!("{name}.fc1"), 1, d);
            self.linear(&format!("{name}.fc2"), d, 2 * d);
            self.linear(&format!("{name}.skip"), 1, d);
            self.norm(&format!("{name}.layer_norm"), d);
        }
        self.add("entity_embed.embedding.weight".into(), &[config.n_entities, d]);
        self.linear("h0_proj", d, d * layers);
        self.linear("c0_proj", d, d * layers);
        self.stack("lstm", d, d, layers);
        self.norm("lstm_norm", d);
        self.attention("cross_attn.self_attn", d);
        self.attention("cross_attn.cross_attn", d);
        self.norm("cross_attn.norm1", d);
        self.norm("cross_attn.norm2", d);
        self.linear("decoder.0", 2 * d, d);
        self.norm("decoder.3", d);
        self.linear("position_head.0", d, d / 2);
        self.linear("position_head.3", d / 2, 1);
        self.linear("gaussian_mu", d, 1);
        self.linear("gaussian_log_sigma", d, 1);
    }

    fn xtrend_separate(&mut self, config: &XtrendConfig, n_features: usize) {
        let d = config.n_hidden;
        self.add("entity_embedding.weight".into(), &[config.n_entities, d]);
        let encoders = [("key_encoder", 0), ("value_encoder", 1), ("query_encoder", 0)];
        for (name, extra) in encoders {
            let entity = !(config.zero_shot && name == "query_encoder");
            self.ffn_selection(name, n_features + extra, d, entity);
            self.temporal_block(name, d, entity);
        }
        let entity = !config.zero_shot;
        self.attention("self_attention", d);
        self.ffn("self_ffn", [d, d, d], false);
        self.attention("cross_attention", d);
        self.ffn("cross_ffn", [d, d, d], false);
        self.norm("cross_norm", d);
        self.ffn_selection("decoder", n_features, d, entity);
        self.ffn("decoder.fuse", [2 * d, d, d], entity);
        self.norm("decoder.fuse_norm", d);
        self.temporal_block("decoder", d, entity);
        let (n_head, n_ptp) = match config.head {
            XtrendHead::Position => (1, 0),
            XtrendHead::Gaussian => (2, 2),
            XtrendHead::Quantile => (config.n_quantiles, config.n_quantiles),
        };
        self.linear("head", d, n_head);
        if n_ptp > 0 {
            self.ffn("ptp", [n_ptp, d, 1], false);
        }
    }

    fn ffn(&mut self, name: &str, [n_in, n_hidden, n_out]: [usize; 3], entity: bool) {
        self.linear(&format!("{name}.linear1"), n_in, n_hidden);
        if entity {
            self.add(format!("{name}.linear2.weight"), &[n_hidden, n_hidden]);
        }
        self.linear(&format!("{name}.linear3"), n_hidden, n_out);
    }

    fn ffn_selection(&mut self, name: &str, n_features: usize, d: usize, entity: bool) {
        self.ffn(
            &format!("{name}.vsn.weights"),
            [n_features, d, n_features],
            entity,
        );
        for j in 0..n_features {
            self.ffn(&format!("{name}.vsn.variables.{j}"), [1, d, d], false);
        }
    }

    fn temporal_block(&mut self, name: &str, d: usize, entity: bool) {
        if entity {
            self.ffn(&format!("{name}.h0"), [d, d, d], false);
            self.ffn(&format!("{name}.c0"), [d, d, d], false);
        }
        self.stack(&format!("{name}.lstm"), d, d, 1);
        self.norm(&format!("{name}.norm1"), d);
        self.ffn(&format!("{name}.ffn"), [d, d, d], entity);
        self.norm(&format!("{name}.norm2"), d);
    }
}
