//! The model card of a run.

use super::{Experiment, Finished};
use crate::card::{
    Architecture, Baseline, ClassBalance, Inference, Latency, Metrics, Mode, ModelCard, Provenance, Range,
    Split as CardSplit, Train,
};
use crate::data::split::Part;
use crate::data::time::iso;
use crate::fit::Outcome;
use crate::latency::LatencyReport;
use crate::metrics::BinaryMetrics;
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
    sha256: &str,
    duration_s: f64,
) -> ModelCard {
    let (part, metrics) = match &finished.test {
        Some(test) => ("test", test),
        None => ("validation", &finished.validation),
    };
    let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    ModelCard {
        intended_use: Some(format!(
            "Probability that the close {} bars ahead is higher, from bars of {} symbols like those it was trained on.",
            experiment.config.window.horizon,
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
        metrics: Some(figures(part, metrics, finished)),
        baselines: baselines(part, metrics),
        latency_ms: Some(milliseconds(latency, sha256)),
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
        class_balance: Some(ClassBalance { pos, neg: rows - pos }),
        class_counts: BTreeMap::new(),
        symbols: experiment.panel.tables.iter().map(|t| t.symbol.clone()).collect(),
    }
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

fn figures(part: &str, m: &BinaryMetrics, finished: &Finished) -> Metrics {
    Metrics {
        part: Some(part.into()),
        n: Some(m.n as u64),
        n_effective: Some(m.n_effective),
        accuracy: Some(m.accuracy),
        val_loss: (part == "validation").then_some(finished.validation.log_loss),
        log_loss: Some(m.log_loss),
        auc: m.auc,
        brier: Some(m.brier),
        ece: Some(m.ece),
        others: BTreeMap::new(),
    }
}

fn baselines(part: &str, m: &BinaryMetrics) -> BTreeMap<String, Baseline> {
    let constant = format!("constant training base rate {:.4}", m.train_rate);
    let mut all = BTreeMap::from([
        ("accuracy".into(), Baseline::new(m.majority_rate, "majority rate")),
        ("log_loss".into(), Baseline::new(m.base_log_loss, &constant)),
        ("brier".into(), Baseline::new(m.base_brier, &constant)),
        ("auc".into(), Baseline::new(0.5, "chance level")),
    ]);
    if part == "validation" {
        all.insert("val_loss".into(), Baseline::new(m.base_log_loss, &constant));
    }
    all
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
        mode: Some(Mode::Window),
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
