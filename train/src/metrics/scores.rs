//! The metrics of whatever a loss reads of an answer, with baselines taken from the training labels.
//!
//! A net that answers the steps ahead is scored on all of them; one trained on positions answers every step of its lookback,
//! of which only the last is ever served, and is scored on that one. Of several losses of one kind the first is scored.

use super::classes::ClassMetrics;
use super::gaussian::{Forecast, GaussianMetrics};
use super::portfolio::PortfolioMetrics;
use super::quantiles::{QuantileMetrics, sample_quantiles};
use super::{BinaryMetrics, Degenerate, MetricOptions};
use crate::data::label::Unit;
use crate::losses::cross_entropy::CrossEntropy;
use crate::losses::gaussian_nll::GaussianNll;
use crate::losses::pinball::Pinball;
use crate::losses::sharpe::Sharpe;
use crate::losses::{Answers, Loss};
use serde::{Deserialize, Serialize};

/// Metrics by what is predicted; absent where the loss reads nothing of the kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Of a probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<BinaryMetrics>,
    /// Of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassMetrics>,
    /// Of quantiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<QuantileMetrics>,
    /// Of a Gaussian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaussian: Option<GaussianMetrics>,
    /// Of positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portfolio: Option<PortfolioMetrics>,
}

/// What constants know: statistics of the training labels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baselines {
    /// Share of every class.
    #[serde(default)]
    pub class_shares: Vec<f64>,
    /// Quantiles at the levels of the loss.
    #[serde(default)]
    pub quantiles: Vec<f64>,
    /// Mean and deviation of the label of the Gaussian.
    #[serde(default)]
    pub gaussian: Option<[f64; 2]>,
}

/// Beside what answers are scored.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Share of positive labels in the training data.
    pub train_rate: f64,
    /// Statistics of the training labels.
    pub baselines: &'a Baselines,
    /// Bars a label looks ahead, in units of the distance of two windows.
    pub horizon: usize,
    /// When every window is decided; windows of one date form one return of the portfolio.
    pub dates: &'a [i64],
}

impl Baselines {
    /// Statistics for the parts of `loss`; `label` gives every training label of a column.
    #[must_use]
    pub fn of(loss: &Loss, label: impl Fn(usize) -> Vec<f64>) -> Self {
        let mut found = Self::default();
        if let Some(part) = classes(loss) {
            found.class_shares = class_shares(part, &label(part.label));
        }
        if let Some(part) = quantiles(loss) {
            found.quantiles = sample_quantiles(&label(part.label), &part.levels);
        }
        if let Some(part) = gaussian(loss) {
            let y = label(part.label);
            found.gaussian = Some([y.iter().sum::<f64>() / y.len() as f64, super::deviation(&y)]);
        }
        found
    }
}

impl Baselines {
    /// The same statistics of labels that were trained in these units, as they were before.
    #[must_use]
    pub fn out_of_units(mut self, loss: &Loss, units: &[Unit]) -> Self {
        if let Some(part) = quantiles(loss) {
            self.quantiles
                .iter_mut()
                .for_each(|q| *q = units[part.label].undo(*q));
        }
        if let Some((part, [mean, deviation])) = gaussian(loss).zip(self.gaussian.as_mut()) {
            let unit = units[part.label];
            *mean = unit.undo(*mean);
            *deviation *= unit.scale;
        }
        self
    }
}

fn class_shares(part: &CrossEntropy, labels: &[f64]) -> Vec<f64> {
    let mut counts = vec![0usize; part.classes.len()];
    for class in labels.iter().filter_map(|y| part.class_of(*y)) {
        counts[class] += 1;
    }
    counts.iter().map(|n| *n as f64 / labels.len() as f64).collect()
}

impl Scores {
    /// Metrics of `answers` under `loss`.
    ///
    /// # Panics
    /// When there are no windows, or answers and labels do not fit the loss.
    #[must_use]
    pub fn of(loss: &Loss, answers: &Answers, context: Context<'_>) -> Self {
        let last;
        let scored = if loss.has_position() {
            last = answers.from_step(answers.n_steps() - 1);
            &last
        } else {
            answers
        };
        // Windows that follow each other share the labels of all their steps but one.
        let horizon = context.horizon.max(1) * scored.n_steps();
        Self {
            binary: matches!(loss, Loss::Bce(_)).then(|| binary(scored, context.train_rate, horizon)),
            classes: classes(loss).map(|part| of_classes(part, scored, &context, horizon)),
            quantiles: quantiles(loss).map(|part| of_quantiles(part, scored, &context, horizon)),
            gaussian: gaussian(loss).map(|part| of_gaussian(part, scored, &context, horizon)),
            portfolio: position(loss).map(|part| of_positions(part, scored, context.dates)),
        }
    }

