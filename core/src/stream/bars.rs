//! From bars to rows, and the gaps after which a series begins anew.

use crate::bar_rows::BarRows;
use crate::features::Bar;

/// Makes rows of bars.
#[derive(Clone)]
pub(super) struct Bars {
    pub(super) rows: BarRows,
    /// Bars that may be missing between two neighbours before the series begins anew.
    pub(super) max_missing_bars: u32,
    pub(super) last_ns: Option<i64>,
}

impl Bars {
    /// No bars yet, and none may be missing.
    pub(super) fn new(rows: BarRows) -> Self {
        Self {
            rows,
            max_missing_bars: 0,
            last_ns: None,
        }
    }

    /// Forgets every bar.
    pub(super) fn reset(&mut self) {
        self.rows.reset();
        self.last_ns = None;
    }

    /// Whether more bars than accepted are missing before this one.
    pub(super) fn is_gap(&self, bar: &Bar, interval_ns: Option<i64>) -> bool {
        let (Some(last), Some(interval)) = (self.last_ns, interval_ns) else {
            return false;
        };
        let step = i128::from(bar.ts_ns) - i128::from(last);
        step > i128::from(interval) * (i128::from(self.max_missing_bars) + 1)
    }
}
