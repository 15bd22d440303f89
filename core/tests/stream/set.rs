//! Sets of streams against streams of their own: the same bits, whatever happens to the other symbols.

use crate::common::{self, Shape, file, noise, schema, tensors};
use crate::models::{SMALL, bar, families, levels, of_bars, row_with_future, shapes};
use tickfuse_core::bundle::{Precision, Schema};
use tickfuse_core::error::{RunError, StreamError};
use tickfuse_core::{Level, Model, OpenOptions, Step, Stream, StreamSet};

const UNTOUCHED: Step = Step::WarmingUp { remaining: 99 };

/// A set beside streams that are given the same.
struct Twins {
    set: StreamSet,
    alone: Vec<Stream>,
    schema: Schema,
    n_outputs: usize,
}

impl Twins {
    fn new(schema: &Schema, bytes: &[u8], level: Level, n: usize) -> Self {
        let options = OpenOptions {
            level: Some(level),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(bytes, options).unwrap();
        Self {
            set: StreamSet::new(&model, n).unwrap(),
            alone: (0..n).map(|_| Stream::new(&model).unwrap()).collect(),
            schema: schema.clone(),
            n_outputs: schema.n_outputs(),
        }
    }

    /// A row of every symbol; one of them may be unsound.
    fn all(&mut self, step: usize, is_sound: bool, keep: bool) {
        let n = self.alone.len();
        let unsound = (!is_sound).then_some(step % n);
        let n_ahead = self.schema.net.n_ahead();
        let row = |i| row_with_future(&self.schema, step * n + i, n_ahead, Some(i) != unsound);
        let rows: Vec<f32> = (0..n).flat_map(row).collect();
        let mut out = vec![7.0; n * self.n_outputs];
        let mut steps = vec![UNTOUCHED; n];
        let done = match keep {
            true => self.set.push_all(&rows, &mut out, &mut steps),
            false => self.set.peek_all(&rows, &mut out, &mut steps),
        };
        let each = rows.chunks_exact(rows.len() / n).enumerate();
        let mut expected = vec![7.0; self.n_outputs];
        if let Err(error) = done {
            let mut refused = each.filter_map(|(symbol, row)| {
                let error = self.alone[symbol].peek(row, &mut expected).err()?;
                Some(StreamError::Row { symbol, error })
            });
            assert_eq!(Some(error), refused.next());
            return;
        }
        for ((symbol, row), out) in each.zip(out.chunks_exact(self.n_outputs)) {
            expected.fill(7.0);
            let alone = &mut self.alone[symbol];
            let step = match keep {
                true => alone.push(row, &mut expected),
                false => alone.peek(row, &mut expected),
            };
            assert_eq!(steps[symbol], step.unwrap());
            assert_same(out, &expected);
        }
    }

    /// A row of one symbol.
    fn one(&mut self, step: usize, symbol: usize, keep: bool) {
        let row = row_with_future(&self.schema, step, self.schema.net.n_ahead(), true);
        let (mut found, mut expected) = (vec![7.0; self.n_outputs], vec![7.0; self.n_outputs]);
        let alone = &mut self.alone[symbol];
        let steps = match keep {
            true => (
                self.set.push(symbol, &row, &mut found).unwrap(),
                alone.push(&row, &mut expected).unwrap(),
            ),
            false => (
                self.set.peek(symbol, &row, &mut found).unwrap(),
                alone.peek(&row, &mut expected).unwrap(),
            ),
        };
        assert_eq!(steps.0, steps.1);
        assert_same(&found, &expected);
    }

    /// A symbol's state goes to another one.
    fn copy(&mut self, from: usize, to: usize) {
        let stream = self.set.stream(from).unwrap();
        let mut saved = vec![0; stream.saved_len()];
        stream.save(&mut saved).unwrap();
        self.set.restore(to, &saved).unwrap();
        let other = self.alone[from].clone();
        self.alone[to] = other;
    }
}

#[track_caller]
fn assert_same(found: &[f32], expected: &[f32]) {
    let same = found
        .iter()
        .zip(expected)
        .all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same, "{found:?} {expected:?}");
}

