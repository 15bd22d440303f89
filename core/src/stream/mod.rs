//! One row after the other: the answer for the window that each new row ends, prepared before the row arrives.
//!
//! [`Stream::push`] gives the bits of [`Session::run`](crate::Session::run) on the same window, in whatever order rows were
//! pushed, peeked and prepared. What may be done before a row arrives is done by [`Stream::prepare`]; without it the same is done
//! when the row arrives, and the answer only comes later.
//!
//! Where a model answers steps of the future from what is known of them, such as the hour of the day, a row comes with the rows of that
//! future behind it. Bars need none where the calendar is all that is known.

mod ahead;
mod bank;
mod bars;
mod past;
mod rolled;
mod set;
mod state;
mod way;
mod whole;

use crate::bundle::Schema;
use crate::error::{RunError, StreamError};
use crate::features::{Bar, Ready};
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::Contexts;
use crate::session::{Sample, expect_input, expect_output};
use alloc::sync::Arc;
use bars::Bars;
use core::fmt;
pub use set::StreamSet;
use way::Way;

/// What a row or bar gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Not yet; the output was not written.
    WarmingUp {
        /// Rows or bars still to come, the one with the first answer included.
        remaining: usize,
    },
    /// The output holds the answer.
    Answer(Flags),
}

/// A sliding window over one series. One per symbol and thread.
///
/// After construction nothing allocates, locks, calls the system or panics, whatever the input.
pub struct Stream {
    model: Arc<Model>,
    way: Way,
    /// Rows taken, counted up to the lookback.
    n_rows: usize,
    bars: Option<Bars>,
}

impl Stream {
    /// A stream without rows. Bars are taken where the model makes its rows from bars.
    ///
    /// # Errors
    /// None today: every model has streams.
    pub fn new(model: &Arc<Model>) -> Result<Self, StreamError> {
        let bars = model.bar_rows().ok();
        Ok(Self {
            model: Arc::clone(model),
            way: Way::new(model),
            n_rows: 0,
            bars: bars.map(|rows| Bars::new(rows, model.schema())),
        })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Accepts so many missing bars between two neighbours; above, the series begins anew. 0 unless said; without effect where the
    /// model does not know its bar interval.
    pub fn set_max_missing_bars(&mut self, max_missing_bars: u32) {
        if let Some(bars) = &mut self.bars {
            bars.max_missing_bars = max_missing_bars;
        }
    }

    /// Missing bars that are accepted between two neighbours; 0 where the model takes no bars.
    #[must_use]
    pub fn max_missing_bars(&self) -> u32 {
        self.bars.as_ref().map_or(0, |bars| bars.max_missing_bars)
    }

    /// Says which series the bars are of: `label` of the category `name`, such as `BTCUSDT` of `symbol`, from the next bar on. Whether
    /// the model knows it; until told, and for a label that it does not know, the series is an unknown one.
    ///
    /// # Errors
    /// [`RunError::NoCategory`].
    pub fn set_category(&mut self, name: &str, label: &str) -> Result<bool, RunError> {
        let bars = self.bars.as_mut().ok_or(RunError::NoCategory)?;
        bars.rows.set_category(name, label)
    }

    /// Attends to these contexts from the next answer on. Copies nothing; frees the ones before where nobody else holds them.
    ///
    /// # Errors
    /// [`RunError::NoContexts`], [`RunError::ForeignContexts`].
    pub fn set_contexts(&mut self, contexts: &Contexts) -> Result<(), RunError> {
        self.way.set_contexts(&self.model, contexts)
    }

    /// Rows still to come before an answer, the one with the answer included; 1 when the next row has one.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.lookback() - self.n_rows.min(self.lookback() - 1)
    }

