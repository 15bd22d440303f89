//! `tickfuse_session`: whole windows from C memory to C memory.
//!
//! An answer is computed in the session's own memory and copied out when it is complete, so that no failure of any
//! kind leaves half an answer with the caller.

use crate::contexts::{self, ContextsHandle};
use crate::error::{Failure, UseError};
use crate::guard::{self, Exclusive};
use crate::memory::{self, Block, Housed};
use crate::model::ModelHandle;
use crate::pointer::{self, Out, OutSlice};
use crate::strided::MAX_GATHERED;
use core::ffi::c_void;
use std::sync::Arc;
use tickfuse_core::error::RunError;
use tickfuse_core::{Flags, Model, Sample, Session};

/// `TICKFUSE_MAX_BATCH`.
pub const MAX_BATCH: usize = 65_536;

/// `tickfuse_session` of the header.
#[derive(Debug)]
pub struct SessionHandle(Exclusive<Work>);

/// What a call works with.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) session: Session,
    pub(crate) answers: Vec<f32>,
    pub(crate) n_outputs: usize,
    /// Windows gathered from a longer array.
    pub(crate) gathered: Vec<f64>,
}

/// What to run.
#[derive(Debug, Clone, Copy)]
enum What {
    Batch { n_windows: usize },
    Lengths { n_encoder: usize, n_decoder: usize },
}

impl Work {
    /// Answers to the beginning of `answers`.
    fn run<S: Sample>(&mut self, values: &[S], what: What, n_out: usize) -> Result<Flags, RunError> {
        match what {
            What::Batch { n_windows } => self.run_batch(values, n_windows, n_out),
            What::Lengths { n_encoder, n_decoder } => self.run_lengths(values, [n_encoder, n_decoder], n_out),
        }
    }

    fn run_batch<S: Sample>(
        &mut self,
        windows: &[S],
        n_windows: usize,
        n_out: usize,
    ) -> Result<Flags, RunError> {
        let limit = self.answers.len() / self.n_outputs;
        if n_windows == 0 || n_windows > limit {
            return Err(RunError::Batch {
                limit,
                found: n_windows,
            });
        }
        let out = room(&mut self.answers, n_windows * self.n_outputs, n_out)?;
        self.session.run_batch(windows, n_windows, out)
    }

    fn run_lengths<S: Sample>(
        &mut self,
        window: &[S],
        [n_encoder, n_decoder]: [usize; 2],
        n_out: usize,
    ) -> Result<Flags, RunError> {
        let n_ahead = self.session.model().schema().net.n_ahead().max(1);
        let n_steps = n_decoder.clamp(1, n_ahead);
        let out = room(&mut self.answers, self.n_outputs / n_ahead * n_steps, n_out)?;
        self.session.run_lengths(window, n_encoder, n_decoder, out)
    }
}

/// The beginning of `answers` if it is as long as the caller's output.
pub(crate) fn room(answers: &mut [f32], expected: usize, found: usize) -> Result<&mut [f32], RunError> {
    match expected == found {
        true => Ok(&mut answers[..expected]),
        false => Err(RunError::OutputLength { expected, found }),
    }
}

/// The beginning of `answers` for the caller's output, which speaks of all steps or of some; which, the stream knows.
#[inline(always)]
pub(crate) fn room_for_steps(answers: &mut [f32], found: usize) -> Result<&mut [f32], RunError> {
    let expected = answers.len();
    answers
        .get_mut(..found)
        .ok_or(RunError::OutputLength { expected, found })
}

impl Housed for SessionHandle {
    fn move_in(&mut self, block: Block) {
        self.0.move_in(block);
    }

    fn block(&self) -> Option<Block> {
        self.0.block()
    }
}

impl SessionHandle {
    fn new(model: &Arc<Model>, max_batch: usize) -> Self {
        let schema = model.schema();
        let n_outputs = schema.n_outputs();
        let n_gathered = max_batch.min(MAX_GATHERED) * schema.n_rows() * schema.n_features();
        let work = Work {
            session: Session::new(model, max_batch),
            answers: vec![0.0; max_batch * n_outputs],
            n_outputs,
            gathered: vec![0.0; n_gathered],
        };
        Self(Exclusive::new(work, "session"))
    }

    /// Has the session do something that gives no answer.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Session) -> T) -> Result<T, Failure> {
        self.work(|held| work(&mut held.session))
    }

    /// One call.
    pub(crate) fn work<T>(&self, call: impl FnOnce(&mut Work) -> T) -> Result<T, Failure> {
        self.0.turn()?.with(call)
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

/// Refuses a batch that no session can have.
fn check_batch(model: &Model, max_batch: usize) -> Result<(), UseError> {
    let limit = max_batch_of(model);
    match max_batch == 0 || max_batch > limit {
        true => Err(UseError::Length {
            parameter: "max_batch",
            limit,
            found: max_batch,
        }),
        false => Ok(()),
    }
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
            check_batch(model, max_batch)?;
            Ok::<_, UseError>(Box::new(SessionHandle::new(model, max_batch)))
        })?;
        out.write(Box::into_raw(made?));
        Ok(())
    })
}

