//! One row after the other: the answer for the window that each new row ends, prepared before the row arrives.
//!
//! [`Stream::push`] gives the bits of [`Session::run`](crate::Session::run) on the same window, in whatever order rows were
//! pushed, peeked and prepared. What may be done before a row arrives is done by [`Stream::prepare`]; without it the same is done
//! when the row arrives, and the answer only comes later.

use crate::bar_rows::BarRows;
use crate::bundle::{Arrival, Missing};
use crate::columns::answer::Finish;
use crate::columns::{CenterScale, IntakeWork, RawWindow};
use crate::error::{RunError, StreamError};
use crate::features::{Bar, Ready};
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{Contexts, LstmBank, OpenNet, RowsNet, RowsWork};
use crate::session::{Sample, Session, expect_input, expect_output, impute, refused};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

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
    missing: Vec<Missing>,
    /// Rows taken, counted up to the lookback.
    n_rows: usize,
    /// Rows since one in which a value was replaced; the lookback and more for never.
    since_imputed: usize,
    bars: Option<Bars>,
}

/// How answers come about.
#[allow(
    clippy::large_enum_variant,
    reason = "one per stream, and it stays where it is"
)]
enum Way {
    /// All windows under way at once.
    Bank {
        bank: LstmBank,
        /// The scaled row.
        x: Vec<f32>,
        finish: Finish,
        targets: Vec<CenterScale>,
    },
    /// The whole window when its last row arrives.
    Window {
        session: Session,
        /// `[lookback, n_features]` raw, oldest first; the last row is the one under way.
        rows: Vec<f64>,
        /// Whether the last row has been taken and the others have not moved up yet.
        is_full: bool,
    },
    /// All rows but the last one of the window are run before that arrives.
    Rolled(Rolled),
}

/// A window whose last row is awaited.
struct Rolled {
    intake: IntakeWork,
    work: RowsWork,
    finish: Finish,
    /// `[lookback, n_features]` raw, oldest first; the last row is the one under way.
    rows: Vec<f64>,
    is_full: bool,
    /// Rows that were run.
    n_run: usize,
    /// Remarks about the rows before the last.
    flags: Flags,
}

impl Rolled {
    /// Runs up to `budget` of the rows before the last; whether none is left.
    fn roll(&mut self, model: &Model, net: &RowsNet, budget: usize) -> Result<bool, RunError> {
        let lookback = model.schema().lookback();
        move_up(&mut self.rows, &mut self.is_full, model.schema().n_features());
        let to = (lookback - 1).min(self.n_run.saturating_add(budget));
        if self.n_run == 0 && to > 0 {
            let window = whole(&self.rows, lookback);
            self.flags = model.intake.read_first(window, lookback - 1, &mut self.intake)?;
        }
        if self.n_run < to {
            let rows = model.intake.rows(&self.intake);
            net.pre_roll(model.kernels, &mut self.work, rows, self.n_run..to);
            self.n_run = to;
        }
        Ok(to + 1 == lookback)
    }

    /// The answer for the last row of `rows`.
    fn answer(&mut self, model: &Model, net: &RowsNet, out: &mut [f32]) -> Result<Flags, RunError> {
        self.roll(model, net, usize::MAX)?;
        let window = whole(&self.rows, model.schema().lookback());
        let mut flags = self.flags;
        flags.insert(model.intake.read_last(window, &mut self.intake)?);
        let rows = model.intake.rows(&self.intake);
        let z = bytemuck::must_cast_slice(net.finish(model.kernels, &mut self.work, rows));
        let targets = &self.intake.targets;
        flags.insert(
            self.finish
                .step(model.kernels, &model.intake.scalings, targets, z, out),
        );
        Ok(flags)
    }
}

/// A window of the past alone.
fn whole(values: &[f64], n_encoder: usize) -> RawWindow<'_, f64> {
    RawWindow {
        values,
        n_encoder,
        n_decoder: 0,
        index: 0,
    }
}

/// Whether a net of rows may run all but the last before that arrives.
fn pre_rolls(model: &Model, net: &RowsNet) -> bool {
    model.schema().arrival == Arrival::PreRolled && net.pre_rolls() && model.intake.pre_rolls()
}

/// From bars to rows.
#[derive(Clone)]
struct Bars {
    rows: BarRows,
    /// Bars that may be missing between two neighbours before the series begins anew.
    max_missing_bars: u32,
    last_ns: Option<i64>,
}

