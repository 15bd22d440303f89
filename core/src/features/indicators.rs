//! The indicators that keep more than one mean: RSI, MACD, true range, realised volatility, calendar waves.

use super::bar::Bar;
use super::params::{BollingerLine, Cycle, EmaStart, Estimator, MacdForm, MacdPart, Smoothing, Wave};
use super::smooth::{Average, Ema};
use super::window::{Moments, Total, View, Window};
use crate::error::StateError;
use crate::saved::{Reader, Writer};
use core::f64::consts::{LN_2, TAU};

/// Means of rises and falls.
#[derive(Debug, Clone)]
pub(super) struct Rsi {
    rise: Average,
    fall: Average,
}

impl Rsi {
    pub(super) fn new(n: usize, smoothing: Smoothing) -> Self {
        Self {
            rise: Average::new(n, smoothing),
            fall: Average::new(n, smoothing),
        }
    }

    pub(super) fn reset(&mut self) {
        self.rise.reset();
        self.fall.reset();
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        self.rise.save(to);
        self.fall.save(to);
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        self.rise.restore(from)?;
        self.fall.restore(from)
    }

    pub(super) fn step(&mut self, change: f64, keep: bool) -> f64 {
        let rise = self.rise.step(change.max(0.0), keep).max(0.0);
        let fall = self.fall.step((-change).max(0.0), keep).max(0.0);
        if rise + fall == 0.0 {
            50.0
        } else {
            100.0 * (rise / (rise + fall))
        }
    }
}

/// Two averages of the price and one of their difference.
#[derive(Debug, Clone)]
pub(super) struct Macd {
    fast: Ema,
    slow: Ema,
    signal: Ema,
    part: MacdPart,
    /// Bars to come before the signal takes its first line.
    pending: usize,
    delay: usize,
}

impl Macd {
    pub(super) fn new(form: MacdForm) -> Self {
        let delay = if form.start == EmaStart::Sma {
            form.slow - 1
        } else {
            0
        };
        Self {
            fast: Ema::span(form.fast, form.start),
            slow: Ema::span(form.slow, form.start),
            signal: Ema::span(form.signal().unwrap_or(1), form.start),
            part: form.part,
            pending: delay,
            delay,
        }
    }

    pub(super) fn reset(&mut self) {
        self.fast.reset();
        self.slow.reset();
        self.signal.reset();
        self.pending = self.delay;
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        for ema in [&self.fast, &self.slow, &self.signal] {
            ema.save(to);
        }
        to.count(self.pending);
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        for ema in [&mut self.fast, &mut self.slow, &mut self.signal] {
            ema.restore(from)?;
        }
        self.pending = from.count("bars before a signal line", self.delay)?;
        Ok(())
    }

    pub(super) fn step(&mut self, price: f64, keep: bool) -> f64 {
        let line = self.fast.step(price, keep) - self.slow.step(price, keep);
        match self.part {
            MacdPart::Line => line,
            MacdPart::Signal { .. } => self.signal(line, keep),
            MacdPart::Histogram { .. } => line - self.signal(line, keep),
        }
    }

    fn signal(&mut self, line: f64, keep: bool) -> f64 {
        if self.pending == 0 {
            return self.signal.step(line, keep);
        }
        if keep {
            self.pending -= 1;
        }
        f64::NAN
    }
}

/// `max(h - l, |h - q|, |l - q|)` with `q` the close before.
pub(super) fn true_range(bar: &Bar, previous: &Bar) -> f64 {
    bar.high.max(previous.close) - bar.low.min(previous.close)
}

pub(super) fn bollinger(view: &View<Moments>, k: f64, lost: usize, line: BollingerLine) -> f64 {
    let width = k * view.deviation(lost);
    match line {
        BollingerLine::Upper => view.mean() + width,
        BollingerLine::Lower => view.mean() - width,
        BollingerLine::Width => 2.0 * width / view.mean(),
        BollingerLine::PercentB if width == 0.0 => 0.5,
        BollingerLine::PercentB => 0.5 + view.excess() / (2.0 * width),
    }
}

/// Variance per bar over a window.
#[derive(Debug, Clone)]
pub(super) enum Volatility {
    /// Sample variance of log returns.
    Centred(Window<Moments>),
    /// Mean of a term that needs the bar before.
    Return(Window<Total>),
    /// Mean of a term of the bar alone.
    Range(Window<Total>, fn(&Bar) -> f64),
}

impl Volatility {
    pub(super) fn new(n: usize, estimator: Estimator) -> Self {
        match estimator {
            Estimator::CloseToClose => Self::Centred(Window::new(n)),
            Estimator::ZeroMean => Self::Return(Window::new(n)),
            Estimator::Parkinson => Self::Range(Window::new(n), parkinson),
            Estimator::GarmanKlass => Self::Range(Window::new(n), garman_klass),
            Estimator::RogersSatchell => Self::Range(Window::new(n), rogers_satchell),
        }
    }

    pub(super) fn reset(&mut self) {
        match self {
            Self::Centred(window) => window.reset(),
            Self::Return(window) | Self::Range(window, _) => window.reset(),
        }
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        match self {
            Self::Centred(window) => window.save(to),
            Self::Return(window) | Self::Range(window, _) => window.save(to),
        }
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        match self {
            Self::Centred(window) => window.restore(from),
            Self::Return(window) | Self::Range(window, _) => window.restore(from),
        }
    }

