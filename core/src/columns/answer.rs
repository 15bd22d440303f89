//! Head values to outputs in their units, group by group.

use super::normalize::{CenterScale, Scaling, inverse, softplus};
use crate::bundle::{Output, OutputKind, Schema};
use crate::flags::Flags;
use crate::kernels::Kernels;
use alloc::vec::Vec;

/// Smallest deviation of [`OutputKind::GaussianSoftplus`].
const SIGMA_FLOOR: f64 = 1e-6;

/// What one group of columns becomes.
#[derive(Debug, Clone, Copy)]
struct Group {
    n: usize,
    kind: OutputKind,
    normalizer: Option<usize>,
}

/// The groups of a schema in order.
fn groups(schema: &Schema) -> Vec<Group> {
    let group = |o: &Output| Group {
        n: o.labels.len(),
        kind: o.kind,
        normalizer: o
            .normalizer
            .as_ref()
            .and_then(|name| schema.normalizers.iter().position(|n| n.name == *name)),
    };
    schema.outputs.iter().map(group).collect()
}

/// Head values of one step to an answer.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    groups: Vec<Group>,
    n_columns: usize,
}

impl Finish {
    /// For the outputs of a schema.
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            groups: groups(schema),
            n_columns: schema.n_columns(),
        }
    }

    /// Columns of a step.
    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// One step, head values `z` (padding behind them) to `out [n_columns]`.
    pub(crate) fn step(
        &self,
        kernels: &Kernels,
        scalings: &[Scaling],
        targets: &[CenterScale],
        z: &[f32],
        out: &mut [f32],
    ) -> Flags {
        let mut flags = Flags::NONE;
        out.copy_from_slice(&z[..self.n_columns]);
        if out.iter().any(|z| !z.is_finite()) {
            flags.insert(Flags::OVERFLOW);
        }
        finish(kernels, &self.groups, out);
        rescale(scalings, targets, &self.groups, out);
        flags
    }
}

/// One step's head values in place.
fn finish(kernels: &Kernels, groups: &[Group], row: &mut [f32]) {
    let mut rest = row;
    for group in groups {
        let (own, others) = rest.split_at_mut(group.n);
        rest = others;
        match group.kind {
            OutputKind::Linear | OutputKind::Quantiles => {}
            OutputKind::Sigmoid => kernels.sigmoid(own),
            OutputKind::Softmax => kernels.softmax(own),
            OutputKind::Tanh => kernels.tanh(own),
            OutputKind::SortedQuantiles => sort(own),
            OutputKind::CumulativeQuantiles => cumulate(own),
            OutputKind::GaussianLogSigma => kernels.exp(&mut own[1..]),
            OutputKind::GaussianSoftplus => own[1] = (softplus(f64::from(own[1])) + SIGMA_FLOOR) as f32,
        }
    }
}

/// Ascending, NaN last: by insertion, for a few quantiles that are nearly in order (the library's sort would be 20 KB of code).
fn sort(row: &mut [f32]) {
    for end in 1..row.len() {
        for i in (1..=end).rev() {
            if row[i - 1].total_cmp(&row[i]).is_le() {
                break;
            }
            row.swap(i - 1, i);
        }
    }
}

/// Steps outward from the middle column become quantiles.
fn cumulate(row: &mut [f32]) {
    let middle = row.len() / 2;
    let step = |z: f32| softplus(f64::from(z)) as f32;
    for i in middle + 1..row.len() {
        row[i] = row[i - 1] + step(row[i]);
    }
    for i in (0..middle).rev() {
        row[i] = row[i + 1] - step(row[i]);
    }
}

/// Undoes the normalizers of the groups that have one; `targets` are the window's, one per scaling.
fn rescale(scalings: &[Scaling], targets: &[CenterScale], groups: &[Group], row: &mut [f32]) {
    let mut rest = row;
    for group in groups {
        let (own, others) = rest.split_at_mut(group.n);
        rest = others;
        let Some(place) = group.normalizer else { continue };
        let (transform, by) = (scalings[place].transform, targets[place]);
        let n_values = if group.kind.is_gaussian() { 1 } else { group.n };
        let (values, deviations) = own.split_at_mut(n_values);
        for value in values {
            *value = inverse(transform, f64::from(*value) * by.scale + by.center) as f32;
        }
        for deviation in deviations {
            *deviation = (f64::from(*deviation) * by.scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulative_quantiles_never_cross_and_keep_the_middle() {
        let mut row = [-3.0, 0.5, 0.25, -9.0, 2.0];
        cumulate(&mut row);
        assert!(row.is_sorted(), "{row:?}");
        assert_eq!(row[2], 0.25);
    }

    #[test]
    fn sorting_agrees_with_the_library() {
        let numbers = [0.5, -1.0, 0.0, -0.0, f32::NAN, f32::INFINITY, 0.5, -3.0, 2.5];
        for first in 0..numbers.len() {
            for end in first..=numbers.len() {
                let mut expected = numbers[first..end].to_vec();
                let mut found = expected.clone();
                expected.sort_unstable_by(f32::total_cmp);
                sort(&mut found);
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&found), bits(&expected));
            }
        }
    }
}
