//! Which loss a fit minimises, as it stands in a TOML file, and what it reads of answers and labels.

use super::answers::Answers;
use super::cross_entropy::CrossEntropy;
use super::gaussian_nll::GaussianNll;
use super::joint::Term;
use super::pinball::Pinball;
use super::range::{LabelRange, LossError, positive, refuse};
use super::sharpe::Sharpe;
use crate::ops::real::Real;
use crate::tape::{Tape, Var};
use serde::{Deserialize, Serialize};

/// A training loss. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Binary cross-entropy, one label per column and step.
    Bce(Bce),
    /// Cross-entropy of classes.
    CrossEntropy(CrossEntropy),
    /// Pinball loss of quantiles.
    Pinball(Pinball),
    /// Gaussian likelihood.
    GaussianNll(GaussianNll),
    /// Negative Sharpe ratio.
    Sharpe(Sharpe),
    /// A weighted sum.
    Joint {
        /// Its losses.
        terms: Vec<Term>,
    },
}

/// Binary cross-entropy on every column; see [`super::bce`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bce {
    /// Weight of the positive class; a fit sets it from its own key `pos_weight`.
    #[serde(skip, default = "one")]
    pub pos_weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Default for Loss {
    fn default() -> Self {
        Self::Bce(Bce { pos_weight: one() })
    }
}

impl Loss {
    /// A weighted sum of losses.
    #[must_use]
    pub fn joint(terms: impl IntoIterator<Item = (f64, Self)>) -> Self {
        let term = |(weight, loss)| Term { weight, loss };
        Self::Joint {
            terms: terms.into_iter().map(term).collect(),
        }
    }

    /// The same loss; a binary one with this weight of the positive class.
    #[must_use]
    pub fn with_pos_weight(&self, pos_weight: f64) -> Self {
        match self {
            Self::Bce(_) => Self::Bce(Bce { pos_weight }),
            other => other.clone(),
        }
    }

