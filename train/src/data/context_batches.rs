//! Batches of windows with their contexts, in the rows that an X-Trend net trains on.
//!
//! `x [lookback + context_lookback * n_contexts, batch, F + 2]`: the rows of the window, then those of the contexts step by step
//! (row `lookback + k * n_contexts + c` is step k of context c). Columns: the scaled features, the row's own label in the rows of
//! contexts (zero in those of the window, whose labels are what is asked), the code of the symbol.

use super::contexts::Contexts;
use super::error::DataError;
use super::label::LabelKind;
use super::label_table::LabelTable;
use super::window::{Batches, WindowIndex};
use std::sync::atomic::{AtomicU64, Ordering};

/// Windows of an index with contexts drawn anew every epoch; may be shared between threads.
#[derive(Debug)]
pub struct ContextBatches<'a> {
    batches: &'a Batches,
    index: &'a WindowIndex,
    labels: &'a LabelTable,
    contexts: &'a Contexts,
    /// Label column that the contexts show.
    column: usize,
    /// Positions in the index.
    positions: Vec<usize>,
    /// Code per table.
    codes: Vec<f32>,
    epoch: AtomicU64,
    /// One window in so many is shown as an unknown symbol's.
    hidden: Option<usize>,
}

impl<'a> ContextBatches<'a> {
    /// The windows at `positions` of the index; the contexts show the first label column that is a return.
    ///
    /// # Errors
    /// A window with too few contexts, named; labels without a return.
    pub fn new(
        batches: &'a Batches,
        index: &'a WindowIndex,
        labels: &'a LabelTable,
        contexts: &'a Contexts,
        positions: Vec<usize>,
    ) -> Result<Self, DataError> {
        let Some(column) = labels.return_column() else {
            return Err(DataError::Setting {
                name: "labels of the contexts",
                expected: "a return among them",
                found: labels
                    .kinds
                    .iter()
                    .map(LabelKind::describe)
                    .collect::<Vec<_>>()
                    .join("; "),
            });
        };
        let short = |at: &&usize| {
            contexts.n_possible(&index.samples[**at], index.lookback) < contexts.config().n_contexts
        };
        if let Some(at) = positions.iter().find(short) {
            contexts.draw(index, *at, 0)?;
        }
        Ok(Self {
            batches,
            index,
            labels,
            contexts,
            column,
            positions,
            codes: contexts.codes(),
            epoch: AtomicU64::new(0),
            hidden: None,
        })
    }

    /// Shows one window in `every` as that of an unknown symbol (code 0), so that training reaches this code; its contexts keep
    /// their symbols.
    #[must_use]
    pub fn with_hidden(self, every: Option<usize>) -> Self {
        Self {
            hidden: every,
            ..self
        }
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are no windows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Labels of a window.
    #[must_use]
    pub fn n_labels(&self) -> usize {
        self.batches.n_labels()
    }

    /// Rows of a window and its contexts.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        let config = self.contexts.config();
        self.batches.lookback() + config.context_lookback * config.n_contexts
    }

    /// Columns of a row.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.batches.n_features() + 2
    }

    /// When a window is decided, ns.
    #[must_use]
    pub fn decision_ns(&self, window: usize) -> i64 {
        self.batches.decision_ns(self.positions[window])
    }

    /// Draws the contexts of this epoch from now on.
    pub fn begin_epoch(&self, epoch: usize) {
        self.epoch.store(epoch as u64, Ordering::Relaxed);
    }

    /// Copies windows, contexts and labels: `x[n_rows, B, n_columns]`, `y[B, n_labels]`.
    ///
    /// # Panics
    /// When `x` or `y` has another size, or a window is beyond the set.
    pub fn fill(&self, windows: &[usize], x: &mut [f32], y: &mut [f32]) {
        let (n_batch, n_labels) = (windows.len(), self.n_labels());
        let (rows, columns) = (self.n_rows(), self.n_columns());
        assert_eq!(
            x.len(),
            rows * n_batch * columns,
            "x[{rows}, {n_batch}, {columns}]"
        );
        assert_eq!(y.len(), n_batch * n_labels, "y[{n_batch}, {n_labels}]");
        for (b, &window) in windows.iter().enumerate() {
            let position = self.positions[window];
            y[b * n_labels..(b + 1) * n_labels].copy_from_slice(self.batches.labels(position));
            let mut put = |row: usize, place: (usize, usize), shown: f32, code: f32| {
                let at = (row * n_batch + b) * columns;
                self.put(place, shown, code, &mut x[at..at + columns]);
            };
            let (table, first_row) = self.batches.place(position);
            let lookback = self.batches.lookback();
            let is_hidden = self.hidden.is_some_and(|every| window.is_multiple_of(every));
            let code = if is_hidden { 0.0 } else { self.codes[table] };
            (0..lookback).for_each(|t| put(t, (table, first_row + t), 0.0, code));
            self.put_contexts(position, &mut |row, place, shown| {
                put(lookback + row, place, shown, self.codes[place.0]);
            });
        }
    }

    fn put_contexts(&self, position: usize, put: &mut impl FnMut(usize, (usize, usize), f32)) {
        let config = self.contexts.config();
        let epoch = self.epoch.load(Ordering::Relaxed);
        let drawn = self
            .contexts
            .draw(self.index, position, epoch)
            .expect("counted when made");
        for (c, context) in drawn.iter().enumerate() {
            let table = context.series as usize;
            for k in 0..config.context_lookback {
                let row = context.first_row as usize + k;
                let labels = self.labels.row(table, row).expect("contexts have labels");
                put(k * config.n_contexts + c, (table, row), labels[self.column]);
            }
        }
    }

    /// One row: features, label shown, code.
    fn put(&self, (table, row): (usize, usize), shown: f32, code: f32, out: &mut [f32]) {
        let width = self.batches.n_features();
        out[..width].copy_from_slice(self.batches.rows(table, row, 1));
        out[width] = shown;
        out[width + 1] = code;
    }
}

