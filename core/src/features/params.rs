//! Parameters of the feature definitions: switches, the form of the MACD, ranges.

use crate::error::FeatureError;
use alloc::format;
use serde::{Deserialize, Serialize};

/// Largest period or lag in bars.
pub const MAX_PERIOD: usize = 65_536;

/// How an exponential average begins. The three differ for some five spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmaStart {
    /// With the first value: pandas `ewm(span=n, adjust=False)`.
    First,
    /// With the plain mean of the first `n` values: TA libraries.
    Sma,
    /// With normalised weights: pandas `ewm(span=n, adjust=True)`.
    Weighted,
}

/// The mean inside RSI and ATR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Smoothing {
    /// Exponential with `alpha = 1 / n`, started with the plain mean of the first `n` values.
    Wilder,
    /// Plain mean of the last `n` values.
    Simple,
}

/// Parameters of the MACD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacdForm {
    /// Span of the fast average.
    pub fast: usize,
    /// Span of the slow average, longer.
    pub slow: usize,
    /// Start-up of all averages; each starts with its own first values.
    pub start: EmaStart,
    /// Which number.
    pub part: MacdPart,
}

/// Numbers of the MACD. With `sma` start the signal starts with the first `n` complete lines, otherwise with the
/// first bar; either way the first value comes with bar `slow + n - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MacdPart {
    /// `EMA_fast - EMA_slow`.
    Line,
    /// `EMA_n` of the line.
    Signal {
        /// Span.
        n: usize,
    },
    /// Line minus signal.
    Histogram {
        /// Span of the signal.
        n: usize,
    },
}

/// Divisor of a variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// `n`: the convention of technical analysis.
    Population,
    /// `n - 1`: what pandas computes when not told otherwise.
    Sample,
}

/// Numbers of the Bollinger bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BollingerLine {
    /// `SMA + k std`, in units of price.
    Upper,
    /// `SMA - k std`, in units of price.
    Lower,
    /// `(p - lower) / (upper - lower)`; 0.5 where the bands coincide.
    PercentB,
    /// `(upper - lower) / SMA`.
    Width,
}

/// Variance per bar; each is averaged over the bars of the window (Rogers and Satchell 1991, Garman and Klass 1980,
/// Parkinson 1980).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Sample variance of `n >= 2` log returns. First value with bar `n + 1`.
    CloseToClose,
    /// Mean of `n` squared log returns. First value with bar `n + 1`.
    ZeroMean,
    /// `ln(h/l)^2 / (4 ln 2)`.
    Parkinson,
    /// `ln(h/l)^2 / 2 - (2 ln 2 - 1) ln(p/o)^2`.
    GarmanKlass,
    /// `ln(h/p) ln(h/o) + ln(l/p) ln(l/o)`.
    RogersSatchell,
}

/// A cycle of UTC time and its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cycle {
    /// 60 steps.
    MinuteOfHour,
    /// 1440 steps.
    MinuteOfDay,
    /// 24 steps.
    HourOfDay,
    /// 7 steps, Monday first.
    DayOfWeek,
}

/// Sine or cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wave {
    /// `sin(2 pi step / steps)`.
    Sin,
    /// `cos(2 pi step / steps)`.
    Cos,
}

impl MacdForm {
    /// Span of the signal, for the parts that have one.
    pub(super) fn signal(&self) -> Option<usize> {
        match self.part {
            MacdPart::Line => None,
            MacdPart::Signal { n } | MacdPart::Histogram { n } => Some(n),
        }
    }

    pub(super) fn validate(&self, name: &str) -> Result<(), FeatureError> {
        within(name, "fast", 1, self.fast)?;
        within(name, "slow", self.fast + 1, self.slow)?;
        self.signal().map_or(Ok(()), |n| within(name, "part.n", 1, n))
    }
}

/// Checks a period or lag.
pub(super) fn within(name: &str, key: &str, least: usize, found: usize) -> Result<(), FeatureError> {
    if (least..=MAX_PERIOD).contains(&found) {
        return Ok(());
    }
    Err(parameter(
        name,
        &format!("`{key}`: expected {least} to {MAX_PERIOD}, found {found}"),
    ))
}

/// Checks a positive real.
pub(super) fn positive(name: &str, key: &str, found: f64, limit: f64) -> Result<(), FeatureError> {
    if found > 0.0 && found <= limit {
        return Ok(());
    }
    Err(parameter(
        name,
        &format!("`{key}`: expected above 0 to {limit:e}, found {found}"),
    ))
}

fn parameter(name: &str, text: &str) -> FeatureError {
    FeatureError::Parameter(format!("feature `{name}`, parameter {text}"))
}
