//! Figures of a model file on a part of the split, computed by serving it: raw rows in, its own scalers, its outputs.

use super::{Experiment, ExperimentError, outputs};
use crate::data::split::Part;
use crate::data::window::Sample;
use crate::fit::state::FitState;
use crate::losses::Answers;
use crate::metrics::Degenerate;
use crate::metrics::sameness::Compare;
use crate::metrics::scores::{Context, Scores};
use std::sync::Arc;
use tickfuse_core::bundle::Role;
use tickfuse_core::{Model, Session};

/// Windows per call.
const BATCH: usize = 60;

/// Scores of the answers to the part's windows. A net that answers every step while it learns is scored on the last one, which
/// alone is served.
///
/// # Errors
/// [`ExperimentError::Run`] when the model refuses a window.
pub fn evaluate(
    experiment: &Experiment,
    model: &Arc<Model>,
    part: &Part,
    state: &FitState,
) -> Result<Scores, ExperimentError> {
    let schema = model.schema();
    let (width, n_outputs) = (schema.n_rows() * schema.n_features(), schema.n_outputs());
    let n_labels = experiment.labels.kinds.len() * schema.n_steps();
    let mut session = Session::new(model, BATCH);
    let (mut answers, mut labels, mut compare) = (Vec::new(), Vec::new(), Compare::bits());
    let mut out = vec![0.0; BATCH * n_outputs];
    for positions in part.samples.chunks(BATCH) {
        let mut windows = Vec::with_capacity(BATCH * width);
        for &position in positions {
            raw_window(experiment, &experiment.index.samples[position], &mut windows);
            let all = experiment.batches.labels(position);
            let units = experiment.label_units.iter().cycle();
            labels.extend(
                all[all.len() - n_labels..]
                    .iter()
                    .zip(units)
                    .map(|(y, unit)| unit.undo(f64::from(*y))),
            );
        }
        let out = &mut out[..positions.len() * n_outputs];
        session.run_batch(&windows, positions.len(), out)?;
        for (window, answer) in windows.chunks_exact(width).zip(out.chunks_exact(n_outputs)) {
            let window: Vec<f32> = window.iter().map(|x| *x as f32).collect();
            compare.add(&window, answer);
            for row in answer.chunks_exact(schema.n_columns()) {
                outputs::unlinked(&schema.outputs, row, &mut answers);
            }
        }
    }
    let dates: Vec<i64> = part
        .samples
        .iter()
        .map(|at| experiment.index.samples[*at].decision_ns)
        .collect();
    let baselines = state
        .baselines
        .clone()
        .out_of_units(&experiment.config.fit.loss, &experiment.label_units);
    let context = Context {
        train_rate: state.train_rate,
        baselines: &baselines,
        horizon: experiment.index.horizon,
        dates: &dates,
    };
    let answers = by_step(schema.n_steps(), schema.n_columns(), &answers, labels);
    let loss = outputs::served(&experiment.config.fit.loss, &experiment.served);
    let mut scores = Scores::of(&loss, &answers, context);
    if compare.sameness().is_degenerate() {
        scores.mark(Degenerate::Shared);
    }
    Ok(scores)
}

/// Raw rows of a window; in those ahead only known columns have their values.
fn raw_window(experiment: &Experiment, sample: &Sample, out: &mut Vec<f64>) {
    let table = &experiment.panel.tables[sample.series as usize];
    let code = experiment.code(sample.series as usize).map(f64::from);
    let end = sample.end_row as usize + 1;
    for row in end - experiment.index.lookback..end + experiment.config.net.n_ahead() {
        let shows = |role: Role| row < end || role == Role::Known;
        let columns = table.row(row).iter().zip(&experiment.inputs);
        out.extend(columns.map(|(x, input)| if shows(input.role) { *x } else { 0.0 }));
        out.extend(code);
    }
}

/// Answers `[windows, steps, columns]` step after step.
fn by_step(n_steps: usize, n_columns: usize, answers: &[f64], labels: Vec<f64>) -> Answers {
    let n_windows = answers.len() / (n_steps * n_columns);
    let rows = (0..n_steps).flat_map(|step| (0..n_windows).map(move |window| window * n_steps + step));
    let out = rows
        .flat_map(|row| answers[row * n_columns..][..n_columns].iter().copied())
        .collect();
    Answers::new(&[n_steps, n_windows, n_columns], out, labels)
}
