//! The contexts a model file carries: the last ones that were known before validation began.
//!
//! They answer for every symbol, so none is left out for the one asked about; a program that wants fresher ones, or others, hands
//! its own to the session.

use super::{Experiment, ExperimentError};
use crate::data::contexts::Contexts;
use crate::data::label_table::LabelTable;
use crate::data::time::iso;
use tickfuse_core::bundle::{CONTEXTS_PREFIX, Net, XtrendForm};
use tickfuse_core::plain::PlainTensor;

/// A table that is none, so that contexts of every symbol are admitted.
const NO_TABLE: u32 = u32::MAX;

/// `contexts.input [n_contexts, context_lookback, F (+ 1)]`, raw rows with the label shown in the paper's form, and
/// `contexts.entity [n_contexts]`.
pub(super) fn of(
    experiment: &Experiment,
    contexts: &Contexts,
) -> Result<[(String, PlainTensor); 2], ExperimentError> {
    let begins_ns = experiment.split.validation.from_ns.unwrap_or(i64::MAX);
    let drawn = contexts.draw_before(NO_TABLE, begins_ns, 0).ok_or_else(|| {
        ExperimentError::Net(format!(
            "n_contexts: expected {} known before {}, found fewer",
            contexts.config().n_contexts,
            iso(begins_ns)
        ))
    })?;
    let shows_label = matches!(&experiment.served, Net::Xtrend(net) if net.form == XtrendForm::Separate);
    let (steps, codes) = (contexts.config().context_lookback, contexts.codes());
    let (mut input, mut entity) = (Vec::new(), Vec::new());
    for context in &drawn {
        let table = context.series as usize;
        entity.push(codes[table]);
        for row in context.first_row as usize..context.first_row as usize + steps {
            input.extend(experiment.panel.tables[table].row(row).iter().map(|x| *x as f32));
            input.extend(shows_label.then(|| shown(&experiment.labels, table, row)));
        }
    }
    let width = experiment.columns.len() + usize::from(shows_label);
    let tensor = |shape: Vec<usize>, data| PlainTensor { shape, data };
    Ok([
        (
            format!("{CONTEXTS_PREFIX}input"),
            tensor(vec![drawn.len(), steps, width], input),
        ),
        (
            format!("{CONTEXTS_PREFIX}entity"),
            tensor(vec![drawn.len()], entity),
        ),
    ])
}

/// The label that contexts show: the first return.
fn shown(labels: &LabelTable, table: usize, row: usize) -> f32 {
    let column = labels.return_column().expect("checked when batches were made");
    labels.row(table, row).expect("contexts have labels")[column]
}