    /// Volatility per bar, NaN where the bar before is needed and missing.
    pub(super) fn step(&mut self, bar: &Bar, previous: Option<&Bar>, keep: bool) -> f64 {
        let log_return = || previous.map(|q| libm::log(bar.close / q.close));
        match self {
            Self::Centred(window) => log_return().map_or(f64::NAN, |r| window.step(r, keep).deviation(1)),
            Self::Return(window) => log_return().map_or(f64::NAN, |r| root_mean(window, r * r, keep)),
            Self::Range(window, term) => root_mean(window, term(bar), keep),
        }
    }
}

fn root_mean(window: &mut Window<Total>, term: f64, keep: bool) -> f64 {
    libm::sqrt(window.step(term, keep).mean().max(0.0))
}

fn parkinson(bar: &Bar) -> f64 {
    let range = libm::log(bar.high / bar.low);
    range * range / (4.0 * LN_2)
}

fn garman_klass(bar: &Bar) -> f64 {
    let range = libm::log(bar.high / bar.low);
    let body = libm::log(bar.close / bar.open);
    0.5 * range * range - (2.0 * LN_2 - 1.0) * body * body
}

fn rogers_satchell(bar: &Bar) -> f64 {
    let ratio = |a: f64, b: f64| libm::log(a / b);
    ratio(bar.high, bar.close) * ratio(bar.high, bar.open)
        + ratio(bar.low, bar.close) * ratio(bar.low, bar.open)
}

/// Sine or cosine of the place of `ts_ns` in a cycle.
pub(super) fn calendar(ts_ns: i64, cycle: Cycle, wave: Wave) -> f64 {
    const MINUTE_NS: i64 = 60_000_000_000;
    /// The epoch was a Thursday.
    const EPOCH_WEEKDAY: i64 = 3;
    let minute = ts_ns.div_euclid(MINUTE_NS);
    let (step, steps) = match cycle {
        Cycle::MinuteOfHour => (minute, 60),
        Cycle::MinuteOfDay => (minute, 1440),
        Cycle::HourOfDay => (minute.div_euclid(60), 24),
        Cycle::DayOfWeek => (minute.div_euclid(1440) + EPOCH_WEEKDAY, 7),
    };
    let angle = TAU * step.rem_euclid(steps) as f64 / steps as f64;
    match wave {
        Wave::Sin => libm::sin(angle),
        Wave::Cos => libm::cos(angle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: i64 = 3_600_000_000_000;

    #[test]
    fn the_week_begins_on_monday_on_both_sides_of_the_epoch() {
        let sunday = -4 * 24 * HOUR_NS;
        assert_eq!(
            calendar(sunday - 6 * 24 * HOUR_NS, Cycle::DayOfWeek, Wave::Cos),
            1.0
        );
        assert_eq!(
            calendar(sunday + 24 * HOUR_NS - 1, Cycle::DayOfWeek, Wave::Cos),
            libm::cos(TAU * 6.0 / 7.0)
        );
        assert_eq!(calendar(4 * 24 * HOUR_NS, Cycle::DayOfWeek, Wave::Sin), 0.0);
        assert!(calendar(i64::MIN, Cycle::DayOfWeek, Wave::Sin).is_finite());
        assert!(calendar(i64::MAX, Cycle::DayOfWeek, Wave::Sin).is_finite());
    }

    #[test]
    fn an_hour_begins_with_its_first_nanosecond() {
        assert_eq!(calendar(6 * HOUR_NS, Cycle::HourOfDay, Wave::Sin), 1.0);
        assert_eq!(calendar(7 * HOUR_NS - 1, Cycle::HourOfDay, Wave::Sin), 1.0);
        assert_eq!(
            calendar(-1, Cycle::HourOfDay, Wave::Cos),
            libm::cos(TAU * 23.0 / 24.0)
        );
        assert_eq!(calendar(15 * HOUR_NS / 60, Cycle::MinuteOfHour, Wave::Sin), 1.0);
        assert_eq!(calendar(6 * HOUR_NS, Cycle::MinuteOfDay, Wave::Sin), 1.0);
    }

    #[test]
    fn rsi_is_50_without_movement_100_without_falls_and_0_without_rises() {
        for smoothing in [Smoothing::Wilder, Smoothing::Simple] {
            let mut rsi = Rsi::new(3, smoothing);
            assert_eq!([0.0; 4].map(|d| rsi.step(d, true))[3], 50.0);
            rsi.reset();
            assert_eq!([0.3, 0.1, 0.2, 0.0].map(|d| rsi.step(d, true))[3], 100.0);
            rsi.reset();
            assert_eq!([-0.3, -0.1, 0.0, -0.2].map(|d| rsi.step(d, true))[3], 0.0);
        }
    }

    #[test]
    fn cutlers_rsi_forgets_a_crash_without_residue() {
        let mut rsi = Rsi::new(3, Smoothing::Simple);
        let changes = [-95_505.4, 1e-9, 0.0, 0.0, 0.0, 0.0];
        let last = changes.map(|d| rsi.step(d, true));
        assert_eq!((last[3], last[5]), (100.0, 50.0));
    }
}