    /// The word it has in a file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bce(_) => "bce",
            Self::CrossEntropy(_) => "cross_entropy",
            Self::Pinball(_) => "pinball",
            Self::GaussianNll(_) => "gaussian_nll",
            Self::Sharpe(_) => "sharpe",
            Self::Joint { .. } => "joint",
        }
    }

    /// The losses of a sum, or the loss itself, with their weights.
    #[must_use]
    pub fn parts(&self) -> Vec<(f64, &Self)> {
        match self {
            Self::Joint { terms } => terms.iter().map(|term| (term.weight, &term.loss)).collect(),
            loss => vec![(1.0, loss)],
        }
    }

    /// Checks ranges, and that no label is read with two meanings.
    ///
    /// # Errors
    /// The first key out of range.
    pub fn validate(&self) -> Result<(), LossError> {
        match self {
            Self::Bce(bce) => positive("bce.pos_weight", bce.pos_weight),
            Self::CrossEntropy(loss) => loss.validate(),
            Self::Pinball(loss) => loss.validate(),
            Self::GaussianNll(loss) => loss.gaussian.validate(),
            Self::Sharpe(loss) => loss.validate(),
            Self::Joint { terms } if terms.is_empty() => refuse("joint.terms", "one or more", &terms.len()),
            Self::Joint { terms } => {
                terms.iter().try_for_each(Term::validate)?;
                self.one_meaning_per_label()
            }
        }
    }

    fn one_meaning_per_label(&self) -> Result<(), LossError> {
        let labels = self.labels();
        for (i, (column, range)) in labels.iter().enumerate() {
            if let Some((_, other)) = labels[..i]
                .iter()
                .find(|(c, other)| c == column && other != range)
            {
                let expected = format!("another label than the one read as {}", other.describe());
                return refuse(&format!("joint: label {column}"), &expected, &range.describe());
            }
        }
        Ok(())
    }

    /// Whether the loss is no mean over windows, so that a batch must stay in one piece.
    ///
    /// Sharpe ratios are; so is torch's mean with class weights, whose divisor depends on the labels of the batch.
    #[must_use]
    pub fn is_batch_statistic(&self) -> bool {
        match self {
            Self::Sharpe(_) => true,
            Self::CrossEntropy(loss) => !loss.class_weights.is_empty(),
            Self::Bce(_) | Self::Pinball(_) | Self::GaussianNll(_) => false,
            Self::Joint { terms } => terms.iter().any(|term| term.loss.is_batch_statistic()),
        }
    }

    /// Whether a part is a Sharpe ratio: the answer that counts is then the last step's position.
    #[must_use]
    pub fn has_position(&self) -> bool {
        self.parts()
            .iter()
            .any(|(_, loss)| matches!(loss, Self::Sharpe(_)))
    }

    /// Columns of an answer that are read, rising; all of them for binary cross-entropy, which names none.
    #[must_use]
    pub fn columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = match self {
            Self::Bce(_) => Vec::new(),
            Self::CrossEntropy(loss) => (loss.column..loss.column + loss.classes.len()).collect(),
            Self::Pinball(loss) => (loss.column..loss.column + loss.levels.len()).collect(),
            Self::GaussianNll(loss) => vec![loss.gaussian.mean, loss.gaussian.deviation],
            Self::Sharpe(loss) => loss.position.columns(),
            Self::Joint { terms } => terms.iter().flat_map(|term| term.loss.columns()).collect(),
        };
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Label columns that are read, with what is accepted; binary cross-entropy reads every one as a share.
    #[must_use]
    pub fn labels(&self) -> Vec<(usize, LabelRange)> {
        match self {
            Self::Bce(_) => Vec::new(),
            Self::CrossEntropy(loss) => vec![(loss.label, LabelRange::Class(loss.classes.len()))],
            Self::Pinball(loss) => vec![(loss.label, LabelRange::Number)],
            Self::GaussianNll(loss) => vec![(loss.label, LabelRange::Number)],
            Self::Sharpe(loss) => {
                let volatility = loss.cost.map(|cost| (cost.volatility, LabelRange::Positive));
                [(loss.label, LabelRange::Number)]
                    .into_iter()
                    .chain(volatility)
                    .collect()
            }
            Self::Joint { terms } => terms.iter().flat_map(|term| term.loss.labels()).collect(),
        }
    }

    /// What a label column has to hold.
    #[must_use]
    pub fn label_range(&self, column: usize) -> LabelRange {
        if let Self::Bce(_) = self {
            return LabelRange::Share;
        }
        let read = self.labels().into_iter().find(|(read, _)| *read == column);
        read.map_or(LabelRange::Number, |(_, range)| range)
    }

    fn burn_in(&self) -> usize {
        match self {
            Self::Pinball(loss) => loss.burn_in,
            Self::GaussianNll(loss) => loss.burn_in,
            Self::Sharpe(loss) => loss.burn_in,
            Self::Joint { terms } => terms.iter().map(|term| term.loss.burn_in()).max().unwrap_or(0),
            Self::Bce(_) | Self::CrossEntropy(_) => 0,
        }
    }

    /// Whether a net that answers `n_steps` steps with `n_columns` columns fits `n_labels` labels per window.
    ///
    /// # Errors
    /// The key that does not, with both sizes.
    pub fn check_sizes(&self, n_steps: usize, n_columns: usize, n_labels: usize) -> Result<(), LossError> {
        if n_labels == 0 || !n_labels.is_multiple_of(n_steps) {
            let expected = format!("the same number for each of the {n_steps} answered steps");
            return refuse("labels of a window", &expected, &n_labels);
        }
        let per_step = n_labels / n_steps;
        if matches!(self, Self::Bce(_)) && per_step != n_columns {
            return refuse("bce", &format!("{n_columns} labels, one per column"), &per_step);
        }
        if let Some(column) = self.columns().last().filter(|c| **c >= n_columns) {
            return refuse(
                "columns",
                &format!("the net's columns, 0 to {}", n_columns - 1),
                column,
            );
        }
        let labels = self.labels();
        if let Some((label, _)) = labels.iter().find(|(label, _)| *label >= per_step) {
            return refuse(
                "label",
                &format!("the label columns, 0 to {}", per_step - 1),
                label,
            );
        }
        if self.burn_in() >= n_steps {
            return refuse(
                "burn_in",
                &format!("fewer than the {n_steps} answered steps"),
                &self.burn_in(),
            );
        }
        self.parts().iter().try_for_each(|(_, loss)| match loss {
            Self::Sharpe(s) if s.cost.is_some() && n_steps < 2 => {
                refuse("sharpe.cost", "a net that answers several steps", &n_steps)
            }
            _ => Ok(()),
        })
    }

    /// The loss of `out [batch, columns]` or `[steps, batch, columns]` on a tape; `labels [batch, steps, label columns]`.
    ///
    /// `count` is the number of windows of the whole batch: the losses of its parts then add up to its loss. A statistic of the
    /// batch needs all of it at once.
    ///
    /// # Panics
    /// When shapes do not fit ([`Loss::check_sizes`]), a class number is out of range, or a statistic gets a part of its batch.
    pub fn apply<R: Real>(&self, tape: &mut Tape<R>, out: Var, labels: &[R], count: usize) -> Var {
        if let Self::Bce(bce) = self {
            return self.apply_bce(*bce, tape, out, labels, count);
        }
        tape.scored(out, labels, |answers, slope| {
            self.add_slope(answers, count, slope)
        })
    }

    fn apply_bce<R: Real>(&self, bce: Bce, tape: &mut Tape<R>, out: Var, labels: &[R], count: usize) -> Var {
        let shape = tape.shape(out);
        let n_windows = shape[shape.len() - 2];
        let n_values = count * (tape.value(out).len() / n_windows);
        if shape.len() == 2 || shape[0] == 1 {
            return tape.bce_with_logits(out, labels, bce.pos_weight, n_values);
        }
        let by_step = by_step(labels, shape[0], n_windows);
        tape.bce_with_logits(out, &by_step, bce.pos_weight, n_values)
    }

    /// Adds the slope by every answer and returns the loss; see [`Loss::apply`].
    ///
    /// # Panics
    /// As [`Loss::apply`].
    pub fn add_slope(&self, answers: &Answers, count: usize, slope: &mut [f64]) -> f64 {
        assert!(
            !self.is_batch_statistic() || count == answers.n_windows(),
            "a statistic of {count} windows, of which {} are here",
            answers.n_windows()
        );
        self.parts()
            .into_iter()
            .map(|(weight, loss)| weight * loss.add_part(answers, count, weight, slope))
            .sum()
    }

    fn add_part(&self, answers: &Answers, count: usize, weight: f64, slope: &mut [f64]) -> f64 {
        match self {
            Self::CrossEntropy(loss) => loss.add_slope(answers, count, weight, slope),
            Self::Pinball(loss) => loss.add_slope(answers, count, weight, slope),
            Self::GaussianNll(loss) => loss.add_slope(answers, count, weight, slope),
            Self::Sharpe(loss) => loss.add_slope(answers, weight, slope),
            Self::Bce(_) | Self::Joint { .. } => unreachable!("no part of a sum: see Term::validate"),
        }
    }

    /// The loss of a whole set.
    ///
    /// # Panics
    /// As [`Loss::apply`].
    #[must_use]
    pub fn value(&self, answers: &Answers) -> f64 {
        let Self::Bce(bce) = self else {
            return self.add_slope(answers, answers.n_windows(), &mut vec![0.0; answers.out().len()]);
        };
        let labels = by_step(answers.labels(), answers.n_steps(), answers.n_windows());
        let pairs = answers.out().iter().zip(&labels);
        let losses = pairs.map(|(&z, &y)| super::bce::bce(z, y, bce.pos_weight));
        losses.sum::<f64>() / labels.len() as f64
    }
}

