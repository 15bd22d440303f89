//! Fits by every loss: what is learnt beside its baseline, same bits for any thread count and across interruptions, and what
//! is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use tickfuse_core::bundle::{ContextMode, Scaler, XtrendConfig, XtrendForm, XtrendHead};
use tickfuse_core::features::{Bar, FeatureSet, standard_set};
use tickfuse_train::checkpoint::Checkpoint;
use tickfuse_train::data::bars::Series;
use tickfuse_train::data::context_batches::ContextBatches;
use tickfuse_train::data::contexts::{ContextConfig, Contexts};
use tickfuse_train::data::label_config::LabelConfig;
use tickfuse_train::data::label_table::LabelTable;
use tickfuse_train::data::table::{Panel, TableOptions, build};
use tickfuse_train::data::window::{Batches, WindowIndex};
use tickfuse_train::fit::{
    BatchSource, CheckpointPlan, FitConfig, FitError, Observer, Outcome, Run, Status, StepReport, fit, resume,
};
use tickfuse_train::metrics::scores::Scores;
use tickfuse_train::nets::Net;
use tickfuse_train::nets::lstm::{LstmNet, LstmNetConfig};
use tickfuse_train::nets::xtrend::XtrendNet;

const ROWS: usize = 4;

/// A number in [0, 1) that looks random (splitmix64).
fn noise(at: usize, seed: u64) -> f32 {
    let mut z =
        (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

/// Synthetic windows of one feature whose mean m drives the return `m + u/2`, u uniform in [-1, 1); labels are the class of the
/// return and the return itself. Three windows share a date.
struct Synthetic {
    len: usize,
    seed: u64,
    /// Writes the class where the return belongs.
    confused: bool,
}

impl Synthetic {
    fn new(len: usize, seed: u64) -> Self {
        Self {
            len,
            seed,
            confused: false,
        }
    }

    fn drift(&self, window: usize) -> f32 {
        2.0 * noise(2 * window, self.seed) - 1.0
    }

    fn future(&self, window: usize) -> f32 {
        self.drift(window) + noise(2 * window + 1, self.seed) - 0.5
    }
}

impl BatchSource for Synthetic {
    fn len(&self) -> usize {
        self.len
    }

    fn n_labels(&self) -> usize {
        2
    }

    fn decision_ns(&self, window: usize) -> Option<i64> {
        Some(window as i64 / 3)
    }

    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]) {
        for (b, &window) in indices.iter().enumerate() {
            for row in 0..ROWS {
                x[row * indices.len() + b] = self.drift(window) + 0.1 * noise(window * ROWS + row, 99);
            }
            let future = self.future(window);
            let class = 1.0 + f32::from(future > 0.5) - f32::from(future < -0.5);
            y[2 * b] = class;
            y[2 * b + 1] = if self.confused { class } else { future };
        }
    }
}

fn net(n_outputs: usize) -> LstmNet {
    LstmNet::new(LstmNetConfig {
        n_features: 1,
        lookback: ROWS,
        n_hidden: 8,
        n_layers: 1,
        head: vec![8, n_outputs],
        dropout: 0.1,
    })
    .unwrap()
}

fn config(text: &str) -> FitConfig {
    toml::from_str(&format!(
        "epochs = 60\nbatch = 96\nlr = 0.01\npatience = 60\n{text}"
    ))
    .unwrap()
}

const CLASSES_AND_QUANTILES: &str = r#"
    monitor = "cross_entropy"
    [loss]
    kind = "joint"
    terms = [
        { weight = 1.0, loss = { kind = "cross_entropy", classes = ["sell", "hold", "buy"] } },
        { weight = 0.5, loss = { kind = "pinball", levels = [0.1, 0.5, 0.9], column = 3, label = 1 } },
    ]"#;

const SHARPE: &str = r#"
    monitor = "daily_sharpe"
    loss = { kind = "sharpe", position = { map = "tanh", column = 0 }, label = 1 }"#;

/// Stops after so many steps.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn on_step(&mut self, report: &StepReport) {
        let done = report.epoch * report.steps_per_epoch + report.step_in_epoch;
        self.1.store(done as u64 >= self.0, Ordering::Relaxed);
    }
}

fn run<N: Net>(
    net: &N,
    config: &FitConfig,
    train: &dyn BatchSource,
    valid: &dyn BatchSource,
) -> Result<Outcome, FitError> {
    let stop = AtomicBool::new(false);
    fit(
        net,
        config,
        Run {
            train,
            valid,
            data_fingerprint: "synthetic",
            horizon: 1,
            checkpoint: None,
            stop: &stop,
            observer: &mut (),
        },
    )
}

fn learnt(text: &str, n_outputs: usize) -> (Outcome, Scores) {
    let outcome = run(
        &net(n_outputs),
        &config(text),
        &Synthetic::new(960, 1),
        &Synthetic::new(600, 2),
    );
    let outcome = outcome.unwrap();
    let scores = outcome.state.history.last().unwrap().valid.clone();
    (outcome, scores)
}

