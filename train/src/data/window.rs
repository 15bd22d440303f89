//! Windows: `lookback` neighbouring rows of one segment, what is asked of them, and batches of them for training.

use super::error::DataError;
use super::label::label;
use super::label_table::LabelTable;
use super::table::{FeatureTable, Panel};
use super::time::iso;
use tickfuse_core::bundle::Scaler;

/// One labelled window: rows `end_row + 1 - lookback ..= end_row` of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Table in the panel.
    pub series: u32,
    /// Last row of the window.
    pub end_row: u32,
    /// Time of the last row: when the answer is due.
    pub decision_ns: i64,
    /// Time of the row H bars later: when the label is known.
    pub label_ns: i64,
    /// `close[t+H] > close[t]`.
    pub up: bool,
    /// `close[t+H] / close[t] - 1`.
    pub future_return: f64,
}

/// Every labelled window of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowIndex {
    /// Rows of a window.
    pub lookback: usize,
    /// Bars from the last row of the window to the labelled one.
    pub horizon: usize,
    /// In order of decision time, equal times in order of the tables.
    pub samples: Vec<Sample>,
}

impl WindowIndex {
    /// Lists the windows that lie within one segment and whose label does too.
    ///
    /// # Errors
    /// A lookback or horizon of zero; a symbol that gives no window.
    pub fn new(panel: &Panel, lookback: usize, horizon: usize) -> Result<Self, DataError> {
        positive("lookback", lookback)?;
        positive("horizon", horizon)?;
        let mut samples = Vec::new();
        for (series, table) in (0..).zip(&panel.tables) {
            let n_before = samples.len();
            let ends = table
                .segments
                .iter()
                .flat_map(|s| s.start.saturating_add(lookback - 1)..s.end);
            samples.extend(ends.filter_map(|end_row| sample(table, series, end_row, horizon)));
            if samples.len() == n_before {
                return Err(too_little_history(table, lookback.saturating_add(horizon)));
            }
        }
        samples.sort_by_key(|sample| (sample.decision_ns, sample.series));
        Ok(Self {
            lookback,
            horizon,
            samples,
        })
    }

    /// The windows that have all labels of a table.
    ///
    /// # Errors
    /// A table of another horizon; a symbol that is left without a window.
    pub fn labelled(&self, panel: &Panel, labels: &LabelTable) -> Result<Self, DataError> {
        if labels.horizon != self.horizon {
            return Err(DataError::Setting {
                name: "horizon of the labels",
                expected: "that of the windows",
                found: format!("{} and {}", labels.horizon, self.horizon),
            });
        }
        let has_all = |s: &&Sample| {
            labels
                .window(s.series as usize, s.end_row as usize, self.lookback)
                .is_some()
        };
        let samples: Vec<Sample> = self.samples.iter().filter(has_all).copied().collect();
        for (series, table) in (0..).zip(&panel.tables) {
            let first = |samples: &[Sample]| samples.iter().position(|s| s.series == series);
            if let (Some(at), None) = (first(&self.samples), first(&samples)) {
                return Err(unlabelled(table, &self.samples[at]));
            }
        }
        Ok(Self { samples, ..*self })
    }
}

fn unlabelled(table: &FeatureTable, sample: &Sample) -> DataError {
    DataError::Unlabelled {
        symbol: table.symbol.clone(),
        decision: iso(sample.decision_ns),
    }
}

fn positive(name: &'static str, value: usize) -> Result<(), DataError> {
    if value > 0 {
        return Ok(());
    }
    Err(DataError::Setting {
        name,
        expected: "1 or more",
        found: "0".into(),
    })
}

fn sample(table: &FeatureTable, series: u32, end_row: usize, horizon: usize) -> Option<Sample> {
    let label = label(table, end_row, horizon)?;
    Some(Sample {
        series,
        end_row: u32::try_from(end_row).expect("a table has fewer than 2^32 rows"),
        decision_ns: table.ts_ns[end_row],
        label_ns: table.ts_ns[label.end_row],
        up: label.up,
        future_return: label.future_return,
    })
}

