//! How far files answer from the f64 oracle of the model they were made from: what a precision costs.
//!
//! The windows are synthetic, of a fixed generator around the centre of every scaler, so that the figures of a model are the same
//! on every machine of a level. They say what rounding does to this net, and not what it does to a series the net will meet.

use crate::assemble::synthetic_windows;
use serde::Serialize;
use std::sync::Arc;
use tickfuse_core::bundle::Precision;
use tickfuse_core::error::{OpenError, RunError};
use tickfuse_core::plain::{Oracle, PlainTensors};
use tickfuse_core::{Model, Session, nets};

/// Not the windows of the goldens.
const SEED: u64 = 0x6465_7669;
/// Windows that a session answers at once.
const BATCH: usize = 16;

/// How far the answers of one file are from the oracle's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Deviation {
    /// Type of the file's weights.
    pub precision: Precision,
    /// Level of CPU features it was opened at.
    pub level: &'static str,
    /// The largest difference; NaN counts as infinite.
    pub largest: f64,
    /// Root of the mean square over all windows and outputs.
    pub root_mean_square: f64,
}

/// Deviations of files that were made from one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviationReport {
    /// Windows compared.
    pub n_windows: usize,
    /// Largest magnitude of the oracle's answers.
    pub size: f64,
    /// File by file.
    pub files: Vec<Deviation>,
}

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
pub enum DeviationError {
    /// The tensors of the first model could not be read back.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file did not answer.
    #[error("synthetic windows: {0}")]
    Run(#[from] RunError),
}

/// Deviations of `files` from the oracle of the model `from`, whose inputs and outputs they share.
///
/// # Errors
/// [`DeviationError`].
///
/// # Panics
/// If a thread of the oracle does.
pub fn measure(
    from: &Model,
    files: &[&Arc<Model>],
    n_windows: usize,
) -> Result<DeviationReport, DeviationError> {
    let windows = synthetic_windows(from.schema(), n_windows, SEED);
    let expected = exact(from, &windows)?;
    let deviation = |file: &&Arc<Model>| {
        let found = answers(file, &windows)?;
        Ok(compare(file, &found, &expected))
    };
    Ok(DeviationReport {
        n_windows,
        size: expected.iter().fold(0.0, |top, v| v.abs().max(top)),
        files: files
            .iter()
            .map(deviation)
            .collect::<Result<_, DeviationError>>()?,
    })
}

/// The oracle's answers, shared between all cores.
fn exact(from: &Model, windows: &[f32]) -> Result<Vec<f64>, OpenError> {
    let tensors = nets::unpack(from.bundle())?;
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let size = from.schema().n_rows() * from.schema().n_features();
    let share = (windows.len() / size).div_ceil(n_threads).max(1) * size;
    Ok(std::thread::scope(|scope| {
        let tensors = &tensors;
        let part = |part| scope.spawn(move || oracle(from, tensors, part));
        let threads: Vec<_> = windows.chunks(share).map(part).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("the oracle answers");
        threads.into_iter().flat_map(join).collect()
    }))
}

fn oracle(from: &Model, tensors: &PlainTensors, windows: &[f32]) -> Vec<f64> {
    let schema = from.schema();
    let net = Oracle::new(schema, tensors);
    let wide: Vec<f64> = windows.iter().map(|v| f64::from(*v)).collect();
    let each = wide.chunks_exact(schema.n_rows() * schema.n_features());
    each.flat_map(|window| net.run(window)).collect()
}

fn answers(file: &Arc<Model>, windows: &[f32]) -> Result<Vec<f32>, RunError> {
    let (schema, mut session) = (file.schema(), Session::new(file, BATCH));
    let size = schema.n_rows() * schema.n_features();
    let mut out = vec![0.0; windows.len() / size * schema.n_outputs()];
    let batches = windows.chunks(BATCH * size);
    for (windows, out) in batches.zip(out.chunks_mut(BATCH * schema.n_outputs())) {
        session.run_batch(windows, windows.len() / size, out)?;
    }
    Ok(out)
}

fn compare(file: &Model, found: &[f32], expected: &[f64]) -> Deviation {
    let apart = |(found, expected): (&f32, &f64)| {
        let apart = (f64::from(*found) - expected).abs();
        if apart.is_nan() { f64::INFINITY } else { apart }
    };
    let apart: Vec<f64> = found.iter().zip(expected).map(apart).collect();
    let squares: f64 = apart.iter().map(|v| v * v).sum();
    Deviation {
        precision: file.schema().precision,
        level: file.level().name(),
        largest: apart.iter().copied().fold(0.0, f64::max),
        root_mean_square: (squares / apart.len().max(1) as f64).sqrt(),
    }
}

impl DeviationReport {
    /// A line per file for people.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |file: &Deviation| {
            let (name, level) = (file.precision.name(), file.level);
            let Deviation {
                largest,
                root_mean_square,
                ..
            } = file;
            format!("\n{name:<4} at {level}: largest {largest:.1e}, root mean square {root_mean_square:.1e}")
        };
        format!(
            "deviation from the f64 oracle of the original, {} synthetic windows, answers up to {:.3}:{}",
            self.n_windows,
            self.size,
            self.files.iter().map(line).collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::{assemble, with_precision};
    use serde_json::json;
    use tickfuse_core::OpenOptions;
    use tickfuse_core::bundle::Schema;
    use tickfuse_core::plain::PlainTensor;

    fn model() -> Arc<Model> {
        let document = json!({
            "format": 1, "name": "synthetic", "precision": "f32", "arrival": "pre_rolled", "golden_tolerance": 1.0,
            "net": { "family": "lstm", "lookback": 6, "n_hidden": 20, "n_layers": 2, "head": [{ "n_out": 3, "activation": "none" }] },
            "inputs": [
                { "name": "a", "scaler": { "center": 100.0, "scale": 3.0 } },
                { "name": "b", "scaler": { "center": 0.0, "scale": 0.01 } }
            ],
            "outputs": [{ "name": "y", "kind": "linear", "labels": ["u", "v", "w"], "unit": "one" }]
        });
        let schema: Schema = serde_json::from_value(document).unwrap();
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let value = |i: usize| ((i + name.len()) as f32 * 0.7).sin() * 0.6;
            let data = (0..shape.iter().product()).map(value).collect();
            (name.clone(), PlainTensor { shape, data })
        };
        let tensors = nets::tensor_shapes(&schema).into_iter().map(tensor).collect();
        open(&assemble(&schema, &tensors).unwrap())
    }

