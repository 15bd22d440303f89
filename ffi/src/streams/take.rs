//! Rows and bars of one symbol, and rows of all.

use super::{StreamsHandle, Work, call};
use crate::error::{Failure, UseError};
use crate::guard;
use crate::pointer::{self, OutSlice};
use crate::session;
use crate::sized::{self, OutSized};
use crate::step::{CallerBar, CallerStep};
use crate::stream::Place;
use tickfuse_core::error::StreamError;
use tickfuse_core::features::Bar;
use tickfuse_core::{Sample, Step, StreamSet};

/// Makes a symbol answer with `ask` and hands out what it says.
///
/// # Safety
/// The header's rules for pointers. `ask` does not keep what it reads: outputs may overlap it.
unsafe fn answer(
    streams: *const StreamsHandle,
    symbol: usize,
    place: Place,
    ts_ns: i64,
    ask: impl FnOnce(&mut StreamSet, &mut [f32]) -> Result<Step, StreamError>,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise is passed on.
    let out = unsafe { OutSlice::new(place.out, place.n_out, "out") }?;
    // SAFETY: the caller's promise is passed on.
    let step_out = unsafe { OutSized::new(place.step, "step") }?;
    let work = |work: &mut Work| -> Result<(), Failure> {
        let n_symbols = work.set.n_symbols();
        if symbol >= n_symbols {
            let found = symbol;
            return Err(StreamError::Symbol { n_symbols, found }.into());
        }
        let own = &mut work.answers[symbol * work.n_outputs..][..work.n_outputs];
        let answer = session::room_for_steps(own, place.n_out)?;
        let step = ask(&mut work.set, answer)?;
        if let Step::Answer(_) = step {
            out.write(answer);
        }
        let size = step_out.size();
        step_out.write(CallerStep::new(size, step, ts_ns));
        Ok(())
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { call(streams, work) }?
}

/// All calls with a row of one symbol.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn of_row<S: Sample>(
    streams: *const StreamsHandle,
    symbol: usize,
    (row, n_values): (*const S, usize),
    place: Place,
    is_kept: bool,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let row = unsafe { pointer::slice(row, n_values, "row") }?;
        let ask = |set: &mut StreamSet, out: &mut [f32]| match is_kept {
            true => set.push(symbol, row, out),
            false => set.peek(symbol, row, out),
        };
        // SAFETY: the caller's promise is passed on.
        unsafe { answer(streams, symbol, place, 0, ask) }
    })
}

/// Both calls with a bar of one symbol.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn of_bar(
    streams: *const StreamsHandle,
    symbol: usize,
    bar: *const CallerBar,
    place: Place,
    take: fn(&mut StreamSet, usize, &Bar, &mut [f32]) -> Result<Step, StreamError>,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on; the bar is copied before any output is written.
        let bar = unsafe { sized::read(bar, "bar") }?.bar();
        let ask = |set: &mut StreamSet, out: &mut [f32]| take(set, symbol, &bar, out);
        // SAFETY: the caller's promise is passed on.
        unsafe { answer(streams, symbol, place, bar.ts_ns, ask) }
    })
}

/// Where the answers of all symbols go, as the caller names it.
#[derive(Clone, Copy)]
struct Places {
    out: *mut f32,
    n_out: usize,
    steps: *mut CallerStep,
    n_steps: usize,
}

impl Places {
    /// Step number `i`, whose size is that of the first.
    ///
    /// # Safety
    /// The header's rules for pointers.
    unsafe fn step(self, i: usize, size: usize) -> Result<OutSized<CallerStep>, UseError> {
        let at = self
            .steps
            .cast::<u8>()
            .wrapping_add(i * size)
            .cast::<CallerStep>();
        // SAFETY: within the steps that the caller promises, each of this size.
        let step = unsafe { OutSized::new(at, "steps") }?;
        match step.size() == size {
            true => Ok(step),
            false => Err(UseError::Structure {
                parameter: "steps",
                fault: sized::Fault::Uneven {
                    expected: size,
                    found: step.size(),
                },
            }),
        }
    }

    /// Size of a step, when all have it.
    ///
    /// # Safety
    /// The header's rules for pointers.
    unsafe fn step_size(self) -> Result<usize, UseError> {
        // SAFETY: the caller's promise is passed on.
        let size = unsafe { OutSized::new(self.steps, "steps") }?.size();
        for i in 1..self.n_steps {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.step(i, size) }?;
        }
        Ok(size)
    }
}

