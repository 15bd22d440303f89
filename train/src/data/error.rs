//! What can be wrong with bars, snapshots and windows: one variant per rule, with file, row and column.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use tickfuse_core::error::FeatureError;

/// Why data was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: {reason}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The file name does not end in a known extension.
    #[error("{}: expected a .parquet or .csv file, found extension `{found}`", path.display())]
    Extension {
        /// File.
        path: PathBuf,
        /// Extension found, empty for none.
        found: String,
    },
    /// The file is not what its extension says, or is damaged.
    #[error("{}: {detail}", path.display())]
    Malformed {
        /// File.
        path: PathBuf,
        /// What the reader found.
        detail: String,
    },
    /// The file or folder holds no bars.
    #[error("{}: expected at least one bar, found none", path.display())]
    Empty {
        /// File or folder.
        path: PathBuf,
    },
    /// A needed column is absent.
    #[error("{}: no column for {field}: expected one of {expected}, found columns {found}", path.display())]
    MissingColumn {
        /// File.
        path: PathBuf,
        /// What the column would hold.
        field: &'static str,
        /// Accepted names.
        expected: String,
        /// Names found.
        found: String,
    },
    /// Two columns could hold the same field.
    #[error("{}: two columns for {field}, `{first}` and `{second}`: expected one", path.display())]
    AmbiguousColumn {
        /// File.
        path: PathBuf,
        /// What the column would hold.
        field: &'static str,
        /// The first of them.
        first: String,
        /// The second of them.
        second: String,
    },
    /// A column has a type that cannot hold its field.
    #[error("{}: column `{column}`: expected {expected}, found {found}", path.display())]
    ColumnType {
        /// File.
        path: PathBuf,
        /// Column name.
        column: String,
        /// Accepted types.
        expected: &'static str,
        /// Type found.
        found: String,
    },
    /// One value cannot be read.
    #[error("{place}: expected {expected}, found {found}")]
    Value {
        /// Where it stands.
        place: Box<Place>,
        /// What would be accepted.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Whole numbers in the time column whose unit cannot be told.
    #[error(
        "{}: column `{column}`: largest time {found} fits no unit between 1980 and 2262; \
         state the unit (s, ms, us, ns)", path.display()
    )]
    TimeUnit {
        /// File.
        path: PathBuf,
        /// Column name.
        column: String,
        /// Largest value of the column.
        found: i64,
    },
    /// The bars of a series are disordered, duplicated or not numbers.
    #[error("{}: {symbol}: {problems}; `tickfuse data inspect` lists every row", path.display())]
    Unclean {
        /// File.
        path: PathBuf,
        /// Symbol of the series.
        symbol: String,
        /// Kinds, counts and first rows.
        problems: String,
    },
    /// Two files cover the same time of one symbol.
    #[error(
        "{symbol}: {} and {} overlap in time: expected one source per symbol and time",
        first.display(), second.display()
    )]
    Overlap {
        /// Symbol of both.
        symbol: String,
        /// The file that starts earlier.
        first: PathBuf,
        /// The file that starts before the first one ends.
        second: PathBuf,
    },
    /// A table of rows where bars are needed.
    #[error("{}: {symbol}: {what}: expected bars, found a table without prices", path.display())]
    NoPrices {
        /// File.
        path: PathBuf,
        /// Symbol of the series.
        symbol: String,
        /// What needs prices.
        what: &'static str,
    },
    /// The feature engine refused a bar.
    #[error("{}: row {row}: {symbol}: {reason}", path.display())]
    Feature {
        /// File of the series.
        path: PathBuf,
        /// Symbol of the series.
        symbol: String,
        /// Row of the bar.
        row: u64,
        /// The engine's reason.
        reason: FeatureError,
    },
    /// A feature came out NaN or infinite.
    #[error("{}: row {row}: {symbol}: feature `{feature}`: expected a finite number, found {found}", path.display())]
    NonFiniteFeature {
        /// File of the series.
        path: PathBuf,
        /// Symbol of the series.
        symbol: String,
        /// Row of the bar.
        row: u64,
        /// Feature name.
        feature: String,
        /// Its value.
        found: f64,
    },
    /// Series with different bar intervals in one panel.
    #[error("one bar interval per panel: {first} has {first_ns} ns, {second} has {second_ns} ns")]
    MixedIntervals {
        /// A symbol.
        first: String,
        /// Its interval.
        first_ns: i64,
        /// A symbol that differs.
        second: String,
        /// Its interval.
        second_ns: i64,
    },
    /// A symbol has no stretch long enough for one labelled window.
    #[error(
        "{symbol}: too little history: expected {expected} consecutive feature rows \
         (lookback and horizon), longest stretch has {found}"
    )]
    TooLittleHistory {
        /// Symbol.
        symbol: String,
        /// Rows one labelled window needs.
        expected: usize,
        /// Rows of the longest segment.
        found: usize,
    },
    /// A window has fewer contexts than asked for.
    #[error(
        "{symbol}: window decided at {decision}: expected {expected} contexts of {rows} rows whose labels are known before \
         the window's first bar, found {found}"
    )]
    TooFewContexts {
        /// Symbol of the window.
        symbol: String,
        /// When it is decided.
        decision: String,
        /// Contexts asked for.
        expected: usize,
        /// Rows of a context.
        rows: usize,
        /// Contexts there are.
        found: usize,
    },
    /// A window has no labels of the kind asked for.
    #[error("{symbol}: window decided at {decision}: a label asked for is not known")]
    Unlabelled {
        /// Symbol of the window.
        symbol: String,
        /// When it is decided.
        decision: String,
    },
    /// A label of the file is none of its classes.
    #[error(
        "{symbol} at {time}: label `{label}`: expected the number of a class, 0 to {}, found {found}", n_classes - 1
    )]
    NoClass {
        /// Symbol.
        symbol: String,
        /// Time of the row.
        time: String,
        /// Name of the column.
        label: String,
        /// Classes there are.
        n_classes: usize,
        /// Value of the cell.
        found: f64,
    },
    /// A setting lies outside its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Accepted values.
        expected: &'static str,
        /// Value given.
        found: String,
    },
    /// A part of the split holds no window.
    #[error(
        "{part} part is empty: no window is decided in {from} to {until} with its label known before the end"
    )]
    EmptyPart {
        /// Name of the part.
        part: &'static str,
        /// Start of the part.
        from: String,
        /// End of the part.
        until: String,
    },
    /// A feature never changes over the training rows.
    #[error(
        "feature `{feature}`: expected some variance over the {rows} training rows, found the constant {value}"
    )]
    ConstantFeature {
        /// Feature name.
        feature: String,
        /// Rows looked at.
        rows: u64,
        /// The constant, or the mean where the deviation is too small to divide by.
        value: f64,
    },
    /// A scaled value is beyond f32.
    #[error("{symbol} at {time}: feature `{feature}`: expected a value that scales to f32, found {found}")]
    Scaled {
        /// Symbol.
        symbol: String,
        /// Time of the row.
        time: String,
        /// Feature name.
        feature: String,
        /// Value before scaling.
        found: f64,
    },
    /// A snapshot does not hold what its manifest says.
    #[error("{}: snapshot does not verify: {problems}", path.display())]
    Snapshot {
        /// Folder of the snapshot.
        path: PathBuf,
        /// Everything found, joined.
        problems: String,
    },
}

