//! `tickfuse_stream`: one row or bar after the other from C memory to C memory.
//!
//! As with sessions, an answer is made in the stream's own memory and copied out when it is complete.

use crate::contexts::{self, ContextsHandle};
use crate::error::Failure;
use crate::guard::{self, Exclusive, Recorded};
use crate::memory::{self, Block, Housed};
use crate::model::ModelHandle;
use crate::pointer::{self, Out, OutSlice};
use crate::session;
use crate::sized::{self, OutSized};
use crate::status::Status;
use crate::step::{CallerBar, CallerStep, Told};
use core::ffi::{c_char, c_void};
use std::sync::Arc;
use tickfuse_core::error::StreamError;
use tickfuse_core::features::Bar;
use tickfuse_core::{Model, Sample, Step, Stream};

/// `tickfuse_stream` of the header.
#[derive(Debug)]
pub struct StreamHandle(Exclusive<Work>);

/// What a call works with.
#[derive(Debug)]
struct Work {
    stream: Stream,
    answer: Vec<f32>,
}

impl Housed for StreamHandle {
    fn move_in(&mut self, block: Block) {
        self.0.move_in(block);
    }

    fn block(&self) -> Option<Block> {
        self.0.block()
    }
}

impl StreamHandle {
    fn new(model: &Arc<Model>) -> Result<Self, StreamError> {
        Ok(Self::of(Stream::new(model)?))
    }

    pub(crate) fn of(stream: Stream) -> Self {
        let answer = vec![0.0; stream.model().schema().n_outputs()];
        Self(Exclusive::new(Work { stream, answer }, "stream"))
    }

    /// Makes the stream answer with `ask`, hands out the answer and gives what is to be said of it.
    ///
    /// `ask` does not keep what it reads: the output may overlap it.
    #[inline(always)]
    pub(crate) fn ask<E>(
        &self,
        out: OutSlice<f32>,
        ask: impl FnOnce(&mut Stream, &mut [f32]) -> Result<Step, E>,
    ) -> Result<Told, Recorded>
    where
        Failure: From<E>,
    {
        self.0.turn()?.with(|work| {
            let answer = session::room_for_steps(&mut work.answer, out.len())?;
            let told = Told::new(ask(&mut work.stream, answer)?);
            if told.is_answer() {
                out.write(answer);
            }
            Ok(told)
        })?
    }

    /// Has the stream do something that gives no answer.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> Result<T, Failure> {
        self.0.turn()?.with(|held| work(&mut held.stream))
    }
}

/// `tickfuse_stream_new` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_new(model: *const ModelHandle, out: *mut *mut StreamHandle) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let made = model.with(|model| StreamHandle::new(model).map(Box::new))?;
        out.write(Box::into_raw(made?));
        Ok(())
    })
}

/// `tickfuse_stream_size` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_size(model: *const ModelHandle) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        Ok(model.with(|model| memory::size_in_block(|| StreamHandle::new(model)))??)
    })
}

/// `tickfuse_stream_align` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn tickfuse_stream_align() -> usize {
    memory::ALIGNMENT
}

/// `tickfuse_stream_init` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_init(
    model: *const ModelHandle,
    memory: *mut c_void,
    len: usize,
    out: *mut *mut StreamHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { Block::new(memory.cast(), len) }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let made = model.with(|model| memory::in_block(block, || StreamHandle::new(model)))??;
        out.write(made?);
        Ok(())
    })
}

/// Where an answer goes, as the caller names it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) out: *mut f32,
    pub(crate) n_out: usize,
    pub(crate) step: *mut CallerStep,
}

