//! Whole windows: raw inputs in, outputs in named units out.

use crate::bundle::{Missing, OutputKind};
use crate::error::RunError;
use crate::kernels::{Affine, Kernels, MAX_BATCH};
use crate::model::Model;
use crate::nets::LstmWork;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// What a caller should know about an answer besides its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Nothing to say.
    pub const NONE: Self = Self(0);
    /// A missing input was replaced by its scaler's centre.
    pub const IMPUTED: Self = Self(1);
    /// An output is NaN or infinite: finite inputs so far out of range that a sum left f32.
    pub const OVERFLOW: Self = Self(2);

    /// The bits, as the C ABI hands them out.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

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
/// After construction neither [`Session::run`] nor [`Session::run_batch`] allocates, locks, calls the system or
/// panics, whatever the input.
pub struct Session {
    model: Arc<Model>,
    work: LstmWork,
    /// Columns of each output group and what they are.
    groups: Vec<(usize, OutputKind)>,
    missing: Vec<Missing>,
    /// Output columns of one window before they go to the caller.
    row: Vec<f32>,
    max_batch: usize,
}

impl Session {
    /// Working memory for batches of up to `max_batch` windows (at least one). It grows with six windows at most:
    /// larger batches are run in slices of that many.
    #[must_use]
    pub fn new(model: &Arc<Model>, max_batch: usize) -> Self {
        let schema = model.schema();
        Self {
            work: model.net.work(max_batch.max(1)),
            groups: schema.outputs.iter().map(|o| (o.labels.len(), o.kind)).collect(),
            missing: schema.inputs.iter().map(|i| i.missing).collect(),
            row: vec![0.0; schema.n_outputs()],
            max_batch: max_batch.max(1),
            model: Arc::clone(model),
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// One window of raw inputs `[lookback, n_features]`, oldest row first, to `out [n_outputs]`.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was written to `out`.
    pub fn run<S: Sample>(&mut self, window: &[S], out: &mut [f32]) -> Result<Flags, RunError> {
        self.run_batch(window, 1, out)
    }

    /// `n` windows `[n, lookback, n_features]` to `out [n, n_outputs]`, each with the same bits as alone.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was written to `out`.
    pub fn run_batch<S: Sample>(
        &mut self,
        windows: &[S],
        n: usize,
        out: &mut [f32],
    ) -> Result<Flags, RunError> {
        let (n_window, n_out) = (self.scalars_per_window(), self.row.len());
        if n == 0 || n > self.max_batch {
            return Err(RunError::Batch {
                limit: self.max_batch,
                found: n,
            });
        }
        // A product beyond usize is no length a slice can have.
        if windows.len() != n.saturating_mul(n_window) {
            return Err(RunError::InputLength {
                expected: n.saturating_mul(n_window),
                found: windows.len(),
            });
        }
        if out.len() != n.saturating_mul(n_out) {
            return Err(RunError::OutputLength {
                expected: n.saturating_mul(n_out),
                found: out.len(),
            });
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
        self.model.schema().lookback() * self.missing.len()
    }

    /// Refuses values that are missing, or leave the range of f32 once scaled, where the schema says so.
    fn check_missing<S: Sample>(&self, windows: &[S]) -> Result<(), RunError> {
        let n_features = self.missing.len();
        let lookback = self.model.schema().lookback();
        for (row, values) in windows.chunks_exact(n_features).enumerate() {
            for (column, value) in values.iter().enumerate() {
                if !is_usable(*value, self.model.scalers[column]) && self.missing[column] == Missing::Reject {
                    return Err(RunError::NonFinite {
                        window: row / lookback,
                        row: row % lookback,
                        column,
                    });
                }
            }
        }
        Ok(())
    }

    fn run_slice<S: Sample>(&mut self, windows: &[S], out: &mut [f32]) -> Flags {
        let Self {
            model,
            work,
            groups,
            row,
            ..
        } = self;
        let (n_window, n_out) = (windows.len() * row.len() / out.len(), row.len());
        let n_batch = out.len() / n_out;
        let (kernels, stride) = (model.kernels, model.net.x_stride);
        let mut flags = Flags::NONE;
        for (window, x) in windows.chunks_exact(n_window).enumerate() {
            let to = &mut work.x[window * stride..];
            if !S::scale(kernels, x, &model.scalers, to, n_batch * stride) {
                impute(to, n_batch * stride, model.scalers.len());
                flags.insert(Flags::IMPUTED);
            }
        }
        model.net.run(kernels, work, n_batch, |window, z| {
            row.copy_from_slice(&z[..n_out]);
            let is_finite = row.iter().all(|v| v.is_finite());
            finish(kernels, groups, row);
            if !is_finite {
                flags.insert(Flags::OVERFLOW);
            }
            out[window * n_out..][..n_out].copy_from_slice(row);
        });
        flags
    }
}

/// Whether the scaled value is a finite f32.
fn is_usable<S: Sample>(x: S, s: Affine) -> bool {
    (((x.into() - s.center) * s.recip) as f32).is_finite()
}

/// The scaler's centre, which is zero after scaling, wherever a scaled value is not finite.
fn impute(x: &mut [f32], stride: usize, n_features: usize) {
    for row in x.chunks_mut(stride) {
        for value in row.iter_mut().take(n_features).filter(|v| !v.is_finite()) {
            *value = 0.0;
        }
    }
}

/// Head values to outputs, group by group.
fn finish(kernels: &Kernels, groups: &[(usize, OutputKind)], row: &mut [f32]) {
    let mut rest = row;
    for (n, kind) in groups {
        let (own, others) = rest.split_at_mut(*n);
        rest = others;
        match kind {
            OutputKind::Linear => {}
            OutputKind::Sigmoid => kernels.sigmoid(own),
            OutputKind::Softmax => kernels.softmax(own),
            _ => {}
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