    fn open(bytes: &[u8]) -> Arc<Model> {
        Model::from_bytes(bytes, OpenOptions::default()).unwrap()
    }

    #[test]
    fn finer_weights_deviate_less_and_no_deviation_is_nothing() {
        let f32 = model();
        let [bf16, i16] = [Precision::Bf16, Precision::I16].map(|p| open(&with_precision(&f32, p).unwrap()));
        let report = measure(&f32, &[&f32, &i16, &bf16], 50).unwrap();
        assert_eq!(report.n_windows, 50);
        let each: Vec<_> = report.files.iter().map(|f| (f.precision, f.largest)).collect();
        assert!(each[0].1 > 0.0 && each[0].1 < 1e-5, "{each:?}");
        assert!(each[1].1 > each[0].1 && each[1].1 < each[2].1 / 2.0, "{each:?}");
        let ordered = |f: &Deviation| f.root_mean_square > 0.0 && f.root_mean_square < f.largest;
        assert!(report.files.iter().all(ordered), "{report:?}");
        assert!(report.size > each[2].1);
        assert_eq!(report.text().lines().count(), 4);
    }

    #[test]
    fn an_answer_that_is_no_number_is_infinitely_far() {
        let found = compare(&model(), &[1.0, f32::NAN], &[1.0, 0.0]);
        assert_eq!(found.largest, f64::INFINITY);
        assert_eq!(compare(&model(), &[1.0, 2.0], &[1.0, 4.0]).largest, 2.0);
    }
}
