//! Attention: the Temporal Fusion Transformer's interpretable form, and the standard one as PyTorch computes it.
//!
//! ```text
//! interpretable  w_h mean_i A_i v,    A_i = softmax(mask(q_i k_i' / sqrt d)),   d = H / n_heads rounded down
//! standard       out_proj [A_1 v_1 | .. | A_n v_n],   [q; k; v] = in_proj
//! ```
//! Lim et al. 2021, section 4.4; Vaswani et al. 2017, section 3.2.

use super::{Part, add, dense, linear, map, softmax, weighted_sum};
use crate::bundle::MaskRule;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Stands in for the logit of a step that must not be seen, in all published forms: where no step may be seen, all share
/// alike.
const MASKED: f64 = -1e9;

/// An answer of attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attended {
    /// `[queries][H]`.
    pub rows: Vec<Vec<f64>>,
    /// `[heads][queries][keys]`, adding up to one over the keys.
    pub weights: Vec<Vec<Vec<f64>>>,
}

/// Which of `n_steps` steps the queries `first..n_steps` see, `[queries][keys]`.
#[must_use]
pub fn visible_steps(rule: MaskRule, n_steps: usize, first: usize) -> Vec<Vec<bool>> {
    let sees = |query: usize, key: usize| match rule {
        MaskRule::CausalSelf => key <= query,
        MaskRule::CausalStrict => key < query,
        MaskRule::Open => true,
    };
    (first..n_steps)
        .map(|query| (0..n_steps).map(|key| sees(query, key)).collect())
        .collect()
}

/// The layer `q_layers.{i}`, `k_layers.{i}`, `v_layer`, `w_h`: one value head, the heads' answers averaged.
#[must_use]
pub fn interpretable_attention(
    part: &Part<'_>,
    n_heads: usize,
    queries: &[Vec<f64>],
    keys: &[Vec<f64>],
    visible: &[Vec<bool>],
) -> Attended {
    let project = |name: &str, rows: &[Vec<f64>]| each(rows, |x| linear(&part.at(name), x));
    let values = project("v_layer", keys);
    let weights: Vec<Vec<Vec<f64>>> = (0..n_heads)
        .map(|i| {
            let q = project(&format!("q_layers.{i}"), queries);
            let k = project(&format!("k_layers.{i}"), keys);
            attention_weights(&q, &k, Some(visible))
        })
        .collect();
    let mean = |query: usize| {
        let sum = weights.iter().fold(vec![0.0; values[0].len()], |sum, head| {
            add(&sum, &weighted_sum(&head[query], &values))
        });
        map(&sum, |v| v / n_heads as f64)
    };
    let rows = (0..queries.len())
        .map(|query| linear(&part.at("w_h"), &mean(query)))
        .collect();
    Attended { rows, weights }
}

/// The layer `in_proj_weight`, `in_proj_bias`, `out_proj`: the heads' answers side by side, no mask.
#[must_use]
pub fn attention(
    part: &Part<'_>,
    n_heads: usize,
    queries: &[Vec<f64>],
    keys: &[Vec<f64>],
    values: &[Vec<f64>],
) -> Attended {
    let third = |i: usize, rows: &[Vec<f64>]| {
        let (w, b) = (part.values("in_proj_weight"), part.values("in_proj_bias"));
        let (w, b) = (
            &w[i * w.len() / 3..][..w.len() / 3],
            &b[i * b.len() / 3..][..b.len() / 3],
        );
        each(rows, |x| dense(w, b, x))
    };
    let (q, k, v) = (third(0, queries), third(1, keys), third(2, values));
    let d = q[0].len() / n_heads;
    let head = |rows: &[Vec<f64>], i: usize| each(rows, |x| x[i * d..][..d].to_vec());
    let weights: Vec<Vec<Vec<f64>>> = (0..n_heads)
        .map(|i| attention_weights(&head(&q, i), &head(&k, i), None))
        .collect();
    let row = |query: usize| {
        let heads = (0..n_heads).map(|i| weighted_sum(&weights[i][query], &head(&v, i)));
        let side_by_side: Vec<f64> = heads.flatten().collect();
        linear(&part.at("out_proj"), &side_by_side)
    };
    Attended {
        rows: (0..queries.len()).map(row).collect(),
        weights,
    }
}

/// `softmax(mask(q k' / sqrt d))`, `[queries][keys]`.
fn attention_weights(q: &[Vec<f64>], k: &[Vec<f64>], visible: Option<&[Vec<bool>]>) -> Vec<Vec<f64>> {
    let logit = |i: usize, j: usize| {
        if visible.is_some_and(|visible| !visible[i][j]) {
            return MASKED;
        }
        let dot: f64 = q[i].iter().zip(&k[j]).map(|(q, k)| q * k).sum();
        dot / libm::sqrt(q[i].len() as f64)
    };
    let row = |i: usize| (0..k.len()).map(|j| logit(i, j)).collect::<Vec<f64>>();
    (0..q.len()).map(|i| softmax(&row(i))).collect()
}

/// `f` of every row.
pub(super) fn each(rows: &[Vec<f64>], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
    rows.iter().map(|row| f(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::Weights;

    fn text(rule: MaskRule, n_steps: usize, first: usize) -> Vec<alloc::string::String> {
        let row = |row: &Vec<bool>| row.iter().map(|seen| if *seen { 'x' } else { '.' }).collect();
        visible_steps(rule, n_steps, first).iter().map(row).collect()
    }

    #[test]
    fn a_strict_query_sees_all_before_it_and_not_itself() {
        assert_eq!(text(MaskRule::CausalStrict, 4, 2), ["xx..", "xxx."]);
        assert_eq!(text(MaskRule::CausalSelf, 4, 2), ["xxx.", "xxxx"]);
        assert_eq!(text(MaskRule::CausalSelf, 3, 0), ["x..", "xx.", "xxx"]);
        assert_eq!(text(MaskRule::Open, 3, 2), ["xxx"]);
    }

    #[test]
    fn a_query_that_sees_nothing_weighs_all_steps_alike() {
        let visible = visible_steps(MaskRule::CausalStrict, 4, 0);
        let rows = vec![vec![1.0], vec![2.0], vec![3.0], vec![4.0]];
        let weights = attention_weights(&rows, &rows, Some(&visible));
        assert_eq!(weights[0], [0.25; 4]);
        assert_eq!(weights[1], [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn heads_of_the_standard_form_stand_side_by_side() {
        let mut weights = Weights::default();
        let eye = [1.0, 0.0, 0.0, 1.0];
        weights.insert("in_proj_weight", &[6, 2], [[0.0; 4], [0.0; 4], eye].concat());
        weights.insert("in_proj_bias", &[6], vec![0.0; 6]);
        weights.insert("out_proj.weight", &[2, 2], eye.to_vec());
        weights.insert("out_proj.bias", &[2], vec![0.0, 100.0]);
        let rows = vec![vec![1.0, 10.0], vec![3.0, 30.0]];
        let found = attention(&weights.root(), 2, &rows[..1], &rows, &rows);
        assert_eq!(found.rows, [[2.0, 120.0]]);
        assert_eq!(found.weights, vec![vec![vec![0.5, 0.5]]; 2]);
    }
}
