//! `tickfuse_bar` and `tickfuse_step`: what goes into a stream and what comes out, as C has them.

use crate::sized::SizeLed;
use tickfuse_core::features::Bar;
use tickfuse_core::{Flags, Step};

/// `TICKFUSE_STEP_WARMING_UP`.
pub const STEP_WARMING_UP: u32 = 0;
/// `TICKFUSE_STEP_ANSWER`.
pub const STEP_ANSWER: u32 = 1;

/// `tickfuse_bar` of the header.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CallerBar {
    /// Bytes of the caller's structure.
    pub size: usize,
    /// Open time, ns since the epoch, UTC.
    pub ts_ns: i64,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Traded quantity.
    pub volume: f64,
}

impl SizeLed for CallerBar {}

impl CallerBar {
    pub(crate) fn bar(&self) -> Bar {
        Bar {
            ts_ns: self.ts_ns,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
        }
    }
}

/// `tickfuse_step` of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CallerStep {
    /// Bytes of the caller's structure.
    pub size: usize,
    /// `TICKFUSE_STEP_*`.
    pub kind: u32,
    /// `TICKFUSE_FLAG_*`.
    pub flags: u32,
    /// Rows or bars still to come.
    pub remaining: usize,
    /// Open time of the bar.
    pub ts_ns: i64,
}

impl SizeLed for CallerStep {}

impl CallerStep {
    /// What `TICKFUSE_STEP_INIT` gives.
    pub const INIT: Self = Self {
        size: size_of::<Self>(),
        kind: STEP_WARMING_UP,
        flags: 0,
        remaining: 0,
        ts_ns: 0,
    };

    pub(crate) fn new(size: usize, step: Step, ts_ns: i64) -> Self {
        Told::new(step).in_c(size, ts_ns)
    }
}

/// A step as the numbers that C is told, which a hot call keeps in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    kind: u32,
    flags: u32,
    remaining: usize,
}

impl Told {
    #[inline(always)]
    pub(crate) fn new(step: Step) -> Self {
        match step {
            Step::WarmingUp { remaining } => Self {
                kind: STEP_WARMING_UP,
                flags: Flags::NONE.bits(),
                remaining,
            },
            Step::Answer(flags) => Self {
                kind: STEP_ANSWER,
                flags: flags.bits(),
                remaining: 0,
            },
        }
    }

    #[inline(always)]
    pub(crate) fn is_answer(self) -> bool {
        self.kind == STEP_ANSWER
    }

    /// Of the answer.
    #[inline(always)]
    pub(crate) fn flags(self) -> u32 {
        self.flags
    }

    #[inline(always)]
    pub(crate) fn in_c(self, size: usize, ts_ns: i64) -> CallerStep {
        CallerStep {
            size,
            kind: self.kind,
            flags: self.flags,
            remaining: self.remaining,
            ts_ns,
        }
    }
}
