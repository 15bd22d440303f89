//! After construction a session never allocates: counted by an allocator of its own.

mod common;

use common::families;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use tickfuse_core::bundle::{Arrival, Net, Schema};
use tickfuse_core::{Flags, Level, Model, OpenOptions, Session, Sliding, Step, Stream, StreamSet};

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
    for schema in families::small_schemas() {
        let file = families::file(&schema, &families::tensors(&schema));
        let windows = families::windows(&schema, 2).concat();
        let (n_window, n_out) = (windows.len() / 2, schema.n_outputs());
        let lengths = [schema.lookback(), schema.net.n_ahead()];
        let mut bad = windows.clone();
        // The last row of the past, in the last column: a real of every schema.
        bad[(schema.lookback() * schema.n_features()) - 1] = f32::NAN;
        for level in Level::available() {
            let mut session = families::session(&file, level);
            let mut out = vec![0.0; 2 * n_out];
            let mut runs = || {
                for _ in 0..5 {
                    session.run_batch(&windows, 2, &mut out).unwrap();
                    session.run_batch(&bad, 2, &mut out).unwrap_err();
                    session.run(&windows[1..], &mut out).unwrap_err();
                    let (window, out) = (&windows[..n_window], &mut out[..n_out]);
                    session.run(window, out).unwrap();
                    session.run_lengths(window, lengths[0], lengths[1], out).unwrap();
                    session.run_lengths(window, lengths[0] + 1, 0, out).unwrap_err();
                }
            };
            let what = format!("{:?} on {}", schema.net, level.name());
            assert_eq!(count(&mut runs), 0, "{what}");
            // What it hands out belongs to the caller; afterwards it is as before.
            assert!(count(|| drop(session.interpret())) > 0, "{what}");
            let mut run = || session.run(&windows[..n_window], &mut out[..n_out]);
            assert_eq!(count(|| assert!(run().is_ok())), 0, "{what}, after a look inside");
        }
    }
}

#[test]
fn windows_slid_over_a_series_never_allocate() {
    let stacks = common::small_models().into_iter();
    let others = families::small_schemas().map(|schema| {
        let file = families::file(&schema, &families::tensors(&schema));
        (schema, file)
    });
    for (schema, file) in stacks.chain(others) {
        let n_features = schema.n_features();
        let rows: Vec<f32> = (0..90 * n_features).map(|i| (i % 3) as f32).collect();
        let mut bad = rows.clone();
        bad[41 * n_features - 1] = f32::NAN;
        for stride in [1, 4, 20] {
            let model = families::session(&file, Level::detect()).model().clone();
            let mut sliding = Sliding::new(&model, stride);
            let n = sliding.n_windows(90);
            let (mut out, mut flags) = (vec![0.0; n * schema.n_outputs()], vec![Flags::NONE; n]);
            let allocations = count(|| {
                for _ in 0..3 {
                    assert!(sliding.run(&rows, &mut out, &mut flags).is_ok());
                    assert!(sliding.run(&bad, &mut out, &mut flags).is_err());
                    assert!(sliding.run(&rows[1..], &mut out, &mut flags).is_err());
                }
            });
            assert_eq!(allocations, 0, "{:?}, stride {stride}", schema.net);
        }
    }
}

#[test]
fn shorter_windows_never_allocate() {
    let schema = families::tft_schema(families::SMALL_TFT);
    let file = families::file(&schema, &families::tensors(&schema));
    let window = families::windows(&schema, 1).concat();
    let mut session = families::session(&file, Level::detect());
    let mut out = vec![0.0; schema.n_outputs()];
    for (n_encoder, n_decoder) in [(5, 3), (0, 1), (1, 2), (4, 3)] {
        let window = &window[..(n_encoder + n_decoder) * schema.n_features()];
        let out = &mut out[..n_decoder * schema.n_columns()];
        let mut run = || session.run_lengths(window, n_encoder, n_decoder, out);
        let allocations = count(|| assert!(run().is_ok()));
        assert_eq!(allocations, 0, "{n_encoder} and {n_decoder} rows");
    }
}

#[test]
fn other_contexts_are_set_without_an_allocation() {
    for config in families::xtrends() {
        let schema = families::schema(Net::Xtrend(config), 5);
        let file = families::file(&schema, &families::tensors(&schema));
        let window = families::windows(&schema, 1).concat();
        let mut session = families::session(&file, Level::detect());
        let model = Arc::clone(session.model());
        let [_, n_rows, n_columns] = model.context_shape().unwrap();
        let rows = vec![0.5_f32; n_rows * n_columns];
        let contexts = model.encode_contexts(&rows, &[1]).unwrap();
        let foreign = families::session(&file, Level::detect())
            .model()
            .contexts()
            .unwrap()
            .clone();
        let mut out = vec![0.0; schema.n_outputs()];
        let allocations = count(|| {
            for _ in 0..5 {
                session.set_contexts(&contexts).unwrap();
                session.run(&window, &mut out).unwrap();
                session.set_contexts(&foreign).unwrap_err();
                session.set_contexts(model.contexts().unwrap()).unwrap();
                session.run(&window, &mut out).unwrap();
            }
        });
        assert_eq!(allocations, 0, "{:?}", schema.net);
    }
}

