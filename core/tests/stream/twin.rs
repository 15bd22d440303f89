//! A stream beside the session that is asked about its windows.

use crate::common::noise;
use crate::models::row_with_future;
use tickfuse_core::bundle::{Input, Missing, Role, Schema};
use tickfuse_core::error::RunError;
use tickfuse_core::{Flags, Level, Model, OpenOptions, Session, Step, Stream};

/// A stream beside the rows it was given.
pub(crate) struct Twin {
    stream: Stream,
    /// Another stream of the model, full of what it was given before.
    spare: Stream,
    session: Session,
    rows: Vec<Vec<f32>>,
    /// Answers that were compared.
    n_compared: usize,
    schema: Schema,
}

impl Twin {
    fn new(schema: &Schema, bytes: &[u8], level: Level) -> Self {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(bytes, options).unwrap();
        Self {
            stream: Stream::new(&model).unwrap(),
            spare: Stream::new(&model).unwrap(),
            session: Session::new(&model, 1),
            rows: Vec::new(),
            n_compared: 0,
            schema: schema.clone(),
        }
    }

    /// What `run_lengths` says of the last rows and this one with its rows of the future.
    fn expected(&mut self, row: &[f32]) -> Result<Option<(Flags, Vec<f32>)>, RunError> {
        let (lookback, limit) = (self.schema.lookback(), self.schema.net.n_ahead());
        let n_ahead = row.len() / self.schema.n_features() - 1;
        if limit > 0 && n_ahead == 0 {
            return Err(RunError::NoFuture { limit });
        }
        self.refused(row)?;
        if self.rows.len() + 1 < lookback {
            return Ok(None);
        }
        let from = self.rows.len() + 1 - lookback;
        let window: Vec<f32> = self.rows[from..].iter().flatten().chain(row).copied().collect();
        let mut out = vec![0.0; n_ahead.max(1) * self.schema.n_columns()];
        let flags = self.session.run_lengths(&window, lookback, n_ahead, &mut out)?;
        Ok(Some((flags, out)))
    }

    /// Whether a window could hold the row and those of its future that are known.
    fn refused(&self, row: &[f32]) -> Result<(), RunError> {
        let inputs = &self.schema.inputs;
        let is_refused = |k: usize, x: f32, input: &Input| {
            !x.is_finite() && input.missing == Missing::Reject && (k == 0 || input.role == Role::Known)
        };
        for (k, row) in row.chunks(self.schema.n_features()).enumerate() {
            let mut values = row.iter().zip(inputs);
            if let Some(column) = values.position(|(x, input)| is_refused(k, *x, input)) {
                return Err(RunError::NonFinite {
                    window: 0,
                    row: self.schema.lookback() - 1 + k,
                    column,
                });
            }
        }
        Ok(())
    }

    fn check(&mut self, row: &[f32], keep: bool) {
        let expected = self.expected(row);
        let n_steps = (row.len() / self.schema.n_features() - 1).max(1);
        let untouched = vec![7.0; n_steps * self.schema.n_columns()];
        let mut out = untouched.clone();
        let found = match keep {
            true => self.stream.push(row, &mut out),
            false => self.stream.peek(row, &mut out),
        };
        match (expected, found) {
            (Err(expected), Err(found)) => {
                assert_eq!((expected, &out), (found, &untouched));
                return;
            }
            (Ok(None), Ok(Step::WarmingUp { remaining })) => {
                assert_eq!(remaining, self.schema.lookback() - 1 - self.rows.len());
                assert_eq!(out, untouched);
            }
            (Ok(Some((flags, expected))), Ok(Step::Answer(found))) => {
                self.n_compared += 1;
                assert_eq!(flags, found);
                assert!(
                    expected.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{expected:?} {out:?}"
                );
            }
            (expected, found) => panic!("{:?}: {expected:?} {found:?}", self.schema.net),
        }
        if keep {
            self.rows.push(row[..self.schema.n_features()].to_vec());
        }
    }

    /// What nobody acts on needs no future.
    fn replay(&mut self, row: &[f32]) {
        let expected = self.refused(row);
        assert_eq!(self.stream.replay(row), expected);
        if expected.is_ok() {
            self.rows.push(row[..self.schema.n_features()].to_vec());
        }
    }

    /// Goes on with another stream that was given this one's state.
    fn move_house(&mut self, dice: usize) {
        let mut saved = vec![0; self.stream.saved_len()];
        self.stream.save(&mut saved).unwrap();
        match dice {
            88..91 => self.spare.restore(&saved).unwrap(),
            91..93 => self.spare.clone_from(&self.stream),
            93 => self.spare = self.stream.clone(),
            _ => {
                let last = saved.len() - 1;
                saved[dice % last] ^= 1;
                assert!(self.stream.restore(&saved).is_err());
                assert!(self.stream.restore(&saved[..last]).is_err());
                return;
            }
        }
        core::mem::swap(&mut self.stream, &mut self.spare);
    }
}

/// Random operations, a number in 0..100 per step deciding; how many answers were compared.
pub(crate) fn operate(schema: &Schema, bytes: &[u8], level: Level, n: usize) -> usize {
    let mut twin = Twin::new(schema, bytes, level);
    for step in 0..n {
        let dice = ((noise(9, step) + 1.0) * 50.0) as usize;
        // Mostly the whole future, each time moved up by a row.
        let n_ahead = match (schema.net.n_ahead(), dice % 7) {
            (0, _) => 0,
            (n, 0) => step % (n + 1),
            (n, _) => n,
        };
        let row = row_with_future(schema, step, n_ahead, !dice.is_multiple_of(17));
        match dice {
            0..45 => twin.check(&row, true),
            45..55 => twin.replay(&row),
            55..70 => twin.check(&row, false),
            70..80 => twin.stream.prepare(),
            80..88 => {
                twin.stream.prepare_some(dice % 5);
            }
            88..97 => twin.move_house(dice),
            97 => twin.stream.set_max_missing_bars(1),
            _ => {
                twin.stream.reset();
                twin.rows.clear();
            }
        }
    }
    twin.n_compared
}
