//! Contexts of X-Trend: for every window a set of earlier stretches of any symbol, drawn so that none can know the future.
//!
//! A context is `context_lookback` neighbouring rows of one segment, each with its label. It may stand beside a window only if the
//! bar that its last label looks at opens before the window's first bar does. The draw is uniform over all such contexts of
//! all symbols, without repetition, and keyed by (seed, epoch, window): neither batches nor threads show in it.
//!
//! Where fewer contexts exist than are asked for, the window is refused; nothing is padded.

use super::entities::Entities;
use super::error::DataError;
use super::label_table::LabelTable;
use super::table::Panel;
use super::time::iso;
use super::window::{Sample, WindowIndex};
use crate::random::distinct;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// Keeps the draws apart from shuffles and start values of the same seed.
const SALT: u64 = 0x5851_f42d_4c95_7f2d;
/// Bits of the stream that hold the window.
const WINDOW_BITS: u32 = 40;

/// Which contexts a window gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextConfig {
    /// Contexts of a window.
    pub n_contexts: usize,
    /// Rows of a context.
    pub context_lookback: usize,
    /// Whether contexts come from other symbols only.
    #[serde(default)]
    pub other_symbols: bool,
    /// Seed of the draws.
    #[serde(default)]
    pub seed: u64,
}

/// A context: rows `first_row .. first_row + context_lookback` of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Context {
    /// Table in the panel.
    pub series: u32,
    /// Its first row.
    pub first_row: u32,
}

/// Every possible context of a panel.
#[derive(Debug, Clone)]
pub struct Contexts {
    config: ContextConfig,
    entities: Entities,
    symbols: Vec<String>,
    /// First rows of the possible contexts per table, rising.
    starts: Vec<Vec<u32>>,
    /// When the last label of each is known, ns; rising.
    known_ns: Vec<Vec<i64>>,
    /// Times of the tables' rows, ns.
    ts_ns: Vec<Vec<i64>>,
}