impl Stream {
    /// A stream without rows. Bars are taken where the model makes its rows from bars.
    ///
    /// # Errors
    /// [`StreamError::Ahead`] for a model that reads rows of the future: a [`Session`] takes those.
    pub fn new(model: &Arc<Model>) -> Result<Self, StreamError> {
        let schema = model.schema();
        if schema.net.n_ahead() > 0 {
            return Err(StreamError::Ahead {
                n_ahead: schema.net.n_ahead(),
            });
        }
        let n_features = schema.n_features();
        let way = match &model.net {
            OpenNet::Lstm(net) => Way::Bank {
                bank: net.bank(),
                x: vec![0.0; net.x_stride],
                finish: Finish::new(schema),
                targets: model.intake.fixed_targets(),
            },
            OpenNet::Rows(net) if pre_rolls(model, net) => Way::Rolled(Rolled {
                intake: model.intake.work(),
                work: net.work(),
                finish: Finish::new(schema),
                rows: vec![0.0; schema.lookback() * n_features],
                is_full: false,
                n_run: 0,
                flags: Flags::NONE,
            }),
            OpenNet::Rows(_) => Way::Window {
                session: Session::new(model, 1),
                rows: vec![0.0; schema.lookback() * n_features],
                is_full: false,
            },
        };
        let bars = |rows: BarRows| Bars {
            rows,
            max_missing_bars: 0,
            last_ns: None,
        };
        Ok(Self {
            model: Arc::clone(model),
            way,
            missing: schema.inputs.iter().map(|i| i.missing).collect(),
            n_rows: 0,
            since_imputed: usize::MAX,
            bars: model.bar_rows().ok().map(bars),
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
        let net = self.model.net.with_contexts()?;
        match &mut self.way {
            Way::Window { session, .. } => session.set_contexts(contexts),
            Way::Rolled(rolled) => match &mut rolled.work {
                RowsWork::Xtrend(work) => {
                    net.set_contexts(work, contexts)?;
                    rolled.n_run = 0;
                    Ok(())
                }
                _ => Err(RunError::NoContexts),
            },
            Way::Bank { .. } => Err(RunError::NoContexts),
        }
    }

    /// Rows still to come before an answer, the one with the answer included; 1 when the next row has one.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.lookback() - self.n_rows.min(self.lookback() - 1)
    }

    /// Takes a raw row `[n_features]` and writes the answer for the window it ends to `out [n_outputs]`.
    ///
    /// # Errors
    /// [`RunError`]; then the row is not taken and nothing was written.
    pub fn push<S: Sample>(&mut self, row: &[S], out: &mut [f32]) -> Result<Step, RunError> {
        let (step, imputed) = self.answer(row, out)?;
        self.take(imputed);
        Ok(step)
    }

    /// The answer that pushing `row` would give; nothing is kept.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn peek<S: Sample>(&mut self, row: &[S], out: &mut [f32]) -> Result<Step, RunError> {
        Ok(self.answer(row, out)?.0)
    }

    /// Takes a bar: makes its row and pushes that. A bar behind too large a gap begins the series anew.
    ///
    /// # Errors
    /// [`StreamError::NoBars`] where the model does not make its rows from bars; [`StreamError::Feature`] for a bar that is
    /// refused, which leaves the stream as it was; [`StreamError::Run`] for a row that is, which begins the series anew.
    pub fn push_bar(&mut self, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        expect_output(self.model.schema().n_outputs(), out.len())?;
        let Some(mut bars) = self.bars.take() else {
            return Err(StreamError::NoBars);
        };
        let step = self.push_row_of(&mut bars, bar, out);
        self.bars = Some(bars);
        step
    }

