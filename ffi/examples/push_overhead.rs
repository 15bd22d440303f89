//! What the C interface adds to a push: the same rows through C++ and through Rust, in turn, in one process.
//!
//! ```text
//! push_overhead LOOP MODEL [ROUNDS]      200 rounds of 500 rows each unless said
//! ```
//!
//! From the top of the repository:
//!
//! ```text
//! ffi/install.sh target/installed
//! c++ -std=c++17 -O2 -shared -fPIC -Itarget/installed/include -o target/push_overhead.so ffi/examples/push_overhead.cpp \
//!     -Ltarget/installed/lib -ltickfuse -Wl,-rpath,$PWD/target/installed/lib
//! cargo build --release -p tickfuse-ffi --example push_overhead
//! taskset -c 1 target/release/examples/push_overhead target/push_overhead.so model.safetensors
//! ```
//!
//! Every push is timed alone, after `prepare`; both figures contain one reading of the same clock. Peeks, which answer and keep nothing, are
//! timed a round at a time instead: their mean is free of the clock, and the smallest mean of all rounds of most other work on the
//! machine. Rows are synthetic.

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::time::Instant;
use tickfuse_core::{Model, OpenOptions, Stream};

const N_ROWS: usize = 500;
const RTLD_NOW: c_int = 2;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type New = unsafe extern "C" fn(*const c_char) -> *mut c_void;
type Round = unsafe extern "C" fn(*mut c_void, *const f64, usize, *mut u64) -> i32;

/// The loop in C++, which lives as long as the process.
struct Foreign {
    rounds: [Round; 3],
    own: *mut c_void,
}

fn symbol(library: *mut c_void, name: &CStr) -> Result<*mut c_void, String> {
    // SAFETY: an open library and text that ends with a zero.
    let found = unsafe { dlsym(library, name.as_ptr()) };
    match found.is_null() {
        true => Err(format!("{}: not in the library", name.to_string_lossy())),
        false => Ok(found),
    }
}

