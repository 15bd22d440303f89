//! The LSTM stack from plain tensors: what the packed net must equal.

use super::{HeadValues, Notes, Oracle, Part, PlainTensors, ScaledWindow, elu, linear, lstm, map, relu};
use crate::bundle::{Activation, LstmConfig, Net, Schema};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// The oracle of the `lstm` family.
#[derive(Debug)]
pub struct LstmNet<'a>(Oracle<'a>);

impl<'a> LstmNet<'a> {
    /// Takes the schema's sizes on trust; panics in use if a tensor is missing.
    ///
    /// # Panics
    /// When the schema describes another family.
    #[must_use]
    pub fn new(schema: &'a Schema, tensors: &PlainTensors) -> Self {
        assert!(matches!(schema.net, Net::Lstm(_)), "expected the family `lstm`");
        Self(Oracle::new(schema, tensors))
    }

    /// One window of raw inputs `[lookback, n_features]` to all output columns.
    #[must_use]
    pub fn run(&self, window: &[f64]) -> Vec<f64> {
        self.0.run(window)
    }
}

/// `lstm.weight_ih_l{k}`, `lstm.weight_hh_l{k}`, `lstm.bias_l{k}` (one bias per layer), then `head.{j}`.
pub(super) fn run(config: &LstmConfig, part: &Part<'_>, window: &ScaledWindow) -> HeadValues {
    let mut rows = window.reals.clone();
    let stack = part.at("lstm");
    for l in 0..config.n_layers {
        let values = |name: &str| stack.values(&format!("{name}_l{l}"));
        rows = lstm(values("weight_ih"), values("weight_hh"), values("bias"), &rows);
    }
    let mut x = rows.pop().unwrap_or_default();
    for (j, layer) in config.head.iter().enumerate() {
        x = linear(&part.at("head").at(j), &x);
        x = match layer.activation {
            Activation::None => x,
            Activation::Relu => map(&x, relu),
            Activation::Elu => map(&x, elu),
        };
    }
    HeadValues {
        every_step: vec![x],
        n_answered: 1,
        named: Notes::new(),
    }
}
