//! Runs and streams from C never allocate, whether they answer or refuse; neither does asking for the reason.

#[path = "../../core/tests/common/mod.rs"]
mod models;

use std::ptr::{null, null_mut};
use tickfuse::*;
use tickfuse_core::features::FeatureOp;

fn count(work: impl FnOnce()) -> usize {
    let before = n_heap_calls();
    work();
    n_heap_calls() - before
}

/// A session for `n` windows.
fn session(bytes: &[u8], n: usize) -> *mut SessionHandle {
    let (mut model, mut session) = (null_mut(), null_mut());
    // SAFETY: a slice and a writable place.
    let opened = unsafe { tickfuse_model_open_memory(bytes.as_ptr(), bytes.len(), null(), &mut model) };
    // SAFETY: the model was opened, or is NULL and refused.
    let made = unsafe { tickfuse_session_new(model, n, &mut session) };
    // SAFETY: opened above; the session keeps what it needs.
    unsafe { tickfuse_model_free(model) };
    assert_eq!((opened, made), (0, 0));
    session
}

fn run(session: *mut SessionHandle, windows: &[f32], n: usize, out: &mut [f32]) -> i32 {
    let mut flags = 0;
    let (n_values, n_out) = (windows.len(), out.len());
    let (from, to) = (windows.as_ptr(), out.as_mut_ptr());
    // SAFETY: the session is open or NULL, the slices are what their lengths say.
    unsafe { tickfuse_session_run_batch(session, from, n_values, n, to, n_out, &mut flags) }
}

fn ask(buf: &mut [u8]) -> usize {
    // SAFETY: the buffer has the stated length.
    unsafe { tickfuse_last_error(buf.as_mut_ptr().cast(), buf.len()) }
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| drop(std::hint::black_box(Box::new(1)))), 2);
}

#[test]
fn answers_refusals_and_their_texts_never_allocate_on_a_thread_that_never_failed() {
    for (schema, bytes) in models::small_models() {
        let session = session(&bytes, 3);
        let n_window = schema.n_rows() * schema.n_features();
        let windows = vec![0.25; 3 * n_window];
        let mut bad = windows.clone();
        bad[n_window] = f32::NAN;
        let mut out = vec![0.0; 3 * schema.n_outputs()];
        let (mut text, mut statuses) = ([0; 200], [0; 4]);
        let allocations = count(|| {
            for _ in 0..20 {
                statuses[0] = run(session, &windows, 3, &mut out);
                statuses[1] = run(session, &bad, 3, &mut out);
                assert!(ask(&mut text) > 1);
                statuses[2] = run(session, &windows[1..], 3, &mut out);
                assert!(ask(&mut text) > 1);
                statuses[3] = run(null_mut(), &windows, 3, &mut out);
                assert!(ask(&mut text) > 1);
            }
        });
        assert_eq!(statuses, [0, 302, 300, 100]);
        assert_eq!(allocations, 0);
        // SAFETY: made above, freed here only.
        unsafe { tickfuse_session_free(session) };
    }
}

/// A stream of a model.
fn stream(bytes: &[u8]) -> *mut StreamHandle {
    let (mut model, mut stream) = (null_mut(), null_mut());
    // SAFETY: a slice and a writable place.
    let opened = unsafe { tickfuse_model_open_memory(bytes.as_ptr(), bytes.len(), null(), &mut model) };
    // SAFETY: the model was opened, or is NULL and refused.
    let made = unsafe { tickfuse_stream_new(model, &mut stream) };
    // SAFETY: opened above; the stream keeps what it needs.
    unsafe { tickfuse_model_free(model) };
    assert_eq!((opened, made), (0, 0));
    stream
}

fn push(stream: *mut StreamHandle, row: &[f32], out: &mut [f32]) -> i32 {
    let mut step = CallerStep::INIT;
    let (from, to) = (row.as_ptr(), out.as_mut_ptr());
    // SAFETY: the stream is open, the slices are what their lengths say.
    unsafe { tickfuse_stream_push(stream, from, row.len(), to, out.len(), &mut step) }
}

fn push_bar(stream: *mut StreamHandle, ts_ns: i64, high: f64, out: &mut [f32]) -> i32 {
    let mut step = CallerStep::INIT;
    let bar = CallerBar {
        size: size_of::<CallerBar>(),
        ts_ns,
        open: 1.0,
        high,
        low: 0.5,
        close: 1.0,
        volume: 1.0,
    };
    // SAFETY: the stream is open, the slice is what its length says.
    unsafe { tickfuse_stream_push_bar(stream, &bar, out.as_mut_ptr(), out.len(), &mut step) }
}

