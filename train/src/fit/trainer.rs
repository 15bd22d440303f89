//! The training loop: steps, epochs, best weights, early stopping, checkpoints, interruption.

use super::FitError;
use super::config::{FitConfig, PosWeight};
use super::crew::{Crew, Job, Task};
use super::source::{BatchSource, epoch_order};
use super::state::{EarlyStop, EpochReport, FitState, Observer, StepReport};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::losses::bce::bce;
use crate::metrics::{BinaryMetrics, MetricOptions};
use crate::nets::Net;
use crate::optim::adamw::AdamW;
use crate::optim::clip::clip_norm;
use crate::optim::schedule::{Rates, Schedule};
use crate::tape::params::{Gradients, Params};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where and how often a run saves itself. It always does after an epoch and when it is interrupted.
#[derive(Debug, Clone)]
pub struct CheckpointPlan {
    /// The file; replaced atomically.
    pub path: PathBuf,
    /// Also after every so many optimiser steps.
    pub every_steps: Option<u64>,
}

/// What a run works on and with.
pub struct Run<'a> {
    /// Windows to learn from.
    pub train: &'a dyn BatchSource,
    /// Windows that decide about best weights and stopping; never learned from.
    pub valid: &'a dyn BatchSource,
    /// Identity of both sets, such as the snapshot's hash with split and features; a run resumes only on the same.
    pub data_fingerprint: &'a str,
    /// Bars a label looks ahead, for the standard error of the validation accuracy.
    pub horizon: usize,
    /// Where the run saves itself.
    pub checkpoint: Option<CheckpointPlan>,
    /// Set to end the run after the step under way, with a checkpoint.
    pub stop: &'a AtomicBool,
    /// Told about steps and epochs.
    pub observer: &'a mut dyn Observer,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All epochs done.
    Finished,
    /// The monitored metric stopped improving.
    EarlyStopped,
    /// Asked to stop; the checkpoint goes on from here.
    Interrupted,
}

/// What a run leaves.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// A copy of the parameters at the best epoch; of the last ones when no epoch has ended.
    pub best: Params<f32>,
    /// Parameters after the last step.
    pub last: Params<f32>,
    /// Where the run stands, history included.
    pub state: FitState,
}

/// Fits `net` from start values drawn from the configured seed.
///
/// # Errors
/// See [`FitError`]; nothing is lost that a checkpoint holds.
pub fn fit<N: Net>(net: &N, config: &FitConfig, run: Run<'_>) -> Result<Outcome, FitError> {
    start(net, config, run, Params::init(net.layout(), config.seed))
}

/// [`fit`] from given start values.
///
/// # Errors
/// As [`fit`].
pub fn start<N: Net>(
    net: &N,
    config: &FitConfig,
    run: Run<'_>,
    params: Params<f32>,
) -> Result<Outcome, FitError> {
    check_run(config, &run)?;
    let (pos_weight, train_rate) = class_balance(net, config, run.train)?;
    let schedule = Schedule::new(config.schedule, config.lr, 1);
    let state = FitState {
        epoch: 0,
        step_in_epoch: 0,
        step: 0,
        loss_sum: 0.0,
        windows: 0,
        plateau: schedule.state,
        early: EarlyStop::default(),
        pos_weight,
        train_rate,
        history: Vec::new(),
    };
    let adam = AdamW::new(config.adamw(), net.layout());
    Trainer::new(net, config, run, params.clone(), params, adam, state).run()
}

/// Goes on from a checkpoint to the bits of the run that was not interrupted.
///
/// # Errors
/// When the checkpoint belongs to another net, configuration or data, and as [`fit`].
pub fn resume<N: Net>(
    net: &N,
    config: &FitConfig,
    run: Run<'_>,
    checkpoint: Checkpoint,
) -> Result<Outcome, FitError> {
    check_run(config, &run)?;
    checkpoint.check(&net.description(), config, run.data_fingerprint)?;
    let parts = checkpoint.into_parts(net.layout(), config.adamw())?;
    Trainer::new(
        net,
        config,
        run,
        parts.params,
        parts.best,
        parts.adam,
        parts.state,
    )
    .run()
}

