//! Every error the core can report: one enum per phase, one variant per rule, the text in one place.
//!
//! Opening a model may allocate for its message (it names the tensor or key); running never does.

use alloc::string::String;
use core::fmt;

/// Why a model file was refused. Every variant has a hostile file in `fixtures/hostile` that triggers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The file could not be read or mapped (std only); the text is the operating system's.
    Io(String),
    /// The file is shorter than its header length or its tensors say.
    Truncated {
        /// Bytes the file must have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// Bytes follow the last tensor.
    TrailingBytes {
        /// Where the last tensor ends.
        expected: u64,
        /// Bytes the file has.
        found: u64,
    },
    /// The header length is too small for any JSON object, or above the cap.
    HeaderLength {
        /// Largest accepted length.
        limit: u64,
        /// Length the file states.
        found: u64,
    },
    /// The header is not the JSON of a safetensors file; the text says what and where.
    HeaderJson(String),
    /// A key stands twice in a JSON object of the header.
    DuplicateKey(String),
    /// More tensors than the cap.
    TooManyTensors {
        /// Largest accepted number.
        limit: usize,
    },
    /// The data does not start at a multiple of 64 bytes, or a tensor not at a multiple of its alignment.
    Misaligned {
        /// Tensor name, or `data` for the start of all data.
        tensor: String,
        /// Required alignment in bytes.
        expected: u64,
        /// Offset found, from the start of the file.
        offset: u64,
    },
    /// Two tensors share bytes.
    Overlap {
        /// The later of the two.
        tensor: String,
    },
    /// Bytes between two tensors belong to none.
    Hole {
        /// The tensor behind the hole.
        tensor: String,
    },
    /// The byte range of a tensor does not have the size its shape and type need.
    TensorSize {
        /// Tensor name.
        tensor: String,
        /// Bytes that shape and type need; `u64::MAX` for more than fit.
        expected: u64,
        /// Bytes the offsets give.
        found: u64,
    },
    /// A tensor has more dimensions than the cap.
    TensorRank {
        /// Tensor name.
        tensor: String,
        /// Largest accepted number of dimensions.
        limit: usize,
        /// Number found.
        found: usize,
    },
    /// A tensor has a type the core does not read, or another one than the network needs.
    TensorType {
        /// Tensor name.
        tensor: String,
        /// Expected type.
        expected: String,
        /// Type found.
        found: String,
    },
    /// A tensor has another shape than the network's description needs.
    TensorShape {
        /// Tensor name.
        tensor: String,
        /// Shape the schema implies, as text.
        expected: String,
        /// Shape found, as text.
        found: String,
    },
    /// The network needs this tensor and the file lacks it.
    MissingTensor(String),
    /// The file holds this tensor and the network has no place for it.
    UnknownTensor(String),
    /// A weight or statistic is NaN or infinite.
    NonFinite {
        /// Tensor name or JSON path.
        tensor: String,
        /// Index of the first such value.
        index: usize,
    },
    /// The file is a safetensors file without the `tickfuse` document: not a bundle.
    NotABundle,
    /// The bundle's format version is not one this build reads.
    UnknownVersion {
        /// Highest version this build reads.
        supported: u32,
        /// Version found.
        found: u32,
    },
    /// The schema document is malformed; the text says which key.
    SchemaJson(String),
    /// The schema contradicts itself or leaves the limits; the text says what was expected and found.
    Schema(String),
    /// An input has no scaler.
    MissingScaler {
        /// Input name.
        input: String,
    },
    /// The header does not begin with the content hash.
    HashPlace,
    /// The content hash does not match: the file was changed or damaged.
    Hash {
        /// Hash the file states.
        expected: String,
        /// Hash of its content.
        found: String,
    },
    /// The model does not reproduce its own golden outputs on this machine.
    Golden {
        /// Index of the golden window.
        window: usize,
        /// Index of the output.
        output: usize,
        /// Deviation and tolerance as text.
        detail: String,
    },
    /// The requested level needs CPU features this machine lacks.
    LevelUnavailable(&'static str),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(text) => write!(f, "cannot read the model file: {text}"),
            Self::Truncated { expected, found } => {
                write!(
                    f,
                    "model file is truncated: expected {expected} bytes, found {found}"
                )
            }
            Self::TrailingBytes { expected, found } => {
                write!(
                    f,
                    "model file has bytes behind its last tensor: expected {expected}, found {found}"
                )
            }
            Self::HeaderLength { limit, found } => {
                write!(
                    f,
                    "header length: expected 2 to {limit} bytes, found {found}"
                )
            }
            Self::HeaderJson(text) => write!(f, "header is not safetensors JSON: {text}"),
            Self::DuplicateKey(key) => write!(f, "header has the key `{key}` twice"),
            Self::TooManyTensors { limit } => write!(f, "header lists more than {limit} tensors"),
            Self::Misaligned {
                tensor,
                expected,
                offset,
            } => {
                write!(
                    f,
                    "tensor `{tensor}`: expected alignment {expected}, found file offset {offset}"
                )
            }
            Self::Overlap { tensor } => write!(f, "tensor `{tensor}` overlaps the one before it"),
            Self::Hole { tensor } => write!(f, "unused bytes before tensor `{tensor}`"),
            Self::TensorSize {
                tensor,
                expected,
                found,
            } => {
                write!(
                    f,
                    "tensor `{tensor}`: shape and type need {expected} bytes, offsets give {found}"
                )
            }
            Self::TensorRank {
                tensor,
                limit,
                found,
            } => {
                write!(f, "tensor `{tensor}`: expected up to {limit} dimensions, found {found}")
            }
            Self::TensorType {
                tensor,
                expected,
                found,
            } => {
                write!(f, "tensor `{tensor}`: expected type {expected}, found {found}")
            }
            Self::TensorShape {
                tensor,
                expected,
                found,
            } => {
                write!(f, "tensor `{tensor}`: expected shape {expected}, found {found}")
            }
            Self::MissingTensor(name) => write!(f, "tensor `{name}` is missing"),
            Self::UnknownTensor(name) => write!(f, "tensor `{name}` has no place in this network"),
            Self::NonFinite { tensor, index } => {
                write!(f, "`{tensor}`: value {index} is NaN or infinite")
            }
            Self::NotABundle => f.write_str(
                "safetensors file without a `tickfuse` document: import or export it to a bundle first",
            ),
            Self::UnknownVersion { supported, found } => {
                write!(
                    f,
                    "bundle format {found} is unknown: this build reads 1 to {supported}"
                )
            }
            Self::SchemaJson(text) => write!(f, "bundle schema: {text}"),
            Self::Schema(text) => write!(f, "bundle schema: {text}"),
            Self::MissingScaler { input } => write!(
                f,
                "input `{input}` has no scaler: a bundle must carry the statistics its inputs were scaled with"
            ),
            Self::HashPlace => f.write_str(
                "header must begin with `{\"__metadata__\":{\"tickfuse_sha256\":\"` and 64 lower-case hex digits",
            ),
            Self::Hash { expected, found } => {
                write!(
                    f,
                    "content hash: the file states {expected}, its content has {found}"
                )
            }
            Self::Golden {
                window,
                output,
                detail,
            } => {
                write!(f, "golden window {window}, output {output}: {detail}")
            }
            Self::LevelUnavailable(level) => write!(f, "this CPU cannot run level {level}"),
        }
    }
}

