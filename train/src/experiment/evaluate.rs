//! Figures of a model file on a part of the split, computed by serving it: raw rows in, its own scalers, its outputs.

use super::{Experiment, ExperimentError};
use crate::data::split::Part;
use crate::metrics::sameness::Compare;
use crate::metrics::{BinaryMetrics, Degenerate, MetricOptions};
use std::sync::Arc;
use tickfuse_core::{Model, Session};

/// Windows per call.
const BATCH: usize = 60;

/// Metrics of the first output column, a probability of up, over the part's windows.
///
/// # Errors
/// [`ExperimentError::Run`] when the model refuses a window.
pub fn evaluate(
    experiment: &Experiment,
    model: &Arc<Model>,
    part: &Part,
    train_rate: f64,
) -> Result<BinaryMetrics, ExperimentError> {
    let index = &experiment.index;
    let (n_features, n_outputs) = (model.schema().n_features(), model.schema().n_outputs());
    let mut session = Session::new(model, BATCH);
    let (mut p, mut labels, mut compare) = (Vec::new(), Vec::new(), Compare::bits());
    let mut out = vec![0.0; BATCH * n_outputs];
    for positions in part.samples.chunks(BATCH) {
        let mut windows = Vec::with_capacity(BATCH * index.lookback * n_features);
        for sample in positions.iter().map(|i| &index.samples[*i]) {
            let table = &experiment.panel.tables[sample.series as usize];
            let end = sample.end_row as usize + 1;
            for row in end - index.lookback..end {
                windows.extend_from_slice(table.row(row));
                windows.extend(experiment.code(sample.series as usize).map(f64::from));
            }
            labels.push(f32::from(u8::from(sample.up)));
        }
        let out = &mut out[..positions.len() * n_outputs];
        session.run_batch(&windows, positions.len(), out)?;
        let width = index.lookback * n_features;
        for (window, answer) in windows.chunks_exact(width).zip(out.chunks_exact(n_outputs)) {
            let window: Vec<f32> = window.iter().map(|x| *x as f32).collect();
            compare.add(&window, answer);
        }
        p.extend(out.iter().step_by(n_outputs).map(|v| f64::from(*v)));
    }
    let options = MetricOptions::new(train_rate, index.horizon);
    let mut metrics = BinaryMetrics::from_probabilities(&p, &labels, options);
    let shared = compare.sameness().is_degenerate();
    metrics.degenerate.extend(shared.then_some(Degenerate::Shared));
    Ok(metrics)
}
