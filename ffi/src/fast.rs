//! `tickfuse_fast`: a hot call of which all but the addresses was said beforehand.

use crate::error::UseError;
use crate::guard;
use crate::pointer::{self, Out};
use crate::session::{self, SessionHandle};
use crate::status::Status;
use crate::step::{CallerStep, STEP_ANSWER, STEP_WARMING_UP};
use crate::stream::{self, Place, StreamHandle};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};
use tickfuse_core::Sample;

/// `TICKFUSE_FAST_PUSH`.
pub const FAST_PUSH: u32 = 0;
/// `TICKFUSE_FAST_PEEK`.
pub const FAST_PEEK: u32 = 1;
/// `TICKFUSE_FAST_RUN`.
pub const FAST_RUN: u32 = 2;
/// `TICKFUSE_FAST_F64`.
pub const FAST_F64: u32 = 16;

/// `tickfuse_fast` of the header.
#[derive(Debug)]
pub struct FastHandle {
    subject: Subject,
    is_f64: bool,
    n_values: usize,
    n_out: usize,
    /// Of the last answer.
    flags: AtomicU32,
}

/// Whose answer it is; lives at least as long by the promise of the handle's maker.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Stream {
        stream: *const StreamHandle,
        is_kept: bool,
    },
    Session(*const SessionHandle),
}

// SAFETY: what the pointers lead to may move between threads, and refuses a second call at a time.
unsafe impl Send for FastHandle {}
// SAFETY: as above; the flags are atomic.
unsafe impl Sync for FastHandle {}

impl FastHandle {
    /// # Safety
    /// `values` and `out` as the header asks of the call; the subject lives.
    unsafe fn call<S: Sample>(&self, values: *const S, out: *mut f32) -> i32 {
        let values = (values, self.n_values);
        match self.subject {
            Subject::Stream { stream, is_kept } => {
                let mut step = CallerStep::INIT;
                let place = Place {
                    out,
                    n_out: self.n_out,
                    step: &raw mut step,
                };
                // SAFETY: the caller's promise is passed on.
                let status = unsafe { stream::of_row(stream, values, place, is_kept) };
                self.told(status, step.kind, step.flags)
            }
            Subject::Session(session) => {
                let mut flags = 0;
                // SAFETY: the caller's promise is passed on.
                let status = unsafe { session::run_one(session, values, (out, self.n_out), &raw mut flags) };
                self.told(status, STEP_ANSWER, flags)
            }
        }
    }

    fn told(&self, status: i32, kind: u32, flags: u32) -> i32 {
        match (status, kind) {
            (0, STEP_WARMING_UP) => Status::WarmingUp.number(),
            (0, _) => {
                self.flags.store(flags, Ordering::Relaxed);
                status
            }
            _ => status,
        }
    }
}

/// The action without its width, and whether that is 64 bits.
fn understood(action: u32, known: &[u32]) -> Result<(u32, bool), UseError> {
    let narrow = action & !FAST_F64;
    match known.contains(&narrow) {
        true => Ok((narrow, narrow != action)),
        false => Err(UseError::Action { found: action }),
    }
}

fn handed_out(out: Out<*mut FastHandle>, subject: Subject, is_f64: bool, [n_values, n_out]: [usize; 2]) {
    let handle = FastHandle {
        subject,
        is_f64,
        n_values,
        n_out,
        flags: AtomicU32::new(0),
    };
    out.write(Box::into_raw(Box::new(handle)));
}

/// `tickfuse_fast_of_stream` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_fast_of_stream(
    stream: *mut StreamHandle,
    action: u32,
    out: *mut *mut FastHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(stream.cast_const(), "stream") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let (action, is_f64) = understood(action, &[FAST_PUSH, FAST_PEEK])?;
        let sizes = handle.with(|stream| {
            let schema = stream.model().schema();
            let n_rows = 1 + schema.net.n_ahead();
            [n_rows * schema.n_features(), schema.n_outputs()]
        })?;
        let is_kept = action == FAST_PUSH;
        handed_out(out, Subject::Stream { stream, is_kept }, is_f64, sizes);
        Ok(())
    })
}

/// `tickfuse_fast_of_session` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_fast_of_session(
    session: *mut SessionHandle,
    action: u32,
    out: *mut *mut FastHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session.cast_const(), "session") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let (_, is_f64) = understood(action, &[FAST_RUN])?;
        let sizes = handle.with(|session| {
            let schema = session.model().schema();
            [schema.n_rows() * schema.n_features(), schema.n_outputs()]
        })?;
        handed_out(out, Subject::Session(session), is_f64, sizes);
        Ok(())
    })
}

/// `tickfuse_fast_call` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_fast_call(
    fast: *const FastHandle,
    values: *const c_void,
    out: *mut f32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    match unsafe { pointer::borrow(fast, "fast") } {
        // SAFETY: the caller's promise is passed on.
        Ok(handle) if handle.is_f64 => unsafe { handle.call(values.cast::<f64>(), out) },
        // SAFETY: the caller's promise is passed on.
        Ok(handle) => unsafe { handle.call(values.cast::<f32>(), out) },
        Err(error) => guard::status(|| Err(error.into())),
    }
}

/// `tickfuse_fast_flags` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_fast_flags(fast: *const FastHandle) -> u32 {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(fast, "fast") }?;
        Ok(handle.flags.load(Ordering::Relaxed))
    })
}

/// `tickfuse_fast_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_fast_free(fast: *mut FastHandle) {
    // SAFETY: made by `handed_out`, and not freed before by the caller's promise.
    unsafe { guard::free(fast) };
}
