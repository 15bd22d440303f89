//! Rows and bars of the past into a `tickfuse_stream`: taken as pushed ones are, and not answered.

use crate::error::Failure;
use crate::guard;
use crate::pointer;
use crate::sized;
use crate::step::CallerBar;
use crate::stream::StreamHandle;
use tickfuse_core::Sample;

/// Both calls with a row.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn of_row<S: Sample>(stream: *const StreamHandle, row: *const S, n_values: usize) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(stream, "stream") }?;
        // SAFETY: the caller's promise is passed on.
        let row = unsafe { pointer::slice(row, n_values, "row") }?;
        handle.with(|stream| stream.replay(row))?.map_err(Failure::from)
    })
}

/// `tickfuse_stream_replay` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_replay(
    stream: *mut StreamHandle,
    row: *const f32,
    n_values: usize,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row(stream, row, n_values) }
}

/// `tickfuse_stream_replay_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_replay_f64(
    stream: *mut StreamHandle,
    row: *const f64,
    n_values: usize,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row(stream, row, n_values) }
}

/// `tickfuse_stream_replay_bar` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_replay_bar(stream: *mut StreamHandle, bar: *const CallerBar) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(stream.cast_const(), "stream") }?;
        // SAFETY: the caller's promise is passed on.
        let bar = unsafe { sized::read(bar, "bar") }?.bar();
        handle
            .with(|stream| stream.replay_bar(&bar))?
            .map_err(Failure::from)
    })
}
