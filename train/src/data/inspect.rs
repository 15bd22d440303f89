//! What stands in a series, good or bad, counted and with row numbers: gaps, duplicates, disorder, odd prices.
//!
//! Gaps, duplicates and zero returns are judged in time order, disorder in file order.

use super::bars::{Series, mode_of_steps};
use super::time::{iso, span};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use tickfuse_core::features::Bar;

/// Findings about one series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Symbol.
    pub symbol: String,
    /// File.
    pub source: String,
    /// Bars.
    pub rows: usize,
    /// Earliest and latest bar, ns.
    pub range_ns: Option<[i64; 2]>,
    /// The same as ISO 8601 text.
    pub range: Option<[String; 2]>,
    /// Most frequent distance of neighbours in time.
    pub interval_ns: Option<i64>,
    /// Distances above the interval.
    pub gaps: Gaps,
    /// Bars whose distance to the one before is no multiple of the interval.
    pub off_grid: Finding,
    /// Bars with the time of an earlier row.
    pub duplicates: Finding,
    /// Of the duplicates, those whose numbers differ from the earlier row.
    pub conflicting_duplicates: usize,
    /// Bars earlier than the row before.
    pub disorder: Finding,
    /// Bars with a NaN or infinite field.
    pub non_finite: Finding,
    /// Bars with a price of zero or below.
    pub non_positive_price: Finding,
    /// Bars with a volume below zero.
    pub negative_volume: Finding,
    /// Bars whose high is not the highest or whose low is not the lowest of their prices.
    pub ohlc: Finding,
    /// Bars without volume.
    pub zero_volume: Finding,
    /// Share of closes equal to the close before.
    pub zero_return_share: f64,
}

/// How often something was found, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Occurrences.
    pub count: usize,
    /// The first rows, as many as asked for.
    pub rows: Vec<u64>,
}

/// Distances above the bar interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// Occurrences.
    pub count: usize,
    /// Bars that would fill all of them.
    pub missing_bars: i64,
    /// The longest distance.
    pub longest_ns: Option<i64>,
    /// The first of them, as many as asked for.
    pub list: Vec<Gap>,
}

/// One distance above the bar interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Row before the gap.
    pub row: u64,
    /// Time of that row.
    pub after: String,
    /// Time of the next bar.
    pub until: String,
    /// Bars that would fill it.
    pub missing_bars: i64,
}

/// Looks at every bar; lists name at most `max_list` places each.
#[must_use]
pub fn inspect(series: &Series, max_list: usize) -> Report {
    let bars = &series.bars;
    let mut order: Vec<usize> = (0..bars.len()).collect();
    order.sort_by_key(|&i| bars[i].ts_ns);
    let times: Vec<i64> = order.iter().map(|&i| bars[i].ts_ns).collect();
    let interval_ns = mode_of_steps(&times);
    let range_ns = times
        .first()
        .zip(times.last())
        .map(|(&first, &last)| [first, last]);
    let find = |bad: &dyn Fn(&Bar) -> bool| find(series, max_list, |i| bad(&bars[i]));
    let (duplicates, conflicting_duplicates) = duplicates(series, max_list);
    Report {
        symbol: series.symbol.clone(),
        source: series.source.display().to_string(),
        rows: bars.len(),
        range_ns,
        range: range_ns.map(|range| range.map(iso)),
        interval_ns,
        gaps: gaps(series, &order, interval_ns, max_list),
        off_grid: off_grid(series, &order, interval_ns, max_list),
        duplicates,
        conflicting_duplicates,
        disorder: self::find(series, max_list, |i| i > 0 && bars[i].ts_ns < bars[i - 1].ts_ns),
        non_finite: find(&|bar| !is_finite(bar)),
        non_positive_price: find(&|bar| prices(bar).iter().any(|&price| price <= 0.0)),
        negative_volume: find(&|bar| bar.volume < 0.0),
        ohlc: find(&|bar| is_finite(bar) && !is_ordered(bar)),
        zero_volume: find(&|bar| bar.volume == 0.0),
        zero_return_share: zero_returns(bars, &order),
    }
}

fn prices(bar: &Bar) -> [f64; 4] {
    [bar.open, bar.high, bar.low, bar.close]
}

fn is_finite(bar: &Bar) -> bool {
    bar.volume.is_finite() && prices(bar).iter().all(|price| price.is_finite())
}

fn is_ordered(bar: &Bar) -> bool {
    prices(bar)
        .iter()
        .all(|&price| bar.low <= price && price <= bar.high)
}

fn find(series: &Series, max_list: usize, bad: impl Fn(usize) -> bool) -> Finding {
    let mut finding = Finding::default();
    for i in (0..series.bars.len()).filter(|&i| bad(i)) {
        finding.add(series.row(i), max_list);
    }
    finding
}

