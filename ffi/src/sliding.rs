//! `tickfuse_sliding`: every window of a long series, and what windows share worked on once.
//!
//! Answers are made in the handle's own memory and copied out when all are complete, as elsewhere; that memory grows with the
//! longest series.

use crate::contexts::{self, ContextsHandle};
use crate::error::{Failure, UseError};
use crate::guard::{self, Exclusive};
use crate::model::ModelHandle;
use crate::pointer::{self, Out, OutSlice};
use std::sync::Arc;
use tickfuse_core::error::RunError;
use tickfuse_core::{Flags, Sample, Sliding};

/// `tickfuse_sliding` of the header.
#[derive(Debug)]
pub struct SlidingHandle(Exclusive<Work>);

/// What a call works with.
#[derive(Debug)]
struct Work {
    sliding: Sliding,
    answers: Vec<f32>,
    flags: Vec<Flags>,
    /// The same for the caller.
    bits: Vec<u32>,
}

/// What to run and where it goes, as lengths.
#[derive(Clone, Copy)]
struct Room {
    n_out: usize,
    n_flags: usize,
}

impl Work {
    fn run<S: Sample>(&mut self, series: &[S], room: Room) -> Result<(), RunError> {
        let schema = self.sliding.model().schema();
        let n_windows = self.sliding.n_windows(series.len() / schema.n_features());
        for (expected, found) in [
            (n_windows * schema.n_outputs(), room.n_out),
            (n_windows, room.n_flags),
        ] {
            if expected != found {
                return Err(RunError::OutputLength { expected, found });
            }
        }
        self.answers.resize(room.n_out, 0.0);
        self.flags.resize(n_windows, Flags::NONE);
        self.sliding.run(series, &mut self.answers, &mut self.flags)?;
        self.bits.clear();
        self.bits.extend(self.flags.iter().map(|flags| flags.bits()));
        Ok(())
    }
}

/// `tickfuse_sliding_new` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_sliding_new(
    model: *const ModelHandle,
    stride: usize,
    out: *mut *mut SlidingHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        if stride == 0 {
            return Err(UseError::Length {
                parameter: "stride",
                limit: usize::MAX,
                found: stride,
            }
            .into());
        }
        let work = model.with(|model| Work {
            sliding: Sliding::new(model, stride),
            answers: Vec::new(),
            flags: Vec::new(),
            bits: Vec::new(),
        })?;
        let handle = SlidingHandle(Exclusive::new(work, "sliding"));
        out.write(Box::into_raw(Box::new(handle)));
        Ok(())
    })
}

/// `tickfuse_sliding_n_windows` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_sliding_n_windows(sliding: *const SlidingHandle, n_rows: usize) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(sliding, "sliding") }?;
        handle.0.turn()?.with(|work| work.sliding.n_windows(n_rows))
    })
}

/// Both `tickfuse_sliding_run*` of the header.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn run<S: Sample>(
    sliding: *const SlidingHandle,
    (series, n_values): (*const S, usize),
    (out, n_out): (*mut f32, usize),
    (flags, n_flags): (*mut u32, usize),
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(sliding, "sliding") }?;
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let series = unsafe { pointer::slice(series, n_values, "series") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSlice::new(out, n_out, "out") }?;
        // SAFETY: the caller's promise is passed on.
        let flags_out = unsafe { OutSlice::new(flags, n_flags, "flags") }?;
        handle.0.turn()?.with(|work| -> Result<(), Failure> {
            work.run(series, Room { n_out, n_flags })?;
            out.write(&work.answers);
            flags_out.write(&work.bits);
            Ok(())
        })?
    })
}

/// `tickfuse_sliding_run` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_sliding_run(
    sliding: *mut SlidingHandle,
    series: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
    n_flags: usize,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { run(sliding, (series, n_values), (out, n_out), (flags, n_flags)) }
}

/// `tickfuse_sliding_run_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_sliding_run_f64(
    sliding: *mut SlidingHandle,
    series: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
    n_flags: usize,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { run(sliding, (series, n_values), (out, n_out), (flags, n_flags)) }
}

/// `tickfuse_sliding_set_contexts` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_sliding_set_contexts(
    sliding: *mut SlidingHandle,
    contexts: *const ContextsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let new = unsafe { contexts::read(contexts) }?;
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(sliding.cast_const(), "sliding") }?;
        handle.0.turn()?.with(|work| -> Result<(), Failure> {
            let model = Arc::clone(work.sliding.model());
            Ok(work.sliding.set_contexts(contexts::or_own(new, &model)?)?)
        })?
    })
}

/// `tickfuse_sliding_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_sliding_free(sliding: *mut SlidingHandle) {
    // SAFETY: made by `tickfuse_sliding_new`, and not freed before by the caller's promise.
    unsafe { guard::free(sliding) };
}
