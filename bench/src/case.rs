//! The shapes that are measured, as schemas with random weights.

use crate::noise::Noise;
use tickfuse_core::bundle::{
    Activation, Arrival, DenseConfig, FORMAT, Input, LstmConfig, Net, Output, OutputKind, Precision, Scaler,
    Schema,
};
use tickfuse_core::nets::tensor_shapes;
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// Sizes of one net of the `lstm` family with one output column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Name in results.
    pub name: &'static str,
    /// Rows of a window.
    pub lookback: usize,
    /// Columns of a window.
    pub n_features: usize,
    /// LSTM layers.
    pub n_layers: usize,
    /// LSTM width.
    pub n_hidden: usize,
    /// Width of a ReLU layer before the output layer, if there is one.
    pub n_dense: Option<usize>,
    /// What the output is.
    pub kind: OutputKind,
}

impl Case {
    /// TinyTFT: 60x5, LSTM 1x64, sigmoid.
    pub const M1: Self = Self {
        name: "M1",
        lookback: 60,
        n_features: 5,
        n_layers: 1,
        n_hidden: 64,
        n_dense: None,
        kind: OutputKind::Sigmoid,
    };
    /// SimpleTFT: 64x5, LSTM 2x128, dense 64, sigmoid.
    pub const M2: Self = Self {
        name: "M2",
        lookback: 64,
        n_features: 5,
        n_layers: 2,
        n_hidden: 128,
        n_dense: Some(64),
        kind: OutputKind::Sigmoid,
    };
    /// LSTM_A of STAC-ML Markets (Inference): 50x100, LSTM 2x100.
    pub const LSTM_A: Self = Self {
        name: "LSTM_A",
        lookback: 50,
        n_features: 100,
        n_layers: 2,
        n_hidden: 100,
        n_dense: None,
        kind: OutputKind::Linear,
    };
    /// LSTM_B of the same: 100x250, LSTM 3x200.
    pub const LSTM_B: Self = Self {
        name: "LSTM_B",
        lookback: 100,
        n_features: 250,
        n_layers: 3,
        n_hidden: 200,
        n_dense: None,
        kind: OutputKind::Linear,
    };
    /// The nets with a name of their own.
    pub const ALL: [Self; 4] = [Self::M1, Self::M2, Self::LSTM_A, Self::LSTM_B];

    /// One layer over 64 rows of one feature: almost nothing but the recurrence.
    #[must_use]
    pub const fn recurrence(n_hidden: usize) -> Self {
        Self {
            name: "recurrence",
            lookback: 64,
            n_features: 1,
            n_layers: 1,
            n_hidden,
            n_dense: None,
            kind: OutputKind::Linear,
        }
    }

    /// The schema in one precision, inputs unscaled.
    #[must_use]
    pub fn schema(&self, precision: Precision) -> Schema {
        let dense = |n_out, activation| DenseConfig { n_out, activation };
        let hidden = self.n_dense.map(|n_out| dense(n_out, Activation::Relu));
        let input = |i: usize| Input::real(format!("x{i}"), Scaler::IDENTITY);
        Schema {
            format: FORMAT,
            name: self.name.into(),
            net: Net::Lstm(LstmConfig {
                lookback: self.lookback,
                n_hidden: self.n_hidden,
                n_layers: self.n_layers,
                head: hidden.into_iter().chain([dense(1, Activation::None)]).collect(),
            }),
            precision,
            inputs: (0..self.n_features).map(input).collect(),
            bar_interval_ns: None,
            outputs: vec![Output::new("y", self.kind, vec!["y".into()], "one")],
            target: None,
            arrival: Arrival::PreRolled,
            normalizers: Vec::new(),
            tables: None,
            golden_tolerance: 0.02,
            provenance: Default::default(),
        }
    }

    /// Weights in the range PyTorch starts with: `1 / sqrt(H)` for an LSTM (whose summed biases reach twice that),
    /// `1 / sqrt(n_in)` for a dense layer.
    #[must_use]
    pub fn tensors(&self, schema: &Schema) -> PlainTensors {
        let mut noise = Noise::new(0x7f);
        let mut n_in = self.n_hidden;
        let tensor = |(name, shape): (String, Vec<usize>)| {
            if name.starts_with("head.") && shape.len() == 2 {
                n_in = shape[1];
            }
            let bound = (n_in as f32).sqrt().recip();
            let n = shape.iter().product();
            let mut data = noise.vector(n, bound);
            if name.starts_with("lstm.bias") {
                data.iter_mut().for_each(|v| *v += noise.next(bound));
            }
            (name, PlainTensor { shape, data })
        };
        tensor_shapes(schema).into_iter().map(tensor).collect()
    }

    /// `n` windows of raw inputs, `[n, lookback, n_features]`.
    #[must_use]
    pub fn windows(&self, n: usize) -> Vec<f32> {
        Noise::new(0x3d).vector(n * self.lookback * self.n_features, 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_range_and_their_shapes() {
        let schema = Case::M2.schema(Precision::F32);
        let tensors = Case::M2.tensors(&schema);
        let reach = |name: &str| tensors[name].data.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let lstm = 128.0_f32.sqrt().recip();
        assert!((0.9 * lstm..=lstm).contains(&reach("lstm.weight_hh_l1")));
        assert!((1.1 * lstm..=2.0 * lstm).contains(&reach("lstm.bias_l0")));
        assert!((0.1..=0.125).contains(&reach("head.1.weight")));
        assert!(reach("head.1.bias") <= 0.125);
        assert_eq!(tensors["head.0.weight"].shape, [64, 128]);
    }

    #[test]
    fn every_schema_is_valid_in_both_precisions() {
        for case in Case::ALL.into_iter().chain([Case::recurrence(17)]) {
            for precision in [Precision::F32, Precision::Bf16] {
                case.schema(precision).validate().unwrap();
            }
        }
    }
}