fn operate(schema: &Schema, bytes: &[u8], level: Level, n_symbols: usize, n: usize) {
    let mut twins = Twins::new(schema, bytes, level, n_symbols);
    for step in 0..n {
        let dice = ((noise(13, step) + 1.0) * 50.0) as usize;
        let symbol = step * 7 % n_symbols;
        match dice {
            0..40 => twins.all(step, !dice.is_multiple_of(9), true),
            40..50 => twins.all(step, true, false),
            50..65 => twins.one(step, symbol, true),
            65..70 => twins.one(step, symbol, false),
            70..80 => twins.set.prepare(),
            80..90 => _ = twins.set.prepare_some(dice % 3),
            90..94 => twins.copy(symbol, step % n_symbols),
            94..96 => twins.set = twins.set.clone(),
            96..98 => {
                twins.set.reset(symbol).unwrap();
                twins.alone[symbol].reset();
            }
            98 => {
                twins.set.reset_all();
                twins.alone.iter_mut().for_each(Stream::reset);
            }
            _ => assert!(twins.set.push(n_symbols, &[0.0], &mut []).is_err()),
        }
    }
}

#[test]
fn every_symbol_of_a_set_answers_as_a_stream_of_its_own() {
    for level in levels() {
        for (shape, n_symbols) in shapes().into_iter().zip([8, 3, 13, 1, 7]) {
            for precision in Precision::ALL {
                let schema = schema(Shape { precision, ..shape });
                let bytes = file(&schema, &tensors(&schema, 5));
                operate(&schema, &bytes, level, n_symbols, 150);
            }
        }
        for schema in families() {
            let bytes = common::families::file(&schema, &common::families::tensors(&schema));
            operate(&schema, &bytes, level, 3, 60);
        }
    }
}

#[test]
fn bars_of_each_symbol_are_its_own() {
    let model = of_bars();
    let mut set = StreamSet::new(&model, 2).unwrap();
    let mut alone = Stream::new(&model).unwrap();
    let (mut out, mut expected) = ([0.0; 3], [0.0; 3]);
    set.set_max_missing_bars(2);
    alone.set_max_missing_bars(2);
    for i in (0..30).chain(32..60) {
        let other = set.push_bar(0, &bar(i * 3), &mut out).unwrap();
        // Its bars are three apart: behind the gap it begins anew.
        let is_new = i < 9 || (32..41).contains(&i);
        assert_eq!(matches!(other, Step::Answer(_)), !is_new);
        let peeked = set.peek_bar(1, &bar(i), &mut out).unwrap();
        let step = set.push_bar(1, &bar(i), &mut out).unwrap();
        assert_eq!(alone.push_bar(&bar(i), &mut expected).unwrap(), step);
        assert_eq!((peeked, out), (step, expected));
    }
}

#[test]
fn what_a_set_cannot_take_is_named() {
    let schema = schema(SMALL);
    let bytes = file(&schema, &tensors(&schema, 5));
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let mut set = StreamSet::new(&model, 2).unwrap();
    assert_eq!((set.n_symbols(), set.stream(2).is_none()), (2, true));
    let found = |set: &mut StreamSet, rows: &[f32], n_out, n_steps| {
        let error = set.push_all(rows, &mut vec![0.0; n_out], &mut vec![UNTOUCHED; n_steps]);
        error.unwrap_err().to_string()
    };
    assert_eq!(
        found(&mut set, &[0.0; 5], 6, 2),
        "input: expected 6 values, found 5"
    );
    assert_eq!(
        found(&mut set, &[0.0; 6], 5, 2),
        "output: expected room for 6 values, found 5"
    );
    assert_eq!(
        found(&mut set, &[0.0; 6], 6, 1),
        "steps: expected room for 2, found 1"
    );
    let rows = [0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0];
    assert_eq!(
        found(&mut set, &rows, 6, 2),
        "symbol 1: input: window 0, row 6, column 0 is NaN or infinite"
    );
    assert_eq!(set.stream(0).unwrap().remaining(), 7);
    assert_eq!(
        set.reset(2).unwrap_err().to_string(),
        "symbol: expected a number below 2, found 2"
    );
    assert_eq!(
        set.set_category(0, "symbol", "BTCUSDT").unwrap_err(),
        StreamError::Run(RunError::NoCategory)
    );
    assert!(matches!(set.restore(1, &[]), Err(StreamError::State(_))));
    let mut none = StreamSet::new(&model, 0).unwrap();
    none.push_all(&[0.0_f32; 0], &mut [], &mut []).unwrap();
    assert!(none.prepare_some(1));
}