/// `tickfuse_session_size` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_size(model: *const ModelHandle, max_batch: usize) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        let size = model.with(|model| {
            check_batch(model, max_batch)?;
            memory::size_in_block(|| Ok::<_, UseError>(SessionHandle::new(model, max_batch)))
        })?;
        Ok(size?)
    })
}

/// `tickfuse_session_align` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn tickfuse_session_align() -> usize {
    memory::ALIGNMENT
}

/// `tickfuse_session_init` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_init(
    model: *const ModelHandle,
    max_batch: usize,
    memory: *mut c_void,
    len: usize,
    out: *mut *mut SessionHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { Block::new(memory.cast(), len) }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let made = model.with(|model| {
            check_batch(model, max_batch)?;
            memory::in_block(block, || Ok::<_, UseError>(SessionHandle::new(model, max_batch)))
        })?;
        out.write(made??);
        Ok(())
    })
}

/// All `tickfuse_session_run*` of the header; the input comes with its name there.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn run<S: Sample>(
    session: *const SessionHandle,
    (values, n_values, parameter): (*const S, usize, &'static str),
    what: What,
    (out, n_out): (*mut f32, usize),
    flags: *mut u32,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session, "session") }?;
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let values = unsafe { pointer::slice(values, n_values, parameter) }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSlice::new(out, n_out, "out") }?;
        // SAFETY: the caller's promise is passed on.
        let flags_out = unsafe { Out::new(flags, "flags") }?;
        let mut turn = handle.0.turn()?;
        let flags = turn.with(|work| work.run(values, what, n_out))??;
        turn.with(|work| out.write(&work.answers[..n_out]))?;
        flags_out.write(flags.bits());
        Ok(())
    })
}

/// One window, with its name in the header.
///
/// # Safety
/// The header's rules for pointers.
pub(crate) unsafe fn run_one<S: Sample>(
    session: *const SessionHandle,
    window: (*const S, usize, &'static str),
    out: (*mut f32, usize),
    flags: *mut u32,
) -> i32 {
    let what = What::Batch { n_windows: 1 };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, window, what, out, flags) }
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
    unsafe { run_one(session, (window, n_values, "window"), (out, n_out), flags) }
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
    unsafe { run_one(session, (window, n_values, "window"), (out, n_out), flags) }
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
    let what = What::Batch { n_windows };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (windows, n_values, "windows"), what, (out, n_out), flags) }
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
    let what = What::Batch { n_windows };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (windows, n_values, "windows"), what, (out, n_out), flags) }
}

/// `tickfuse_session_run_lengths` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_lengths(
    session: *mut SessionHandle,
    window: *const f32,
    n_values: usize,
    n_encoder: usize,
    n_decoder: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    let what = What::Lengths { n_encoder, n_decoder };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (window, n_values, "window"), what, (out, n_out), flags) }
}

/// `tickfuse_session_run_lengths_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_run_lengths_f64(
    session: *mut SessionHandle,
    window: *const f64,
    n_values: usize,
    n_encoder: usize,
    n_decoder: usize,
    out: *mut f32,
    n_out: usize,
    flags: *mut u32,
) -> i32 {
    let what = What::Lengths { n_encoder, n_decoder };
    // SAFETY: the caller's promise is passed on.
    unsafe { run(session, (window, n_values, "window"), what, (out, n_out), flags) }
}

/// `tickfuse_session_set_contexts` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_set_contexts(
    session: *mut SessionHandle,
    contexts: *const ContextsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let new = unsafe { contexts::read(contexts) }?;
        let set = |session: &mut Session| {
            let model = Arc::clone(session.model());
            session.set_contexts(contexts::or_own(new, &model)?)
        };
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(session, "session") }?;
        Ok(handle.with(set)??)
    })
}

/// `tickfuse_session_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_session_free(session: *mut SessionHandle) {
    // SAFETY: made by `tickfuse_session_new` or `_init`, and not freed before by the caller's promise.
    unsafe { memory::free(session) };
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
        let window = (window.as_ptr(), 21, "window");
        let (what, to) = (What::Batch { n_windows: 1 }, (out.as_mut_ptr(), 3));
        // SAFETY: a live handle and arrays of the stated lengths.
        let status = unsafe { run(session, window, what, to, &raw mut flags) };
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
        let turn = handle.0.turn().unwrap();
        assert_eq!(run_one(&handle), 106);
        drop(turn);
        assert_eq!(run_one(&handle), 0);
    }

    #[test]
    fn a_panic_within_a_session_poisons_that_session_only() {
        let [struck, other] = handles();
        let panicking = guard::status(|| {
            let mut turn = struck.0.turn()?;
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
        let work = handle.0.into_inner();
        assert_eq!(max_batch_of(work.session.model()), MAX_BATCH);
    }
}
