//! Cross-entropy of classes on logits, `l(z, y) = (1 - ε) w_y CE_y + ε/K Σ_k w_k CE_k` with `CE_k = logsumexp(z) - z_k`.
//!
//! The mean is torch's: the sum of `l` over the sum of `w_y` of the batch. With class weights that divisor is a statistic of
//! the whole batch. Slope: `(1 - ε) w_y (p_k - 1{k = y}) + ε/K (p_k Σ w - w_k)`.

use super::answers::Answers;
use super::range::{LossError, is_share, refuse};
use serde::{Deserialize, Serialize};

/// Cross-entropy of the columns `column .. column + classes.len()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossEntropy {
    /// Names of the classes in the order of their numbers, which the label column holds.
    pub classes: Vec<String>,
    /// First logit.
    #[serde(default)]
    pub column: usize,
    /// Label column with the number of the class.
    #[serde(default)]
    pub label: usize,
    /// Weight per class; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
    /// `ε`: share of the label that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
}

impl CrossEntropy {
    /// Unweighted, of the first columns.
    #[must_use]
    pub fn new<S: Into<String>>(classes: impl IntoIterator<Item = S>) -> Self {
        Self {
            classes: classes.into_iter().map(Into::into).collect(),
            column: 0,
            label: 0,
            class_weights: Vec::new(),
            label_smoothing: 0.0,
        }
    }

    pub(super) fn validate(&self) -> Result<(), LossError> {
        let distinct: std::collections::HashSet<&String> = self.classes.iter().collect();
        if self.classes.len() < 2
            || distinct.len() < self.classes.len()
            || distinct.iter().any(|n| n.is_empty())
        {
            return refuse(
                "cross_entropy.classes",
                "two or more different names",
                &self.classes,
            );
        }
        let weights = &self.class_weights;
        let positive = weights.iter().all(|w| *w > 0.0 && w.is_finite());
        if !(weights.is_empty() || weights.len() == self.classes.len()) || !positive {
            return refuse(
                "cross_entropy.class_weights",
                "one positive weight per class, or none",
                weights,
            );
        }
        is_share("cross_entropy.label_smoothing", self.label_smoothing)
    }

    pub(super) fn weight(&self, class: usize) -> f64 {
        self.class_weights.get(class).copied().unwrap_or(1.0)
    }

    /// The class a label means, when it is one.
    #[must_use]
    pub fn class_of(&self, label: f64) -> Option<usize> {
        let whole = label >= 0.0 && label.fract() == 0.0 && label < self.classes.len() as f64;
        whole.then_some(label as usize)
    }

    /// Adds `scale` times the slope and returns the loss; a mean over `count` windows, or torch's weighted mean.
    pub(super) fn add_slope(&self, answers: &Answers, count: usize, scale: f64, slope: &mut [f64]) -> f64 {
        let class = |(t, b)| {
            self.class_of(answers.label(t, b, self.label))
                .expect("labels are checked")
        };
        let divisor = if self.class_weights.is_empty() {
            (count * answers.n_steps()) as f64
        } else {
            answers.rows(0).map(|row| self.weight(class(row))).sum()
        };
        let per_row = scale / divisor;
        let mut sum = 0.0;
        for (t, b) in answers.rows(0) {
            let at = answers.at(t, b) + self.column;
            let columns = at..at + self.classes.len();
            sum += self.row(
                &answers.out()[columns.clone()],
                class((t, b)),
                per_row,
                &mut slope[columns],
            );
        }
        sum / divisor
    }

    /// Loss of one answer; `scale` times its slope is added.
    fn row(&self, z: &[f64], y: usize, scale: f64, slope: &mut [f64]) -> f64 {
        let log_sum = log_sum_exp(z);
        let spread = self.label_smoothing / z.len() as f64;
        let hard = (1.0 - self.label_smoothing) * self.weight(y);
        let weights: f64 = (0..z.len()).map(|k| self.weight(k)).sum();
        let mut loss = hard * (log_sum - z[y]);
        for (k, slope) in slope.iter_mut().enumerate() {
            let (p, w) = ((z[k] - log_sum).exp(), self.weight(k));
            loss += spread * w * (log_sum - z[k]);
            let hit = f64::from(u8::from(k == y));
            *slope += scale * (hard * (p - hit) + spread * (weights * p - w));
        }
        loss
    }
}