    fn push_row_of(&mut self, bars: &mut Bars, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        if bars.is_gap(bar, self.model.schema().bar_interval_ns) {
            bar.validate()?;
            bars.reset();
            self.reset_rows();
        }
        let ready = bars.rows.push(bar)?;
        bars.last_ns = Some(bar.ts_ns);
        match ready {
            Ready::WarmingUp { remaining } => Ok(self.warming_up(remaining)),
            Ready::Row => self.push(bars.rows.row(), out).map_err(|error| {
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
        let step = self.peek_row_of(&mut bars, bar, out);
        self.bars = Some(bars);
        step
    }

    fn peek_row_of(&mut self, bars: &mut Bars, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        if bars.is_gap(bar, self.model.schema().bar_interval_ns) {
            bar.validate()?;
            let remaining = bars.rows.warm_up() + self.lookback() - 1;
            return Ok(Step::WarmingUp { remaining });
        }
        match bars.rows.peek(bar)? {
            Ready::WarmingUp { remaining } => Ok(self.warming_up(remaining)),
            Ready::Row => Ok(self.peek(bars.rows.row(), out)?),
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
        match (&mut self.way, &self.model.net) {
            (Way::Bank { bank, .. }, OpenNet::Lstm(net)) => bank.prepare(net, self.model.kernels, budget),
            (Way::Window { rows, is_full, .. }, _) => {
                move_up(rows, is_full, self.missing.len());
                true
            }
            (Way::Rolled(rolled), OpenNet::Rows(net)) => {
                let is_due = self.n_rows + 1 >= self.model.schema().lookback();
                // Every row was checked when it was taken.
                !is_due || rolled.roll(&self.model, net, budget).unwrap_or(true)
            }
            (Way::Bank { .. }, OpenNet::Rows(_)) | (Way::Rolled(_), OpenNet::Lstm(_)) => true,
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
        self.since_imputed = usize::MAX;
        match &mut self.way {
            Way::Bank { bank, .. } => bank.reset(),
            Way::Window { rows, is_full, .. } => {
                rows.fill(0.0);
                *is_full = false;
            }
            Way::Rolled(rolled) => {
                rolled.rows.fill(0.0);
                (rolled.is_full, rolled.n_run) = (false, 0);
            }
        }
    }

    fn lookback(&self) -> usize {
        self.model.schema().lookback()
    }

    /// Keeps the row of the last answer.
    fn take(&mut self, imputed: bool) {
        self.n_rows = (self.n_rows + 1).min(self.lookback());
        self.since_imputed = match imputed {
            true => 1,
            false => self.since_imputed.saturating_add(1),
        };
        match &mut self.way {
            Way::Bank { bank, x, .. } => bank.take(x),
            Way::Window { is_full, .. } => *is_full = true,
            Way::Rolled(rolled) => (rolled.is_full, rolled.n_run) = (true, 0),
        }
    }

    /// The answer for the window that `row` would end, and whether a value of the row was replaced. The row lies ready to be kept.
    fn answer<S: Sample>(&mut self, row: &[S], out: &mut [f32]) -> Result<(Step, bool), RunError> {
        expect_input(self.missing.len(), row.len())?;
        expect_output(self.model.schema().n_outputs(), out.len())?;
        let remaining = self.remaining();
        let lookback = self.lookback();
        let Self {
            model, way, missing, ..
        } = self;
        match (way, &model.net) {
            (
                Way::Bank {
                    bank,
                    x,
                    finish,
                    targets,
                },
                OpenNet::Lstm(net),
            ) => {
                if let Some(column) = refused(model, missing, row) {
                    return Err(RunError::NonFinite {
                        window: 0,
                        row: lookback - 1,
                        column,
                    });
                }
                let stride = net.x_stride;
                let imputed = !S::scale(model.kernels, row, &model.scalers, x, stride);
                if imputed {
                    impute(x, stride, missing.len());
                }
                let Some(z) = bank.answer(net, model.kernels, x) else {
                    return Ok((
                        Step::WarmingUp {
                            remaining: remaining - 1,
                        },
                        imputed,
                    ));
                };
                let mut flags = finish.step(model.kernels, &model.intake.scalings, targets, z, out);
                if imputed || self.since_imputed < lookback {
                    flags.insert(Flags::IMPUTED);
                }
                Ok((Step::Answer(flags), imputed))
            }
            (
                Way::Window {
                    session,
                    rows,
                    is_full,
                },
                _,
            ) => {
                lay_row(model, rows, is_full, row)?;
                if remaining > 1 {
                    let remaining = remaining - 1;
                    return Ok((Step::WarmingUp { remaining }, false));
                }
                Ok((Step::Answer(session.run(rows, out)?), false))
            }
            (Way::Rolled(rolled), OpenNet::Rows(net)) => {
                lay_row(model, &mut rolled.rows, &mut rolled.is_full, row)?;
                if remaining > 1 {
                    let remaining = remaining - 1;
                    return Ok((Step::WarmingUp { remaining }, false));
                }
                Ok((Step::Answer(rolled.answer(model, net, out)?), false))
            }
            (Way::Bank { .. }, OpenNet::Rows(_)) | (Way::Rolled(_), OpenNet::Lstm(_)) => {
                Ok((Step::WarmingUp { remaining }, false))
            }
        }
    }
}

/// Lays a row behind the others of a window, if a window could hold it.
fn lay_row<S: Sample>(
    model: &Model,
    rows: &mut [f64],
    is_full: &mut bool,
    row: &[S],
) -> Result<(), RunError> {
    move_up(rows, is_full, row.len());
    let newest = rows.len() - row.len();
    for (to, value) in rows[newest..].iter_mut().zip(row) {
        *to = (*value).into();
    }
    model
        .intake
        .check_row(&rows[newest..], model.schema().lookback() - 1)
}

/// Makes room for the next row.
fn move_up(rows: &mut [f64], is_full: &mut bool, n_features: usize) {
    if core::mem::take(is_full) {
        rows.copy_within(n_features.., 0);
    }
}

impl Bars {
    fn reset(&mut self) {
        self.rows.reset();
        self.last_ns = None;
    }

    /// Whether more bars than accepted are missing before this one.
    fn is_gap(&self, bar: &Bar, interval_ns: Option<i64>) -> bool {
        let (Some(last), Some(interval)) = (self.last_ns, interval_ns) else {
            return false;
        };
        let step = i128::from(bar.ts_ns) - i128::from(last);
        step > i128::from(interval) * (i128::from(self.max_missing_bars) + 1)
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
