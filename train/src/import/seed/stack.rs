//! What the two LSTM seeds have in common: sizes read from the tensors, one column that is the logit of a rise.

use super::{SeedError, valid_schema};
use crate::import::state_dict::StateDict;
use crate::import::torch::config::{HeadLayer, LstmFamily, LstmFileConfig};
use crate::import::torch::lstm;
use std::path::Path;
use tickfuse_core::bundle::{Activation, Input, Output, OutputKind, Precision, Schema, Target};
use tickfuse_core::plain::PlainTensors;

/// What a seed says of its stack.
pub(super) struct Stack<'a> {
    pub(super) seed: &'a str,
    pub(super) path: &'a Path,
    pub(super) lookback: usize,
    /// Prefixes of the dense layers.
    pub(super) head: &'a [(&'a str, Activation)],
    pub(super) inputs: Vec<Input>,
    pub(super) target: Target,
}

impl Stack<'_> {
    /// Takes all tensors; layers and widths are theirs.
    pub(super) fn read(
        self,
        dict: StateDict,
        precision: Precision,
    ) -> Result<(Schema, PlainTensors), SeedError> {
        let path = self.path;
        let n_layers = (0..)
            .take_while(|l| dict.contains(&format!("lstm.weight_hh_l{l}")))
            .count();
        let n_hidden = dict
            .size("lstm.weight_hh_l0", 2, 1)
            .map_err(SeedError::tensor(path))?;
        let layer = |(prefix, activation): &(&str, Activation)| HeadLayer {
            prefix: (*prefix).into(),
            activation: *activation,
        };
        let config = LstmFileConfig {
            name: format!("{}_tft", self.seed),
            family: LstmFamily::Lstm,
            lookback: self.lookback,
            n_hidden,
            n_layers,
            lstm_prefix: "lstm".into(),
            head: self.head.iter().map(layer).collect(),
            inputs: self.inputs,
            outputs: vec![Output::new(
                "up",
                OutputKind::Sigmoid,
                vec!["up".into()],
                "probability",
            )],
            target: Some(self.target),
            bar_interval_ns: None,
        };
        let (net, tensors) = lstm::convert(&config, dict).map_err(|source| SeedError::Tensors {
            path: path.into(),
            source,
        })?;
        Ok((valid_schema(path, &net, precision, self.seed)?, tensors))
    }
}
