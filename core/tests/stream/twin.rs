//! A stream beside the session that is asked about its windows.

use crate::common::noise;
use crate::models::raw_row;
use tickfuse_core::bundle::{Input, Missing, Schema};
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

    /// What `run` says of the last rows and this one.
    fn expected(&mut self, row: &[f32]) -> Result<Option<(Flags, Vec<f32>)>, RunError> {
        let lookback = self.schema.lookback();
        let refused = |(x, input): (&f32, &Input)| !x.is_finite() && input.missing == Missing::Reject;
        if let Some(column) = row.iter().zip(&self.schema.inputs).position(refused) {
            return Err(RunError::NonFinite {
                window: 0,
                row: lookback - 1,
                column,
            });
        }
        if self.rows.len() + 1 < lookback {
            return Ok(None);
        }
        let from = self.rows.len() + 1 - lookback;
        let window: Vec<f32> = self.rows[from..].iter().flatten().chain(row).copied().collect();
        let mut out = vec![0.0; self.schema.n_outputs()];
        let flags = self.session.run(&window, &mut out)?;
        Ok(Some((flags, out)))
    }

    fn check(&mut self, row: &[f32], keep: bool) {
        let expected = self.expected(row);
        let untouched = vec![7.0; self.schema.n_outputs()];
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
            (expected, found) => panic!("{expected:?} {found:?}"),
        }
        if keep {
            self.rows.push(row.to_vec());
        }
    }

    fn replay(&mut self, row: &[f32]) {
        let expected = self.expected(row).map(drop);
        assert_eq!(self.stream.replay(row), expected);
        if expected.is_ok() {
            self.rows.push(row.to_vec());
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
        let row = raw_row(schema, step, !dice.is_multiple_of(17));
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