fn too_little_history(table: &FeatureTable, expected: usize) -> DataError {
    let found = table
        .segments
        .iter()
        .map(ExactSizeIterator::len)
        .max()
        .unwrap_or(0);
    DataError::TooLittleHistory {
        symbol: table.symbol.clone(),
        expected,
        found,
    }
}

/// Which label a batch carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// 1 for up, 0 for not up.
    Direction,
    /// The future return.
    Return,
}

/// Scaled rows and labels, ready to be copied into training batches. Immutable; may be shared between threads.
#[derive(Debug, Clone)]
pub struct Batches {
    lookback: usize,
    /// Columns that rows behind the lookback show, per row ahead; the others are zero there.
    known: Vec<bool>,
    n_ahead: usize,
    n_features: usize,
    /// `[n_rows, n_features]` per table.
    tables: Vec<Vec<f32>>,
    /// Table, first row and decision time of every window of the index.
    windows: Vec<(u32, u32, i64)>,
    /// `[n_windows, n_labels]`.
    labels: Vec<f32>,
    n_labels: usize,
}

impl Batches {
    /// Scales every row once: `z = (x - center) * (1 / scale)` in f64, rounded to f32, as the serving core does.
    ///
    /// # Errors
    /// [`DataError::Scaled`] when a scaled value is beyond f32.
    ///
    /// # Panics
    /// When there is not one scaler per feature.
    pub fn new(
        panel: &Panel,
        index: &WindowIndex,
        scalers: &[Scaler],
        target: Target,
    ) -> Result<Self, DataError> {
        let label = |sample: &Sample| match target {
            Target::Direction => f32::from(u8::from(sample.up)),
            Target::Return => sample.future_return as f32,
        };
        let labels = index.samples.iter().map(label).collect();
        Self::with_labels(panel, index, scalers, labels, 1)
    }

    /// [`Batches::new`] with the labels of a table.
    ///
    /// # Errors
    /// [`DataError::Unlabelled`] for a window that has not all of them ([`WindowIndex::labelled`] drops these), and as
    /// [`Batches::new`].
    ///
    /// # Panics
    /// As [`Batches::new`].
    pub fn labelled(
        panel: &Panel,
        index: &WindowIndex,
        scalers: &[Scaler],
        labels: &LabelTable,
    ) -> Result<Self, DataError> {
        let n_labels = labels.n_labels(index.lookback);
        let mut values = Vec::with_capacity(index.samples.len() * n_labels);
        for sample in &index.samples {
            let series = sample.series as usize;
            let found = labels.window(series, sample.end_row as usize, index.lookback);
            values.extend_from_slice(found.ok_or_else(|| unlabelled(&panel.tables[series], sample))?);
        }
        Self::with_labels(panel, index, scalers, values, n_labels)
    }

    fn with_labels(
        panel: &Panel,
        index: &WindowIndex,
        scalers: &[Scaler],
        labels: Vec<f32>,
        n_labels: usize,
    ) -> Result<Self, DataError> {
        assert_eq!(scalers.len(), panel.n_features(), "scalers and features");
        let tables = panel.tables.iter().map(|table| scaled(panel, table, scalers));
        let window = |sample: &Sample| {
            let first_row = sample.end_row + 1 - index.lookback as u32;
            (sample.series, first_row, sample.decision_ns)
        };
        Ok(Self {
            lookback: index.lookback,
            known: vec![true; panel.n_features()],
            n_ahead: 0,
            n_features: panel.n_features(),
            tables: tables.collect::<Result<_, _>>()?,
            windows: index.samples.iter().map(window).collect(),
            labels,
            n_labels,
        })
    }