/// Makes the stream answer with `ask` and hands out what it says.
///
/// # Safety
/// The header's rules for pointers. `ask` does not keep what it reads: outputs may overlap it.
#[inline(always)]
unsafe fn answer<E>(
    stream: *const StreamHandle,
    place: Place,
    ts_ns: i64,
    ask: impl FnOnce(&mut Stream, &mut [f32]) -> Result<Step, E>,
) -> Result<Status, Recorded>
where
    Failure: From<E>,
{
    // SAFETY: the caller's promise is passed on.
    let handle = unsafe { pointer::borrow(stream, "stream") }?;
    // SAFETY: the caller's promise is passed on.
    let out = unsafe { OutSlice::new(place.out, place.n_out, "out") }?;
    // SAFETY: the caller's promise is passed on.
    let step_out = unsafe { OutSized::new(place.step, "step") }?;
    let told = handle.ask(out, ask)?;
    let size = step_out.size();
    step_out.write(told.in_c(size, ts_ns));
    Ok(Status::Ok)
}

/// All calls of this file with a row.
///
/// # Safety
/// The header's rules for pointers.
#[inline(always)]
unsafe fn of_row<S: Sample, const IS_KEPT: bool>(
    stream: *const StreamHandle,
    (row, n_values): (*const S, usize),
    place: Place,
) -> i32 {
    guard::hot(move || {
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let row = unsafe { pointer::slice(row, n_values, "row") }?;
        let ask = |stream: &mut Stream, out: &mut [f32]| match IS_KEPT {
            true => stream.push(row, out),
            false => stream.peek(row, out),
        };
        // SAFETY: the caller's promise is passed on.
        unsafe { answer(stream, place, 0, ask) }
    })
}

/// Both calls with a bar.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn of_bar(
    stream: *const StreamHandle,
    bar: *const CallerBar,
    place: Place,
    take: fn(&mut Stream, &Bar, &mut [f32]) -> Result<Step, StreamError>,
) -> i32 {
    guard::hot(move || {
        // SAFETY: the caller's promise is passed on; the bar is copied before any output is written.
        let bar = unsafe { sized::read(bar, "bar") }?.bar();
        // SAFETY: the caller's promise is passed on.
        unsafe { answer(stream, place, bar.ts_ns, |stream, out| take(stream, &bar, out)) }
    })
}

/// `tickfuse_stream_push` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_push(
    stream: *mut StreamHandle,
    row: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row::<_, true>(stream, (row, n_values), place) }
}

/// `tickfuse_stream_push_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_push_f64(
    stream: *mut StreamHandle,
    row: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row::<_, true>(stream, (row, n_values), place) }
}

/// `tickfuse_stream_peek` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_peek(
    stream: *mut StreamHandle,
    row: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row::<_, false>(stream, (row, n_values), place) }
}

/// `tickfuse_stream_peek_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_peek_f64(
    stream: *mut StreamHandle,
    row: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row::<_, false>(stream, (row, n_values), place) }
}

/// `tickfuse_stream_push_bar` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_push_bar(
    stream: *mut StreamHandle,
    bar: *const CallerBar,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_bar(stream, bar, place, Stream::push_bar) }
}

/// `tickfuse_stream_peek_bar` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_peek_bar(
    stream: *mut StreamHandle,
    bar: *const CallerBar,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_bar(stream, bar, place, Stream::peek_bar) }
}

/// Has the stream do something that gives no answer.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn tend<T>(stream: *const StreamHandle, work: impl FnOnce(&mut Stream) -> T) -> Result<T, Failure> {
    // SAFETY: the caller's promise is passed on.
    let handle = unsafe { pointer::borrow(stream, "stream") }?;
    handle.with(work)
}

/// `tickfuse_stream_prepare` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_prepare(stream: *mut StreamHandle) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { tend(stream, Stream::prepare) })
}

/// `tickfuse_stream_prepare_some` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_prepare_some(
    stream: *mut StreamHandle,
    budget: usize,
    is_done: *mut u32,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(is_done, "is_done") }?;
        // SAFETY: the caller's promise is passed on.
        let is_done = unsafe { tend(stream, |stream| stream.prepare_some(budget)) }?;
        out.write(is_done.into());
        Ok(())
    })
}

