//! The rules of a card that types cannot state: of reading, and, stricter, of publishing.

use super::{Latency, Metrics, Mode, ModelCard, ModelFile, Range, VERSION};
use serde_json::Value;

/// Why a card was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Not the JSON of a card: a key is missing, unknown, or of another type.
    #[error("card: {0}")]
    Json(String),
    /// A value breaks a rule.
    #[error("card key `{key}`: expected {expected}, found {found}")]
    Value {
        /// Path of the key.
        key: String,
        /// The rule.
        expected: String,
        /// The value.
        found: String,
    },
}

type Checked = Result<(), CardError>;

#[allow(
    clippy::needless_pass_by_value,
    reason = "callers hand over temporaries of several types"
)]
fn ensure(holds: bool, key: &str, expected: &str, found: impl ToString) -> Checked {
    if holds {
        return Ok(());
    }
    Err(CardError::Value {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: found.to_string(),
    })
}

/// Holds a document to the shape the card is written in: serde alone would take null for a missing key and an array for an
/// object.
pub(super) fn same_shape(key: &str, given: &Value, written: &Value) -> Checked {
    let inside = |part: &str| {
        if key.is_empty() {
            part.to_owned()
        } else {
            format!("{key}.{part}")
        }
    };
    // A collection that is empty is not written at all; whatever else is missing was null.
    let below = |part: &str, value: &Value, written: Option<&Value>| match written {
        Some(written) => same_shape(&inside(part), value, written),
        None => ensure(!value.is_null(), &inside(part), "a value or no such key", "null"),
    };
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => {
            let mut parts = given.iter();
            parts.try_for_each(|(k, v)| below(k, v, written.get(k)))
        }
        (Value::Array(given), Value::Array(written)) => {
            let mut parts = given.iter().enumerate();
            parts.try_for_each(|(i, v)| below(&i.to_string(), v, written.get(i)))
        }
        (Value::Array(_), Value::Object(_)) => ensure(false, key, "an object", "an array"),
        _ => Ok(()),
    }
}

impl Metrics {
    /// The figures that are there, by key, with whether higher is better and the largest possible value.
    pub(super) fn figures(&self) -> Vec<(&str, f64, bool, f64)> {
        let named = [
            ("accuracy", self.accuracy, true, 1.0),
            ("val_loss", self.val_loss, false, f64::INFINITY),
            ("log_loss", self.log_loss, false, f64::INFINITY),
            ("auc", self.auc, true, 1.0),
            ("brier", self.brier, false, 1.0),
            ("ece", self.ece, false, 1.0),
        ];
        named
            .into_iter()
            .filter_map(|(key, value, higher, max)| value.map(|v| (key, v, higher, max)))
            .collect()
    }
}

impl ModelCard {
    /// Checks every rule of reading.
    ///
    /// # Errors
    /// The first rule broken, with its key.
    pub fn check(&self) -> Checked {
        ensure(self.version == VERSION, "version", "2", &self.version)?;
        text("model_name", &self.model_name)?;
        ensure(is_time(&self.created_at), "created_at", TIME, &self.created_at)?;
        if let Some(file) = &self.file {
            ensure(is_sha256(&file.sha256), "file.sha256", SHA256, &file.sha256)?;
        }
        for (key, latency) in self.latencies() {
            check_latency(key, latency)?;
        }
        let mode = self.arrival_latency_ms.as_ref().and_then(|l| l.mode);
        ensure(
            mode != Some(Mode::Window),
            "arrival_latency_ms.mode",
            "arrival",
            "window",
        )?;
        self.check_data()?;
        self.check_metrics()?;
        self.check_network()
    }

    /// Ties the card to the file it is published with: sets `file`, and refuses figures nobody can judge. Metrics need
    /// their part of the split, their number and a baseline each; latencies need the hash of this very file, and level,
    /// precision, machine, mode, p99.9, maximum and number, window and arrival together.
    ///
    /// # Errors
    /// The first rule broken, of reading or publishing.
    pub fn bind(&mut self, file: &ModelFile) -> Checked {
        self.check()?;
        let stated = self.file.get_or_insert_with(|| file.clone());
        ensure(
            stated.sha256 == file.sha256,
            "file.sha256",
            &file.sha256,
            &stated.sha256,
        )?;
        ensure(
            stated.bytes == file.bytes,
            "file.bytes",
            &file.bytes.to_string(),
            stated.bytes,
        )?;
        self.bind_metrics()?;
        for (key, latency) in self.latencies() {
            bind_latency(key, latency, file)?;
        }
        let (first, second) = (&self.latency_ms, &self.arrival_latency_ms);
        let alone = second.is_some() && first.as_ref().is_none_or(|l| l.mode == Some(Mode::Arrival));
        ensure(
            !alone,
            "latency_ms",
            "window latency beside arrival latency",
            "none",
        )?;
        ensure(
            first.is_none() || self.inference.is_some(),
            "inference",
            "device, threads and warm-up of the latency",
            "nothing",
        )
    }