    /// Adds a sign of a degenerate forecaster to every kind.
    pub fn mark(&mut self, sign: Degenerate) {
        let lists = [
            self.binary.as_mut().map(|m| &mut m.degenerate),
            self.classes.as_mut().map(|m| &mut m.degenerate),
            self.quantiles.as_mut().map(|m| &mut m.degenerate),
            self.gaussian.as_mut().map(|m| &mut m.degenerate),
            self.portfolio.as_mut().map(|m| &mut m.degenerate),
        ];
        lists.into_iter().flatten().for_each(|list| list.push(sign));
    }

    /// Signs of a degenerate forecaster, of all kinds.
    #[must_use]
    pub fn degenerate(&self) -> Vec<Degenerate> {
        let lists = [
            self.binary.as_ref().map(|m| &m.degenerate),
            self.classes.as_ref().map(|m| &m.degenerate),
            self.quantiles.as_ref().map(|m| &m.degenerate),
            self.gaussian.as_ref().map(|m| &m.degenerate),
            self.portfolio.as_ref().map(|m| &m.degenerate),
        ];
        lists.into_iter().flatten().flatten().copied().collect()
    }
}

fn classes(loss: &Loss) -> Option<&CrossEntropy> {
    loss.parts().into_iter().find_map(|(_, part)| match part {
        Loss::CrossEntropy(part) => Some(part),
        _ => None,
    })
}

fn quantiles(loss: &Loss) -> Option<&Pinball> {
    loss.parts().into_iter().find_map(|(_, part)| match part {
        Loss::Pinball(part) => Some(part),
        _ => None,
    })
}

fn gaussian(loss: &Loss) -> Option<&GaussianNll> {
    loss.parts().into_iter().find_map(|(_, part)| match part {
        Loss::GaussianNll(part) => Some(part),
        _ => None,
    })
}

fn position(loss: &Loss) -> Option<&Sharpe> {
    loss.parts().into_iter().find_map(|(_, part)| match part {
        Loss::Sharpe(part) => Some(part),
        _ => None,
    })
}

fn binary(answers: &Answers, train_rate: f64, horizon: usize) -> BinaryMetrics {
    let logits: Vec<f32> = answers.out().iter().map(|z| *z as f32).collect();
    let labels = |(t, b)| (0..answers.n_labels()).map(move |c| answers.label(t, b, c) as f32);
    let labels: Vec<f32> = answers.rows(0).flat_map(labels).collect();
    BinaryMetrics::from_logits(&logits, &labels, MetricOptions::new(train_rate, horizon))
}

fn labels_of(answers: &Answers, column: usize) -> Vec<f64> {
    answers
        .rows(0)
        .map(|(t, b)| answers.label(t, b, column))
        .collect()
}

fn columns_of(answers: &Answers, column: usize, n: usize) -> Vec<f64> {
    let row = |(t, b)| answers.answer(t, b)[column..column + n].iter().copied();
    answers.rows(0).flat_map(row).collect()
}

fn of_classes(part: &CrossEntropy, answers: &Answers, context: &Context<'_>, horizon: usize) -> ClassMetrics {
    let logits = columns_of(answers, part.column, part.classes.len());
    let class = |y: &f64| part.class_of(*y).expect("labels are checked");
    let labels: Vec<usize> = labels_of(answers, part.label).iter().map(class).collect();
    ClassMetrics::from_logits(
        &part.classes,
        &logits,
        &labels,
        &context.baselines.class_shares,
        horizon,
    )
}

fn of_quantiles(part: &Pinball, answers: &Answers, context: &Context<'_>, horizon: usize) -> QuantileMetrics {
    let quantiles = columns_of(answers, part.column, part.levels.len());
    let labels = labels_of(answers, part.label);
    QuantileMetrics::new(
        &part.levels,
        &quantiles,
        &labels,
        &context.baselines.quantiles,
        horizon,
    )
}