/// Labels `[batch, steps, width]` as `[steps, batch, width]`.
fn by_step<T: Copy>(labels: &[T], n_steps: usize, n_windows: usize) -> Vec<T> {
    let width = labels.len() / (n_steps * n_windows);
    let row = |step: usize, window: usize| {
        labels[(window * n_steps + step) * width..][..width]
            .iter()
            .copied()
    };
    (0..n_steps)
        .flat_map(|step| (0..n_windows).map(move |window| (step, window)))
        .flat_map(|(step, window)| row(step, window))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::answers::tests::{check_slope, value_and_slope};
    use super::*;

    const JOINT: &str = r#"
        kind = "joint"
        [[terms]]
        weight = 1.0
        loss = { kind = "cross_entropy", classes = ["sell", "hold", "buy"], label_smoothing = 0.05 }
        [[terms]]
        weight = 0.5
        loss = { kind = "pinball", levels = [0.1, 0.5, 0.9], column = 3, label = 1, crossing = { weight = 1.0 } }
    "#;

    #[test]
    fn files_say_what_is_read() {
        let loss: Loss = toml::from_str(JOINT).unwrap();
        loss.validate().unwrap();
        assert_eq!(loss.columns(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(
            loss.labels(),
            [(0, LabelRange::Class(3)), (1, LabelRange::Number)]
        );
        assert_eq!(loss.name(), "joint");
        let text = "kind = \"sharpe\"\nposition = { map = \"tanh\", column = 0 }\nburn_in = 63\n\
                    guard = { root = { epsilon = 1e-6 } }\ncost = { rate = 5e-4, target_volatility = 0.0094, volatility = 1 }";
        let loss: Loss = toml::from_str(text).unwrap();
        assert_eq!(
            loss.labels(),
            [(0, LabelRange::Number), (1, LabelRange::Positive)]
        );
        assert!(loss.is_batch_statistic() && loss.has_position());
        let seed: Loss = toml::from_str(
            "kind = \"sharpe\"\nposition = { map = \"gaussian\", gaussian = { mean = 1, deviation = 2, scale = \"log\" } }\n\
             divisor = \"sample\"\nguard = { fallback = {} }",
        )
        .unwrap();
        assert_eq!(seed.columns(), [1, 2]);
    }

    #[test]
    fn a_loss_survives_writing_and_reading() {
        for text in [
            JOINT,
            "kind = \"bce\"",
            "kind = \"gaussian_nll\"\ngaussian = { mean = 0, deviation = 1, scale = \"log\" }",
        ] {
            let loss: Loss = toml::from_str(text).unwrap();
            let json = serde_json::to_string(&loss).unwrap();
            assert_eq!(serde_json::from_str::<Loss>(&json).unwrap(), loss, "{json}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        for text in [
            "kind = \"bce\"\nweight = 1.0",
            "kind = \"mse\"",
            "kind = \"cross_entropy\"\nclasses = [\"a\", \"b\"]\nsmoothing = 0.1",
            "kind = \"pinball\"\nlevels = [0.5]\ncrossing = { weight = 1.0, gap = 0.1 }",
            "kind = \"sharpe\"\nposition = { map = \"tanh\", column = 0, scale = 2 }",
            "kind = \"sharpe\"\nposition = { map = \"tanh\", column = 0 }\nguard = { outside = { epsilon = 1.0 } }",
            "kind = \"gaussian_nll\"\ngaussian = { mean = 0, deviation = 1, scale = \"log\", top = 1.0 }",
        ] {
            assert!(toml::from_str::<Loss>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quantile_of_the_class_number_is_refused() {
        let wrong: Loss = toml::from_str(&JOINT.replace("label = 1, ", "")).unwrap();
        assert_eq!(
            wrong.validate().unwrap_err().to_string(),
            "loss.joint: label 0: expected another label than the one read as a class number, 0 to 2, \
             found \"a finite number\""
        );
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let loss: Loss = toml::from_str(JOINT).unwrap();
        assert!(loss.check_sizes(1, 6, 2).is_ok());
        for (sizes, key) in [
            ((1, 5, 2), "columns"),
            ((1, 6, 1), "label"),
            ((2, 6, 3), "labels of a window"),
        ] {
            let error = loss.check_sizes(sizes.0, sizes.1, sizes.2).unwrap_err();
            assert_eq!(error.key, key);
        }
        assert_eq!(Loss::default().check_sizes(1, 2, 1).unwrap_err().key, "bce");
        let sharpe: Loss = toml::from_str(
            "kind = \"sharpe\"\nposition = { map = \"tanh\", column = 0 }\nburn_in = 2\n\
             cost = { rate = 1e-3, target_volatility = 0.01, volatility = 1 }",
        )
        .unwrap();
        assert_eq!(sharpe.check_sizes(2, 1, 4).unwrap_err().key, "burn_in");
        assert!(sharpe.check_sizes(3, 1, 6).is_ok());
    }

    #[test]
    fn binary_losses_of_several_steps_pair_each_step_with_its_label() {
        let loss = Loss::default();
        let labels = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        check_slope(&loss, &[3, 2, 1], &labels);
        let answers = Answers::new(&[3, 2, 1], vec![9.0, -9.0, -9.0, -9.0, 9.0, 9.0], labels.to_vec());
        assert!(loss.value(&answers) < 1e-3, "every logit agrees with its label");
    }

    #[test]
    fn losses_of_parts_add_up_to_the_loss_of_the_batch() {
        let loss: Loss = toml::from_str(JOINT).unwrap();
        let out: Vec<f64> = (0..24).map(|i| f64::from(i % 7) * 0.3 - 0.8).collect();
        let labels = [0.0, 0.2, 1.0, -0.1, 2.0, 0.4, 1.0, 0.0];
        let (whole, slope) = value_and_slope(&loss, &[4, 6], &out, &labels);
        let (mut sum, mut slopes) = (0.0, Vec::new());
        for (out, labels) in [(&out[..6], &labels[..2]), (&out[6..], &labels[2..])] {
            let answers = Answers::new(&[out.len() / 6, 6], out.to_vec(), labels.to_vec());
            let mut part = vec![0.0; out.len()];
            sum += loss.add_slope(&answers, 4, &mut part);
            slopes.extend(part);
        }
        assert!((sum - whole).abs() < 1e-14);
        assert!(slope.iter().zip(&slopes).all(|(a, b)| (a - b).abs() < 1e-15));
    }

    #[test]
    #[should_panic(expected = "a statistic of 4 windows, of which 2 are here")]
    fn a_part_of_a_batch_has_no_sharpe_ratio() {
        let loss: Loss =
            toml::from_str("kind = \"sharpe\"\nposition = { map = \"tanh\", column = 0 }").unwrap();
        let answers = Answers::new(&[2, 1], vec![0.1, 0.2], vec![0.3, 0.4]);
        loss.add_slope(&answers, 4, &mut [0.0; 2]);
    }
}
