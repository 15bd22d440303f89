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
    /// The last row with rows of the future, `[1 + n_ahead, n_features]`.
    row: Vec<f64>,
    n_ahead: usize,
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
            row: vec![0.0; (1 + schema.net.n_ahead()) * schema.n_features()],
            n_ahead: schema.net.n_ahead(),
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
            _ if self.n_ahead == 0 => Ok(()),
            (Some(column), _) => Err(StreamError::Unforeseen { column }),
            (None, None) => Err(StreamError::NoInterval),
            (None, Some(_)) => Ok(()),
        }
    }

    /// The row of the bar that opens at `ts_ns`, which was made last, with what is known of the bars behind it.
    pub(super) fn row(&mut self, ts_ns: i64) -> &[f64] {
        if self.n_ahead == 0 {
            return self.rows.row();
        }
        let row = self.rows.row();
        self.row[..row.len()].copy_from_slice(row);
        self.future(ts_ns);
        &self.row
    }

    /// What is known of the bars behind the one that opens at `ts_ns`.
    pub(super) fn future(&mut self, ts_ns: i64) -> &[f64] {
        let future = &mut self.row[self.rows.row().len()..];
        if let Some(interval_ns) = self.interval_ns {
            self.rows.foresee(ts_ns, interval_ns, future);
        }
        future
    }

    /// When the next bar opens, if it comes in time and the model reads what is known of those behind it.
    pub(super) fn next_ns(&self) -> Option<i64> {
        let interval_ns = self.interval_ns.filter(|_| self.suffice().is_ok())?;
        let last_ns = self.rows.last_ns().filter(|_| self.n_ahead > 0)?;
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
