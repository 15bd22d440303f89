//! What symbols are told and asked apart from rows and bars: preparing, forgetting, settings, saved states.

use super::{StreamsHandle, call};
use crate::contexts::{self, ContextsHandle};
use crate::error::Failure;
use crate::guard;
use crate::pointer::{self, Out};
use crate::state;
use core::ffi::{c_char, c_void};
use std::sync::Arc;
use tickfuse_core::error::StreamError;
use tickfuse_core::{Stream, StreamSet};

/// The stream of a symbol.
fn of(set: &StreamSet, symbol: usize) -> Result<&Stream, StreamError> {
    let n_symbols = set.n_symbols();
    let found = symbol;
    set.stream(symbol).ok_or(StreamError::Symbol { n_symbols, found })
}

/// `tickfuse_streams_prepare` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_prepare(streams: *mut StreamsHandle) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { call(streams, |work| work.set.prepare()) })
}

/// `tickfuse_streams_prepare_some` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_prepare_some(
    streams: *mut StreamsHandle,
    budget: usize,
    is_done: *mut u32,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(is_done, "is_done") }?;
        // SAFETY: the caller's promise is passed on.
        let is_done = unsafe { call(streams, |work| work.set.prepare_some(budget)) }?;
        out.write(is_done.into());
        Ok(())
    })
}

/// `tickfuse_streams_reset` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_reset(streams: *mut StreamsHandle, symbol: usize) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| Ok(unsafe { call(streams, |work| work.set.reset(symbol)) }??))
}

/// `tickfuse_streams_reset_all` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_reset_all(streams: *mut StreamsHandle) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { call(streams, |work| work.set.reset_all()) })
}

/// `tickfuse_streams_remaining` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_remaining(streams: *const StreamsHandle, symbol: usize) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        Ok(unsafe { call(streams, |work| of(&work.set, symbol).map(Stream::remaining)) }??)
    })
}

/// `tickfuse_streams_set_max_missing_bars` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_set_max_missing_bars(
    streams: *mut StreamsHandle,
    max_missing_bars: u32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { call(streams, |work| work.set.set_max_missing_bars(max_missing_bars)) })
}

/// `tickfuse_streams_set_category` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_set_category(
    streams: *mut StreamsHandle,
    symbol: usize,
    name: *const c_char,
    label: *const c_char,
    is_known: *mut u32,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let name = unsafe { pointer::text(name, "name") }?.to_string_lossy();
        // SAFETY: the caller's promise is passed on.
        let label = unsafe { pointer::text(label, "label") }?.to_string_lossy();
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(is_known, "is_known") }?;
        // SAFETY: the caller's promise is passed on.
        let is_known = unsafe { call(streams, |work| work.set.set_category(symbol, &name, &label)) }??;
        out.write(is_known.into());
        Ok(())
    })
}

/// `tickfuse_streams_set_contexts` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_set_contexts(
    streams: *mut StreamsHandle,
    contexts: *const ContextsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let new = unsafe { contexts::read(contexts) }?;
        let set = |set: &mut StreamSet| {
            let model = Arc::clone(set.model());
            set.set_contexts(contexts::or_own(new, &model)?)
        };
        // SAFETY: the caller's promise is passed on.
        Ok(unsafe { call(streams, |work| set(&mut work.set)) }??)
    })
}

/// `tickfuse_streams_saved_len` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_saved_len(streams: *const StreamsHandle, symbol: usize) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        Ok(unsafe { call(streams, |work| of(&work.set, symbol).map(Stream::saved_len)) }??)
    })
}

/// `tickfuse_streams_save` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_save(
    streams: *const StreamsHandle,
    symbol: usize,
    to: *mut c_void,
    len: usize,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let save = |stream: &Stream| unsafe { state::save(stream, to, len) };
        // SAFETY: the caller's promise is passed on.
        unsafe {
            call(streams, |work| -> Result<(), Failure> {
                save(of(&work.set, symbol)?)
            })
        }?
    })
}

/// `tickfuse_streams_restore` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_restore(
    streams: *mut StreamsHandle,
    symbol: usize,
    from: *const c_void,
    len: usize,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let from = unsafe { pointer::slice(from.cast::<u8>(), len, "from") }?;
        // SAFETY: the caller's promise is passed on.
        Ok(unsafe { call(streams, |work| work.set.restore(symbol, from)) }??)
    })
}
