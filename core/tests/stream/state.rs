//! Saved streams: continued on any level, of bars with their features, and refused where they are not what was saved.

use crate::common::{file, schema, tensors};
use crate::models::{SMALL, bar, families, levels, of_bars, of_standard_bars, raw_row};
use sha2::{Digest, Sha256};
use tickfuse_core::bundle::Schema;
use tickfuse_core::error::StateError;
use tickfuse_core::{Level, Model, OpenOptions, Step, Stream};

fn saved(stream: &Stream) -> Vec<u8> {
    let mut bytes = vec![0; stream.saved_len()];
    stream.save(&mut bytes).unwrap();
    bytes
}

fn stream(bytes: &[u8], level: Level) -> Stream {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    Stream::new(&Model::from_bytes(bytes, options).unwrap()).unwrap()
}

/// Bits of an answer; rows of the future are like the row.
fn push(stream: &mut Stream, row: &[f32]) -> (Step, Vec<u32>) {
    let schema = stream.model().schema();
    let (row, mut out) = (
        row.repeat(1 + schema.net.n_ahead()),
        vec![0.0; schema.n_outputs()],
    );
    let step = stream.push(&row, &mut out).unwrap();
    (step, out.iter().map(|value| value.to_bits()).collect())
}

fn models() -> Vec<(Schema, Vec<u8>)> {
    let stack = schema(SMALL);
    let stack_file = file(&stack, &tensors(&stack, 5));
    let of_family = |schema: Schema| {
        let plain = crate::common::families::tensors(&schema);
        let bytes = crate::common::families::file(&schema, &plain);
        (schema, bytes)
    };
    let others = families().into_iter().map(of_family);
    [(stack, stack_file)].into_iter().chain(others).collect()
}

#[test]
fn a_state_goes_on_with_the_bits_of_whatever_level_restores_it() {
    for (schema, bytes) in models() {
        for to in levels() {
            for from in [Level::Portable, Level::detect()] {
                let (mut origin, mut unbroken) = (stream(&bytes, from), stream(&bytes, to));
                for step in 0..schema.lookback() + 5 {
                    let row = raw_row(&schema, step, true);
                    let _ = push(&mut origin, &row);
                    let _ = push(&mut unbroken, &row);
                }
                let mut restored = stream(&bytes, to);
                restored.restore(&saved(&origin)).unwrap();
                for step in 100..100 + 2 * schema.lookback() {
                    let row = raw_row(&schema, step, true);
                    assert_eq!(push(&mut restored, &row), push(&mut unbroken, &row));
                }
            }
        }
    }
}

#[test]
fn features_of_bars_go_on_where_they_were() {
    for model in [of_bars(), of_standard_bars()] {
        for n in [0, 1, 5, 30, 60, 90] {
            let (mut unbroken, mut other) = (Stream::new(&model).unwrap(), Stream::new(&model).unwrap());
            let mut out = vec![0.0; model.schema().n_outputs()];
            unbroken.set_max_missing_bars(3);
            (0..n).for_each(|i| _ = unbroken.push_bar(&bar(i), &mut out).unwrap());
            (500..500 + 2 * n).for_each(|i| _ = other.push_bar(&bar(i), &mut out).unwrap());
            other.restore(&saved(&unbroken)).unwrap();
            assert_eq!(saved(&other), saved(&unbroken));
            let mut copy = Stream::new(&model).unwrap();
            copy.clone_from(&unbroken);
            assert_eq!(saved(&copy), saved(&unbroken));
            // A gap within what was accepted, and one beyond it.
            for i in (n..n + 70).chain(n + 72..n + 150).chain(n + 180..n + 300) {
                let mut expected = out.clone();
                let step = unbroken.push_bar(&bar(i), &mut expected).unwrap();
                for stream in [&mut other, &mut copy] {
                    assert_eq!(stream.push_bar(&bar(i), &mut out).unwrap(), step);
                    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&out), bits(&expected), "bar {i} after {n}");
                }
            }
        }
    }
}