    /// Takes a raw row `[n_features]` and writes the answer for the window it ends to `out [n_outputs]`.
    ///
    /// Of a model that reads rows of the future those lie behind the row as in a window: `row [1 + n, n_features]` for n of 1 to `n_ahead`
    /// steps, which `out [n, n_columns]` speaks of, with the bits of [`Session::run_lengths`](crate::Session::run_lengths). Only columns
    /// known in advance are read of them, and nothing is kept: the next row brings its own. Where these are the same, moved up by a row,
    /// only the last one is new work.
    ///
    /// # Errors
    /// [`RunError`]; then the row is not taken and nothing was written.
    pub fn push<S: Sample>(&mut self, row: &[S], out: &mut [f32]) -> Result<Step, RunError> {
        let step = self.peek(row, out)?;
        self.take();
        Ok(step)
    }

    /// The answer that pushing `row` would give; nothing is kept.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn peek<S: Sample>(&mut self, row: &[S], out: &mut [f32]) -> Result<Step, RunError> {
        let schema = self.model.schema();
        let n_steps = expect_row(schema, row.len())?;
        expect_output(n_steps * schema.n_columns(), out.len())?;
        let remaining = self.remaining();
        let answer = self.way.answer(&self.model, row, remaining == 1, out)?;
        Ok(match answer {
            Some(flags) => Step::Answer(flags),
            None => Step::WarmingUp {
                remaining: remaining - 1,
            },
        })
    }

    /// Takes a raw row as [`Stream::push`] does, without an answer: a row of the past that nobody acts on. The work of the answers
    /// that are left out is never done. Rows of the future behind it may be left out, too.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn replay<S: Sample>(&mut self, row: &[S]) -> Result<(), RunError> {
        let schema = self.model.schema();
        if row.len() != schema.n_features() {
            expect_row(schema, row.len())?;
        }
        self.way.lay(&self.model, row)?;
        self.take();
        Ok(())
    }

    /// Takes a bar: makes its row and pushes that. A bar behind too large a gap begins the series anew. Where the model answers for bars
    /// of the future, what is known of them follows from the times at which they are due, one bar interval after the other.
    ///
    /// # Errors
    /// [`StreamError::NoBars`] where the model does not make its rows from bars; [`StreamError::Unforeseen`] or
    /// [`StreamError::NoInterval`] where times alone do not tell the future that it reads; [`StreamError::Feature`] for a bar that is
    /// refused, which leaves the stream as it was; [`StreamError::Run`] for a row that is, which begins the series anew.
    pub fn push_bar(&mut self, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        expect_output(self.model.schema().n_outputs(), out.len())?;
        self.take_bar(bar, |stream, row| stream.push(row, out))
    }

    /// Takes a bar as [`Stream::push_bar`] does, without an answer: a bar of the past that nobody acts on.
    ///
    /// # Errors
    /// As [`Stream::push_bar`].
    pub fn replay_bar(&mut self, bar: &Bar) -> Result<(), StreamError> {
        self.take_bar(bar, |stream, row| {
            stream.replay(row)?;
            Ok(Step::WarmingUp {
                remaining: stream.remaining(),
            })
        })
        .map(drop)
    }

    /// Takes a bar, whose row goes to `take`.
    fn take_bar(
        &mut self,
        bar: &Bar,
        take: impl FnOnce(&mut Self, &[f64]) -> Result<Step, RunError>,
    ) -> Result<Step, StreamError> {
        let Some(mut bars) = self.bars.take() else {
            return Err(StreamError::NoBars);
        };
        let step = bars
            .suffice()
            .and_then(|()| self.take_row_of(&mut bars, bar, take));
        self.bars = Some(bars);
        step
    }

    fn take_row_of(
        &mut self,
        bars: &mut Bars,
        bar: &Bar,
        take: impl FnOnce(&mut Self, &[f64]) -> Result<Step, RunError>,
    ) -> Result<Step, StreamError> {
        if bars.is_gap(bar) {
            bar.validate()?;
            bars.reset();
            self.reset_rows();
        }
        let ready = bars.rows.push(bar)?;
        match ready {
            Ready::WarmingUp { remaining } => Ok(self.warming_up(remaining)),
            Ready::Row => take(self, bars.row(bar.ts_ns)).map_err(|error| {
                bars.reset();
                self.reset_rows();
                error.into()
            }),
        }
    }

    /// The answer that pushing `bar` would give, such as one that is still forming; nothing is kept.
    ///
    /// # Errors
    /// As [`Stream::push_bar`]; the stream stays as it was.
    pub fn peek_bar(&mut self, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        expect_output(self.model.schema().n_outputs(), out.len())?;
        let Some(mut bars) = self.bars.take() else {
            return Err(StreamError::NoBars);
        };
        let step = bars
            .suffice()
            .and_then(|()| self.peek_row_of(&mut bars, bar, out));
        self.bars = Some(bars);
        step
    }

    fn peek_row_of(&mut self, bars: &mut Bars, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        if bars.is_gap(bar) {
            bar.validate()?;
            let remaining = bars.rows.warm_up() + self.lookback() - 1;
            return Ok(Step::WarmingUp { remaining });
        }
        match bars.rows.peek(bar)? {
            Ready::WarmingUp { remaining } => Ok(self.warming_up(remaining)),
            Ready::Row => Ok(self.peek(bars.row(bar.ts_ns), out)?),
        }
    }

    /// Bars to the first answer, when the first row is `remaining` bars away.
    fn warming_up(&self, remaining: usize) -> Step {
        Step::WarmingUp {
            remaining: remaining + self.remaining() - 1,
        }
    }

    /// Does all that the next row's answer does not need to wait for.
    pub fn prepare(&mut self) {
        self.prepare_some(usize::MAX);
    }

    /// Does some of it: what the very next answer needs, then about `budget` steps of one window. Whether nothing is left.
    pub fn prepare_some(&mut self, budget: usize) -> bool {
        self.prepare_part(budget, true)
    }

    /// The same; with or without a rehearsal of the answer at the end.
    fn prepare_part(&mut self, budget: usize, rehearses: bool) -> bool {
        let is_due = self.remaining() == 1;
        let is_done = self.way.prepare(&self.model, is_due, budget);
        if is_done && is_due {
            self.expect_bar();
            if rehearses {
                self.way.rehearse(&self.model);
            }
        }
        is_done
    }

    /// Prepares for what is known of the bars behind the next one, if that comes in time.
    fn expect_bar(&mut self) {
        let Some(bars) = &mut self.bars else { return };
        if let Some(next_ns) = bars.next_ns() {
            self.way.expect(&self.model, bars.future(next_ns));
        }
    }

    /// Forgets every row and bar.
    pub fn reset(&mut self) {
        self.reset_rows();
        if let Some(bars) = &mut self.bars {
            bars.reset();
        }
    }

    fn reset_rows(&mut self) {
        self.n_rows = 0;
        self.way.reset();
    }

    /// Keeps the row of the last answer.
    fn take(&mut self) {
        self.way.take();
        self.n_rows = (self.n_rows + 1).min(self.lookback());
    }

    fn lookback(&self) -> usize {
        self.model.schema().lookback()
    }
}

/// Steps that a row of so many values is answered for.
fn expect_row(schema: &Schema, found: usize) -> Result<usize, RunError> {
    let (limit, n_features) = (schema.net.n_ahead(), schema.n_features());
    match limit {
        0 => expect_input(n_features, found).map(|()| 1),
        _ if found == n_features => Err(RunError::NoFuture { limit }),
        _ if found < n_features || !found.is_multiple_of(n_features) => Err(RunError::InputLength {
            expected: (1 + limit) * n_features,
            found,
        }),
        _ => match found / n_features - 1 {
            found if found > limit => Err(RunError::DecoderLength { limit, found }),
            n_steps => Ok(n_steps),
        },
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("model", &self.model)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