#[cfg(test)]
mod tests {
    use super::super::contexts::ContextConfig;
    use super::super::label_config::LabelConfig;
    use super::super::table::Panel;
    use super::super::table::tests::{panel, series};
    use super::*;
    use tickfuse_core::bundle::Scaler;

    struct Made {
        panel: Panel,
        labels: LabelTable,
        contexts: Contexts,
        index: WindowIndex,
        batches: Batches,
    }

    fn made() -> Made {
        let times: Vec<i64> = (0..40).collect();
        let panel = panel(&[series("B", 100.0, &times), series("A", 10.0, &times)]);
        let config: LabelConfig =
            toml::from_str(r#"columns = [{ kind = "direction" }, { kind = "return" }]"#).unwrap();
        let labels = LabelTable::new(&panel, &config, 1).unwrap();
        let config = ContextConfig {
            n_contexts: 3,
            context_lookback: 2,
            other_symbols: false,
            seed: 1,
        };
        let contexts = Contexts::new(&panel, &labels, config).unwrap();
        let index = contexts.trim(&WindowIndex::new(&panel, 4, 1).unwrap()).unwrap();
        let batches = Batches::labelled(&panel, &index, &[Scaler::IDENTITY; 2], &labels).unwrap();
        Made {
            panel,
            labels,
            contexts,
            index,
            batches,
        }
    }

    fn filled(source: &ContextBatches<'_>, windows: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let mut x = vec![f32::NAN; source.n_rows() * windows.len() * source.n_columns()];
        let mut y = vec![f32::NAN; windows.len() * source.n_labels()];
        source.fill(windows, &mut x, &mut y);
        (x, y)
    }

    #[test]
    fn rows_are_the_window_then_the_contexts_step_by_step() {
        let m = made();
        let source =
            ContextBatches::new(&m.batches, &m.index, &m.labels, &m.contexts, vec![5, 9, 20]).unwrap();
        let windows = [2, 0];
        let (x, y) = filled(&source, &windows);
        assert_eq!(
            (source.n_rows(), source.n_columns(), x.len()),
            (4 + 6, 4, 10 * 2 * 4)
        );
        for (b, position) in [20, 5].into_iter().enumerate() {
            let row = |r: usize| &x[(r * 2 + b) * 4..(r * 2 + b + 1) * 4];
            let sample = &m.index.samples[position];
            let table = &m.panel.tables[sample.series as usize];
            let code = if table.symbol == "A" { 1.0 } else { 2.0 };
            for t in 0..4 {
                let features = table.row(sample.end_row as usize - 3 + t);
                assert_eq!(row(t), [features[0] as f32, features[1] as f32, 0.0, code]);
            }
            let drawn = m.contexts.draw(&m.index, position, 0).unwrap();
            for (c, context) in drawn.iter().enumerate() {
                let table = &m.panel.tables[context.series as usize];
                for k in 0..2 {
                    let at = context.first_row as usize + k;
                    let shown = (table.close[at + 1] / table.close[at] - 1.0) as f32;
                    assert_eq!(row(4 + k * 3 + c)[1..3], [table.row(at)[1] as f32, shown]);
                }
            }
            assert_eq!(y[b * 2 + 1], sample.future_return as f32);
        }
    }

    #[test]
    fn contexts_change_with_the_epoch_and_nothing_else_does() {
        let m = made();
        let last = m.index.samples.len() - 1;
        let source = ContextBatches::new(&m.batches, &m.index, &m.labels, &m.contexts, vec![last]).unwrap();
        let (first, labels) = filled(&source, &[0]);
        source.begin_epoch(1);
        let (second, again) = filled(&source, &[0]);
        assert_eq!((&first[..16], labels), (&second[..16], again));
        assert_ne!(first[16..], second[16..]);
        source.begin_epoch(0);
        assert_eq!(filled(&source, &[0]).0, first);
    }

    #[test]
    fn a_hidden_window_is_a_strangers_and_its_contexts_are_not() {
        let m = made();
        let source = ContextBatches::new(&m.batches, &m.index, &m.labels, &m.contexts, vec![20, 21]).unwrap();
        let codes = |source: &ContextBatches<'_>| -> Vec<f32> {
            filled(source, &[0, 1])
                .0
                .iter()
                .skip(3)
                .step_by(4)
                .copied()
                .collect()
        };
        let (shown, hidden) = (codes(&source), codes(&source.with_hidden(Some(2))));
        for (at, (shown, hidden)) in shown.iter().zip(&hidden).enumerate() {
            let is_stranger = at / 2 < 4 && at % 2 == 0;
            assert_eq!(*hidden, if is_stranger { 0.0 } else { *shown }, "{at}");
        }
    }

    #[test]
    fn a_window_without_contexts_and_labels_without_returns_are_refused() {
        let m = made();
        let index = WindowIndex::new(&m.panel, 4, 1).unwrap();
        let batches = Batches::labelled(&m.panel, &index, &[Scaler::IDENTITY; 2], &m.labels).unwrap();
        let error = ContextBatches::new(&batches, &index, &m.labels, &m.contexts, vec![30, 0]).unwrap_err();
        assert!(error.to_string().contains("found 0"), "{error}");
        let config: LabelConfig = toml::from_str(r#"columns = [{ kind = "direction" }]"#).unwrap();
        let labels = LabelTable::new(&m.panel, &config, 1).unwrap();
        let error = ContextBatches::new(&m.batches, &m.index, &labels, &m.contexts, vec![5]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("labels of the contexts: expected a return"),
            "{error}"
        );
    }
}
