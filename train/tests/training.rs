//! Promises of a fit: same bits for any thread count and across interruptions, best weights are copies, faults are named.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tickfuse_train::checkpoint::Checkpoint;
use tickfuse_train::fit::{
    BatchSource, CheckpointPlan, EpochReport, FitConfig, FitError, Monitor, Observer, Outcome, PosWeight,
    Run, Status, StepReport, fit, predict, resume,
};
use tickfuse_train::nets::Net;
use tickfuse_train::nets::lstm::{LstmNet, LstmNetConfig};
use tickfuse_train::ops::product::Compute;
use tickfuse_train::optim::schedule::ScheduleConfig;

const ROWS: usize = 6;
const WIDTH: usize = 2;

/// Synthetic windows: the label says whether the first feature's mean is positive, flipped for one window in `noise`.
struct Synthetic {
    len: usize,
    seed: u64,
    noise: u64,
    spoil: Option<(usize, f32)>,
}

impl Synthetic {
    fn new(len: usize, seed: u64) -> Self {
        Self {
            len,
            seed,
            noise: u64::MAX,
            spoil: None,
        }
    }

    fn value(&self, window: usize, row: usize, column: usize) -> f32 {
        let at = (window * ROWS + row) * WIDTH + column;
        let mut z = (at as u64 ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    }
}

impl BatchSource for Synthetic {
    fn len(&self) -> usize {
        self.len
    }

    fn fill(&self, indices: &[usize], x: &mut [f32], y: &mut [f32]) {
        for (b, &window) in indices.iter().enumerate() {
            let mut mean = 0.0;
            for row in 0..ROWS {
                for column in 0..WIDTH {
                    x[(row * indices.len() + b) * WIDTH + column] = self.value(window, row, column);
                }
                mean += self.value(window, row, 0);
            }
            let flip = (window as u64 + 1).is_multiple_of(self.noise);
            y[b] = f32::from((mean > 0.0) != flip);
            if let Some((spoilt, value)) = self.spoil.filter(|s| s.0 == window) {
                x[((spoilt % ROWS) * indices.len() + b) * WIDTH + 1] = value;
            }
        }
    }
}

fn net() -> LstmNet {
    LstmNet::new(LstmNetConfig {
        n_features: WIDTH,
        lookback: ROWS,
        n_hidden: 8,
        n_layers: 2,
        head: vec![6, 1],
        dropout: 0.2,
    })
    .unwrap()
}

fn config() -> FitConfig {
    FitConfig {
        epochs: 3,
        batch: 40,
        lr: 5e-3,
        schedule: ScheduleConfig::Cosine {
            warmup_steps: 2,
            warmup_start: 0.1,
            min_lr: 1e-5,
        },
        ..FitConfig::default()
    }
}

/// Stops, or panics, after a number of steps.
struct After<'a> {
    steps: u64,
    stop: &'a AtomicBool,
    panics: bool,
    seen: Cell<u64>,
}

impl Observer for After<'_> {
    fn on_step(&mut self, _: &StepReport) {
        self.seen.set(self.seen.get() + 1);
        if self.seen.get() == self.steps {
            assert!(!self.panics, "killed");
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

struct Setup<'a> {
    train: &'a Synthetic,
    valid: &'a Synthetic,
    stop: &'a AtomicBool,
    path: Option<&'a Path>,
    every_steps: Option<u64>,
}

impl Setup<'_> {
    fn run<'r>(&'r self, observer: &'r mut dyn Observer) -> Run<'r> {
        Run {
            train: self.train,
            valid: self.valid,
            data_fingerprint: "synthetic 1",
            horizon: 1,
            checkpoint: self.path.map(|path| CheckpointPlan {
                path: path.to_owned(),
                every_steps: self.every_steps,
            }),
            stop: self.stop,
            observer,
        }
    }
}

