//! A set of named features over one stream of bars: the only way from bars to rows, in training and in service.

use super::bar::Bar;
use super::op::FeatureOp;
use super::state::State;
use crate::error::{FeatureError, StateError};
use crate::saved::{Reader, Writer};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Most values a set may keep in all its windows together (32 MiB): definitions come from files.
const MAX_RING_VALUES: usize = 1 << 22;

/// A feature and the name of its column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureDef {
    /// Column name.
    pub name: String,
    /// Definition.
    pub op: FeatureOp,
}

/// Whether a bar gave a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Ready {
    /// Not yet; the output was not written.
    WarmingUp {
        /// Bars still to come, the one with the first row included.
        remaining: usize,
    },
    /// The output holds the bar's row; every value is finite.
    Row,
}

/// Features over one stream of bars. One per symbol and thread; `push` and `peek` do not allocate.
#[derive(Debug, Clone)]
pub struct FeatureSet {
    defs: Vec<FeatureDef>,
    states: Vec<State>,
    warm_up: usize,
    /// Bars taken, counted up to `warm_up`.
    taken: usize,
    previous: Option<Bar>,
}

impl FeatureSet {
    /// An empty stream for these features; a row's values have their order.
    ///
    /// # Errors
    /// [`FeatureError::Empty`], [`FeatureError::DuplicateName`], and [`FeatureError::Parameter`] for an empty name, a
    /// parameter out of range, or windows that together keep more than 2^22 values.
    pub fn new(defs: &[FeatureDef]) -> Result<Self, FeatureError> {
        validate(defs)?;
        Ok(Self {
            defs: defs.to_vec(),
            states: defs.iter().map(|d| State::new(&d.op)).collect(),
            warm_up: defs.iter().map(|d| d.op.warm_up()).max().unwrap_or(0),
            taken: 0,
            previous: None,
        })
    }

    /// Definitions in the order of the columns.
    #[must_use]
    pub fn defs(&self) -> &[FeatureDef] {
        &self.defs
    }

    /// Values of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.defs.len()
    }

    /// Column names in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.defs.iter().map(|d| d.name.as_str())
    }

    /// Bars that give no row: bar `k`, counted from 0, has a row if and only if `k >= warm_up`.
    #[must_use]
    pub fn warm_up(&self) -> usize {
        self.warm_up
    }

    /// Bars before a row no longer depends on where the stream began; at least [`Self::warm_up`]. A service that
    /// wants the rows of training pushes this many bars of history first.
    #[must_use]
    pub fn history(&self) -> usize {
        self.defs.iter().map(|d| d.op.history()).max().unwrap_or(0)
    }

    /// Takes a bar and writes its row to `out`, which must have room for `n_features` values.
    ///
    /// # Errors
    /// [`FeatureError::OutputLength`]; [`FeatureError::Bar`] for a bar [`Bar::validate`] refuses;
    /// [`FeatureError::Time`] for a bar not later than the one before. The set is then as it was and `out` untouched.
    pub fn push(&mut self, bar: &Bar, out: &mut [f64]) -> Result<Ready, FeatureError> {
        let ready = self.step(bar, out, true)?;
        self.taken = self.warm_up.min(self.taken + 1);
        self.previous = Some(*bar);
        Ok(ready)
    }

    /// The row that pushing `bar` would give; nothing is kept. For a bar that is still forming.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn peek(&mut self, bar: &Bar, out: &mut [f64]) -> Result<Ready, FeatureError> {
        self.step(bar, out, false)
    }

    /// Forgets every bar; the next one starts a new stream. Does not allocate.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(State::reset);
        self.taken = 0;
        self.previous = None;
    }

    /// Time of the last bar taken.
    pub(crate) fn last_ns(&self) -> Option<i64> {
        self.previous.map(|bar| bar.ts_ns)
    }

    /// Writes all that the bars so far left behind, always as many bytes.
    pub(crate) fn save(&self, to: &mut Writer<'_>) {
        to.count(self.taken);
        to.count(usize::from(self.previous.is_some()));
        let bar = self.previous.unwrap_or(Bar::ZERO);
        to.u64(bar.ts_ns.cast_unsigned());
        to.f64s(&[bar.open, bar.high, bar.low, bar.close, bar.volume]);
        self.states.iter().for_each(|state| state.save(to));
    }

    /// Reads what a set of the same definitions wrote; after an error a mixture of both remains.
    pub(crate) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        self.taken = from.count("bars of features", self.warm_up)?;
        let has_previous = from.count("last bars", 1)? == 1;
        let ts_ns = from.u64()?.cast_signed();
        let mut values = [0.0; 5];
        from.f64s(&mut values)?;
        let [open, high, low, close, volume] = values;
        let bar = Bar {
            ts_ns,
            open,
            high,
            low,
            close,
            volume,
        };
        self.previous = has_previous.then_some(bar);
        self.states.iter_mut().try_for_each(|state| state.restore(from))
    }

    fn step(&mut self, bar: &Bar, out: &mut [f64], keep: bool) -> Result<Ready, FeatureError> {
        self.check(bar, out.len())?;
        let previous = self.previous.as_ref();
        if self.taken >= self.warm_up {
            for (state, value) in self.states.iter_mut().zip(out) {
                *value = state.step(bar, previous, keep);
            }
            return Ok(Ready::Row);
        }
        if keep {
            for state in &mut self.states {
                state.step(bar, previous, keep);
            }
        }
        Ok(Ready::WarmingUp {
            remaining: self.warm_up - self.taken,
        })
    }

    fn check(&self, bar: &Bar, room: usize) -> Result<(), FeatureError> {
        if room != self.defs.len() {
            return Err(FeatureError::OutputLength {
                expected: self.defs.len(),
                found: room,
            });
        }
        bar.validate()?;
        match &self.previous {
            Some(q) if bar.ts_ns <= q.ts_ns => Err(FeatureError::Time {
                previous_ns: q.ts_ns,
                found_ns: bar.ts_ns,
            }),
            _ => Ok(()),
        }
    }
}

