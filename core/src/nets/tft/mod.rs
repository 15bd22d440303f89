//! The `tft` family: variable selection, LSTM encoder and decoder, interpretable attention (Lim et al. 2021).
//!
//! Only what an answer reads is run: attention queries and everything behind them for the answered steps alone.

mod pack;
mod rolled;
mod selection;
mod side_by_side;

use crate::bundle::{Bundle, EmptyEncoder, MaskRule, TftConfig, n_blocks};
use crate::error::OpenError;
use crate::interpretation::Interpretation;
use crate::kernels::{Kernels, Keys};
use crate::layers::{Attention, GateNorm, Grn, Linear, LstmStack, Rows, Selection};
use crate::nets::open_plain;
use crate::nets::shapes::STATIC_CONTEXTS;
use crate::nets::store::Opener;
use crate::simd::Lane;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

pub(crate) use pack::pack;
pub(crate) use side_by_side::TftNeighbours;

/// The opened net.
pub(crate) struct TftNet {
    lookback: usize,
    n_ahead: usize,
    mask: MaskRule,
    empty: EmptyEncoder,
    static_selection: Option<Selection>,
    encoder_selection: Selection,
    decoder_selection: Option<Selection>,
    contexts: [Grn; 4],
    encoder: LstmStack,
    decoder: Option<LstmStack>,
    post_lstm: GateNorm,
    enrichment: Grn,
    attention: Attention,
    post_attention: GateNorm,
    feed_forward: Grn,
    pre_output: GateNorm,
    output: Linear,
    lanes: usize,
}

/// Buffers of answered steps.
struct Answers<'w> {
    /// `[answers, lanes]` each.
    steps: [&'w mut [Lane]; 3],
    /// `[answers, heads, rows]`.
    attention: &'w mut [f32],
    scratch: &'w mut [Lane],
    /// `[answers, output lanes]`.
    head: &'w mut [Lane],
}

/// Buffers of one window.
pub(crate) struct TftWork {
    /// Selected variables of every step, then the gated LSTM: `[rows, lanes]`.
    selected: Vec<Lane>,
    lstm: Vec<Lane>,
    gated: Vec<Lane>,
    enriched: Vec<Lane>,
    /// Static vector, its four contexts, LSTM state.
    statics: Vec<Lane>,
    /// The static vector before it was computed again, and whether its contexts are there.
    before: Vec<Lane>,
    has_contexts: bool,
    state: Vec<Lane>,
    /// The state before the last row, where the rows before it were run ahead.
    rolled: Vec<Lane>,
    /// Answered steps: attention, its norm, feed-forward, and head values.
    answers: [Vec<Lane>; 3],
    head: Vec<Lane>,
    scratch: Vec<Lane>,
    /// Weights of the last run: static `[1, lanes]`, temporal `[rows, lanes]` each.
    weights: [Vec<Lane>; 3],
    /// `[answers, heads, rows]`.
    attention: Vec<f32>,
    /// Encoder and decoder rows of the last run.
    lengths: [usize; 2],
}

impl TftWork {
    /// Becomes what `source`, of the same net, is as far as rows were run ahead.
    pub(crate) fn copy_from(&mut self, source: &Self) {
        let Self {
            selected,
            lstm,
            gated,
            enriched,
            statics,
            before: _,
            has_contexts,
            state,
            rolled,
            answers: _,
            head: _,
            scratch: _,
            weights,
            attention: _,
            lengths,
        } = self;
        let of = [&source.selected, &source.lstm, &source.gated, &source.enriched];
        for (to, from) in [selected, lstm, gated, enriched].into_iter().zip(of) {
            to.copy_from_slice(from);
        }
        let of = [&source.statics, &source.state, &source.rolled];
        for (to, from) in [statics, state, rolled].into_iter().zip(of) {
            to.copy_from_slice(from);
        }
        for (to, from) in weights.iter_mut().zip(&source.weights) {
            to.copy_from_slice(from);
        }
        *has_contexts = source.has_contexts;
        *lengths = source.lengths;
    }
}

