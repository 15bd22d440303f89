//! `tickfuse_streams`: the streams of many symbols, one by one and all at once.
//!
//! As with one stream, answers are made in the handle's own memory and copied out when they are complete.

mod take;
mod tend;

pub use take::*;
pub use tend::*;

use crate::error::{Failure, UseError};
use crate::guard::{self, Exclusive};
use crate::memory::{self, Block, Housed};
use crate::model::ModelHandle;
use crate::pointer::{self, Out};
use core::ffi::c_void;
use std::sync::Arc;
use tickfuse_core::error::StreamError;
use tickfuse_core::{Model, Step, StreamSet};

/// `TICKFUSE_MAX_SYMBOLS`.
pub const MAX_SYMBOLS: usize = 65_536;

/// `tickfuse_streams` of the header.
#[derive(Debug)]
pub struct StreamsHandle(Exclusive<Work>);

/// What a call works with.
#[derive(Debug)]
struct Work {
    set: StreamSet,
    /// `[n_symbols, n_outputs]`.
    answers: Vec<f32>,
    steps: Vec<Step>,
    n_outputs: usize,
}

impl Housed for StreamsHandle {
    fn move_in(&mut self, block: Block) {
        self.0.move_in(block);
    }

    fn block(&self) -> Option<Block> {
        self.0.block()
    }
}

impl StreamsHandle {
    fn new(model: &Arc<Model>, n_symbols: usize) -> Result<Self, StreamError> {
        let n_outputs = model.schema().n_outputs();
        let work = Work {
            set: StreamSet::new(model, n_symbols)?,
            answers: vec![0.0; n_symbols * n_outputs],
            steps: vec![Step::WarmingUp { remaining: 0 }; n_symbols],
            n_outputs,
        };
        Ok(Self(Exclusive::new(work, "streams")))
    }
}

/// One call.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn call<T>(streams: *const StreamsHandle, work: impl FnOnce(&mut Work) -> T) -> Result<T, Failure> {
    // SAFETY: the caller's promise is passed on.
    let handle = unsafe { pointer::borrow(streams, "streams") }?;
    handle.0.turn()?.with(work)
}

fn check_symbols(n_symbols: usize) -> Result<(), UseError> {
    match (1..=MAX_SYMBOLS).contains(&n_symbols) {
        true => Ok(()),
        false => Err(UseError::Length {
            parameter: "n_symbols",
            limit: MAX_SYMBOLS,
            found: n_symbols,
        }),
    }
}

/// `tickfuse_streams_new` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_new(
    model: *const ModelHandle,
    n_symbols: usize,
    out: *mut *mut StreamsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        check_symbols(n_symbols)?;
        let made = model.with(|model| StreamsHandle::new(model, n_symbols).map(Box::new))?;
        out.write(Box::into_raw(made?));
        Ok(())
    })
}

/// `tickfuse_streams_size` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_size(model: *const ModelHandle, n_symbols: usize) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        check_symbols(n_symbols)?;
        let size = model.with(|model| memory::size_in_block(|| StreamsHandle::new(model, n_symbols)))?;
        Ok(size?)
    })
}

/// `tickfuse_streams_align` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn tickfuse_streams_align() -> usize {
    memory::ALIGNMENT
}

/// `tickfuse_streams_init` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_init(
    model: *const ModelHandle,
    n_symbols: usize,
    memory: *mut c_void,
    len: usize,
    out: *mut *mut StreamsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { Block::new(memory.cast(), len) }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        check_symbols(n_symbols)?;
        let made = model.with(|model| memory::in_block(block, || StreamsHandle::new(model, n_symbols)))??;
        out.write(made?);
        Ok(())
    })
}

/// `tickfuse_streams_n_symbols` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_n_symbols(streams: *const StreamsHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    guard::value(0, || unsafe { call(streams, |work| work.set.n_symbols()) })
}

/// `tickfuse_streams_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_free(streams: *mut StreamsHandle) {
    // SAFETY: made by `tickfuse_streams_new` or `_init`, and not freed before by the caller's promise.
    unsafe { memory::free(streams) };
}
