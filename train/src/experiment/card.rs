//! The model card of a run.

use super::{Experiment, Finished, outputs};
use crate::card::{
    Architecture, Baseline, ClassBalance, Figure, Inference, Latency, Metrics, Mode, ModelCard, Provenance,
    Range, Split as CardSplit, Train,
};
use crate::data::label::LabelKind;
use crate::data::split::Part;
use crate::data::time::iso;
use crate::fit::Outcome;
use crate::latency::{self, LatencyReport};
use crate::losses::Loss;
use crate::metrics::figures::Measured;
use crate::metrics::scores::Scores;
use std::collections::BTreeMap;
use tickfuse_core::bundle::Net;
use tickfuse_core::{Model, nets};

/// Everything the run knows about its model; `latency` must have been measured on the file that is published.
///
/// `sha256` is that file's, `duration_s` the time of the fit.
#[must_use]
pub fn card(
    experiment: &Experiment,
    outcome: &Outcome,
    finished: &Finished,
    model: &Model,
    latency: &LatencyReport,
    arrival: Option<&LatencyReport>,
    sha256: &str,
    duration_s: f64,
) -> ModelCard {
    let (part, metrics) = match &finished.test {
        Some(test) => ("test", test),
        None => ("validation", &finished.validation),
    };
    let horizon = experiment.config.window.horizon;
    let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    ModelCard {
        intended_use: Some(format!(
            "Answers to `{}`, from bars of {} symbols like those it was trained on.",
            outputs::describe(&experiment.config.labels, horizon),
            experiment.panel.tables.len()
        )),
        limits: vec![
            "Not a statement about profit: costs, spread and slippage are not part of the label.".into(),
            "Figures hold for the split they come from; markets change.".into(),
        ],
        target: model.schema().target.clone(),
        outputs: model.schema().outputs.clone(),
        train: Some(train(experiment)),
        split: Some(split(experiment)),
        metrics: Some(figures(part, metrics)),
        baselines: baselines(metrics),
        latency_ms: Some(milliseconds(latency, sha256)),
        arrival_latency_ms: arrival.map(|arrival| milliseconds(arrival, sha256)),
        architecture: Some(architecture(experiment, model)),
        inference: Some(Inference {
            device: "cpu".into(),
            threads: 1,
            warmup_n: latency.warmup,
        }),
        provenance: Some(Provenance {
            program_version: Some(env!("CARGO_PKG_VERSION").into()),
            seed: Some(experiment.config.fit.seed),
            epochs: Some(outcome.state.history.len() as u64),
            best_epoch: Some(outcome.state.early.best_epoch as u64),
            duration_s: Some(duration_s),
            ..Provenance::default()
        }),
        ..ModelCard::new(&experiment.config.name, &created)
    }
}

fn range(part: &Part) -> Range {
    let [start, end] = part.decisions_ns.unwrap_or_default();
    Range {
        start: iso(start),
        end: iso(end),
    }
}

fn train(experiment: &Experiment) -> Train {
    let (train, validation) = (&experiment.split.train, &experiment.split.validation);
    let (pos, rows) = (train.n_up as u64, train.n_windows as u64);
    Train {
        snapshot_id: experiment.snapshot_id.clone(),
        range: Range {
            start: range(train).start,
            end: range(validation).end,
        },
        rows,
        class_balance: matches!(experiment.config.fit.loss, Loss::Bce(_))
            .then_some(ClassBalance { pos, neg: rows - pos }),
        class_counts: class_counts(experiment),
        symbols: experiment.panel.tables.iter().map(|t| t.symbol.clone()).collect(),
    }
}

/// Windows per class, where classes are asked.
fn class_counts(experiment: &Experiment) -> BTreeMap<String, u64> {
    let kinds = &experiment.labels.kinds;
    let mut counts = BTreeMap::new();
    let is_class = |kind: &LabelKind| matches!(kind, LabelKind::Classes(_));
    let column = kinds.iter().position(is_class).unwrap_or(kinds.len());
    let Some(LabelKind::Classes(names)) = kinds.get(column) else {
        return counts;
    };
    for &position in &experiment.split.train.samples {
        let labels = experiment.batches.labels(position);
        let last = &labels[labels.len() - kinds.len()..];
        *counts.entry(names[last[column] as usize].clone()).or_insert(0) += 1;
    }
    counts
}

fn split(experiment: &Experiment) -> CardSplit {
    let split = &experiment.split;
    CardSplit {
        method: "in order of time over all symbols, purged by the horizon".into(),
        train: range(&split.train),
        validation: range(&split.validation),
        test: split.test.as_ref().map(range),
        purge_bars: split.horizon as u64,
        embargo_bars: None,
        selected_on: Some(format!("{} on validation", experiment.config.fit.monitor.name())),
    }
}

fn figures(part: &str, scores: &Scores) -> Metrics {
    let sample = scores.sample();
    let mut made = Metrics {
        part: Some(part.into()),
        n: sample.map(|s| s.n as u64),
        n_effective: sample.map(|s| s.n_effective),
        ..Metrics::default()
    };
    for Measured {
        name, value, better, ..
    } in scores.figures()
    {
        match name {
            "accuracy" => made.accuracy = Some(value),
            "log_loss" => made.log_loss = Some(value),
            "auc" => made.auc = Some(value),
            "brier" => made.brier = Some(value),
            "ece" => made.ece = Some(value),
            other => {
                made.others.insert(other.into(), Figure { value, better });
            }
        }
    }
    made
}

fn baselines(scores: &Scores) -> BTreeMap<String, Baseline> {
    let with_baseline = |m: Measured| {
        let (value, what) = m.baseline?;
        Some((m.name.to_owned(), Baseline::new(value, &what)))
    };
    scores.figures().into_iter().filter_map(with_baseline).collect()
}

fn milliseconds(report: &LatencyReport, sha256: &str) -> Latency {
    let ms = |ns: u64| ns as f64 / 1e6;
    let l = &report.latency_ns;
    Latency {
        mean: l.mean / 1e6,
        p50: ms(l.p50),
        p95: ms(l.p95),
        p99: ms(l.p99),
        p999: Some(ms(l.p999)),
        max: Some(ms(l.max)),
        iterations: Some(report.n),
        file_sha256: Some(sha256.into()),
        level: Some(report.level.into()),
        precision: Some(report.precision),
        mode: match report.mode {
            latency::Mode::Window => Some(Mode::Window),
            latency::Mode::Arrival | latency::Mode::Peek => Some(Mode::Arrival),
            latency::Mode::Slide => None,
        },
        machine: Some(report.machine.clone()),
    }
}

fn architecture(experiment: &Experiment, model: &Model) -> Architecture {
    let schema = model.schema();
    let (family, n_hidden, n_layers) = match &schema.net {
        Net::Lstm(net) => ("lstm", net.n_hidden, net.n_layers),
        Net::Tft(net) => ("tft", net.n_hidden, net.n_layers),
        Net::QuantileTft(net) => ("quantile_tft", net.n_hidden, net.n_layers),
        Net::Xtrend(net) => ("xtrend", net.n_hidden, net.n_layers),
    };
    Architecture {
        seq_len: schema.lookback() as u64,
        hidden_size: n_hidden as u64,
        total_params: nets::n_parameters(schema) as u64,
        features: experiment.panel.names.clone(),
        family: Some(family.into()),
        n_layers: Some(n_layers as u64),
        arrival: Some(schema.arrival),
    }
}
