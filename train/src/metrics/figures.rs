//! The figures that people look at first, of every kind of score, each beside what a forecaster without skill reaches.

use super::Degenerate;
use super::scores::Scores;
use crate::card::Better;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Its name; the key it has in a model card.
    pub name: &'static str,
    /// The value.
    pub value: f64,
    /// Which direction is better.
    pub better: Better,
    /// What a constant reaches, and what constant that is; absent where nothing but perfection compares.
    pub baseline: Option<(f64, String)>,
}

impl Measured {
    fn new(name: &'static str, value: f64, better: Better) -> Self {
        Self {
            name,
            value,
            better,
            baseline: None,
        }
    }

    fn beside(self, value: f64, what: impl Into<String>) -> Self {
        Self {
            baseline: Some((value, what.into())),
            ..self
        }
    }

    /// Whether the figure is better than its baseline.
    #[must_use]
    pub fn beats(&self) -> Option<bool> {
        let (base, _) = self.baseline.as_ref()?;
        Some(match self.better {
            Better::Higher => self.value > *base,
            Better::Lower => self.value < *base,
        })
    }
}

/// How many answers were scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Answers.
    pub n: usize,
    /// Independent ones among them: labels that overlap in time count once.
    pub n_effective: f64,
}

impl Scores {
    /// Size of the sample that all figures belong to.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        let binary = self.binary.as_ref().map(|m| (m.n, m.n_effective));
        let classes = self.classes.as_ref().map(|m| (m.n, m.n_effective));
        let quantiles = self.quantiles.as_ref().map(|m| (m.n, m.n_effective));
        let gaussian = self.gaussian.as_ref().map(|m| (m.n, m.n_effective));
        let portfolio = self.portfolio.as_ref().map(|m| (m.n, m.n_dates as f64));
        let found = binary.or(classes).or(quantiles).or(gaussian).or(portfolio);
        found.map(|(n, n_effective)| Sample { n, n_effective })
    }

    /// The figures.
    #[must_use]
    pub fn figures(&self) -> Vec<Measured> {
        let kinds = [
            self.of_binary(),
            self.of_classes(),
            self.of_quantiles(),
            self.of_gaussian(),
            self.of_portfolio(),
        ];
        kinds.into_iter().flatten().flatten().collect()
    }

    fn of_binary(&self) -> Option<Vec<Measured>> {
        let m = self.binary.as_ref()?;
        let constant = format!("constant training base rate {:.4}", m.train_rate);
        let auc = m
            .auc
            .map(|auc| Measured::new("auc", auc, Better::Higher).beside(0.5, "chance level"));
        let all = [
            Measured::new("accuracy", m.accuracy, Better::Higher).beside(m.majority_rate, "majority rate"),
            Measured::new("log_loss", m.log_loss, Better::Lower).beside(m.base_log_loss, &constant),
            Measured::new("brier", m.brier, Better::Lower).beside(m.base_brier, &constant),
            Measured::new("ece", m.ece, Better::Lower),
        ];
        Some(all.into_iter().chain(auc).collect())
    }

    fn of_classes(&self) -> Option<Vec<Measured>> {
        let m = self.classes.as_ref()?;
        let shares = "class shares of the training labels";
        Some(vec![
            Measured::new("accuracy", m.accuracy, Better::Higher).beside(m.majority_rate, "majority rate"),
            Measured::new("log_loss", m.cross_entropy, Better::Lower).beside(m.base_cross_entropy, shares),
            Measured::new("brier", m.brier, Better::Lower).beside(m.base_brier, shares),
        ])
    }

    fn of_quantiles(&self) -> Option<Vec<Measured>> {
        let m = self.quantiles.as_ref()?;
        Some(vec![
            Measured::new("pinball", m.pinball, Better::Lower)
                .beside(m.base_pinball, "quantiles of the training labels"),
            Measured::new("coverage_error", m.calibration_error, Better::Lower),
            Measured::new("crossing_rate", m.crossing_rate, Better::Lower),
        ])
    }

    fn of_gaussian(&self) -> Option<Vec<Measured>> {
        let m = self.gaussian.as_ref()?;
        let nll = Measured::new("nll", m.nll, Better::Lower);
        Some(vec![match m.base_nll {
            Some(base) => nll.beside(base, "mean and deviation of the training labels"),
            None => nll,
        }])
    }

    fn of_portfolio(&self) -> Option<Vec<Measured>> {
        let m = self.portfolio.as_ref()?;
        let sharpe = m.sharpe.map(|sharpe| {
            let figure = Measured::new("sharpe", sharpe, Better::Higher);
            match m.hold_sharpe {
                Some(hold) => figure.beside(hold, "always long, before costs"),
                None => figure,
            }
        });
        let hit =
            Measured::new("hit_rate", m.hit_rate, Better::Higher).beside(m.hold_hit_rate, "always long");
        let drawdown = Measured::new("drawdown", m.drawdown, Better::Lower);
        Some(sharpe.into_iter().chain([hit, drawdown]).collect())
    }

    /// Signs of a degenerate forecaster, each once.
    #[must_use]
    pub fn warnings(&self) -> Vec<Degenerate> {
        let mut found = self.degenerate();
        let mut seen = Vec::new();
        found.retain(|sign| {
            let is_new = !seen.contains(sign);
            seen.push(*sign);
            is_new
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::pinball::Pinball;
    use crate::losses::{Answers, Loss};
    use crate::metrics::scores::{Baselines, Context};

    fn quantiles() -> Scores {
        let loss = Loss::Pinball(Pinball::new([0.5]));
        let answers = Answers::new(&[1, 3, 1], vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 3.0]);
        let baselines = Baselines {
            quantiles: vec![1.0],
            ..Baselines::default()
        };
        let context = Context {
            train_rate: 0.5,
            baselines: &baselines,
            horizon: 1,
            dates: &[1, 2, 3],
        };
        Scores::of(&loss, &answers, context)
    }

    #[test]
    fn a_figure_stands_beside_its_baseline_and_says_who_wins() {
        let scores = quantiles();
        let pinball = &scores.figures()[0];
        assert_eq!((pinball.name, pinball.beats()), ("pinball", Some(true)));
        assert!((pinball.value - 0.5 / 3.0).abs() < 1e-15);
        assert!((pinball.baseline.as_ref().unwrap().0 - 0.5).abs() < 1e-15);
        assert_eq!(scores.sample().unwrap().n, 3);
    }

    #[test]
    fn a_sign_of_all_kinds_is_told_once() {
        let mut scores = quantiles();
        scores.mark(Degenerate::Shared);
        scores.mark(Degenerate::Shared);
        assert_eq!(scores.warnings(), [Degenerate::Shared]);
        assert!(scores.figures()[1].beats().is_none());
    }
}
