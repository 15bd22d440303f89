//! Every wrong call on a stream is an error with the right number, and leaves outputs and stream as they were.

use crate::misuse::{OpenModel, last_error, odd};
use std::ptr::{null, null_mut};
use tickfuse::*;

const UNTOUCHED: f32 = 42.5;

/// A stream that C would hold.
struct OpenStream(*mut StreamHandle);

impl OpenStream {
    fn new() -> Self {
        let (model, mut stream) = (OpenModel::new(), null_mut());
        // SAFETY: the model is open, `stream` is writable.
        assert_eq!(unsafe { tickfuse_stream_new(model.0, &mut stream) }, 0);
        Self(stream)
    }

    fn remaining(&self) -> usize {
        // SAFETY: made by `new`.
        unsafe { tickfuse_stream_remaining(self.0) }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed here only.
        unsafe { tickfuse_stream_free(self.0) };
    }
}

/// The arguments of `tickfuse_stream_push`.
#[derive(Clone, Copy)]
struct Call {
    stream: *mut StreamHandle,
    row: *const f32,
    n_values: usize,
    out: *mut f32,
    n_out: usize,
    step: *mut CallerStep,
}

type Change = fn(&mut Call);

/// Changes a sound call and gives its status and text; outputs and stream must stay untouched.
fn refused(change: impl FnOnce(&mut Call)) -> (i32, String) {
    let stream = OpenStream::new();
    let (row, mut out, mut step) = ([0.5_f32; 6], [UNTOUCHED; 6], CallerStep::INIT);
    step.flags = 77;
    let mut call = Call {
        stream: stream.0,
        row: row.as_ptr(),
        n_values: 3,
        out: out.as_mut_ptr(),
        n_out: 3,
        step: &raw mut step,
    };
    change(&mut call);
    // SAFETY: every test keeps pointers to the values above or makes them NULL or misaligned.
    let status = unsafe {
        tickfuse_stream_push(
            call.stream,
            call.row,
            call.n_values,
            call.out,
            call.n_out,
            call.step,
        )
    };
    assert_eq!((out, step.flags, stream.remaining()), ([UNTOUCHED; 6], 77, 7));
    (status, last_error())
}

#[test]
fn null_and_misaligned_pointers_of_a_push_are_refused_by_name() {
    let cases: [(Change, Change, &str); 4] = [
        (|c| c.stream = null_mut(), |c| c.stream = odd(c.stream), "stream"),
        (|c| c.row = null(), |c| c.row = odd(c.row), "row"),
        (|c| c.out = null_mut(), |c| c.out = odd(c.out), "out"),
        (|c| c.step = null_mut(), |c| c.step = odd(c.step), "step"),
    ];
    for (to_null, to_odd, name) in cases {
        let expected = format!("{name}: expected a pointer, found NULL");
        assert_eq!(refused(to_null), (Status::Null.number(), expected));
        let (status, text) = refused(to_odd);
        assert_eq!(status, Status::Alignment.number());
        assert!(
            text.starts_with(&format!("{name}: expected a multiple of ")),
            "{text}"
        );
    }
}

#[test]
fn wrong_lengths_and_values_of_a_push_are_refused_with_both_numbers() {
    let nan = [0.5, 0.5, f32::NAN];
    let cases = [
        (
            refused(|c| c.n_values = 2),
            Status::RunInputLength,
            "input: expected 3 values, found 2",
        ),
        (
            refused(|c| c.n_values = 0),
            Status::RunInputLength,
            "input: expected 3 values, found 0",
        ),
        (
            refused(|c| c.n_out = 4),
            Status::RunOutputLength,
            "output: expected room for 3 values, found 4",
        ),
        (
            refused(|c| c.row = nan.as_ptr()),
            Status::RunNonFinite,
            "input: window 0, row 6, column 2 is NaN or infinite",
        ),
    ];
    for ((found, text), status, expected) in cases {
        assert_eq!((found, text.as_str()), (status.number(), expected));
    }
    assert_eq!(refused(|c| c.n_values = usize::MAX).0, Status::Length.number());
}

