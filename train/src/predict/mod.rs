//! Answers for arrays of windows, for tables of feature rows, for files of bars, for frames of raw columns and for the batches
//! of a foreign library.

pub mod frame;
pub mod scaled;

use crate::arrays::Array;
use crate::data::DataError;
use crate::data::bars::Series;
use crate::data::time::span;
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
    /// The model does not say how its inputs come from bars.
    #[error("input `{0}` is not defined from bars in this model: give feature rows instead")]
    NotFromBars(String),
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
    /// The session refused a window; rows count from the first window of the call.
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

/// Every window of a series of bars, features computed as the model defines them.
///
/// With `max_missing_bars` features and windows start anew behind every longer gap, as in training; without it they
/// run across gaps ([`gaps`] counts them).
///
/// # Errors
/// [`PredictError`]; [`PredictError::Interval`] where the bars are not of the interval the model was made for.
pub fn bars(
    model: &Arc<Model>,
    symbol: &str,
    bars: &[Bar],
    max_missing_bars: Option<u32>,
) -> Result<Answers, PredictError> {
    let mut features = model.feature_set().map_err(PredictError::NotFromBars)?;
    let interval = checked_interval(model, symbol, bars)?;
    let max_step = max_missing_bars.map_or(i64::MAX, |n| interval.saturating_mul(i64::from(n) + 1));
    let lookback = model.schema().lookback();
    let mut run = Runner::new(model);
    let (mut first, mut longest, mut ts_ns) = (0, 0, Vec::new());
    for segment in bars.chunk_by(|a, b| b.ts_ns.saturating_sub(a.ts_ns) <= max_step) {
        let (table, times) = segment_rows(&mut features, symbol, segment, first)?;
        first += segment.len();
        longest = longest.max(times.len());
        if times.len() >= lookback {
            run.slide(symbol, &table)?;
            ts_ns.extend_from_slice(&times[lookback - 1..]);
        }
    }
    if ts_ns.is_empty() {
        return Err(PredictError::TooShort {
            what: symbol.into(),
            expected: lookback,
            found: longest,
        });
    }
    let mut answers = run.answers;
    answers.symbols = vec![symbol.into(); ts_ns.len()];
    answers.ts_ns = ts_ns;
    Ok(answers)
}

/// Feature rows of one stretch of bars and their times; `first` is the stretch's place in its series.
fn segment_rows(
    features: &mut FeatureSet,
    symbol: &str,
    segment: &[Bar],
    first: usize,
) -> Result<(Vec<f64>, Vec<i64>), PredictError> {
    features.reset();
    let (mut table, mut row, mut times) = (Vec::new(), vec![0.0; features.n_features()], Vec::new());
    for (i, bar) in segment.iter().enumerate() {
        let ready = features.push(bar, &mut row);
        let ready = ready.map_err(|error| PredictError::Bar {
            symbol: symbol.into(),
            bar: first + i,
            error,
        })?;
        if ready == Ready::Row {
            table.extend_from_slice(&row);
            times.push(bar.ts_ns);
        }
    }
    Ok((table, times))
}

/// The commonest step of the bars, which must be the model's interval where it states one.
fn checked_interval(model: &Model, symbol: &str, bars: &[Bar]) -> Result<i64, PredictError> {
    let series = Series::new(symbol, bars.to_vec(), "");
    let found = series.interval_ns();
    match (model.schema().bar_interval_ns, found) {
        (Some(expected), Some(found)) if expected != found => Err(PredictError::Interval {
            symbol: symbol.into(),
            expected: span(expected),
            found: span(found),
        }),
        (_, Some(found)) => Ok(found),
        (_, None) => Err(PredictError::TooShort {
            what: symbol.into(),
            expected: 2,
            found: bars.len(),
        }),
    }
}

/// Neighbouring bars further apart than the series' commonest step.
#[must_use]
pub fn gaps(symbol: &str, bars: &[Bar]) -> usize {
    let interval = Series::new(symbol, bars.to_vec(), "")
        .interval_ns()
        .unwrap_or(i64::MAX);
    bars.windows(2)
        .filter(|two| two[1].ts_ns - two[0].ts_ns > interval)
        .count()
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
