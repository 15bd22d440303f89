//! Latency of answers on this machine, as the model card and `tickfuse latency` state it: of whole windows, of arriving rows, of
//! peeks and of windows slid over a long series.
//!
//! Every call is timed alone, into a histogram of three significant digits; the time of reading the clock is measured
//! first and stated, not subtracted. Inputs are the rows of the model's golden windows in turn, in memory. An arriving row finds
//! its stream prepared; what preparing takes, rows that come in a burst and find nothing prepared, and the very first answer are
//! stated beside it.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use tickfuse_core::bundle::{Precision, Role};
use tickfuse_core::error::{RunError, StreamError};
use tickfuse_core::{Flags, Model, Session, Sliding, Stream};

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A whole fresh window.
    Window,
    /// A row pushed onto a prepared stream.
    Arrival,
    /// A row peeked at on a prepared stream.
    Peek,
    /// Each of [`SLID`] windows slid over one series: the thread's processor time by their number. Calls are long, so that other
    /// programs on the core would count otherwise.
    Slide,
}

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct LatencyOptions {
    /// What.
    pub mode: Mode,
    /// Whether other memory is walked through before every call, so that it finds its caches cold.
    pub cold: bool,
    /// Timed calls.
    pub n: u64,
    /// Calls before them.
    pub warmup: u64,
    /// Core to run on; wherever the system puts the thread if absent.
    pub cpu: Option<usize>,
}

/// What was measured, and on what.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyReport {
    /// What was timed.
    pub mode: Mode,
    /// Whether caches were cold.
    pub cold: bool,
    /// Model name.
    pub model: String,
    /// Content hash of the file.
    pub hash: String,
    /// Type of the weights.
    pub precision: Precision,
    /// Level of CPU features.
    pub level: &'static str,
    /// Rows of a window.
    pub lookback: usize,
    /// Columns of a window.
    pub n_features: usize,
    /// Timed calls.
    pub n: u64,
    /// Calls before them.
    pub warmup: u64,
    /// Core, if pinned.
    pub cpu: Option<usize>,
    /// Processor name.
    pub machine: String,
    /// Median time of reading the clock twice, contained in every figure, ns.
    pub clock_ns: u64,
    /// Percentiles in ns.
    pub latency_ns: Percentiles,
    /// What preparing for an arriving row took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepare_ns: Option<Percentiles>,
    /// The answer to a row that found the one before it taken and nothing prepared since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unprepared_ns: Option<Percentiles>,
    /// The answers to all rows of a burst but its first, of [`BURST`] rows without a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_ns: Option<Percentiles>,
    /// The first answer that the session or stream gave in its life; a stream was prepared for it.
    pub first_ns: u64,
}

/// Rows of a burst.
pub const BURST: u64 = 8;

/// Percentiles of a histogram, ns.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 95 %.
    pub p95: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// The core cannot be used.
    #[error("cannot run on CPU {cpu}: {source}")]
    Pin {
        /// Core asked for.
        cpu: usize,
        /// The system's reason.
        source: rustix::io::Errno,
    },
    /// No call asked for.
    #[error("--n: expected at least 1, found 0")]
    NoCalls,
    /// The model did not answer its own golden window.
    #[error("golden window: {0}")]
    Run(#[from] RunError),
    /// The model's stream refused a row.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// Measures on a thread of its own, so that pinning does not outlast the measurement.
///
/// # Errors
/// [`LatencyError`].
///
/// # Panics
/// Does not: the measuring thread returns its errors.
pub fn measure(model: &Arc<Model>, options: LatencyOptions) -> Result<LatencyReport, LatencyError> {
    if options.n == 0 {
        return Err(LatencyError::NoCalls);
    }
    let run = || {
        if let Some(cpu) = options.cpu {
            pin(cpu)?;
        }
        let timed = match options.mode {
            Mode::Window => windows(model, options)?,
            Mode::Arrival | Mode::Peek => arrivals(model, options)?,
            Mode::Slide => slides(model, options)?,
        };
        Ok((timed, clock()))
    };
    let timed = std::thread::scope(|scope| scope.spawn(run).join());
    let (timed, clock_ns): (Timed, u64) = timed
        .expect("the measuring thread returns its errors")
        .map_err(|e: LatencyError| e)?;
    let schema = model.schema();
    Ok(LatencyReport {
        mode: options.mode,
        cold: options.cold,
        model: schema.name.clone(),
        hash: model.hash(),
        precision: schema.precision,
        level: model.level().name(),
        lookback: schema.lookback(),
        n_features: schema.n_features(),
        n: options.n,
        warmup: options.warmup,
        cpu: options.cpu,
        machine: machine(),
        clock_ns,
        latency_ns: percentiles(&timed.call),
        prepare_ns: timed.prepare.as_ref().map(percentiles),
        unprepared_ns: timed.unprepared.as_ref().map(percentiles),
        burst_ns: timed.burst.as_ref().map(percentiles),
        first_ns: timed.first,
    })
}

fn pin(cpu: usize) -> Result<(), LatencyError> {
    let error = |source| LatencyError::Pin { cpu, source };
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(error(rustix::io::Errno::INVAL));
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).map_err(error)
}

