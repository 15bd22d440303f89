//! The shapes that are measured, as schemas with random weights.

use crate::noise::Noise;
use tickfuse_core::bundle::{
    Activation, Arrival, Categories, ContextMode, DenseConfig, FORMAT, Input, LstmConfig, Net, Output,
    OutputKind, Precision, Scaler, Schema, TftConfig, TftRules, Variable, XtrendConfig, XtrendForm,
    XtrendHead,
};
use tickfuse_core::nets::tensor_shapes;
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// One net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Name in results.
    pub name: &'static str,
    /// Rows of a window.
    pub lookback: usize,
    /// Real columns of a window.
    pub n_features: usize,
    /// Width of its layers.
    pub n_hidden: usize,
    /// What else there is to say about it.
    pub family: Family,
}

/// Family of a net, and its sizes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A stack of LSTM layers with one output column.
    Lstm {
        /// LSTM layers.
        n_layers: usize,
        /// Width of a ReLU layer before the output layer, if there is one.
        n_dense: Option<usize>,
        /// What the output is.
        kind: OutputKind,
    },
    /// A TFT of the paper's form without static or known columns: 4 heads, 3 classes, 3 quantiles.
    Tft,
    /// A shared-encoder X-Trend: 4 heads, 16 contexts of as many rows as a window, 20 entities, Gaussian head.
    Xtrend,
}

const fn lstm(
    name: &'static str,
    [lookback, n_features, n_layers, n_hidden]: [usize; 4],
    n_dense: Option<usize>,
    kind: OutputKind,
) -> Case {
    let family = Family::Lstm {
        n_layers,
        n_dense,
        kind,
    };
    Case {
        name,
        lookback,
        n_features,
        n_hidden,
        family,
    }
}

impl Case {
    /// TinyTFT: 60x5, LSTM 1x64, sigmoid.
    pub const M1: Self = lstm("M1", [60, 5, 1, 64], None, OutputKind::Sigmoid);
    /// SimpleTFT: 64x5, LSTM 2x128, dense 64, sigmoid.
    pub const M2: Self = lstm("M2", [64, 5, 2, 128], Some(64), OutputKind::Sigmoid);
    /// LSTM_A of STAC-ML Markets (Inference): 50x100, LSTM 2x100.
    pub const LSTM_A: Self = lstm("LSTM_A", [50, 100, 2, 100], None, OutputKind::Linear);
    /// LSTM_B of the same: 100x250, LSTM 3x200.
    pub const LSTM_B: Self = lstm("LSTM_B", [100, 250, 3, 200], None, OutputKind::Linear);
    /// A full TFT: 120x14, H 128, 4 heads.
    pub const M3: Self = Self {
        name: "M3",
        lookback: 120,
        n_features: 14,
        n_hidden: 128,
        family: Family::Tft,
    };
    /// An X-Trend: 63x72 and the entity, H 64, 16 contexts.
    pub const M4: Self = Self {
        name: "M4",
        lookback: 63,
        n_features: 72,
        n_hidden: 64,
        family: Family::Xtrend,
    };
    /// The nets with a name of their own.
    pub const ALL: [Self; 6] = [Self::M1, Self::M2, Self::M3, Self::M4, Self::LSTM_A, Self::LSTM_B];

    /// One layer over 64 rows of one feature: almost nothing but the recurrence.
    #[must_use]
    pub const fn recurrence(n_hidden: usize) -> Self {
        lstm("recurrence", [64, 1, 1, n_hidden], None, OutputKind::Linear)
    }

    /// The schema in one precision, inputs unscaled.
    #[must_use]
    pub fn schema(&self, precision: Precision) -> Schema {
        let input = |i: usize| Input::real(format!("x{i}"), Scaler::IDENTITY);
        let reals = (0..self.n_features).map(input);
        let entity = (self.family == Family::Xtrend).then(entity);
        Schema {
            format: FORMAT,
            name: self.name.into(),
            net: self.net(),
            precision,
            inputs: reals.chain(entity).collect(),
            bar_interval_ns: None,
            outputs: self.outputs(),
            target: None,
            arrival: Arrival::PreRolled,
            normalizers: Vec::new(),
            tables: None,
            golden_tolerance: 0.02,
            provenance: Default::default(),
        }
    }

