//! Leakage guards at work: each passes on this crate's data and trips on the mistake it is for.
//!
//! The mistakes are those of the systems this project replaces, written out here as they were: a horizon counted
//! twice, windows over interleaved symbols, statistics of all data, labels of 0 where there is none, cuts by row
//! order, no purge. Bars are synthetic: a random walk per symbol with a fixed seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tickfuse_core::bundle::Scaler;
use tickfuse_core::error::FeatureError;
use tickfuse_core::features::{Bar, FeatureSet, standard_set};
use tickfuse_train::data::DataError;
use tickfuse_train::data::bars::Series;
use tickfuse_train::data::guard::{self, Leak};
use tickfuse_train::data::scaler;
use tickfuse_train::data::split::{Cut, Part, Split};
use tickfuse_train::data::table::{self, FeatureTable, Panel, RowMaker, TableOptions};
use tickfuse_train::data::window::{Batches, Sample, Target, WindowIndex};

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000 / MINUTE * MINUTE;
const LOOKBACK: usize = 20;
const HORIZON: usize = 5;
const OPTIONS: TableOptions = TableOptions { max_missing_bars: 3 };

/// A random walk with minute bars that leaves out an hour before bar `gap_at`.
fn walk(symbol: &str, seed: u64, n: usize, gap_at: usize) -> Series {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = move || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let mut close = 100.0;
    let bar = |i: usize| {
        let open = close;
        close *= 1.0 + 0.01 * (uniform() - 0.5);
        let skipped = if i < gap_at { 0 } else { 60 };
        Bar {
            ts_ns: START + (i as i64 + skipped) * MINUTE,
            open,
            high: open.max(close) * 1.001,
            low: open.min(close) * 0.999,
            close,
            volume: 1.0 + 9.0 * uniform(),
        }
    };
    Series::new(symbol, (0..n).map(bar).collect(), format!("{symbol}.csv"))
}

fn three_symbols() -> Vec<Series> {
    vec![
        walk("BTC", 1, 600, 250),
        walk("ETH", 2, 600, 250),
        walk("SOL", 3, 540, 400),
    ]
}

fn build(series: &[Series]) -> Result<Panel, DataError> {
    let defs = standard_set("seed-000").expect("a standard set");
    table::build(
        series,
        &mut FeatureSet::new(&defs).expect("a valid set"),
        &OPTIONS,
    )
}

struct Made {
    series: Vec<Series>,
    panel: Panel,
    index: WindowIndex,
    split: Split,
    scalers: Vec<Scaler>,
}

fn made() -> Made {
    let series = three_symbols();
    let panel = build(&series).unwrap();
    let index = WindowIndex::new(&panel, LOOKBACK, HORIZON).unwrap();
    let split = Split::new(
        &panel,
        &index,
        &Cut::Shares {
            train: 0.6,
            validation: 0.2,
        },
    )
    .unwrap();
    let scalers = scaler::fit(&panel, &index, &split.train).unwrap();
    Made {
        series,
        panel,
        index,
        split,
        scalers,
    }
}

/// Seed 000: the label column already looks H bars ahead, and indexing adds H once more. The times are put right,
/// so that only the label itself can betray it.
fn horizon_counted_twice(panel: &Panel, index: &WindowIndex) -> WindowIndex {
    let shifted = |sample: &Sample| {
        let table = &panel.tables[sample.series as usize];
        let label_row = sample.end_row as usize + HORIZON;
        let end = label_row + HORIZON;
        let up = *table.close.get(end)? > table.close[label_row];
        Some(Sample { up, ..*sample })
    };
    WindowIndex {
        samples: index.samples.iter().filter_map(shifted).collect(),
        ..index.clone()
    }
}

