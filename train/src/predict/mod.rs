//! Answers for arrays of windows, for tables of feature rows, for files of bars, for frames of raw columns and for the batches
//! of a foreign library.

mod bars;
pub mod frame;
pub mod scaled;
mod slide;

pub use bars::{bars, gaps};

use crate::arrays::Array;
use crate::data::DataError;
use slide::Slides;
use std::sync::Arc;
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
    /// Column and label of the series, where the input was a frame.
    pub series: Vec<(String, String)>,
    /// Time index of each row's first answered step, where the input was a frame.
    pub first_step: Vec<i64>,
    /// Whether an input was imputed anywhere.
    pub imputed: bool,
    /// Whether a category that the model does not know was replaced by its unknown one anywhere.
    pub unknown_category: bool,
}

impl Answers {
    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len().max(1)
    }

    /// Remembers what a session remarked.
    fn note(&mut self, flags: Flags) {
        self.imputed |= flags.contains(Flags::IMPUTED);
        self.unknown_category |= flags.contains(Flags::UNKNOWN_CATEGORY);
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
    #[error("input: expected shape [n, {n_rows}, {n_features}] or [{n_rows}, {n_features}], found {found:?}")]
    Shape {
        /// Rows of a whole window, those of the future included.
        n_rows: usize,
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
    /// A model that reads rows of the future was given rows of the past alone.
    #[error(
        "{what}: the model reads {n_ahead} rows of the future behind each window: give whole windows, or bars"
    )]
    NoFuture {
        /// Series or file.
        what: String,
        /// Rows of the future.
        n_ahead: usize,
    },
    /// The model does not say how its inputs come from bars.
    #[error("input `{0}` is not defined from bars in this model: give feature rows instead")]
    NotFromBars(String),
    /// An input that the model reads of the future does not follow from the times of bars.
    #[error(
        "input `{0}` is known in advance, and the times of bars do not tell it: give whole windows instead"
    )]
    Unforeseen(String),
    /// The bars have another interval than the model was made for.
    #[error("{symbol}: expected bars every {expected}, as the model was made for; found {found}")]
    Interval {
        /// Symbol.
        symbol: String,
        /// The model's.
        expected: String,
        /// The bars'.
        found: String,
    },
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
    /// The model does not say how a frame of raw columns becomes its windows.
    #[error(
        "the model does not say which columns of a frame tell series and steps apart: only imports of pytorch-forecasting do"
    )]
    NoFrame,
    /// Cells of a frame.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Steps of a series are missing or repeated within a window.
    #[error("{what}: expected `{column}` {expected} behind {before}, found {found}")]
    Steps {
        /// File and series.
        what: String,
        /// Column that counts steps.
        column: String,
        /// The step before.
        before: i64,
        /// The one behind it.
        expected: i64,
        /// What stands there.
        found: i64,
    },
    /// A batch that does not fit the model.
    #[error("array `{array}`: expected {expected}, found {found}")]
    Batch {
        /// Array.
        array: String,
        /// What the model reads.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The network alone could not be made of the model.
    #[error(transparent)]
    Network(#[from] crate::assemble::AssembleError),
    /// The session refused a window; windows count from the first one that `what` names.
    #[error("{what}: {error}")]
    Run {
        /// Where.
        what: String,
        /// Reason.
        error: tickfuse_core::error::RunError,
    },
}

/// Windows `[n, n_rows, n_features]` or one `[n_rows, n_features]`: the lookback, and the future where the net reads it.
///
/// # Errors
/// [`PredictError`].
pub fn arrays(model: &Arc<Model>, input: &Array) -> Result<Answers, PredictError> {
    let (n_rows, n_features) = (model.schema().n_rows(), model.schema().n_features());
    let fits = matches!(input.shape.as_slice(), [t, f] | [_, t, f] if *t == n_rows && *f == n_features);
    if !fits {
        return Err(PredictError::Shape {
            n_rows,
            n_features,
            found: input.shape.clone(),
        });
    }
    let mut run = Runner::new(model);
    for (i, windows) in input.values.chunks(BATCH * n_rows * n_features).enumerate() {
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

struct Runner {
    session: Session,
    slides: Slides,
    size: usize,
    answers: Answers,
}

impl Runner {
    fn new(model: &Arc<Model>) -> Self {
        let schema = model.schema();
        Self {
            session: Session::new(model, BATCH),
            slides: Slides::new(model),
            size: schema.n_rows() * schema.n_features(),
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
        self.answers.note(flags);
        Ok(())
    }

    fn slide(&mut self, what: &str, rows: &[f64]) -> Result<(), PredictError> {
        self.slide_ahead(what, rows, &[])
    }

    /// Every window of `rows [n, n_features]`, each with the rows of the future behind its last one, `ahead [n, n_ahead, n_features]`.
    fn slide_ahead(&mut self, what: &str, rows: &[f64], ahead: &[f64]) -> Result<(), PredictError> {
        let schema = self.session.model().schema();
        let (n_features, lookback, n_ahead) = (schema.n_features(), schema.lookback(), schema.net.n_ahead());
        let n_rows = rows.len() / n_features;
        if n_rows < lookback {
            return Err(PredictError::TooShort {
                what: what.into(),
                expected: lookback,
                found: n_rows,
            });
        }
        if ahead.len() != rows.len() * n_ahead {
            return Err(PredictError::NoFuture {
                what: what.into(),
                n_ahead,
            });
        }
        if n_ahead == 0 {
            return self.slides.run(what, rows, &mut self.answers);
        }
        let future = n_ahead * n_features;
        let starts: Vec<usize> = (0..=n_rows - lookback).collect();
        for starts in starts.chunks(BATCH) {
            let mut windows = Vec::with_capacity(starts.len() * self.size);
            for start in starts {
                windows.extend_from_slice(&rows[start * n_features..][..lookback * n_features]);
                windows.extend_from_slice(&ahead[(start + lookback - 1) * future..][..future]);
            }
            self.batch(&windows, || format!("{what}: windows from row {}", starts[0]))?;
        }
        Ok(())
    }
}
