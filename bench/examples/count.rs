//! Work for `bench/instructions.py`, which counts the instructions of the functions named `counted_...` here: whole windows, arriving
//! rows and their preparation, of every shape in every precision.
//!
//!     count write NET PRECISION FILE     makes the model file
//!     count run FILE LEVEL WORK          does it once: window, prepare or row

use std::hint::black_box;
use std::sync::Arc;
use tickfuse_bench::{Case, Prepared};
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Level, Model, OpenOptions, Session, Stream};

/// Rows between the first answer and the counted one, so that all that is done once has been done.
const SETTLED: usize = 2;

#[inline(never)]
fn counted_window(session: &mut Session, window: &[f32], out: &mut [f32]) {
    let _ = black_box(session.run(black_box(window), out)).expect("the window is finite");
}

#[inline(never)]
fn counted_prepare(stream: &mut Stream) {
    stream.prepare();
}

#[inline(never)]
fn counted_row(stream: &mut Stream, row: &[f32], out: &mut [f32]) {
    let _ = black_box(stream.push(black_box(row), out)).expect("the row is finite");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["write", net, precision, file] => write(net, precision, file),
        ["run", file, level, work] => run(file, level, work),
        _ => None,
    };
    if done.is_none() {
        let nets = Case::ALL.map(|case| case.name).join("|");
        eprintln!(
            "usage: count write {nets} f32|bf16|i16 FILE, or count run FILE portable|avx2 (a level that runs here)"
        );
        std::process::exit(2);
    }
}

fn write(net: &str, precision: &str, file: &str) -> Option<()> {
    let case = Case::ALL.into_iter().find(|case| case.name == net)?;
    let precision = Precision::ALL.into_iter().find(|p| p.name() == precision)?;
    std::fs::write(file, Prepared::new(case, precision).file).expect("the file can be written");
    Some(())
}

fn run(file: &str, level: &str, work: &str) -> Option<()> {
    let level = Level::from_name(level).filter(|level| level.is_available())?;
    let options = OpenOptions {
        level: Some(level),
        verify_golden: false,
        verify_hash: false,
    };
    let model = Model::open(file, options).expect("the file opens");
    let golden = model.bundle().golden().input.to_vec();
    match work {
        "window" => window(&model, &golden),
        "prepare" | "row" => arriving(&model, &golden, work == "row"),
        _ => return None,
    }
    Some(())
}

fn window(model: &Arc<Model>, window: &[f32]) {
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut session = Session::new(model, 1);
    let _ = session.run(window, &mut out).expect("the window is finite");
    counted_window(&mut session, window, &mut out);
}

fn arriving(model: &Arc<Model>, window: &[f32], row: bool) {
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut stream = Stream::new(model).expect("the net has a stream");
    let rows: Vec<&[f32]> = window.chunks_exact(model.schema().n_features()).collect();
    for i in 0..rows.len() - 1 {
        let _ = stream.push(rows[i], &mut out).expect("the row is finite");
    }
    for i in 0..SETTLED {
        stream.prepare();
        let _ = stream.push(rows[i], &mut out).expect("the row is finite");
    }
    if row {
        stream.prepare();
        counted_row(&mut stream, rows[SETTLED], &mut out);
    } else {
        counted_prepare(&mut stream);
    }
}
