//! The feature definitions a bundle can name: formula, start-up, unit and limits of each.
//!
//! `p` is the close, `h`, `l`, `o` high, low and open, `v` the volume of a bar; `SMA_n`, `EMA_n` are means of the
//! last `n` bars, the present one included. Every definition uses the present and earlier bars only.
//! [`FeatureOp::warm_up`] is the number of bars before the first row; unless the text says otherwise, a
//! feature over `n` bars gives its first value with bar `n`.

use super::indicators::calendar;
use super::params::{
    BollingerLine, Cycle, Deviation, EmaStart, Estimator, MacdForm, Smoothing, Wave, positive, within,
};
use crate::error::FeatureError;
use serde::{Deserialize, Serialize};

/// One feature with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureOp {
    /// `p`, in units of price.
    Close,
    /// `v`, in units of quantity.
    Volume,
    /// TinyTFT's `ret1` and SimpleTFT's `ret_1m`: `p[t] / p[t-1] - 1`, and 0 at the first bar. No warm-up.
    Ret1,
    /// The `sma20_gap` of TinyTFT, SimpleTFT and their LightGBM sibling: `p - SMA_n(p)`, a difference in units
    /// of price; the window grows from one bar at the start. No warm-up. Scale-free form: [`Self::SmaRatio`].
    SmaGap {
        /// Bars of the full window.
        n: usize,
    },
    /// TinyTFT's `vol_z`: `(v - mean_n(v)) / (std_n(v) + 1e-9)`, sample deviation, present bar included; the window
    /// grows from two bars at the start, warm-up 1.
    VolZ {
        /// Bars of the full window.
        n: usize,
    },
    /// Simple return `p[t] / p[t-lag] - 1`.
    Ret {
        /// Bars back.
        lag: usize,
    },
    /// Log return `ln(p[t] / p[t-lag])`.
    LogRet {
        /// Bars back.
        lag: usize,
    },
    /// `SMA_n(p)`, in units of price.
    Sma {
        /// Bars.
        n: usize,
    },
    /// `p / SMA_n(p) - 1`.
    SmaRatio {
        /// Bars.
        n: usize,
    },
    /// `EMA_n(p)` with `alpha = 2 / (n + 1)`, in units of price.
    Ema {
        /// Span in bars.
        n: usize,
        /// Start-up.
        start: EmaStart,
    },
    /// `p / EMA_n(p) - 1`.
    EmaRatio {
        /// Span in bars.
        n: usize,
        /// Start-up.
        start: EmaStart,
    },
    /// Relative strength index (Wilder 1978), 0 to 100: `100 U / (U + D)` with `U`, `D` the means of the rises and
    /// falls of the last `n` differences; 100 where `D = 0`, 50 where both are. First value with bar `n + 1`.
    Rsi {
        /// Differences.
        n: usize,
        /// Kind of mean: `wilder`, or `simple` for Cutler's version.
        smoothing: Smoothing,
    },
    /// Moving average convergence divergence (Appel), in units of price.
    Macd(MacdForm),
    /// The same divided by `p`.
    MacdRatio(MacdForm),
    /// Bollinger bands, `SMA_n(p) +- k std_n(p)`.
    Bollinger {
        /// Bars.
        n: usize,
        /// Width in standard deviations.
        k: f64,
        /// Divisor of the variance.
        deviation: Deviation,
        /// Which number of the bands.
        line: BollingerLine,
    },
    /// Average true range (Wilder 1978), in units of price: mean of `max(h - l, |h - p[t-1]|, |l - p[t-1]|)`. The
    /// first bar has no true range (as in TA-Lib): first value with bar `n + 1`.
    Atr {
        /// True ranges.
        n: usize,
        /// Kind of mean.
        smoothing: Smoothing,
    },
    /// The same divided by `p`.
    AtrRatio {
        /// True ranges.
        n: usize,
        /// Kind of mean.
        smoothing: Smoothing,
    },
    /// `(h - l) / p`.
    HighLowRange,
    /// `ln(1 + v)`.
    LogVolume,
    /// `SMA_n(v)`, in units of quantity.
    VolumeSma {
        /// Bars.
        n: usize,
    },
    /// `v / SMA_n(v) - 1`; 0 where nothing was traded in all `n` bars.
    VolumeRatio {
        /// Bars.
        n: usize,
    },
    /// Realised volatility over `n` bars times the root of `periods_per_year`: log return per year.
    RealisedVol {
        /// Returns, or bars for the estimators that need none.
        n: usize,
        /// Bars of one year, such as 365 * 1440 for minutes around the clock; 1 for volatility per bar.
        periods_per_year: f64,
        /// Formula of the variance per bar.
        estimator: Estimator,
    },
    /// Sine or cosine of the bar's place in a cycle of UTC time; known in the future.
    Calendar {
        /// The cycle.
        cycle: Cycle,
        /// Which of the two.
        wave: Wave,
    },
}