/// Seed 000: a comparison with a missing value is false, so the last H rows stay, labelled 0.
fn last_rows_labelled_zero(panel: &Panel, index: &WindowIndex) -> WindowIndex {
    let mut wrong = index.clone();
    for (series, table) in (0..).zip(&panel.tables) {
        let n = table.ts_ns.len();
        wrong.samples.extend((n - HORIZON..n).map(|row| Sample {
            series,
            end_row: row as u32,
            decision_ns: table.ts_ns[row],
            label_ns: table.ts_ns[row],
            up: false,
            future_return: 0.0,
        }));
    }
    wrong
}

/// Seed 001: all symbols in one table, sorted by time.
fn interleaved(panel: &Panel) -> Panel {
    let mut rows: Vec<(i64, f64, &[f64])> = Vec::new();
    for table in &panel.tables {
        rows.extend((0..table.ts_ns.len()).map(|row| (table.ts_ns[row], table.close[row], table.row(row))));
    }
    rows.sort_by_key(|row| row.0);
    let table = FeatureTable {
        symbol: panel.tables[0].symbol.clone(),
        n_features: panel.n_features(),
        ts_ns: rows.iter().map(|row| row.0).collect(),
        close: rows.iter().map(|row| row.1).collect(),
        labels: Vec::new(),
        rows: rows.iter().flat_map(|row| row.2.iter().copied()).collect(),
        segments: std::iter::once(0..rows.len()).collect(),
    };
    Panel {
        tables: vec![table],
        ..panel.clone()
    }
}

/// One segment from the first to the last row, whatever lies between.
fn gaps_forgotten(panel: &Panel) -> Panel {
    let mut wrong = panel.clone();
    for table in &mut wrong.tables {
        table.segments = std::iter::once(0..table.ts_ns.len()).collect();
    }
    wrong
}

/// A part with these positions, however they were chosen.
fn part(index: &WindowIndex, samples: Vec<usize>) -> Part {
    let times = || {
        samples
            .iter()
            .map(|&position| index.samples[position].decision_ns)
    };
    Part {
        from_ns: None,
        until_ns: None,
        decisions_ns: times()
            .min()
            .zip(times().max())
            .map(|(first, last)| [first, last]),
        labels_known_ns: samples
            .iter()
            .map(|&position| index.samples[position].label_ns)
            .max(),
        n_windows: samples.len(),
        n_purged: 0,
        n_up: 0,
        symbols: Default::default(),
        samples,
    }
}

fn all(index: &WindowIndex) -> Part {
    part(index, (0..index.samples.len()).collect())
}

/// Features that nobody can have at decision time: the distance from the mean of the whole series.
struct Centred {
    mean: f64,
}

impl RowMaker for Centred {
    fn names(&self) -> Vec<String> {
        vec!["centred".into()]
    }

    fn reset(&mut self) {}

    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> Result<bool, FeatureError> {
        out[0] = bar.close - self.mean;
        Ok(true)
    }
}

fn build_centred(series: &[Series]) -> Result<Panel, DataError> {
    let closes: Vec<f64> = series
        .iter()
        .flat_map(|one| one.bars.iter().map(|bar| bar.close))
        .collect();
    let mean = closes.iter().sum::<f64>() / closes.len() as f64;
    table::build(series, &mut Centred { mean }, &OPTIONS)
}

