//! Bars and rows into a stream: features, gaps, the symbol of a series, and rows that are refused.

use crate::common::{families, file, schema, tensors};
use crate::models::{SMALL, bar, of_bars};
use tickfuse_core::bundle::{Arrival, Transform};
use tickfuse_core::error::{RunError, StreamError};
use tickfuse_core::features::{FeatureDef, FeatureOp};
use tickfuse_core::{Flags, Model, OpenOptions, Session, Step, Stream};

#[test]
fn bars_become_rows_and_answers_and_a_gap_begins_anew() {
    let model = of_bars();
    let (mut stream, mut session) = (Stream::new(&model).unwrap(), Session::new(&model, 1));
    let mut features = model.bar_rows().unwrap();
    assert_eq!(
        features.features().defs()[0],
        FeatureDef {
            name: "x0".into(),
            op: FeatureOp::LogRet { lag: 2 }
        }
    );
    let mut rows = Vec::new();
    let (mut out, mut expected, mut peeked) = ([0.0; 3], [0.0; 3], [0.0; 3]);
    // Three bars of warm-up and seven rows.
    for i in 0..40 {
        if matches!(
            features.push(&bar(i)).unwrap(),
            tickfuse_core::features::Ready::Row
        ) {
            rows.extend_from_slice(features.row());
        }
        let step = stream.peek_bar(&bar(i), &mut peeked).unwrap();
        assert_eq!(stream.push_bar(&bar(i), &mut out).unwrap(), step);
        if i < 9 {
            assert_eq!(
                step,
                Step::WarmingUp {
                    remaining: 9 - i as usize
                }
            );
            continue;
        }
        session.run(&rows[rows.len() - 14..], &mut expected).unwrap();
        assert_eq!(
            (step, out, peeked),
            (Step::Answer(Flags::NONE), expected, expected)
        );
    }
    let repeated = stream.push_bar(&bar(39), &mut out).unwrap_err();
    assert!(matches!(repeated, StreamError::Feature(_)), "{repeated}");
    assert_eq!(stream.remaining(), 1);
    stream.set_max_missing_bars(1);
    assert!(matches!(
        stream.push_bar(&bar(41), &mut out).unwrap(),
        Step::Answer(_)
    ));
    assert_eq!(
        stream.peek_bar(&bar(44), &mut out).unwrap(),
        Step::WarmingUp { remaining: 9 }
    );
    assert_eq!(
        stream.push_bar(&bar(44), &mut out).unwrap(),
        Step::WarmingUp { remaining: 9 }
    );
}

#[test]
fn bars_that_are_replayed_count_as_bars_that_were_pushed() {
    let model = of_bars();
    let (mut stream, mut pushed) = (Stream::new(&model).unwrap(), Stream::new(&model).unwrap());
    let (mut out, mut expected) = ([0.0; 3], [0.0; 3]);
    assert_eq!((stream.max_missing_bars(), pushed.max_missing_bars()), (0, 0));
    for stream in [&mut stream, &mut pushed] {
        stream.set_max_missing_bars(1);
        assert_eq!(stream.max_missing_bars(), 1);
    }
    // One bar is missing, which is accepted, then four, which is not; the series has its answers again 9 bars later.
    for i in (0..20).chain(21..40).chain(44..70) {
        if i % 13 < 8 {
            stream.replay_bar(&bar(i)).unwrap();
            let _ = pushed.push_bar(&bar(i), &mut expected).unwrap();
            continue;
        }
        let step = stream.push_bar(&bar(i), &mut out).unwrap();
        assert_eq!(pushed.push_bar(&bar(i), &mut expected).unwrap(), step);
        assert!(
            step == Step::Answer(Flags::NONE) || i < 9 || (44..53).contains(&i),
            "{i}"
        );
        assert!(matches!(step, Step::WarmingUp { .. }) || out == expected, "{i}");
    }
    let error = stream.replay_bar(&bar(69)).unwrap_err();
    assert_eq!(error, pushed.push_bar(&bar(69), &mut expected).unwrap_err());
}

#[test]
fn the_symbol_of_a_series_stands_in_its_rows() {
    let mut schema = families::tft_schema(families::TftSize {
        n_ahead: 0,
        n_static: 1,
        n_known: 0,
        n_observed: 1,
        ..families::SMALL_TFT
    });
    schema.inputs[1].feature = Some(FeatureOp::LogRet { lag: 1 });
    let categories = schema.inputs[0].categories.as_mut().unwrap();
    categories.unknown = Some(0);
    let label = categories.labels[2].clone();
    let name = schema.inputs[0].name.clone();
    let bytes = families::file(&schema, &families::tensors(&schema));
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let mut answers = Vec::new();
    for known in [None, Some("a stranger"), Some(label.as_str())] {
        let mut stream = Stream::new(&model).unwrap();
        if let Some(label) = known {
            assert_eq!(stream.set_category(&name, label), Ok(label != "a stranger"));
        }
        assert_eq!(stream.set_category("venue", "X"), Err(RunError::NoCategory));
        let mut out = vec![0.0; schema.n_outputs()];
        for i in 0..schema.lookback() as i64 + 1 {
            let _ = stream.push_bar(&bar(i), &mut out).unwrap();
        }
        answers.push(out);
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
}

#[test]
fn a_model_of_rows_takes_no_bars() {
    let schema = schema(SMALL);
    let bytes = file(&schema, &tensors(&schema, 5));
    let model = Model::from_bytes(&bytes, OpenOptions::default()).unwrap();
    let mut stream = Stream::new(&model).unwrap();
    assert_eq!(
        stream.push_bar(&bar(0), &mut [0.0; 3]).unwrap_err(),
        StreamError::NoBars
    );
    assert!(matches!(
        stream.push(&[0.0; 2], &mut [0.0; 3]),
        Err(RunError::InputLength {
            expected: 3,
            found: 2
        })
    ));
    assert!(matches!(
        stream.push(&[0.0; 3], &mut [0.0; 4]),
        Err(RunError::OutputLength {
            expected: 3,
            found: 4
        })
    ));
}

#[test]
fn a_row_that_a_transform_refuses_is_not_taken_even_before_the_first_answer() {
    let mut schema = families::tft_schema(families::TftSize {
        n_ahead: 0,
        ..families::SMALL_TFT
    });
    schema.arrival = Arrival::PreRolled;
    schema.normalizers[0].transform = Transform::Log;
    let at = schema.inputs.iter().position(|i| i.name == "observed0").unwrap();
    schema.inputs[at].scaler = None;
    schema.inputs[at].scaled_by = Some("n".into());
    let bytes = families::file(&schema, &families::tensors(&schema));
    let options = OpenOptions {
        verify_golden: false,
        ..OpenOptions::default()
    };
    let model = Model::from_bytes(&bytes, options).unwrap();
    let mut stream = Stream::new(&model).unwrap();
    let mut out = vec![0.0; schema.n_outputs()];
    let row = |x: f32| {
        let mut row = families::windows(&schema, 1)[0][..schema.n_features()].to_vec();
        row[at] = x;
        row
    };
    for i in 0..2 * schema.lookback() {
        let refused = stream.push(&row(-1.0), &mut out);
        assert!(
            matches!(refused, Err(RunError::NonFinite { column, .. }) if column == at),
            "{refused:?}"
        );
        let step = stream.push(&row(1.0 + i as f32), &mut out).unwrap();
        assert_eq!(matches!(step, Step::Answer(_)), i + 1 >= schema.lookback());
        stream.prepare();
    }
}
