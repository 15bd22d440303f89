//! Seed 003's network from plain tensors.
//!
//! ```text
//! s = VSN(x);   e = encoder_projection BiLSTM(s);   r = grn1(attention(e, e, e) + e)
//! c = ReLU(static_encoder.0 mean_t r);   d = decoder_lstm r;   g = s(enrichment_gate.0 [d | c])
//! y = layer_norm(grn2(g d + (1 - g) c)) of the last step
//! head values = classifier.3 ReLU(classifier.0 y) | quantile_head.3 ReLU(quantile_head.0 y)
//! ```

use super::attention::each;
use super::notes::keep;
use super::{
    HeadValues, LstmState, Notes, Part, ScaledWindow, add, attention, grn_input_gate, linear,
    lstm_bidirectional, lstm_stack, map, norm, relu, selection_gating, sigmoid,
};
use crate::bundle::QuantileTftConfig;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Of every norm: PyTorch's default.
const EPS: f64 = 1e-5;
/// Layers of the decoder LSTM, whatever the encoder has.
const DECODER_LAYERS: usize = 2;

/// The oracle of the `quantile_tft` family.
pub(super) struct QuantileTftNet<'a> {
    config: &'a QuantileTftConfig,
    part: Part<'a>,
}

impl<'a> QuantileTftNet<'a> {
    pub(super) fn new(config: &'a QuantileTftConfig, part: Part<'a>) -> Self {
        Self { config, part }
    }

    pub(super) fn run(&self, window: &ScaledWindow) -> HeadValues {
        let mut notes = Notes::new();
        let encoded = self.encoded(&window.reals, &mut notes);
        let a = attention(
            &self.part.at("attention"),
            self.config.n_heads,
            &encoded,
            &encoded,
            &encoded,
        );
        let sums = a.rows.iter().zip(&encoded).map(|(a, e)| add(a, e));
        let r: Vec<Vec<f64>> = sums
            .map(|x| grn_input_gate(&self.part.at("grn1"), &x, EPS))
            .collect();
        keep(&mut notes, "attention", &a.weights);
        keep(&mut notes, "attended", &a.rows);
        keep(&mut notes, "grn1", &r);
        let fused = self.fused(&r, &mut notes);
        let deep = each(&fused, |x| grn_input_gate(&self.part.at("grn2"), x, EPS));
        keep(&mut notes, "grn2", &deep);
        let y = norm(&self.part.at("layer_norm"), &deep[deep.len() - 1], EPS);
        keep(&mut notes, "layer_norm", &y);
        HeadValues {
            every_step: vec![[self.head("classifier", &y), self.head("quantile_head", &y)].concat()],
            n_answered: 1,
            named: notes,
        }
    }

    fn encoded(&self, rows: &[Vec<f64>], notes: &mut Notes) -> Vec<Vec<f64>> {
        let step = |x: &Vec<f64>| {
            let selected = selection_gating(&self.part.at("vsn"), x, EPS);
            (selected.row, selected.weights)
        };
        let (selected, weights): (Vec<_>, Vec<_>) = rows.iter().map(step).unzip();
        let both = lstm_bidirectional(&self.part.at("encoder_lstm"), self.config.n_layers, &selected);
        let encoded = each(&both, |x| linear(&self.part.at("encoder_projection"), x));
        keep(notes, "vsn_weights", &weights);
        keep(notes, "vsn", &selected);
        keep(notes, "encoder_lstm", &both);
        keep(notes, "encoder_projection", &encoded);
        encoded
    }

    fn fused(&self, rows: &[Vec<f64>], notes: &mut Notes) -> Vec<Vec<f64>> {
        let sum = rows
            .iter()
            .skip(1)
            .fold(rows[0].clone(), |sum, row| add(&sum, row));
        let mean = map(&sum, |v| v / rows.len() as f64);
        let c = map(&linear(&self.part.at("static_encoder.0"), &mean), relu);
        let mut states = vec![LstmState::zero(self.config.n_hidden); DECODER_LAYERS];
        let steps = lstm_stack(&self.part.at("decoder_lstm"), rows, &mut states);
        let gates = each(&steps, |d| {
            let both = [d, &c].concat();
            map(&linear(&self.part.at("enrichment_gate.0"), &both), sigmoid)
        });
        let mixed = |(gate, d): (&Vec<f64>, &Vec<f64>)| {
            let units = gate.iter().zip(d).zip(&c);
            units.map(|((g, d), c)| g * d + (1.0 - g) * c).collect()
        };
        let fused: Vec<Vec<f64>> = gates.iter().zip(&steps).map(mixed).collect();
        keep(notes, "static_encoder", &c);
        keep(notes, "decoder_lstm", &steps);
        keep(notes, "enrichment_gate", &gates);
        keep(notes, "fused", &fused);
        fused
    }

    fn head(&self, name: &str, y: &[f64]) -> Vec<f64> {
        let hidden = map(&linear(&self.part.at(format!("{name}.0")), y), relu);
        linear(&self.part.at(format!("{name}.3")), &hidden)
    }
}