fn of_gaussian(
    part: &GaussianNll,
    answers: &Answers,
    context: &Context<'_>,
    horizon: usize,
) -> GaussianMetrics {
    let forecast = |(t, b)| {
        let answer = answers.answer(t, b);
        Forecast {
            mean: part.gaussian.mean_of(answer),
            ln_deviation: part.gaussian.deviation_of(answer).ln,
        }
    };
    let forecasts: Vec<Forecast> = answers.rows(0).map(forecast).collect();
    let train = context.baselines.gaussian.unwrap_or_default();
    GaussianMetrics::new(&forecasts, &labels_of(answers, part.label), train, horizon)
}

fn of_positions(part: &Sharpe, answers: &Answers, dates: &[i64]) -> PortfolioMetrics {
    let positions: Vec<f64> = answers
        .rows(0)
        .map(|(t, b)| part.position.of(answers.answer(t, b)))
        .collect();
    PortfolioMetrics::new(dates, &positions, &labels_of(answers, part.label), part.periods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gaussian_nll::{Gaussian, Scale};
    use crate::losses::position::Position;

    fn context<'a>(baselines: &'a Baselines, dates: &'a [i64]) -> Context<'a> {
        Context {
            train_rate: 0.5,
            baselines,
            horizon: 1,
            dates,
        }
    }

    #[test]
    fn classes_and_quantiles_of_one_answer_are_both_scored() {
        let pinball = Pinball {
            column: 2,
            label: 1,
            ..Pinball::new([0.25, 0.75])
        };
        let loss = Loss::joint([
            (1.0, Loss::CrossEntropy(CrossEntropy::new(["down", "up"]))),
            (0.5, Loss::Pinball(pinball)),
        ]);
        let labels = vec![0.0, -0.1, 1.0, 0.2];
        let baselines = Baselines::of(&loss, |column| {
            labels.iter().skip(column).step_by(2).copied().collect()
        });
        assert_eq!(
            (&baselines.class_shares, &baselines.gaussian),
            (&vec![0.5, 0.5], &None)
        );
        assert!((baselines.quantiles[0] + 0.025).abs() < 1e-15);
        let answers = Answers::new(&[2, 4], vec![1.0, 0.0, -0.2, 0.0, 0.0, 1.0, 0.0, 0.3], labels);
        let scores = Scores::of(&loss, &answers, context(&baselines, &[1, 2]));
        assert_eq!(scores.classes.as_ref().unwrap().accuracy, 1.0);
        let levels = &scores.quantiles.as_ref().unwrap().levels;
        assert_eq!([levels[0].coverage, levels[1].coverage], [0.0, 1.0]);
        assert!(scores.binary.is_none() && scores.portfolio.is_none());
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&json).unwrap(), scores);
    }

    #[test]
    fn positions_are_scored_on_the_last_step_by_date() {
        let loss = Loss::joint([
            (1.0, Loss::Sharpe(Sharpe::new(Position::Linear { column: 0 }))),
            (
                1.0,
                Loss::GaussianNll(GaussianNll::new(Gaussian::new(1, 2, Scale::Log))),
            ),
        ]);
        let out = [
            [9.0, 9.0, 0.0],
            [9.0, 9.0, 0.0],
            [9.0, 9.0, 0.0],
            [1.0, 0.1, 0.0],
            [-1.0, 0.2, 0.0],
            [0.5, 0.3, 0.0],
        ];
        let labels = vec![7.0, 0.1, 7.0, 0.3, 7.0, -0.2];
        let answers = Answers::new(&[2, 3, 3], out.concat(), labels);
        let baselines = Baselines {
            gaussian: Some([0.0, 1.0]),
            ..Baselines::default()
        };
        let scores = Scores::of(&loss, &answers, context(&baselines, &[5, 5, 6]));
        let portfolio = scores.portfolio.unwrap();
        assert_eq!((portfolio.n, portfolio.n_dates), (3, 2));
        assert!((portfolio.mean - (-0.1 - 0.1) / 2.0).abs() < 1e-15);
        assert_eq!(scores.gaussian.unwrap().n, 3);
    }

    #[test]
    fn steps_ahead_are_all_scored_and_count_once_per_window() {
        let loss = Loss::Pinball(Pinball::new([0.5]));
        let answers = Answers::new(&[3, 4, 1], vec![0.0; 12], vec![1.0; 12]);
        let baselines = Baselines::of(&loss, |_| vec![1.0; 12]);
        let m = Scores::of(&loss, &answers, context(&baselines, &[1, 2, 3, 4]))
            .quantiles
            .unwrap();
        assert_eq!((m.n, m.n_effective), (12, 4.0));
        assert_eq!(m.levels[0].skill, None, "a base of zero has no skill");
    }
}