impl Contexts {
    /// Lists every stretch of `context_lookback` rows that lies in one segment and whose rows all have labels.
    ///
    /// # Errors
    /// A size of zero.
    pub fn new(panel: &Panel, labels: &LabelTable, config: ContextConfig) -> Result<Self, DataError> {
        for (name, found) in [
            ("n_contexts", config.n_contexts),
            ("context_lookback", config.context_lookback),
        ] {
            if found == 0 {
                return Err(DataError::Setting {
                    name,
                    expected: "1 or more",
                    found: "0".into(),
                });
            }
        }
        let mut made = Self {
            config,
            entities: Entities::of(panel),
            symbols: panel.tables.iter().map(|table| table.symbol.clone()).collect(),
            starts: Vec::new(),
            known_ns: Vec::new(),
            ts_ns: panel.tables.iter().map(|table| table.ts_ns.clone()).collect(),
        };
        for (series, table) in panel.tables.iter().enumerate() {
            let (mut starts, mut known) = (Vec::new(), Vec::new());
            for segment in &table.segments {
                let mut n_labelled = 0;
                for row in segment.clone() {
                    n_labelled = if labels.row(series, row).is_some() {
                        n_labelled + 1
                    } else {
                        0
                    };
                    if n_labelled >= config.context_lookback {
                        starts.push((row + 1 - config.context_lookback) as u32);
                        known.push(table.ts_ns[row + labels.horizon]);
                    }
                }
            }
            made.starts.push(starts);
            made.known_ns.push(known);
        }
        Ok(made)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ContextConfig {
        &self.config
    }

    /// Codes of the symbols.
    #[must_use]
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    /// The code of every table's symbol, as a value of a row.
    #[must_use]
    pub fn codes(&self) -> Vec<f32> {
        self.symbols
            .iter()
            .map(|symbol| self.entities.code(symbol) as f32)
            .collect()
    }

    /// When the first bar of a window opened, ns.
    fn begins_ns(&self, sample: &Sample, lookback: usize) -> i64 {
        self.ts_ns[sample.series as usize][sample.end_row as usize + 1 - lookback]
    }

    /// Possible contexts per table of a window whose first bar opens at `begins_ns`.
    fn counts(&self, series: u32, begins_ns: i64) -> Vec<usize> {
        let count = |(table, known): (usize, &Vec<i64>)| {
            if self.config.other_symbols && table == series as usize {
                0
            } else {
                known.partition_point(|known| *known < begins_ns)
            }
        };
        self.known_ns.iter().enumerate().map(count).collect()
    }

    /// Number of possible contexts of a window.
    #[must_use]
    pub fn n_possible(&self, sample: &Sample, lookback: usize) -> usize {
        self.counts(sample.series, self.begins_ns(sample, lookback))
            .iter()
            .sum()
    }

    /// The index without the windows that have too few contexts.
    ///
    /// # Errors
    /// [`DataError::TooFewContexts`] when no window is left.
    pub fn trim(&self, index: &WindowIndex) -> Result<WindowIndex, DataError> {
        let enough = |sample: &&Sample| self.n_possible(sample, index.lookback) >= self.config.n_contexts;
        let samples: Vec<Sample> = index.samples.iter().filter(enough).copied().collect();
        match index.samples.last() {
            Some(last) if samples.is_empty() => Err(self.too_few(last, index.lookback)),
            _ => Ok(WindowIndex { samples, ..*index }),
        }
    }

    fn too_few(&self, sample: &Sample, lookback: usize) -> DataError {
        DataError::TooFewContexts {
            symbol: self.symbols[sample.series as usize].clone(),
            decision: iso(sample.decision_ns),
            expected: self.config.n_contexts,
            rows: self.config.context_lookback,
            found: self.n_possible(sample, lookback),
        }
    }

    /// The contexts of the window at `position` of an index, in the order drawn.
    ///
    /// # Errors
    /// [`DataError::TooFewContexts`] with the window.
    pub fn draw(&self, index: &WindowIndex, position: usize, epoch: u64) -> Result<Vec<Context>, DataError> {
        let sample = &index.samples[position];
        let stream = (epoch << WINDOW_BITS) | position as u64;
        self.draw_before(sample.series, self.begins_ns(sample, index.lookback), stream)
            .ok_or_else(|| self.too_few(sample, index.lookback))
    }

    /// Contexts known before `begins_ns` for a table, such as those that a model file carries; absent where there are too few.
    #[must_use]
    pub fn draw_before(&self, series: u32, begins_ns: i64, stream: u64) -> Option<Vec<Context>> {
        let counts = self.counts(series, begins_ns);
        let (total, wanted) = (counts.iter().sum::<usize>(), self.config.n_contexts);
        if total < wanted {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed ^ SALT);
        rng.set_stream(stream);
        let numbers = distinct(&mut rng, total, wanted).into_iter();
        Some(numbers.map(|number| self.numbered(&counts, number)).collect())
    }

    /// The context with a number among the possible ones.
    fn numbered(&self, counts: &[usize], mut number: usize) -> Context {
        for (series, count) in counts.iter().enumerate() {
            if number < *count {
                return Context {
                    series: series as u32,
                    first_row: self.starts[series][number],
                };
            }
            number -= count;
        }
        unreachable!("numbers are below the sum of the counts")
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard;
    use super::super::label_config::LabelConfig;
    use super::super::table::tests::{panel, series};
    use super::*;
    use proptest::prelude::*;

    fn labels(panel: &Panel, horizon: usize) -> LabelTable {
        let config: LabelConfig = toml::from_str("columns = [{ kind = \"return\" }]").unwrap();
        LabelTable::new(panel, &config, horizon).unwrap()
    }

    fn config(n_contexts: usize, context_lookback: usize) -> ContextConfig {
        ContextConfig {
            n_contexts,
            context_lookback,
            other_symbols: false,
            seed: 7,
        }
    }

    fn two_symbols() -> Panel {
        let gap: Vec<i64> = (0..30).chain(35..60).collect();
        panel(&[
            series("A", 100.0, &gap),
            series("B", 10.0, &(10..60).collect::<Vec<_>>()),
        ])
    }

    #[test]
    fn too_little_history_is_an_error_that_names_the_window_and_never_padding() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 4, 1).unwrap();
        let contexts = Contexts::new(&panel, &labels(&panel, 1), config(3, 5)).unwrap();
        let error = contexts.draw(&index, 0, 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "A: window decided at 1970-01-01T00:00:00.00000004Z: expected 3 contexts of 5 rows whose labels are known before \
             the window's first bar, found 0"
        );
        let kept = contexts.trim(&index).unwrap();
        assert!(kept.samples.len() < index.samples.len());
        assert!((0..kept.samples.len()).all(|at| contexts.draw(&kept, at, 0).is_ok()));
        let none = Contexts::new(&panel, &labels(&panel, 1), config(500, 5)).unwrap();
        assert!(matches!(
            none.trim(&index),
            Err(DataError::TooFewContexts { expected: 500, .. })
        ));
        assert!(Contexts::new(&panel, &labels(&panel, 1), config(0, 5)).is_err());
    }

