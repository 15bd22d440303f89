//! Gated residual networks: that of the TFT with its kinds of skip, and X-Trend's production relative with one hidden layer.
//!
//! Start values of the TFT's as in pytorch-forecasting: `fc1`, `fc2` Kaiming-normal, `context` and the gate Xavier-uniform,
//! biases 0; a linear skip Xavier-uniform as in Keras. The other's as `PyTorch` starts a dense layer.

use super::Dropout;
use super::declare::{Declare, DenseInit};
use crate::ops::grn::{GrnInputs, GrnParams};
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use crate::tape::params::{Init, ParamId};

/// What a network adds its answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipKind {
    /// Its input.
    Identity,
    /// Its input, resampled and normalised.
    Resample,
    /// Its input through a dense layer.
    Linear,
}

/// Widths of a network.
#[derive(Debug, Clone, Copy)]
pub struct GrnSize {
    /// Of the input.
    pub n_in: usize,
    /// Of the hidden layers.
    pub n_hidden: usize,
    /// Of the answer.
    pub n_out: usize,
    /// Of the context, where there is one.
    pub n_context: Option<usize>,
    /// The skip.
    pub skip: SkipKind,
}

/// Interpolation along the features, a learned gain, a norm.
#[derive(Debug, Clone)]
pub struct ResampleNorm {
    mask: ParamId,
    norm: NormParams,
}

impl ResampleNorm {
    /// Tensors `{name}.mask`, `{name}.norm.*` for answers of width `n`.
    pub fn new(declare: &mut Declare, name: &str, n: usize, eps: f64) -> Self {
        Self {
            mask: declare.tensor(format!("{name}.mask"), &[n], Init::Constant(0.0)),
            norm: declare.norm(&format!("{name}.norm"), n, eps),
        }
    }

    /// `x [.., m]` to `[.., n]`.
    pub fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let y = engine.resample(x, self.mask);
        engine.layer_norm(y, self.norm)
    }
}

#[derive(Debug, Clone)]
enum Skip {
    Identity,
    Resample(ResampleNorm),
    Linear(DenseParams),
}

/// A gated residual network.
#[derive(Debug, Clone)]
pub struct Grn {
    layers: GrnParams,
    skip: Skip,
    dropout: Dropout,
}

impl Grn {
    /// The TFT's: `{name}.{fc1, fc2, context.weight, gate_norm.glu.fc, gate_norm.add_norm.norm, resample_norm | skip}`.
    pub fn new(declare: &mut Declare, name: &str, size: GrnSize, eps: f64) -> Self {
        let (n_hidden, n_out) = (size.n_hidden, size.n_out);
        let fc1 = declare.dense(&format!("{name}.fc1"), size.n_in, n_hidden, DenseInit::Kaiming);
        let fc2 = declare.dense(&format!("{name}.fc2"), n_hidden, n_hidden, DenseInit::Kaiming);
        let context = size.n_context.map(|n| {
            let layer =
                declare.dense_without_bias(&format!("{name}.context"), n, n_hidden, DenseInit::Xavier);
            layer.weight
        });
        let gate = format!("{name}.gate_norm.glu.fc");
        let layers = GrnParams {
            fc1,
            context,
            fc2: Some(fc2),
            gate: declare.dense(&gate, n_hidden, 2 * n_out, DenseInit::Xavier),
            norm: declare.norm(&format!("{name}.gate_norm.add_norm.norm"), n_out, eps),
        };
        let skip = match size.skip {
            SkipKind::Identity => Skip::Identity,
            SkipKind::Resample => {
                let name = format!("{name}.resample_norm");
                Skip::Resample(ResampleNorm::new(declare, &name, n_out, eps))
            }
            SkipKind::Linear => {
                let name = format!("{name}.skip");
                Skip::Linear(declare.dense(&name, size.n_in, n_out, DenseInit::Xavier))
            }
        };
        Self {
            layers,
            skip,
            dropout: declare.dropout(),
        }
    }

    /// With one hidden layer: `{name}.{fc1, fc2 [2 n_out, n_hidden], context_proj.weight, skip, layer_norm}`.
    pub fn one_layer(declare: &mut Declare, name: &str, size: GrnSize) -> Self {
        let init = DenseInit::Torch;
        let (n_hidden, n_out) = (size.n_hidden, size.n_out);
        let context = |declare: &mut Declare, n| {
            let name = format!("{name}.context_proj");
            declare.dense_without_bias(&name, n, n_hidden, init).weight
        };
        let layers = GrnParams {
            fc1: declare.dense(&format!("{name}.fc1"), size.n_in, n_hidden, init),
            context: size.n_context.map(|n| context(declare, n)),
            fc2: None,
            gate: declare.dense(&format!("{name}.fc2"), n_hidden, 2 * n_out, init),
            norm: declare.norm(&format!("{name}.layer_norm"), n_out, 1e-5),
        };
        let skip = if size.n_in == n_out {
            Skip::Identity
        } else {
            Skip::Linear(declare.dense(&format!("{name}.skip"), size.n_in, n_out, init))
        };
        Self {
            layers,
            skip,
            dropout: declare.dropout(),
        }
    }

    /// `x [.., n_in]` and `context [batch, n_context]` to `[.., n_out]`.
    pub fn forward<E: Engine>(&self, engine: &mut E, x: E::Var, context: Option<E::Var>) -> E::Var {
        let skip = match &self.skip {
            Skip::Identity => x,
            Skip::Resample(resample) => resample.forward(engine, x),
            Skip::Linear(layer) => engine.linear(x, *layer),
        };
        let inputs = GrnInputs { x, skip, context };
        engine.grn(inputs, self.layers, (self.dropout.p, self.dropout.site))
    }
}
