//! `tickfuse_fast`: a hot call of which all but the addresses was said beforehand.

use crate::error::UseError;
use crate::guard;
use crate::pointer::{self, Out, OutSlice};
use crate::session::{self, SessionHandle};
use crate::status::Status;
use crate::stream::StreamHandle;
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
    call: Call,
    /// The stream or session that `call` expects; lives at least as long by the promise of the handle's maker.
    subject: *const c_void,
    n_values: usize,
    n_out: usize,
    /// Of the last answer.
    flags: AtomicU32,
}

/// Answers values by the subject of a handle that was made with it.
type Call = unsafe fn(&FastHandle, *const c_void, *mut f32) -> i32;

// SAFETY: what the pointer leads to may move between threads, and refuses a second call at a time.
unsafe impl Send for FastHandle {}
// SAFETY: as above; the flags are atomic.
unsafe impl Sync for FastHandle {}

/// A row for the handle's stream.
///
/// # Safety
/// The subject is a stream that lives; `values` and `out` as the header asks of the call.
unsafe fn of_row<S: Sample, const IS_KEPT: bool>(
    fast: &FastHandle,
    values: *const c_void,
    out: *mut f32,
) -> i32 {
    guard::hot(move || {
        // SAFETY: a stream that lives by the caller's promise.
        let stream = unsafe { &*fast.subject.cast::<StreamHandle>() };
        // SAFETY: the caller's promise is passed on; the output is written after the last use of the slice.
        let row = unsafe { pointer::slice(values.cast::<S>(), fast.n_values, "values") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSlice::new(out, fast.n_out, "out") }?;
        let told = stream.ask(out, |stream, out| match IS_KEPT {
            true => stream.push(row, out),
            false => stream.peek(row, out),
        })?;
        if !told.is_answer() {
            return Ok(Status::WarmingUp);
        }
        fast.flags.store(told.flags(), Ordering::Relaxed);
        Ok(Status::Ok)
    })
}

/// A window for the handle's session.
///
/// # Safety
/// The subject is a session that lives; `values` and `out` as the header asks of the call.
unsafe fn of_window<S: Sample>(fast: &FastHandle, values: *const c_void, out: *mut f32) -> i32 {
    let (session, mut flags) = (fast.subject.cast(), 0);
    let (window, out) = ((values.cast::<S>(), fast.n_values, "values"), (out, fast.n_out));
    // SAFETY: the caller's promise is passed on.
    let status = unsafe { session::run_one(session, window, out, &raw mut flags) };
    if status == Status::Ok.number() {
        fast.flags.store(flags, Ordering::Relaxed);
    }
    status
}

/// The call of an action, narrow or wide, among those of a kind of subject.
fn chosen(action: u32, known: &[(u32, [Call; 2])]) -> Result<Call, UseError> {
    let is_f64 = action & FAST_F64 != 0;
    let found = known.iter().find(|(narrow, _)| *narrow == action & !FAST_F64);
    let (_, calls) = found.ok_or(UseError::Action { found: action })?;
    Ok(calls[usize::from(is_f64)])
}

fn handed_out(out: Out<*mut FastHandle>, call: Call, subject: *const c_void, [n_values, n_out]: [usize; 2]) {
    let handle = FastHandle {
        call,
        subject,
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
        let calls: [(u32, [Call; 2]); 2] = [
            (FAST_PUSH, [of_row::<f32, true>, of_row::<f64, true>]),
            (FAST_PEEK, [of_row::<f32, false>, of_row::<f64, false>]),
        ];
        let call = chosen(action, &calls)?;
        let sizes = handle.with(|stream| {
            let schema = stream.model().schema();
            let n_rows = 1 + schema.net.n_ahead();
            [n_rows * schema.n_features(), schema.n_outputs()]
        })?;
        handed_out(out, call, stream.cast_const().cast(), sizes);
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
        let call = chosen(action, &[(FAST_RUN, [of_window::<f32>, of_window::<f64>])])?;
        let sizes = handle.with(|session| {
            let schema = session.model().schema();
            [schema.n_rows() * schema.n_features(), schema.n_outputs()]
        })?;
        handed_out(out, call, session.cast_const().cast(), sizes);
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
        // SAFETY: the subject is the one that the call was chosen for, and lives by the caller's promise; as is the rest.
        Ok(handle) => unsafe { (handle.call)(handle, values, out) },
        Err(error) => guard::hot(|| Err(error.into())),
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
