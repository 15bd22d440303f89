//! After construction a session never allocates: counted by an allocator of its own.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tickfuse_core::{Level, Model, OpenOptions, Session, write_model};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards to the system allocator; the counter touches no allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        COUNT.with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| drop(std::hint::black_box(Box::new(1)))), 2);
}

#[test]
fn runs_batches_and_refusals_never_allocate() {
    for (schema, bytes) in common::small_models() {
        for level in Level::available() {
            let options = OpenOptions {
                level: Some(level),
                ..OpenOptions::default()
            };
            let model = Model::from_bytes(&bytes, options).unwrap();
            let mut session = Session::new(&model, 13);
            let n_window = schema.n_rows() * schema.n_features();
            let windows = vec![0.25_f64; 13 * n_window];
            let mut bad = windows.clone();
            bad[n_window] = f64::NAN;
            let mut out = vec![0.0; 13 * schema.n_outputs()];
            let n_out = schema.n_outputs();
            let allocations = count(|| {
                for _ in 0..50 {
                    session.run(&windows[..n_window], &mut out[..n_out]).unwrap();
                    session.run_batch(&windows, 13, &mut out).unwrap();
                    session.run_batch(&bad, 13, &mut out).unwrap_err();
                    session.run(&windows[1..n_window], &mut out).unwrap_err();
                }
            });
            assert_eq!(allocations, 0, "{} on {}", schema.name, level.name());
        }
    }
}

#[test]
fn sessions_that_read_rows_never_allocate() {
    for net in common::families::small_nets() {
        let schema = common::families::schema(net, 5);
        let plain = common::families::tensors(&schema);
        let windows = common::families::windows(&schema, 2).concat();
        let n_out = schema.n_outputs();
        let file = write_model(&schema, &plain, &windows, &vec![0.0; 2 * n_out]).unwrap();
        for level in Level::available() {
            let options = OpenOptions {
                level: Some(level),
                ..OpenOptions::default()
            };
            let mut session = Session::new(&Model::from_bytes(&file, options).unwrap(), 2);
            let mut out = vec![0.0; 2 * n_out];
            let mut bad = windows.clone();
            *bad.last_mut().unwrap() = f32::NAN;
            let allocations = count(|| {
                for _ in 0..5 {
                    session.run_batch(&windows, 2, &mut out).unwrap();
                    session.run_batch(&bad, 2, &mut out).unwrap_err();
                    session.run(&windows[1..], &mut out).unwrap_err();
                }
            });
            assert_eq!(allocations, 0, "{:?} on {}", schema.net, level.name());
        }
    }
}