    #[test]
    fn draws_depend_on_seed_epoch_and_window_alone() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 4, 1).unwrap();
        let contexts = Contexts::new(&panel, &labels(&panel, 1), config(4, 5)).unwrap();
        let last = index.samples.len() - 1;
        let draw = |at, epoch| contexts.draw(&index, at, epoch).unwrap();
        assert_eq!(draw(last, 3), draw(last, 3));
        assert_ne!(draw(last, 3), draw(last, 4));
        assert_ne!(draw(last, 3), draw(last - 1, 3));
        let other = ContextConfig {
            seed: 8,
            ..config(4, 5)
        };
        let other = Contexts::new(&panel, &labels(&panel, 1), other).unwrap();
        assert_ne!(draw(last, 3), other.draw(&index, last, 3).unwrap());
    }

    #[test]
    fn contexts_of_other_symbols_leave_the_own_one_out() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 4, 1).unwrap();
        let other = ContextConfig {
            other_symbols: true,
            ..config(6, 3)
        };
        let contexts = Contexts::new(&panel, &labels(&panel, 1), other).unwrap();
        let kept = contexts.trim(&index).unwrap();
        for (at, sample) in kept.samples.iter().enumerate() {
            let drawn = contexts.draw(&kept, at, 1).unwrap();
            assert!(drawn.iter().all(|context| context.series != sample.series));
        }
    }

    fn times() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![12 => Just(1i64), 1 => 2..6i64], 30..90).prop_map(|steps| {
            let step = |time: &mut i64, step: &i64| Some(std::mem::replace(time, *time + step));
            steps.iter().scan(0, step).collect()
        })
    }

    proptest! {
        #[test]
        fn no_context_or_its_label_reaches_the_window_or_crosses_a_gap(
            a in times(), b in times(), lookback in 1..6usize, horizon in 1..4usize, rows in 1..6usize,
            n in 1..5usize, seed in any::<u64>(), epoch in 0..9u64, other_symbols in any::<bool>(),
        ) {
            let panel = panel(&[series("A", 100.0, &a), series("B", 10.0, &b)]);
            let Ok(index) = WindowIndex::new(&panel, lookback, horizon) else { return Ok(()) };
            let config = ContextConfig { n_contexts: n, context_lookback: rows, other_symbols, seed };
            let contexts = Contexts::new(&panel, &labels(&panel, horizon), config).unwrap();
            let Ok(index) = contexts.trim(&index) else { return Ok(()) };
            for (at, sample) in index.samples.iter().enumerate() {
                let begins = panel.tables[sample.series as usize].ts_ns[sample.end_row as usize + 1 - lookback];
                let drawn = contexts.draw(&index, at, epoch).unwrap();
                prop_assert!(guard::contexts_are_past(&panel, &index, sample, &drawn, rows).is_ok());
                prop_assert_eq!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len(), n);
                for context in drawn {
                    let table = &panel.tables[context.series as usize];
                    let first = context.first_row as usize;
                    let known = first + rows - 1 + horizon;
                    let segment = table.segment_of(first).unwrap();
                    prop_assert!(segment.contains(&known), "inside one segment, label included");
                    prop_assert!(table.ts_ns[known] < begins, "known before the window begins");
                    prop_assert!(!(other_symbols && context.series == sample.series));
                }
            }
        }

        #[test]
        fn changing_the_future_changes_no_draw(cut in 30..50usize, seed in any::<u64>()) {
            let times: Vec<i64> = (0..60).collect();
            let whole = panel(&[series("A", 100.0, &times), series("B", 10.0, &times)]);
            let short = panel(&[series("A", 100.0, &times[..cut]), series("B", 10.0, &times[..cut])]);
            let config = ContextConfig { seed, ..config(3, 4) };
            let of = |panel: &Panel| {
                let contexts = Contexts::new(panel, &labels(panel, 2), config).unwrap();
                contexts.draw_before(0, (cut as i64 - 5) * 10, 11)
            };
            prop_assert_eq!(of(&whole), of(&short));
        }
    }
}
