//! An LSTM stack with a dense head on the last step: `x[T, B, F] -> LSTM x n_layers -> h_last -> head -> logits`.
//!
//! Tensors are named as `PyTorch` names them: `lstm.weight_ih_l{k} [4H, in]`, `lstm.weight_hh_l{k} [4H, H]`,
//! `lstm.bias_ih_l{k} [4H]`, `lstm.bias_hh_l{k} [4H]`, `head.{j}.weight [out, in]`, `head.{j}.bias [out]`, and start as `PyTorch`
//! starts them: LSTM `U(±1/√H)`, dense `U(±1/√in)`. Dropout sits between LSTM layers and between head layers, behind the
//! ReLU. [`LstmNet::bundle_tensors`] gives the single-bias form that inference uses.

use super::Net;
use super::blocks::Dropout;
use super::blocks::declare::{Declare, DenseInit};
use super::blocks::lstm::LstmStack;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use crate::tape::params::{Layout, Params};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tickfuse_core::bundle::{Activation, DenseConfig, LstmConfig};

/// Sizes and dropout of an [`LstmNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmNetConfig {
    /// Columns of a row.
    pub n_features: usize,
    /// Rows of a window.
    pub lookback: usize,
    /// LSTM width.
    pub n_hidden: usize,
    /// LSTM layers, 1 to 4.
    pub n_layers: usize,
    /// Widths of the dense layers; the last one is the number of outputs. ReLU follows all but the last.
    pub head: Vec<usize>,
    /// Dropout probability between layers.
    #[serde(default)]
    pub dropout: f64,
}