/// A value's place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File.
    pub path: PathBuf,
    /// Number of the bar in the file, the first is 1, a header is not counted.
    pub row: u64,
    /// Line of a text file, the first is 1.
    pub line: Option<u64>,
    /// Column name.
    pub column: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: row {}", self.path.display(), self.row)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, ", column `{}`", self.column)
    }
}

impl DataError {
    /// The same error about the file `to` where it was about `from`.
    pub(crate) fn moved(mut self, from: &Path, to: &Path) -> Self {
        if let Some(path) = self.path_mut().filter(|path| *path == from) {
            to.clone_into(path);
        }
        self
    }

    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Value { place, .. } => Some(&mut place.path),
            Self::Io { path, .. }
            | Self::Extension { path, .. }
            | Self::Malformed { path, .. }
            | Self::Empty { path }
            | Self::MissingColumn { path, .. }
            | Self::AmbiguousColumn { path, .. }
            | Self::ColumnType { path, .. }
            | Self::TimeUnit { path, .. }
            | Self::Unclean { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Ties a system error to its file; for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |reason| Self::Io {
            path: path.to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_error_names_file_row_line_and_column() {
        let place = Place {
            path: "a.csv".into(),
            row: 3,
            line: Some(4),
            column: "close".into(),
        };
        let error = DataError::Value {
            place: Box::new(place),
            expected: "a number".into(),
            found: "`x`".into(),
        };
        assert_eq!(
            error.to_string(),
            "a.csv: row 3 (line 4), column `close`: expected a number, found `x`"
        );
    }

    #[test]
    fn errors_stay_small_enough_to_return_by_value() {
        assert!(size_of::<DataError>() <= 128);
    }
}