impl FeatureOp {
    /// Checks the parameters of the feature called `name`.
    ///
    /// # Errors
    /// Names feature, parameter, range and value.
    pub fn validate(&self, name: &str) -> Result<(), FeatureError> {
        let period = |key, least, found| within(name, key, least, found);
        match *self {
            Self::Close | Self::Volume | Self::Ret1 | Self::HighLowRange | Self::LogVolume => Ok(()),
            Self::Calendar { .. } => Ok(()),
            Self::VolZ { n } => period("n", 2, n),
            Self::SmaGap { n } | Self::Sma { n } | Self::SmaRatio { n } => period("n", 1, n),
            Self::VolumeSma { n } | Self::VolumeRatio { n } => period("n", 1, n),
            Self::Ret { lag } | Self::LogRet { lag } => period("lag", 1, lag),
            Self::Ema { n, .. } | Self::EmaRatio { n, .. } => period("n", 1, n),
            Self::Rsi { n, .. } | Self::Atr { n, .. } | Self::AtrRatio { n, .. } => period("n", 1, n),
            Self::Macd(form) | Self::MacdRatio(form) => form.validate(name),
            Self::Bollinger { n, k, .. } => {
                period("n", 2, n)?;
                positive(name, "k", k, 1e3)
            }
            Self::RealisedVol {
                n,
                periods_per_year,
                estimator,
            } => {
                let least = if estimator == Estimator::CloseToClose {
                    2
                } else {
                    1
                };
                period("n", least, n)?;
                positive(name, "periods_per_year", periods_per_year, 1e12)
            }
        }
    }

    /// Whether a bar's time alone decides the value, so that it is known in advance.
    #[must_use]
    pub fn is_of_time(&self) -> bool {
        self.at(0).is_some()
    }

    /// The value at a bar that opens at `ts_ns`, where [`FeatureOp::is_of_time`].
    #[must_use]
    pub fn at(&self, ts_ns: i64) -> Option<f64> {
        match *self {
            Self::Calendar { cycle, wave } => Some(calendar(ts_ns, cycle, wave)),
            _ => None,
        }
    }

    /// Bars before the first row, of a valid definition.
    #[must_use]
    pub fn warm_up(&self) -> usize {
        match *self {
            Self::Close | Self::Volume | Self::Ret1 | Self::HighLowRange | Self::LogVolume => 0,
            Self::SmaGap { .. } | Self::Calendar { .. } => 0,
            Self::VolZ { .. } => 1,
            Self::Ret { lag } | Self::LogRet { lag } => lag,
            Self::Sma { n } | Self::SmaRatio { n } | Self::VolumeSma { n } | Self::VolumeRatio { n } => n - 1,
            Self::Ema { n, .. } | Self::EmaRatio { n, .. } | Self::Bollinger { n, .. } => n - 1,
            Self::Rsi { n, .. } | Self::Atr { n, .. } | Self::AtrRatio { n, .. } => n,
            Self::Macd(form) | Self::MacdRatio(form) => form.slow - 1 + form.signal().map_or(0, |n| n - 1),
            Self::RealisedVol { n, estimator, .. } => match estimator {
                Estimator::CloseToClose | Estimator::ZeroMean => n,
                Estimator::Parkinson | Estimator::GarmanKlass | Estimator::RogersSatchell => n - 1,
            },
        }
    }

    /// Bars before a row no longer depends on where the stream began: the full window, and for exponential
    /// averages until the start-up's weight has fallen below `2^-53`.
    #[must_use]
    pub fn history(&self) -> usize {
        let span = |n: usize| fading(2.0 / (n as f64 + 1.0));
        let settled = match *self {
            Self::Ret1 => 1,
            Self::SmaGap { n } | Self::VolZ { n } => n - 1,
            Self::Ema { n, .. } | Self::EmaRatio { n, .. } => span(n),
            Self::Macd(form) | Self::MacdRatio(form) => span(form.slow) + form.signal().map_or(0, span),
            Self::Rsi {
                n,
                smoothing: Smoothing::Wilder,
            }
            | Self::Atr {
                n,
                smoothing: Smoothing::Wilder,
            }
            | Self::AtrRatio {
                n,
                smoothing: Smoothing::Wilder,
            } => fading(1.0 / n as f64),
            _ => 0,
        };
        self.warm_up() + settled
    }

    /// Values kept per feature in rings; what a set may hold altogether is limited.
    pub(super) fn ring_len(&self) -> usize {
        match *self {
            Self::Ret { lag } | Self::LogRet { lag } => lag,
            Self::SmaGap { n } | Self::Sma { n } | Self::SmaRatio { n } | Self::VolZ { n } => n,
            Self::VolumeSma { n } | Self::VolumeRatio { n } | Self::Bollinger { n, .. } => n,
            Self::Rsi { n, .. } => 2 * n,
            Self::Atr { n, .. } | Self::AtrRatio { n, .. } | Self::RealisedVol { n, .. } => n,
            _ => 0,
        }
    }

