//! Every window of a table of rows, its windows spread over the machine's cores.
//!
//! Each core slides over a part of the rows of its own, so that answers have the same bits however many there are.

use super::{Answers, PredictError};
use std::sync::Arc;
use std::thread::{available_parallelism, scope};
use tickfuse_core::error::RunError;
use tickfuse_core::{Flags, Model, Sliding};

/// Windows that are worth a thread.
const WORTH: usize = 256;

/// One for each core, made when there is work for it.
pub(super) struct Slides {
    model: Arc<Model>,
    each: Vec<Sliding>,
    n_most: usize,
}

/// A thread's part: its first window, and what became of it.
type Part = (usize, Result<(), RunError>);

impl Slides {
    /// None yet.
    pub(super) fn new(model: &Arc<Model>) -> Self {
        Self::over(model, available_parallelism().map_or(1, usize::from))
    }

    /// At most so many.
    fn over(model: &Arc<Model>, n_most: usize) -> Self {
        Self {
            model: Arc::clone(model),
            each: Vec::new(),
            n_most,
        }
    }

    /// Adds the answer of every window of `rows [n, n_features]`, at least one.
    pub(super) fn run(
        &mut self,
        what: &str,
        rows: &[f64],
        answers: &mut Answers,
    ) -> Result<(), PredictError> {
        let schema = self.model.schema();
        let (n_features, n_out) = (schema.n_features(), schema.n_outputs());
        let n = rows.len() / n_features + 1 - schema.n_rows();
        let at = answers.values.len();
        answers.values.resize(at + n * n_out, 0.0);
        let mut flags = vec![Flags::NONE; n];
        for (first, result) in self.run_parts(rows, &mut answers.values[at..], &mut flags) {
            result.map_err(|error| PredictError::Run {
                what: format!("{what}: windows from row {first}"),
                error,
            })?;
        }
        flags.into_iter().for_each(|flags| answers.note(flags));
        Ok(())
    }

    /// In the order of their windows.
    fn run_parts(&mut self, rows: &[f64], out: &mut [f32], flags: &mut [Flags]) -> Vec<Part> {
        let schema = self.model.schema();
        let (n_features, n_rows, n_out) = (schema.n_features(), schema.n_rows(), schema.n_outputs());
        let n_parts = (flags.len() / WORTH).clamp(1, self.n_most);
        while self.each.len() < n_parts {
            self.each.push(Sliding::new(&self.model, 1));
        }
        let size = flags.len().div_ceil(n_parts);
        let parts = out.chunks_mut(size * n_out).zip(flags.chunks_mut(size));
        let each = self.each.iter_mut().zip(parts).enumerate();
        scope(|threads| {
            let mut running = Vec::new();
            for (i, (sliding, (out, flags))) in each {
                let first = i * size;
                let rows = &rows[first * n_features..][..(flags.len() + n_rows - 1) * n_features];
                running.push((first, threads.spawn(move || sliding.run(rows, out, flags))));
            }
            let joined = running.into_iter();
            joined
                .map(|(first, thread)| (first, thread.join().expect("a thread returns its errors")))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::assemble;
    use serde_json::json;
    use tickfuse_core::bundle::Schema;
    use tickfuse_core::nets::tensor_shapes;
    use tickfuse_core::plain::PlainTensor;
    use tickfuse_core::{OpenOptions, Session};

    const LOOKBACK: usize = 7;

    fn model() -> Arc<Model> {
        let document = json!({
            "format": 1, "name": "synthetic", "precision": "f32", "arrival": "pre_rolled", "golden_tolerance": 1.0,
            "net": { "family": "lstm", "lookback": LOOKBACK, "n_hidden": 5, "n_layers": 1,
                "head": [{ "n_out": 1, "activation": "none" }] },
            "inputs": [{ "name": "x", "scaler": { "center": 0.0, "scale": 1.0 } }],
            "outputs": [{ "name": "y", "kind": "linear", "labels": ["y"], "unit": "one" }]
        });
        let schema: Schema = serde_json::from_value(document).unwrap();
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let value = |i: usize| (i as f32 * 0.7).sin();
            let data = (0..shape.iter().product()).map(value).collect();
            (name, PlainTensor { shape, data })
        };
        let tensors = tensor_shapes(&schema).into_iter().map(tensor).collect();
        Model::from_bytes(&assemble(&schema, &tensors).unwrap(), OpenOptions::default()).unwrap()
    }

    fn answers() -> Answers {
        Answers {
            names: vec!["y".into()],
            ..Answers::default()
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_bits_of_single_windows() {
        let model = model();
        let rows: Vec<f64> = (0..5 * WORTH + 3).map(|i| (i as f64 * 0.9).sin()).collect();
        let mut session = Session::new(&model, 1);
        let mut answer = |window: &[f64]| {
            let mut out = [0.0];
            session.run(window, &mut out).unwrap();
            out[0].to_bits()
        };
        let expected: Vec<u32> = rows.windows(LOOKBACK).map(&mut answer).collect();
        for n in [1, 2, 3, 64] {
            let mut found = answers();
            Slides::over(&model, n).run("rows", &rows, &mut found).unwrap();
            let bits: Vec<u32> = found.values.iter().map(|v| v.to_bits()).collect();
            assert!(bits == expected, "{n} threads");
        }
    }

    #[test]
    fn the_first_window_refused_is_named_with_the_rows_it_counts_from() {
        let model = model();
        let mut rows = vec![0.5; 4 * WORTH];
        rows[3 * WORTH] = f64::NAN;
        rows[3 * WORTH + 1] = f64::NAN;
        let refused = |n| {
            let result = Slides::over(&model, n).run("rows", &rows, &mut answers());
            result.unwrap_err().to_string()
        };
        let first = 3 * WORTH + 1 - LOOKBACK;
        assert!(refused(1).starts_with(&format!("rows: windows from row 0: input: window {first}, row 6")));
        assert!(refused(2).starts_with("rows: windows from row 509: input: window "));
    }
}