#[test]
fn classes_and_quantiles_are_learnt_together() {
    let (outcome, scores) = learnt(CLASSES_AND_QUANTILES, 6);
    let classes = scores.classes.as_ref().unwrap();
    assert!(
        classes.accuracy > classes.majority_rate + 0.15
            && classes.cross_entropy < 0.75 * classes.base_cross_entropy,
        "{classes:?}"
    );
    let quantiles = scores.quantiles.as_ref().unwrap();
    assert!(quantiles.pinball < 0.7 * quantiles.base_pinball, "{quantiles:?}");
    assert!(
        (quantiles.levels[0].coverage - 0.1).abs() < 0.06
            && (quantiles.levels[2].coverage - 0.9).abs() < 0.06,
        "{quantiles:?}"
    );
    assert!(scores.degenerate().is_empty() && scores.binary.is_none());
    assert_eq!(outcome.state.baselines.class_shares.len(), 3);
}

#[test]
fn positions_earn_more_than_holding() {
    let (_, scores) = learnt(SHARPE, 1);
    let portfolio = scores.portfolio.as_ref().unwrap();
    assert_eq!(portfolio.n_dates, 200);
    let (own, hold) = (portfolio.sharpe.unwrap(), portfolio.hold_sharpe.unwrap());
    assert!(own > hold + 5.0 * portfolio.sharpe_se.unwrap(), "{portfolio:?}");
}

#[test]
fn a_gaussian_knows_more_than_the_labels_own() {
    let text = r#"
        monitor = "nll"
        loss = { kind = "gaussian_nll", label = 1, gaussian = { mean = 0, deviation = 1, scale = "softplus" } }"#;
    let (_, scores) = learnt(text, 2);
    let gaussian = scores.gaussian.as_ref().unwrap();
    assert!(gaussian.nll < gaussian.base_nll.unwrap() - 0.3, "{gaussian:?}");
}

fn bits(outcome: &Outcome) -> Vec<u32> {
    let values = outcome.last.data().iter().chain(outcome.best.data());
    values.map(|x| x.to_bits()).collect()
}

#[test]
fn threads_change_no_bit_and_a_statistic_of_the_batch_is_not_split() {
    let (train, valid) = (Synthetic::new(200, 1), Synthetic::new(90, 2));
    let of = |text: &str, n_outputs, threads, shards| {
        let config = FitConfig {
            epochs: 2,
            threads,
            shards,
            ..config(text)
        };
        run(&net(n_outputs), &config, &train, &valid).unwrap()
    };
    for (text, n_outputs) in [(CLASSES_AND_QUANTILES, 6), (SHARPE, 1)] {
        let (one, many) = (of(text, n_outputs, 1, 3), of(text, n_outputs, 3, 3));
        assert!(bits(&one) == bits(&many) && one.state == many.state, "{text}");
    }
    assert!(bits(&of(SHARPE, 1, 2, 1)) == bits(&of(SHARPE, 1, 2, 5)));
    let weighted = CLASSES_AND_QUANTILES.replace("\"buy\"] }", "\"buy\"], class_weights = [1.5, 0.8, 1.2] }");
    assert!(bits(&of(&weighted, 6, 2, 1)) == bits(&of(&weighted, 6, 2, 5)));
    assert!(bits(&of(CLASSES_AND_QUANTILES, 6, 2, 1)) != bits(&of(CLASSES_AND_QUANTILES, 6, 2, 5)));
}