impl LstmNetConfig {
    /// Checks ranges.
    ///
    /// # Errors
    /// The first key out of range, with what was expected and found.
    pub fn validate(&self) -> Result<(), String> {
        let sizes = [
            ("n_features", self.n_features, 8192),
            ("lookback", self.lookback, 65_536),
            ("n_hidden", self.n_hidden, 8192),
            ("n_layers", self.n_layers, 4),
            ("head length", self.head.len(), 4),
        ];
        let widths = self.head.iter().map(|&w| ("head", w, 8192));
        for (key, found, limit) in sizes.into_iter().chain(widths) {
            if !(1..=limit).contains(&found) {
                return Err(format!("{key}: expected 1 to {limit}, found {found}"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("dropout: expected 0 <= p < 1, found {}", self.dropout));
        }
        Ok(())
    }

    /// The network part of a bundle's schema.
    #[must_use]
    pub fn schema(&self) -> LstmConfig {
        let last = self.head.len().saturating_sub(1);
        let dense = |(j, &n_out): (usize, &usize)| DenseConfig {
            n_out,
            activation: if j < last {
                Activation::Relu
            } else {
                Activation::None
            },
        };
        LstmConfig {
            lookback: self.lookback,
            n_hidden: self.n_hidden,
            n_layers: self.n_layers,
            head: self.head.iter().enumerate().map(dense).collect(),
        }
    }
}

/// One tensor by value.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedTensor {
    /// Name in the bundle.
    pub name: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

/// The net; its parameters live in [`Params`].
#[derive(Debug, Clone)]
pub struct LstmNet {
    config: LstmNetConfig,
    layout: Arc<Layout>,
    stack: LstmStack,
    /// Each layer with the dropout before it.
    head: Vec<(Option<Dropout>, DenseParams)>,
}

impl LstmNet {
    /// Declares the parameters.
    ///
    /// # Errors
    /// When the configuration is out of range.
    pub fn new(config: LstmNetConfig) -> Result<Self, String> {
        config.validate()?;
        let mut declare = Declare::new(config.dropout)?;
        let (n_hidden, n_layers) = (config.n_hidden, config.n_layers);
        let stack = LstmStack::new(&mut declare, "lstm", config.n_features, n_hidden, n_layers);
        let mut n_in = n_hidden;
        let mut head = Vec::new();
        for (j, &n_out) in config.head.iter().enumerate() {
            let dropout = (j > 0).then(|| declare.dropout());
            let layer = declare.dense(&format!("head.{j}"), n_in, n_out, DenseInit::Torch);
            head.push((dropout, layer));
            n_in = n_out;
        }
        Ok(Self {
            config,
            layout: declare.finish(),
            stack,
            head,
        })
    }

    /// Sizes and dropout.
    #[must_use]
    pub fn config(&self) -> &LstmNetConfig {
        &self.config
    }

    /// The tensors of a bundle in order: as the parameters, with `lstm.bias_l{k}` for the sum of the two biases of a layer.
    ///
    /// # Panics
    /// When `params` belongs to another net.
    #[must_use]
    pub fn bundle_tensors(&self, params: &Params<f32>) -> Vec<OwnedTensor> {
        assert_eq!(params.layout(), &self.layout, "parameters of another net");
        let mut out: Vec<OwnedTensor> = Vec::new();
        for tensor in params.tensors() {
            if tensor.name.starts_with("lstm.bias_hh_l") {
                let sum = out.last_mut().expect("declared behind bias_ih");
                sum.data.iter_mut().zip(tensor.data).for_each(|(a, b)| *a += b);
                continue;
            }
            out.push(OwnedTensor {
                name: tensor.name.replace("lstm.bias_ih_l", "lstm.bias_l"),
                shape: tensor.shape.to_vec(),
                data: tensor.data.to_vec(),
            });
        }
        out
    }
}

impl Net for LstmNet {
    fn n_rows(&self) -> usize {
        self.config.lookback
    }

    fn n_features(&self) -> usize {
        self.config.n_features
    }

    fn n_outputs(&self) -> usize {
        self.config.head.last().copied().unwrap_or(0)
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn description(&self) -> serde_json::Value {
        serde_json::json!({ "family": "lstm", "config": self.config })
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let y = self.stack.forward(engine, x, &[], None);
        let mut y = engine.take_last(y);
        for &(dropout, layer) in &self.head {
            if let Some(dropout) = dropout {
                y = engine.relu(y);
                y = dropout.apply(engine, y);
            }
            y = engine.linear(y, layer);
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::engine::Graph;
    use crate::tape::params::Gradients;
    use crate::tape::{Mode, Tape};

    fn config() -> LstmNetConfig {
        LstmNetConfig {
            n_features: 3,
            lookback: 4,
            n_hidden: 5,
            n_layers: 2,
            head: vec![6, 1],
            dropout: 0.1,
        }
    }

    #[test]
    fn names_and_shapes_are_those_of_pytorch() {
        let net = LstmNet::new(config()).unwrap();
        let found: Vec<(&str, &[usize])> = net
            .layout()
            .specs()
            .iter()
            .map(|s| (s.name.as_str(), &s.shape[..]))
            .collect();
        let expected: [(&str, &[usize]); 12] = [
            ("lstm.weight_ih_l0", &[20, 3]),
            ("lstm.weight_hh_l0", &[20, 5]),
            ("lstm.bias_ih_l0", &[20]),
            ("lstm.bias_hh_l0", &[20]),
            ("lstm.weight_ih_l1", &[20, 5]),
            ("lstm.weight_hh_l1", &[20, 5]),
            ("lstm.bias_ih_l1", &[20]),
            ("lstm.bias_hh_l1", &[20]),
            ("head.0.weight", &[6, 5]),
            ("head.0.bias", &[6]),
            ("head.1.weight", &[1, 6]),
            ("head.1.bias", &[1]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn published_sizes_have_their_published_parameter_counts() {
        let count = |n_hidden, n_layers, head: &[usize]| {
            let config = LstmNetConfig {
                n_features: 5,
                lookback: 60,
                n_hidden,
                n_layers,
                head: head.to_vec(),
                dropout: 0.0,
            };
            LstmNet::new(config).unwrap().layout().n_values()
        };
        assert_eq!(count(64, 1, &[1]), 18_241);
        assert_eq!(count(128, 2, &[64, 1]), 209_537);
    }

    #[test]
    fn a_bundle_carries_one_bias_per_layer_the_sum() {
        let net = LstmNet::new(config()).unwrap();
        let params = Params::<f32>::init(net.layout(), 3);
        let tensors = net.bundle_tensors(&params);
        assert_eq!(tensors.len(), 10);
        assert_eq!(tensors[5].name, "lstm.bias_l1");
        let (a, b) = (
            params.by_name("lstm.bias_ih_l1").unwrap(),
            params.by_name("lstm.bias_hh_l1").unwrap(),
        );
        let sums: Vec<f32> = a.data.iter().zip(b.data).map(|(a, b)| a + b).collect();
        assert_eq!(tensors[5].data, sums);
    }

    #[test]
    fn the_schema_has_relu_between_and_nothing_behind() {
        let schema = config().schema();
        let activations: Vec<Activation> = schema.head.iter().map(|d| d.activation).collect();
        assert_eq!(activations, [Activation::Relu, Activation::None]);
    }

    #[test]
    fn a_training_step_allocates_no_buffer_after_the_first_ones() {
        let net = LstmNet::new(config()).unwrap();
        let params = Params::<f32>::init(net.layout(), 3);
        let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(net.layout()));
        let mut counts = Vec::new();
        for batch in [8, 8, 8, 5, 8] {
            tape.begin(Mode {
                training: true,
                ..Mode::default()
            });
            let x = tape.input(&[4, batch, 3], &vec![0.5; 4 * batch * 3]);
            let mut graph = Graph {
                tape: &mut tape,
                params: &params,
            };
            let z = net.forward(&mut graph, x);
            let loss = tape.bce_with_logits(z, &vec![1.0; batch], 1.0, batch);
            tape.backward(loss, &params, &mut grads);
            counts.push(tape.n_allocated());
        }
        assert!(counts[0] > 10, "{counts:?}");
        assert_eq!(counts[1..], [counts[1]; 4], "{counts:?}");
    }

    #[test]
    fn sizes_out_of_range_are_named() {
        let wrong = LstmNetConfig {
            n_layers: 5,
            ..config()
        };
        assert_eq!(
            LstmNet::new(wrong).unwrap_err(),
            "n_layers: expected 1 to 4, found 5"
        );
        let wrong = LstmNetConfig {
            dropout: 1.0,
            ..config()
        };
        assert!(LstmNet::new(wrong).unwrap_err().contains("dropout"));
    }
}
