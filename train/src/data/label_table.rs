//! Label vectors by configuration, such as `[class, return]`: one per row, one per step of a window, or one per step ahead.
//!
//! With c the closing price of a row, H the horizon and σ_t the [`volatility`] known at row t:
//!
//! | column | value |
//! |---|---|
//! | direction | 1 if `c[t+H] > c[t]`, else 0 |
//! | classes, fixed | 0, 1, 2 for `r < -threshold`, between, `r > threshold`; `r = c[t+H]/c[t] - 1` |
//! | classes, volatility | the same with `threshold σ_t √H` |
//! | classes, triple barrier | 2 or 0 for the barrier `c[t](1 + up σ_t √H)` or `c[t](1 - down σ_t √H)` that a close of `t+1 ..= t+H` reaches first, 1 for none |
//! | return | r, or `ln(c[t+H]/c[t])` |
//! | scaled return | `r σ_tgt/σ_t`, `σ_tgt = target/√periods`; the volatility of the decision, never of t+1 |
//! | volatility | σ_t |
//! | column | what the snapshot's file says in that row, which may look ahead as far as `t+H` |
//!
//! A row without its H-th successor in the segment, without a volatility where one is needed, or whose cell of a column is empty,
//! has no labels: its windows are dropped, never filled.

use super::error::DataError;
use super::label::{LabelKind, Unit, label};
use super::label_config::{LabelColumn, LabelConfig, LabelSteps, setting};
use super::table::{FeatureTable, Panel};
use super::time::iso;
use super::volatility;
use std::ops::RangeInclusive;

/// The label vectors of every row of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelTable {
    /// What the columns are.
    pub kinds: Vec<LabelKind>,
    /// Of which steps of a window labels are asked.
    pub steps: LabelSteps,
    /// Bars from a row to the one its labels look at.
    pub horizon: usize,
    /// `[n_rows, steps ahead or 1, columns]` per table, zeros where a row has none.
    values: Vec<Vec<f32>>,
    /// Whether a row has labels, per table.
    known: Vec<Vec<bool>>,
}

impl LabelTable {
    /// Computes every label.
    ///
    /// # Errors
    /// A setting out of range; a horizon of zero; a cell that is none of a column's classes.
    pub fn new(panel: &Panel, config: &LabelConfig, horizon: usize) -> Result<Self, DataError> {
        config.validate()?;
        if horizon == 0 {
            return Err(setting("horizon", "1 or more", "0"));
        }
        let mut made = Self {
            kinds: config.kinds(),
            steps: config.steps,
            horizon,
            values: Vec::new(),
            known: Vec::new(),
        };
        for table in &panel.tables {
            let horizons = match config.steps {
                LabelSteps::Ahead => 1..=horizon,
                LabelSteps::Last | LabelSteps::All => horizon..=horizon,
            };
            let (values, known) = of_table(table, &config.columns, horizons)?;
            made.values.push(values);
            made.known.push(known);
        }
        Ok(made)
    }

    /// Labels of a row.
    fn width(&self) -> usize {
        match self.steps {
            LabelSteps::Ahead => self.kinds.len() * self.horizon,
            LabelSteps::Last | LabelSteps::All => self.kinds.len(),
        }
    }

    /// The same labels, every column in its own unit.
    ///
    /// # Panics
    /// When there is not one unit per column.
    #[must_use]
    pub fn in_units_of(mut self, units: &[Unit]) -> Self {
        assert_eq!(units.len(), self.kinds.len(), "units and label columns");
        for values in &mut self.values {
            for (value, unit) in values.iter_mut().zip(units.iter().cycle()) {
                *value = ((f64::from(*value) - unit.center) / unit.scale) as f32;
            }
        }
        self
    }

    /// The labels of a row, if it has any.
    #[must_use]
    pub fn row(&self, series: usize, row: usize) -> Option<&[f32]> {
        let width = self.width();
        self.known[series][row].then(|| &self.values[series][row * width..(row + 1) * width])
    }

    /// The first label column that is a return.
    #[must_use]
    pub fn return_column(&self) -> Option<usize> {
        let is_return = |kind: &LabelKind| matches!(kind, LabelKind::Return | LabelKind::ScaledReturn);
        self.kinds.iter().position(is_return)
    }

    /// Labels of a window of `lookback` rows.
    #[must_use]
    pub fn n_labels(&self, lookback: usize) -> usize {
        match self.steps {
            LabelSteps::Last | LabelSteps::Ahead => self.width(),
            LabelSteps::All => self.width() * lookback,
        }
    }

    /// The labels of the window that ends at a row, step after step, if all its rows asked have them.
    #[must_use]
    pub fn window(&self, series: usize, end_row: usize, lookback: usize) -> Option<&[f32]> {
        let first = match self.steps {
            LabelSteps::Last | LabelSteps::Ahead => end_row,
            LabelSteps::All => (end_row + 1).checked_sub(lookback)?,
        };
        let width = self.width();
        let all = self.known[series][first..=end_row].iter().all(|known| *known);
        all.then(|| &self.values[series][first * width..(end_row + 1) * width])
    }
}

