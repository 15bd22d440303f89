//! Whole windows: raw inputs in, outputs in named units out.

use crate::bundle::{Missing, Net};
use crate::columns::answer::Finish;
use crate::columns::{CenterScale, IntakeWork, RawWindow};
use crate::error::RunError;
use crate::flags::Flags;
use crate::interpretation::Interpretation;
use crate::kernels::{Affine, Kernels, MAX_BATCH};
use crate::model::Model;
use crate::nets::{Contexts, LstmNet, LstmWork, OpenNet, RowsWork};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// A raw input value: f32 or f64.
pub trait Sample: Copy + Into<f64> + sealed::Sealed {
    /// Scales rows with a level's kernel.
    #[doc(hidden)]
    fn scale(kernels: &Kernels, x: &[Self], scalers: &[Affine], out: &mut [f32], stride: usize) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Sample for f32 {
    fn scale(kernels: &Kernels, x: &[Self], scalers: &[Affine], out: &mut [f32], stride: usize) -> bool {
        kernels.scale_f32(x, scalers, out, stride)
    }
}

impl Sample for f64 {
    fn scale(kernels: &Kernels, x: &[Self], scalers: &[Affine], out: &mut [f32], stride: usize) -> bool {
        kernels.scale_f64(x, scalers, out, stride)
    }
}

/// The working memory of one thread for whole windows of one model.
///
/// After construction neither [`Session::run`] nor [`Session::run_lengths`] nor [`Session::run_batch`] allocates, locks,
/// calls the system or panics, whatever the input.
pub struct Session {
    model: Arc<Model>,
    work: Work,
    finish: Finish,
    missing: Vec<Missing>,
    /// Centre and scale of every normalizer of an LSTM stack.
    targets: Vec<CenterScale>,
    max_batch: usize,
    /// Whether a window was answered.
    has_run: bool,
}

/// Buffers of the two kinds of nets.
#[allow(
    clippy::large_enum_variant,
    reason = "one per model or session, and it stays where it is"
)]
enum Work {
    /// Several windows side by side.
    Stack(LstmWork),
    /// One window after the other, through the intake.
    Rows(IntakeWork, RowsWork),
}

