//! The oracle of a whole model: raw window in, outputs in their units out, by the schema and its plain tensors.

use super::notes::keep;
use super::quantile_tft::QuantileTftNet;
use super::tft::TftNet;
use super::xtrend::XtrendNet;
use super::xtrend_shared::SharedXtrendNet;
use super::{Context, Intake, Notes, PlainTensors, ScaledWindow, Weights, finish, net};
use crate::bundle::{Net, Schema, XtrendForm};
use alloc::vec::Vec;

/// What a net answers before its output columns get their meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadValues {
    /// `[steps][columns]`: every step that the net computes an answer for.
    pub every_step: Vec<Vec<f64>>,
    /// How many of them, from the last one back, are the answer in serving.
    pub n_answered: usize,
    /// Outputs of blocks, weights of selections and attention.
    pub named: Notes,
}

/// A net that reads scaled rows.
#[derive(Debug)]
pub struct NetOracle<'a> {
    schema: &'a Schema,
    weights: Weights,
    contexts: Vec<Context>,
}

impl<'a> NetOracle<'a> {
    /// Takes the schema's sizes on trust; panics in use if a tensor is missing.
    #[must_use]
    pub fn new(schema: &'a Schema, tensors: &PlainTensors) -> Self {
        let weights = Weights::from_plain(tensors);
        let contexts = match schema.net {
            Net::Xtrend(_) => Intake::new(schema).contexts(&weights),
            _ => Vec::new(),
        };
        Self {
            schema,
            weights,
            contexts,
        }
    }

    /// One window. Its columns are the schema's: reals and categoricals apart, each in order.
    #[must_use]
    pub fn run(&self, window: &ScaledWindow) -> HeadValues {
        let (schema, part) = (self.schema, self.weights.root());
        match &schema.net {
            Net::Lstm(config) => net::run(config, &part, window),
            Net::Tft(config) => TftNet::new(schema, config, part).run(window),
            Net::QuantileTft(config) => QuantileTftNet::new(config, part).run(window),
            Net::Xtrend(config) => match config.form {
                XtrendForm::Shared => SharedXtrendNet::new(config, part, &self.contexts).run(window),
                XtrendForm::Separate => XtrendNet::new(config, part, &self.contexts).run(window),
            },
        }
    }
}

/// An answer with what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// `[steps, columns]` as from [`Oracle::run_lengths`].
    pub outputs: Vec<f64>,
    /// Outputs of blocks, weights of selections and attention; `every_step [steps, columns]` are the finished answers of
    /// all steps that the net computes, of which serving gives the last ones.
    pub named: Notes,
}

/// A model of any family.
#[derive(Debug)]
pub struct Oracle<'a> {
    schema: &'a Schema,
    net: NetOracle<'a>,
}

impl<'a> Oracle<'a> {
    /// Takes the schema's sizes on trust; panics in use if a tensor is missing.
    #[must_use]
    pub fn new(schema: &'a Schema, tensors: &PlainTensors) -> Self {
        Self {
            schema,
            net: NetOracle::new(schema, tensors),
        }
    }

    /// A whole window of raw inputs `[n_rows, n_features]` to `[n_steps, n_columns]`.
    ///
    /// # Panics
    /// As for [`Intake::read`].
    #[must_use]
    pub fn run(&self, window: &[f64]) -> Vec<f64> {
        self.run_lengths(window, self.schema.lookback(), self.schema.net.n_ahead())
    }

    /// A window of `n_encoder` rows of the past and `n_decoder` of the future to `[n_decoder or 1, n_columns]`.
    ///
    /// # Panics
    /// As for [`Intake::read`].
    #[must_use]
    pub fn run_lengths(&self, window: &[f64], n_encoder: usize, n_decoder: usize) -> Vec<f64> {
        self.inspect(window, n_encoder, n_decoder).outputs
    }

    /// As [`Oracle::run_lengths`], with everything in between.
    ///
    /// # Panics
    /// As for [`Intake::read`].
    #[must_use]
    pub fn inspect(&self, window: &[f64], n_encoder: usize, n_decoder: usize) -> Inspected {
        let (scaled, normalizers) = Intake::new(self.schema).read(window, n_encoder, n_decoder);
        let HeadValues {
            every_step,
            n_answered,
            mut named,
        } = self.net.run(&scaled);
        let finished = |head: &Vec<f64>| finish(self.schema, &normalizers, head);
        let every_step: Vec<Vec<f64>> = every_step.iter().map(finished).collect();
        keep(&mut named, "every_step", &every_step);
        Inspected {
            outputs: every_step[every_step.len() - n_answered..].concat(),
            named,
        }
    }
}