/// Bits of every feature row and close at or before `at_ns`.
fn rows_until(panel: &Panel, at_ns: i64) -> Vec<u64> {
    let until = |table: &FeatureTable| {
        let n = table.ts_ns.partition_point(|&time| time <= at_ns);
        let values = table.rows[..n * table.n_features].iter().chain(&table.close[..n]);
        values.map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    panel.tables.iter().flat_map(until).collect()
}

/// Bits of the scalers and of every scaled training window with its label.
fn training_bits(series: &[Series], validation_ns: i64, fit_on_all: bool) -> Result<Vec<u64>, DataError> {
    let panel = build(series)?;
    let index = WindowIndex::new(&panel, LOOKBACK, HORIZON)?;
    let split = Split::new(
        &panel,
        &index,
        &Cut::Times {
            validation_ns,
            test_ns: None,
        },
    )?;
    let fitted = if fit_on_all { &all(&index) } else { &split.train };
    let scalers = scaler::fit(&panel, &index, fitted)?;
    let batches = Batches::new(&panel, &index, &scalers, Target::Direction)?;
    let train = &split.train.samples;
    let mut x = vec![0.0; LOOKBACK * train.len() * panel.n_features()];
    let mut y = vec![0.0; train.len()];
    batches.fill(train, &mut x, &mut y);
    let statistics = scalers
        .iter()
        .flat_map(|one| [one.center.to_bits(), one.scale.to_bits()]);
    Ok(statistics
        .chain(x.iter().chain(&y).map(|value| u64::from(value.to_bits())))
        .collect())
}

/// Bits of the future returns of the windows decided before `start`, with or without the purge.
fn label_bits(series: &[Series], start: i64, purged: bool) -> Result<Vec<u64>, DataError> {
    let index = WindowIndex::new(&build(series)?, LOOKBACK, HORIZON)?;
    let in_train = |sample: &&Sample| sample.decision_ns < start && (!purged || sample.label_ns < start);
    Ok(index
        .samples
        .iter()
        .filter(in_train)
        .map(|sample| sample.future_return.to_bits())
        .collect())
}

#[test]
fn rows_are_of_their_symbol_and_interleaving_trips_the_guard() {
    let Made { series, panel, .. } = made();
    guard::rows_are_of_their_symbol(&series, &panel).unwrap();
    let wrong = guard::rows_are_of_their_symbol(&series, &interleaved(&panel));
    assert!(matches!(wrong, Err(Leak::ForeignRow { .. })), "{wrong:?}");
}

#[test]
fn windows_over_interleaved_symbols_trip_the_window_guard_too() {
    let Made { panel, index, .. } = made();
    guard::windows_and_labels_are_right(&panel, &index).unwrap();
    let wrong = interleaved(&panel);
    let index = WindowIndex::new(&wrong, LOOKBACK, HORIZON).unwrap();
    let found = guard::windows_and_labels_are_right(&wrong, &index);
    assert!(matches!(found, Err(Leak::Crossing { .. })), "{found:?}");
}

#[test]
fn windows_across_a_gap_trip_the_guard() {
    let Made { series, panel, .. } = made();
    let wrong = gaps_forgotten(&panel);
    let index = WindowIndex::new(&wrong, LOOKBACK, HORIZON).unwrap();
    let found = guard::windows_and_labels_are_right(&wrong, &index);
    assert!(matches!(found, Err(Leak::Crossing { .. })), "{found:?}");
    guard::rows_are_of_their_symbol(&series, &panel).unwrap();
}

#[test]
fn a_horizon_counted_twice_trips_the_guard() {
    let Made { panel, index, .. } = made();
    guard::windows_and_labels_are_right(&panel, &index).unwrap();
    let found = guard::windows_and_labels_are_right(&panel, &horizon_counted_twice(&panel, &index));
    assert!(matches!(found, Err(Leak::Label { .. })), "{found:?}");
}

#[test]
fn the_last_rows_give_no_window_and_labels_of_zero_there_trip_the_guard() {
    let Made { panel, index, .. } = made();
    for (series, table) in (0..).zip(&panel.tables) {
        let last = index
            .samples
            .iter()
            .rfind(|sample| sample.series == series)
            .unwrap();
        assert_eq!(last.end_row as usize, table.ts_ns.len() - 1 - HORIZON);
    }
    let found = guard::windows_and_labels_are_right(&panel, &last_rows_labelled_zero(&panel, &index));
    assert!(matches!(found, Err(Leak::Crossing { .. })), "{found:?}");
}

#[test]
fn the_split_is_purged_and_a_cut_without_purge_trips_the_guard() {
    let Made { index, split, .. } = made();
    guard::split_is_purged(&index, &split).unwrap();
    assert!(
        split
            .train
            .symbols
            .values()
            .all(|counts| counts.n_purged == HORIZON),
        "{:?}",
        split.train.symbols
    );
    let start = split.validation.from_ns.unwrap();
    let before = |position: &usize| index.samples[*position].decision_ns < start;
    let unpurged = part(&index, (0..index.samples.len()).filter(before).collect());
    let found = guard::parts_do_not_touch(&index, &unpurged, &split.validation);
    assert!(matches!(found, Err(Leak::Purge { .. })), "{found:?}");
}

#[test]
fn a_cut_by_rows_of_the_stacked_panel_trips_the_guard() {
    let Made { index, .. } = made();
    let n = index.samples.len();
    let shared_time = |&cut: &usize| index.samples[cut - 1].decision_ns == index.samples[cut].decision_ns;
    let cut = (n / 2..n).find(shared_time).unwrap();
    let [train, validation] = [0..cut, cut..n].map(|range| part(&index, range.collect()));
    let found = guard::parts_do_not_touch(&index, &train, &validation);
    assert!(matches!(found, Err(Leak::Purge { .. })), "{found:?}");
}

#[test]
fn a_window_in_two_parts_trips_the_guard() {
    let Made { index, split, .. } = made();
    guard::parts_do_not_touch(&index, &split.train, &split.validation).unwrap();
    let mut twice = split.train.clone();
    twice.samples.push(split.validation.samples[0]);
    let found = guard::parts_do_not_touch(&index, &twice, &split.validation);
    assert!(matches!(found, Err(Leak::SharedWindow { .. })), "{found:?}");
}

#[test]
fn scalers_fitted_on_all_data_or_on_validation_trip_the_guard() {
    let Made {
        panel,
        index,
        split,
        scalers,
        ..
    } = made();
    guard::scalers_are_of_train(&panel, &scalers, &split.train).unwrap();
    for wrong in [&all(&index), &split.validation] {
        let wrong = scaler::fit(&panel, &index, wrong).unwrap();
        let found = guard::scalers_are_of_train(&panel, &wrong, &split.train);
        assert!(matches!(found, Err(Leak::Fitted { .. })), "{found:?}");
    }
    let silent: Vec<Scaler> = scalers
        .iter()
        .map(|one| Scaler {
            fitted_ns: None,
            ..*one
        })
        .collect();
    let found = guard::scalers_are_of_train(&panel, &silent, &split.train);
    assert!(matches!(found, Err(Leak::NotStated { .. })), "{found:?}");
}

#[test]
fn features_keep_their_bits_when_the_future_changes_and_centred_ones_do_not() {
    let series = three_symbols();
    for minute in [100, 249, 330, 500] {
        let at = START + minute * MINUTE;
        guard::past_ignores_future(&series, at, |series| Ok(rows_until(&build(series)?, at))).unwrap();
        let wrong = |series: &[Series]| Ok(rows_until(&build_centred(series)?, at));
        let found = guard::past_ignores_future(&series, at, wrong);
        assert!(matches!(found, Err(Leak::Future { .. })), "{found:?}");
    }
}

#[test]
fn training_batches_keep_their_bits_when_validation_changes_and_statistics_of_all_data_do_not() {
    let Made { series, split, .. } = made();
    let start = split.validation.from_ns.unwrap();
    guard::past_ignores_future(&series, start - 1, |series| training_bits(series, start, false)).unwrap();
    let found = guard::past_ignores_future(&series, start - 1, |series| training_bits(series, start, true));
    assert!(matches!(found, Err(Leak::Future { .. })), "{found:?}");
}

#[test]
fn labels_without_a_purge_change_with_validation_prices() {
    let Made { series, split, .. } = made();
    let start = split.validation.from_ns.unwrap();
    guard::past_ignores_future(&series, start - 1, |series| label_bits(series, start, true)).unwrap();
    let found = guard::past_ignores_future(&series, start - 1, |series| label_bits(series, start, false));
    assert!(matches!(found, Err(Leak::Future { .. })), "{found:?}");
}