impl Foreign {
    fn open(path: &str, model: &str) -> Result<Self, Box<dyn Error>> {
        let (file, model_path) = (CString::new(path)?, CString::new(model)?);
        // SAFETY: text that ends with a zero.
        let library = unsafe { dlopen(file.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return Err(format!("{path}: not a library").into());
        }
        let new = symbol(library, c"push_overhead_new")?;
        let rounds = [
            c"push_overhead_round",
            c"push_overhead_fast_round",
            c"push_overhead_peeks",
        ];
        let [push, fast, peeks] = rounds.map(|name| symbol(library, name));
        // SAFETY: push_overhead.cpp defines it so.
        let new = unsafe { std::mem::transmute::<*mut c_void, New>(new) };
        // SAFETY: push_overhead.cpp defines it so.
        let push = unsafe { std::mem::transmute::<*mut c_void, Round>(push?) };
        // SAFETY: push_overhead.cpp defines it so.
        let fast = unsafe { std::mem::transmute::<*mut c_void, Round>(fast?) };
        // SAFETY: push_overhead.cpp defines it so.
        let peeks = unsafe { std::mem::transmute::<*mut c_void, Round>(peeks?) };
        // SAFETY: text that ends with a zero.
        let own = unsafe { new(model_path.as_ptr()) };
        match own.is_null() {
            true => Err(format!("{model}: no stream of it").into()),
            false => Ok(Self {
                rounds: [push, fast, peeks],
                own,
            }),
        }
    }

    /// By `push`, by the fast call, or all peeks at once.
    fn round(&mut self, which: usize, rows: &[f64], ns: &mut [u64]) -> Result<(), String> {
        // SAFETY: the loop is open, `ns` has a place for each of the rows.
        match unsafe { self.rounds[which](self.own, rows.as_ptr(), ns.len(), ns.as_mut_ptr()) } {
            0 => Ok(()),
            status => Err(format!("status {status}")),
        }
    }
}

/// The same in Rust.
fn round(stream: &mut Stream, rows: &[f64], out: &mut [f32], ns: &mut [u64]) -> Result<(), Box<dyn Error>> {
    let width = rows.len() / ns.len();
    for (row, ns) in rows.chunks_exact(width).zip(ns) {
        stream.prepare();
        let begin = Instant::now();
        let step = stream.push(row, out);
        let took = begin.elapsed();
        let _ = step?;
        *ns = u64::try_from(took.as_nanos())?;
    }
    Ok(())
}

/// Nanoseconds of peeks at all rows.
fn peeks(stream: &mut Stream, rows: &[f64], out: &mut [f32]) -> Result<u64, Box<dyn Error>> {
    stream.prepare();
    let begin = Instant::now();
    for row in rows.chunks_exact(rows.len() / N_ROWS) {
        let _ = stream.peek(row, out)?;
    }
    Ok(u64::try_from(begin.elapsed().as_nanos())?)
}

/// Values in -1 to 1.
fn synthetic(n: usize) -> Vec<f64> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn report(name: &str, mut ns: Vec<u64>) -> Vec<u64> {
    ns.sort_unstable();
    let at = |share: f64| ns[((ns.len() - 1) as f64 * share) as usize];
    let figures = [ns[0], at(0.1), at(0.5), at(0.9), at(0.99)];
    println!("{name:10}{}", figures.map(|ns| format!("{ns:9}")).concat());
    figures.to_vec()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, path, rest @ ..] = &arguments[..] else {
        return Err("usage: push_overhead LOOP MODEL [ROUNDS]".into());
    };
    let n_rounds: usize = rest.first().map_or(Ok(200), |n| n.parse())?;
    let model = Model::open(Path::new(path), OpenOptions::default())?;
    let (mut own, mut foreign) = (Stream::new(&model)?, Foreign::open(library, path)?);
    let rows = synthetic(N_ROWS * model.schema().n_features());
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut found = [const { Vec::new() }; 3];
    let mut peeked = [const { Vec::new() }; 2];
    let mut ns = vec![0; N_ROWS];
    let n_warm = model.schema().lookback() / N_ROWS + 2;
    for i in 0..n_rounds + n_warm {
        for (k, found) in found.iter_mut().enumerate() {
            match k {
                0 => round(&mut own, &rows, &mut out, &mut ns)?,
                _ => foreign.round(k - 1, &rows, &mut ns)?,
            }
            found.extend(ns.iter().filter(|_| i >= n_warm));
        }
        if i >= n_warm {
            foreign.round(2, &rows, &mut ns)?;
            peeked[0].push(peeks(&mut own, &rows, &mut out)?);
            peeked[1].push(ns[0]);
        }
    }
    println!(
        "hash {}, level {}, {n_rounds} rounds of {N_ROWS} rows",
        model.hash(),
        model.level().name()
    );
    println!(
        "{:10}{}",
        "ns",
        ["min", "p10", "p50", "p90", "p99"]
            .map(|name| format!("{name:>9}"))
            .concat()
    );
    let [rust, cpp, fast] = found;
    let (rust, cpp, fast) = (report("Rust", rust), report("C++", cpp), report("C++ fast", fast));
    for (name, figures) in [("C++ adds", cpp), ("fast adds", fast)] {
        let more = figures
            .iter()
            .zip(&rust)
            .map(|(ns, rust)| format!("{:+9}", ns.cast_signed() - rust.cast_signed()));
        println!("{name:10}{}", more.collect::<String>());
    }
    let [rust, cpp] = peeked.map(|ns| ns.into_iter().min().unwrap_or(0) as f64 / N_ROWS as f64);
    println!(
        "peek, smallest mean of a round: Rust {rust:.1}, C++ {cpp:.1}, C++ adds {:+.1}",
        cpp - rust
    );
    Ok(())
}