    fn latencies(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        let window = self.latency_ms.as_ref().map(|l| ("latency_ms", l));
        let arrival = self
            .arrival_latency_ms
            .as_ref()
            .map(|l| ("arrival_latency_ms", l));
        window.into_iter().chain(arrival)
    }

    fn check_data(&self) -> Checked {
        if let Some(train) = &self.train {
            text("train.snapshot_id", &train.snapshot_id)?;
            check_range("train.range", &train.range)?;
        }
        let Some(split) = &self.split else {
            return Ok(());
        };
        text("split.method", &split.method)?;
        check_range("split.train", &split.train)?;
        check_range("split.validation", &split.validation)?;
        split
            .test
            .as_ref()
            .map_or(Ok(()), |test| check_range("split.test", test))
    }

    fn check_metrics(&self) -> Checked {
        let none = Metrics::default();
        let metrics = self.metrics.as_ref().unwrap_or(&none);
        for (key, value, _, max) in metrics.figures() {
            let fits = value <= max && (value >= 0.0 || key == "val_loss");
            ensure(
                fits && value.is_finite(),
                &format!("metrics.{key}"),
                "a finite value in its range",
                value,
            )?;
        }
        for (name, figure) in &metrics.others {
            ensure(
                figure.value.is_finite(),
                &format!("metrics.others.{name}"),
                "a finite value",
                figure.value,
            )?;
        }
        let n = metrics.n_effective.unwrap_or(1.0);
        ensure(n.is_finite() && n > 0.0, "metrics.n_effective", "> 0", n)?;
        for (name, baseline) in &self.baselines {
            let key = format!("baselines.{name}");
            ensure(baseline.value.is_finite(), &key, "a finite value", baseline.value)?;
            text(&format!("{key}.what"), &baseline.what)?;
        }
        Ok(())
    }

    fn check_network(&self) -> Checked {
        for (i, output) in self.outputs.iter().enumerate() {
            text(&format!("outputs.{i}.name"), &output.name)?;
            let labels = output.labels.len();
            ensure(labels > 0, &format!("outputs.{i}.labels"), "one or more", labels)?;
        }
        if let Some(inference) = &self.inference {
            ensure(inference.threads > 0, "inference.threads", "1 or more", 0)?;
        }
        let seconds = self.provenance.as_ref().and_then(|p| p.duration_s).unwrap_or(0.0);
        ensure(
            seconds.is_finite() && seconds >= 0.0,
            "provenance.duration_s",
            "0 or more",
            seconds,
        )?;
        let Some(net) = &self.architecture else {
            return Ok(());
        };
        for (key, size) in [("seq_len", net.seq_len), ("hidden_size", net.hidden_size)] {
            ensure(size > 0, &format!("architecture.{key}"), "1 or more", size)?;
        }
        ensure(
            !net.features.is_empty(),
            "architecture.features",
            "one or more",
            "none",
        )
    }

    fn bind_metrics(&self) -> Checked {
        let Some(metrics) = &self.metrics else {
            return Ok(());
        };
        ensure(
            metrics.part.is_some(),
            "metrics.part",
            "the part of the split",
            "nothing",
        )?;
        ensure(
            metrics.n.is_some(),
            "metrics.n",
            "the number of windows",
            "nothing",
        )?;
        let own = metrics.figures().into_iter().map(|(key, ..)| key);
        let all = own.chain(metrics.others.keys().map(String::as_str));
        for key in all.filter(|key| !WITHOUT_BASELINE.contains(key)) {
            ensure(
                self.baselines.contains_key(key),
                &format!("baselines.{key}"),
                "what a model without skill reaches",
                "nothing",
            )?;
        }
        Ok(())
    }
}

/// Figures that say how far a forecast may be trusted, or how deep a fall was: nobody's skill is told by them.
const WITHOUT_BASELINE: [&str; 4] = ["ece", "coverage_error", "crossing_rate", "drawdown"];
const TIME: &str = "a UTC time YYYY-MM-DDThh:mm:ssZ";
const SHA256: &str = "64 digits 0-9 a-f";