/// `tickfuse_stream_reset` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_reset(stream: *mut StreamHandle) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { tend(stream, Stream::reset) })
}

/// `tickfuse_stream_remaining` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_remaining(stream: *const StreamHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    guard::value(0, || unsafe { tend(stream, |stream| stream.remaining()) })
}

/// `tickfuse_stream_set_max_missing_bars` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_set_max_missing_bars(
    stream: *mut StreamHandle,
    max_missing_bars: u32,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { tend(stream, |stream| stream.set_max_missing_bars(max_missing_bars)) })
}

/// `tickfuse_stream_max_missing_bars` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_max_missing_bars(stream: *const StreamHandle) -> u32 {
    // SAFETY: the caller's promise is passed on.
    guard::value(0, || unsafe { tend(stream, |stream| stream.max_missing_bars()) })
}

/// `tickfuse_stream_set_category` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_set_category(
    stream: *mut StreamHandle,
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
        let is_known = unsafe { tend(stream, |stream| stream.set_category(&name, &label)) }??;
        out.write(is_known.into());
        Ok(())
    })
}

/// `tickfuse_stream_set_contexts` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_set_contexts(
    stream: *mut StreamHandle,
    contexts: *const ContextsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let new = unsafe { contexts::read(contexts) }?;
        let set = |stream: &mut Stream| {
            let model = Arc::clone(stream.model());
            stream.set_contexts(contexts::or_own(new, &model)?)
        };
        // SAFETY: the caller's promise is passed on.
        Ok(unsafe { tend(stream, set) }??)
    })
}

/// `tickfuse_stream_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_stream_free(stream: *mut StreamHandle) {
    // SAFETY: made by `tickfuse_stream_new` or `_init`, and not freed before by the caller's promise.
    unsafe { memory::free(stream) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_models;
    use core::ptr::from_ref;
    use tickfuse_core::OpenOptions;

    fn handle() -> StreamHandle {
        let (_, bytes) = test_models::small_models().swap_remove(0);
        let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
        let stream = Stream::new(&model).unwrap();
        let answer = vec![0.0; model.schema().n_outputs()];
        StreamHandle(Exclusive::new(Work { stream, answer }, "stream"))
    }

    fn push_one(handle: &StreamHandle) -> i32 {
        let (row, mut out, mut step) = ([0.5_f32; 3], [42.5_f32; 3], CallerStep::INIT);
        let place = Place {
            out: out.as_mut_ptr(),
            n_out: 3,
            step: &raw mut step,
        };
        // SAFETY: a live handle and arrays of the stated lengths.
        let status = unsafe { of_row::<_, true>(from_ref(handle), (row.as_ptr(), 3), place) };
        assert_eq!(status != 0, step == CallerStep::INIT);
        status
    }

    #[test]
    fn a_stream_in_use_refuses_every_call_and_goes_on_after_the_first() {
        let handle = handle();
        let turn = handle.0.turn().unwrap();
        let at = from_ref(&handle).cast_mut();
        assert_eq!(push_one(&handle), 106);
        // SAFETY: a live handle.
        assert_eq!(unsafe { tickfuse_stream_prepare(at) }, 106);
        // SAFETY: a live handle.
        assert_eq!(unsafe { tickfuse_stream_remaining(at) }, 0);
        drop(turn);
        // SAFETY: a live handle.
        assert_eq!(unsafe { tickfuse_stream_remaining(at) }, 7);
        assert_eq!(push_one(&handle), 0);
    }

    #[test]
    fn a_panic_within_a_stream_poisons_that_stream_only() {
        let (struck, other) = (handle(), handle());
        // SAFETY: a live handle.
        let panicking =
            guard::status(|| unsafe { tend(&raw const struck, |_| panic!("made for this test")) });
        assert_eq!(panicking, 900);
        assert_eq!([push_one(&struck), push_one(&struck)], [901; 2]);
        assert_eq!(push_one(&other), 0);
    }
}
