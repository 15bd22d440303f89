//! Opening and writing a model file.

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