/// What the measuring thread brings.
struct Timed {
    call: Histogram<u64>,
    prepare: Option<Histogram<u64>>,
    unprepared: Option<Histogram<u64>>,
    burst: Option<Histogram<u64>>,
    first: u64,
}

/// Memory that is nobody else's, larger than any cache on the way to it.
struct Flush(Option<Vec<u64>>);

impl Flush {
    const WORDS: usize = 1 << 24;

    fn new(cold: bool) -> Self {
        Self(cold.then(|| vec![1; Self::WORDS]))
    }

    /// Walks through all of it.
    fn caches(&mut self) {
        let lines = self.0.iter_mut().flat_map(|words| words.chunks_mut(8));
        lines.for_each(|line| line[0] = std::hint::black_box(line[0].wrapping_add(1)));
    }
}

fn timed<T>(histogram: &mut Histogram<u64>, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = call();
    histogram.saturating_record(start.elapsed().as_nanos() as u64);
    out
}

fn windows(model: &Arc<Model>, options: LatencyOptions) -> Result<Timed, LatencyError> {
    let golden = model.bundle().golden();
    let size = model.schema().n_rows() * model.schema().n_features();
    let inputs: Vec<&[f32]> = golden.input.chunks_exact(size).collect();
    let mut session = Session::new(model, 1);
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut each = inputs.iter().cycle();
    let mut flush = Flush::new(options.cold);
    let mut histogram = new_histogram();
    timed(&mut histogram, || {
        session.run(inputs[0], std::hint::black_box(&mut out))
    })?;
    let first = histogram.max();
    for i in 0..options.warmup + options.n {
        let input = each.next().copied().unwrap_or(inputs[0]);
        flush.caches();
        if i == options.warmup {
            histogram.clear();
        }
        timed(&mut histogram, || {
            session.run(input, std::hint::black_box(&mut out))
        })?;
    }
    Ok(Timed {
        call: histogram,
        prepare: None,
        unprepared: None,
        burst: None,
        first,
    })
}

fn arrivals(model: &Arc<Model>, options: LatencyOptions) -> Result<Timed, LatencyError> {
    let n_features = model.schema().n_features();
    let n_ahead = model.schema().net.n_ahead();
    let series = one_series(model, model.bundle().golden().input.len() / n_features + n_ahead);
    // Rows of the future are those that follow.
    let rows: Vec<&[f32]> = series
        .windows((1 + n_ahead) * n_features)
        .step_by(n_features)
        .collect();
    let mut stream = Stream::new(model)?;
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut each = rows.iter().cycle();
    let mut next = || each.next().copied().unwrap_or(rows[0]);
    for _ in 1..model.schema().lookback() {
        let _ = stream.push(next(), &mut out)?;
    }
    let mut flush = Flush::new(options.cold);
    let [mut call, mut prepare, mut unprepared, mut burst] = [(); 4].map(|()| new_histogram());
    stream.prepare();
    let row = next();
    let _ = timed(&mut call, || stream.push(row, std::hint::black_box(&mut out)))?;
    let first = call.max();
    for i in 0..options.warmup + options.n {
        if i == options.warmup {
            call.clear();
            prepare.clear();
        }
        timed(&mut prepare, || stream.prepare());
        flush.caches();
        let row = next();
        match options.mode {
            Mode::Peek => {
                let _ = timed(&mut call, || stream.peek(row, std::hint::black_box(&mut out)))?;
                let _ = stream.push(row, &mut out)?;
            }
            _ => {
                let _ = timed(&mut call, || stream.push(row, std::hint::black_box(&mut out)))?;
            }
        }
    }
    for _ in 0..options.n.min(BURSTS) {
        stream.prepare();
        let _ = stream.push(next(), &mut out)?;
        let row = next();
        let _ = timed(&mut unprepared, || {
            stream.push(row, std::hint::black_box(&mut out))
        })?;
        for _ in 2..BURST {
            let row = next();
            let _ = timed(&mut burst, || stream.push(row, std::hint::black_box(&mut out)))?;
        }
    }
    burst += &unprepared;
    Ok(Timed {
        call,
        prepare: Some(prepare),
        unprepared: Some(unprepared),
        burst: Some(burst),
        first,
    })
}

