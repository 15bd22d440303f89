//! Training, validation and test parts in order of time over the whole panel, with a purge between them.
//!
//! Window i is decided at `f_i` and its label is known at `g_i` (H bars of its own symbol later). A part
//! `[from, until)` holds the windows with `from <= f_i < until` and `g_i < until`: those whose label reaches into
//! the next part are purged. Equal times of different symbols are never separated. A later part may read features
//! from before its start; an earlier one never reads anything from after its end.

use super::error::DataError;
use super::table::Panel;
use super::time::iso;
use super::window::{Sample, WindowIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the parts meet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cut {
    /// Shares of the windows; what they leave is the test part. A cut moves back to the next change of time.
    Shares {
        /// Share of the training part, in (0, 1).
        train: f64,
        /// Share of the validation part, in (0, 1).
        validation: f64,
    },
    /// First decision times.
    Times {
        /// Start of the validation part, ns.
        validation_ns: i64,
        /// Start of the test part, ns; absent for none.
        test_ns: Option<i64>,
    },
}

/// The windows decided in one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Positions in the index, rising.
    #[serde(skip)]
    pub samples: Vec<usize>,
    /// Start of the stretch, ns, inside; absent where the data begin.
    pub from_ns: Option<i64>,
    /// End of the stretch, ns, outside; absent where the data end.
    pub until_ns: Option<i64>,
    /// First and last decision time kept, ns.
    pub decisions_ns: Option<[i64; 2]>,
    /// Latest time at which a kept label is known, ns.
    pub labels_known_ns: Option<i64>,
    /// Windows kept.
    pub n_windows: usize,
    /// Windows purged at the end.
    pub n_purged: usize,
    /// Kept windows that are up.
    pub n_up: usize,
    /// Windows kept and purged per symbol.
    pub symbols: BTreeMap<String, Counts>,
}

/// Windows of one symbol in one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Kept.
    pub n_windows: usize,
    /// Purged.
    pub n_purged: usize,
}

impl Part {
    /// The windows decided in `[from_ns, until_ns)` whose label is known before `until_ns`.
    #[must_use]
    pub fn between(panel: &Panel, index: &WindowIndex, from_ns: Option<i64>, until_ns: Option<i64>) -> Self {
        let samples = &index.samples;
        let first_at = |limit: i64| samples.partition_point(|sample| sample.decision_ns < limit);
        let start = from_ns.map_or(0, first_at);
        let end = until_ns.map_or(samples.len(), first_at).max(start);
        let known = |sample: &Sample| until_ns.is_none_or(|until| sample.label_ns < until);
        let mut part = Self {
            samples: Vec::with_capacity(end - start),
            from_ns,
            until_ns,
            decisions_ns: None,
            labels_known_ns: None,
            n_windows: 0,
            n_purged: 0,
            n_up: 0,
            symbols: BTreeMap::new(),
        };
        for (position, sample) in (start..end).zip(&samples[start..end]) {
            let symbol = &panel.tables[sample.series as usize].symbol;
            part.take(position, sample, symbol, known(sample));
        }
        part
    }

    fn take(&mut self, position: usize, sample: &Sample, symbol: &str, keep: bool) {
        if !self.symbols.contains_key(symbol) {
            self.symbols.insert(symbol.to_owned(), Counts::default());
        }
        let counts = self.symbols.get_mut(symbol).expect("inserted above");
        if !keep {
            counts.n_purged += 1;
            self.n_purged += 1;
            return;
        }
        counts.n_windows += 1;
        self.n_windows += 1;
        self.n_up += usize::from(sample.up);
        self.samples.push(position);
        let first = self.decisions_ns.map_or(sample.decision_ns, |[first, _]| first);
        self.decisions_ns = Some([first, sample.decision_ns]);
        self.labels_known_ns = self.labels_known_ns.max(Some(sample.label_ns));
    }

    fn not_empty(self, part: &'static str) -> Result<Self, DataError> {
        if !self.samples.is_empty() {
            return Ok(self);
        }
        Err(DataError::EmptyPart {
            part,
            from: self.from_ns.map_or_else(|| "the first bar".into(), iso),
            until: self.until_ns.map_or_else(|| "the last bar".into(), iso),
        })
    }
}

/// The parts of one experiment; serialises as its provenance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// Bars from decision to label, the length of the purge.
    pub horizon: usize,
    /// What the weights and scalers are fitted on.
    pub train: Part,
    /// What stops and selects.
    pub validation: Part,
    /// What is looked at once; absent when the cut leaves none.
    pub test: Option<Part>,
}

impl Split {
    /// Cuts the windows of a panel.
    ///
    /// # Errors
    /// Shares or times out of order; a part without windows, with its range.
    pub fn new(panel: &Panel, index: &WindowIndex, cut: &Cut) -> Result<Self, DataError> {
        let (validation_ns, test_ns) = times(index, cut)?;
        let part = |from, until| Part::between(panel, index, from, until);
        Ok(Self {
            horizon: index.horizon,
            train: part(None, Some(validation_ns)).not_empty("training")?,
            validation: part(Some(validation_ns), test_ns).not_empty("validation")?,
            test: test_ns
                .map(|test| part(Some(test), None).not_empty("test"))
                .transpose()?,
        })
    }
}

