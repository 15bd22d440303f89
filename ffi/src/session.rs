//! `tickfuse_session`: whole windows from C memory to C memory.
//!
//! An answer is computed in the session's own memory and copied out when it is complete, so that no failure of any
//! kind leaves half an answer with the caller.

use crate::error::{Failure, UseError};
use crate::guard::{self, Poison};
use crate::model::ModelHandle;
use crate::pointer::{self, Out, OutSlice};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use tickfuse_core::error::RunError;
use tickfuse_core::{Flags, Model, Sample, Session};

/// `TICKFUSE_MAX_BATCH`.
pub const MAX_BATCH: usize = 65_536;

/// `tickfuse_session` of the header.
#[derive(Debug)]
pub struct SessionHandle {
    /// Touched by the holder of [`Turn`] only.
    work: UnsafeCell<Work>,
    busy: AtomicBool,
    poison: Poison,
}

/// What a call works with.
#[derive(Debug)]
struct Work {
    session: Session,
    answers: Vec<f32>,
    n_outputs: usize,
}

impl Work {
    /// `n_windows` windows to the beginning of `answers`.
    fn run<S: Sample>(&mut self, windows: &[S], n_windows: usize, n_out: usize) -> Result<Flags, RunError> {
        let limit = self.answers.len() / self.n_outputs;
        if n_windows == 0 || n_windows > limit {
            return Err(RunError::Batch {
                limit,
                found: n_windows,
            });
        }
        let expected = n_windows * self.n_outputs;
        if n_out != expected {
            return Err(RunError::OutputLength {
                expected,
                found: n_out,
            });
        }
        self.session
            .run_batch(windows, n_windows, &mut self.answers[..expected])
    }
}

impl SessionHandle {
    fn new(model: &Arc<Model>, max_batch: usize) -> Self {
        let n_outputs = model.schema().n_outputs();
        let work = Work {
            session: Session::new(model, max_batch),
            answers: vec![0.0; max_batch * n_outputs],
            n_outputs,
        };
        Self {
            work: UnsafeCell::new(work),
            busy: AtomicBool::new(false),
            poison: Poison::default(),
        }
    }

    /// The right to use the session until the value is dropped.
    fn turn(&self) -> Result<Turn<'_>, UseError> {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(UseError::Busy);
        }
        Ok(Turn(self))
    }
}

/// The one call that a session is running.
struct Turn<'a>(&'a SessionHandle);

impl Turn<'_> {
    /// Runs `work` on the session unless the handle is poisoned.
    fn with<T>(&mut self, work: impl FnOnce(&mut Work) -> T) -> Result<T, Failure> {
        self.0.poison.watch(|| {
            // SAFETY: unique: there is one turn at a time, and this borrow ends before that of `self`.
            work(unsafe { &mut *self.0.work.get() })
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// The largest batch whose values can be counted and lie in memory.
fn max_batch_of(model: &Model) -> usize {
    let schema = model.schema();
    let n_values = schema
        .n_rows()
        .saturating_mul(schema.n_features())
        .max(schema.n_outputs());
    MAX_BATCH.min(isize::MAX as usize / size_of::<f64>() / n_values)
}

/// `tickfuse_session_new` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_new(
    model: *const ModelHandle,
    max_batch: usize,
    out: *mut *mut SessionHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let made = model.with(|model| {
            let limit = max_batch_of(model);
            if max_batch == 0 || max_batch > limit {
                return Err(UseError::Length {
                    parameter: "max_batch",
                    limit,
                    found: max_batch,
                });
            }
            Ok(Box::new(SessionHandle::new(model, max_batch)))
        });
        out.write(Box::into_raw(made??));
        Ok(())
    })
}

/// All `tickfuse_session_run*` of the header; `parameter` is the input's name there.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn run<S: Sample>(
    session: *const SessionHandle,
    (windows, parameter): (*const S, &'static str),
    n_values: usize,
    n_windows: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session, "session") }?;
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let windows = unsafe { pointer::slice(windows, n_values, parameter) }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSlice::new(out, n_out, "out") }?;
        // SAFETY: the caller's promise is passed on.
        let flags_out = unsafe { Out::new(flags, "flags") }?;
        let mut turn = handle.turn()?;
        let flags = turn.with(|work| work.run(windows, n_windows, n_out))??;
        turn.with(|work| out.write(&work.answers[..n_out]))?;
        flags_out.write(flags.bits());
        Ok(())
    })
}

/// `tickfuse_session_run` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run(
    session: *mut SessionHandle,
    window: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (window, "window"), n_values, 1, out, n_out, flags) }
}

/// `tickfuse_session_run_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_f64(
    session: *mut SessionHandle,
    window: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (window, "window"), n_values, 1, out, n_out, flags) }
}

/// `tickfuse_session_run_batch` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_batch(
    session: *mut SessionHandle,
    windows: *const f32,
    n_values: usize,
    n_windows: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        run(
            session,
            (windows, "windows"),
            n_values,
            n_windows,
            out,
            n_out,
            flags,
        )
    }
}

/// `tickfuse_session_run_batch_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_batch_f64(
    session: *mut SessionHandle,
    windows: *const f64,
    n_values: usize,
    n_windows: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        run(
            session,
            (windows, "windows"),
            n_values,
            n_windows,
            out,
            n_out,
            flags,
        )
    }
}

/// `tickfuse_session_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_free(session: *mut SessionHandle) {
    if session.is_null() || !session.is_aligned() {
        return;
    }
    guard::value((), || {
        // SAFETY: made by `tickfuse_session_new`, and not freed before by the caller's promise.
        drop(unsafe { Box::from_raw(session) });
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_models;
    use tickfuse_core::OpenOptions;

    /// A sound run of one window; the answer must be written or left alone as the status says.
    fn run_one(handle: &SessionHandle) -> i32 {
        let (window, mut out, mut flags) = ([0.5_f32; 21], [42.5_f32; 3], 77);
        let session = core::ptr::from_ref(handle);
        let window = (window.as_ptr(), "window");
        // SAFETY: a live handle and arrays of the stated lengths.
        let status = unsafe { run(session, window, 21, 1, out.as_mut_ptr(), 3, &raw mut flags) };
        assert_eq!(status == 0, flags == 0 && out.iter().all(|v| *v != 42.5));
        assert_eq!(status != 0, flags == 77 && out == [42.5; 3]);
        status
    }

    fn handles() -> [SessionHandle; 2] {
        let (_, bytes) = test_models::small_models().swap_remove(0);
        let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
        [SessionHandle::new(&model, 1), SessionHandle::new(&model, 1)]
    }

    #[test]
    fn a_session_in_use_refuses_a_second_call_and_goes_on_after_the_first() {
        let [handle, _] = handles();
        let turn = handle.turn().unwrap();
        assert_eq!(run_one(&handle), 106);
        drop(turn);
        assert_eq!(run_one(&handle), 0);
    }

    #[test]
    fn a_panic_within_a_session_poisons_that_session_only() {
        let [struck, other] = handles();
        let panicking = guard::status(|| {
            let mut turn = struck.turn()?;
            turn.with(|work| assert!(work.answers.is_empty(), "made for this test"))
        });
        assert_eq!(panicking, 900);
        assert_eq!(run_one(&struck), 901);
        assert_eq!(run_one(&struck), 901, "poisoned, not busy");
        assert_eq!(run_one(&other), 0);
    }

    #[test]
    fn the_largest_batch_is_the_headers_for_every_model_of_ordinary_size() {
        let [handle, _] = handles();
        let work = handle.work.into_inner();
        assert_eq!(max_batch_of(work.session.model()), MAX_BATCH);
    }
}