/// Windows of a series that is slid over.
pub const SLID: usize = 2_000;

fn slides(model: &Arc<Model>, options: LatencyOptions) -> Result<Timed, LatencyError> {
    let series = one_series(model, SLID + model.schema().n_rows() - 1);
    let mut sliding = Sliding::new(model, 1);
    let mut out = vec![0.0; SLID * model.schema().n_outputs()];
    let mut flags = vec![Flags::NONE; SLID];
    let mut flush = Flush::new(options.cold);
    let mut histogram = new_histogram();
    let mut first = 0;
    for i in 0..options.warmup + options.n {
        flush.caches();
        let start = processor_ns();
        sliding.run(&series, std::hint::black_box(&mut out), &mut flags)?;
        let ns = (processor_ns() - start) / SLID as u64;
        if i == 0 {
            first = ns;
        }
        if i >= options.warmup {
            histogram.saturating_record(ns);
        }
    }
    Ok(Timed {
        call: histogram,
        prepare: None,
        unprepared: None,
        burst: None,
        first,
    })
}

/// Bursts that are timed.
const BURSTS: u64 = 1_000;

/// The rows of the golden windows in turn, with the statics of the first.
fn one_series(model: &Model, n_rows: usize) -> Vec<f32> {
    let (golden, inputs) = (model.bundle().golden(), &model.schema().inputs);
    let n_features = model.schema().n_features();
    let value = |(i, value): (usize, &f32)| match inputs[i % n_features].role {
        Role::Static => golden.input[i % n_features],
        _ => *value,
    };
    let values = golden.input.iter().cycle().take(n_rows * n_features);
    values.enumerate().map(value).collect()
}

/// Processor time of this thread.
fn processor_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// From 1 ns to a minute, three digits.
fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds are valid")
}

fn clock() -> u64 {
    let mut histogram = new_histogram();
    for _ in 0..10_000 {
        let start = Instant::now();
        histogram.saturating_record(start.elapsed().as_nanos() as u64);
    }
    histogram.value_at_quantile(0.5)
}

fn percentiles(h: &Histogram<u64>) -> Percentiles {
    Percentiles {
        mean: h.mean(),
        min: h.min(),
        p50: h.value_at_quantile(0.5),
        p95: h.value_at_quantile(0.95),
        p99: h.value_at_quantile(0.99),
        p999: h.value_at_quantile(0.999),
        max: h.max(),
    }
}

/// The processor's name, as the system tells it.
#[must_use]
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("model name"));
    line.and_then(|l| l.split(':').nth(1))
        .map_or_else(|| std::env::consts::ARCH.into(), |s| s.trim().into())
}

impl Mode {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Arrival => "arrival",
            Self::Peek => "peek",
            Self::Slide => "slide",
        }
    }
}

impl Percentiles {
    fn text(&self) -> String {
        let us = |ns: u64| ns as f64 / 1000.0;
        format!(
            "p50 {:.2} us   p95 {:.2} us   p99 {:.2} us   p99.9 {:.2} us   max {:.2} us",
            us(self.p50),
            us(self.p95),
            us(self.p99),
            us(self.p999),
            us(self.max),
        )
    }
}

impl LatencyReport {
    /// A table for people, microseconds.
    #[must_use]
    pub fn text(&self) -> String {
        let precision = self.precision.name();
        let pinned = self
            .cpu
            .map_or_else(String::new, |c| format!(", pinned to CPU {c}"));
        let cold = if self.cold { ", caches cold" } else { "" };
        let mut text = format!(
            "{} ({precision}, {}, {} x {} window) on {}\nhash {}\n{} calls after {} warm-up{pinned}, clock {} ns included\n\
             {}{cold}: {}",
            self.model,
            self.level,
            self.lookback,
            self.n_features,
            self.machine,
            self.hash,
            self.n,
            self.warmup,
            self.clock_ns,
            self.mode.name(),
            self.latency_ns.text(),
        );
        let others = [
            ("prepare", &self.prepare_ns),
            ("unprepared", &self.unprepared_ns),
            ("burst", &self.burst_ns),
        ];
        for (what, figures) in others {
            if let Some(figures) = figures {
                text += &format!("\n{what}: {}", figures.text());
            }
        }
        text + &format!("\nfirst answer: {:.2} us", self.first_ns as f64 / 1000.0)
    }
}