fn times(index: &WindowIndex, cut: &Cut) -> Result<(i64, Option<i64>), DataError> {
    match *cut {
        Cut::Times {
            validation_ns,
            test_ns,
        } => {
            if test_ns.is_some_and(|test| test <= validation_ns) {
                let found = format!("{} and {}", iso(validation_ns), iso(test_ns.unwrap_or_default()));
                return Err(DataError::Setting {
                    name: "split times",
                    expected: "validation before test",
                    found,
                });
            }
            Ok((validation_ns, test_ns))
        }
        Cut::Shares { train, validation } => {
            let open = |share: f64| share > 0.0 && share < 1.0;
            if !open(train) || !open(validation) || train + validation > 1.0 + 1e-9 {
                return Err(DataError::Setting {
                    name: "split shares",
                    expected: "training and validation in (0, 1) with a sum of at most 1",
                    found: format!("{train} and {validation}"),
                });
            }
            let has_test = train + validation < 1.0 - 1e-9;
            Ok((
                time_at(index, train),
                has_test.then(|| time_at(index, train + validation)),
            ))
        }
    }
}

/// Decision time of the window behind the first `share` of all.
fn time_at(index: &WindowIndex, share: f64) -> i64 {
    let n = index.samples.len();
    let position = ((n as f64 * share) as usize).min(n.saturating_sub(1));
    index.samples.get(position).map_or(0, |sample| sample.decision_ns)
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{panel, series};
    use super::*;
    use proptest::prelude::*;

    fn three_symbols() -> (Panel, WindowIndex) {
        let times: Vec<i64> = (0..41).collect();
        let panel = panel(&["A", "B", "C"].map(|symbol| series(symbol, 100.0, &times)));
        let index = WindowIndex::new(&panel, 4, 3).unwrap();
        (panel, index)
    }

    #[test]
    fn parts_follow_each_other_and_h_bars_per_symbol_are_purged() {
        let (panel, index) = three_symbols();
        let cut = Cut::Times {
            validation_ns: 200,
            test_ns: Some(300),
        };
        let split = Split::new(&panel, &index, &cut).unwrap();
        assert_eq!(split.train.decisions_ns, Some([40, 160]));
        assert_eq!(split.train.labels_known_ns, Some(190));
        assert_eq!(
            split.train.symbols["B"],
            Counts {
                n_windows: 13,
                n_purged: 3
            }
        );
        assert_eq!(split.validation.decisions_ns, Some([200, 260]));
        assert_eq!(split.validation.n_purged, 9);
        let test = split.test.unwrap();
        assert_eq!((test.decisions_ns, test.n_purged), (Some([300, 370]), 0));
    }

    #[test]
    fn shares_cut_between_times_never_between_symbols() {
        let (panel, index) = three_symbols();
        let cut = Cut::Shares {
            train: 0.5,
            validation: 0.25,
        };
        let split = Split::new(&panel, &index, &cut).unwrap();
        let start = split.validation.from_ns.unwrap();
        assert_eq!(split.validation.decisions_ns.unwrap()[0], start);
        let at_start = |position: &&usize| index.samples[**position].decision_ns == start;
        assert_eq!(split.validation.samples.iter().filter(at_start).count(), 3);
    }

    #[test]
    fn shares_that_fill_the_whole_leave_no_test_part() {
        let (panel, index) = three_symbols();
        let split = Split::new(
            &panel,
            &index,
            &Cut::Shares {
                train: 0.7,
                validation: 0.3,
            },
        )
        .unwrap();
        assert_eq!(split.test, None);
        assert_eq!(split.validation.until_ns, None);
    }

    #[test]
    fn empty_parts_and_bad_cuts_are_refused() {
        let (panel, index) = three_symbols();
        let message = |cut| Split::new(&panel, &index, &cut).unwrap_err().to_string();
        assert_eq!(
            message(Cut::Times {
                validation_ns: 60,
                test_ns: None
            }),
            "training part is empty: no window is decided in the first bar to 1970-01-01T00:00:00.00000006Z \
             with its label known before the end"
        );
        assert!(
            message(Cut::Times {
                validation_ns: 300,
                test_ns: Some(200)
            })
            .starts_with("split times:")
        );
        for (train, validation) in [(0.0, 0.5), (0.9, 0.2), (f64::NAN, 0.1), (0.5, 1.0)] {
            assert!(message(Cut::Shares { train, validation }).starts_with("split shares:"));
        }
    }

    #[test]
    fn provenance_names_times_and_counts_and_no_positions() {
        let (panel, index) = three_symbols();
        let split = Split::new(
            &panel,
            &index,
            &Cut::Times {
                validation_ns: 200,
                test_ns: None,
            },
        )
        .unwrap();
        let json = serde_json::to_value(&split).unwrap();
        assert_eq!(json["train"]["n_purged"], 9);
        assert_eq!(json["train"]["symbols"]["A"]["n_windows"], 13);
        assert_eq!(json["train"].get("samples"), None);
    }

    proptest! {
        #[test]
        fn no_label_of_a_part_is_known_after_the_next_part_begins(
            lookback in 1..6usize, horizon in 1..6usize, train in 0.3..0.6f64, shift in 0..9i64,
        ) {
            let times: Vec<i64> = (0..80).collect();
            let later: Vec<i64> = times.iter().map(|time| time + shift).collect();
            let panel = panel(&[series("A", 100.0, &times), series("B", 10.0, &later)]);
            let index = WindowIndex::new(&panel, lookback, horizon).unwrap();
            let split = Split::new(&panel, &index, &Cut::Shares { train, validation: 0.2 }).unwrap();
            let test = split.test.unwrap();
            for (earlier, later) in [(&split.train, &split.validation), (&split.validation, &test)] {
                prop_assert!(earlier.labels_known_ns < later.decisions_ns.map(|[first, _]| first));
            }
            let kept: usize = [&split.train, &split.validation, &test].iter()
                .map(|part| part.n_windows + part.n_purged).sum();
            prop_assert_eq!(kept, index.samples.len());
        }
    }
}