fn check_run(config: &FitConfig, run: &Run<'_>) -> Result<(), FitError> {
    config.validate().map_err(FitError::Config)?;
    if run.train.is_empty() {
        return Err(FitError::Empty("training"));
    }
    if run.valid.is_empty() {
        return Err(FitError::Empty("validation"));
    }
    Ok(())
}

/// Weight of the positive class and share of positive labels in the training set.
fn class_balance<N: Net>(
    net: &N,
    config: &FitConfig,
    train: &dyn BatchSource,
) -> Result<(f64, f64), FitError> {
    let mut x = Vec::new();
    let (mut positive, mut count) = (0.0, 0.0);
    let all: Vec<usize> = (0..train.len()).collect();
    for indices in all.chunks(256) {
        let mut y = vec![0.0; indices.len() * net.n_outputs()];
        x.resize(net.n_rows() * indices.len() * net.n_features(), 0.0);
        train.fill(indices, &mut x, &mut y);
        positive += y.iter().map(|&y| f64::from(y)).sum::<f64>();
        count += y.len() as f64;
    }
    let weight = match config.pos_weight {
        PosWeight::Value(weight) => weight,
        PosWeight::Rule(_) if positive == 0.0 || positive == count => {
            return Err(FitError::OneLabel("training", "pos_weight = \"balanced\""));
        }
        PosWeight::Rule(_) => (count - positive) / positive,
    };
    Ok((weight, positive / count))
}

struct Trainer<'a, 'r, N> {
    net: &'a N,
    config: &'a FitConfig,
    run: Run<'r>,
    params: Params<f32>,
    best: Params<f32>,
    adam: AdamW,
    schedule: Schedule,
    state: FitState,
    crew: Crew,
    steps_per_epoch: usize,
}

impl<'a, 'r, N: Net> Trainer<'a, 'r, N> {
    fn new(
        net: &'a N,
        config: &'a FitConfig,
        run: Run<'r>,
        params: Params<f32>,
        best: Params<f32>,
        adam: AdamW,
        state: FitState,
    ) -> Self {
        let steps_per_epoch = run.train.len().div_ceil(config.batch);
        let total = (steps_per_epoch * config.epochs) as u64;
        let mut schedule = Schedule::new(config.schedule, config.lr, total);
        schedule.state = state.plateau;
        Self {
            net,
            config,
            run,
            params,
            best,
            adam,
            schedule,
            state,
            crew: Crew::new(net.layout(), config.threads, config.shards),
            steps_per_epoch,
        }
    }

    fn run(mut self) -> Result<Outcome, FitError> {
        loop {
            let status = match self.ended() {
                Some(status) => Some(status),
                None => self.epoch()?,
            };
            if let Some(status) = status {
                return Ok(self.outcome(status));
            }
        }
    }

    /// Why no further epoch starts, if so.
    fn ended(&self) -> Option<Status> {
        if self.config.patience.is_some_and(|p| self.state.early.stale >= p) {
            return Some(Status::EarlyStopped);
        }
        (self.state.epoch >= self.config.epochs).then_some(Status::Finished)
    }

