//! Progress for people: bars with loss, metric and time left on a terminal, one line per epoch otherwise.

use super::state::{EpochReport, Observer, StepReport};
use crate::metrics::scores::Scores;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;

/// An [`Observer`] that draws on standard error or writes lines.
pub struct Progress {
    out: Out,
    summary: String,
}

enum Out {
    Bar(ProgressBar),
    Lines(Box<dyn Write>),
}

impl Progress {
    /// A bar on standard error.
    ///
    /// # Panics
    /// Never: the template is constant and checked by a test.
    #[must_use]
    pub fn bar() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self::with_bar(bar)
    }

    fn with_bar(bar: ProgressBar) -> Self {
        const TEMPLATE: &str = "{prefix} [{bar:30}] {pos}/{len} {msg} {elapsed_precise} left {eta_precise}";
        bar.set_style(ProgressStyle::with_template(TEMPLATE).expect("constant template"));
        Self {
            out: Out::Bar(bar),
            summary: String::new(),
        }
    }

    /// One line per epoch into `out`.
    #[must_use]
    pub fn lines(out: Box<dyn Write>) -> Self {
        Self {
            out: Out::Lines(out),
            summary: String::new(),
        }
    }
}

/// What a finished epoch looks like in a line: losses, metric, and figures beside their baselines.
#[must_use]
pub fn epoch_line(report: &EpochReport) -> String {
    let metric = match report.monitor.name() {
        "valid_loss" => String::new(),
        name => format!(" {name} {:.5}", report.value),
    };
    format!(
        "epoch {}: train loss {:.5}, valid loss {:.5},{metric}{} lr {:.2e}{}",
        report.epoch + 1,
        report.train_loss,
        report.valid_loss,
        figures(&report.valid),
        report.lr,
        if report.best { ", best" } else { "" },
    )
}

/// One clause per kind of score.
fn figures(scores: &Scores) -> String {
    let mut out = String::new();
    let or_none = |x: Option<f64>| x.map_or_else(|| "none".to_owned(), |x| format!("{x:.3}"));
    if let Some(m) = &scores.binary {
        out += &format!(
            " log-loss {:.5} (base rate {:.5}), accuracy {:.4} ± {:.4} (majority {:.4}),",
            m.log_loss, m.base_log_loss, m.accuracy, m.accuracy_se, m.majority_rate
        );
    }
    if let Some(m) = &scores.classes {
        out += &format!(
            " cross-entropy {:.5} (class shares {:.5}), accuracy {:.4} ± {:.4} (majority {:.4}),",
            m.cross_entropy, m.base_cross_entropy, m.accuracy, m.accuracy_se, m.majority_rate
        );
    }
    if let Some(m) = &scores.quantiles {
        out += &format!(
            " pinball {:.4e} (constant {:.4e}), calibration error {:.4},",
            m.pinball, m.base_pinball, m.calibration_error
        );
    }
    if let Some(m) = &scores.gaussian {
        out += &format!(" nll {:.4} (constant {}),", m.nll, or_none(m.base_nll));
    }
    if let Some(m) = &scores.portfolio {
        out += &format!(" Sharpe {} (hold {}),", or_none(m.sharpe), or_none(m.hold_sharpe));
    }
    out
}

impl Observer for Progress {
    fn on_step(&mut self, report: &StepReport) {
        let Out::Bar(bar) = &self.out else { return };
        if bar.length().is_none() {
            bar.set_length((report.epochs * report.steps_per_epoch) as u64);
            // A resumed run starts here: the time left is that of the rest.
            bar.reset_eta();
        }
        bar.set_prefix(format!("epoch {}/{}", report.epoch + 1, report.epochs));
        bar.set_message(format!("loss {:.4} {}", report.mean_loss, self.summary));
        bar.set_position((report.epoch * report.steps_per_epoch + report.step_in_epoch) as u64);
    }

    fn on_epoch(&mut self, report: &EpochReport) {
        let line = epoch_line(report);
        self.summary = format!("{} {:.4}", report.monitor.name(), report.value);
        match &mut self.out {
            Out::Bar(bar) => bar.println(line),
            // A closed pipe is no reason to lose a training run.
            Out::Lines(out) => drop(writeln!(out, "{line}").and_then(|()| out.flush())),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Out::Bar(bar) = &self.out {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::config::Monitor;
    use crate::metrics::{BinaryMetrics, MetricOptions};
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn epoch() -> EpochReport {
        EpochReport {
            epoch: 1,
            step: 20,
            lr: 1e-3,
            train_loss: 0.69,
            valid_loss: 0.68,
            valid: Scores {
                binary: Some(BinaryMetrics::from_logits(
                    &[0.5, -0.5],
                    &[1.0, 0.0],
                    MetricOptions::new(0.5, 1),
                )),
                ..Scores::default()
            },
            monitor: Monitor::Auc,
            value: 1.0,
            best: true,
        }
    }

    fn step() -> StepReport {
        StepReport {
            epoch: 1,
            epochs: 4,
            step_in_epoch: 3,
            steps_per_epoch: 10,
            loss: 0.7,
            mean_loss: 0.69,
            lr: 1e-3,
            gradient_norm: 0.2,
        }
    }

    #[test]
    fn lines_show_accuracy_beside_the_majority_rate() {
        let out = Shared::default();
        let mut progress = Progress::lines(Box::new(out.clone()));
        progress.on_step(&step());
        progress.on_epoch(&epoch());
        let text = String::from_utf8(out.0.borrow().clone()).unwrap();
        assert_eq!(text.lines().count(), 1);
        for part in [
            "epoch 2:",
            "auc 1.00000",
            "accuracy 1.0000",
            "majority 0.5000",
            "best",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn the_bar_counts_steps_over_the_whole_run() {
        let bar = ProgressBar::hidden();
        bar.unset_length();
        let mut progress = Progress::with_bar(bar.clone());
        progress.on_epoch(&epoch());
        progress.on_step(&step());
        assert_eq!((bar.length(), bar.position()), (Some(40), 13));
        assert_eq!(bar.message(), "loss 0.6900 auc 1.0000");
    }
}