fn run_plain(config: &FitConfig, train: &Synthetic) -> Result<Outcome, FitError> {
    let (valid, stop) = (Synthetic::new(90, 2), AtomicBool::new(false));
    let setup = Setup {
        train,
        valid: &valid,
        stop: &stop,
        path: None,
        every_steps: None,
    };
    fit(&net(), config, setup.run(&mut ()))
}

fn assert_same(a: &Outcome, b: &Outcome) {
    let bits = |o: &Outcome| -> Vec<u32> {
        let values = o.last.data().iter().chain(o.best.data());
        values.map(|x| x.to_bits()).collect()
    };
    assert!(bits(a) == bits(b), "parameters differ");
    assert_eq!(a.state, b.state);
}

#[test]
fn the_loss_falls_and_the_task_is_learnt() {
    let config = FitConfig {
        epochs: 12,
        lr: 2e-2,
        ..config()
    };
    let outcome = run_plain(&config, &Synthetic::new(400, 1)).unwrap();
    let last = outcome
        .state
        .history
        .last()
        .unwrap()
        .valid
        .binary
        .as_ref()
        .unwrap();
    assert!(
        last.accuracy > 0.9 && last.accuracy > last.majority_rate + 0.3,
        "{last:?}"
    );
    assert!(last.log_loss < 0.5 * last.base_log_loss, "{last:?}");
    assert!(last.degenerate.is_empty());
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let train = Synthetic::new(170, 1);
    let first = run_plain(&config(), &train).unwrap();
    assert_same(&first, &run_plain(&config(), &train).unwrap());
    let other = run_plain(&FitConfig { seed: 43, ..config() }, &train).unwrap();
    assert_ne!(first.last, other.last);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let train = Synthetic::new(170, 1);
    for (batch, shards) in [(40, 2), (170, 5)] {
        let config = FitConfig {
            batch,
            shards,
            ..config()
        };
        let one = run_plain(&config, &train).unwrap();
        for threads in [2, 3, 8] {
            let many = run_plain(
                &FitConfig {
                    threads,
                    ..config.clone()
                },
                &train,
            )
            .unwrap();
            assert_same(&one, &many);
        }
    }
}

#[test]
fn an_interrupted_run_resumes_to_the_same_bits() {
    // 170 windows in batches of 40 are 5 steps an epoch: 3 is inside the first, 5 at its end, 8 inside the second.
    let (train, valid) = (Synthetic::new(170, 1), Synthetic::new(90, 2));
    let plateau = FitConfig {
        schedule: ScheduleConfig::Plateau {
            factor: 0.5,
            patience: 0,
            threshold: 0.5,
            cooldown: 0,
            min_lr: 0.0,
        },
        ..config()
    };
    for config in [config(), plateau] {
        let whole = run_plain(&config, &train).unwrap();
        assert_eq!((whole.status, whole.state.step), (Status::Finished, 15));
        for steps in [3, 5, 8, 15] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("run.ckpt");
            let stop = AtomicBool::new(false);
            let setup = Setup {
                train: &train,
                valid: &valid,
                stop: &stop,
                path: Some(&path),
                every_steps: None,
            };
            let mut after = After {
                steps,
                stop: &stop,
                panics: false,
                seen: Cell::new(0),
            };
            fit(&net(), &config, setup.run(&mut after)).unwrap();
            stop.store(false, Ordering::Relaxed);
            let checkpoint = Checkpoint::read(&path).unwrap();
            assert_eq!(checkpoint.state().step, steps);
            let threads = FitConfig {
                threads: 2,
                ..config.clone()
            };
            let rest = resume(&net(), &threads, setup.run(&mut ()), checkpoint).unwrap();
            assert_same(&whole, &rest);
        }
    }
}