fn check_latency(key: &str, latency: &Latency) -> Checked {
    let tail = [latency.p999, latency.max].into_iter().flatten();
    let mut last = 0.0;
    for value in [latency.p50, latency.p95, latency.p99].into_iter().chain(tail) {
        ensure(
            value.is_finite() && value >= last,
            key,
            "0 <= p50 <= p95 <= p99 <= p999 <= max",
            value,
        )?;
        last = value;
    }
    let mean = latency.mean;
    ensure(
        mean.is_finite() && mean >= 0.0,
        &format!("{key}.mean"),
        "0 or more",
        mean,
    )?;
    let hash = latency.file_sha256.as_deref();
    ensure(
        hash.is_none_or(is_sha256),
        &format!("{key}.file_sha256"),
        SHA256,
        hash.unwrap_or_default(),
    )
}

fn bind_latency(key: &str, latency: &Latency, file: &ModelFile) -> Checked {
    let found = latency.file_sha256.as_deref().unwrap_or("nothing");
    let expected = format!("{}, the file published", file.sha256);
    ensure(
        found == file.sha256,
        &format!("{key}.file_sha256"),
        &expected,
        found,
    )?;
    let there = [
        ("p999", latency.p999.is_some()),
        ("max", latency.max.is_some()),
        ("iterations", latency.iterations.is_some()),
        ("level", latency.level.is_some()),
        ("precision", latency.precision.is_some()),
        ("mode", latency.mode.is_some()),
        ("machine", latency.machine.is_some()),
    ];
    for (part, is_there) in there {
        ensure(is_there, &format!("{key}.{part}"), "a value", "nothing")?;
    }
    Ok(())
}

fn check_range(key: &str, range: &Range) -> Checked {
    for (end, value) in [("start", &range.start), ("end", &range.end)] {
        let fits = is_time(value) || is_date(value);
        ensure(
            fits,
            &format!("{key}.{end}"),
            "a date YYYY-MM-DD or a UTC time",
            value,
        )?;
    }
    // Both forms are fixed in width down to the day, so text order is time order there.
    let (start, end) = (&range.start[..10], &range.end[..10]);
    ensure(start <= end, key, "start before end", format!("{start} to {end}"))
}

fn text(key: &str, value: &str) -> Checked {
    ensure(!value.trim().is_empty(), key, "text", "nothing")
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
}