impl core::error::Error for OpenError {}

/// Why a model file was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The values of a tensor are not as many as its shape says.
    ShapeSize {
        /// Tensor name.
        tensor: String,
        /// Bytes that shape and type need; `u64::MAX` for more than fit.
        expected: u64,
        /// Bytes of the values.
        found: u64,
    },
    /// A weight is not a whole number of 64-byte lines, so that the next tensor would not start on one.
    NotWholeLines {
        /// Tensor name.
        tensor: String,
        /// Its bytes.
        found: u64,
    },
    /// The reader would refuse the file.
    Refused(OpenError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShapeSize {
                tensor,
                expected,
                found,
            } => {
                write!(
                    f,
                    "tensor `{tensor}`: shape and type need {expected} bytes, the values have {found}"
                )
            }
            Self::NotWholeLines { tensor, found } => {
                write!(
                    f,
                    "tensor `{tensor}`: expected a multiple of 64 bytes (packed panels), found {found}"
                )
            }
            Self::Refused(e) => write!(f, "the model file would be refused: {e}"),
        }
    }
}

impl core::error::Error for WriteError {}

impl From<OpenError> for WriteError {
    fn from(e: OpenError) -> Self {
        Self::Refused(e)
    }
}

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
    /// A batch of zero windows, or more than the session was made for.
    Batch {
        /// Largest batch of this session.
        limit: usize,
        /// Windows asked for.
        found: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
            Self::NonFinite { window, row, column } => {
                write!(
                    f,
                    "input: window {window}, row {row}, column {column} is NaN or infinite"
                )
            }
            Self::Batch { limit, found } => {
                write!(f, "batch: expected 1 to {limit} windows, found {found}")
            }
        }
    }
}

