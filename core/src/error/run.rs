//! Running a window, a row or a bar.

use super::{FeatureError, StateError};
use core::fmt;

/// Why a window was not answered. Nothing was written to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The input slice has the wrong length.
    InputLength {
        /// Values expected.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// The output slice has the wrong length.
    OutputLength {
        /// Values expected.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// An input is NaN or infinite and its policy is to refuse.
    NonFinite {
        /// Window in the batch.
        window: usize,
        /// Row in the window.
        row: usize,
        /// Feature column.
        column: usize,
    },
    /// A value of a categorical column is no code, and the column has no unknown one.
    Category {
        /// Window in the batch.
        window: usize,
        /// Row in the window.
        row: usize,
        /// Column.
        column: usize,
        /// Codes run from 0 to below this.
        n_categories: usize,
    },
    /// Rows of the past out of range.
    EncoderLength {
        /// Fewest.
        expected: usize,
        /// Most.
        limit: usize,
        /// Rows found.
        found: usize,
    },
    /// Rows of the future out of range.
    DecoderLength {
        /// Most; at least one where this is not 0.
        limit: usize,
        /// Rows found.
        found: usize,
    },
    /// The model reads rows of the future, and none came.
    NoFuture {
        /// Most.
        limit: usize,
    },
    /// A batch of zero windows, or more than the session was made for.
    Batch {
        /// Largest batch of this session.
        limit: usize,
        /// Windows asked for.
        found: usize,
    },
    /// The net attends to no contexts.
    NoContexts,
    /// No contexts, or more than the net takes.
    ContextCount {
        /// Most.
        limit: usize,
        /// Contexts found.
        found: usize,
    },
    /// The rows of contexts have the wrong length.
    ContextLength {
        /// Values expected for as many contexts as there are entities.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// The entity of a context is no code.
    ContextEntity {
        /// Context.
        context: usize,
        /// Codes run from 0 to below this.
        n_entities: usize,
        /// Code found.
        found: u32,
    },
    /// A value of a context is not finite once scaled.
    ContextNonFinite {
        /// Context.
        context: usize,
        /// Row in the context.
        row: usize,
        /// Column in the context.
        column: usize,
    },
    /// The contexts were encoded by another model, or by this one opened another time.
    ForeignContexts,
    /// A category that the model does not have, or a label it does not know and has no unknown one for.
    NoCategory,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCategory => f.write_str(
                "expected a category of the model, and a label it knows or has an unknown one for",
            ),
            Self::InputLength { expected, found } => {
                write!(f, "input: expected {expected} values, found {found}")
            }
            Self::OutputLength { expected, found } => {
                write!(f, "output: expected room for {expected} values, found {found}")
            }
            Self::Category {
                window,
                row,
                column,
                n_categories,
            } => write!(
                f,
                "input: window {window}, row {row}, column {column}: expected a category code from 0 to {}",
                n_categories - 1
            ),
            Self::EncoderLength {
                expected,
                limit,
                found,
            } => write!(f, "encoder rows: expected {expected} to {limit}, found {found}"),
            Self::DecoderLength { limit, found } => {
                write!(
                    f,
                    "decoder rows: expected {} to {limit}, found {found}",
                    limit.min(&1)
                )
            }
            Self::NoFuture { limit } => write!(
                f,
                "expected 1 to {limit} rows of the future behind the row, which this model reads, found none"
            ),
            Self::NonFinite { window, row, column } => {
                write!(
                    f,
                    "input: window {window}, row {row}, column {column} is NaN or infinite"
                )
            }
            Self::Batch { limit, found } => {
                write!(f, "batch: expected 1 to {limit} windows, found {found}")
            }
            Self::NoContexts => f.write_str("contexts: this model attends to none, only an X-Trend does"),
            Self::ContextCount { limit, found } => {
                write!(f, "contexts: expected 1 to {limit}, found {found}")
            }
            Self::ContextLength { expected, found } => {
                write!(f, "contexts: expected {expected} values, found {found}")
            }
            Self::ContextEntity {
                context,
                n_entities,
                found,
            } => write!(
                f,
                "context {context}: expected an entity code below {n_entities}, found {found}"
            ),
            Self::ContextNonFinite { context, row, column } => write!(
                f,
                "context {context}, row {row}, column {column}: expected a value that is finite once scaled"
            ),
            Self::ForeignContexts => {
                f.write_str("contexts: expected some that this opened model encoded, found another's")
            }
        }
    }
}

impl core::error::Error for RunError {}

/// Why a stream was not made, or a bar not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The model does not make its rows from bars.
    NoBars,
    /// Rows of the future do not follow from the times of bars.
    Unforeseen {
        /// The first column that is known in advance and no calendar feature.
        column: usize,
    },
    /// Rows of the future need the time from bar to bar, which the model does not say.
    NoInterval,
    /// A set has no symbol of this number.
    Symbol {
        /// Symbols of the set.
        n_symbols: usize,
        /// Number given.
        found: usize,
    },
    /// The slice for the steps of a set has the wrong length.
    Steps {
        /// Symbols of the set.
        expected: usize,
        /// Steps found.
        found: usize,
    },
    /// The row of one symbol of a set was refused.
    Row {
        /// Its number.
        symbol: usize,
        /// Why.
        error: RunError,
    },
    /// The bar was refused.
    Feature(FeatureError),
    /// The row was refused.
    Run(RunError),
    /// The saved state was refused.
    State(StateError),
}

impl From<StateError> for StreamError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<FeatureError> for StreamError {
    fn from(error: FeatureError) -> Self {
        Self::Feature(error)
    }
}

impl From<RunError> for StreamError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBars => {
                f.write_str("expected a model whose inputs are features of bars; this one takes rows")
            }
            Self::Unforeseen { column } => write!(
                f,
                "expected calendar features in all columns known in advance, found something else in column {column}: \
                 bars do not tell the rows of the future, which come with rows"
            ),
            Self::NoInterval => f.write_str(
                "expected a model that says how far its bars are apart, for the times of bars of the future",
            ),
            Self::Symbol { n_symbols, found } => {
                write!(f, "symbol: expected a number below {n_symbols}, found {found}")
            }
            Self::Steps { expected, found } => {
                write!(f, "steps: expected room for {expected}, found {found}")
            }
            Self::Row { symbol, error } => write!(f, "symbol {symbol}: {error}"),
            Self::State(error) => error.fmt(f),
            Self::Feature(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StreamError {}