impl Session {
    /// Working memory for batches of up to `max_batch` windows (at least one). It grows with six windows at most:
    /// larger batches are run in slices of that many.
    #[must_use]
    pub fn new(model: &Arc<Model>, max_batch: usize) -> Self {
        let schema = model.schema();
        Self {
            work: match &model.net {
                OpenNet::Lstm(net) => Work::Stack(net.work(max_batch.max(1))),
                OpenNet::Rows(net) => Work::Rows(model.intake.work(), net.work()),
            },
            finish: Finish::new(schema),
            missing: schema.inputs.iter().map(|i| i.missing).collect(),
            targets: match &model.net {
                OpenNet::Lstm(_) => model.intake.fixed_targets(),
                OpenNet::Rows(_) => Vec::new(),
            },
            max_batch: max_batch.max(1),
            has_run: false,
            model: Arc::clone(model),
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// One window of raw inputs `[n_rows, n_features]`, oldest row first, to `out [n_outputs]`. Categoricals are codes;
    /// what a column's role hides (observed columns behind the lookback, static ones behind row 0) is not read.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was written to `out`.
    pub fn run<S: Sample>(&mut self, window: &[S], out: &mut [f32]) -> Result<Flags, RunError> {
        self.run_batch(window, 1, out)
    }

    /// A window of `n_encoder` rows of the past and `n_decoder` of the future, `[n_encoder + n_decoder, n_features]`, to
    /// `out [n_decoder or 1, n_columns]`. Only the `tft` family takes fewer rows than its schema says.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was written to `out`.
    pub fn run_lengths<S: Sample>(
        &mut self,
        window: &[S],
        n_encoder: usize,
        n_decoder: usize,
        out: &mut [f32],
    ) -> Result<Flags, RunError> {
        self.check_lengths(n_encoder, n_decoder)?;
        let n_features = self.model.schema().n_features();
        expect_input((n_encoder + n_decoder) * n_features, window.len())?;
        expect_output(n_decoder.max(1) * self.finish.n_columns(), out.len())?;
        if matches!(self.work, Work::Stack(_)) {
            return self.run_batch(window, 1, out);
        }
        self.run_rows(window, [n_encoder, n_decoder], 0, out)
    }

    /// Selection and attention weights of the last window run; none before the first one, and none of an LSTM stack.
    /// After an error they are of no use. Nothing is computed again, but the answer is allocated: not for the hot path.
    #[must_use]
    pub fn interpret(&self) -> Vec<Interpretation> {
        match (&self.model.net, &self.work) {
            (OpenNet::Rows(net), Work::Rows(_, work)) if self.has_run => net.interpret(work),
            _ => Vec::new(),
        }
    }

    /// Attends to these contexts from the next window on, instead of the file's own or those set before.
    ///
    /// Neither copies nor allocates. The contexts before are freed here if nobody else has a handle to them: keep one
    /// where that must not happen. [`Model::contexts`] leads back to the file's own.
    ///
    /// # Errors
    /// [`RunError::NoContexts`], [`RunError::ForeignContexts`]; then nothing has changed.
    pub fn set_contexts(&mut self, contexts: &Contexts) -> Result<(), RunError> {
        let net = self.model.net.with_contexts()?;
        match &mut self.work {
            Work::Rows(_, RowsWork::Xtrend(work)) => net.set_contexts(work, contexts),
            _ => Err(RunError::NoContexts),
        }
    }

    fn check_lengths(&self, n_encoder: usize, n_decoder: usize) -> Result<(), RunError> {
        let net = &self.model.schema().net;
        let (lookback, n_ahead) = (net.lookback(), net.n_ahead());
        let shortest = match (net, n_ahead) {
            (Net::Tft(_), 0) => 1,
            (Net::Tft(_), _) => 0,
            _ => lookback,
        };
        if !(shortest..=lookback).contains(&n_encoder) {
            return Err(RunError::EncoderLength {
                expected: shortest,
                limit: lookback,
                found: n_encoder,
            });
        }
        if !(n_ahead.min(1)..=n_ahead).contains(&n_decoder) {
            return Err(RunError::DecoderLength {
                limit: n_ahead,
                found: n_decoder,
            });
        }
        Ok(())
    }

    /// `n` windows `[n, n_rows, n_features]` to `out [n, n_outputs]`, each with the same bits as alone.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was written to `out`.
    pub fn run_batch<S: Sample>(
        &mut self,
        windows: &[S],
        n: usize,
        out: &mut [f32],
    ) -> Result<Flags, RunError> {
        let (n_window, n_out) = (self.scalars_per_window(), self.model.schema().n_outputs());
        if n == 0 || n > self.max_batch {
            return Err(RunError::Batch {
                limit: self.max_batch,
                found: n,
            });
        }
        // A product beyond usize is no length a slice can have.
        expect_input(n.saturating_mul(n_window), windows.len())?;
        expect_output(n.saturating_mul(n_out), out.len())?;
        if matches!(self.work, Work::Rows(..)) {
            return self.run_all_rows(windows, n, out);
        }
        self.check_missing(windows)?;
        let mut flags = Flags::NONE;
        let slices = windows
            .chunks(n_window * MAX_BATCH)
            .zip(out.chunks_mut(n_out * MAX_BATCH));
        for (windows, out) in slices {
            flags.insert(self.run_slice(windows, out));
        }
        Ok(flags)
    }

    fn scalars_per_window(&self) -> usize {
        self.model.schema().n_rows() * self.model.schema().n_features()
    }

    /// Windows one by one; all of them are read before the first answer is written.
    fn run_all_rows<S: Sample>(
        &mut self,
        windows: &[S],
        n: usize,
        out: &mut [f32],
    ) -> Result<Flags, RunError> {
        let net = &self.model.schema().net;
        let lengths = [net.lookback(), net.n_ahead()];
        let n_window = windows.len() / n;
        if n > 1 {
            for (index, values) in windows.chunks_exact(n_window).enumerate() {
                self.read_rows(values, lengths, index)?;
            }
        }
        let mut flags = Flags::NONE;
        let each = windows
            .chunks_exact(n_window)
            .zip(out.chunks_exact_mut(out.len() / n));
        for (index, (values, out)) in each.enumerate() {
            flags.insert(self.run_rows(values, lengths, index, out)?);
        }
        Ok(flags)
    }

    fn read_rows<S: Sample>(
        &mut self,
        values: &[S],
        [n_encoder, n_decoder]: [usize; 2],
        index: usize,
    ) -> Result<Flags, RunError> {
        let Work::Rows(intake, _) = &mut self.work else {
            return Ok(Flags::NONE);
        };
        let window = RawWindow {
            values,
            n_encoder,
            n_decoder,
            index,
        };
        self.model.intake.read(window, intake)
    }

    fn run_rows<S: Sample>(
        &mut self,
        values: &[S],
        lengths: [usize; 2],
        index: usize,
        out: &mut [f32],
    ) -> Result<Flags, RunError> {
        let mut flags = self.read_rows(values, lengths, index)?;
        let Self {
            model,
            work: Work::Rows(intake, work),
            finish,
            has_run,
            ..
        } = self
        else {
            return Ok(flags);
        };
        *has_run = true;
        let OpenNet::Rows(net) = &model.net else {
            return Ok(flags);
        };
        let [n_encoder, n_decoder] = lengths;
        let head = net.run(
            model.kernels,
            work,
            model.intake.rows(intake),
            n_encoder,
            n_decoder,
        );
        let n = finish.n_columns();
        let stride = head.len() * n / out.len();
        for (head, out) in head.chunks_exact(stride).zip(out.chunks_exact_mut(n)) {
            let z = bytemuck::must_cast_slice(head);
            flags.insert(finish.step(model.kernels, &model.intake.scalings, &intake.targets, z, out));
        }
        Ok(flags)
    }

    /// Refuses values that are missing, or leave the range of f32 once scaled, where the schema says so.
    fn check_missing<S: Sample>(&self, windows: &[S]) -> Result<(), RunError> {
        let lookback = self.model.schema().n_rows();
        for (row, values) in windows.chunks_exact(self.missing.len()).enumerate() {
            if let Some(column) = refused(&self.model, &self.missing, values) {
                return Err(RunError::NonFinite {
                    window: row / lookback,
                    row: row % lookback,
                    column,
                });
            }
        }
        Ok(())
    }

    fn run_slice<S: Sample>(&mut self, windows: &[S], out: &mut [f32]) -> Flags {
        let Self {
            model,
            work: Work::Stack(work),
            finish,
            targets,
            ..
        } = self
        else {
            return Flags::NONE;
        };
        let OpenNet::Lstm(net) = &model.net else {
            return Flags::NONE;
        };
        let net: &LstmNet = net;
        let n_out = finish.n_columns();
        let n_window = windows.len() * n_out / out.len();
        let n_batch = out.len() / n_out;
        let (kernels, stride) = (model.kernels, net.x_stride);
        let mut flags = Flags::NONE;
        for (window, x) in windows.chunks_exact(n_window).enumerate() {
            let to = &mut work.x[window * stride..];
            if !S::scale(kernels, x, &model.scalers, to, n_batch * stride) {
                impute(to, n_batch * stride, model.scalers.len());
                flags.insert(Flags::IMPUTED);
            }
        }
        net.run(kernels, work, n_batch, |window, z| {
            let out = &mut out[window * n_out..][..n_out];
            flags.insert(finish.step(kernels, &model.intake.scalings, targets, z, out));
        });
        flags
    }
}

pub(crate) fn expect_input(expected: usize, found: usize) -> Result<(), RunError> {
    match expected == found {
        true => Ok(()),
        false => Err(RunError::InputLength { expected, found }),
    }
}

pub(crate) fn expect_output(expected: usize, found: usize) -> Result<(), RunError> {
    match expected == found {
        true => Ok(()),
        false => Err(RunError::OutputLength { expected, found }),
    }
}

/// The first value of a row that is missing, or leaves the range of f32 once scaled, where the schema refuses that.
pub(crate) fn refused<S: Sample>(model: &Model, missing: &[Missing], values: &[S]) -> Option<usize> {
    let mut columns = values.iter().zip(missing).zip(&model.scalers);
    columns.position(|((value, missing), scaler)| *missing == Missing::Reject && !is_usable(*value, *scaler))
}

/// Whether the scaled value is a finite f32.
fn is_usable<S: Sample>(x: S, s: Affine) -> bool {
    (((x.into() - s.center) * s.recip) as f32).is_finite()
}

/// The scaler's centre, which is zero after scaling, wherever a scaled value is not finite.
pub(crate) fn impute(x: &mut [f32], stride: usize, n_features: usize) {
    for row in x.chunks_mut(stride) {
        for value in row.iter_mut().take(n_features).filter(|v| !v.is_finite()) {
            *value = 0.0;
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("model", &self.model)
            .field("max_batch", &self.max_batch)
            .finish_non_exhaustive()
    }
}
