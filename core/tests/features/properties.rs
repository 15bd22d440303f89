//! What holds for any bars: batch equals stream, nothing looks ahead, a peek leaves no trace.

use crate::fixture;
use proptest::prelude::*;
use tickfuse_core::features::{
    Bar, EmaStart, FeatureDef, FeatureOp, FeatureSet, Ready, Rows, Smoothing, rows,
};

/// One bar after another from independent draws: gap in time, log move, spreads, volume.
fn walk(draws: &[(i64, f64, f64, f64, f64)]) -> Vec<Bar> {
    let mut ts_ns = 1_700_000_000_000_000_000;
    let mut close = 95505.4;
    let mut next = |&(gap, step, up, down, volume): &(i64, f64, f64, f64, f64)| {
        let open = close;
        ts_ns += gap;
        close *= step.exp();
        let high = open.max(close) * (1.0 + up);
        let low = open.min(close) * (1.0 - down);
        Bar {
            ts_ns,
            open,
            high,
            low,
            close,
            volume,
        }
    };
    draws.iter().map(&mut next).collect()
}

/// Bars with flat stretches, jumps, zero volumes and volumes of any size.
fn any_bars(len: usize) -> impl Strategy<Value = Vec<Bar>> {
    let step = prop_oneof![3 => -0.01..0.01f64, 2 => Just(0.0), 1 => -3.0..3.0f64];
    let spread = || prop_oneof![Just(0.0), 0.0..0.01f64];
    let volume = prop_oneof![Just(0.0), 0.0..100.0f64, 0.0..1e12f64];
    let draw = (1i64..200_000_000_000, step, spread(), spread(), volume);
    prop::collection::vec(draw, len).prop_map(|draws| walk(&draws))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn set() -> FeatureSet {
    FeatureSet::new(&fixture::definitions()).expect("the definitions are valid")
}

/// The rows of pushing `bars`, and before each the row a peek at `before(k)` gives.
fn stream(set: &mut FeatureSet, bars: &[Bar], before: impl Fn(usize) -> Bar) -> (Vec<f64>, Vec<f64>) {
    let (mut pushed, mut peeked) = (Vec::new(), Vec::new());
    let mut row = vec![0.0; set.n_features()];
    for (k, bar) in bars.iter().enumerate() {
        if set.peek(&before(k), &mut row).expect("the bar is valid") == Ready::Row {
            peeked.extend_from_slice(&row);
        }
        if set.push(bar, &mut row).expect("the bar is valid") == Ready::Row {
            pushed.extend_from_slice(&row);
        }
    }
    (pushed, peeked)
}

fn batch(bars: &[Bar]) -> Rows {
    rows(&fixture::definitions(), bars).expect("the bars are valid")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batch_equals_stream_bit_for_bit_and_a_peek_equals_the_push(bars in any_bars(160)) {
        let expected = bits(&batch(&bars).values);
        let (pushed, peeked) = stream(&mut set(), &bars, |k| bars[k]);
        prop_assert_eq!(bits(&pushed), expected.clone());
        prop_assert_eq!(bits(&peeked), expected);
    }

    #[test]
    fn peeks_at_other_bars_leave_no_trace(bars in any_bars(160), other in any_bars(160)) {
        let provisional = |k: usize| Bar { ts_ns: bars[k].ts_ns, ..other[k] };
        let (pushed, _) = stream(&mut set(), &bars, provisional);
        prop_assert_eq!(bits(&pushed), bits(&batch(&bars).values));
    }

    #[test]
    fn a_reset_or_cloned_set_answers_like_a_new_one(bars in any_bars(150), past in any_bars(137)) {
        let mut used = set();
        let _ = stream(&mut used, &past, |k| past[k]);
        let mut copy = used.clone();
        used.reset();
        let (pushed, _) = stream(&mut used, &bars, |k| bars[k]);
        prop_assert_eq!(bits(&pushed), bits(&batch(&bars).values));
        copy.reset();
        let (pushed, _) = stream(&mut copy, &bars, |k| bars[k]);
        prop_assert_eq!(bits(&pushed), bits(&batch(&bars).values));
    }

    #[test]
    fn later_bars_never_change_earlier_rows(bars in any_bars(150), other in any_bars(150), cut in 60usize..140) {
        let mut changed = bars.clone();
        for k in cut..bars.len() {
            changed[k] = Bar { ts_ns: bars[k].ts_ns, ..other[k] };
        }
        let (a, b) = (batch(&bars), batch(&changed));
        let known = (cut - a.first_bar) * a.n_features;
        prop_assert_eq!(bits(&a.values[..known]), bits(&b.values[..known]));
    }

    #[test]
    fn every_value_of_every_row_is_finite(bars in any_bars(120)) {
        for def in fixture::definitions() {
            let found = rows(std::slice::from_ref(&def), &bars).expect("the bars are valid");
            prop_assert_eq!(found.first_bar, def.op.warm_up());
            prop_assert_eq!(found.values.len(), bars.len() - def.op.warm_up());
            prop_assert!(found.values.iter().all(|x| x.is_finite()), "{}", def.name);
        }
    }

    #[test]
    fn a_refused_bar_in_between_changes_nothing(bars in any_bars(120), field in 0usize..5) {
        let mut set = set();
        let mut row = vec![0.0; set.n_features()];
        let mut pushed = Vec::new();
        for bar in &bars {
            let mut broken = *bar;
            match field {
                0 => broken.volume = f64::NAN,
                1 => broken.close = -broken.close,
                2 => broken.high = broken.low / 2.0,
                3 => broken.open = f64::INFINITY,
                _ => broken.ts_ns = i64::MIN,
            }
            let first = pushed.is_empty() && field > 3;
            prop_assert!(first || set.push(&broken, &mut row).is_err());
            if set.push(bar, &mut row).expect("the bar is valid") == Ready::Row {
                pushed.extend_from_slice(&row);
            }
        }
        prop_assert_eq!(bits(&pushed), bits(&batch(&bars).values));
    }
}

/// Whether a feature forgets its start only gradually.
fn fades(op: &FeatureOp) -> bool {
    match op {
        FeatureOp::Ema { n, .. } | FeatureOp::EmaRatio { n, .. } => *n > 1,
        FeatureOp::Macd(_) | FeatureOp::MacdRatio(_) => true,
        FeatureOp::Rsi { n, smoothing }
        | FeatureOp::Atr { n, smoothing }
        | FeatureOp::AtrRatio { n, smoothing } => *n > 1 && *smoothing == Smoothing::Wilder,
        _ => false,
    }
}

#[test]
fn after_its_history_a_row_does_not_depend_on_where_the_stream_began() {
    let cycle = fixture::bars();
    let week_ns = 7 * 86_400_000_000_000;
    let later = |k: usize| Bar {
        ts_ns: cycle[k % 400].ts_ns + (k / 400) as i64 * week_ns,
        ..cycle[k % 400]
    };
    let bars: Vec<Bar> = (0..2400).map(later).collect();
    for def in fixture::definitions() {
        let defs = std::slice::from_ref(&def);
        let history = def.op.history();
        let all = rows(defs, &bars).expect("the bars are valid");
        for start in [1, 37, 613] {
            let part = rows(defs, &bars[start..]).expect("the bars are valid");
            let first = start + history;
            let a = &all.values[first - all.first_bar..];
            let b = &part.values[history - part.first_bar..];
            if fades(&def.op) {
                let largest = a.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                let close = a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-11 * largest);
                assert!(close, "{} from {start}", def.name);
            } else {
                assert_eq!(bits(a), bits(b), "{} from {start}", def.name);
            }
        }
    }
}

#[test]
fn before_its_history_an_average_does_depend_on_its_start() {
    let bars = fixture::bars();
    let def = FeatureDef {
        name: "x".into(),
        op: FeatureOp::Ema {
            n: 50,
            start: EmaStart::First,
        },
    };
    let defs = std::slice::from_ref(&def);
    let (all, part) = (rows(defs, &bars).unwrap(), rows(defs, &bars[10..]).unwrap());
    assert!((all.values[10] - part.values[0]).abs() > 1e-3);
}
