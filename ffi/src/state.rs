//! What a stream remembers, as bytes and as a copy.

use crate::error::{Failure, UseError};
use crate::guard;
use crate::pointer::{self, Out};
use crate::stream::StreamHandle;
use core::ffi::c_void;
use std::sync::Arc;
use tickfuse_core::Stream;
use tickfuse_core::error::StateError;

/// A place for saved bytes, all of which will be written.
///
/// # Safety
/// A pointer that is not NULL stays writable for `len` bytes during `'a`, and nobody else looks at them.
unsafe fn place<'a>(to: *mut c_void, len: usize, needed: usize) -> Result<&'a mut [u8], UseError> {
    pointer::check_slice(to.cast::<u8>(), len, "to")?;
    if len < needed {
        return Err(UseError::Room { needed, found: len });
    }
    // SAFETY: writable for `len` bytes, which are no fewer.
    unsafe { to.write_bytes(0, needed) };
    // SAFETY: not NULL, within a length that memory can have, and initialised just now; the caller's for the call.
    Ok(unsafe { core::slice::from_raw_parts_mut(to.cast::<u8>(), needed) })
}

/// Saves a stream to the caller's memory.
///
/// # Safety
/// As [`place`].
pub(crate) unsafe fn save(stream: &Stream, to: *mut c_void, len: usize) -> Result<(), Failure> {
    // SAFETY: the caller's promise is passed on.
    let to = unsafe { place(to, len, stream.saved_len()) }?;
    Ok(stream.save(to)?)
}

/// `tickfuse_stream_saved_len` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_saved_len(stream: *const StreamHandle) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(stream, "stream") }?;
        handle.with(|stream| stream.saved_len())
    })
}

/// `tickfuse_stream_save` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_save(
    stream: *const StreamHandle,
    to: *mut c_void,
    len: usize,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(stream, "stream") }?;
        // SAFETY: the caller's promise is passed on.
        handle.with(|stream| unsafe { save(stream, to, len) })?
    })
}

/// `tickfuse_stream_restore` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_restore(
    stream: *mut StreamHandle,
    from: *const c_void,
    len: usize,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(stream.cast_const(), "stream") }?;
        // SAFETY: the caller's promise is passed on.
        let from = unsafe { pointer::slice(from.cast::<u8>(), len, "from") }?;
        Ok(handle.with(|stream| stream.restore(from))??)
    })
}

/// Makes `to` a copy of `from` where both are of the same opened model, so that nothing is allocated.
fn copy(to: &mut Stream, from: &Stream) -> Result<(), Failure> {
    if !Arc::ptr_eq(to.model(), from.model()) {
        return Err(Failure::Foreign);
    }
    to.clone_from(from);
    Ok(())
}

/// `tickfuse_stream_clone_from` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_clone_from(
    stream: *mut StreamHandle,
    source: *const StreamHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let to = unsafe { pointer::borrow(stream.cast_const(), "stream") }?;
        // SAFETY: the caller's promise is passed on.
        let from = unsafe { pointer::borrow(source, "source") }?;
        to.with(|to| from.with(|from| copy(to, from)))??
    })
}

/// `tickfuse_stream_clone` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_clone(
    source: *const StreamHandle,
    out: *mut *mut StreamHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let from = unsafe { pointer::borrow(source, "source") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let copy = from.with(|from| Box::new(StreamHandle::of(from.clone())))?;
        out.write(Box::into_raw(copy));
        Ok(())
    })
}

impl From<StateError> for Failure {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}
