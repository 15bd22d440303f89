//! What one feature remembers between bars: from a definition to a value per bar.

use super::bar::Bar;
use super::indicators::{Macd, Rsi, Volatility, bollinger, calendar, true_range};
use super::op::FeatureOp;
use super::params::{BollingerLine, Cycle, Deviation, Wave};
use super::smooth::{Average, Ema};
use super::window::{Delay, Moments, Total, Window};
use crate::error::StateError;
use crate::saved::{Reader, Writer};

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

    /// Writes the memory, not the definition.
    pub(super) fn save(&self, to: &mut Writer<'_>) {
        match self {
            Self::Plain(_) | Self::Calendar(..) | Self::Ret1 => {}
            Self::Change { delay, .. } => delay.save(to),
            Self::Mean { window, .. } => window.save(to),
            Self::VolZ(window) | Self::Bollinger { window, .. } => window.save(to),
            Self::Ema { ema, .. } => ema.save(to),
            Self::Rsi(rsi) => rsi.save(to),
            Self::Macd { macd, .. } => macd.save(to),
            Self::Atr { mean, .. } => mean.save(to),
            Self::Volatility { volatility, .. } => volatility.save(to),
        }
    }

    /// Reads the memory of the same definition.
    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        match self {
            Self::Plain(_) | Self::Calendar(..) | Self::Ret1 => Ok(()),
            Self::Change { delay, .. } => delay.restore(from),
            Self::Mean { window, .. } => window.restore(from),
            Self::VolZ(window) | Self::Bollinger { window, .. } => window.restore(from),
            Self::Ema { ema, .. } => ema.restore(from),
            Self::Rsi(rsi) => rsi.restore(from),
            Self::Macd { macd, .. } => macd.restore(from),
            Self::Atr { mean, .. } => mean.restore(from),
            Self::Volatility { volatility, .. } => volatility.restore(from),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{EmaStart, Estimator, MacdForm, MacdPart, STANDARD_SETS, Smoothing, standard_set};
    use alloc::vec;
    use alloc::vec::Vec;

    /// Every definition of the standard sets, and the forms of each kind that those leave out.
    fn ops() -> Vec<FeatureOp> {
        let sets = STANDARD_SETS.iter().filter_map(|(name, _)| standard_set(name));
        let mut ops: Vec<FeatureOp> = sets.flatten().map(|def| def.op).collect();
        for start in [EmaStart::First, EmaStart::Sma, EmaStart::Weighted] {
            let macd = |part| MacdForm {
                fast: 3,
                slow: 7,
                start,
                part,
            };
            ops.push(FeatureOp::Ema { n: 5, start });
            ops.push(FeatureOp::EmaRatio { n: 1, start });
            ops.push(FeatureOp::Macd(macd(MacdPart::Line)));
            ops.push(FeatureOp::MacdRatio(macd(MacdPart::Signal { n: 4 })));
        }
        for smoothing in [Smoothing::Wilder, Smoothing::Simple] {
            ops.push(FeatureOp::Atr { n: 4, smoothing });
            ops.push(FeatureOp::Rsi { n: 1, smoothing });
        }
        ops.push(FeatureOp::VolumeRatio { n: 6 });
        ops.extend(
            [
                Estimator::CloseToClose,
                Estimator::ZeroMean,
                Estimator::Parkinson,
                Estimator::GarmanKlass,
                Estimator::RogersSatchell,
            ]
            .map(|estimator| FeatureOp::RealisedVol {
                n: 8,
                periods_per_year: 525_600.0,
                estimator,
            }),
        );
        ops
    }

    fn bar(i: usize) -> Bar {
        // Now and then a price repeats, so that windows are flat in part.
        let close = 95_505.4 + libm::sin((i / 3 * 7) as f64) * 40.0;
        Bar {
            ts_ns: i as i64 * 60_000_000_000,
            open: close - 1.0,
            high: close + 2.5,
            low: close - 3.5,
            close,
            volume: (i * 37 % 11) as f64,
        }
    }

    fn bytes(state: &State) -> Vec<u8> {
        let mut count = Writer::counting();
        state.save(&mut count);
        let mut bytes = vec![0; count.n_bytes()];
        state.save(&mut Writer::new(&mut bytes));
        bytes
    }

    #[test]
    fn a_memory_saved_after_any_bar_goes_on_bit_for_bit() {
        for op in ops() {
            for n in [0, 1, 2, 3, 7, 20, 49, 50, 51, 130] {
                let mut state = State::new(&op);
                let mut other = State::new(&op);
                let step = |state: &mut State, i: usize| {
                    let previous = i.checked_sub(1).map(bar);
                    state.step(&bar(i), previous.as_ref(), true).to_bits()
                };
                (0..n).for_each(|i| _ = step(&mut state, i));
                // What the other one remembers must not shine through.
                (500..500 + 3 * n).for_each(|i| _ = step(&mut other, i));
                let saved = bytes(&state);
                let mut from = Reader::new(&saved);
                other.restore(&mut from).unwrap();
                assert_eq!((from.n_left(), &bytes(&other)), (0, &saved), "{op:?}");
                for i in n..n + 120 {
                    assert_eq!(
                        step(&mut state, i),
                        step(&mut other, i),
                        "{op:?} after {n}, bar {i}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_bytes_lead_a_memory_outside_its_windows() {
        for op in ops() {
            let mut state = State::new(&op);
            for seed in 1..40_u64 {
                let mut saved = bytes(&state);
                let mut z = seed;
                for byte in &mut saved {
                    z = z.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte ^= (z >> 33) as u8 & (z >> 41) as u8 & (z >> 49) as u8;
                }
                let _ = state.restore(&mut Reader::new(&saved));
                (0..60).for_each(|i| _ = state.step(&bar(i), Some(&bar(i)), true));
            }
        }
    }
}
