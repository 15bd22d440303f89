//! Answers for frames of raw columns: a row per series and step, known columns told into the future.
//!
//! The rows of a series are put in the order of its steps. Its last `n_ahead` rows are the steps to answer, where only known and
//! static columns are read; as many rows as the lookback takes before them are the past.

use super::{Answers, PredictError};
use crate::data::frame::Frame;
use crate::import::forecasting::Layout;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tickfuse_core::bundle::{Input, Missing, Role};
use tickfuse_core::{Model, Session};

/// Code of no category, which the core replaces by the unknown one and remarks.
const UNLISTED: f64 = -1.0;

/// Which windows of a series are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Windows {
    /// The one that ends with the series.
    #[default]
    Last,
    /// Every one that has its steps ahead, and the past that the model needs at least.
    Every,
}

/// Answers of a frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameAnswers {
    /// Per series, in the order of their labels.
    pub series: Vec<Answers>,
    /// Series with too few rows for one window.
    pub too_short: Vec<String>,
}

/// Answers the series of a CSV or Parquet file.
///
/// # Errors
/// [`PredictError`]; [`PredictError::TooShort`] where no series has rows enough.
pub fn file(model: &Arc<Model>, path: &Path, windows: Windows) -> Result<FrameAnswers, PredictError> {
    let layout = Layout::of(model.schema()).ok_or(PredictError::NoFrame)?;
    let reader = Reader::open(model, path, layout)?;
    let mut session = Session::new(model, 1);
    let mut answers = FrameAnswers::default();
    for (labels, rows) in reader.series()? {
        let series = Series {
            reader: &reader,
            labels,
            rows,
        };
        if series.rows.len() < reader.shortest() {
            answers.too_short.push(series.name());
            continue;
        }
        answers.series.push(series.answers(&mut session, windows)?);
    }
    if answers.series.is_empty() {
        return Err(PredictError::TooShort {
            what: format!("{}: every series", path.display()),
            expected: reader.shortest(),
            found: reader.frame.n_rows(),
        });
    }
    Ok(answers)
}

/// A frame and the columns that a model reads of it.
struct Reader<'a> {
    model: &'a Model,
    frame: Frame,
    layout: Layout,
    /// Columns handed in with their places in the frame.
    inputs: Vec<(&'a Input, usize)>,
    groups: Vec<usize>,
    time: usize,
}

impl<'a> Reader<'a> {
    fn open(model: &'a Model, path: &Path, layout: Layout) -> Result<Self, PredictError> {
        let handed_in: Vec<&Input> = model
            .schema()
            .inputs
            .iter()
            .filter(|i| i.derived.is_none())
            .collect();
        let mut names: Vec<String> = handed_in.iter().map(|i| i.name.clone()).collect();
        for name in layout.groups.iter().chain([&layout.time]) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let frame = Frame::read(path, &names)?;
        Ok(Self {
            inputs: handed_in.into_iter().map(|i| (i, frame.place(&i.name))).collect(),
            groups: layout.groups.iter().map(|name| frame.place(name)).collect(),
            time: frame.place(&layout.time),
            model,
            frame,
            layout,
        })
    }

    fn n_ahead(&self) -> usize {
        self.model.schema().net.n_ahead()
    }

    /// Rows that a series needs.
    fn shortest(&self) -> usize {
        self.n_ahead() + self.layout.min_encoder
    }

    /// Rows of every series in the order of their steps.
    fn series(&self) -> Result<BTreeMap<Vec<String>, Vec<(i64, usize)>>, PredictError> {
        let mut series: BTreeMap<Vec<String>, Vec<(i64, usize)>> = BTreeMap::new();
        for row in 0..self.frame.n_rows() {
            let labels = self.groups.iter().map(|g| self.frame.label(*g, row).into_owned());
            let step = self.frame.whole(self.time, row)?;
            series.entry(labels.collect()).or_default().push((step, row));
        }
        series.values_mut().for_each(|rows| rows.sort_unstable());
        Ok(series)
    }

    /// A cell as the core takes it.
    fn value(&self, input: &Input, column: usize, row: usize) -> Result<f64, PredictError> {
        let Some(categories) = &input.categories else {
            let value = self.frame.real(column, row)?;
            if !value.is_finite() && input.missing == Missing::Reject {
                return Err(self.frame.refuse(column, row, "a finite number").into());
            }
            return Ok(value);
        };
        let label = self.frame.label(column, row);
        match categories.labels.iter().position(|known| *known == label) {
            Some(code) => Ok(code as f64),
            None if categories.unknown.is_some() => Ok(UNLISTED),
            None => {
                let expected = format!("one of {}", categories.labels.join(", "));
                Err(self.frame.refuse(column, row, expected).into())
            }
        }
    }
}

/// One series of a frame.
struct Series<'a> {
    reader: &'a Reader<'a>,
    labels: Vec<String>,
    /// Step and row.
    rows: Vec<(i64, usize)>,
}

impl Series<'_> {
    fn name(&self) -> String {
        self.labels.join("/")
    }

    fn answers(&self, session: &mut Session, windows: Windows) -> Result<Answers, PredictError> {
        let layout = &self.reader.layout;
        let mut answers = Answers {
            names: self.reader.model.schema().output_names(),
            series: layout
                .groups
                .iter()
                .cloned()
                .zip(self.labels.iter().cloned())
                .collect(),
            ..Answers::default()
        };
        let first = match windows {
            Windows::Last => self.rows.len(),
            Windows::Every => self.reader.shortest(),
        };
        for end in first..=self.rows.len() {
            self.answer(session, end, &mut answers)?;
        }
        Ok(answers)
    }

    /// The window that ends before row `end` of the series.
    fn answer(&self, session: &mut Session, end: usize, answers: &mut Answers) -> Result<(), PredictError> {
        let schema = self.reader.model.schema();
        let n_decoder = self.reader.n_ahead();
        let n_encoder = schema.lookback().min(end - n_decoder);
        let rows = &self.rows[end - n_decoder - n_encoder..end];
        self.check_steps(rows)?;
        let mut window = Vec::with_capacity(rows.len() * schema.n_features());
        for (k, (_, row)) in rows.iter().enumerate() {
            for (input, column) in &self.reader.inputs {
                let is_read = match input.role {
                    Role::Static => k == 0,
                    Role::Observed => k < n_encoder,
                    Role::Known => true,
                };
                window.push(if is_read {
                    self.reader.value(input, *column, *row)?
                } else {
                    0.0
                });
            }
        }
        let at = answers.values.len();
        answers.values.resize(at + schema.n_outputs(), 0.0);
        let out = &mut answers.values[at..];
        let flags = session.run_lengths(&window, n_encoder, n_decoder, out);
        let flags = flags.map_err(|error| PredictError::Run {
            what: format!("{}: {}", self.reader.frame.path().display(), self.name()),
            error,
        })?;
        answers.note(flags);
        answers.first_step.push(rows[n_encoder.min(rows.len() - 1)].0);
        Ok(())
    }

    /// Steps count up by one.
    fn check_steps(&self, rows: &[(i64, usize)]) -> Result<(), PredictError> {
        let broken = rows
            .windows(2)
            .find(|two| two[0].0.checked_add(1) != Some(two[1].0));
        match broken {
            None => Ok(()),
            Some(two) => Err(PredictError::Steps {
                what: format!("{}: {}", self.reader.frame.path().display(), self.name()),
                column: self.reader.layout.time.clone(),
                before: two[0].0,
                expected: two[0].0.saturating_add(1),
                found: two[1].0,
            }),
        }
    }
}