impl TftNet {
    /// Takes the net's tensors out of the bundle.
    pub(crate) fn open(bundle: &Bundle, config: &TftConfig) -> Result<Self, OpenError> {
        let schema = bundle.schema();
        let mut from = Opener::new(bundle);
        let (n, eps) = (config.n_hidden, config.rules.norm_eps);
        let columns = selection::Columns::new(schema);
        let select = |from: &mut Opener<'_>, name: &str, variables, temporal| {
            selection::open(from, config, &columns, name, variables, temporal)
        };
        let net = Self {
            lookback: config.lookback,
            n_ahead: config.n_ahead,
            mask: config.rules.mask,
            empty: config.rules.empty_encoder,
            static_selection: select(&mut from, "static", &config.static_variables, false)?,
            encoder_selection: select(&mut from, "encoder", &config.encoder_variables, true)?
                .expect("the schema has one or more encoder variables"),
            decoder_selection: select(&mut from, "decoder", &config.decoder_variables, true)?,
            contexts: {
                let mut open =
                    |i: usize| from.grn(&format!("run.context.{}", STATIC_CONTEXTS[i]), n, false, eps);
                [open(0)?, open(1)?, open(2)?, open(3)?]
            },
            encoder: from.stack("run.lstm_encoder", n, n, config.n_layers)?,
            decoder: match config.n_ahead {
                0 => None,
                _ => Some(from.stack("run.lstm_decoder", n, n, config.n_layers)?),
            },
            post_lstm: from.gate_norm("run.post_lstm", n, n, eps)?,
            enrichment: from.grn("run.enrichment", n, true, eps)?,
            attention: from.interpretable("run.attention", n, config.n_heads)?,
            post_attention: from.gate_norm("run.post_attention", n, n, eps)?,
            feed_forward: from.grn("run.feed_forward", n, false, eps)?,
            pre_output: from.gate_norm("run.pre_output", n, n, eps)?,
            output: from.linear("run.output", n, config.n_outputs)?,
            lanes: n_blocks(n),
        };
        open_plain(&mut from, schema)?;
        from.finish()?;
        Ok(net)
    }

    fn n_answers(&self) -> usize {
        self.n_ahead.max(1)
    }

    /// Buffers for one window.
    pub(crate) fn work(&self) -> TftWork {
        let rows = self.lookback + self.n_ahead;
        let block = |n: usize| vec![Lane::ZERO; n * self.lanes];
        let answers = self.n_answers();
        let per_step =
            |s: Option<&Selection>, n: usize| vec![Lane::ZERO; n * s.map_or(0, Selection::weight_lanes)];
        TftWork {
            selected: block(rows),
            lstm: block(rows),
            gated: block(rows),
            enriched: block(rows),
            statics: block(5),
            before: block(1),
            has_contexts: false,
            state: vec![Lane::ZERO; self.encoder.n_state()],
            rolled: vec![Lane::ZERO; self.encoder.n_state()],
            answers: [block(answers), block(answers), block(answers)],
            head: vec![Lane::ZERO; answers * self.output.n_lanes()],
            scratch: vec![Lane::ZERO; self.n_scratch()],
            weights: [
                per_step(self.static_selection.as_ref(), 1),
                per_step(Some(&self.encoder_selection), self.lookback),
                per_step(self.decoder_selection.as_ref(), self.n_ahead),
            ],
            attention: vec![0.0; answers * self.attention.n_heads * rows],
            lengths: [0, 0],
        }
    }

    /// Weights of the last run.
    pub(crate) fn interpret(&self, work: &TftWork) -> Vec<Interpretation> {
        let [n_encoder, n_decoder] = work.lengths;
        let selections = [
            ("static_weights", self.static_selection.as_ref(), 1),
            ("encoder_weights", Some(&self.encoder_selection), n_encoder),
            ("decoder_weights", self.decoder_selection.as_ref(), n_decoder),
        ];
        let selected = selections.into_iter().zip(&work.weights);
        let mut found: Vec<Interpretation> = selected
            .filter_map(|((name, selection, n), weights)| {
                Some(Interpretation::of_lanes(
                    name,
                    weights,
                    n,
                    selection?.branches.len(),
                ))
            })
            .collect();
        let answers = if self.n_ahead == 0 { 1 } else { n_decoder };
        let shape = [answers, self.attention.n_heads, n_encoder + n_decoder];
        found.push(Interpretation::of_attention("attention", &work.attention, shape));
        found
    }

    fn n_scratch(&self) -> usize {
        let (rows, answers) = (self.lookback + self.n_ahead, self.n_answers());
        let selections = [
            self.static_selection.as_ref(),
            Some(&self.encoder_selection),
            self.decoder_selection.as_ref(),
        ];
        let networks = self.contexts.iter().chain([&self.enrichment, &self.feed_forward]);
        let sizes = selections.into_iter().flatten().map(Selection::n_scratch);
        let sizes = sizes.chain(networks.map(Grn::n_scratch)).chain([
            self.encoder.n_scratch(self.lookback),
            self.decoder.as_ref().map_or(0, |d| d.n_scratch(self.n_ahead)),
            2 * self.lanes * rows,
            self.attention.n_scratch(answers, self.lanes),
        ]);
        sizes.max().unwrap_or(0)
    }

    /// One window of `n_encoder` and `n_decoder` rows to head values `[answers, output lanes]`.
    pub(crate) fn run<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut TftWork,
        rows: Rows<'_>,
        n_encoder: usize,
        n_decoder: usize,
    ) -> &'w [Lane] {
        work.lengths = [n_encoder, n_decoder];
        self.run_statics(kernels, work, rows);
        self.start(work);
        self.advance(kernels, work, rows, 0..n_encoder);
        self.look_ahead(kernels, work, rows, n_encoder, n_decoder);
        self.answer(kernels, work, n_encoder, n_decoder)
    }

    /// Whether a window ends with the row it answers for.
    pub(crate) fn ends_with_its_answer(&self) -> bool {
        self.n_ahead == 0
    }

    /// The state before the first row, the statics known.
    fn start(&self, work: &mut TftWork) {
        let l = self.lanes;
        if work.lengths[0] == 0 && self.empty == EmptyEncoder::Faithful {
            work.state.fill(Lane::ZERO);
        } else {
            let (h, c) = (&work.statics[2 * l..3 * l], &work.statics[3 * l..4 * l]);
            self.encoder.start(h, c, &mut work.state);
        }
    }

    /// Some rows of the past, up to their static enrichment.
    fn advance(&self, kernels: &Kernels, work: &mut TftWork, rows: Rows<'_>, part: Range<usize>) {
        if part.is_empty() {
            return;
        }
        let l = self.lanes;
        let context = Some(&work.statics[l..2 * l]);
        let lanes = part.start * l..part.end * l;
        let width = self.encoder_selection.weight_lanes();
        let weights = &mut work.weights[1][part.start * width..part.end * width];
        let selected = &mut work.selected[lanes.clone()];
        let from = rows.from(part.start);
        self.encoder_selection
            .forward(kernels, from, context, &mut work.scratch, weights, selected);
        let out = &mut work.lstm[lanes.clone()];
        self.encoder
            .forward(kernels, selected, &mut work.state, &mut work.scratch, out);
        work.gated[lanes.clone()].copy_from_slice(selected);
        self.enrich(kernels, work, lanes);
    }

    /// The rows of the future, up to their static enrichment.
    fn look_ahead(
        &self,
        kernels: &Kernels,
        work: &mut TftWork,
        rows: Rows<'_>,
        n_encoder: usize,
        n_decoder: usize,
    ) {
        let Some(decoder) = self.decoder.as_ref().filter(|_| n_decoder > 0) else {
            return;
        };
        let l = self.lanes;
        let context = Some(&work.statics[l..2 * l]);
        let lanes = n_encoder * l..(n_encoder + n_decoder) * l;
        let selected = &mut work.selected[lanes.clone()];
        match &self.decoder_selection {
            Some(selection) => {
                let weights = &mut work.weights[2][..n_decoder * selection.weight_lanes()];
                let rows = rows.from(n_encoder);
                selection.forward(kernels, rows, context, &mut work.scratch, weights, selected);
            }
            None => selected.fill(Lane::ZERO),
        }
        let out = &mut work.lstm[lanes.clone()];
        decoder.forward(kernels, selected, &mut work.state, &mut work.scratch, out);
        work.gated[lanes.clone()].copy_from_slice(selected);
        self.enrich(kernels, work, lanes);
    }

    /// Gated LSTM outputs of some rows, whose skips lie in `gated`, and their static enrichment.
    fn enrich(&self, kernels: &Kernels, work: &mut TftWork, lanes: Range<usize>) {
        let (l, n) = (self.lanes, lanes.len());
        let TftWork {
            lstm,
            gated,
            enriched,
            statics,
            scratch,
            ..
        } = work;
        let gated = &mut gated[lanes.clone()];
        self.post_lstm
            .forward(kernels, &lstm[lanes.clone()], &mut scratch[..2 * n], gated);
        let context = Some(&statics[4 * l..5 * l]);
        self.enrichment
            .forward(kernels, gated, context, scratch, &mut enriched[lanes]);
    }

    /// The head values of the answered steps.
    fn answer<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut TftWork,
        n_encoder: usize,
        n_decoder: usize,
    ) -> &'w [Lane] {
        let (l, n) = (self.lanes, n_encoder + n_decoder);
        let TftWork {
            gated,
            enriched,
            scratch,
            answers: [a, b, c],
            head,
            attention,
            ..
        } = work;
        let first = if self.n_ahead == 0 {
            n_encoder - 1
        } else {
            n_encoder
        };
        let n_answers = n - first;
        let of_answers = first * l..n * l;
        let keys = |i: usize| Keys {
            visible: self.visible(first + i, n),
            ..self.attention.keys(&enriched[..n * l], &enriched[..n * l], n)
        };
        let answers = Answers {
            steps: [a, b, c].map(|x| &mut x[..n_answers * l]),
            attention: &mut attention[..n_answers * self.attention.n_heads * n],
            scratch,
            head: &mut head[..n_answers * self.output.n_lanes()],
        };
        self.answer_steps(
            kernels,
            &enriched[of_answers.clone()],
            &gated[of_answers],
            keys,
            answers,
        )
    }

    /// Rows that the query of row `at` sees, of `n`.
    fn visible(&self, at: usize, n: usize) -> usize {
        match self.mask {
            MaskRule::CausalSelf => at + 1,
            MaskRule::CausalStrict => at,
            MaskRule::Open => n,
        }
    }

    /// The head values of steps, of which `queries` and `gated` hold one row each; `keys(i)` is what step i attends to.
    fn answer_steps<'k, 'w>(
        &self,
        kernels: &Kernels,
        queries: &[Lane],
        gated: &[Lane],
        keys: impl Fn(usize) -> Keys<'k>,
        answers: Answers<'w>,
    ) -> &'w [Lane] {
        let Answers {
            steps: [a, b, c],
            attention,
            scratch,
            head,
        } = answers;
        let n_gated = 2 * queries.len();
        self.attention
            .forward(kernels, queries, keys, attention, scratch, a);
        b.copy_from_slice(queries);
        self.post_attention
            .forward(kernels, a, &mut scratch[..n_gated], b);
        self.feed_forward.forward(kernels, b, None, scratch, c);
        a.copy_from_slice(gated);
        self.pre_output.forward(kernels, c, &mut scratch[..n_gated], a);
        self.output.forward_lanes(kernels, a, head);
        head
    }

    /// The static vector and its four contexts.
    fn run_statics(&self, kernels: &Kernels, work: &mut TftWork, rows: Rows<'_>) {
        let (vector, contexts) = work.statics.split_at_mut(self.lanes);
        let before = &mut work.before[..];
        before.copy_from_slice(vector);
        match &self.static_selection {
            Some(selection) => {
                selection.forward(
                    kernels,
                    rows,
                    None,
                    &mut work.scratch,
                    &mut work.weights[0],
                    vector,
                );
            }
            None => vector.fill(Lane::ZERO),
        }
        // A series keeps its static vector from window to window.
        if work.has_contexts && bytes(before) == bytes(vector) {
            return;
        }
        work.has_contexts = true;
        for (grn, out) in self.contexts.iter().zip(contexts.chunks_exact_mut(self.lanes)) {
            grn.forward(kernels, vector, None, &mut work.scratch, out);
        }
    }
}

/// The bits of lanes: zeros of either sign differ, and what is no number equals itself.
fn bytes(lanes: &[Lane]) -> &[u8] {
    bytemuck::must_cast_slice(lanes)
}
