//! Windows that are views of a longer array: gathered some at a time into the session's own memory, and answered there.

use crate::guard;
use crate::pointer::{self, Out, OutSlice};
use crate::session::{SessionHandle, Work, room};
use tickfuse_core::Sample;
use tickfuse_core::error::RunError;

/// Windows gathered at a time, at most: as many as share a product.
pub(crate) const MAX_GATHERED: usize = 6;

/// Where the windows of an array lie, in values.
#[derive(Debug, Clone, Copy)]
struct Views {
    n_windows: usize,
    window_stride: usize,
    row_stride: usize,
}

impl Views {
    /// Values that an array of such windows has at least; none where no array has so many.
    fn n_values(self, n_rows: usize, n_features: usize) -> Option<usize> {
        let last_window = self.n_windows.checked_sub(1)?.checked_mul(self.window_stride)?;
        let last_row = (n_rows - 1).checked_mul(self.row_stride)?;
        last_window.checked_add(last_row)?.checked_add(n_features)
    }
}

/// The window's number in the whole array.
fn shifted(error: RunError, by: usize) -> RunError {
    match error {
        RunError::NonFinite { window, row, column } => RunError::NonFinite {
            window: window + by,
            row,
            column,
        },
        RunError::Category {
            window,
            row,
            column,
            n_categories,
        } => RunError::Category {
            window: window + by,
            row,
            column,
            n_categories,
        },
        other => other,
    }
}

impl Work {
    /// Answers to the beginning of `answers`, and the flags of all.
    fn run_strided<S: Sample>(&mut self, values: &[S], views: Views, n_out: usize) -> Result<u32, RunError> {
        let (limit, found) = (self.answers.len() / self.n_outputs, views.n_windows);
        if found == 0 || found > limit {
            return Err(RunError::Batch { limit, found });
        }
        let schema = self.session.model().schema();
        let (n_rows, n_features) = (schema.n_rows(), schema.n_features());
        let expected = views.n_values(n_rows, n_features).unwrap_or(usize::MAX);
        if values.len() < expected {
            let found = values.len();
            return Err(RunError::InputLength { expected, found });
        }
        room(&mut self.answers, found * self.n_outputs, n_out)?;
        let n_window = n_rows * n_features;
        let n_gathered = self.gathered.len() / n_window;
        let mut flags = 0;
        for first in (0..found).step_by(n_gathered) {
            let n = n_gathered.min(found - first);
            for (i, to) in self
                .gathered
                .chunks_exact_mut(n_features)
                .take(n * n_rows)
                .enumerate()
            {
                let at = (first + i / n_rows) * views.window_stride + i % n_rows * views.row_stride;
                let from = &values[at..at + n_features];
                to.iter_mut()
                    .zip(from)
                    .for_each(|(to, value)| *to = (*value).into());
            }
            let out = &mut self.answers[first * self.n_outputs..][..n * self.n_outputs];
            let answered = self.session.run_batch(&self.gathered[..n * n_window], n, out);
            flags |= answered.map_err(|error| shifted(error, first))?.bits();
        }
        Ok(flags)
    }
}

/// Both `tickfuse_session_run_strided*` of the header.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn run<S: Sample>(
    session: *const SessionHandle,
    (values, n_values): (*const S, usize),
    views: Views,
    (out, n_out): (*mut f32, usize),
    flags: *mut u32,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session, "session") }?;
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let values = unsafe { pointer::slice(values, n_values, "values") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSlice::new(out, n_out, "out") }?;
        // SAFETY: the caller's promise is passed on.
        let flags_out = unsafe { Out::new(flags, "flags") }?;
        handle.work(|work| {
            let flags = work.run_strided(values, views, n_out)?;
            out.write(&work.answers[..n_out]);
            flags_out.write(flags);
            Ok(())
        })?
    })
}

/// `tickfuse_session_run_strided` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_strided(
    session: *mut SessionHandle,
    values: *const f32,
    n_values: usize,
    n_windows: usize,
    window_stride: usize,
    row_stride: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    let views = Views {
        n_windows,
        window_stride,
        row_stride,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (values, n_values), views, (out, n_out), flags) }
}

/// `tickfuse_session_run_strided_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_strided_f64(
    session: *mut SessionHandle,
    values: *const f64,
    n_values: usize,
    n_windows: usize,
    window_stride: usize,
    row_stride: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    let views = Views {
        n_windows,
        window_stride,
        row_stride,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (values, n_values), views, (out, n_out), flags) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_ends_with_the_last_row_of_its_last_window() {
        let views = |n_windows, window_stride, row_stride| Views {
            n_windows,
            window_stride,
            row_stride,
        };
        assert_eq!(views(1, 99, 3).n_values(7, 3), Some(21));
        assert_eq!(views(4, 3, 3).n_values(7, 3), Some(30));
        assert_eq!(views(4, 0, 0).n_values(7, 3), Some(3));
        assert_eq!(views(2, usize::MAX, 3).n_values(7, 3), None);
        assert_eq!(views(0, 1, 1).n_values(7, 3), None);
    }

    #[test]
    fn the_window_of_an_error_is_counted_from_the_first_of_the_array() {
        let at = |window| RunError::NonFinite {
            window,
            row: 4,
            column: 2,
        };
        assert_eq!(shifted(at(1), 6), at(7));
        assert_eq!(shifted(RunError::NoContexts, 6), RunError::NoContexts);
    }
}