/// `ln Σ e^z` without overflow.
#[must_use]
pub fn log_sum_exp(z: &[f64]) -> f64 {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + z.iter().map(|z| (z - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::super::Loss;
    use super::super::answers::tests::{check_slope, value_and_slope};
    use super::*;

    const NAMES: [&str; 3] = ["sell", "hold", "buy"];

    fn smooth() -> CrossEntropy {
        CrossEntropy {
            column: 1,
            label: 1,
            class_weights: vec![2.0, 0.5, 1.5],
            label_smoothing: 0.1,
            ..CrossEntropy::new(NAMES)
        }
    }

    #[test]
    fn the_slope_matches_central_differences() {
        check_slope(
            &Loss::CrossEntropy(CrossEntropy::new(NAMES)),
            &[4, 3],
            &[0.0, 2.0, 1.0, 2.0],
        );
        let labels = [9.0, 0.0, 9.0, 2.0, 9.0, 1.0, 9.0, 1.0];
        let loss = Loss::CrossEntropy(smooth());
        check_slope_of_used_columns(&loss, &labels);
    }

    fn check_slope_of_used_columns(loss: &Loss, labels: &[f64]) {
        check_slope(loss, &[2, 2, 4], labels);
        let (_, slope) = value_and_slope(loss, &[4, 4], &[0.3; 16], labels);
        assert!(
            slope.iter().step_by(4).all(|&s| s == 0.0),
            "column 0 is not in the loss"
        );
    }

    #[test]
    fn values_are_those_of_torch() {
        // torch.nn.functional.cross_entropy([[1, 2, 3], [0.5, -1, 0]], [2, 0], ...) in float64.
        let z = [1.0, 2.0, 3.0, 0.5, -1.0, 0.0];
        let value = |loss: CrossEntropy| {
            let loss = Loss::CrossEntropy(CrossEntropy {
                column: 0,
                label: 0,
                ..loss
            });
            value_and_slope(&loss, &[2, 3], &z, &[2.0, 0.0]).0
        };
        assert!((value(CrossEntropy::new(NAMES)) - PLAIN).abs() < 1e-12);
        assert!((value(smooth()) - SMOOTH).abs() < 1e-12);
    }

    const PLAIN: f64 = 0.505_868_284_890_554_4;
    const SMOOTH: f64 = 0.563_600_385_974_335;

    #[test]
    fn huge_logits_give_finite_losses_and_slopes() {
        for z in [[300.0, -300.0, 0.0], [-1e30, 1e30, 0.0]] {
            let (value, slope) = value_and_slope(
                &Loss::CrossEntropy(smooth()),
                &[1, 4],
                &[&[7.0], &z[..]].concat(),
                &[0.0, 1.0],
            );
            assert!(
                value.is_finite() && slope.iter().all(|s| s.is_finite()),
                "{value} {slope:?}"
            );
        }
    }

    #[test]
    fn only_whole_numbers_below_the_number_of_classes_are_classes() {
        let loss = CrossEntropy::new(NAMES);
        assert_eq!([0.0, 2.0].map(|y| loss.class_of(y)), [Some(0), Some(2)]);
        assert_eq!([-1.0, 3.0, 0.5, f64::NAN].map(|y| loss.class_of(y)), [None; 4]);
    }

    #[test]
    fn names_are_needed_and_differ() {
        for names in [vec![], vec!["a"], vec!["a", "a"], vec!["a", ""]] {
            assert!(CrossEntropy::new(names).validate().is_err());
        }
        let wrong = CrossEntropy {
            class_weights: vec![1.0],
            ..CrossEntropy::new(NAMES)
        };
        let text = wrong.validate().unwrap_err().to_string();
        assert_eq!(
            text,
            "loss.cross_entropy.class_weights: expected one positive weight per class, or none, found [1.0]"
        );
    }
}