    /// The same windows with `n_ahead` rows behind their lookback, in which only the `known` columns show their values.
    ///
    /// # Panics
    /// When `known` has not one entry per feature.
    #[must_use]
    pub fn with_ahead(self, n_ahead: usize, known: Vec<bool>) -> Self {
        assert_eq!(known.len(), self.n_features, "known columns and features");
        Self {
            known,
            n_ahead,
            ..self
        }
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are no windows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Values of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Rows of a window up to its decision.
    #[must_use]
    pub fn lookback(&self) -> usize {
        self.lookback
    }

    /// Rows of a window with those ahead.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.lookback + self.n_ahead
    }

    /// Labels of a window.
    #[must_use]
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    /// The labels of the window with this position in the index.
    #[must_use]
    pub fn labels(&self, position: usize) -> &[f32] {
        &self.labels[position * self.n_labels..(position + 1) * self.n_labels]
    }

    /// When the window with this position in the index is decided, ns.
    #[must_use]
    pub fn decision_ns(&self, position: usize) -> i64 {
        self.windows[position].2
    }

    /// Table and first row of the window with this position in the index.
    #[must_use]
    pub(super) fn place(&self, position: usize) -> (usize, usize) {
        let (table, first_row, _) = self.windows[position];
        (table as usize, first_row as usize)
    }

    /// Scaled rows of a table, `[n_rows, n_features]`.
    #[must_use]
    pub(super) fn rows(&self, table: usize, first_row: usize, n_rows: usize) -> &[f32] {
        &self.tables[table][first_row * self.n_features..(first_row + n_rows) * self.n_features]
    }

    /// Copies the windows with these positions in the index: `x[n_rows, B, n_features]`, `y[B, n_labels]`, where B is the
    /// number of positions. Does not allocate.
    ///
    /// # Panics
    /// When `x` or `y` has another size, or a position is beyond the index.
    pub fn fill(&self, positions: &[usize], x: &mut [f32], y: &mut [f32]) {
        let (n_batch, width) = (positions.len(), self.n_features);
        assert_eq!(
            x.len(),
            self.n_rows() * n_batch * width,
            "x[{}, {n_batch}, {width}]",
            self.n_rows()
        );
        assert_eq!(
            y.len(),
            n_batch * self.n_labels,
            "y[{n_batch}, {}]",
            self.n_labels
        );
        for (b, &position) in positions.iter().enumerate() {
            let (table, first_row) = self.place(position);
            let rows = self.rows(table, first_row, self.n_rows());
            for (t, row) in rows.chunks_exact(width).enumerate() {
                let at = (t * n_batch + b) * width;
                x[at..at + width].copy_from_slice(row);
                if t >= self.lookback {
                    self.hide(&mut x[at..at + width]);
                }
            }
            y[b * self.n_labels..(b + 1) * self.n_labels].copy_from_slice(self.labels(position));
        }
    }

    /// Columns that are not known ahead become zero.
    fn hide(&self, row: &mut [f32]) {
        let unknown = row.iter_mut().zip(&self.known).filter(|(_, known)| !**known);
        unknown.for_each(|(value, _)| *value = 0.0);
    }
}