fn validate(defs: &[FeatureDef]) -> Result<(), FeatureError> {
    if defs.is_empty() {
        return Err(FeatureError::Empty);
    }
    let mut seen = BTreeSet::new();
    let mut kept = 0usize;
    for def in defs {
        if def.name.is_empty() {
            return Err(FeatureError::Parameter(format!(
                "feature {}: expected a name, found none",
                seen.len()
            )));
        }
        if !seen.insert(def.name.as_str()) {
            return Err(FeatureError::DuplicateName(def.name.clone()));
        }
        def.op.validate(&def.name)?;
        kept = kept.saturating_add(def.op.ring_len());
        if kept > MAX_RING_VALUES {
            return Err(FeatureError::Parameter(format!(
                "feature `{}`: expected windows of at most {MAX_RING_VALUES} values in all, found {kept}",
                def.name
            )));
        }
    }
    Ok(())
}

/// Rows of a batch of bars, `[n_rows, n_features]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Values of a row.
    pub n_features: usize,
    /// Index of the bar the first row belongs to; later rows follow bar by bar.
    pub first_bar: usize,
    /// Row after row.
    pub values: Vec<f64>,
}

/// A bar or a set that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsError {
    /// Index of the bar, if it was a bar.
    pub bar: Option<usize>,
    /// What is wrong.
    pub error: FeatureError,
}

