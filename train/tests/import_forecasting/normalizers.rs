//! Centres and scales of inputs and answers, with the library's ways of looking them up (measured with version 1.8.0).

use super::edited;
use serde_json::{Value, json};
use tickfuse_core::bundle::{Derived, Input, NormalizerSource, Role, Schema, Transform};

const MISSING: [f64; 2] = [9.0, 0.9];

fn schema(name: &str, edit: impl FnOnce(&mut Value)) -> Schema {
    edited(name, edit)
        .unwrap_or_else(|e| panic!("{name}: {e}"))
        .schema
}

fn source<'a>(schema: &'a Schema, name: &str) -> &'a NormalizerSource {
    let found = schema.normalizers.iter().find(|n| n.name == name);
    &found
        .unwrap_or_else(|| panic!("{name}: {:?}", schema.normalizers))
        .source
}

fn table<'a>(schema: &'a Schema, name: &str) -> (&'a [String], &'a [[f64; 2]]) {
    match source(schema, name) {
        NormalizerSource::Table { inputs, rows } => (inputs, rows),
        other => panic!("{other:?}"),
    }
}

fn input<'a>(schema: &'a Schema, name: &str) -> &'a Input {
    schema.inputs.iter().find(|i| i.name == name).expect(name)
}

/// Rows of a table with the key as centre: code 3 of the first and 4 of the second group have centre 34.
fn rows(keys: &[&[u64]]) -> Value {
    let row = |key: &&[u64]| {
        let center = key.iter().fold(0, |n, code| 10 * n + code);
        json!({ "key": key, "center": center, "scale": 1.0 })
    };
    keys.iter().map(row).collect()
}

/// Gives target `volume` of `pf_shared`, whose `group_ids` are sector (3) and symbol (5), another normaliser.
fn by_groups(document: &mut Value, groups: &[&str], rows: Value) {
    let volume = &mut document["preprocessing"]["normalizers"]["volume"];
    volume["groups"] = json!(groups);
    volume["table"] = rows;
    volume["missing"] = json!({ "center": MISSING[0], "scale": MISSING[1] });
}

#[test]
fn a_table_has_a_row_per_combination_of_codes_and_the_missing_one_elsewhere() {
    let schema = schema("pf_shared", |d| {
        by_groups(d, &["sector", "symbol"], rows(&[&[0, 1], &[2, 4]]));
    });
    let (inputs, found) = table(&schema, "volume");
    assert_eq!(inputs, ["sector", "symbol"]);
    for (at, row) in found.iter().enumerate() {
        let expected = match (at / 5, at % 5) {
            (0, 1) => [1.0, 1.0],
            (2, 4) => [24.0, 1.0],
            _ => MISSING,
        };
        assert_eq!(*row, expected, "row {at}");
    }
    // Answers are looked up alike here, so that one normalizer serves both ways.
    assert_eq!(schema.outputs[1].normalizer.as_deref(), Some("volume"));
    assert_eq!(input(&schema, "symbol").role, Role::Static);
}

#[test]
fn answers_of_a_table_by_one_of_two_groups_take_the_missing_row() {
    let schema = schema("pf_shared", |d| by_groups(d, &["symbol"], rows(&[&[0], &[3]])));
    let (inputs, found) = table(&schema, "volume");
    assert_eq!(inputs, ["symbol"]);
    assert_eq!(found, [[0.0, 1.0], MISSING, MISSING, [3.0, 1.0], MISSING]);
    assert_eq!(schema.outputs[1].normalizer.as_deref(), Some("volume of answers"));
    let [center, scale] = MISSING;
    assert_eq!(
        *source(&schema, "volume of answers"),
        NormalizerSource::Fixed { center, scale }
    );
}

#[test]
fn answers_are_looked_up_in_the_order_of_the_series_keys() {
    let schema = schema("pf_shared", |d| {
        by_groups(d, &["symbol", "sector"], rows(&[&[4, 2], &[1, 2]]));
    });
    let (inputs, found) = table(&schema, "volume");
    assert_eq!(inputs, ["symbol", "sector"]);
    assert_eq!((found[4 * 3 + 2], found[3 + 2]), ([42.0, 1.0], [12.0, 1.0]));
    let (inputs, found) = table(&schema, "volume of answers");
    assert_eq!(inputs, ["sector", "symbol"]);
    // Sector 1 and symbol 2 read the row of symbol 1 and sector 2.
    let named: Vec<usize> = (0..15).filter(|at| found[*at] != MISSING).collect();
    assert_eq!(named, [5 + 2]);
    assert_eq!(found[5 + 2], [12.0, 1.0]);
}