#[test]
fn a_run_that_dies_between_checkpoints_resumes_from_the_last_to_the_same_bits() {
    let (train, valid) = (Synthetic::new(170, 1), Synthetic::new(90, 2));
    let whole = run_plain(&config(), &train).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let stop = AtomicBool::new(false);
    let setup = Setup {
        train: &train,
        valid: &valid,
        stop: &stop,
        path: Some(&path),
        every_steps: Some(3),
    };
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut after = After {
            steps: 8,
            stop: &stop,
            panics: true,
            seen: Cell::new(0),
        };
        fit(&net(), &config(), setup.run(&mut after))
    }));
    assert!(died.is_err());
    let checkpoint = Checkpoint::read(&path).unwrap();
    assert_eq!(checkpoint.state().step, 6);
    let rest = resume(&net(), &config(), setup.run(&mut ()), checkpoint).unwrap();
    assert_same(&whole, &rest);
}

#[test]
fn a_stop_before_the_first_step_leaves_a_checkpoint_too() {
    let (train, valid, stop) = (
        Synthetic::new(80, 1),
        Synthetic::new(90, 2),
        AtomicBool::new(true),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let setup = Setup {
        train: &train,
        valid: &valid,
        stop: &stop,
        path: Some(&path),
        every_steps: None,
    };
    let outcome = fit(&net(), &config(), setup.run(&mut ())).unwrap();
    assert_eq!((outcome.status, outcome.state.step), (Status::Interrupted, 0));
    assert_eq!(Checkpoint::read(&path).unwrap().state().step, 0);
}

#[test]
fn resuming_with_another_configuration_data_or_net_is_refused() {
    let (train, valid, stop) = (
        Synthetic::new(80, 1),
        Synthetic::new(90, 2),
        AtomicBool::new(false),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let setup = Setup {
        train: &train,
        valid: &valid,
        stop: &stop,
        path: Some(&path),
        every_steps: None,
    };
    fit(&net(), &config(), setup.run(&mut ())).unwrap();
    let read = || Checkpoint::read(&path).unwrap();
    let text = |r: Result<Outcome, FitError>| r.err().map(|e| e.to_string()).unwrap();
    let batch = FitConfig {
        batch: 41,
        ..config()
    };
    let refused = text(resume(&net(), &batch, setup.run(&mut ()), read()));
    assert_eq!(
        refused,
        "cannot resume: batch: the checkpoint has 40, this run 41"
    );
    let mut nothing = ();
    let mut run = setup.run(&mut nothing);
    run.data_fingerprint = "synthetic 2";
    assert!(text(resume(&net(), &config(), run, read())).contains("synthetic 2"));
    let wider = LstmNet::new(LstmNetConfig {
        dropout: 0.3,
        ..net().config().clone()
    })
    .unwrap();
    assert!(text(resume(&wider, &config(), setup.run(&mut ()), read())).contains("net"));
}

#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn on_epoch(&mut self, report: &EpochReport) {
        self.0.push(report.valid_loss);
    }
}

/// Few noisy windows and a large rate: the validation loss falls, then rises.
fn overfit(patience: Option<usize>) -> (Outcome, Vec<f64>, Synthetic) {
    let train = Synthetic {
        noise: 3,
        ..Synthetic::new(48, 1)
    };
    let (valid, stop, mut losses) = (Synthetic::new(200, 2), AtomicBool::new(false), Losses::default());
    let setup = Setup {
        train: &train,
        valid: &valid,
        stop: &stop,
        path: None,
        every_steps: None,
    };
    let config = FitConfig {
        epochs: 60,
        batch: 16,
        lr: 0.03,
        patience,
        schedule: ScheduleConfig::Constant,
        ..FitConfig::default()
    };
    let outcome = fit(&net(), &config, setup.run(&mut losses)).unwrap();
    (outcome, losses.0, valid)
}

#[test]
fn best_weights_are_a_copy_of_the_best_epoch_not_the_last() {
    let (outcome, losses, valid) = overfit(None);
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(losses[59] > 1.05 * best, "the example must overfit: {losses:?}");
    assert_ne!(outcome.best, outcome.last);
    assert_eq!(losses[outcome.state.early.best_epoch], best);
    let (logits, labels) = predict(&net(), &outcome.best, &valid, 1).unwrap();
    let options = tickfuse_train::metrics::MetricOptions::new(0.5, 1);
    let again = tickfuse_train::metrics::BinaryMetrics::from_logits(&logits, &labels, options);
    assert_eq!(again.log_loss, best);
}