#[test]
fn rows_on_their_way_through_a_stream_never_allocate_on_a_thread_that_never_failed() {
    for (_, bytes) in models::small_models() {
        let stream = stream(&bytes);
        let mut out = [0.0; 3];
        let (mut text, mut found) = ([0; 200], [0; 4]);
        let allocations = count(|| {
            for _ in 0..20 {
                // SAFETY: the stream is open.
                found[0] = unsafe { tickfuse_stream_prepare(stream) };
                found[1] = push(stream, &[0.25; 3], &mut out);
                found[2] = push(stream, &[f32::NAN; 3], &mut out);
                assert!(ask(&mut text) > 1);
                found[3] = push_bar(stream, 0, 2.0, &mut out);
                assert!(ask(&mut text) > 1);
            }
        });
        assert_eq!((found, allocations), ([0, 0, 302, 310], 0));
        // SAFETY: made above, freed here only.
        unsafe { tickfuse_stream_free(stream) };
    }
}

#[test]
fn bars_on_their_way_through_a_stream_never_allocate_on_a_thread_that_never_failed() {
    let (mut schema, _) = models::small_models().swap_remove(0);
    schema.inputs.truncate(2);
    for (input, lag) in schema.inputs.iter_mut().zip([1, 3]) {
        input.feature = Some(FeatureOp::LogRet { lag });
    }
    let stream = stream(&models::file(&schema, &models::tensors(&schema, 5)));
    let mut out = [0.0; 3];
    let (mut text, mut found) = ([0; 200], [0; 3]);
    let allocations = count(|| {
        for i in 0..40 {
            found[0] = push_bar(stream, i, 2.0, &mut out);
            found[1] = push_bar(stream, i, 2.0, &mut out);
            assert!(ask(&mut text) > 1);
            found[2] = push_bar(stream, i + 1, 0.1, &mut out);
            assert!(ask(&mut text) > 1);
        }
    });
    assert_eq!((found, allocations), ([0, 312, 311], 0));
    // SAFETY: made above, freed here only.
    unsafe { tickfuse_stream_free(stream) };
}

/// A block of the size that the model asks for, at an address that is aligned as it asks.
struct Memory(Vec<u8>);

impl Memory {
    fn new(size: usize, align: usize) -> Self {
        assert!(size > 0);
        Self(vec![0xcd; size + align])
    }

    fn at(&mut self, align: usize) -> *mut std::ffi::c_void {
        let at = self.0.as_mut_ptr();
        at.wrapping_add(at.align_offset(align)).cast()
    }
}

#[test]
fn a_stream_in_the_callers_memory_is_made_used_and_freed_without_the_heap() {
    for (schema, bytes) in models::small_models() {
        let (mut model, mut stream) = (null_mut(), null_mut());
        // SAFETY: a slice and a writable place.
        let opened = unsafe { tickfuse_model_open_memory(bytes.as_ptr(), bytes.len(), null(), &mut model) };
        // SAFETY: the model is open.
        let size = unsafe { tickfuse_stream_size(model) };
        let align = tickfuse_stream_align();
        let mut memory = Memory::new(size, align);
        let at = memory.at(align);
        let (row, mut out, mut made) = (vec![0.5; schema.n_features()], vec![0.0; schema.n_outputs()], 1);
        let allocations = count(|| {
            // SAFETY: the model is open, the block as long as is said.
            made = unsafe { tickfuse_stream_init(model, at, size, &mut stream) };
            for _ in 0..20 {
                assert_eq!(push(stream, &row, &mut out), 0);
            }
            // SAFETY: made above, freed here only.
            unsafe { tickfuse_stream_free(stream) };
        });
        assert_eq!((opened, made, allocations), (0, 0, 0));
        // SAFETY: opened above, freed here only.
        unsafe { tickfuse_model_free(model) };
    }
}

#[test]
fn a_session_in_the_callers_memory_is_made_used_and_freed_without_the_heap() {
    for (schema, bytes) in models::small_models() {
        let (mut model, mut session) = (null_mut(), null_mut());
        // SAFETY: a slice and a writable place.
        let opened = unsafe { tickfuse_model_open_memory(bytes.as_ptr(), bytes.len(), null(), &mut model) };
        // SAFETY: the model is open.
        let size = unsafe { tickfuse_session_size(model, 8) };
        let align = tickfuse_session_align();
        let mut memory = Memory::new(size, align);
        let at = memory.at(align);
        let windows = vec![0.25; 8 * schema.n_rows() * schema.n_features()];
        let (mut out, mut told) = (vec![0.0; 8 * schema.n_outputs()], [1; 2]);
        let allocations = count(|| {
            // SAFETY: the model is open, the block as long as is said.
            told[0] = unsafe { tickfuse_session_init(model, 8, at, size, &mut session) };
            told[1] = run(session, &windows, 8, &mut out);
            // SAFETY: made above, freed here only.
            unsafe { tickfuse_session_free(session) };
        });
        assert_eq!((opened, told, allocations), (0, [0; 2], 0));
        // SAFETY: opened above, freed here only.
        unsafe { tickfuse_model_free(model) };
    }
}