#[test]
fn a_step_of_another_size_is_refused_and_a_longer_one_keeps_its_tail() {
    for size in [0, size_of::<CallerStep>() - 1, 4097, usize::MAX] {
        let mut wrong = CallerStep {
            size,
            ..CallerStep::INIT
        };
        let at = &raw mut wrong;
        let expected = format!("step.size: expected sizeof, 32 to 4096, found {size}");
        assert_eq!(refused(|c| c.step = at), (Status::Structure.number(), expected));
        assert_eq!(wrong.size, size);
    }
    let mut longer = [CallerStep::INIT; 2];
    longer[0].size = size_of_val(&longer);
    longer[1].flags = 5;
    let (stream, row, mut out) = (OpenStream::new(), [0.5_f32; 3], [UNTOUCHED; 3]);
    let (from, to) = (row.as_ptr(), out.as_mut_ptr());
    // SAFETY: arrays of the stated lengths, and a structure of the size it states.
    let status = unsafe { tickfuse_stream_push(stream.0, from, 3, to, 3, longer.as_mut_ptr()) };
    assert_eq!((status, longer[0].remaining, longer[0].size), (0, 6, 64));
    assert_eq!((longer[1].flags, out), (5, [UNTOUCHED; 3]));
}

#[test]
fn bars_are_checked_before_the_model_is_asked_whether_it_takes_them() {
    const SIZE: usize = size_of::<CallerBar>();
    let stream = OpenStream::new();
    let bar = |size| CallerBar {
        size,
        ts_ns: 0,
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 0.0,
    };
    let (mut out, mut step) = ([UNTOUCHED; 3], CallerStep::INIT);
    let mut push = |bar: *const CallerBar| {
        // SAFETY: the bar is NULL, misaligned or of a size that is checked; the rest is sound.
        unsafe { tickfuse_stream_push_bar(stream.0, bar, out.as_mut_ptr(), 3, &mut step) }
    };
    assert_eq!(push(null()), Status::Null.number());
    assert_eq!(push(odd(&raw const stream.0).cast()), Status::Alignment.number());
    assert_eq!(push(&bar(SIZE - 1)), Status::Structure.number());
    let longer = [bar(2 * SIZE), bar(0)];
    assert_eq!(push(longer.as_ptr()), Status::Structure.number());
    assert!(last_error().starts_with("bar: byte "), "{}", last_error());
    assert_eq!(push(&bar(SIZE)), Status::RunNoBars.number());
    assert!(last_error().contains("this one takes rows"), "{}", last_error());
    assert_eq!((out, step), ([UNTOUCHED; 3], CallerStep::INIT));
}

#[test]
fn calls_without_an_answer_check_their_handle_too() {
    let model = OpenModel::new();
    let nothing: *mut StreamHandle = null_mut();
    let mut is_done = 77;
    // SAFETY: NULL is checked, here and below.
    assert_eq!(unsafe { tickfuse_stream_prepare(nothing) }, 100);
    // SAFETY: as above.
    let some = unsafe { tickfuse_stream_prepare_some(nothing, 1, &mut is_done) };
    assert_eq!(some, 100);
    // SAFETY: as above.
    assert_eq!(unsafe { tickfuse_stream_reset(nothing) }, 100);
    // SAFETY: as above.
    assert_eq!(unsafe { tickfuse_stream_set_max_missing_bars(nothing, 1) }, 100);
    // SAFETY: as above.
    assert_eq!(unsafe { tickfuse_stream_set_contexts(nothing, null()) }, 100);
    // SAFETY: as above.
    assert_eq!(unsafe { tickfuse_stream_remaining(nothing) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { tickfuse_stream_new(model.0, null_mut()) }, 100);
    // SAFETY: NULL is allowed.
    unsafe { tickfuse_stream_free(nothing) };
    assert_eq!(is_done, 77);
}

#[test]
fn an_lstm_stack_attends_to_no_contexts_and_weighs_nothing() {
    let (model, stream) = (OpenModel::new(), OpenStream::new());
    let (mut contexts, rows, mut shape) = (null_mut(), [0.5_f32; 3], [7_usize; 3]);
    let (at, from, entities) = (model.0, rows.as_ptr(), [0]);
    // SAFETY: the model is open, the arrays have the stated lengths.
    let encoded = unsafe { tickfuse_contexts_encode(at, from, 3, entities.as_ptr(), 1, &mut contexts) };
    let [n, n_rows, n_columns] = shape.each_mut().map(|n| &raw mut *n);
    // SAFETY: the model is open, the places are writable.
    let asked = unsafe { tickfuse_model_context_shape(model.0, n, n_rows, n_columns) };
    // SAFETY: the stream is open; NULL is allowed.
    let set = unsafe { tickfuse_stream_set_contexts(stream.0, null()) };
    assert_eq!([encoded, asked, set], [Status::RunNoContexts.number(); 3]);
    assert!(contexts.is_null() && shape == [7; 3]);
    // SAFETY: NULL is allowed.
    unsafe { tickfuse_contexts_free(contexts) };
}
