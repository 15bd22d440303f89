//! A net of any family, chosen by a configuration file.

use super::Net;
use super::lstm::{LstmNet, OwnedTensor};
use super::quantile_tft::QuantileTftNet;
use super::tft::TftNet;
use super::xtrend::XtrendNet;
use crate::tape::engine::Engine;
use crate::tape::params::{Layout, Params};
use std::sync::Arc;

/// One of the families.
#[derive(Debug, Clone)]
pub enum AnyNet {
    /// A stack of LSTM layers.
    Lstm(LstmNet),
    /// The Temporal Fusion Transformer with a decoder: every future step is answered.
    Tft(TftNet),
    /// The Temporal Fusion Transformer without a decoder, answering at the last row.
    TftLast(TftNet),
    /// Seed 003's network.
    QuantileTft(QuantileTftNet),
    /// X-Trend.
    Xtrend(XtrendNet),
}

macro_rules! each {
    ($self:ident, $net:ident => $body:expr) => {
        match $self {
            Self::Lstm($net) => $body,
            Self::Tft($net) | Self::TftLast($net) => $body,
            Self::QuantileTft($net) => $body,
            Self::Xtrend($net) => $body,
        }
    };
}

impl AnyNet {
    /// A TFT that answers as it serves: every future step, or the last row.
    #[must_use]
    pub fn tft(net: TftNet) -> Self {
        match net.config().n_ahead {
            0 => Self::TftLast(net),
            _ => Self::Tft(net),
        }
    }

    /// The tensors of a bundle: named as the core names them, f32.
    ///
    /// # Panics
    /// When `params` belongs to another net.
    #[must_use]
    pub fn bundle_tensors(&self, params: &Params<f32>) -> Vec<OwnedTensor> {
        if let Self::Lstm(net) = self {
            return net.bundle_tensors(params);
        }
        assert_eq!(params.layout(), self.layout(), "parameters of another net");
        let owned = |t: crate::tape::params::NamedTensor<'_, f32>| OwnedTensor {
            name: t.name.to_owned(),
            shape: t.shape.to_vec(),
            data: t.data.to_vec(),
        };
        params.tensors().map(owned).collect()
    }
}

impl Net for AnyNet {
    fn n_rows(&self) -> usize {
        each!(self, net => net.n_rows())
    }

    fn n_features(&self) -> usize {
        each!(self, net => net.n_features())
    }

    fn n_outputs(&self) -> usize {
        each!(self, net => net.n_outputs())
    }

    fn n_answers(&self) -> usize {
        match self {
            Self::TftLast(_) => 1,
            _ => each!(self, net => net.n_answers()),
        }
    }

    fn layout(&self) -> &Arc<Layout> {
        each!(self, net => net.layout())
    }

    fn description(&self) -> serde_json::Value {
        each!(self, net => net.description())
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let answers = each!(self, net => net.forward(engine, x));
        match self {
            Self::TftLast(_) => engine.take_last(answers),
            _ => answers,
        }
    }
}
