//! From bars to rows, and the gaps after which a series begins anew.

use crate::bar_rows::BarRows;
use crate::bundle::Schema;
use crate::error::{StateError, StreamError};
use crate::features::Bar;
use crate::saved::{Reader, Writer};
use alloc::vec;
use alloc::vec::Vec;

/// Makes rows of bars.
pub(super) struct Bars {
    pub(super) rows: BarRows,
    /// Bars that may be missing between two neighbours before the series begins anew.
    pub(super) max_missing_bars: u32,
    interval_ns: Option<i64>,
    /// Rows of the future `[n_ahead, n_features]`, none where the model reads none.
    pub(super) future: Vec<f64>,
    /// Room for what is saved.
    spare: Vec<u8>,
}

impl Bars {
    /// No bars yet, and none may be missing.
    pub(super) fn new(rows: BarRows, schema: &Schema) -> Self {
        let mut bars = Self {
            rows,
            max_missing_bars: 0,
            interval_ns: schema.bar_interval_ns,
            future: vec![0.0; schema.net.n_ahead() * schema.n_features()],
            spare: Vec::new(),
        };
        bars.spare = vec![0; bars.n_bytes()];
        bars
    }

    /// Forgets every bar.
    pub(super) fn reset(&mut self) {
        self.rows.reset();
    }

    /// Whether bars alone make all that the model reads.
    pub(super) fn suffice(&self) -> Result<(), StreamError> {
        match (self.rows.unforeseen(), self.interval_ns) {
            _ if self.future.is_empty() => Ok(()),
            (Some(column), _) => Err(StreamError::Unforeseen { column }),
            (None, None) => Err(StreamError::NoInterval),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Makes the rows of the bars behind the one that opens at `ts_ns`.
    pub(super) fn foresee(&mut self, ts_ns: i64) {
        let interval_ns = self.interval_ns.unwrap_or(0);
        self.rows.foresee(ts_ns, interval_ns, &mut self.future);
    }

    /// When the next bar opens, if it comes in time and the model reads what is known of those behind it.
    pub(super) fn next_ns(&self) -> Option<i64> {
        let interval_ns = self.interval_ns.filter(|_| self.suffice().is_ok())?;
        let last_ns = self.rows.last_ns().filter(|_| !self.future.is_empty())?;
        Some(last_ns.saturating_add(interval_ns))
    }

    /// Whether more bars than accepted are missing before this one.
    pub(super) fn is_gap(&self, bar: &Bar) -> bool {
        let (Some(last), Some(interval)) = (self.rows.last_ns(), self.interval_ns) else {
            return false;
        };
        let step = i128::from(bar.ts_ns) - i128::from(last);
        step > i128::from(interval) * (i128::from(self.max_missing_bars) + 1)
    }

    /// Bytes of [`Bars::save`].
    pub(super) fn n_bytes(&self) -> usize {
        let mut to = Writer::counting();
        self.save(&mut to);
        to.n_bytes()
    }

    /// Writes all of it, always as many bytes.
    pub(super) fn save(&self, to: &mut Writer<'_>) {
        to.u64(u64::from(self.max_missing_bars));
        self.rows.save(to);
    }

    /// Reads what bars of the same model wrote; after an error they are as they were.
    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        let mut before = core::mem::take(&mut self.spare);
        self.save(&mut Writer::new(&mut before));
        let done = self.read(from);
        if done.is_err() {
            // What was just written has every number in its range.
            let _ = self.read(&mut Reader::new(&before));
        }
        self.spare = before;
        done
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        let most = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        self.max_missing_bars = from.count("bars that may be missing", most)? as u32;
        self.rows.restore(from)
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        let mut bytes = core::mem::take(&mut self.spare);
        source.save(&mut Writer::new(&mut bytes));
        // What was just written has every number in its range.
        let _ = self.read(&mut Reader::new(&bytes));
        self.spare = bytes;
    }
}