impl core::error::Error for RunError {}

/// Why a feature set was refused or a bar not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureError {
    /// A parameter lies outside its range; the text names feature, parameter, range and value.
    Parameter(String),
    /// Two features share a name.
    DuplicateName(String),
    /// No features.
    Empty,
    /// The output slice has the wrong length.
    OutputLength {
        /// Values expected.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// A bar is not later than the one before it.
    Time {
        /// Time of the bar before, ns.
        previous_ns: i64,
        /// Time of this bar, ns.
        found_ns: i64,
    },
    /// A field of a bar is NaN, infinite or out of range, or open and close do not lie between low and high.
    Bar {
        /// Field name.
        field: &'static str,
    },
}

impl fmt::Display for FeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(text) => f.write_str(text),
            Self::DuplicateName(name) => write!(f, "feature `{name}` is defined twice"),
            Self::Empty => f.write_str("a feature set needs at least one feature"),
            Self::OutputLength { expected, found } => {
                write!(
                    f,
                    "feature row: expected room for {expected} values, found {found}"
                )
            }
            Self::Time {
                previous_ns,
                found_ns,
            } => {
                write!(
                    f,
                    "bar time: expected later than {previous_ns} ns, found {found_ns} ns"
                )
            }
            Self::Bar { field } => {
                write!(
                    f,
                    "bar field `{field}`: expected prices from 1e-100 to 1e100 \
                     with low <= open, close <= high, and volume from 0 to 1e100"
                )
            }
        }
    }
}

impl core::error::Error for FeatureError {}

/// Why a stream was not made, or a bar not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The model answers future bars from rows of the future.
    Ahead {
        /// How many.
        n_ahead: usize,
    },
    /// The model does not make its rows from bars.
    NoBars,
    /// The bar was refused.
    Feature(FeatureError),
    /// The row was refused.
    Run(RunError),
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
            Self::Ahead { n_ahead } => write!(
                f,
                "expected a model that answers at its last row, found one that reads {n_ahead} rows of the future: \
                 a session takes those"
            ),
            Self::NoBars => {
                f.write_str("expected a model whose inputs are features of bars; this one takes rows")
            }
            Self::Feature(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StreamError {}

/// Why a policy of positions was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum DecideError {
    /// A setting lies outside its range.
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// Accepted values.
        expected: &'static str,
        /// Value given.
        found: f64,
    },
}

impl fmt::Display for DecideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { key, expected, found } => write!(f, "{key}: expected {expected}, found {found}"),
        }
    }
}

impl core::error::Error for DecideError {}