fn refused(text: &str, n_outputs: usize, train: &Synthetic) -> String {
    let refused = run(&net(n_outputs), &config(text), train, &Synthetic::new(90, 2));
    refused.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn quantiles_of_class_numbers_are_refused() {
    let confused = Synthetic {
        confused: true,
        ..Synthetic::new(200, 1)
    };
    assert_eq!(
        refused(CLASSES_AND_QUANTILES, 6, &confused),
        "pinball: label 1: expected returns, found only the whole numbers 0 to 2: the number of a class?"
    );
}

#[test]
fn labels_and_columns_that_do_not_fit_are_named() {
    let train = Synthetic::new(200, 1);
    let swapped = CLASSES_AND_QUANTILES
        .replace("\"buy\"] }", "\"buy\"], label = 1 }")
        .replace("column = 3, label = 1", "column = 3, label = 0");
    let error = refused(&swapped, 6, &train);
    assert!(
        error.starts_with("training window 0, label 1: expected a class number, 0 to 2, found"),
        "{error}"
    );
    let error = refused(CLASSES_AND_QUANTILES, 5, &train);
    assert_eq!(error, "loss.columns: expected the net's columns, 0 to 4, found 5");
    let error = refused("", 2, &train);
    assert!(error.contains(": expected 0 to 1, found"), "{error}");
    let error = refused("", 1, &train);
    assert_eq!(error, "loss.bce: expected 1 labels, one per column, found 2");
}

/// Two synthetic random walks of hourly bars.
fn walks() -> Vec<Series> {
    let walk = |symbol: &str, seed: u64| {
        let mut close = 100.0f64;
        let bars = (0..420).map(|i| {
            close *= 1.0 + 0.02 * f64::from(noise(i, seed) - 0.49);
            Bar {
                ts_ns: i as i64 * 3_600_000_000_000,
                open: close,
                high: close * 1.001,
                low: close * 0.999,
                close,
                volume: 10.0 + f64::from(noise(i, seed + 7)),
            }
        });
        Series::new(symbol, bars.collect(), format!("{symbol}.csv"))
    };
    vec![walk("A", 1), walk("B", 2)]
}

struct Trend {
    batches: Batches,
    index: WindowIndex,
    labels: LabelTable,
    contexts: Contexts,
    n_features: usize,
}

impl Trend {
    fn new() -> Self {
        let defs = standard_set("scale-free").unwrap();
        let options = TableOptions { max_missing_bars: 0 };
        let panel: Panel = build(&walks(), &mut FeatureSet::new(&defs).unwrap(), &options).unwrap();
        let config: LabelConfig =
            toml::from_str("steps = \"all\"\ncolumns = [{ kind = \"scaled_return\", span = 20 }]").unwrap();
        let labels = LabelTable::new(&panel, &config, 1).unwrap();
        let config = ContextConfig {
            n_contexts: 3,
            context_lookback: 5,
            other_symbols: false,
            seed: 3,
        };
        let contexts = Contexts::new(&panel, &labels, config).unwrap();
        let index = WindowIndex::new(&panel, 8, 1)
            .unwrap()
            .labelled(&panel, &labels)
            .unwrap();
        let index = contexts.trim(&index).unwrap();
        let scalers = vec![Scaler::IDENTITY; panel.n_features()];
        Self {
            batches: Batches::labelled(&panel, &index, &scalers, &labels).unwrap(),
            index,
            labels,
            contexts,
            n_features: panel.n_features(),
        }
    }

    fn source(&self, positions: std::ops::Range<usize>) -> ContextBatches<'_> {
        let positions = positions.collect();
        ContextBatches::new(
            &self.batches,
            &self.index,
            &self.labels,
            &self.contexts,
            positions,
        )
        .unwrap()
    }

    fn net(&self) -> XtrendNet {
        let config = XtrendConfig {
            lookback: 8,
            context_lookback: 5,
            n_contexts: 3,
            n_hidden: 8,
            n_heads: 2,
            n_layers: 1,
            n_entities: self.contexts.entities().n_codes(),
            form: XtrendForm::Separate,
            head: XtrendHead::Gaussian,
            n_quantiles: 0,
            context_mode: ContextMode::FinalState,
            zero_shot: false,
        };
        XtrendNet::new(config, self.n_features, 0.1).unwrap()
    }
}

const TREND: &str = r#"
    epochs = 3
    batch = 40
    monitor = "daily_sharpe"
    [loss]
    kind = "joint"
    terms = [
        { weight = 1.0, loss = { kind = "sharpe", position = { map = "tanh", column = 0 }, burn_in = 3 } },
        { weight = 1.0, loss = { kind = "gaussian_nll", burn_in = 3, gaussian = { mean = 1, deviation = 2, scale = "softplus" } } },
    ]"#;

#[test]
fn a_net_with_contexts_answers_every_step_and_resumes_inside_an_epoch_to_the_same_bits() {
    let trend = Trend::new();
    let n = trend.index.samples.len();
    assert!(n > 300, "{n} windows");
    let (train, valid) = (trend.source(0..120), trend.source(n - 100..n));
    let (net, config): (_, FitConfig) = (trend.net(), toml::from_str(TREND).unwrap());
    assert_eq!(
        (net.n_rows(), net.n_features(), net.n_answers()),
        (8 + 15, trend.n_features + 2, 8)
    );
    let whole = run(&net, &config, &train, &valid).unwrap();
    let scores = &whole.state.history.last().unwrap().valid;
    assert_eq!(
        scores.portfolio.as_ref().unwrap().n,
        100,
        "the last step of every window"
    );
    assert_eq!(scores.gaussian.as_ref().unwrap().n, 100);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let stop = AtomicBool::new(false);
    let mut observer = StopAfter(5, &stop);
    let again = trend.source(0..120);
    let plan = || {
        Some(CheckpointPlan {
            path: path.clone(),
            every_steps: None,
        })
    };
    let run = Run {
        train: &again,
        valid: &valid,
        data_fingerprint: "synthetic",
        horizon: 1,
        checkpoint: plan(),
        stop: &stop,
        observer: &mut observer,
    };
    assert_eq!(fit(&net, &config, run).unwrap().status, Status::Interrupted);
    stop.store(false, Ordering::Relaxed);
    let fresh = trend.source(0..120);
    let run = Run {
        train: &fresh,
        valid: &valid,
        data_fingerprint: "synthetic",
        horizon: 1,
        checkpoint: plan(),
        stop: &stop,
        observer: &mut (),
    };
    let threads = FitConfig {
        threads: 2,
        ..config.clone()
    };
    let rest = resume(&net, &threads, run, Checkpoint::read(&path).unwrap()).unwrap();
    assert!(bits(&whole) == bits(&rest) && whole.state == rest.state);
}
