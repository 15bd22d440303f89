//! One OHLCV record and the rules it must obey before any feature sees it.

use crate::error::FeatureError;

/// One OHLCV record of one symbol.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
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
    /// Traded quantity in the source's unit.
    pub volume: f64,
}

/// Largest accepted price and volume; its inverse is the smallest accepted price.
///
/// Within these limits no square, ratio or sum over a window can overflow, so a feature row is always finite.
const LARGEST: f64 = 1e100;

impl Bar {
    /// No bar: every number 0.
    pub(super) const ZERO: Self = Self {
        ts_ns: 0,
        open: 0.0,
        high: 0.0,
        low: 0.0,
        close: 0.0,
        volume: 0.0,
    };

    /// Checks that prices lie in `1e-100..=1e100` with `low <= open, close <= high`, and volume in `0..=1e100`.
    ///
    /// # Errors
    /// [`FeatureError::Bar`] with the first field that breaks a rule.
    pub fn validate(&self) -> Result<(), FeatureError> {
        let price = |x: f64| (LARGEST.recip()..=LARGEST).contains(&x);
        let within = |x: f64| price(x) && self.low <= x && x <= self.high;
        let rules = [
            ("high", price(self.high)),
            ("low", price(self.low) && self.low <= self.high),
            ("open", within(self.open)),
            ("close", within(self.close)),
            ("volume", (0.0..=LARGEST).contains(&self.volume)),
        ];
        match rules.into_iter().find(|&(_, holds)| !holds) {
            Some((field, _)) => Err(FeatureError::Bar { field }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Bar = Bar {
        ts_ns: 0,
        open: 10.0,
        high: 12.0,
        low: 9.0,
        close: 11.0,
        volume: 0.0,
    };

    fn refused(bar: Bar) -> &'static str {
        match bar.validate() {
            Err(FeatureError::Bar { field }) => field,
            other => panic!("expected a refused field, found {other:?}"),
        }
    }

    #[test]
    fn a_consistent_bar_without_volume_is_accepted() {
        assert_eq!(GOOD.validate(), Ok(()));
        let flat = Bar {
            open: 9.0,
            high: 9.0,
            low: 9.0,
            close: 9.0,
            ..GOOD
        };
        assert_eq!(flat.validate(), Ok(()));
    }

    #[test]
    fn every_field_is_checked_for_nan_infinity_and_sign() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e101] {
            assert_eq!(refused(Bar { high: bad, ..GOOD }), "high");
            assert_eq!(refused(Bar { low: bad, ..GOOD }), "low");
            assert_eq!(refused(Bar { open: bad, ..GOOD }), "open");
            assert_eq!(refused(Bar { close: bad, ..GOOD }), "close");
            assert_eq!(refused(Bar { volume: bad, ..GOOD }), "volume");
        }
        assert_eq!(refused(Bar { low: 0.0, ..GOOD }), "low");
    }

    #[test]
    fn open_and_close_must_lie_between_low_and_high() {
        assert_eq!(refused(Bar { high: 8.0, ..GOOD }), "low");
        assert_eq!(refused(Bar { open: 8.9, ..GOOD }), "open");
        assert_eq!(refused(Bar { close: 12.1, ..GOOD }), "close");
    }
}
