//! Why a call did not succeed, and which status that is.

use crate::sized::Fault;
use crate::status::Status;
use core::fmt;
use tickfuse_core::error::{FeatureError, OpenError, RunError, StateError, StreamError};

/// Why a call was wrong in itself. `&'static str` fields are parameter names of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UseError {
    Null(&'static str),
    Alignment {
        parameter: &'static str,
        expected: usize,
        found: usize,
    },
    Length {
        parameter: &'static str,
        limit: usize,
        found: usize,
    },
    Buffer {
        needed: usize,
        found: usize,
    },
    Values {
        needed: usize,
        found: usize,
    },
    Memory {
        needed: usize,
        found: usize,
    },
    Room {
        needed: usize,
        found: usize,
    },
    Index {
        limit: usize,
        found: usize,
    },
    Structure {
        parameter: &'static str,
        fault: Fault,
    },
    OptionsFlags {
        unknown: u32,
    },
    OptionsReserved {
        found: u32,
    },
    OptionsLevel,
    Action {
        found: u32,
    },
    #[cfg_attr(unix, allow(dead_code, reason = "any bytes are a path on Unix"))]
    Path,
    /// The handle.
    Busy(&'static str),
}

impl UseError {
    fn status(self) -> Status {
        match self {
            Self::Null(_) => Status::Null,
            Self::Alignment { .. } => Status::Alignment,
            Self::Length { .. } | Self::Index { .. } => Status::Length,
            Self::Buffer { .. } | Self::Values { .. } | Self::Memory { .. } | Self::Room { .. } => {
                Status::Buffer
            }
            Self::Structure {
                parameter: "options", ..
            }
            | Self::OptionsFlags { .. }
            | Self::OptionsReserved { .. }
            | Self::OptionsLevel => Status::Options,
            Self::Action { .. } => Status::Choice,
            Self::Structure { .. } => Status::Structure,
            Self::Path => Status::Path,
            Self::Busy(_) => Status::Busy,
        }
    }
}

impl fmt::Display for UseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Null(parameter) => write!(f, "{parameter}: expected a pointer, found NULL"),
            Self::Alignment {
                parameter,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{parameter}: expected a multiple of {expected}, found address {found:#x}"
                )
            }
            Self::Length {
                parameter,
                limit,
                found,
            } => {
                write!(f, "{parameter}: expected 1 to {limit}, found {found}")
            }
            Self::Buffer { needed, found } => {
                write!(f, "buf: expected room for {needed} bytes, found {found}")
            }
            Self::Values { needed, found } => {
                write!(f, "values: expected room for {needed} values, found {found}")
            }
            Self::Memory { needed, found } => {
                write!(f, "memory: expected {needed} bytes, found {found}")
            }
            Self::Room { needed, found } => {
                write!(f, "to: expected room for {needed} bytes, found {found}")
            }
            Self::Index { limit, found } => {
                write!(f, "index: expected below {limit}, found {found}")
            }
            Self::Structure { parameter, fault } => write!(f, "{parameter}{fault}"),
            Self::OptionsFlags { unknown } => write!(f, "options.flags: unknown bits {unknown:#x}"),
            Self::OptionsReserved { found } => write!(f, "options.reserved: expected 0, found {found}"),
            Self::OptionsLevel => {
                f.write_str("options.level: expected portable, avx2, avx512, avx512bf16 or NULL")
            }
            Self::Action { found } => write!(f, "action: {found} is none of this handle's"),
            Self::Path => f.write_str("path: expected UTF-8"),
            Self::Busy(handle) => {
                write!(
                    f,
                    "{handle}: it is running another call; use one {handle} per thread"
                )
            }
        }
    }
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    Use(UseError),
    Open(OpenError),
    Run(RunError),
    Stream(StreamError),
    State(StateError),
    /// A stream of another model.
    Foreign,
    /// The system refused.
    System(std::io::Error),
    Poisoned,
}

impl From<UseError> for Failure {
    fn from(e: UseError) -> Self {
        Self::Use(e)
    }
}

impl From<OpenError> for Failure {
    fn from(e: OpenError) -> Self {
        Self::Open(e)
    }
}

impl From<RunError> for Failure {
    fn from(e: RunError) -> Self {
        Self::Run(e)
    }
}

impl From<StreamError> for Failure {
    fn from(e: StreamError) -> Self {
        match e {
            StreamError::Run(e) => Self::Run(e),
            StreamError::State(e) => Self::State(e),
            e => Self::Stream(e),
        }
    }
}

impl Failure {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Use(e) => e.status(),
            Self::Open(e) => open_status(e),
            Self::Run(e) => run_status(*e),
            Self::Stream(e) => stream_status(e),
            Self::State(e) => state_status(e),
            Self::Foreign => Status::RunForeignState,
            Self::System(_) => Status::System,
            Self::Poisoned => Status::Poisoned,
        }
    }
}