fn scaled(panel: &Panel, table: &FeatureTable, scalers: &[Scaler]) -> Result<Vec<f32>, DataError> {
    let mut out = Vec::with_capacity(table.rows.len());
    for (i, (x, column)) in table.rows.iter().zip((0..scalers.len()).cycle()).enumerate() {
        let z = scalers[column].apply(*x);
        if !z.is_finite() {
            return Err(DataError::Scaled {
                symbol: table.symbol.clone(),
                time: iso(table.ts_ns[i / table.n_features]),
                feature: panel.names[column].clone(),
                found: *x,
            });
        }
        out.push(z);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{panel, series};
    use super::*;
    use proptest::prelude::*;

    fn two_symbols() -> Panel {
        panel(&[
            series("A", 100.0, &[0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13]),
            series("B", 10.0, &[2, 3, 4, 5, 6, 7]),
        ])
    }

    #[test]
    fn windows_are_listed_in_order_of_decision_and_the_last_rows_are_dropped() {
        let index = WindowIndex::new(&two_symbols(), 2, 2).unwrap();
        let found: Vec<(u32, i64)> = index.samples.iter().map(|s| (s.series, s.decision_ns)).collect();
        assert_eq!(found, [(0, 20), (0, 30), (0, 40), (1, 40), (1, 50), (0, 110)]);
    }

    #[test]
    fn a_symbol_without_a_window_is_named() {
        let error = WindowIndex::new(&two_symbols(), 4, 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "B: too little history: expected 6 consecutive feature rows (lookback and horizon), \
             longest stretch has 5"
        );
        assert!(matches!(
            WindowIndex::new(&two_symbols(), 0, 1),
            Err(DataError::Setting { .. })
        ));
        assert!(matches!(
            WindowIndex::new(&two_symbols(), 1, 0),
            Err(DataError::Setting { .. })
        ));
        assert!(WindowIndex::new(&two_symbols(), usize::MAX, 1).is_err());
    }

    #[test]
    fn a_batch_is_time_major_scaled_and_carries_its_labels() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 2, 2).unwrap();
        let scaler = |center, scale| Scaler {
            center,
            scale,
            fitted_ns: None,
        };
        let scalers = [scaler(0.0, 1.0), scaler(1.0, 2.0)];
        let batches = Batches::new(&panel, &index, &scalers, Target::Direction).unwrap();
        let (mut x, mut y) = (vec![0.0; 2 * 2 * 2], vec![0.0; 2]);
        batches.fill(&[3, 0], &mut x, &mut y);
        let [b, a] = [&panel.tables[1], &panel.tables[0]];
        let volumes: Vec<f32> = x.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(
            volumes,
            [0.5, 0.5, 1.0, 1.0],
            "step 0 of both windows, then step 1"
        );
        assert_eq!(x[4], b.row(1)[0] as f32);
        assert_eq!(x[2], a.row(0)[0] as f32);
        assert_eq!(y, [3, 0].map(|i| f32::from(u8::from(index.samples[i].up))));
        let returns = Batches::new(&panel, &index, &scalers, Target::Return).unwrap();
        returns.fill(&[0], &mut x[..4], &mut y[..1]);
        assert_eq!(y[0], index.samples[0].future_return as f32);
    }

    #[test]
    fn rows_ahead_show_what_is_known_and_nothing_else() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 2, 2).unwrap();
        let batches = Batches::new(&panel, &index, &[Scaler::IDENTITY; 2], Target::Direction).unwrap();
        let batches = batches.with_ahead(2, vec![false, true]);
        let (mut x, mut y) = (vec![f32::NAN; 4 * 2], vec![0.0]);
        batches.fill(&[0], &mut x, &mut y);
        let table = &panel.tables[index.samples[0].series as usize];
        let first = index.samples[0].end_row as usize - 1;
        let shown = |t: usize, c: usize| table.row(first + t)[c] as f32;
        let expected = [0, 1, 2, 3].map(|t| [if t < 2 { shown(t, 0) } else { 0.0 }, shown(t, 1)]);
        assert_eq!(x, expected.concat());
    }

    #[test]
    fn label_vectors_come_with_their_windows_and_windows_without_them_are_dropped() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 2, 2).unwrap();
        let table =
            |text: &str, horizon| LabelTable::new(&panel, &toml::from_str(text).unwrap(), horizon).unwrap();
        let both = table(r#"columns = [{ kind = "direction" }, { kind = "return" }]"#, 2);
        let kept = index.labelled(&panel, &both).unwrap();
        assert_eq!(kept, index);
        let batches = Batches::labelled(&panel, &kept, &[Scaler::IDENTITY; 2], &both).unwrap();
        let (mut x, mut y) = (vec![0.0; 2 * 2 * 2], vec![0.0; 4]);
        batches.fill(&[3, 0], &mut x, &mut y);
        let expected = [3, 0].map(|i| {
            [
                f32::from(u8::from(index.samples[i].up)),
                index.samples[i].future_return as f32,
            ]
        });
        assert_eq!(y, expected.concat());
        assert_eq!(
            (batches.n_labels(), batches.decision_ns(3)),
            (2, index.samples[3].decision_ns)
        );
        let warm = table(r#"columns = [{ kind = "volatility", span = 3 }]"#, 2);
        let error = index.labelled(&panel, &warm).unwrap_err().to_string();
        assert_eq!(
            error,
            "B: window decided at 1970-01-01T00:00:00.00000004Z: a label asked for is not known"
        );
        let error = Batches::labelled(&panel, &index, &[Scaler::IDENTITY; 2], &warm).unwrap_err();
        assert!(matches!(error, DataError::Unlabelled { .. }));
        let other = table(r#"columns = [{ kind = "return" }]"#, 1);
        assert!(matches!(
            index.labelled(&panel, &other),
            Err(DataError::Setting { .. })
        ));
    }

    #[test]
    fn a_scaled_value_beyond_f32_is_refused() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 2, 2).unwrap();
        let scalers = [
            Scaler {
                scale: 1e-300,
                ..Scaler::IDENTITY
            },
            Scaler::IDENTITY,
        ];
        let error = Batches::new(&panel, &index, &scalers, Target::Direction).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("A at 1970-01-01T00:00:00.00000001Z: feature `return`"),
            "{error}"
        );
    }

    #[test]
    #[should_panic(expected = "x[2, 1, 2]")]
    fn a_buffer_of_the_wrong_size_panics_with_the_shape() {
        let panel = two_symbols();
        let index = WindowIndex::new(&panel, 2, 2).unwrap();
        let batches = Batches::new(&panel, &index, &[Scaler::IDENTITY; 2], Target::Direction).unwrap();
        batches.fill(&[0], &mut [0.0; 3], &mut [0.0; 1]);
    }

    fn times() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![8 => Just(1i64), 1 => 2..5i64], 12..60).prop_map(|steps| {
            steps
                .iter()
                .scan(0, |time, step| Some(std::mem::replace(time, *time + step)))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn no_window_and_no_label_leaves_its_symbol_or_segment(
            a in times(), b in times(), lookback in 1..6usize, horizon in 1..5usize, limit in 0..4u32,
        ) {
            let series = [series("A", 100.0, &a), series("B", 10.0, &b)];
            let options = super::super::table::TableOptions { max_missing_bars: limit };
            let mut maker = super::super::table::tests::ReturnAndVolume::default();
            let panel = super::super::table::build(&series, &mut maker, &options).unwrap();
            let Ok(index) = WindowIndex::new(&panel, lookback, horizon) else { return Ok(()) };
            for sample in &index.samples {
                let table = &panel.tables[sample.series as usize];
                let end = sample.end_row as usize;
                let span = &table.ts_ns[end + 1 - lookback..=end + horizon];
                prop_assert!(span.windows(2).all(|pair| pair[1] - pair[0] <= panel.max_step_ns));
                prop_assert_eq!(sample.label_ns, span[span.len() - 1]);
            }
        }

        #[test]
        fn every_row_with_enough_past_and_future_gives_exactly_one_window(
            a in times(), lookback in 1..6usize, horizon in 1..5usize,
        ) {
            let panel = panel(&[series("A", 100.0, &a)]);
            let expected: usize = panel.tables[0].segments.iter()
                .map(|segment| (segment.len() + 1).saturating_sub(lookback + horizon)).sum();
            let found = WindowIndex::new(&panel, lookback, horizon).map_or(0, |index| index.samples.len());
            prop_assert_eq!(found, expected);
        }
    }
}