/// Streams of every way, and rows for them, each with as many rows of the future as the model reads.
fn streams() -> impl Iterator<Item = (Stream, Vec<f32>)> {
    let stacks = common::small_models().into_iter();
    let others = families::small_schemas().map(|schema| {
        let schema = Schema {
            arrival: Arrival::PreRolled,
            ..schema
        };
        let bytes = families::file(&schema, &families::tensors(&schema));
        (schema, bytes)
    });
    let tft = families::tft_schema(families::TftSize {
        n_ahead: 0,
        ..families::SMALL_TFT
    });
    let tft = Schema {
        arrival: Arrival::PreRolled,
        ..tft
    };
    let tft_file = families::file(&tft, &families::tensors(&tft));
    stacks
        .chain(others)
        .chain([(tft, tft_file)])
        .map(|(schema, bytes)| {
            let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
            let rows = match schema.net {
                Net::Lstm(_) => vec![0.25; 4 * schema.n_features() * schema.n_rows()],
                _ => families::windows(&schema, 4).concat(),
            };
            (Stream::new(&model).unwrap(), rows)
        })
}

/// Values of a row with its rows of the future.
fn n_values(schema: &Schema) -> usize {
    (1 + schema.net.n_ahead()) * schema.n_features()
}

#[test]
fn streams_and_their_copies_never_allocate() {
    for (mut stream, rows) in streams() {
        let schema = stream.model().schema();
        let (n_row, what) = (n_values(schema), format!("{:?}", schema.net));
        let mut out = vec![0.0; schema.n_outputs()];
        let mut copy = Stream::new(stream.model()).unwrap();
        let allocations = count(|| {
            for row in rows.chunks_exact(n_row) {
                let _ = stream.peek(row, &mut out).unwrap();
                let _ = stream.push(row, &mut out).unwrap();
                stream.push(&row[1..], &mut out).unwrap_err();
                copy.clone_from(&stream);
                let _ = copy.push(row, &mut out).unwrap();
                stream.prepare_some(1);
                stream.prepare();
            }
        });
        assert_eq!(allocations, 0, "{what}");
        let mut saved = vec![0; stream.saved_len()];
        let allocations = count(|| {
            stream.save(&mut saved).unwrap();
            copy.restore(&saved).unwrap();
            saved[60] ^= 1;
            copy.restore(&saved).unwrap_err();
            let _ = copy.push(&rows[..n_row], &mut out).unwrap();
        });
        assert_eq!(allocations, 0, "{what}");
    }
}

#[test]
fn a_hundred_thousand_pushes_of_every_family_never_allocate() {
    for (mut stream, rows) in streams() {
        let schema = stream.model().schema();
        let (n_row, what) = (n_values(schema), format!("{:?}", schema.net));
        let mut out = vec![0.0; schema.n_outputs()];
        let mut n_answers = 0;
        let allocations = count(|| {
            for (i, row) in rows.chunks_exact(n_row).cycle().take(100_000).enumerate() {
                let step = stream.push(row, &mut out).unwrap();
                n_answers += usize::from(matches!(step, Step::Answer(_)));
                if i % 2 == 0 {
                    stream.prepare();
                }
            }
        });
        assert!(n_answers > 99_900, "{what}: {n_answers}");
        assert_eq!(allocations, 0, "{what}");
    }
}

#[test]
fn sets_of_streams_never_allocate() {
    for (stream, rows) in streams() {
        let (model, n) = (stream.model(), 7);
        let (n_row, n_outputs) = (n_values(model.schema()), model.schema().n_outputs());
        let mut set = StreamSet::new(model, n).unwrap();
        let mut other = StreamSet::new(model, n).unwrap();
        let mut out = vec![0.0; n * n_outputs];
        let mut steps = vec![Step::WarmingUp { remaining: 0 }; n];
        let rows: Vec<Vec<f32>> = rows.chunks_exact(n_row).map(|row| row.repeat(n)).collect();
        let allocations = count(|| {
            for rows in &rows {
                set.push_all(rows, &mut out, &mut steps).unwrap();
                set.push_all(&rows[1..], &mut out, &mut steps).unwrap_err();
                set.peek_all(rows, &mut out, &mut steps).unwrap();
                let _ = set.push(3, &rows[..n_row], &mut out[..n_outputs]).unwrap();
                set.prepare_some(1);
                set.prepare();
                other.clone_from(&set);
            }
        });
        assert_eq!(allocations, 0, "{:?}", model.schema().net);
    }
}