fn of_table(
    table: &FeatureTable,
    columns: &[LabelColumn],
    horizons: RangeInclusive<usize>,
) -> Result<(Vec<f32>, Vec<bool>), DataError> {
    let n_rows = table.close.len();
    let width = horizons.clone().count() * columns.len();
    let (mut values, mut known) = (vec![0.0; n_rows * width], vec![true; n_rows]);
    let mut of_file = table.labels.iter();
    for (k, column) in columns.iter().enumerate() {
        let cells = column.of_file().and_then(|_| of_file.next());
        let sigma = column.span().map(|span| volatilities(table, span));
        for row in 0..n_rows {
            let sigma = sigma.as_ref().and_then(|sigma| sigma[row]);
            for (step, horizon) in horizons.clone().enumerate() {
                let found = label(table, row, horizon)
                    .and_then(|label| match cells {
                        Some(cells) => Some(cells[row]),
                        None => column.value(&table.close[row..=label.end_row], sigma),
                    })
                    .map(|value| value as f32)
                    .filter(|value| value.is_finite());
                match found {
                    Some(value) => values[row * width + step * columns.len() + k] = value,
                    None => known[row] = false,
                }
            }
        }
        if let Some(cells) = cells {
            check_cells(table, column, cells)?;
        }
    }
    Ok((values, known))
}

/// Refuses a cell of a column of classes that is none of their numbers.
fn check_cells(table: &FeatureTable, column: &LabelColumn, cells: &[f64]) -> Result<(), DataError> {
    let LabelColumn::Column {
        name,
        classes: Some(classes),
        ..
    } = column
    else {
        return Ok(());
    };
    let is_code = |x: f64| x.is_nan() || (x.fract() == 0.0 && (0.0..classes.len() as f64).contains(&x));
    match cells.iter().position(|x| !is_code(*x)) {
        None => Ok(()),
        Some(row) => Err(DataError::NoClass {
            symbol: table.symbol.clone(),
            time: iso(table.ts_ns[row]),
            label: name.clone(),
            n_classes: classes.len(),
            found: cells[row],
        }),
    }
}