    /// Unit of the value: `price`, `quantity`, or `1` for numbers that keep their meaning at any price level.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match *self {
            Self::Close | Self::SmaGap { .. } | Self::Sma { .. } | Self::Ema { .. } => "price",
            Self::Macd(_) | Self::Atr { .. } => "price",
            Self::Bollinger {
                line: BollingerLine::Upper | BollingerLine::Lower,
                ..
            } => "price",
            Self::Volume | Self::VolumeSma { .. } => "quantity",
            Self::LogVolume => "ln(1 + quantity)",
            _ => "1",
        }
    }
}

/// Steps until `(1 - alpha)^steps <= 2^-53`.
fn fading(alpha: f64) -> usize {
    if alpha >= 1.0 {
        return 0;
    }
    libm::ceil(-53.0 * core::f64::consts::LN_2 / libm::log1p(-alpha)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::MacdPart;
    use alloc::format;
    use alloc::string::{String, ToString};

    fn op(json: &str) -> Result<FeatureOp, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn time_alone_decides_the_calendar() {
        let hour = FeatureOp::Calendar {
            cycle: Cycle::HourOfDay,
            wave: Wave::Sin,
        };
        assert_eq!(
            (hour.is_of_time(), hour.at(6 * 3_600_000_000_000)),
            (true, Some(1.0))
        );
        assert_eq!(
            (FeatureOp::Close.is_of_time(), FeatureOp::Close.at(0)),
            (false, None)
        );
    }

    fn refused(json: &str) -> String {
        let op = op(json).expect("the JSON is well-formed");
        op.validate("x")
            .expect_err("the parameters are wrong")
            .to_string()
    }

    #[test]
    fn definitions_read_as_they_are_documented() {
        assert_eq!(op(r#""close""#).unwrap(), FeatureOp::Close);
        let ema = FeatureOp::Ema {
            n: 10,
            start: EmaStart::First,
        };
        assert_eq!(op(r#"{"ema":{"n":10,"start":"first"}}"#).unwrap(), ema);
        let part = MacdPart::Signal { n: 9 };
        let macd = FeatureOp::Macd(MacdForm {
            fast: 12,
            slow: 26,
            start: EmaStart::Sma,
            part,
        });
        let json = r#"{"macd":{"fast":12,"slow":26,"start":"sma","part":{"signal":{"n":9}}}}"#;
        assert_eq!(op(json).unwrap(), macd);
        assert_eq!(serde_json::to_string(&macd).unwrap(), json);
    }

    #[test]
    fn unknown_keys_missing_keys_and_unknown_features_are_errors() {
        for json in [
            r#"{"ema":{"n":10,"start":"first","alpha":1}}"#,
            r#"{"ema":{"n":10}}"#,
            r#"{"macd":{"fast":12,"slow":26,"start":"sma","part":{"signal":{"n":9,"m":1}}}}"#,
            r#"{"macd":{"fast":12,"slow":26,"start":"sma","part":"line","x":1}}"#,
            r#"{"sma":{"n":-1}}"#,
            r#""ema""#,
            r#""vwap""#,
        ] {
            assert!(op(json).is_err(), "{json} was read");
        }
    }

    #[test]
    fn a_refused_parameter_names_feature_key_range_and_value() {
        assert_eq!(
            refused(r#"{"sma_gap":{"n":0}}"#),
            "feature `x`, parameter `n`: expected 1 to 65536, found 0"
        );
        assert!(refused(r#"{"ret":{"lag":65537}}"#).contains("`lag`: expected 1 to 65536, found 65537"));
        assert!(refused(r#"{"vol_z":{"n":1}}"#).contains("expected 2"));
        let band = r#"{"bollinger":{"n":20,"k":0.0,"deviation":"sample","line":"upper"}}"#;
        assert!(refused(band).contains("`k`: expected above 0 to 1e3, found 0"));
        let macd = r#"{"macd":{"fast":26,"slow":26,"start":"sma","part":"line"}}"#;
        assert!(refused(macd).contains("`slow`: expected 27"));
        let vol = r#"{"realised_vol":{"n":1,"periods_per_year":1.0,"estimator":"close_to_close"}}"#;
        assert!(refused(vol).contains("`n`: expected 2"));
    }

    #[test]
    fn a_macd_with_the_largest_period_as_fast_is_refused_and_does_not_overflow() {
        let json = format!(
            r#"{{"macd":{{"fast":{},"slow":1,"start":"sma","part":"line"}}}}"#,
            usize::MAX
        );
        assert!(refused(&json).contains("`fast`"));
    }

    #[test]
    fn history_covers_the_fading_of_exponential_averages() {
        let ema = FeatureOp::Ema {
            n: 10,
            start: EmaStart::First,
        };
        assert_eq!(ema.warm_up(), 9);
        let fading = (ema.history() - ema.warm_up()) as f64;
        let left = libm::pow(9.0 / 11.0, fading);
        assert!(left <= f64::EPSILON / 2.0 && left * 11.0 / 9.0 > f64::EPSILON / 2.0);
        assert_eq!(
            FeatureOp::Ema {
                n: 1,
                start: EmaStart::First
            }
            .history(),
            0
        );
        assert_eq!(FeatureOp::SmaGap { n: 20 }.history(), 19);
        assert_eq!(FeatureOp::Sma { n: 20 }.history(), 19);
    }
}
