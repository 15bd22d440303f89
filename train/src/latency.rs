//! Latency of whole windows on this machine, as the model card and `tickfuse latency` state it.
//!
//! Every call is timed alone, into a histogram of three significant digits; the time of reading the clock is measured
//! first and stated, not subtracted. Inputs are the model's golden windows in turn, in memory.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use tickfuse_core::bundle::Precision;
use tickfuse_core::{Model, Session};

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct LatencyOptions {
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
    /// Always `window`: every call answers a whole fresh window.
    pub mode: &'static str,
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
}

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
    Run(#[from] tickfuse_core::error::RunError),
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
        windows(model, options)
    };
    let timed = std::thread::scope(|scope| scope.spawn(run).join());
    let (histogram, clock_ns) = timed.expect("the measuring thread returns its errors")?;
    let schema = model.schema();
    Ok(LatencyReport {
        mode: "window",
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
        latency_ns: percentiles(&histogram),
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

fn windows(model: &Arc<Model>, options: LatencyOptions) -> Result<(Histogram<u64>, u64), LatencyError> {
    let golden = model.bundle().golden();
    let size = model.schema().n_rows() * model.schema().n_features();
    let inputs: Vec<&[f32]> = golden.input.chunks_exact(size).collect();
    let mut session = Session::new(model, 1);
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut each = inputs.iter().cycle();
    let mut call = || {
        session.run(
            each.next().copied().unwrap_or(inputs[0]),
            std::hint::black_box(&mut out),
        )
    };
    for _ in 0..options.warmup {
        call()?;
    }
    let mut histogram = new_histogram();
    for _ in 0..options.n {
        let start = Instant::now();
        call()?;
        histogram.saturating_record(start.elapsed().as_nanos() as u64);
    }
    Ok((histogram, clock()))
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

impl LatencyReport {
    /// A table for people, microseconds.
    #[must_use]
    pub fn text(&self) -> String {
        let l = &self.latency_ns;
        let us = |ns: u64| ns as f64 / 1000.0;
        let precision = if self.precision == Precision::F32 {
            "f32"
        } else {
            "bf16"
        };
        format!(
            "{} ({precision}, {}, {} x {} window) on {}\nhash {}\n{} calls after {} warm-up{}, clock {} ns included\n\
             p50 {:.2} us   p95 {:.2} us   p99 {:.2} us   p99.9 {:.2} us   max {:.2} us",
            self.model,
            self.level,
            self.lookback,
            self.n_features,
            self.machine,
            self.hash,
            self.n,
            self.warmup,
            self.cpu
                .map_or_else(String::new, |c| format!(", pinned to CPU {c}")),
            self.clock_ns,
            us(l.p50),
            us(l.p95),
            us(l.p99),
            us(l.p999),
            us(l.max),
        )
    }
}
