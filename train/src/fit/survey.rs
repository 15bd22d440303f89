//! What a fit learns about its training labels before the first step: class balance, baselines, and whether they are what the
//! loss takes them for.

use super::FitError;
use super::config::{FitConfig, PosWeight};
use super::source::BatchSource;
use crate::losses::{Loss, targets};
use crate::metrics::scores::Baselines;
use crate::nets::Net;

/// Windows read at a time.
const BATCH: usize = 256;

/// Statistics of the training labels.
pub(super) struct Survey {
    /// Weight of the positive class.
    pub(super) pos_weight: f64,
    /// Mean of all labels: the share of positives where they are binary.
    pub(super) train_rate: f64,
    /// Statistics of the labels that the loss reads.
    pub(super) baselines: Baselines,
}

/// Reads every training label once.
pub(super) fn survey<N: Net>(
    net: &N,
    config: &FitConfig,
    train: &dyn BatchSource,
) -> Result<Survey, FitError> {
    let labels = read(net, &config.loss, train)?;
    let per_step = train.n_labels() / net.n_answers();
    let column = |c: usize| {
        labels
            .iter()
            .skip(c)
            .step_by(per_step)
            .map(|y| f64::from(*y))
            .collect()
    };
    targets::check_values(&config.loss, column)?;
    let positive: f64 = labels.chunks(BATCH * train.n_labels()).map(sum).sum();
    let count = labels.len() as f64;
    let pos_weight = match config.pos_weight {
        PosWeight::Value(weight) => weight,
        PosWeight::Rule(_) if positive == 0.0 || positive == count => {
            return Err(FitError::OneLabel("training", "pos_weight = \"balanced\""));
        }
        PosWeight::Rule(_) => (count - positive) / positive,
    };
    Ok(Survey {
        pos_weight,
        train_rate: positive / count,
        baselines: Baselines::of(&config.loss, column),
    })
}

fn sum(labels: &[f32]) -> f64 {
    labels.iter().map(|&y| f64::from(y)).sum()
}

/// Every training label, `[windows, n_labels]`.
fn read<N: Net>(net: &N, loss: &Loss, train: &dyn BatchSource) -> Result<Vec<f32>, FitError> {
    let (n_labels, n_windows) = (train.n_labels(), train.len());
    let (mut x, mut labels) = (Vec::new(), vec![0.0; n_windows * n_labels]);
    let all: Vec<usize> = (0..n_windows).collect();
    for (indices, y) in all.chunks(BATCH).zip(labels.chunks_mut(BATCH * n_labels)) {
        x.resize(net.n_rows() * indices.len() * net.n_features(), 0.0);
        train.fill(indices, &mut x, y);
    }
    find_fault(
        loss,
        n_labels / net.n_answers(),
        n_labels,
        "training",
        &all,
        &labels,
    )
    .map_or(Ok(labels), Err)
}

/// The first label, `[indices, n_labels]`, that the loss does not accept.
pub(super) fn find_fault(
    loss: &Loss,
    per_step: usize,
    n_labels: usize,
    set: &'static str,
    indices: &[usize],
    labels: &[f32],
) -> Option<FitError> {
    let ranges: Vec<_> = (0..per_step).map(|column| loss.label_range(column)).collect();
    let at = (0..labels.len()).find(|&at| !ranges[at % n_labels % per_step].contains(labels[at]))?;
    Some(FitError::Label {
        set,
        window: indices[at / n_labels],
        column: at % n_labels,
        expected: ranges[at % n_labels % per_step].describe(),
        found: labels[at],
    })
}
