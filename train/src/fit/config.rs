//! The configuration of a fit, as it stands in a TOML file.

use crate::losses::Loss;
use crate::metrics::scores::Scores;
use crate::ops::product::Compute;
use crate::optim::adamw::AdamWConfig;
use crate::optim::schedule::ScheduleConfig;
use serde::{Deserialize, Serialize};

/// Everything about a fit besides net and data. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitConfig {
    /// Passes over the training windows, at most.
    pub epochs: usize,
    /// Windows per optimiser step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Learning rate: constant, start or peak, as the schedule says.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Whether biases and gains decay too, as in `PyTorch`.
    pub decay_vectors: bool,
    /// Largest norm over all gradients; absent for no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Learning rate over the run.
    pub schedule: ScheduleConfig,
    /// Epochs without improvement of the monitored metric before training stops; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Improvement that counts.
    pub min_delta: f64,
    /// What is minimised.
    pub loss: Loss,
    /// What decides about the best weights, early stopping and the plateau schedule.
    pub monitor: Monitor,
    /// Weight of the positive class in the binary loss.
    pub pos_weight: PosWeight,
    /// Seed of start values, shuffles and dropout.
    pub seed: u64,
    /// Whether windows are shuffled every epoch.
    pub shuffle: bool,
    /// Threads; the result does not depend on it.
    pub threads: usize,
    /// Parts a batch is split into at least, when each keeps 8 windows; the bits of the result depend on it.
    pub shards: usize,
    /// Representation of the operands of products.
    pub compute: Compute,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch: 64,
            lr: 1e-3,
            weight_decay: 1e-4,
            decay_vectors: true,
            clip_norm: Some(1.0),
            schedule: ScheduleConfig::Constant,
            patience: Some(5),
            min_delta: 0.0,
            loss: Loss::default(),
            monitor: Monitor::ValidLoss,
            pos_weight: PosWeight::Value(1.0),
            seed: 42,
            shuffle: true,
            threads: 1,
            shards: 2,
            compute: Compute::F32,
        }
    }
}

impl FitConfig {
    /// Checks ranges.
    ///
    /// # Errors
    /// The first key out of range, with what was expected and found.
    pub fn validate(&self) -> Result<(), String> {
        for (key, found) in [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("threads", self.threads),
            ("shards", self.shards),
            ("patience", self.patience.unwrap_or(1)),
        ] {
            if found == 0 {
                return Err(format!("{key}: expected 1 or more, found 0"));
            }
        }
        let positive = |key: &str, x: f64| {
            let fine = x > 0.0 && x.is_finite();
            fine.then_some(())
                .ok_or_else(|| format!("{key}: expected a positive number, found {x}"))
        };
        positive("lr", self.lr)?;
        positive("clip_norm", self.clip_norm.unwrap_or(1.0))?;
        if let PosWeight::Value(weight) = self.pos_weight {
            positive("pos_weight", weight)?;
        }
        for (key, x) in [("weight_decay", self.weight_decay), ("min_delta", self.min_delta)] {
            if !(x >= 0.0 && x.is_finite()) {
                return Err(format!("{key}: expected 0 or more, found {x}"));
            }
        }
        self.validate_loss()?;
        self.schedule.validate()
    }

    fn validate_loss(&self) -> Result<(), String> {
        self.loss.validate().map_err(|e| e.to_string())?;
        if !matches!(self.loss, Loss::Bce(_)) && self.pos_weight != PosWeight::Value(1.0) {
            let name = self.loss.name();
            return Err(format!(
                "pos_weight: expected none with the loss {name}, found {:?}",
                self.pos_weight
            ));
        }
        if !self.monitor.fits(&self.loss) {
            let (monitor, loss) = (self.monitor.name(), self.loss.name());
            return Err(format!(
                "monitor: expected a metric of the loss {loss}, found {monitor}"
            ));
        }
        Ok(())
    }

    /// Constants of the optimiser.
    #[must_use]
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            weight_decay: self.weight_decay,
            decay_vectors: self.decay_vectors,
            ..AdamWConfig::default()
        }
    }

    /// The keys that shape the result: all but `threads`. A run resumes only with the same ones.
    ///
    /// # Panics
    /// Never: the configuration holds numbers, strings and options only.
    #[must_use]
    pub fn identity(&self) -> serde_json::Map<String, serde_json::Value> {
        let value = serde_json::to_value(self).expect("plain data");
        let mut keys = value.as_object().cloned().unwrap_or_default();
        keys.remove("threads");
        keys
    }
}

/// Weight of the positive class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PosWeight {
    /// This number.
    Value(f64),
    /// A word.
    Rule(PosWeightRule),
}

/// How the weight of the positive class is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosWeightRule {
    /// Negatives over positives of the training set.
    Balanced,
}

/// Metric of the validation set that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The training loss, with its `pos_weight`; smaller is better.
    ValidLoss,
    /// Unweighted log-loss; smaller is better.
    LogLoss,
    /// Brier score; smaller is better.
    Brier,
    /// Accuracy of a probability or of classes; larger is better.
    Accuracy,
    /// Area under the ROC curve; larger is better.
    Auc,
    /// Unweighted cross-entropy of classes; smaller is better.
    CrossEntropy,
    /// Mean pinball loss, factor 1; smaller is better.
    Pinball,
    /// Mean distance of coverages from their levels; smaller is better.
    CalibrationError,
    /// Negative log-likelihood of a Gaussian; smaller is better.
    Nll,
    /// Sharpe ratio of the portfolio's series, one return per date; larger is better.
    DailySharpe,
}

