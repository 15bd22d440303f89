//! A model file ready to be timed: windows with known answers beside it.

use crate::{Case, Family, assert_close};
use tickfuse_core::bundle::Precision;
use tickfuse_core::nets::unpack;
use tickfuse_core::plain::Oracle;
use tickfuse_core::{Level, Model, OpenOptions, Session, write_model};

/// Different windows; larger batches repeat them.
pub const N_WINDOWS: usize = 6;

/// One case in one precision.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What it is.
    pub case: Case,
    /// Type of its weights.
    pub precision: Precision,
    /// The model file.
    pub file: Vec<u8>,
    /// Its content hash.
    pub hash: String,
    windows: Vec<f32>,
    answers: Vec<f64>,
}

impl Prepared {
    /// Writes the file and has the oracle answer all windows, with the weights as the file holds them.
    ///
    /// # Panics
    /// If core refuses the case: a mistake in this package.
    #[must_use]
    pub fn new(case: Case, precision: Precision) -> Self {
        let schema = case.schema(precision);
        let plain = case.tensors(&schema);
        let windows = case.windows(N_WINDOWS);
        let n_window = windows.len() / N_WINDOWS;
        let wide: Vec<f64> = windows.iter().map(|v| f64::from(*v)).collect();
        let golden = Oracle::new(&schema, &plain).run(&wide[..n_window]);
        let golden: Vec<f32> = golden.iter().map(|v| *v as f32).collect();
        let file = write_model(&schema, &plain, &windows[..n_window], &golden).expect("the case is sound");
        let model = Model::from_bytes(&file, OpenOptions::default()).expect("the file opens");
        let stored = unpack(model.bundle()).expect("the file holds the net");
        let oracle = Oracle::new(&schema, &stored);
        let answers = wide
            .chunks_exact(n_window)
            .flat_map(|window| oracle.run(window))
            .collect();
        let hash = model.hash();
        Self {
            case,
            precision,
            file,
            hash,
            windows,
            answers,
        }
    }

    /// `n` windows one behind the other.
    #[must_use]
    pub fn batch(&self, n: usize) -> Vec<f32> {
        let n_window = self.windows.len() / N_WINDOWS;
        self.windows.iter().copied().cycle().take(n * n_window).collect()
    }

    /// `case/level/precision`, the way every result is named.
    #[must_use]
    pub fn name(&self, level: Level) -> String {
        format!("{}/{}/{}", self.case.name, level.name(), self.precision.name())
    }

    /// A session at `level` whose answers to `n` windows have been compared with the oracle's.
    ///
    /// # Panics
    /// If one differs, or the machine cannot run the level.
    #[must_use]
    pub fn session(&self, level: Level, n: usize) -> Session {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(&self.file, options).expect("the file opens");
        let mut session = Session::new(&model, n);
        self.check(&mut session, n);
        session
    }

    /// Compares a session's answers to `n` windows with the oracle's.
    ///
    /// # Panics
    /// If one differs by more than the rounding of the session's level and the file's precision.
    pub fn check(&self, session: &mut Session, n: usize) {
        let level = session.model().level();
        let n_outputs = session.model().schema().n_outputs();
        let mut found = vec![0.0; n * n_outputs];
        session
            .run_batch(&self.batch(n), n, &mut found)
            .expect("the windows are finite");
        let expected: Vec<f64> = self.answers.iter().copied().cycle().take(n * n_outputs).collect();
        assert_close(&self.name(level), &found, &expected, self.tolerance(level));
    }

    /// Activations in f32 throughout, rounded to bf16 before each product, or to integers. Nets of folded layers are rounded after folding, so that
    /// the oracle's unfolded weights differ by a bf16 rounding.
    fn tolerance(&self, level: Level) -> f64 {
        let folded = !matches!(self.case.family, Family::Lstm { .. });
        match (self.precision, level) {
            (Precision::Bf16, _) if folded => 2e-2,
            (Precision::Bf16, Level::Avx512Bf16) => 5e-3,
            (Precision::I16, _) => 1e-3,
            _ if folded => 1e-5,
            _ => 2e-6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_answers_as_the_oracle_does() {
        for case in [Case::M1, Case::M3, Case::M4] {
            for precision in Precision::ALL {
                let prepared = Prepared::new(case, precision);
                for level in Level::available() {
                    let session = prepared.session(level, 7);
                    assert_eq!(session.model().hash(), prepared.hash);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "answer 3")]
    fn a_wrong_answer_is_never_timed() {
        let mut prepared = Prepared::new(Case::recurrence(5), Precision::F32);
        prepared.answers[3] += 1e-3;
        let _ = prepared.session(Level::Portable, 6);
    }
}
