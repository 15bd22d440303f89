//! Answers for frames of raw columns: a row per series and step, known columns told into the future.
//!
//! The rows of a series are put in the order of its steps. Its last `n_ahead` rows are the steps to answer, where only known and
//! static columns are read; as many rows as the lookback takes before them are the past. Where the model was trained on series
//! with gaps, a step that is left out takes the row before it, but for columns that have a value of their own for this.

use super::{Answers, PredictError};
use crate::data::frame::Frame;
use crate::import::forecasting::{Layout, label_text};
use serde_json::Value;
use std::borrow::Cow;
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
    let (mut answers, mut longest) = (FrameAnswers::default(), 0);
    for (labels, rows) in reader.series()? {
        let series = Series {
            reader: &reader,
            labels,
            rows,
        };
        longest = longest.max(series.rows.len());
        if series.rows.len() < reader.shortest() {
            answers.too_short.push(series.name());
            continue;
        }
        let found = series.answers(&mut session, windows)?;
        if found.is_empty() {
            answers.too_short.push(series.name());
        } else {
            answers.series.push(found);
        }
    }
    if answers.series.is_empty() {
        return Err(PredictError::TooShort {
            what: format!("{}: the longest series", path.display()),
            expected: reader.shortest(),
            found: longest,
        });
    }
    Ok(answers)
}

/// A step of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    time: i64,
    /// Its row of the frame, or the one before it.
    row: usize,
    /// Whether the frame leaves it out.
    filled: bool,
}

type Steps = Vec<Step>;

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
    fn series(&self) -> Result<BTreeMap<Vec<String>, Steps>, PredictError> {
        let mut series: BTreeMap<Vec<String>, Steps> = BTreeMap::new();
        for row in 0..self.frame.n_rows() {
            let labels = self.groups.iter().map(|g| self.frame.label(*g, row).into_owned());
            let step = Step {
                time: self.frame.whole(self.time, row)?,
                row,
                filled: false,
            };
            series.entry(labels.collect()).or_default().push(step);
        }
        for steps in series.values_mut() {
            steps.sort_unstable();
            if self.layout.fill.is_some() {
                *steps = self.without_gaps(steps);
            }
        }
        Ok(series)
    }

    /// Steps that are left out, where a window can reach over them.
    fn without_gaps(&self, steps: &[Step]) -> Steps {
        let longest = self.model.schema().n_rows() as i64;
        let mut all = Steps::with_capacity(steps.len());
        for (i, step) in steps.iter().enumerate() {
            all.push(*step);
            let next = steps.get(i + 1).map_or(step.time, |next| next.time);
            if next.saturating_sub(step.time) < longest {
                let left_out = step.time + 1..next;
                all.extend(left_out.map(|time| Step {
                    time,
                    filled: true,
                    ..*step
                }));
            }
        }
        all
    }

    /// A number of a step, where the frame has one.
    fn real(&self, input: &Input, column: usize, step: Step) -> Result<f64, PredictError> {
        if step.filled && column == self.time {
            return Ok(step.time as f64);
        }
        match self.filling(input, step).and_then(Value::as_f64) {
            Some(value) => Ok(value),
            None => Ok(self.frame.real(column, step.row)?),
        }
    }

    /// The value of a column in steps that are left out, where it has one.
    fn filling(&self, input: &Input, step: Step) -> Option<&Value> {
        let fill = self.layout.fill.as_ref().filter(|_| step.filled)?;
        fill.get(&input.name)
    }

    /// A cell as the core takes it.
    fn value(&self, input: &Input, column: usize, step: Step) -> Result<f64, PredictError> {
        let Some(categories) = &input.categories else {
            let value = self.real(input, column, step)?;
            if !value.is_finite() && input.missing == Missing::Reject {
                return Err(self.frame.refuse(column, step.row, "a finite number").into());
            }
            return Ok(value);
        };
        let row = step.row;
        let label = match self.filling(input, step).and_then(label_text) {
            Some(label) => Cow::Owned(label),
            None => self.frame.label(column, row),
        };
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
    rows: Steps,
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

    /// The window that ends before row `end` of the series, if one does: neither its first nor its last step was left out.
    fn answer(&self, session: &mut Session, end: usize, answers: &mut Answers) -> Result<(), PredictError> {
        let schema = self.reader.model.schema();
        let n_decoder = self.reader.n_ahead();
        let reach = schema.lookback().min(end - n_decoder);
        let steps = self.reached(&self.rows[end - n_decoder - reach..end]);
        let n_encoder = steps.len().saturating_sub(n_decoder);
        if steps.len() < self.reader.shortest() || steps.last().is_none_or(|step| step.filled) {
            return Ok(());
        }
        self.check_steps(steps)?;
        let mut window = Vec::with_capacity(steps.len() * schema.n_features());
        for (k, step) in steps.iter().enumerate() {
            for (input, column) in &self.reader.inputs {
                let is_read = match input.role {
                    Role::Static => k == 0,
                    Role::Observed => k < n_encoder,
                    Role::Known => true,
                };
                window.push(if is_read {
                    self.reader.value(input, *column, *step)?
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
        answers
            .first_step
            .push(steps[n_encoder.min(steps.len() - 1)].time);
        Ok(())
    }

    /// The steps behind the last gap that is too long to be filled, from the first one that was not left out.
    fn reached<'s>(&self, steps: &'s [Step]) -> &'s [Step] {
        if self.reader.layout.fill.is_none() {
            return steps;
        }
        let gap = steps.windows(2).rposition(|two| !follows(two));
        let behind = &steps[gap.map_or(0, |at| at + 1)..];
        &behind[behind.iter().take_while(|step| step.filled).count()..]
    }

    /// Steps count up by one.
    fn check_steps(&self, steps: &[Step]) -> Result<(), PredictError> {
        match steps.windows(2).find(|two| !follows(two)) {
            None => Ok(()),
            Some(two) => Err(PredictError::Steps {
                what: format!("{}: {}", self.reader.frame.path().display(), self.name()),
                column: self.reader.layout.time.clone(),
                before: two[0].time,
                expected: two[0].time.saturating_add(1),
                found: two[1].time,
            }),
        }
    }
}

fn follows(two: &[Step]) -> bool {
    two[0].time.checked_add(1) == Some(two[1].time)
}
