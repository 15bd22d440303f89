//! Variable selection: `y = Σ_j w_j branch_j(v_j)`, `w = softmax(GRN([v_1 | .. | v_V], c))`.
//!
//! A branch is a gated residual network, or for a categorical of pytorch-forecasting the resampled skip alone. One variable
//! needs no weights. Encoder and decoder may share the branches of their common variables.

use super::super::blocks::declare::Declare;
use super::super::blocks::grn::{Grn, GrnSize, ResampleNorm, SkipKind};
use super::Embedded;
use crate::tape::engine::Engine;
use std::collections::HashMap;
use tickfuse_core::bundle::{CategoricalBranch, SkipRule, TftConfig, Variable, WeightHidden};

#[derive(Debug, Clone)]
enum Branch {
    Network(Box<Grn>),
    Resample(ResampleNorm),
}

/// Makes the branches of a net's selections, shared ones once.
pub(super) struct Networks<'a> {
    config: &'a TftConfig,
    shared: HashMap<String, Branch>,
}

/// The selection over some variables.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    weights: Option<Grn>,
    branches: Vec<(String, Branch)>,
}

impl<'a> Networks<'a> {
    pub(super) fn new(config: &'a TftConfig) -> Self {
        Self {
            config,
            shared: HashMap::new(),
        }
    }

    fn eps(&self) -> f64 {
        f64::from(self.config.rules.norm_eps)
    }

    fn skip(&self, needed: bool) -> SkipKind {
        match self.config.rules.skip {
            _ if !needed => SkipKind::Identity,
            SkipRule::Resample => SkipKind::Resample,
            SkipRule::Linear => SkipKind::Linear,
        }
    }

    /// Google's weight network projects its skip even where the widths agree.
    fn weights(&self, declare: &mut Declare, name: &str, variables: &[Variable], temporal: bool) -> Grn {
        let (n_in, n) = (variables.iter().map(|v| v.width).sum::<usize>(), variables.len());
        let (rules, h) = (self.config.rules, self.config.n_hidden);
        let size = GrnSize {
            n_in,
            n_hidden: match rules.weight_hidden {
                WeightHidden::Hidden => h,
                WeightHidden::MinHiddenVariables => n.min(h),
            },
            n_out: n,
            n_context: temporal.then_some(h),
            skip: self.skip(n_in != n || rules.skip == SkipRule::Linear),
        };
        Grn::new(declare, &format!("{name}.flattened_grn"), size, self.eps())
    }

    fn branch(&mut self, declare: &mut Declare, name: &str, v: &Variable, temporal: bool) -> Branch {
        if !(temporal && self.config.rules.share_variable_networks) {
            let name = format!("{name}.single_variable_grns.{}", v.name);
            let bare = self.config.rules.categorical_branch == CategoricalBranch::ResampleNorm;
            return self.make(declare, &name, v, bare && v.is_categorical());
        }
        if !self.shared.contains_key(&v.name) {
            let name = format!("shared_single_variable_grns.{}", v.name);
            let branch = self.make(declare, &name, v, false);
            self.shared.insert(v.name.clone(), branch);
        }
        self.shared[&v.name].clone()
    }

    fn make(&self, declare: &mut Declare, name: &str, v: &Variable, bare: bool) -> Branch {
        let h = self.config.n_hidden;
        if bare {
            return Branch::Resample(ResampleNorm::new(declare, name, h, self.eps()));
        }
        let size = GrnSize {
            n_in: v.width,
            n_hidden: v.width.min(h),
            n_out: h,
            n_context: None,
            skip: self.skip(v.width != h),
        };
        Branch::Network(Box::new(Grn::new(declare, name, size, self.eps())))
    }
}

impl Selection {
    /// Tensors under `{name}`; nothing for no variables. Those of the steps have a context.
    pub(super) fn new(
        declare: &mut Declare,
        name: &str,
        variables: &[Variable],
        networks: &mut Networks<'_>,
        temporal: bool,
    ) -> Option<Self> {
        if variables.is_empty() {
            return None;
        }
        let weights = (variables.len() > 1).then(|| networks.weights(declare, name, variables, temporal));
        let branch = |v: &Variable| (v.name.clone(), networks.branch(declare, name, v, temporal));
        Some(Self {
            weights,
            branches: variables.iter().map(branch).collect(),
        })
    }

    /// The selected vector of every row, `[.., n_hidden]`.
    pub(super) fn forward<E: Engine>(
        &self,
        engine: &mut E,
        rows: Embedded<'_, E::Var>,
        context: Option<E::Var>,
    ) -> E::Var {
        let (mut vectors, mut parts) = (Vec::new(), Vec::new());
        for (name, branch) in &self.branches {
            let vector = rows.vector(engine, name);
            vectors.push(vector);
            parts.push(match branch {
                Branch::Network(grn) => grn.forward(engine, vector, None),
                Branch::Resample(resample) => resample.forward(engine, vector),
            });
        }
        let Some(weights) = &self.weights else {
            return parts[0];
        };
        let flat = engine.concat_columns(&vectors);
        let scores = weights.forward(engine, flat, context);
        let weights = engine.softmax(scores);
        engine.select(weights, &parts)
    }
}
