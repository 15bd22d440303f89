//! What one feature remembers between bars: from a definition to a value per bar.

use super::bar::Bar;
use super::indicators::{Macd, Rsi, Volatility, bollinger, calendar, true_range};
use super::op::FeatureOp;
use super::params::{BollingerLine, Cycle, Deviation, Wave};
use super::smooth::{Average, Ema};
use super::window::{Delay, Moments, Total, Window};

/// A value from the present bar's own number and a statistic of it.
type Form = fn(f64, f64) -> f64;

/// Memory of one feature.
#[derive(Debug, Clone)]
pub(super) enum State {
    Plain(fn(&Bar) -> f64),
    Calendar(Cycle, Wave),
    Ret1,
    Change {
        delay: Delay,
        form: Form,
    },
    Mean {
        window: Window<Total>,
        source: fn(&Bar) -> f64,
        form: Form,
    },
    VolZ(Window<Moments>),
    Ema {
        ema: Ema,
        form: Form,
    },
    Rsi(Rsi),
    Macd {
        macd: Macd,
        form: Form,
    },
    Bollinger {
        window: Window<Moments>,
        k: f64,
        lost: usize,
        line: BollingerLine,
    },
    Atr {
        mean: Average,
        form: Form,
    },
    Volatility {
        volatility: Volatility,
        factor: f64,
    },
}

fn close(bar: &Bar) -> f64 {
    bar.close
}

fn volume(bar: &Bar) -> f64 {
    bar.volume
}

fn alone(_x: f64, statistic: f64) -> f64 {
    statistic
}

fn gap(x: f64, statistic: f64) -> f64 {
    x - statistic
}

/// `x / statistic - 1`, and 0 where the mean of volumes is 0.
fn ratio(x: f64, statistic: f64) -> f64 {
    if statistic == 0.0 {
        0.0
    } else {
        x / statistic - 1.0
    }
}

fn log_ratio(x: f64, statistic: f64) -> f64 {
    libm::log(x / statistic)
}

fn share(x: f64, statistic: f64) -> f64 {
    statistic / x
}

impl State {
    /// Empty memory for a valid definition.
    pub(super) fn new(op: &FeatureOp) -> Self {
        let mean = |n, source, form| Self::Mean {
            window: Window::new(n),
            source,
            form,
        };
        match *op {
            FeatureOp::Close => Self::Plain(close),
            FeatureOp::Volume => Self::Plain(volume),
            FeatureOp::HighLowRange => Self::Plain(|bar| (bar.high - bar.low) / bar.close),
            FeatureOp::LogVolume => Self::Plain(|bar| libm::log1p(bar.volume)),
            FeatureOp::Calendar { cycle, wave } => Self::Calendar(cycle, wave),
            FeatureOp::Ret1 => Self::Ret1,
            FeatureOp::Ret { lag } => Self::Change {
                delay: Delay::new(lag),
                form: ratio,
            },
            FeatureOp::LogRet { lag } => Self::Change {
                delay: Delay::new(lag),
                form: log_ratio,
            },
            FeatureOp::SmaGap { n } => mean(n, close, gap),
            FeatureOp::Sma { n } => mean(n, close, alone),
            FeatureOp::SmaRatio { n } => mean(n, close, ratio),
            FeatureOp::VolumeSma { n } => mean(n, volume, alone),
            FeatureOp::VolumeRatio { n } => mean(n, volume, ratio),
            FeatureOp::VolZ { n } => Self::VolZ(Window::new(n)),
            FeatureOp::Ema { n, start } => Self::Ema {
                ema: Ema::span(n, start),
                form: alone,
            },
            FeatureOp::EmaRatio { n, start } => Self::Ema {
                ema: Ema::span(n, start),
                form: ratio,
            },
            FeatureOp::Rsi { n, smoothing } => Self::Rsi(Rsi::new(n, smoothing)),
            FeatureOp::Macd(form) => Self::Macd {
                macd: Macd::new(form),
                form: alone,
            },
            FeatureOp::MacdRatio(form) => Self::Macd {
                macd: Macd::new(form),
                form: share,
            },
            FeatureOp::Bollinger {
                n,
                k,
                deviation,
                line,
            } => {
                let lost = usize::from(deviation == Deviation::Sample);
                Self::Bollinger {
                    window: Window::new(n),
                    k,
                    lost,
                    line,
                }
            }
            FeatureOp::Atr { n, smoothing } => Self::Atr {
                mean: Average::new(n, smoothing),
                form: alone,
            },
            FeatureOp::AtrRatio { n, smoothing } => Self::Atr {
                mean: Average::new(n, smoothing),
                form: share,
            },
            FeatureOp::RealisedVol {
                n,
                periods_per_year,
                estimator,
            } => Self::Volatility {
                volatility: Volatility::new(n, estimator),
                factor: libm::sqrt(periods_per_year),
            },
        }
    }

    /// Forgets every bar, keeps the memory.
    pub(super) fn reset(&mut self) {
        match self {
            Self::Plain(_) | Self::Calendar(..) | Self::Ret1 => {}
            Self::Change { delay, .. } => delay.reset(),
            Self::Mean { window, .. } => window.reset(),
            Self::VolZ(window) | Self::Bollinger { window, .. } => window.reset(),
            Self::Ema { ema, .. } => ema.reset(),
            Self::Rsi(rsi) => rsi.reset(),
            Self::Macd { macd, .. } => macd.reset(),
            Self::Atr { mean, .. } => mean.reset(),
            Self::Volatility { volatility, .. } => volatility.reset(),
        }
    }

    /// The value with `bar` as the newest bar, NaN or provisional during warm-up; only with `keep` is the bar
    /// remembered.
    pub(super) fn step(&mut self, bar: &Bar, previous: Option<&Bar>, keep: bool) -> f64 {
        match self {
            Self::Plain(value) => value(bar),
            Self::Calendar(cycle, wave) => calendar(bar.ts_ns, *cycle, *wave),
            Self::Ret1 => previous.map_or(0.0, |q| ratio(bar.close, q.close)),
            Self::Change { delay, form } => delay
                .step(bar.close, keep)
                .map_or(f64::NAN, |older| form(bar.close, older)),
            Self::Mean { window, source, form } => {
                let x = source(bar);
                form(x, window.step(x, keep).mean())
            }
            Self::VolZ(window) => {
                let view = window.step(bar.volume, keep);
                view.excess() / (view.deviation(1) + 1e-9)
            }
            Self::Ema { ema, form } => form(bar.close, ema.step(bar.close, keep)),
            Self::Rsi(rsi) => previous.map_or(f64::NAN, |q| rsi.step(bar.close - q.close, keep)),
            Self::Macd { macd, form } => form(bar.close, macd.step(bar.close, keep)),
            Self::Bollinger {
                window,
                k,
                lost,
                line,
            } => bollinger(&window.step(bar.close, keep), *k, *lost, *line),
            Self::Atr { mean, form } => {
                previous.map_or(f64::NAN, |q| form(bar.close, mean.step(true_range(bar, q), keep)))
            }
            Self::Volatility { volatility, factor } => *factor * volatility.step(bar, previous, keep),
        }
    }
}