#[test]
fn training_stops_after_patience_epochs_without_improvement() {
    let (outcome, losses, _) = overfit(Some(4));
    assert_eq!(outcome.status, Status::EarlyStopped);
    assert_eq!(losses.len(), outcome.state.early.best_epoch + 5);
}

#[test]
fn a_value_that_is_not_finite_is_named_with_its_place() {
    for value in [f32::NAN, f32::INFINITY] {
        let train = Synthetic {
            spoil: Some((65, value)),
            ..Synthetic::new(170, 1)
        };
        let error = run_plain(&config(), &train).unwrap_err();
        let FitError::Input {
            set,
            window,
            row,
            column,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((set, window, row, column), ("training", 65, 65 % ROWS, 1));
    }
}

#[test]
fn a_run_that_diverges_says_where() {
    let config = FitConfig {
        lr: 1e38,
        clip_norm: None,
        schedule: ScheduleConfig::Constant,
        ..config()
    };
    let error = run_plain(&config, &Synthetic::new(170, 1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("diverged in epoch 0"), "{error}");
}

#[test]
fn empty_sets_and_bad_configurations_are_refused() {
    let error = run_plain(&config(), &Synthetic::new(0, 1))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the training set has no windows");
    let error = run_plain(&FitConfig { batch: 0, ..config() }, &Synthetic::new(9, 1)).unwrap_err();
    assert!(error.to_string().contains("batch: expected 1 or more"));
}

#[test]
fn one_window_trains_and_one_label_is_refused_where_both_are_needed() {
    let single = Synthetic::new(1, 1);
    assert!(run_plain(&config(), &single).is_ok());
    let balanced: FitConfig = toml::from_str("pos_weight = \"balanced\"").unwrap();
    let error = run_plain(&balanced, &single).unwrap_err().to_string();
    assert!(error.contains("one label only"), "{error}");
}

#[test]
fn balanced_weighs_positives_by_the_ratio_of_labels() {
    let balanced: FitConfig = toml::from_str("pos_weight = \"balanced\"\nepochs = 1").unwrap();
    let state = run_plain(&balanced, &Synthetic::new(170, 1)).unwrap().state;
    assert!((state.pos_weight - (1.0 - state.train_rate) / state.train_rate).abs() < 1e-9);
    let plain = FitConfig {
        pos_weight: PosWeight::Value(2.0),
        epochs: 1,
        ..config()
    };
    assert_eq!(
        run_plain(&plain, &Synthetic::new(170, 1))
            .unwrap()
            .state
            .pos_weight,
        2.0
    );
}

#[test]
fn bf16_training_learns_too_with_other_bits() {
    let config = FitConfig {
        epochs: 12,
        lr: 2e-2,
        monitor: Monitor::Auc,
        ..config()
    };
    let train = Synthetic::new(400, 1);
    let full = run_plain(&config, &train).unwrap();
    let half = run_plain(
        &FitConfig {
            compute: Compute::Bf16,
            ..config
        },
        &train,
    )
    .unwrap();
    assert_ne!(full.last, half.last);
    let valid = half.state.history.last().unwrap().valid.binary.as_ref().unwrap();
    assert!(valid.accuracy > 0.9, "{valid:?}");
}

#[test]
fn predictions_do_not_depend_on_threads_and_come_in_order() {
    let (net, set) = (net(), Synthetic::new(1100, 5));
    let params = tickfuse_train::tape::params::Params::init(net.layout(), 1);
    let one = predict(&net, &params, &set, 1).unwrap();
    assert_eq!(one, predict(&net, &params, &set, 2).unwrap());
    let tail = Synthetic {
        len: 3,
        ..Synthetic::new(3, 5)
    };
    let few = predict(&net, &params, &tail, 1).unwrap();
    for (a, b) in one.0.iter().zip(&few.0) {
        assert!((a - b).abs() < 1e-6);
    }
    assert_eq!(one.1[..3], few.1[..]);
}
