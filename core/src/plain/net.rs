//! The LSTM stack from plain tensors: what the packed net must equal.

use super::{dense, lstm, relu, sigmoid, softmax};
use crate::bundle::{Activation, LstmConfig, Net, OutputKind, Schema};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// One tensor in PyTorch layout.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainTensor {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

/// Tensors by their plain name: `lstm.weight_ih_l0 [4H, n_in]`, `lstm.weight_hh_l0 [4H, H]`, `lstm.bias_l0 [4H]`
/// (both PyTorch biases summed), `head.0.weight [n_out, n_in]`, `head.0.bias [n_out]`, counting up.
pub type PlainTensors = BTreeMap<String, PlainTensor>;

/// The oracle of the `lstm` family.
#[derive(Debug)]
pub struct LstmNet<'a> {
    schema: &'a Schema,
    config: &'a LstmConfig,
    tensors: &'a PlainTensors,
}

impl<'a> LstmNet<'a> {
    /// Takes the schema's sizes on trust; panics in use if a tensor is missing.
    ///
    /// # Panics
    /// When the schema describes another family.
    #[must_use]
    pub fn new(schema: &'a Schema, tensors: &'a PlainTensors) -> Self {
        let Net::Lstm(config) = &schema.net else {
            panic!("expected the family `lstm`");
        };
        Self {
            schema,
            config,
            tensors,
        }
    }

    fn tensor(&self, name: &str) -> Vec<f64> {
        self.tensors[name].data.iter().map(|v| f64::from(*v)).collect()
    }

    /// One window of raw inputs `[lookback, n_features]` to all output columns.
    #[must_use]
    pub fn run(&self, window: &[f64]) -> Vec<f64> {
        let mut rows: Vec<Vec<f64>> = window
            .chunks_exact(self.schema.n_features())
            .map(|row| self.scale(row))
            .collect();
        for l in 0..self.config.n_layers {
            let w = self.tensor(&format!("lstm.weight_ih_l{l}"));
            let r = self.tensor(&format!("lstm.weight_hh_l{l}"));
            rows = lstm(&w, &r, &self.tensor(&format!("lstm.bias_l{l}")), &rows);
        }
        self.outputs(&self.head(rows.pop().unwrap_or_default()))
    }

    fn scale(&self, row: &[f64]) -> Vec<f64> {
        let scaled = |(x, input): (&f64, &crate::bundle::Input)| {
            let s = input.scaler.unwrap_or(crate::bundle::Scaler::IDENTITY);
            (x - s.center) / s.scale
        };
        row.iter().zip(&self.schema.inputs).map(scaled).collect()
    }

    fn head(&self, mut x: Vec<f64>) -> Vec<f64> {
        for (j, layer) in self.config.head.iter().enumerate() {
            let w = self.tensor(&format!("head.{j}.weight"));
            x = dense(&w, &self.tensor(&format!("head.{j}.bias")), &x);
            if layer.activation == Activation::Relu {
                x = x.into_iter().map(relu).collect();
            }
        }
        x
    }

    fn outputs(&self, z: &[f64]) -> Vec<f64> {
        let mut rest = z;
        let mut out = Vec::new();
        for group in &self.schema.outputs {
            let (own, others) = rest.split_at(group.labels.len());
            rest = others;
            match group.kind {
                OutputKind::Linear => out.extend_from_slice(own),
                OutputKind::Sigmoid => out.extend(own.iter().map(|v| sigmoid(*v))),
                OutputKind::Softmax => out.extend(softmax(own)),
                kind => panic!("not an output of this family: {kind:?}"),
            }
        }
        out
    }
}