/// All calls with rows of all symbols.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn of_rows<S: Sample>(
    streams: *const StreamsHandle,
    (rows, n_values): (*const S, usize),
    places: Places,
    is_kept: bool,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on; outputs are written after the last use of the slice.
        let rows = unsafe { pointer::slice(rows, n_values, "rows") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { OutSlice::new(places.out, places.n_out, "out") }?;
        pointer::check_slice(places.steps, places.n_steps, "steps")?;
        let work = |work: &mut Work| -> Result<(), Failure> {
            let expected = work.steps.len();
            if places.n_steps != expected {
                let found = places.n_steps;
                return Err(StreamError::Steps { expected, found }.into());
            }
            // SAFETY: the caller's promise is passed on.
            let size = unsafe { places.step_size() }?;
            let n_answers = work.answers.len();
            let answers = session::room(&mut work.answers, n_answers, places.n_out)?;
            match is_kept {
                true => work.set.push_all(rows, answers, &mut work.steps),
                false => work.set.peek_all(rows, answers, &mut work.steps),
            }?;
            for (i, step) in work.steps.iter().enumerate() {
                if let Step::Answer(_) = step {
                    let at = i * work.n_outputs;
                    out.write_at(at, &work.answers[at..at + work.n_outputs]);
                }
                // SAFETY: the caller's promise is passed on.
                unsafe { places.step(i, size) }?.write(CallerStep::new(size, *step, 0));
            }
            Ok(())
        };
        // SAFETY: the caller's promise is passed on.
        unsafe { call(streams, work) }?
    })
}

/// `tickfuse_streams_push` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_push(
    streams: *mut StreamsHandle,
    symbol: usize,
    row: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row(streams, symbol, (row, n_values), place, true) }
}

/// `tickfuse_streams_push_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_push_f64(
    streams: *mut StreamsHandle,
    symbol: usize,
    row: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row(streams, symbol, (row, n_values), place, true) }
}

/// `tickfuse_streams_peek` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_peek(
    streams: *mut StreamsHandle,
    symbol: usize,
    row: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row(streams, symbol, (row, n_values), place, false) }
}

/// `tickfuse_streams_peek_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_peek_f64(
    streams: *mut StreamsHandle,
    symbol: usize,
    row: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_row(streams, symbol, (row, n_values), place, false) }
}

/// `tickfuse_streams_push_bar` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_push_bar(
    streams: *mut StreamsHandle,
    symbol: usize,
    bar: *const CallerBar,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_bar(streams, symbol, bar, place, StreamSet::push_bar) }
}

/// `tickfuse_streams_peek_bar` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_peek_bar(
    streams: *mut StreamsHandle,
    symbol: usize,
    bar: *const CallerBar,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
) -> i32 {
    let place = Place { out, n_out, step };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_bar(streams, symbol, bar, place, StreamSet::peek_bar) }
}

/// `tickfuse_streams_push_all` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_push_all(
    streams: *mut StreamsHandle,
    rows: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    steps: *mut CallerStep,
    n_steps: usize,
) -> i32 {
    let places = Places {
        out,
        n_out,
        steps,
        n_steps,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_rows(streams, (rows, n_values), places, true) }
}

/// `tickfuse_streams_push_all_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_push_all_f64(
    streams: *mut StreamsHandle,
    rows: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    steps: *mut CallerStep,
    n_steps: usize,
) -> i32 {
    let places = Places {
        out,
        n_out,
        steps,
        n_steps,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_rows(streams, (rows, n_values), places, true) }
}

/// `tickfuse_streams_peek_all` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_peek_all(
    streams: *mut StreamsHandle,
    rows: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    steps: *mut CallerStep,
    n_steps: usize,
) -> i32 {
    let places = Places {
        out,
        n_out,
        steps,
        n_steps,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_rows(streams, (rows, n_values), places, false) }
}

/// `tickfuse_streams_peek_all_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_streams_peek_all_f64(
    streams: *mut StreamsHandle,
    rows: *const f64,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    steps: *mut CallerStep,
    n_steps: usize,
) -> i32 {
    let places = Places {
        out,
        n_out,
        steps,
        n_steps,
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { of_rows(streams, (rows, n_values), places, false) }
}