#[test]
fn a_copy_and_its_original_go_separate_ways() {
    for (schema, bytes) in models() {
        let mut original = stream(&bytes, Level::detect());
        let n = schema.lookback() + 2;
        (0..n).for_each(|step| _ = push(&mut original, &raw_row(&schema, step, true)));
        original.prepare();
        let (row, other) = (raw_row(&schema, n, true), raw_row(&schema, n + 1, true));
        let mut copy = original.clone();
        let answer = push(&mut copy, &row);
        let _ = push(&mut copy, &other);
        assert_eq!(push(&mut original, &row), answer);
    }
}

/// What is refused, and that the stream is as it was.
#[track_caller]
fn refuse(stream: &mut Stream, bytes: &[u8]) -> StateError {
    let before = saved(stream);
    let error = stream.restore(bytes).unwrap_err();
    assert_eq!(saved(stream), before);
    error
}

/// A stream of bars with rows and features of its own.
fn used() -> Stream {
    let mut stream = Stream::new(&of_bars()).unwrap();
    (700..720).for_each(|i| _ = stream.push_bar(&bar(i), &mut [0.0; 3]).unwrap());
    stream
}

#[test]
fn foreign_states_are_refused_by_name() {
    let (mut stream, other) = (used(), schema(SMALL));
    let bytes = saved(&stream);
    let foreign =
        Stream::new(&Model::from_bytes(&file(&other, &tensors(&other, 6)), OpenOptions::default()).unwrap());
    let foreign = saved(&foreign.unwrap());
    let text = refuse(&mut stream, &foreign).to_string();
    assert!(text.starts_with(&format!("state: expected one of model {}", stream.model().hash())));
    let mut changed = bytes.clone();
    changed[0] = b'X';
    assert_eq!(
        refuse(&mut stream, &changed).to_string(),
        "state: expected it to begin with `TFSTREAM`, found `XFSTREAM`"
    );
    changed.copy_from_slice(&bytes);
    changed[8] = 2;
    assert_eq!(
        refuse(&mut stream, &changed).to_string(),
        "state: expected form 1, found 2"
    );
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(refuse(&mut stream, &longer), StateError::Length { .. }));
    let room = stream.save(&mut changed[1..]).unwrap_err();
    assert_eq!(
        room,
        StateError::Room {
            expected: bytes.len(),
            found: bytes.len() - 1
        }
    );
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let mut stream = used();
    let bytes = saved(&stream);
    for n in 0..bytes.len() {
        let _ = refuse(&mut stream, &bytes[..n]);
    }
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let _ = refuse(&mut stream, &changed);
    }
}

/// With a checksum made to fit, by somebody who means it.
fn forged(mut bytes: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let body = bytes.len() - 16;
    change(&mut bytes[..body]);
    let sum: [u8; 32] = Sha256::digest(&bytes[..body]).into();
    bytes[body..].copy_from_slice(&sum[..16]);
    bytes
}

#[test]
fn forged_states_are_refused_or_harmless() {
    let original = used();
    let bytes = saved(&original);
    let mut n_refused = 0;
    for at in 0..(bytes.len() - 16) * 8 {
        let mut stream = original.clone();
        let state = forged(bytes.clone(), |body| body[at / 8] ^= 1 << (at % 8));
        let before = saved(&stream);
        if stream.restore(&state).is_err() {
            assert_eq!(saved(&stream), before);
            n_refused += 1;
        }
        for i in 720..740 {
            let _ = stream.push_bar(&bar(i), &mut [0.0; 3]);
            stream.prepare_some(3);
        }
    }
    // At least the 64 bytes before the rows leave no choice.
    assert!(n_refused >= 64 * 8, "{n_refused}");
}

#[test]
fn forged_rows_are_refused_where_no_window_could_hold_them() {
    for (schema, bytes) in models() {
        let mut stream = stream(&bytes, Level::detect());
        let n = schema.lookback() - 1;
        (0..n).for_each(|step| _ = push(&mut stream, &raw_row(&schema, step, true)));
        let whole = saved(&stream);
        if n == 0 {
            continue;
        }
        let nan = forged(whole, |body| {
            let end = body.len();
            body[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        });
        // The last column may be one whose missing values are replaced.
        match stream.restore(&nan) {
            Err(error) => assert_eq!(error, StateError::Row { row: n - 1 }),
            Ok(()) => _ = push(&mut stream, &raw_row(&schema, n, true)),
        }
    }
}