/// Volatility of every row; it starts anew in every segment.
fn volatilities(table: &FeatureTable, span: usize) -> Vec<Option<f64>> {
    let segments = table.segments.iter();
    segments
        .flat_map(|segment| volatility::of_closes(&table.close[segment.clone()], span))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{panel, series};
    use super::*;
    use proptest::prelude::*;

    fn made(columns: &str, closes: &[f64], horizon: usize) -> LabelTable {
        let config: LabelConfig = toml::from_str(columns).unwrap();
        let whole = 0..closes.len();
        let table = FeatureTable {
            symbol: "A".into(),
            n_features: 1,
            ts_ns: (0..closes.len() as i64).collect(),
            close: closes.to_vec(),
            labels: Vec::new(),
            rows: vec![0.0; closes.len()],
            segments: vec![whole],
        };
        let panel = Panel {
            names: vec!["x".into()],
            interval_ns: 1,
            max_step_ns: 1,
            tables: vec![table],
        };
        LabelTable::new(&panel, &config, horizon).unwrap()
    }

    fn column(table: &LabelTable, column: usize) -> Vec<Option<f32>> {
        (0..table.known[0].len())
            .map(|row| table.row(0, row).map(|l| l[column]))
            .collect()
    }

    #[test]
    fn a_class_and_a_return_stand_side_by_side() {
        let text = r#"columns = [{ kind = "classes", rule = { by = "fixed", threshold = 0.01 } }, { kind = "return" }]"#;
        let table = made(text, &[100.0, 102.0, 102.5, 100.0], 1);
        assert_eq!(column(&table, 0), [Some(2.0), Some(1.0), Some(0.0), None]);
        assert_eq!(table.row(0, 0).unwrap()[1], 0.02f64 as f32);
        let names = ["sell", "hold", "buy"].map(str::to_owned).to_vec();
        assert_eq!(table.kinds, [LabelKind::Classes(names), LabelKind::Return]);
    }

    #[test]
    fn the_barrier_reached_first_decides_not_the_end() {
        let text = r#"columns = [{ kind = "classes", rule = { by = "triple_barrier", up = 1.0, down = 1.0, span = 2 } }]"#;
        // Two returns of +-10 % set a deviation near 14 %; over three bars about 25 %.
        let closes = [100.0, 110.0, 99.0, 99.0 * 1.4, 99.0 * 0.5, 99.0, 99.0];
        assert_eq!(
            column(&made(text, &closes, 3), 0)[2],
            Some(2.0),
            "up first, down after"
        );
        let closes = [100.0, 110.0, 99.0, 99.0 * 0.5, 99.0 * 1.4, 99.0, 99.0];
        assert_eq!(column(&made(text, &closes, 3), 0)[2], Some(0.0));
        let closes = [100.0, 110.0, 99.0, 99.5, 98.5, 99.0, 99.0];
        assert_eq!(column(&made(text, &closes, 3), 0)[2], Some(1.0));
    }

    #[test]
    fn returns_are_scaled_by_the_volatility_of_the_decision() {
        let text = r#"columns = [{ kind = "scaled_return", span = 3 }, { kind = "volatility", span = 3 }]"#;
        let closes = [100.0, 103.0, 101.0, 104.0, 99.0, 120.0];
        let table = made(text, &closes, 1);
        let sigma = volatility::of_closes(&closes, 3);
        assert_eq!(
            column(&table, 0).iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, false, false, true, true, false]
        );
        for row in [3, 4] {
            let expected = (closes[row + 1] / closes[row] - 1.0) * 0.15 / 252f64.sqrt() / sigma[row].unwrap();
            assert_eq!(
                table.row(0, row).unwrap(),
                [expected as f32, sigma[row].unwrap() as f32]
            );
        }
    }

    #[test]
    fn thresholds_in_deviations_grow_with_the_root_of_the_horizon() {
        let text =
            r#"columns = [{ kind = "classes", rule = { by = "volatility", threshold = 1.0, span = 2 } }]"#;
        let sigma = volatility::of_closes(&[100.0, 110.0, 99.0], 2)[2].unwrap();
        let close = |deviations: f64| {
            [
                100.0,
                110.0,
                99.0,
                99.0,
                99.0,
                99.0,
                99.0 * (1.0 + deviations * sigma),
            ]
        };
        let class = |deviations| column(&made(text, &close(deviations), 4), 0)[2].unwrap();
        assert_eq!(
            [class(2.01), class(1.99), class(-1.99), class(-2.01)],
            [2.0, 1.0, 1.0, 0.0]
        );
    }

    #[test]
    fn windows_ask_for_their_last_step_or_all() {
        let text = r#"steps = "all"
            columns = [{ kind = "return" }, { kind = "direction" }]"#;
        let table = made(text, &[1.0, 2.0, 1.0, 3.0], 1);
        assert_eq!(table.window(0, 2, 2).unwrap(), [-0.5, 0.0, 2.0, 1.0]);
        assert_eq!((table.n_labels(2), table.window(0, 0, 2)), (4, None));
        assert_eq!(table.window(0, 3, 2), None, "the last row has no successor");
        let last = made(
            r#"columns = [{ kind = "return", log = true }]"#,
            &[1.0, 2.0, 1.0, 3.0],
            1,
        );
        assert_eq!(last.window(0, 0, 2).unwrap(), [2f64.ln() as f32]);
    }

    #[test]
    fn steps_ahead_are_asked_each_about_its_own_distance() {
        let text = r#"steps = "ahead"
            columns = [{ kind = "return" }, { kind = "direction" }]"#;
        let table = made(text, &[1.0, 2.0, 1.0, 3.0], 2);
        assert_eq!(table.window(0, 0, 1).unwrap(), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(table.window(0, 1, 2).unwrap(), [-0.5, 0.0, 0.5, 1.0]);
        assert_eq!((table.n_labels(2), table.window(0, 2, 2)), (4, None));
    }

    #[test]
    fn volatility_starts_anew_behind_a_gap() {
        let config: LabelConfig = toml::from_str(r#"columns = [{ kind = "volatility", span = 3 }]"#).unwrap();
        let times: Vec<i64> = (0..12).chain(20..32).collect();
        let panel = panel(&[series("A", 100.0, &times)]);
        let table = LabelTable::new(&panel, &config, 1).unwrap();
        let known: Vec<usize> = (0..panel.tables[0].close.len())
            .filter(|&row| table.row(0, row).is_some())
            .collect();
        let expected: Vec<usize> = panel.tables[0]
            .segments
            .iter()
            .flat_map(|s| s.start + 3..s.end - 1)
            .collect();
        assert_eq!(known, expected);
    }

    proptest! {
        #[test]
        fn labels_know_nothing_behind_their_horizon(at in 8..20usize, horizon in 1..5usize, factor in 0.5..2.0f64) {
            let text = r#"columns = [
                { kind = "classes", rule = { by = "triple_barrier", up = 0.5, down = 0.5, span = 4 } },
                { kind = "scaled_return", span = 4 }, { kind = "return" }, { kind = "direction" }]"#;
            let closes: Vec<f64> = (0..30).map(|i| 100.0 + f64::from(i * 7 % 11)).collect();
            let mut later = closes.clone();
            later[at + horizon + 1..].iter_mut().for_each(|c| *c *= factor);
            let (a, b) = (made(text, &closes, horizon), made(text, &later, horizon));
            for row in 0..=at {
                prop_assert_eq!(a.row(0, row), b.row(0, row));
            }
        }
    }
}