fn open_status(e: &OpenError) -> Status {
    match e {
        OpenError::Io(_) => Status::OpenIo,
        OpenError::Truncated { .. } | OpenError::TrailingBytes { .. } => Status::OpenSize,
        OpenError::HeaderLength { .. }
        | OpenError::HeaderJson(_)
        | OpenError::DuplicateKey(_)
        | OpenError::TooManyTensors { .. } => Status::OpenHeader,
        OpenError::Misaligned { .. }
        | OpenError::Overlap { .. }
        | OpenError::Hole { .. }
        | OpenError::TensorSize { .. }
        | OpenError::TensorRank { .. } => Status::OpenLayout,
        OpenError::TensorType { .. }
        | OpenError::TensorShape { .. }
        | OpenError::MissingTensor(_)
        | OpenError::UnknownTensor(_) => Status::OpenTensor,
        OpenError::NonFinite { .. } => Status::OpenValue,
        OpenError::NotABundle => Status::OpenNotABundle,
        OpenError::UnknownVersion { .. } => Status::OpenVersion,
        OpenError::SchemaJson(_) | OpenError::Schema(_) => Status::OpenSchema,
        OpenError::MissingScaler { .. } => Status::OpenScaler,
        OpenError::HashPlace | OpenError::Hash { .. } => Status::OpenHash,
        OpenError::Golden { .. } => Status::OpenGolden,
        OpenError::LevelUnavailable(_) => Status::OpenLevel,
        _ => Status::OpenOther,
    }
}

fn run_status(e: RunError) -> Status {
    match e {
        RunError::InputLength { .. } | RunError::ContextLength { .. } => Status::RunInputLength,
        RunError::OutputLength { .. } => Status::RunOutputLength,
        RunError::NonFinite { .. } | RunError::ContextNonFinite { .. } => Status::RunNonFinite,
        RunError::Batch { .. } => Status::RunBatch,
        RunError::Category { .. } | RunError::ContextEntity { .. } | RunError::NoCategory => {
            Status::RunCategory
        }
        RunError::EncoderLength { .. } | RunError::DecoderLength { .. } => Status::RunRows,
        RunError::NoFuture { .. } => Status::RunAhead,
        RunError::ContextCount { .. } => Status::RunContextCount,
        RunError::NoContexts => Status::RunNoContexts,
        RunError::ForeignContexts => Status::RunForeignContexts,
        _ => Status::RunOther,
    }
}

fn stream_status(e: &StreamError) -> Status {
    match e {
        StreamError::Unforeseen { .. } | StreamError::NoInterval => Status::RunAhead,
        StreamError::NoBars => Status::RunNoBars,
        StreamError::Feature(FeatureError::Bar { .. }) => Status::RunBar,
        StreamError::Feature(FeatureError::Time { .. }) => Status::RunBarTime,
        StreamError::Run(e) | StreamError::Row { error: e, .. } => run_status(*e),
        StreamError::State(e) => state_status(e),
        StreamError::Symbol { .. } => Status::RunSymbol,
        StreamError::Steps { .. } => Status::RunOutputLength,
        _ => Status::RunOther,
    }
}

fn state_status(e: &StateError) -> Status {
    match e {
        StateError::Model { .. } => Status::RunForeignState,
        _ => Status::RunState,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_for_wrong_use_names_its_parameter() {
        let all = [
            (UseError::Null("out"), "out: "),
            (
                UseError::Alignment {
                    parameter: "out",
                    expected: 4,
                    found: 0x11,
                },
                "out: expected a multiple of 4, found address 0x11",
            ),
            (
                UseError::Length {
                    parameter: "max_batch",
                    limit: 9,
                    found: 0,
                },
                "max_batch: expected 1 to 9, found 0",
            ),
            (
                UseError::Buffer {
                    needed: 65,
                    found: 64,
                },
                "buf: expected room for 65 bytes, found 64",
            ),
            (
                UseError::Values { needed: 6, found: 5 },
                "values: expected room for 6 values, found 5",
            ),
            (
                UseError::Memory { needed: 6, found: 5 },
                "memory: expected 6 bytes, found 5",
            ),
            (
                UseError::Room { needed: 6, found: 5 },
                "to: expected room for 6 bytes, found 5",
            ),
            (
                UseError::Index { limit: 2, found: 2 },
                "index: expected below 2, found 2",
            ),
            (
                UseError::Structure {
                    parameter: "bar",
                    fault: Fault::Size {
                        known: 24,
                        limit: 4096,
                        found: 8,
                    },
                },
                "bar.size: expected sizeof, 24 to 4096, found 8",
            ),
            (
                UseError::Structure {
                    parameter: "options",
                    fault: Fault::Tail { offset: 24 },
                },
                "options: byte 24 ",
            ),
            (
                UseError::OptionsFlags { unknown: 0x10 },
                "options.flags: unknown bits 0x10",
            ),
            (
                UseError::OptionsReserved { found: 1 },
                "options.reserved: expected 0, found 1",
            ),
            (UseError::OptionsLevel, "options.level: "),
            (UseError::Action { found: 9 }, "action: 9 "),
            (UseError::Path, "path: "),
            (
                UseError::Busy("stream"),
                "stream: it is running another call; use one stream per thread",
            ),
        ];
        for (error, expected) in all {
            let text = error.to_string();
            assert!(text.starts_with(expected), "{text}");
        }
    }
}
