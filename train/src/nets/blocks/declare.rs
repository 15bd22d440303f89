//! Declares the parameters of a net: tensors by name with the start values of the systems the nets come from.

use super::Dropout;
use crate::ops::embedding::TableParams;
use crate::ops::layer_norm::NormParams;
use crate::ops::linear::DenseParams;
use crate::ops::lstm::LstmParams;
use crate::tape::params::{Init, Layout, ParamId};
use std::sync::Arc;

/// How a dense layer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseInit {
    /// `PyTorch`'s default: weight and bias `U(±1/√n_in)`.
    Torch,
    /// Weight `U(±√(6 / (n_in + n_out)))` (Glorot and Bengio 2010), bias 0.
    Xavier,
    /// Weight `N(0, 2/n_in)` (He et al. 2015), bias 0.
    Kaiming,
}

impl DenseInit {
    /// Start of weight and bias.
    fn of(self, n_in: usize, n_out: usize) -> (Init, Init) {
        let (n_in, n_out) = (n_in as f64, n_out as f64);
        let torch = Init::Uniform(n_in.sqrt().recip());
        match self {
            Self::Torch => (torch, torch),
            Self::Xavier => (Init::Uniform((6.0 / (n_in + n_out)).sqrt()), Init::Constant(0.0)),
            Self::Kaiming => (Init::Normal((2.0 / n_in).sqrt()), Init::Constant(0.0)),
        }
    }
}

/// The parameters and dropouts of a net while it is made.
#[derive(Debug)]
pub struct Declare {
    layout: Layout,
    p: f64,
    sites: u32,
}

impl Declare {
    /// Nothing declared; `p` is the probability of every dropout.
    ///
    /// # Errors
    /// When `p` is not in [0, 1).
    pub fn new(p: f64) -> Result<Self, String> {
        if !(0.0..1.0).contains(&p) {
            return Err(format!("dropout: expected 0 <= p < 1, found {p}"));
        }
        Ok(Self {
            layout: Layout::default(),
            p,
            sites: 0,
        })
    }

    /// The declared parameters.
    #[must_use]
    pub fn finish(self) -> Arc<Layout> {
        Arc::new(self.layout)
    }

    /// The next dropout.
    pub fn dropout(&mut self) -> Dropout {
        let site = self.sites;
        self.sites += 1;
        Dropout { p: self.p, site }
    }

    /// One tensor.
    pub fn tensor(&mut self, name: String, shape: &[usize], init: Init) -> ParamId {
        self.layout.declare(name, shape, init)
    }

    /// `{name}.weight [n_out, n_in]` and `{name}.bias [n_out]`.
    pub fn dense(&mut self, name: &str, n_in: usize, n_out: usize, init: DenseInit) -> DenseParams {
        let mut layer = self.dense_without_bias(name, n_in, n_out, init);
        let (_, bias) = init.of(n_in, n_out);
        layer.bias = Some(self.tensor(format!("{name}.bias"), &[n_out], bias));
        layer
    }

    /// `{name}.weight [n_out, n_in]`.
    pub fn dense_without_bias(
        &mut self,
        name: &str,
        n_in: usize,
        n_out: usize,
        init: DenseInit,
    ) -> DenseParams {
        let (weight, _) = init.of(n_in, n_out);
        DenseParams {
            weight: self.tensor(format!("{name}.weight"), &[n_out, n_in], weight),
            bias: None,
        }
    }

    /// `{name}.weight [n]`, ones, and `{name}.bias [n]`, zeros.
    pub fn norm(&mut self, name: &str, n: usize, eps: f64) -> NormParams {
        NormParams {
            weight: self.tensor(format!("{name}.weight"), &[n], Init::Constant(1.0)),
            bias: self.tensor(format!("{name}.bias"), &[n], Init::Constant(0.0)),
            eps,
        }
    }

    /// `{name}.{weight,bias}_{ih,hh}_{suffix}`, all `U(±1/√n_hidden)`.
    pub fn lstm(&mut self, name: &str, suffix: &str, n_in: usize, n_hidden: usize) -> LstmParams {
        let init = Init::Uniform((n_hidden as f64).sqrt().recip());
        let gates = 4 * n_hidden;
        let mut declare =
            |part: &str, shape: &[usize]| self.tensor(format!("{name}.{part}_{suffix}"), shape, init);
        LstmParams {
            weight_ih: declare("weight_ih", &[gates, n_in]),
            weight_hh: declare("weight_hh", &[gates, n_hidden]),
            bias_ih: declare("bias_ih", &[gates]),
            bias_hh: declare("bias_hh", &[gates]),
        }
    }

    /// `{name}.weight [n, width]`, standard normal; a padding starts as zeros and stays.
    pub fn table(&mut self, name: &str, n: usize, width: usize, padding: bool) -> TableParams {
        let init = if padding {
            Init::NormalPadded
        } else {
            Init::Normal(1.0)
        };
        TableParams {
            weight: self.tensor(format!("{name}.weight"), &[n, width], init),
            padding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_values_follow_their_rule() {
        assert_eq!(
            DenseInit::Torch.of(4, 9),
            (Init::Uniform(0.5), Init::Uniform(0.5))
        );
        assert_eq!(
            DenseInit::Xavier.of(2, 4),
            (Init::Uniform(1.0), Init::Constant(0.0))
        );
        assert_eq!(
            DenseInit::Kaiming.of(8, 9),
            (Init::Normal(0.5), Init::Constant(0.0))
        );
    }

    #[test]
    fn every_dropout_has_its_own_site() {
        let mut declare = Declare::new(0.1).unwrap();
        assert_ne!(declare.dropout(), declare.dropout());
        assert_eq!(
            Declare::new(1.0).unwrap_err(),
            "dropout: expected 0 <= p < 1, found 1"
        );
    }
}