fn duplicates(series: &Series, max_list: usize) -> (Finding, usize) {
    let mut seen: HashMap<i64, usize> = HashMap::with_capacity(series.bars.len());
    let mut finding = Finding::default();
    let mut conflicting = 0;
    for (i, bar) in series.bars.iter().enumerate() {
        let first = *seen.entry(bar.ts_ns).or_insert(i);
        if first != i {
            finding.add(series.row(i), max_list);
            conflicting += usize::from(series.bars[first] != *bar);
        }
    }
    (finding, conflicting)
}

fn gaps(series: &Series, order: &[usize], interval_ns: Option<i64>, max_list: usize) -> Gaps {
    let mut gaps = Gaps::default();
    let Some(interval) = interval_ns else { return gaps };
    for pair in order.windows(2) {
        let [before, after] = [pair[0], pair[1]].map(|i| series.bars[i].ts_ns);
        let step = after.saturating_sub(before);
        if step <= interval {
            continue;
        }
        let missing_bars = (step - 1) / interval;
        gaps.count += 1;
        gaps.missing_bars += missing_bars;
        gaps.longest_ns = gaps.longest_ns.max(Some(step));
        if gaps.list.len() < max_list {
            let row = series.row(pair[0]);
            gaps.list.push(Gap {
                row,
                after: iso(before),
                until: iso(after),
                missing_bars,
            });
        }
    }
    gaps
}

fn off_grid(series: &Series, order: &[usize], interval_ns: Option<i64>, max_list: usize) -> Finding {
    let mut finding = Finding::default();
    let Some(interval) = interval_ns else {
        return finding;
    };
    for pair in order.windows(2) {
        let step = series.bars[pair[1]]
            .ts_ns
            .saturating_sub(series.bars[pair[0]].ts_ns);
        if step % interval != 0 {
            finding.add(series.row(pair[1]), max_list);
        }
    }
    finding
}

fn zero_returns(bars: &[Bar], order: &[usize]) -> f64 {
    let n_zero = order
        .windows(2)
        .filter(|pair| bars[pair[0]].close == bars[pair[1]].close)
        .count();
    n_zero as f64 / order.len().saturating_sub(1).max(1) as f64
}

impl Finding {
    fn add(&mut self, row: u64, max_list: usize) {
        self.count += 1;
        if self.rows.len() < max_list {
            self.rows.push(row);
        }
    }

    /// `3 duplicates (rows 5, 9, ...)`, or nothing for nothing.
    fn text(&self, what: &str) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let rows: Vec<String> = self.rows.iter().map(u64::to_string).collect();
        let more = if self.count > self.rows.len() { ", ..." } else { "" };
        let noun = if self.count == 1 { "row" } else { "rows" };
        let list = if rows.is_empty() {
            String::new()
        } else {
            format!(" ({noun} {}{more})", rows.join(", "))
        };
        Some(format!("{} {what}{list}", self.count))
    }
}

impl Report {
    /// Everything but what markets have by nature (gaps, bars off the grid, bars without volume); nothing when
    /// there is none. The feature engine refuses a series with any of these.
    #[must_use]
    pub fn problems(&self) -> Option<String> {
        let found: Vec<String> = self.each_problem().collect();
        (!found.is_empty()).then(|| found.join("; "))
    }