    /// The rest of the epoch under way; a status when the run was told to stop.
    fn epoch(&mut self) -> Result<Option<Status>, FitError> {
        let order = epoch_order(
            self.run.train.len(),
            self.config.seed,
            self.state.epoch,
            self.config.shuffle,
        );
        while self.state.step_in_epoch < self.steps_per_epoch {
            if self.run.stop.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(Some(Status::Interrupted));
            }
            let from = self.state.step_in_epoch * self.config.batch;
            self.step(&order[from..order.len().min(from + self.config.batch)])?;
            if self.due() {
                self.save()?;
            }
        }
        self.end_epoch()?;
        self.save()?;
        Ok(None)
    }

    fn due(&self) -> bool {
        let every = self.run.checkpoint.as_ref().and_then(|plan| plan.every_steps);
        every.is_some_and(|every| every > 0 && self.state.step.is_multiple_of(every))
    }

    fn step(&mut self, indices: &[usize]) -> Result<(), FitError> {
        let state = &mut self.state;
        let job = Job {
            net: self.net,
            params: &self.params,
            source: self.run.train,
            set: "training",
            indices,
            task: Task::Train {
                pos_weight: state.pos_weight,
                seed: self.config.seed,
                step: state.step,
            },
            compute: self.config.compute,
        };
        let (loss, grads) = self.crew.gradients(&job)?;
        check_gradients(state, loss, grads)?;
        let gradient_norm = clip_norm(grads.data_mut(), self.config.clip_norm);
        if !gradient_norm.is_finite() {
            return Err(diverged(state, broken_gradient(grads), gradient_norm));
        }
        let Rates { lr, beta1 } = self.schedule.rates(state.step);
        self.adam.update(&mut self.params, grads.data(), lr, beta1);
        state.step += 1;
        state.step_in_epoch += 1;
        state.loss_sum += loss * indices.len() as f64;
        state.windows += indices.len();
        self.run.observer.on_step(&StepReport {
            epoch: state.epoch,
            epochs: self.config.epochs,
            step_in_epoch: state.step_in_epoch,
            steps_per_epoch: self.steps_per_epoch,
            loss,
            mean_loss: state.loss_sum / state.windows as f64,
            lr,
            gradient_norm,
        });
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<(), FitError> {
        let (valid_loss, valid) = self.validate()?;
        let monitor = self.config.monitor;
        let missing = FitError::OneLabel("validation", "monitor = \"auc\"");
        let value = monitor.value(valid_loss, &valid).ok_or(missing)?;
        let state = &mut self.state;
        let best = state
            .early
            .improved(value, state.epoch, monitor, self.config.min_delta);
        if best {
            self.best.data_mut().copy_from_slice(self.params.data());
        }
        let report = EpochReport {
            epoch: state.epoch,
            step: state.step,
            lr: self.schedule.rates(state.step - 1).lr,
            train_loss: state.loss_sum / state.windows as f64,
            valid_loss,
            valid,
            monitor,
            value,
            best,
        };
        self.schedule.on_epoch(value, monitor.larger_is_better());
        state.plateau = self.schedule.state;
        self.run.observer.on_epoch(&report);
        state.history.push(report);
        state.epoch += 1;
        (state.step_in_epoch, state.loss_sum, state.windows) = (0, 0.0, 0);
        Ok(())
    }

    fn validate(&mut self) -> Result<(f64, BinaryMetrics), FitError> {
        let (logits, labels) = self.crew.predict_all(
            self.net,
            &self.params,
            self.run.valid,
            "validation",
            self.config.compute,
        )?;
        let weight = self.state.pos_weight;
        let pairs = logits.iter().zip(&labels);
        let losses = pairs.map(|(&z, &y)| bce(f64::from(z), f64::from(y), weight));
        let loss = losses.sum::<f64>() / logits.len() as f64;
        if !loss.is_finite() {
            return Err(diverged(&self.state, "validation loss".to_owned(), loss));
        }
        let options = MetricOptions::new(self.state.train_rate, self.run.horizon);
        Ok((loss, BinaryMetrics::from_logits(&logits, &labels, options)))
    }

    fn save(&self) -> Result<(), CheckpointError> {
        let Some(plan) = &self.run.checkpoint else {
            return Ok(());
        };
        Checkpoint::new(
            self.net.description(),
            self.config,
            self.run.data_fingerprint,
            &self.state,
            [&self.params, &self.best],
            &self.adam,
        )
        .write(&plan.path)
    }

    fn outcome(self, status: Status) -> Outcome {
        let unrated = self.state.history.is_empty();
        Outcome {
            status,
            best: if unrated { self.params.clone() } else { self.best },
            last: self.params,
            state: self.state,
        }
    }
}

fn diverged(state: &FitState, what: String, found: f64) -> FitError {
    FitError::Diverged {
        epoch: state.epoch,
        step: state.step,
        what,
        found,
    }
}

/// A loss that is a number and, in the first step, a gradient for every parameter.
fn check_gradients(state: &FitState, loss: f64, grads: &Gradients<f32>) -> Result<(), FitError> {
    if !loss.is_finite() {
        return Err(diverged(state, "loss".to_owned(), loss));
    }
    let untouched: Vec<&str> = grads.untouched().collect();
    if !untouched.is_empty() {
        return Err(FitError::Untouched(untouched.join(", ")));
    }
    Ok(())
}

fn broken_gradient(grads: &Gradients<f32>) -> String {
    let broken = grads.tensors().find(|t| t.data.iter().any(|g| !g.is_finite()));
    format!("gradient of {}", broken.map_or("all parameters", |t| t.name))
}
