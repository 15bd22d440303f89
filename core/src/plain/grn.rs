//! Gated layers: the gated linear unit and the gated residual network in its published forms.
//!
//! ```text
//! GLU(x)            = v s(g),  [v | g] = fc x                            value half first
//! GateAddNorm(x, r) = LN(GLU(x) + r)
//! GRN(x, c)         = LN(GLU(fc2 ELU(fc1 x + context c)) + skip(x))
//! resample(x)       = LN(interpolated x * 2 s(mask))
//! ```
//! Lim, Arik, Loeff and Pfister 2021, section 4.1; the resampled skip is pytorch-forecasting's.

use super::{Part, add, elu, linear, map, norm, sigmoid};
use alloc::vec::Vec;

/// The unit `fc`.
#[must_use]
pub fn glu(part: &Part<'_>, x: &[f64]) -> Vec<f64> {
    let both = linear(&part.at("fc"), x);
    gated(&both)
}

/// The unit `glu` and the norm `add_norm.norm` of its sum with `skip`.
#[must_use]
pub fn gate_add_norm(part: &Part<'_>, x: &[f64], skip: &[f64], eps: f64) -> Vec<f64> {
    let sum = add(&glu(&part.at("glu"), x), skip);
    norm(&part.at("add_norm.norm"), &sum, eps)
}

/// The network `fc1`, `fc2`, `gate_norm`; `context` where one is given; its skip is what its tensors say:
/// `resample_norm`, `skip`, or the input itself.
#[must_use]
pub fn grn(part: &Part<'_>, x: &[f64], context: Option<&[f64]>, eps: f64) -> Vec<f64> {
    let mut h = linear(&part.at("fc1"), x);
    if let Some(context) = context {
        h = add(&h, &linear(&part.at("context"), context));
    }
    let h = linear(&part.at("fc2"), &map(&h, elu));
    gate_add_norm(&part.at("gate_norm"), &h, &skip(part, x, eps), eps)
}

fn skip(part: &Part<'_>, x: &[f64], eps: f64) -> Vec<f64> {
    if part.find("skip.weight").is_some() {
        return linear(&part.at("skip"), x);
    }
    if part.find("resample_norm.mask").is_some() {
        return resample_norm(&part.at("resample_norm"), x, eps);
    }
    x.to_vec()
}

/// `mask`, `norm`: the skip between unequal widths, and the branch of a categorical.
#[must_use]
pub fn resample_norm(part: &Part<'_>, x: &[f64], eps: f64) -> Vec<f64> {
    let mask = part.values("mask");
    let resampled = resample(x, mask.len());
    let scaled: Vec<f64> = resampled
        .iter()
        .zip(mask)
        .map(|(x, m)| x * 2.0 * sigmoid(*m))
        .collect();
    norm(&part.at("norm"), &scaled, eps)
}

/// Linear interpolation along the features, ends aligned: output i of n reads position `i (m - 1) / (n - 1)` of m inputs.
#[must_use]
pub fn resample(x: &[f64], n: usize) -> Vec<f64> {
    if x.len() == n {
        return x.to_vec();
    }
    let last = x.len() - 1;
    let read = |i: usize| {
        let position = if n == 1 {
            0.0
        } else {
            i as f64 * last as f64 / (n - 1) as f64
        };
        let left = (position as usize).min(last);
        let share = position - left as f64;
        x[left] * (1.0 - share) + x[(left + 1).min(last)] * share
    };
    (0..n).map(read).collect()
}

/// Seed 003's form: `LN(x + s(gate.0 x) fc2 ELU(fc1 x))`, the gate reads the input.
#[must_use]
pub fn grn_input_gate(part: &Part<'_>, x: &[f64], eps: f64) -> Vec<f64> {
    let h = linear(&part.at("fc2"), &map(&linear(&part.at("fc1"), x), elu));
    let gate = map(&linear(&part.at("gate.0"), x), sigmoid);
    let gated: Vec<f64> = h.iter().zip(&gate).map(|(h, g)| h * g).collect();
    norm(&part.at("layer_norm"), &add(x, &gated), eps)
}

/// Seed 002's form: `LN(skip(x) + a s(g))`, `[a | g] = fc2 ELU(fc1 x + context_proj c)`, one hidden layer.
#[must_use]
pub fn grn_one_layer(part: &Part<'_>, x: &[f64], context: Option<&[f64]>, eps: f64) -> Vec<f64> {
    let mut h = linear(&part.at("fc1"), x);
    if let Some(context) = context {
        h = add(&h, &linear(&part.at("context_proj"), context));
    }
    let both = linear(&part.at("fc2"), &map(&h, elu));
    norm(
        &part.at("layer_norm"),
        &add(&skip(part, x, eps), &gated(&both)),
        eps,
    )
}

/// The value half times the sigmoid of the gate half.
fn gated(both: &[f64]) -> Vec<f64> {
    let (value, gate) = both.split_at(both.len() / 2);
    value.iter().zip(gate).map(|(v, g)| v * sigmoid(*g)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::Weights;
    use alloc::vec;

    #[test]
    fn the_first_half_is_the_value() {
        let mut weights = Weights::default();
        weights.insert("fc.weight", &[2, 1], vec![3.0, 0.0]);
        weights.insert("fc.bias", &[2], vec![0.0, 0.0]);
        assert_eq!(glu(&weights.root(), &[2.0]), [3.0]);
    }

    #[test]
    fn interpolation_keeps_both_ends() {
        assert_eq!(resample(&[0.0, 2.0], 5), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(resample(&[0.0, 1.0, 2.0, 3.0, 4.0], 3), [0.0, 2.0, 4.0]);
        assert_eq!(resample(&[7.0, 8.0, 9.0], 1), [7.0]);
        assert_eq!(resample(&[7.0], 3), [7.0; 3]);
        assert_eq!(resample(&[1.0, 2.0], 2), [1.0, 2.0]);
    }

    #[test]
    fn a_mask_of_zeros_leaves_the_row_as_it_is() {
        let mut weights = Weights::default();
        weights.insert("mask", &[2], vec![0.0; 2]);
        weights.insert("norm.weight", &[2], vec![1.0; 2]);
        weights.insert("norm.bias", &[2], vec![0.0; 2]);
        assert_eq!(resample_norm(&weights.root(), &[4.0, 6.0], 0.0), [-1.0, 1.0]);
    }
}
