//! Rows that arrive: alone, from eight symbols at once, provisional ones, and what is done in between.
//!
//! `late` rows find nothing prepared since the row before, but all that before it. `each` and `all` are eight symbols, one after the other and as a set;
//! their times are those of all eight together. In the end, what denormal inputs cost: the ratio of the median times of a window of
//! them and of an ordinary one.

use criterion::Criterion;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tickfuse_bench::{Case, Prepared};
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Level, Session, Step, Stream, StreamSet};

const N_SYMBOLS: usize = 8;

/// Streams and a set with full windows, and a row to go on with.
struct Running {
    streams: Vec<Stream>,
    set: StreamSet,
    row: Vec<f32>,
    /// The same for every symbol.
    rows: Vec<f32>,
    /// The answers of every symbol, `n_outputs` each.
    out: Vec<f32>,
    n_outputs: usize,
    steps: Vec<Step>,
}

impl Running {
    /// After a window whose last answer has been compared with the oracle's.
    fn new(prepared: &Prepared, level: Level) -> Self {
        let mut session = prepared.session(level, 1);
        let model = session.model().clone();
        let n_outputs = model.schema().n_outputs();
        let stream = |_| Stream::new(&model).expect("the net reads no future");
        let mut running = Self {
            streams: (0..N_SYMBOLS).map(stream).collect(),
            set: StreamSet::new(&model, N_SYMBOLS).expect("the net reads no future"),
            row: Vec::new(),
            rows: Vec::new(),
            out: vec![0.0; N_SYMBOLS * n_outputs],
            n_outputs,
            steps: vec![Step::WarmingUp { remaining: 0 }; N_SYMBOLS],
        };
        let (window, mut expected) = (prepared.batch(1), vec![0.0; n_outputs]);
        session.run(&window, &mut expected).expect("the window is finite");
        for row in window.chunks_exact(model.schema().n_features()) {
            running.rows = row.repeat(N_SYMBOLS);
            running.all();
        }
        assert_eq!(running.out, expected.repeat(N_SYMBOLS));
        for row in window.chunks_exact(model.schema().n_features()) {
            running.row = row.to_vec();
            running.each();
        }
        assert_eq!(running.out, expected.repeat(N_SYMBOLS));
        running
    }

    fn prepare(&mut self) {
        self.streams.iter_mut().for_each(Stream::prepare);
    }

    fn one(&mut self) {
        let pushed = self.streams[0].push(black_box(&self.row), &mut self.out[..self.n_outputs]);
        let _ = black_box(pushed.expect("the row is finite"));
    }

    fn each(&mut self) {
        for (stream, out) in self
            .streams
            .iter_mut()
            .zip(self.out.chunks_exact_mut(self.n_outputs))
        {
            let pushed = stream.push(black_box(&self.row), out);
            let _ = black_box(pushed.expect("the row is finite"));
        }
    }

    fn all(&mut self) {
        let (rows, out) = (black_box(&self.rows), &mut self.out);
        let pushed = self.set.push_all(rows, out, &mut self.steps);
        pushed.expect("the rows are finite");
    }
}

/// Up to a row that the next one follows at once.
impl Running {
    fn prepare_and_one(&mut self) {
        self.streams[0].prepare();
        self.one();
    }

    fn prepare_and_each(&mut self) {
        self.prepare();
        self.each();
    }

    fn prepare_and_all(&mut self) {
        self.set.prepare();
        self.all();
    }
}

/// The time of `work` alone; `before` it goes what nobody waits for.
fn time(
    n: u64,
    running: &mut Running,
    before: impl Fn(&mut Running),
    work: impl Fn(&mut Running),
) -> Duration {
    let mut sum = Duration::ZERO;
    for _ in 0..n {
        before(running);
        let start = Instant::now();
        work(running);
        sum += start.elapsed();
    }
    sum
}

/// Something to do with them.
type Act = fn(&mut Running);

/// Name, what goes before, what is timed.
const WORK: [(&str, Act, Act); 9] = [
    ("push", |r| r.streams[0].prepare(), Running::one),
    ("push late", Running::prepare_and_one, Running::one),
    ("prepare", Running::one, |r| r.streams[0].prepare()),
    ("push each", Running::prepare, Running::each),
    ("push all", |r| r.set.prepare(), Running::all),
    ("push each late", Running::prepare_and_each, Running::each),
    ("push all late", Running::prepare_and_all, Running::all),
    ("prepare each", Running::each, Running::prepare),
    ("prepare all", Running::all, |r| r.set.prepare()),
];

fn streams(criterion: &mut Criterion) {
    for case in Case::ALL {
        for precision in Precision::ALL {
            let prepared = Prepared::new(case, precision);
            eprintln!("{}: file {}", case.name, prepared.hash);
            for level in Level::available() {
                let mut running = Running::new(&prepared, level);
                let mut group = criterion.benchmark_group(prepared.name(level));
                for (name, before, work) in WORK {
                    group.bench_function(name, |b| {
                        b.iter_custom(|n| time(n, &mut running, before, work));
                    });
                }
                let Running {
                    streams,
                    row,
                    out,
                    n_outputs,
                    ..
                } = &mut running;
                streams[0].prepare();
                group.bench_function("peek", |b| {
                    b.iter(|| streams[0].peek(black_box(row), &mut out[..*n_outputs]));
                });
                group.finish();
            }
        }
    }
}

/// Median time of each window, run in turn.
fn in_turn(session: &mut Session, windows: [&[f32]; 2]) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let mut out = vec![0.0; session.model().schema().n_outputs()];
    for _ in 0..101 {
        for (times, window) in times.iter_mut().zip(windows) {
            let start = Instant::now();
            let run = session.run(black_box(window), &mut out);
            times.push(start.elapsed());
            run.expect("the window is finite");
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn denormals() {
    for case in Case::ALL {
        for precision in Precision::ALL {
            let prepared = Prepared::new(case, precision);
            let ordinary = prepared.batch(1);
            let denormal: Vec<f32> = ordinary.iter().map(|value| value * 1e-39).collect();
            for level in Level::available() {
                let mut session = prepared.session(level, 1);
                let [slow, usual] = in_turn(&mut session, [&denormal, &ordinary]);
                let ratio = slow.as_secs_f64() / usual.as_secs_f64();
                let name = prepared.name(level);
                println!("{name}: denormal inputs {slow:?}, ordinary ones {usual:?}, ratio {ratio:.3}");
            }
        }
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "denormals") {
        return denormals();
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    streams(&mut criterion);
    criterion.final_summary();
}