impl Monitor {
    /// Direction.
    #[must_use]
    pub fn larger_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::Auc | Self::DailySharpe)
    }

    /// Whether `loss` reads what the metric is of.
    #[must_use]
    pub fn fits(self, loss: &Loss) -> bool {
        let has = |kind: &str| loss.parts().iter().any(|(_, part)| part.name() == kind);
        match self {
            Self::ValidLoss => true,
            Self::LogLoss | Self::Auc => has("bce"),
            Self::Brier | Self::Accuracy => has("bce") || has("cross_entropy"),
            Self::CrossEntropy => has("cross_entropy"),
            Self::Pinball | Self::CalibrationError => has("pinball"),
            Self::Nll => has("gaussian_nll"),
            Self::DailySharpe => has("sharpe"),
        }
    }

    /// The value; absent for an AUC of one label, for a Sharpe ratio of equal returns, and where the loss reads nothing of the
    /// kind.
    #[must_use]
    pub fn value(self, valid_loss: f64, scores: &Scores) -> Option<f64> {
        let (binary, classes) = (scores.binary.as_ref(), scores.classes.as_ref());
        let (quantiles, portfolio) = (scores.quantiles.as_ref(), scores.portfolio.as_ref());
        match self {
            Self::ValidLoss => Some(valid_loss),
            Self::LogLoss => binary.map(|m| m.log_loss),
            Self::Brier => binary.map(|m| m.brier).or(classes.map(|m| m.brier)),
            Self::Accuracy => binary.map(|m| m.accuracy).or(classes.map(|m| m.accuracy)),
            Self::Auc => binary.and_then(|m| m.auc),
            Self::CrossEntropy => classes.map(|m| m.cross_entropy),
            Self::Pinball => quantiles.map(|m| m.pinball),
            Self::CalibrationError => quantiles.map(|m| m.calibration_error),
            Self::Nll => scores.gaussian.as_ref().map(|m| m.nll),
            Self::DailySharpe => portfolio.and_then(|m| m.sharpe),
        }
    }

    /// Name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidLoss => "valid_loss",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::Accuracy => "accuracy",
            Self::Auc => "auc",
            Self::CrossEntropy => "cross_entropy",
            Self::Pinball => "pinball",
            Self::CalibrationError => "calibration_error",
            Self::Nll => "nll",
            Self::DailySharpe => "daily_sharpe",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names_and_nothing_else() {
        let text = "epochs = 3\npos_weight = \"balanced\"\ncompute = \"bf16\"\nmonitor = \"auc\"\n\
                    schedule = { kind = \"cosine\", warmup_steps = 10 }";
        let config: FitConfig = toml::from_str(text).unwrap();
        assert_eq!(config.epochs, 3);
        assert_eq!(config.pos_weight, PosWeight::Rule(PosWeightRule::Balanced));
        assert_eq!((config.compute, config.batch), (Compute::Bf16, 64));
        assert!(config.validate().is_ok());
    }

    #[test]
    fn unknown_keys_and_words_are_refused() {
        for text in [
            "epoch = 3",
            "monitor = \"sharpe\"",
            "pos_weight = \"heavy\"",
            "compute = \"f16\"",
        ] {
            assert!(toml::from_str::<FitConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        for (text, key) in [
            ("batch = 0", "batch"),
            ("lr = -1.0", "lr"),
            ("weight_decay = -0.1", "weight_decay"),
            ("pos_weight = 0.0", "pos_weight"),
            ("clip_norm = 0.0", "clip_norm"),
        ] {
            let config: FitConfig = toml::from_str(text).unwrap();
            assert!(config.validate().unwrap_err().starts_with(key), "{text}");
        }
    }

    #[test]
    fn a_metric_that_the_loss_says_nothing_of_is_refused() {
        let with = |rest: &str| {
            let text = format!("loss = {{ kind = \"pinball\", levels = [0.1, 0.9] }}\n{rest}");
            toml::from_str::<FitConfig>(&text).unwrap().validate()
        };
        for monitor in ["valid_loss", "pinball", "calibration_error"] {
            assert_eq!(with(&format!("monitor = \"{monitor}\"")), Ok(()));
        }
        assert_eq!(
            with("monitor = \"auc\"").unwrap_err(),
            "monitor: expected a metric of the loss pinball, found auc"
        );
        assert!(
            with("pos_weight = 2.0")
                .unwrap_err()
                .starts_with("pos_weight: expected none")
        );
        let text = "loss = { kind = \"pinball\", levels = [0.9, 0.1] }";
        let error = toml::from_str::<FitConfig>(text).unwrap().validate().unwrap_err();
        assert!(error.starts_with("loss.pinball.levels"), "{error}");
    }

    #[test]
    fn threads_are_no_part_of_the_identity() {
        let (one, two) = (
            FitConfig::default(),
            FitConfig {
                threads: 2,
                ..FitConfig::default()
            },
        );
        assert_eq!(one.identity(), two.identity());
        let other = FitConfig {
            lr: 2e-3,
            ..FitConfig::default()
        };
        assert_ne!(one.identity(), other.identity());
    }
}
