//! Variable selection: weights over the variables of a step, and the weighted sum of what each variable becomes.
//!
//! ```text
//! TFT            sum_j w_j branch_j(v_j),          w = softmax(GRN([v_1 | .. | v_V], c))
//! X-Trend        sum_j w_j FFN_j(x_j),             w = softmax(FFN(x, s))
//! seed 002       sum_j w_j GRN_j(x_j),             w = softmax(GRN(x, s)), one hidden layer
//! seed 003       GRN(feature_transform (w * x)),   w = softmax(gating.2 gating.0 x)
//! ```

use super::{Part, ffn, grn, grn_input_gate, grn_one_layer, linear, resample_norm, softmax, weighted_sum};
use alloc::vec;
use alloc::vec::Vec;

/// One step of a selection network.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// What the variables became.
    pub row: Vec<f64>,
    /// A weight per variable, adding up to one.
    pub weights: Vec<f64>,
}

/// The Temporal Fusion Transformer's: `flattened_grn` for the weights, under `branches` a network or a resampled skip per
/// variable. `entries`: name and embedding per variable, in order. One variable has the weight 1, none gives zeros.
#[must_use]
pub fn selection(
    part: &Part<'_>,
    branches: &Part<'_>,
    entries: &[(&str, Vec<f64>)],
    context: Option<&[f64]>,
    n_hidden: usize,
    eps: f64,
) -> Selected {
    let weights = match entries {
        [] => {
            return Selected {
                row: vec![0.0; n_hidden],
                weights: Vec::new(),
            };
        }
        [_] => vec![1.0],
        _ => {
            let flat: Vec<f64> = entries.iter().flat_map(|(_, entry)| entry.clone()).collect();
            softmax(&grn(&part.at("flattened_grn"), &flat, context, eps))
        }
    };
    let branch = |(name, entry): &(&str, Vec<f64>)| {
        let own = branches.at(name);
        match own.find("fc1.weight") {
            Some(_) => grn(&own, entry, None, eps),
            None => resample_norm(&own, entry, eps),
        }
    };
    let rows: Vec<Vec<f64>> = entries.iter().map(branch).collect();
    Selected {
        row: weighted_sum(&weights, &rows),
        weights,
    }
}

/// X-Trend's: `weights`, `variables.{j}`.
#[must_use]
pub fn selection_ffn(part: &Part<'_>, x: &[f64], entity: Option<&[f64]>) -> Selected {
    let weights = softmax(&ffn(&part.at("weights"), x, entity));
    let variable = |(j, x): (usize, &f64)| ffn(&part.at("variables").at(j), &[*x], None);
    let rows: Vec<Vec<f64>> = x.iter().enumerate().map(variable).collect();
    Selected {
        row: weighted_sum(&weights, &rows),
        weights,
    }
}

/// Seed 002's: `weight_grn`, `feature_grns.{j}`.
#[must_use]
pub fn selection_one_layer(part: &Part<'_>, x: &[f64], entity: &[f64], eps: f64) -> Selected {
    let weights = softmax(&grn_one_layer(&part.at("weight_grn"), x, Some(entity), eps));
    let variable = |(j, x): (usize, &f64)| grn_one_layer(&part.at("feature_grns").at(j), &[*x], None, eps);
    let rows: Vec<Vec<f64>> = x.iter().enumerate().map(variable).collect();
    Selected {
        row: weighted_sum(&weights, &rows),
        weights,
    }
}

/// Seed 003's: `gating.0`, `gating.2` with nothing between, `feature_transform`, `grn`.
#[must_use]
pub fn selection_gating(part: &Part<'_>, x: &[f64], eps: f64) -> Selected {
    let weights = softmax(&linear(&part.at("gating.2"), &linear(&part.at("gating.0"), x)));
    let gated: Vec<f64> = x.iter().zip(&weights).map(|(x, w)| x * w).collect();
    Selected {
        row: grn_input_gate(
            &part.at("grn"),
            &linear(&part.at("feature_transform"), &gated),
            eps,
        ),
        weights,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::Weights;

    fn unit(weights: &mut Weights, name: &str) {
        weights.insert(&alloc::format!("{name}.mask"), &[2], vec![0.0; 2]);
        weights.insert(&alloc::format!("{name}.norm.weight"), &[2], vec![1.0; 2]);
        weights.insert(&alloc::format!("{name}.norm.bias"), &[2], vec![0.0; 2]);
    }

    #[test]
    fn no_variable_gives_zeros_and_one_needs_no_weights() {
        let mut weights = Weights::default();
        unit(&mut weights, "single.a");
        let (part, branches) = (weights.root(), weights.root().at("single"));
        let none = selection(&part, &branches, &[], None, 3, 0.0);
        assert_eq!((none.row, none.weights), (vec![0.0; 3], vec![]));
        let one = selection(&part, &branches, &[("a", vec![2.0, 6.0])], None, 2, 0.0);
        assert_eq!((one.row, one.weights), (vec![-1.0, 1.0], vec![1.0]));
    }

    #[test]
    fn gating_without_preference_weighs_inputs_alike() {
        let mut weights = Weights::default();
        weights.insert("gating.0.weight", &[1, 2], vec![5.0, 7.0]);
        weights.insert("gating.2.weight", &[2, 1], vec![0.0; 2]);
        weights.insert("feature_transform.weight", &[2, 2], vec![2.0, 0.0, 0.0, 2.0]);
        for name in ["fc1", "fc2", "gate.0"] {
            weights.insert(&alloc::format!("grn.{name}.weight"), &[2, 2], vec![0.0; 4]);
        }
        weights.insert("grn.layer_norm.weight", &[2], vec![1.0; 2]);
        weights.insert("grn.layer_norm.bias", &[2], vec![0.0; 2]);
        let found = selection_gating(&weights.root(), &[3.0, 1.0], 0.0);
        assert_eq!((found.row, found.weights), (vec![1.0, -1.0], vec![0.5; 2]));
    }
}
