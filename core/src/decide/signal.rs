//! Long, short or flat by thresholds on probabilities.
//!
//! Long where `p_up >= long`, short where `p_down >= short`, flat otherwise. With both thresholds above one half no two hold at
//! once. A probability that is not a number is flat.

use crate::error::DecideError;
use serde::{Deserialize, Serialize};

/// A direction to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Up.
    Long,
    /// Down.
    Short,
    /// None.
    Flat,
}

impl Signal {
    /// 1, -1 or 0.
    #[must_use]
    pub fn position(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
            Self::Flat => 0.0,
        }
    }
}

/// Least probabilities of a direction, in (1/2, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Of up, for long.
    pub long: f64,
    /// Of down, for short.
    pub short: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            long: 0.55,
            short: 0.55,
        }
    }
}

impl Thresholds {
    /// Checks ranges.
    ///
    /// # Errors
    /// [`DecideError::Setting`] with the first key out of range.
    pub fn validate(&self) -> Result<(), DecideError> {
        for (key, found) in [("long", self.long), ("short", self.short)] {
            if !(found > 0.5 && found <= 1.0) {
                return Err(DecideError::Setting {
                    key,
                    expected: "a probability above 0.5, at most 1",
                    found,
                });
            }
        }
        Ok(())
    }

    /// The direction of a probability of up, with `p_down = 1 - p_up`.
    #[must_use]
    pub fn signal(&self, p_up: f64) -> Signal {
        self.of_classes(p_up, 1.0 - p_up)
    }

    /// The direction of the probabilities of a rising and a falling class, beside which there may be others.
    #[must_use]
    pub fn of_classes(&self, p_up: f64, p_down: f64) -> Signal {
        if p_up >= self.long {
            Signal::Long
        } else if p_down >= self.short {
            Signal::Short
        } else {
            Signal::Flat
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_probability_at_the_threshold_counts() {
        let policy = Thresholds::default();
        let signals = [0.55, 0.5499, 0.5, 0.4501, 0.45, 0.0, 1.0].map(|p| policy.signal(p));
        use Signal::{Flat, Long, Short};
        assert_eq!(signals, [Long, Flat, Flat, Flat, Short, Short, Long]);
        assert_eq!([Long, Short, Flat].map(Signal::position), [1.0, -1.0, 0.0]);
    }

    #[test]
    fn a_class_beside_up_and_down_takes_their_share() {
        let policy = Thresholds::default();
        assert_eq!(policy.of_classes(0.3, 0.6), Signal::Short);
        assert_eq!(policy.of_classes(0.5, 0.1), Signal::Flat);
    }

    #[test]
    fn what_is_no_number_is_flat() {
        assert_eq!(Thresholds::default().signal(f64::NAN), Signal::Flat);
    }

    #[test]
    fn thresholds_that_allow_both_sides_at_once_are_refused() {
        for (long, short) in [(0.5, 0.6), (0.6, 0.4), (1.1, 0.6), (f64::NAN, 0.6)] {
            assert!(Thresholds { long, short }.validate().is_err());
        }
        assert!(Thresholds::default().validate().is_ok());
        assert!(toml::from_str::<Thresholds>("long = 0.6\nbuy = 0.7").is_err());
    }

    proptest! {
        #[test]
        fn mirrored_probabilities_give_mirrored_signals(p in 0.0..=1.0f64, t in 0.51..1.0f64) {
            let policy = Thresholds { long: t, short: t };
            prop_assume!((p - t).abs() > 1e-9 && (1.0 - p - t).abs() > 1e-9);
            prop_assert_eq!(policy.signal(p).position(), -policy.signal(1.0 - p).position());
        }
    }
}
