//! Head values to outputs in their units, group by group.

use super::{CenterScale, exp, map, sigmoid, softmax, softplus, tanh};
use crate::bundle::{Output, OutputKind, Schema};
use alloc::vec::Vec;

/// Smallest deviation a Gaussian head can answer.
pub(super) const SIGMA_FLOOR: f64 = 1e-6;

/// One step's head values as outputs; `normalizers` are the window's, in the order of the schema.
#[must_use]
pub fn finish(schema: &Schema, normalizers: &[CenterScale], head: &[f64]) -> Vec<f64> {
    let mut rest = head;
    let mut out = Vec::new();
    for group in &schema.outputs {
        let (own, others) = rest.split_at(group.labels.len());
        rest = others;
        out.extend(rescaled(schema, normalizers, group, &activated(group.kind, own)));
    }
    out
}

fn activated(kind: OutputKind, z: &[f64]) -> Vec<f64> {
    match kind {
        OutputKind::Linear | OutputKind::Quantiles => z.to_vec(),
        OutputKind::Sigmoid => map(z, sigmoid),
        OutputKind::Softmax => softmax(z),
        OutputKind::Tanh => map(z, tanh),
        OutputKind::SortedQuantiles => {
            let mut sorted = z.to_vec();
            sorted.sort_by(f64::total_cmp);
            sorted
        }
        OutputKind::CumulativeQuantiles => outward(z),
        OutputKind::GaussianLogSigma => [z[0], exp(z[1])].to_vec(),
        OutputKind::GaussianSoftplus => [z[0], softplus(z[1]) + SIGMA_FLOOR].to_vec(),
    }
}

/// The middle column as it is; each further one a step of `softplus(z)` away from its neighbour.
fn outward(z: &[f64]) -> Vec<f64> {
    let middle = z.len() / 2;
    let distance = |between: &[f64]| between.iter().map(|z| softplus(*z)).sum::<f64>();
    let column = |i: usize| {
        if i < middle {
            z[middle] - distance(&z[i..middle])
        } else {
            z[middle] + distance(&z[middle + 1..i + 1])
        }
    };
    (0..z.len()).map(column).collect()
}

fn rescaled(schema: &Schema, normalizers: &[CenterScale], group: &Output, row: &[f64]) -> Vec<f64> {
    let Some(name) = &group.normalizer else {
        return row.to_vec();
    };
    let named = schema.normalizers.iter().zip(normalizers);
    let (normalizer, by) = named
        .into_iter()
        .find(|(n, _)| n.name == *name)
        .unwrap_or_else(|| panic!("no normalizer `{name}`"));
    if group.kind.is_gaussian() {
        return [by.undone(normalizer.transform, row[0]), row[1] * by.scale].to_vec();
    }
    map(row, |z| by.undone(normalizer.transform, z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulative_quantiles_step_outward_from_the_middle() {
        let ln2 = core::f64::consts::LN_2;
        let found = outward(&[0.0, 25.0, 7.0, 0.0, 30.0]);
        let expected = [7.0 - 25.0 - ln2, 7.0 - 25.0, 7.0, 7.0 + ln2, 7.0 + ln2 + 30.0];
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-14, "{found} and {expected}");
        }
    }

    #[test]
    fn every_kind_answers_as_many_columns_as_it_has() {
        let z = [0.5, -0.5];
        assert_eq!(activated(OutputKind::Linear, &z), z);
        assert_eq!(activated(OutputKind::Quantiles, &z), z);
        assert_eq!(activated(OutputKind::SortedQuantiles, &z), [-0.5, 0.5]);
        assert_eq!(activated(OutputKind::Sigmoid, &z), [sigmoid(0.5), sigmoid(-0.5)]);
        assert_eq!(activated(OutputKind::Tanh, &z), [tanh(0.5), tanh(-0.5)]);
        assert_eq!(activated(OutputKind::Softmax, &z).iter().sum::<f64>(), 1.0);
        assert_eq!(activated(OutputKind::GaussianLogSigma, &z), [0.5, exp(-0.5)]);
        assert_eq!(
            activated(OutputKind::GaussianSoftplus, &[0.0, -800.0]),
            [0.0, SIGMA_FLOOR]
        );
    }
}
