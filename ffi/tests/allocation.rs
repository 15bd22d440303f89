//! Runs from C never allocate, whether they answer or refuse; neither does asking for the reason.

#[path = "../../core/tests/common/mod.rs"]
mod models;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{null, null_mut};
use tickfuse::*;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count_one() {
    COUNT.with(|c| c.set(c.get() + 1));
}

// SAFETY: forwards to the system allocator; the counter touches no allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count_one();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
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
