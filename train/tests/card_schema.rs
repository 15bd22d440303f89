//! The JSON schema of a card and the typed reader accept and refuse the same documents.

use jsonschema::Validator;
use serde_json::{Value, json};
use tickfuse_train::card::{ModelCard, SCHEMA};

fn schema() -> Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).expect("the schema is one of draft 2020-12");
    jsonschema::validator_for(&schema).unwrap()
}

/// A card of the earlier v2 kind: figures without baselines, latency without the file measured. Synthetic numbers.
fn earlier() -> Value {
    json!({
        "version": "2",
        "model_name": "synthetic",
        "created_at": "2025-01-02T03:04:05Z",
        "train": {
            "snapshot_id": "2025-01-01T00-00-00Z",
            "range": { "start": "2024-10-01", "end": "2025-01-01" },
            "rows": 1000,
            "class_balance": { "pos": 490, "neg": 510 }
        },
        "metrics": { "accuracy": 0.5, "val_loss": 0.7 },
        "latency_ms": { "mean": 2.5, "p50": 2.5, "p95": 2.5, "p99": 2.5 },
        "architecture": { "seq_len": 4, "hidden_size": 8, "total_params": 333, "features": ["close"] },
        "inference": { "device": "cpu", "threads": 1, "warmup_n": 20 }
    })
}

/// A card with every key there is.
fn full() -> Value {
    let latency = |mode: &str| {
        json!({
            "mean": 2.5, "p50": 2.5, "p95": 2.5, "p99": 2.5, "p999": 2.5, "max": 2.5, "iterations": 1000,
            "file_sha256": "ab".repeat(32), "level": "avx2", "precision": "f32", "mode": mode, "machine": "synthetic"
        })
    };
    let range = json!({ "start": "2024-10-01", "end": "2025-01-01T00:00:00Z" });
    let mut card = earlier();
    let more = json!({
        "file": { "bytes": 3, "sha256": "ab".repeat(32) },
        "intended_use": "tests",
        "limits": ["not for trading"],
        "target": { "horizon": 5, "label": "close[t+5] > close[t]" },
        "outputs": [{ "name": "up", "kind": "sigmoid", "labels": ["up"], "unit": "probability" }],
        "split": {
            "method": "purged", "train": range, "validation": range, "test": range, "purge_bars": 5,
            "embargo_bars": 1, "selected_on": "log_loss of validation"
        },
        "metrics": {
            "part": "test", "n": 100, "n_effective": 20.5, "accuracy": 0.5, "val_loss": 0.7, "log_loss": 0.7,
            "auc": 0.5, "brier": 0.25, "ece": 0.1, "others": { "mae": { "value": 0.1, "better": "lower" } }
        },
        "baselines": { "accuracy": { "value": 0.51, "what": "majority rate" } },
        "latency_ms": latency("window"),
        "arrival_latency_ms": latency("arrival"),
        "provenance": {
            "code_revision": "abc", "program_version": "0.1.0", "seed": 42, "epochs": 10, "best_epoch": 7,
            "duration_s": 12.5, "n_trials": 1, "imported_from": "nothing"
        }
    });
    for (key, value) in more.as_object().unwrap() {
        card[key] = value.clone();
    }
    card["train"]["class_counts"] = json!({ "up": 1 });
    card["train"]["symbols"] = json!(["SYN"]);
    let net = card["architecture"].as_object_mut().unwrap();
    net.extend([
        ("family".to_owned(), json!("lstm")),
        ("n_layers".to_owned(), json!(1)),
        ("arrival".to_owned(), json!("pre_rolled")),
    ]);
    card
}

/// JSON pointers of every value inside `value`, itself included.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(k, v)| pointers(v, &format!("{at}/{k}"), out)),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items
                .by_ref()
                .for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), out));
        }
        _ => {}
    }
}

/// The card with each value in turn replaced by every kind of other value, each key removed, each object extended.
fn mutations(card: &Value) -> Vec<(String, Value)> {
    let others = [
        json!(-1),
        json!(2.5),
        json!(""),
        json!(" "),
        json!("x"),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
    ];
    let mut all = Vec::new();
    let mut at = Vec::new();
    pointers(card, "", &mut at);
    for pointer in at {
        for other in &others {
            let mut changed = card.clone();
            *changed.pointer_mut(&pointer).unwrap() = other.clone();
            all.push((format!("{pointer} = {other}"), changed));
        }
        let mut extended = card.clone();
        if let Some(map) = extended.pointer_mut(&pointer).unwrap().as_object_mut() {
            map.insert("unknown".into(), json!(1));
            all.push((format!("{pointer} + unknown"), extended));
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        let mut without = card.clone();
        if let Some(map) = without.pointer_mut(parent).unwrap().as_object_mut() {
            map.remove(key);
            all.push((format!("{pointer} removed"), without));
        }
    }
    all
}

#[test]
fn both_accept_a_full_card_and_a_card_of_the_earlier_kind() {
    let schema = schema();
    for card in [earlier(), full()] {
        assert_eq!(ModelCard::validate_json(&card), Ok(()));
        let errors: Vec<_> = schema.iter_errors(&card).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_full_card_has_every_key_of_the_schema() {
    fn properties(schema: &Value, out: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(own)) = map.get("properties") {
                    out.extend(own.keys().cloned());
                }
                map.values().for_each(|v| properties(v, out));
            }
            Value::Array(items) => items.iter().for_each(|v| properties(v, out)),
            _ => {}
        }
    }
    let mut keys = Vec::new();
    properties(&serde_json::from_str(SCHEMA).unwrap(), &mut keys);
    let text = full().to_string();
    let missing: Vec<_> = keys
        .iter()
        .filter(|k| !text.contains(&format!("\"{k}\":")))
        .collect();
    assert!(keys.len() > 80 && missing.is_empty(), "{missing:?}");
}

#[test]
fn both_agree_on_every_changed_removed_and_added_key() {
    let schema = schema();
    let (mut accepted, mut refused) = (0, 0);
    for (what, card) in mutations(&full()).into_iter().chain(mutations(&earlier())) {
        let typed = ModelCard::validate_json(&card);
        assert_eq!(
            schema.is_valid(&card),
            typed.is_ok(),
            "{what}: typed reader says {typed:?}"
        );
        if typed.is_ok() {
            accepted += 1
        } else {
            refused += 1
        }
    }
    assert!(
        accepted > 100 && refused > 500,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn what_is_written_is_what_was_read() {
    for card in [earlier(), full()] {
        let read = ModelCard::from_json(card.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), card);
    }
}

#[test]
fn an_arrival_latency_of_a_window_is_refused_by_both() {
    let mut card = full();
    card["arrival_latency_ms"]["mode"] = json!("window");
    assert!(!schema().is_valid(&card));
    let error = ModelCard::validate_json(&card).unwrap_err().to_string();
    assert_eq!(
        error,
        "card key `arrival_latency_ms.mode`: expected arrival, found window"
    );
}

#[test]
fn an_unknown_version_names_the_one_that_is_known() {
    let mut card = earlier();
    card["version"] = json!("3");
    let error = ModelCard::validate_json(&card).unwrap_err().to_string();
    assert_eq!(error, "card key `version`: expected 2, found 3");
}
