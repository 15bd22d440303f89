//! Every operation, with every switch, against pandas and textbook loops.

use crate::fixture;
use tickfuse_core::features::{FeatureDef, FeatureOp, STANDARD_SETS, rows, standard_set};

/// Largest deviation in units of `|expected| + mean |expected|` of the column.
fn deviation(found: &[f64], expected: &[f64]) -> f64 {
    let scale = expected.iter().map(|x| x.abs()).sum::<f64>() / expected.len() as f64;
    let error = |(f, e): (&f64, &f64)| {
        if f == e {
            0.0
        } else {
            (f - e).abs() / (e.abs() + scale)
        }
    };
    let errors: Vec<f64> = found.iter().zip(expected).map(error).collect();
    assert!(errors.iter().all(|e| !e.is_nan()));
    errors.into_iter().fold(0.0, f64::max)
}

#[test]
fn every_feature_equals_its_reference_from_its_first_row_on() {
    let bars = fixture::bars();
    let tolerance = fixture::manifest()["tolerance"]
        .as_float()
        .expect("`tolerance` is a number");
    let definitions = fixture::definitions();
    assert!(definitions.len() > 70);
    for def in definitions {
        let expected: Vec<f64> = fixture::column("reference.npz", &def.name);
        let found = rows(std::slice::from_ref(&def), &bars).expect("the bars are valid");
        let first = expected
            .iter()
            .position(|x| x.is_finite())
            .expect("the reference has values");
        assert_eq!(found.first_bar, first, "{}: warm-up", def.name);
        assert_eq!(def.op.warm_up(), first, "{}: warm-up", def.name);
        let error = deviation(&found.values, &expected[first..]);
        assert!(
            error <= tolerance,
            "{}: deviates by {error:e}, tolerance {tolerance:e}",
            def.name
        );
    }
}

#[test]
fn a_set_gives_what_its_features_give_alone() {
    let bars = fixture::bars();
    let defs = fixture::definitions();
    let together = rows(&defs, &bars).expect("the bars are valid");
    for (column, def) in defs.iter().enumerate() {
        let alone = rows(std::slice::from_ref(def), &bars).expect("the bars are valid");
        let values = &alone.values[together.first_bar - alone.first_bar..];
        let in_set = together.values.iter().skip(column).step_by(defs.len());
        let same = in_set.zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{}", def.name);
    }
}

/// The difference in price and the scale-free form must never be taken for each other.
#[test]
fn the_seeds_gap_and_the_scale_free_ratio_are_different_features() {
    let bars = fixture::bars();
    let def = |name: &str, op| FeatureDef {
        name: name.into(),
        op,
    };
    let defs = [
        def("gap", FeatureOp::SmaGap { n: 20 }),
        def("ratio", FeatureOp::SmaRatio { n: 20 }),
    ];
    let both = rows(&defs, &bars).expect("the bars are valid");
    for (row, bar) in both.values.chunks_exact(2).zip(&bars[both.first_bar..]) {
        let mean = bar.close - row[0];
        assert!((row[0] / mean - row[1]).abs() < 1e-13);
        assert!(row[1].abs() < 0.05);
    }
    assert!(both.values.iter().step_by(2).any(|gap| gap.abs() > 100.0));
}

#[test]
fn every_feature_of_every_standard_set_has_a_reference() {
    let known = fixture::definitions();
    for (name, _) in STANDARD_SETS {
        for def in standard_set(name).expect("the name is listed") {
            assert!(known.iter().any(|k| k.op == def.op), "{name}: {}", def.name);
        }
    }
}
