//! Times in files to ns since the epoch, UTC: epoch numbers of any unit, and ISO 8601 text.
//!
//! The unit of whole numbers is told by magnitude: the largest value of a file must fall between 1980 and 2262 in
//! exactly one unit. The bands do not touch, so compact dates (`20240102`, `202401020930`) are refused, not misread.

use serde::{Deserialize, Serialize};

/// Unit of whole-number times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

/// 1980-01-01 in seconds.
const EARLIEST_S: i64 = 315_532_800;
/// The last whole second that ns in an `i64` can hold, in 2262.
const LATEST_S: i64 = i64::MAX / 1_000_000_000;
const NS_PER_DAY: i64 = 86_400_000_000_000;

impl TimeUnit {
    const ALL: [Self; 4] = [Self::S, Self::Ms, Self::Us, Self::Ns];

    /// Length of the unit in ns.
    #[must_use]
    pub const fn ns(self) -> i64 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns => 1,
        }
    }

    /// The one unit in which `value` lies between 1980 and 2262.
    #[must_use]
    pub fn detect(value: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| {
            let per_s = Self::S.ns() / unit.ns();
            let last = LATEST_S.saturating_mul(per_s).saturating_add(per_s - 1);
            (EARLIEST_S * per_s..=last).contains(&value)
        })
    }

    /// `value` in ns, unless it leaves the years 1677 to 2262.
    #[must_use]
    pub fn to_ns(self, value: i64) -> Option<i64> {
        value.checked_mul(self.ns())
    }
}

/// A time as it stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawTime {
    /// A whole number whose unit is still open.
    Epoch(i64),
    /// Settled: ns since the epoch.
    Ns(i64),
}

/// Reads a time from text: a whole number, or ISO 8601 (UTC where it names no offset; a date alone is midnight).
pub(super) fn parse(text: &str) -> Option<RawTime> {
    let text = text.trim();
    let whole = text.split_once('.').map_or(text, |(whole, fraction)| {
        if fraction.bytes().all(|b| b == b'0') {
            whole
        } else {
            text
        }
    });
    if let Ok(value) = whole.parse() {
        return Some(RawTime::Epoch(value));
    }
    parse_iso(text).map(RawTime::Ns)
}

fn parse_iso(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).ok();
    }
    if text.contains('[') {
        return None;
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let time = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    i64::try_from(time.as_nanosecond()).ok()
}

/// Days since the epoch to ns.
pub(super) fn days_to_ns(days: i32) -> Option<i64> {
    i64::from(days).checked_mul(NS_PER_DAY)
}

/// ns since the epoch as ISO 8601 text, for people.
#[must_use]
pub fn iso(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| format!("{ns} ns"), |time| time.to_string())
}

/// A length of time as people write it: `90s`, `1m`, `4h`, `2d`, the largest unit that divides it.
#[must_use]
pub fn span(ns: i64) -> String {
    const UNITS: [(i64, &str); 7] = [
        (NS_PER_DAY, "d"),
        (NS_PER_DAY / 24, "h"),
        (NS_PER_DAY / 1440, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let (unit, name) = UNITS
        .into_iter()
        .find(|(unit, _)| ns % unit == 0)
        .unwrap_or((1, "ns"));
    format!("{}{name}", ns / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_instant_is_recognised_in_every_unit() {
        let s = 1_746_372_780;
        for unit in TimeUnit::ALL {
            let value = s * (TimeUnit::S.ns() / unit.ns());
            assert_eq!(TimeUnit::detect(value), Some(unit));
            assert_eq!(unit.to_ns(value), Some(s * 1_000_000_000));
        }
    }

    #[test]
    fn compact_dates_and_small_numbers_have_no_unit() {
        for value in [0, 1, 20_240_102, 202_401_020_930, 20_240_102_093_000, -5] {
            assert_eq!(TimeUnit::detect(value), None, "{value}");
        }
    }

    #[test]
    fn the_last_instant_of_ns_is_inside_its_band_and_leaves_it_in_no_unit() {
        assert_eq!(TimeUnit::detect(i64::MAX), Some(TimeUnit::Ns));
        assert_eq!(TimeUnit::S.to_ns(LATEST_S + 1), None);
    }

    #[test]
    fn iso_text_without_offset_is_utc_and_a_date_is_midnight() {
        let noon = RawTime::Ns(1_704_110_400_000_000_000);
        for text in [
            "2024-01-01T12:00:00Z",
            "2024-01-01 12:00:00",
            "2024-01-01T12:00:00.000",
            "2024-01-01 14:00:00+02:00",
        ] {
            assert_eq!(parse(text), Some(noon), "{text}");
        }
        assert_eq!(parse("2024-01-01"), Some(RawTime::Ns(1_704_067_200_000_000_000)));
    }

    #[test]
    fn whole_numbers_may_carry_a_zero_fraction_and_nothing_else() {
        assert_eq!(
            parse(" 1502942400000.0 "),
            Some(RawTime::Epoch(1_502_942_400_000))
        );
        for text in [
            "1502942400.5",
            "1.5e12",
            "",
            "nan",
            "09:30",
            "2024-13-01",
            "2024-01-01T00:00[Mars/Base]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn spans_use_the_largest_unit_that_divides() {
        assert_eq!(span(60_000_000_000), "1m");
        assert_eq!(span(5_400_000_000_000), "90m");
        assert_eq!(span(2 * NS_PER_DAY), "2d");
        assert_eq!(span(1_500), "1500ns");
    }

    proptest! {
        #[test]
        fn iso_text_reads_back(ns in i64::MIN..=i64::MAX) {
            prop_assert_eq!(parse(&iso(ns)), Some(RawTime::Ns(ns)));
        }
    }
}