impl fmt::Display for RowsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bar {
            Some(bar) => write!(f, "bar {bar}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl core::error::Error for RowsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The rows of a batch of bars: a new stream, pushed bar by bar. Fewer bars than the warm-up give no row.
///
/// # Errors
/// The error of [`FeatureSet::new`], or of [`FeatureSet::push`] with the index of the bar.
pub fn rows(defs: &[FeatureDef], bars: &[Bar]) -> Result<Rows, RowsError> {
    let mut set = FeatureSet::new(defs).map_err(|error| RowsError { bar: None, error })?;
    let n_features = set.n_features();
    let first_bar = set.warm_up();
    let mut values = alloc::vec![0.0; bars.len().saturating_sub(first_bar) * n_features];
    let mut row = alloc::vec![0.0; n_features];
    for (k, bar) in bars.iter().enumerate() {
        let at = |error| RowsError { bar: Some(k), error };
        if set.push(bar, &mut row).map_err(at)? == Ready::Row {
            let start = (k - first_bar) * n_features;
            values[start..start + n_features].copy_from_slice(&row);
        }
    }
    Ok(Rows {
        n_features,
        first_bar,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn def(name: &str, op: FeatureOp) -> FeatureDef {
        FeatureDef {
            name: name.to_string(),
            op,
        }
    }

    fn bar(ts_ns: i64, price: f64) -> Bar {
        Bar {
            ts_ns,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 1.0,
        }
    }

    fn sma3_and_close() -> FeatureSet {
        let defs = [def("sma", FeatureOp::Sma { n: 3 }), def("p", FeatureOp::Close)];
        FeatureSet::new(&defs).expect("the definitions are valid")
    }

    #[test]
    fn a_set_refuses_nothing_no_name_twice_a_name_and_too_much_memory() {
        assert_eq!(FeatureSet::new(&[]).unwrap_err(), FeatureError::Empty);
        let twice = [def("p", FeatureOp::Close), def("p", FeatureOp::Volume)];
        assert_eq!(
            FeatureSet::new(&twice).unwrap_err(),
            FeatureError::DuplicateName("p".to_string())
        );
        let nameless = FeatureSet::new(&[def("", FeatureOp::Close)]).unwrap_err();
        assert!(nameless.to_string().contains("expected a name"));
        let large: Vec<_> = (0..65)
            .map(|k| def(&k.to_string(), FeatureOp::Sma { n: 65_536 }))
            .collect();
        assert!(FeatureSet::new(&large[..64]).is_ok());
        assert!(
            FeatureSet::new(&large)
                .unwrap_err()
                .to_string()
                .contains("found 4259840")
        );
    }

    #[test]
    fn the_row_of_the_slowest_feature_opens_the_stream() {
        let mut set = sma3_and_close();
        let mut out = [-1.0; 2];
        assert_eq!((set.warm_up(), set.n_features()), (2, 2));
        assert_eq!(set.names().collect::<Vec<_>>(), ["sma", "p"]);
        assert_eq!(
            set.push(&bar(1, 1.0), &mut out),
            Ok(Ready::WarmingUp { remaining: 2 })
        );
        assert_eq!(
            set.push(&bar(2, 2.0), &mut out),
            Ok(Ready::WarmingUp { remaining: 1 })
        );
        assert_eq!(out, [-1.0; 2]);
        assert_eq!(set.push(&bar(3, 6.0), &mut out), Ok(Ready::Row));
        assert_eq!(out, [3.0, 6.0]);
    }

    #[test]
    fn a_refused_bar_leaves_the_set_and_the_output_as_they_were() {
        let mut set = sma3_and_close();
        let mut out = [-1.0; 2];
        for k in 1..=3 {
            let _ = set.push(&bar(k, k as f64), &mut out).unwrap();
        }
        out = [-1.0; 2];
        let time = FeatureError::Time {
            previous_ns: 3,
            found_ns: 3,
        };
        assert_eq!(set.push(&bar(3, 9.0), &mut out), Err(time.clone()));
        assert_eq!(set.peek(&bar(3, 9.0), &mut out), Err(time));
        assert_eq!(
            set.push(&bar(4, f64::NAN), &mut out),
            Err(FeatureError::Bar { field: "high" })
        );
        let room = FeatureError::OutputLength {
            expected: 2,
            found: 1,
        };
        assert_eq!(set.push(&bar(4, 9.0), &mut out[..1]), Err(room));
        assert_eq!(out, [-1.0; 2]);
        assert_eq!(set.push(&bar(4, 10.0), &mut out), Ok(Ready::Row));
        assert_eq!(out, [5.0, 10.0]);
    }

    #[test]
    fn a_batch_names_the_bar_it_stumbles_over() {
        let defs = [def("p", FeatureOp::Close)];
        let bars = [bar(1, 1.0), bar(2, 2.0), bar(2, 3.0)];
        assert_eq!(rows(&defs, &bars[..2]).unwrap().values, vec![1.0, 2.0]);
        let error = rows(&defs, &bars).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bar 2: bar time: expected later than 2 ns, found 2 ns"
        );
        assert_eq!(rows(&[], &bars).unwrap_err().bar, None);
    }

    #[test]
    fn a_batch_shorter_than_the_warm_up_has_no_rows() {
        let defs = [def("sma", FeatureOp::Sma { n: 3 })];
        let few = rows(&defs, &[bar(1, 1.0), bar(2, 2.0)]).unwrap();
        assert_eq!((few.first_bar, few.values.len()), (2, 0));
        assert_eq!(rows(&defs, &[]).unwrap().values, Vec::<f64>::new());
    }
}
