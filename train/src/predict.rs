//! Answers for arrays of windows, for tables of feature rows and for files of bars.

use crate::arrays::Array;
use std::sync::Arc;
use tickfuse_core::features::{Bar, FeatureSet, Ready};
use tickfuse_core::{Flags, Model, Session};

/// Windows per call of the session.
const BATCH: usize = 60;

/// Answers row by row, with what each row is about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// Output columns.
    pub names: Vec<String>,
    /// `[n, n_outputs]`.
    pub values: Vec<f32>,
    /// Symbol of each row, where the input had symbols.
    pub symbols: Vec<String>,
    /// Open time of each window's last bar, where the input had times.
    pub ts_ns: Vec<i64>,
    /// Whether an input was imputed anywhere.
    pub imputed: bool,
}

impl Answers {
    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len().max(1)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The array has another shape.
    #[error(
        "input: expected shape [n, {lookback}, {n_features}] or [{lookback}, {n_features}], found {found:?}"
    )]
    Shape {
        /// Rows of a window.
        lookback: usize,
        /// Columns.
        n_features: usize,
        /// Shape found.
        found: Vec<usize>,
    },
    /// Fewer rows than a window needs.
    #[error("{what}: expected at least {expected} rows, found {found}")]
    TooShort {
        /// Series or file.
        what: String,
        /// Rows needed.
        expected: usize,
        /// Rows found.
        found: usize,
    },
    /// The model does not say how its inputs come from bars.
    #[error("input `{0}` is not defined from bars in this model: give feature rows instead")]
    NotFromBars(String),
    /// A bar was refused.
    #[error("{symbol}: bar {bar}: {error}")]
    Bar {
        /// Symbol.
        symbol: String,
        /// Index in the series.
        bar: usize,
        /// Reason.
        error: tickfuse_core::error::FeatureError,
    },
    /// The session refused a window; rows count from the first window of the call.
    #[error("{what}: {error}")]
    Run {
        /// Where.
        what: String,
        /// Reason.
        error: tickfuse_core::error::RunError,
    },
}

/// Windows `[n, lookback, n_features]` or one `[lookback, n_features]`.
///
/// # Errors
/// [`PredictError`].
pub fn arrays(model: &Arc<Model>, input: &Array) -> Result<Answers, PredictError> {
    let (lookback, n_features) = (model.schema().lookback(), model.schema().n_features());
    let fits = matches!(input.shape.as_slice(), [t, f] | [_, t, f] if *t == lookback && *f == n_features);
    if !fits {
        return Err(PredictError::Shape {
            lookback,
            n_features,
            found: input.shape.clone(),
        });
    }
    let mut run = Runner::new(model);
    for (i, windows) in input.values.chunks(BATCH * lookback * n_features).enumerate() {
        run.batch(windows, || format!("windows {} and on", i * BATCH))?;
    }
    Ok(run.answers)
}

/// Every window of a table of feature rows `[rows, n_features]`, oldest first.
///
/// # Errors
/// [`PredictError`].
pub fn rows(model: &Arc<Model>, what: &str, rows: &[f64]) -> Result<Answers, PredictError> {
    let mut run = Runner::new(model);
    run.slide(what, rows)?;
    Ok(run.answers)
}

/// Every window of a series of bars, features computed as the model defines them.
///
/// # Errors
/// [`PredictError`].
pub fn bars(model: &Arc<Model>, symbol: &str, bars: &[Bar]) -> Result<Answers, PredictError> {
    let mut features = model.feature_set().map_err(PredictError::NotFromBars)?;
    let n = features.n_features();
    let (mut table, mut row, mut ts_ns) = (Vec::new(), vec![0.0; n], Vec::new());
    for (bar, one) in bars.iter().enumerate() {
        let ready = features.push(one, &mut row);
        let ready = ready.map_err(|error| PredictError::Bar {
            symbol: symbol.into(),
            bar,
            error,
        })?;
        if ready == Ready::Row {
            table.extend_from_slice(&row);
            ts_ns.push(one.ts_ns);
        }
    }
    let mut answers = rows(model, symbol, &table)?;
    answers.ts_ns = ts_ns.split_off(model.schema().lookback() - 1);
    answers.symbols = vec![symbol.into(); answers.len()];
    Ok(answers)
}

/// Bars that must be read before the first answer.
#[must_use]
pub fn bars_needed(features: &FeatureSet, lookback: usize) -> usize {
    features.warm_up() + lookback
}

struct Runner {
    session: Session,
    size: usize,
    answers: Answers,
}

impl Runner {
    fn new(model: &Arc<Model>) -> Self {
        let schema = model.schema();
        Self {
            session: Session::new(model, BATCH),
            size: schema.lookback() * schema.n_features(),
            answers: Answers {
                names: schema.output_names(),
                ..Answers::default()
            },
        }
    }

    fn batch(&mut self, windows: &[f64], what: impl Fn() -> String) -> Result<(), PredictError> {
        let n = windows.len() / self.size;
        let at = self.answers.values.len();
        self.answers.values.resize(at + n * self.answers.names.len(), 0.0);
        let out = &mut self.answers.values[at..];
        let flags = self.session.run_batch(windows, n, out);
        let flags = flags.map_err(|error| PredictError::Run { what: what(), error })?;
        self.answers.imputed |= flags.contains(Flags::IMPUTED);
        Ok(())
    }

    fn slide(&mut self, what: &str, rows: &[f64]) -> Result<(), PredictError> {
        let n_features = self.session.model().schema().n_features();
        let lookback = self.size / n_features;
        let n_rows = rows.len() / n_features;
        if n_rows < lookback {
            return Err(PredictError::TooShort {
                what: what.into(),
                expected: lookback,
                found: n_rows,
            });
        }
        let starts: Vec<usize> = (0..=n_rows - lookback).collect();
        for starts in starts.chunks(BATCH) {
            let windows: Vec<f64> = starts
                .iter()
                .flat_map(|s| &rows[s * n_features..][..self.size])
                .copied()
                .collect();
            self.batch(&windows, || format!("{what}: windows from row {}", starts[0]))?;
        }
        Ok(())
    }
}
