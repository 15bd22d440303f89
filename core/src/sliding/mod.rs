//! Whole windows slid over a long series: the answer of every window, and what windows share computed once.
//!
//! Answers have the bits of [`Session::run`](crate::Session::run) on each window. Windows are not copied: a row is scaled once, and
//! what the net makes of a row alone (variable selection, the products of the first LSTM layer) is made once for all windows
//! that hold it. What depends on a window runs for six of them side by side.

mod rows;
mod way;

use crate::error::RunError;
use crate::flags::Flags;
use crate::kernels::MAX_BATCH;
use crate::model::Model;
use crate::nets::{Contexts, Neighbours};
use crate::session::{Sample, expect_input, expect_output};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use rows::Series;
use way::Way;

/// New rows that are taken at a time, at least.
const CHUNK: usize = 48;

/// The working memory of one thread for windows slid over series, of one model.
///
/// After construction [`Sliding::run`] neither allocates, locks, calls the system nor panics, whatever the input. Two of them, each
/// with its part of a series, give two threads the same bits as one.
pub struct Sliding {
    model: Arc<Model>,
    way: Way,
    stride: usize,
    /// Places from one window to the next.
    step: usize,
    /// Remarks about the row at every place.
    remarks: Vec<Flags>,
    /// Rows of the series whose terms lie at the first places.
    held: Range<usize>,
}

impl Sliding {
    /// For windows that begin `stride` rows apart, at least one.
    #[must_use]
    pub fn new(model: &Arc<Model>, stride: usize) -> Self {
        let (lookback, stride) = (model.schema().lookback(), stride.max(1));
        let step = stride.min(lookback);
        let n_places = lookback + (CHUNK - 1).max((MAX_BATCH - 1) * step);
        Self {
            way: Way::new(model, n_places),
            stride,
            step,
            remarks: vec![Flags::NONE; n_places],
            held: 0..0,
            model: Arc::clone(model),
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Windows that a series of so many rows has; none where it is shorter than a window.
    #[must_use]
    pub fn n_windows(&self, n_rows: usize) -> usize {
        match n_rows.checked_sub(self.model.schema().n_rows()) {
            Some(left) => left / self.stride + 1,
            None => 0,
        }
    }

    /// Attends to these contexts from the next series on, as [`Session::set_contexts`](crate::Session::set_contexts) says.
    ///
    /// # Errors
    /// [`RunError::NoContexts`], [`RunError::ForeignContexts`]; then nothing has changed.
    pub fn set_contexts(&mut self, contexts: &Contexts) -> Result<(), RunError> {
        self.way.set_contexts(&self.model, contexts)
    }

    /// Every window of raw rows `series [n_rows, n_features]`, oldest row first, to `out [n_windows, n_outputs]` and
    /// `flags [n_windows]`; [`Sliding::n_windows`] says how many. Window `w` begins at row `w * stride` and has
    /// [`Schema::n_rows`](crate::bundle::Schema::n_rows) rows, those of the future included where the net reads them.
    ///
    /// # Errors
    /// [`RunError`]; then nothing was written. It names the first window that [`Session::run`](crate::Session::run) would refuse.
    pub fn run<S: Sample>(
        &mut self,
        series: &[S],
        out: &mut [f32],
        flags: &mut [Flags],
    ) -> Result<(), RunError> {
        let schema = self.model.schema();
        let (n_features, n_out) = (schema.n_features(), schema.n_outputs());
        let n_rows = series.len() / n_features;
        expect_input(n_rows * n_features, series.len())?;
        let n_windows = self.n_windows(n_rows);
        expect_output(n_windows * n_out, out.len())?;
        expect_output(n_windows, flags.len())?;
        let series = Series {
            values: series,
            n_features,
            n_rows: schema.n_rows(),
            stride: self.stride,
            n_windows,
        };
        self.way.check(&self.model, series)?;
        self.held = 0..0;
        let mut at = 0;
        while at < n_windows {
            let n = self.begin(series, at, flags)?;
            let (out, flags) = (&mut out[at * n_out..][..n * n_out], &mut flags[at..at + n]);
            self.answer(series, at, out, flags)?;
            at += n;
        }
        Ok(())
    }

    /// Windows from `at` on that are run together: of the same statics, and with room for their rows. Their flags become what
    /// their first rows say.
    fn begin<S: Sample>(
        &mut self,
        series: Series<'_, S>,
        at: usize,
        flags: &mut [Flags],
    ) -> Result<usize, RunError> {
        let lookback = self.model.schema().lookback();
        let most = (self.remarks.len() - lookback) / self.step + 1;
        let flags = flags[at..].iter_mut().take(most);
        for (n, flags) in flags.enumerate() {
            let (first, has_changed) = self.way.read_head(&self.model, series.window(at + n))?;
            if has_changed && n > 0 {
                return Ok(n);
            }
            if has_changed {
                self.held = 0..0;
                self.way.begin(&self.model);
            }
            *flags = first;
        }
        Ok(most.min(series.n_windows - at))
    }

    /// The answers of windows from `at` on.
    fn answer<S: Sample>(
        &mut self,
        series: Series<'_, S>,
        at: usize,
        out: &mut [f32],
        flags: &mut [Flags],
    ) -> Result<(), RunError> {
        self.add_rows(series, at, flags.len())?;
        let (lookback, n_out) = (self.model.schema().lookback(), self.model.schema().n_outputs());
        let groups = out.chunks_mut(MAX_BATCH * n_out).zip(flags.chunks_mut(MAX_BATCH));
        for (i, (out, flags)) in groups.enumerate() {
            let windows = Neighbours {
                first: i * MAX_BATCH * self.step,
                step: self.step,
                n: flags.len(),
            };
            for (w, flags) in flags.iter_mut().enumerate() {
                let places = &self.remarks[windows.first + w * self.step..][..lookback];
                places.iter().for_each(|remark| flags.insert(*remark));
            }
            let first = at + i * MAX_BATCH;
            self.way.answer(&self.model, series, first, windows, out, flags)?;
        }
        Ok(())
    }

    /// The terms of all rows of `n` windows from `at` on.
    fn add_rows<S: Sample>(&mut self, series: Series<'_, S>, at: usize, n: usize) -> Result<(), RunError> {
        let lookback = self.model.schema().lookback();
        if self.stride > lookback {
            for window in 0..n {
                let from = (at + window) * self.stride;
                self.add(series, from..from + lookback, window * lookback)?;
            }
            return Ok(());
        }
        let first = at * self.stride;
        let kept = first.clamp(self.held.start, self.held.end) - self.held.start..self.held.len();
        self.way.keep(&self.model, kept.clone());
        self.remarks.copy_within(kept.clone(), 0);
        let end = (at + n - 1) * self.stride + lookback;
        let from = first + kept.len();
        self.add(series, from..end, kept.len())?;
        self.held = first..end;
        Ok(())
    }

    /// The terms of neighbouring rows, to places from `place` on.
    fn add<S: Sample>(
        &mut self,
        series: Series<'_, S>,
        rows: Range<usize>,
        place: usize,
    ) -> Result<(), RunError> {
        let remarks = &mut self.remarks[place..place + rows.len()];
        self.way.add(&self.model, series, rows, place, remarks)
    }
}

impl fmt::Debug for Sliding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sliding")
            .field("model", &self.model)
            .field("stride", &self.stride)
            .finish_non_exhaustive()
    }
}