fn is_date(text: &str) -> bool {
    shape(text) == "0000-00-00" && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_time(text: &str) -> bool {
    let shape = shape(text);
    let fraction = shape
        .strip_prefix("0000-00-00T00:00:00")
        .and_then(|s| s.strip_suffix('Z'));
    let fits = fraction.is_some_and(|f| {
        f.is_empty()
            || f.strip_prefix('.')
                .is_some_and(|d| (1..=9).contains(&d.len()) && d.bytes().all(|b| b == b'0'))
    });
    fits && text.parse::<jiff::Timestamp>().is_ok()
}

fn shape(text: &str) -> String {
    let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
    text.chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Baseline;

    fn file() -> ModelFile {
        ModelFile {
            bytes: 3,
            sha256: "ab".repeat(32),
        }
    }

    fn bare() -> ModelCard {
        ModelCard::new("m", "2025-10-15T12:00:00Z")
    }

    fn latency() -> Latency {
        Latency {
            mean: 2.0,
            p50: 1.0,
            p95: 2.0,
            p99: 3.0,
            p999: Some(4.0),
            max: Some(5.0),
            iterations: Some(1000),
            file_sha256: Some(file().sha256),
            level: Some("avx2".into()),
            precision: Some(tickfuse_core::bundle::Precision::F32),
            mode: Some(Mode::Window),
            machine: Some("a synthetic machine".into()),
        }
    }

    fn timed() -> ModelCard {
        let mut card = bare();
        card.latency_ms = Some(latency());
        card.inference = Some(super::super::Inference {
            device: "cpu".into(),
            threads: 1,
            warmup_n: 20,
        });
        card
    }

    fn key(result: Checked) -> String {
        match result.unwrap_err() {
            CardError::Value { key, .. } => key,
            CardError::Json(text) => text,
        }
    }

    #[test]
    fn binding_fills_in_the_file_and_refuses_another() {
        let mut card = bare();
        card.bind(&file()).unwrap();
        assert_eq!(card.file, Some(file()));
        card.bind(&file()).unwrap();
        let mut other = file();
        other.sha256 = "cd".repeat(32);
        assert_eq!(key(card.bind(&other)), "file.sha256");
        other = file();
        other.bytes += 1;
        assert_eq!(key(card.bind(&other)), "file.bytes");
    }

    #[test]
    fn a_metric_without_baseline_is_read_but_not_published() {
        let mut card = bare();
        let metrics = Metrics {
            part: Some("test".into()),
            n: Some(100),
            accuracy: Some(0.6),
            ece: Some(0.1),
            ..Metrics::default()
        };
        card.metrics = Some(metrics);
        card.check().unwrap();
        assert_eq!(key(card.clone().bind(&file())), "baselines.accuracy");
        card.baselines
            .insert("accuracy".into(), Baseline::new(0.52, "majority rate"));
        card.clone().bind(&file()).unwrap();
        let figure = crate::card::Figure {
            value: 0.02,
            better: crate::card::Better::Lower,
        };
        let others = &mut card.metrics.as_mut().unwrap().others;
        others.insert("coverage_error".into(), figure);
        others.insert("drawdown".into(), figure);
        card.clone().bind(&file()).unwrap();
        card.metrics.as_mut().unwrap().n = None;
        assert_eq!(key(card.bind(&file())), "metrics.n");
    }

    #[test]
    fn a_latency_of_another_file_is_not_published() {
        timed().bind(&file()).unwrap();
        let mut card = timed();
        card.latency_ms.as_mut().unwrap().file_sha256 = Some("cd".repeat(32));
        assert_eq!(key(card.bind(&file())), "latency_ms.file_sha256");
        let mut card = timed();
        card.latency_ms.as_mut().unwrap().file_sha256 = None;
        assert_eq!(key(card.bind(&file())), "latency_ms.file_sha256");
    }

    #[test]
    fn a_latency_without_its_tail_or_machine_is_not_published() {
        type Remove = fn(&mut Latency);
        let without: [(&str, Remove); 4] = [
            ("latency_ms.p999", |l| l.p999 = None),
            ("latency_ms.max", |l| l.max = None),
            ("latency_ms.machine", |l| l.machine = None),
            ("latency_ms.mode", |l| l.mode = None),
        ];
        for (expected, remove) in without {
            let mut card = timed();
            remove(card.latency_ms.as_mut().unwrap());
            assert_eq!(key(card.bind(&file())), expected);
        }
        let mut card = timed();
        card.inference = None;
        assert_eq!(key(card.bind(&file())), "inference");
    }

    #[test]
    fn arrival_latency_stands_beside_window_latency_or_not_at_all() {
        let mut card = timed();
        let mut arrival = latency();
        arrival.mode = Some(Mode::Arrival);
        card.arrival_latency_ms = Some(arrival);
        card.clone().bind(&file()).unwrap();
        card.latency_ms = None;
        assert_eq!(key(card.bind(&file())), "latency_ms");
    }

    #[test]
    fn percentiles_out_of_order_and_nan_are_refused() {
        let mut card = timed();
        card.latency_ms.as_mut().unwrap().p95 = 0.5;
        assert_eq!(key(card.check()), "latency_ms");
        let mut card = timed();
        card.latency_ms.as_mut().unwrap().mean = f64::NAN;
        assert_eq!(key(card.check()), "latency_ms.mean");
        let mut card = bare();
        card.metrics = Some(Metrics {
            val_loss: Some(f64::INFINITY),
            ..Metrics::default()
        });
        assert_eq!(key(card.check()), "metrics.val_loss");
    }

    #[test]
    fn times_are_utc_and_real() {
        for right in ["2025-10-15T12:00:00Z", "2025-10-15T12:00:00.123Z"] {
            assert!(is_time(right), "{right}");
        }
        for wrong in [
            "2025-10-15",
            "2025-13-15T12:00:00Z",
            "2025-10-15T12:00:00+02:00",
            "2025-10-15T12:00:00.Z",
            "2025-10-15 12:00:00Z",
            "",
        ] {
            assert!(!is_time(wrong), "{wrong}");
        }
        assert!(is_date("2024-02-29") && !is_date("2025-02-29") && !is_date("20250228"));
    }

    #[test]
    fn a_range_that_runs_backwards_is_refused() {
        let range = |start: &str, end: &str| Range {
            start: start.into(),
            end: end.into(),
        };
        assert!(check_range("r", &range("2025-07-15", "2025-07-15T10:00:00Z")).is_ok());
        assert!(check_range("r", &range("2025-07-16", "2025-07-15")).is_err());
    }
}