    fn each_problem(&self) -> impl Iterator<Item = String> + '_ {
        let conflicts = Finding {
            count: self.conflicting_duplicates,
            rows: Vec::new(),
        };
        let found = [
            self.disorder.text("out of order"),
            self.duplicates.text("with the time of an earlier row"),
            conflicts.text("of these with other numbers"),
            self.non_finite.text("not finite"),
            self.non_positive_price.text("with a price that is not positive"),
            self.negative_volume.text("with negative volume"),
            self.ohlc.text("with high or low inside the bar"),
        ];
        found.into_iter().flatten()
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{} ({}): {} bars", self.symbol, self.source, self.rows);
        if let Some([first, last]) = &self.range {
            let _ = write!(text, ", {first} to {last}");
        }
        if let Some(interval) = self.interval_ns {
            let _ = write!(text, ", every {}", span(interval));
        }
        text.push('\n');
        for problem in self.each_problem() {
            let _ = writeln!(text, "  problem: {problem}");
        }
        self.remarks(&mut text);
        text
    }

    fn remarks(&self, text: &mut String) {
        if let Some(longest) = self.gaps.longest_ns {
            let Gaps {
                count, missing_bars, ..
            } = self.gaps;
            let _ = writeln!(
                text,
                "  gaps: {count}, missing bars: {missing_bars}, longest step {}",
                span(longest)
            );
            for gap in &self.gaps.list {
                let Gap {
                    row,
                    after,
                    until,
                    missing_bars,
                } = gap;
                let _ = writeln!(
                    text,
                    "    after row {row}: {after} to {until}, {missing_bars} missing"
                );
            }
        }
        if let Some(off_grid) = self.off_grid.text("off the grid of the interval") {
            let _ = writeln!(text, "  {off_grid}");
        }
        if self.zero_volume.count == self.rows {
            let _ = writeln!(text, "  volume: none, the source has no volume");
        } else if let Some(zero) = self.zero_volume.text("without volume") {
            let _ = writeln!(text, "  {zero}");
        }
        let _ = writeln!(text, "  zero returns: {:.2} %", 100.0 * self.zero_return_share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn bar(minute: i64) -> Bar {
        Bar {
            ts_ns: minute * MINUTE,
            open: 2.0,
            high: 3.0,
            low: 1.0,
            close: 2.0 + minute as f64 / 1e3,
            volume: 5.0,
        }
    }

    fn report(bars: Vec<Bar>) -> Report {
        inspect(&Series::new("A", bars, "a.csv"), 2)
    }

    fn minutes(minutes: &[i64]) -> Report {
        report(minutes.iter().map(|&minute| bar(minute)).collect())
    }

    fn rows(count: usize, rows: &[u64]) -> Finding {
        Finding {
            count,
            rows: rows.to_vec(),
        }
    }

    #[test]
    fn a_sound_series_is_clean_and_says_its_interval() {
        let report = minutes(&[0, 1, 2, 3]);
        assert_eq!(report.problems(), None);
        assert_eq!(report.interval_ns, Some(MINUTE));
        assert_eq!(
            report.text(),
            "A (a.csv): 4 bars, 1970-01-01T00:00:00Z to 1970-01-01T00:03:00Z, every 1m\n  zero returns: 0.00 %\n"
        );
    }

    #[test]
    fn gaps_name_the_row_before_and_count_missing_bars() {
        let report = minutes(&[0, 1, 2, 5, 6, 16]);
        assert_eq!((report.gaps.count, report.gaps.missing_bars), (2, 11));
        assert_eq!(report.gaps.longest_ns, Some(10 * MINUTE));
        assert_eq!(
            (report.gaps.list[0].row, report.gaps.list[0].missing_bars),
            (3, 2)
        );
        assert_eq!(report.problems(), None, "markets close");
    }

    #[test]
    fn duplicates_are_found_apart_from_each_other_and_conflicts_counted() {
        let mut bars: Vec<Bar> = [0, 1, 2, 0, 1].map(bar).to_vec();
        bars[4].close = 2.9;
        let report = report(bars);
        assert_eq!(report.duplicates, rows(2, &[4, 5]));
        assert_eq!(report.conflicting_duplicates, 1);
        assert_eq!(report.disorder, rows(1, &[4]));
    }

    #[test]
    fn gaps_of_a_disordered_file_are_those_of_its_sorted_times() {
        let report = minutes(&[3, 2, 1, 0]);
        assert_eq!(report.gaps, Gaps::default());
        assert_eq!(report.disorder, rows(3, &[2, 3]));
        assert_eq!(report.problems().unwrap(), "3 out of order (rows 2, 3, ...)");
    }

    #[test]
    fn odd_numbers_are_told_apart() {
        let mut bars: Vec<Bar> = (0..6).map(bar).collect();
        bars[0].close = f64::NAN;
        bars[1].low = 0.0;
        bars[2].volume = -1.0;
        bars[3].high = 1.5;
        bars[4].volume = 0.0;
        bars[5].volume = f64::INFINITY;
        let report = report(bars);
        assert_eq!(report.non_finite, rows(2, &[1, 6]));
        assert_eq!(report.non_positive_price, rows(1, &[2]));
        assert_eq!(report.negative_volume, rows(1, &[3]));
        assert_eq!(report.ohlc, rows(1, &[4]));
        assert_eq!(report.zero_volume, rows(1, &[5]));
        assert!(report.problems().is_some());
    }

    #[test]
    fn bars_between_the_grid_points_are_reported() {
        let mut bars: Vec<Bar> = (0..5).map(bar).collect();
        bars[4].ts_ns += 1;
        assert_eq!(report(bars).off_grid, rows(1, &[5]));
    }

    #[test]
    fn equal_closes_are_zero_returns() {
        let mut bars: Vec<Bar> = (0..5).map(bar).collect();
        bars[2].close = bars[1].close;
        assert_eq!(report(bars).zero_return_share, 0.25);
    }

    #[test]
    fn one_bar_and_none_have_no_interval() {
        assert_eq!(minutes(&[7]).interval_ns, None);
        let none = minutes(&[]);
        assert_eq!((none.rows, none.range_ns), (0, None));
        assert!(none.text().starts_with("A (a.csv): 0 bars\n"));
    }
}
