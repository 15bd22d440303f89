//! The windows of one part of the split as the trainer reads them: features, and the symbol's code where a net reads one.

use super::Experiment;
use crate::data::context_batches::ContextBatches;
use crate::data::split::Part;
use crate::fit::BatchSource;

/// One training window in so many is shown as an unknown symbol's, so that this code is trained too.
pub(super) const UNKNOWN_EVERY: usize = 20;

/// Who reads the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Some windows are shown as an unknown symbol's.
    Learning,
    /// None is.
    Scoring,
}

/// The windows of a part.
pub(super) fn source<'a>(
    experiment: &'a Experiment,
    part: &'a Part,
    purpose: Use,
) -> Result<Box<dyn BatchSource + 'a>, super::ExperimentError> {
    let hidden = (purpose == Use::Learning).then_some(UNKNOWN_EVERY);
    if let Some(contexts) = &experiment.contexts {
        let Experiment {
            batches,
            index,
            labels,
            ..
        } = experiment;
        let made = ContextBatches::new(batches, index, labels, contexts, part.samples.clone())?;
        return Ok(Box::new(made.with_hidden(hidden)));
    }
    let n_tables = 0..experiment.panel.tables.len();
    Ok(Box::new(Windows {
        experiment,
        part,
        codes: n_tables.map(|series| experiment.code(series)).collect(),
        hidden,
    }))
}

struct Windows<'a> {
    experiment: &'a Experiment,
    part: &'a Part,
    /// Codes of the tables' symbols, where the net reads them behind the features.
    codes: Option<Vec<f32>>,
    hidden: Option<usize>,
}

impl BatchSource for Windows<'_> {
    fn len(&self) -> usize {
        self.part.samples.len()
    }

    fn n_labels(&self) -> usize {
        self.experiment.batches.n_labels()
    }

    fn decision_ns(&self, window: usize) -> Option<i64> {
        Some(self.experiment.index.samples[self.part.samples[window]].decision_ns)
    }

    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]) {
        let positions: Vec<usize> = indices.iter().map(|i| self.part.samples[*i]).collect();
        let batches = &self.experiment.batches;
        let Some(codes) = &self.codes else {
            batches.fill(&positions, x, y);
            return;
        };
        let n = batches.n_features();
        let mut rows = vec![0.0; x.len() / (n + 1) * n];
        batches.fill(&positions, &mut rows, y);
        for (at, (row, x)) in rows.chunks_exact(n).zip(x.chunks_exact_mut(n + 1)).enumerate() {
            let window = at % indices.len();
            let is_hidden = self
                .hidden
                .is_some_and(|every| indices[window].is_multiple_of(every));
            let series = self.experiment.index.samples[positions[window]].series as usize;
            x[..n].copy_from_slice(row);
            x[n] = if is_hidden { 0.0 } else { codes[series] };
        }
    }
}
