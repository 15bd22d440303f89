//! Exponential moving averages: one recursion, `y += gain (x - y)`, whose first gains name the start-up.
//!
//! | start | gain of value k = 1, 2, ... | known as |
//! |---|---|---|
//! | first | 1, then alpha | pandas `ewm(adjust=False)` |
//! | sma | 1/k up to k = n, then alpha | TA libraries, Wilder |
//! | weighted | 1/w with w = 1 + (1 - alpha) w, from w = 0 | pandas `ewm(adjust=True)` |
//!
//! An error in `y` shrinks by `1 - alpha` per step, so the recursion does not drift.

use super::params::{EmaStart, Smoothing};
use super::window::{Total, Window};
use crate::error::StateError;
use crate::saved::{Reader, Writer};

/// An exponential moving average.
#[derive(Debug, Clone)]
pub(super) struct Ema {
    alpha: f64,
    n: usize,
    start: EmaStart,
    /// Values taken, counted up to `n`.
    count: usize,
    weight: f64,
    value: f64,
}

impl Ema {
    /// `alpha = 2 / (n + 1)`.
    pub(super) fn span(n: usize, start: EmaStart) -> Self {
        Self::new(2.0 / (n as f64 + 1.0), n, start)
    }

    /// `alpha = 1 / n`, started with the mean of the first `n` values.
    pub(super) fn wilder(n: usize) -> Self {
        Self::new(1.0 / n as f64, n, EmaStart::Sma)
    }

    fn new(alpha: f64, n: usize, start: EmaStart) -> Self {
        Self {
            alpha,
            n,
            start,
            count: 0,
            weight: 0.0,
            value: 0.0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.count = 0;
        self.weight = 0.0;
        self.value = 0.0;
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        to.count(self.count);
        to.f64s(&[self.weight, self.value]);
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        self.count = from.count("values of an exponential average", self.n)?;
        self.weight = from.f64()?;
        self.value = from.f64()?;
        Ok(())
    }

    /// The average with `x` in it; only with `keep` does it stay there.
    pub(super) fn step(&mut self, x: f64, keep: bool) -> f64 {
        let weight = 1.0 + (1.0 - self.alpha) * self.weight;
        let gain = match self.start {
            EmaStart::First if self.count == 0 => 1.0,
            EmaStart::Sma if self.count < self.n => 1.0 / (self.count + 1) as f64,
            EmaStart::First | EmaStart::Sma => self.alpha,
            EmaStart::Weighted => 1.0 / weight,
        };
        let value = self.value + gain * (x - self.value);
        if keep {
            self.count = self.n.min(self.count + 1);
            self.weight = weight;
            self.value = value;
        }
        value
    }
}

/// The mean an oscillator is built on.
#[derive(Debug, Clone)]
pub(super) enum Average {
    Wilder(Ema),
    Simple(Window<Total>),
}

impl Average {
    pub(super) fn new(n: usize, smoothing: Smoothing) -> Self {
        match smoothing {
            Smoothing::Wilder => Self::Wilder(Ema::wilder(n)),
            Smoothing::Simple => Self::Simple(Window::new(n)),
        }
    }

    pub(super) fn reset(&mut self) {
        match self {
            Self::Wilder(ema) => ema.reset(),
            Self::Simple(window) => window.reset(),
        }
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        match self {
            Self::Wilder(ema) => ema.save(to),
            Self::Simple(window) => window.save(to),
        }
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        match self {
            Self::Wilder(ema) => ema.restore(from),
            Self::Simple(window) => window.restore(from),
        }
    }

    pub(super) fn step(&mut self, x: f64, keep: bool) -> f64 {
        match self {
            Self::Wilder(ema) => ema.step(x, keep),
            Self::Simple(window) => window.step(x, keep).mean(),
        }
    }
}