#[test]
fn scales_per_group_are_geometric_means() {
    let schema = schema("pf_shared", |d| {
        by_groups(d, &["sector", "symbol"], Value::Null);
        let volume = &mut d["preprocessing"]["normalizers"]["volume"];
        let volume = volume.as_object_mut().unwrap();
        volume.remove("table");
        let missing = volume.remove("missing").unwrap();
        volume.insert("scale_by_group".into(), true.into());
        let table = |center: f64| json!({ "table": [{ "key": [1], "center": center, "scale": 4.0 }], "missing": missing });
        volume.insert(
            "tables".into(),
            json!({ "sector": table(4.0), "symbol": table(25.0) }),
        );
    });
    let (_, found) = table(&schema, "volume");
    assert_eq!(found[5 + 1], [10.0, 4.0]);
    assert_eq!(found[5], [6.0, (4.0_f64 * 0.9).sqrt()]);
    assert_eq!(schema.outputs[1].normalizer.as_deref(), Some("volume"));
}

#[test]
fn answers_of_an_encoder_with_an_unknown_code_take_the_neighbours_row() {
    let schema = schema("pf_mixed", |_| {});
    let (_, own) = table(&schema, "volume");
    let (_, answers) = table(&schema, "volume of answers");
    // Codes of the series' keys count from 0, those of the table from 1; an unknown series comes behind the last one.
    assert_eq!(answers[0], own[5]);
    assert_eq!(answers[1], own[0]);
    assert_eq!(answers[2..], own[1..5]);
    assert_eq!(
        input(&schema, "symbol").categories.as_ref().unwrap().unknown,
        Some(0)
    );
}

#[test]
fn columns_of_the_library_follow_from_the_window() {
    let schema = schema("pf_mixed", |_| {});
    let derived = |name: &str| input(&schema, name).derived.clone().unwrap();
    assert_eq!(derived("relative_time_idx"), Derived::RelativeTime);
    assert_eq!(derived("encoder_length"), Derived::EncoderLength);
    assert_eq!(
        derived("volume_center"),
        Derived::NormalizerCenter("volume".into())
    );
    assert_eq!(derived("volume_scale"), Derived::NormalizerScale("volume".into()));
    assert_eq!(input(&schema, "volume_scale").role, Role::Static);
    assert_eq!(input(&schema, "relative_time_idx").role, Role::Known);
}

#[test]
fn a_column_called_like_one_of_the_library_is_read_where_the_library_adds_none() {
    let schema = schema("pf_mixed", |d| {
        for flag in ["add_relative_time_idx", "add_target_scales"] {
            d["preprocessing"][flag] = false.into();
        }
    });
    for name in ["relative_time_idx", "volume_center"] {
        assert_eq!(input(&schema, name).derived, None, "{name}");
        assert!(input(&schema, name).scaler.is_some(), "{name}");
    }
}

#[test]
fn transforms_and_methods_are_taken_over_or_refused() {
    let transforms = [
        (json!(null), Transform::Identity),
        (json!("log"), Transform::Log),
        (json!("log1p"), Transform::Log1p),
        (json!("logit"), Transform::Logit),
        (json!("count"), Transform::Count),
        (json!("softplus"), Transform::Softplus),
        (json!("relu"), Transform::Relu),
        (json!("sqrt"), Transform::Sqrt),
    ];
    for (name, transform) in transforms {
        let schema = schema("pf_auto", |d| {
            d["preprocessing"]["normalizers"]["close"]["transformation"] = name;
        });
        assert_eq!(schema.normalizers[0].transform, transform);
    }
    let refused = |key: &str, value: Value| {
        let edit = |d: &mut Value| d["preprocessing"]["normalizers"]["close"][key] = value;
        edited("pf_auto", edit).unwrap_err().to_string()
    };
    assert_eq!(
        refused("method", json!("robust")),
        "preprocessing.normalizers.close.method: expected standard or identity where statistics are of each window, found robust"
    );
    assert_eq!(
        refused("max_length", json!(8)),
        "preprocessing.normalizers.close.max_length: expected null or the whole encoder of 24 steps, found [8]"
    );
    let fixed = schema("pf_auto", |d| {
        d["preprocessing"]["normalizers"]["close"]["method"] = json!("identity");
    });
    assert_eq!(
        *source(&fixed, "close"),
        NormalizerSource::Fixed {
            center: 0.0,
            scale: 1.0
        }
    );
}