    fn net(&self) -> Net {
        let (lookback, n_hidden) = (self.lookback, self.n_hidden);
        match self.family {
            Family::Lstm {
                n_layers, n_dense, ..
            } => {
                let dense = |n_out, activation| DenseConfig { n_out, activation };
                let hidden = n_dense.map(|n_out| dense(n_out, Activation::Relu));
                Net::Lstm(LstmConfig {
                    lookback,
                    n_hidden,
                    n_layers,
                    head: hidden.into_iter().chain([dense(1, Activation::None)]).collect(),
                })
            }
            Family::Tft => Net::Tft(TftConfig {
                lookback,
                n_ahead: 0,
                n_hidden,
                n_heads: 4,
                n_layers: 1,
                static_variables: Vec::new(),
                encoder_variables: (0..self.n_features).map(|i| variable(i, n_hidden)).collect(),
                decoder_variables: Vec::new(),
                rules: TftRules::GOOGLE,
                n_outputs: 6,
            }),
            Family::Xtrend => Net::Xtrend(XtrendConfig {
                lookback,
                context_lookback: lookback,
                n_contexts: 16,
                n_hidden,
                n_heads: 4,
                n_layers: 1,
                n_entities: N_ENTITIES,
                form: XtrendForm::Shared,
                head: XtrendHead::Gaussian,
                n_quantiles: 0,
                context_mode: ContextMode::FinalState,
                zero_shot: false,
            }),
        }
    }

    fn outputs(&self) -> Vec<Output> {
        let group = |name: &str, kind, labels: &[&str]| {
            Output::new(name, kind, labels.iter().map(|l| (*l).into()).collect(), "one")
        };
        match self.family {
            Family::Lstm { kind, .. } => vec![group("y", kind, &["y"])],
            Family::Tft => vec![
                group("class", OutputKind::Softmax, &["short", "flat", "long"]),
                group("values", OutputKind::Linear, &["low", "middle", "high"]),
            ],
            Family::Xtrend => vec![
                group("position", OutputKind::Linear, &["position"]),
                group("return", OutputKind::GaussianLogSigma, &["mean", "deviation"]),
            ],
        }
    }

    /// Weights in the range PyTorch starts with: `1 / sqrt(H)` for an LSTM (whose summed biases reach twice that),
    /// `1 / sqrt(n_in)` for a dense layer.
    #[must_use]
    pub fn tensors(&self, schema: &Schema) -> PlainTensors {
        let mut noise = Noise::new(0x7f);
        let mut n_in = self.n_hidden;
        let tensor = |(name, shape): (String, Vec<usize>)| {
            if self.family != Family::Tft && name == "contexts.entity" {
                let data = (0..shape.iter().product()).map(|i| (i % N_ENTITIES) as f32);
                let data = data.collect();
                return (name, PlainTensor { shape, data });
            }
            let own = matches!(self.family, Family::Lstm { .. });
            if !own || name.starts_with("head.") && shape.len() == 2 {
                n_in = shape.last().copied().unwrap_or(n_in).max(1);
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

    /// `n` windows of raw inputs, `[n, lookback, columns]`.
    #[must_use]
    pub fn windows(&self, n: usize) -> Vec<f32> {
        let reals = Noise::new(0x3d).vector(n * self.lookback * self.n_features, 2.0);
        if self.family != Family::Xtrend {
            return reals;
        }
        let row = |(i, row): (usize, &[f32])| {
            let entity = i / self.lookback % N_ENTITIES;
            row.iter().copied().chain([entity as f32]).collect::<Vec<_>>()
        };
        reals
            .chunks_exact(self.n_features)
            .enumerate()
            .flat_map(row)
            .collect()
    }
}

const N_ENTITIES: usize = 20;

fn entity() -> Input {
    let labels = (0..N_ENTITIES).map(|i| format!("e{i}")).collect();
    Input::categorical(
        "entity",
        Categories {
            labels,
            unknown: None,
        },
    )
}

fn variable(i: usize, n_hidden: usize) -> Variable {
    Variable {
        n_categories: None,
        columns: vec![format!("x{i}")],
        width: n_hidden,
        name: format!("x{i}"),
        padding: false,
        table: None,
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
    fn every_schema_is_valid_in_every_precision() {
        for case in Case::ALL.into_iter().chain([Case::recurrence(17)]) {
            for precision in Precision::ALL {
                case.schema(precision).validate().unwrap();
            }
        }
    }
}
