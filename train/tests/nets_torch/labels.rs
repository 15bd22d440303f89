//! The losses of the fixtures as plain functions of a net's answers, and their slopes by central differences in f64.
//!
//! The nets answer `[steps, batch, columns]`, position first and before its tanh; each formula stands in the metadata of its file.

use std::f64::consts::PI;

const LEVELS_3: [f64; 3] = [0.1, 0.5, 0.9];
const LEVELS_13: [f64; 13] = [
    0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99,
];
const BURN_IN: usize = 4;

/// The labels of a batch and the shape of its answers.
pub(crate) struct Labels {
    pub(crate) batch: usize,
    pub(crate) n_columns: usize,
    /// `[batch, n]`.
    pub(crate) y: Vec<f64>,
}

/// Answers with their labels.
struct Answers<'a> {
    out: &'a [f64],
    labels: &'a Labels,
}

impl Answers<'_> {
    fn steps(&self) -> usize {
        self.out.len() / (self.labels.batch * self.labels.n_columns)
    }

    fn row(&self, t: usize, b: usize) -> &[f64] {
        &self.out[(t * self.labels.batch + b) * self.labels.n_columns..][..self.labels.n_columns]
    }

    fn y(&self, b: usize, k: usize) -> f64 {
        self.labels.y[b * (self.labels.y.len() / self.labels.batch) + k]
    }

    /// The mean over rows of all steps from `first` on, of a function of the row and its label.
    fn mean(&self, first: usize, term: impl Fn(&[f64], f64) -> f64) -> f64 {
        let mut sum = 0.0;
        for t in first..self.steps() {
            for b in 0..self.labels.batch {
                sum += term(self.row(t, b), self.y(b, t));
            }
        }
        sum / ((self.steps() - first) * self.labels.batch) as f64
    }

    /// The negative annual Sharpe ratio of `z y`, population variance, epsilon inside the root.
    fn sharpe(&self, first: usize) -> f64 {
        let mean = self.mean(first, |row, y| row[0].tanh() * y);
        let square = self.mean(first, |row, y| (row[0].tanh() * y).powi(2));
        -252f64.sqrt() * mean / (square - mean * mean + 1e-9).sqrt()
    }

    /// The same of the last step with a given position, sample deviation.
    fn last_sharpe(&self, position: impl Fn(&[f64]) -> f64) -> f64 {
        let n = self.labels.batch as f64;
        let returns: Vec<f64> = (0..self.labels.batch)
            .map(|b| position(self.row(0, b)) * self.y(b, 0))
            .collect();
        let mean = returns.iter().sum::<f64>() / n;
        let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!(variance.sqrt() > 1e-8, "the other branch of the loss");
        -252f64.sqrt() * mean / variance.sqrt()
    }

    fn class_and_quantiles(&self) -> f64 {
        let entropy = |b| {
            let logits = &self.row(0, b)[..3];
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            sum.ln() - logits[self.y(b, 0) as usize]
        };
        let quantiles = |b| pinball(&LEVELS_3, &self.row(0, b)[3..], self.y(b, 1)) / 3.0;
        let terms = (0..self.labels.batch).map(|b| entropy(b) + 0.5 * quantiles(b));
        terms.sum::<f64>() / self.labels.batch as f64
    }
}

/// `Σ_q max(q e, (q - 1) e)`, `e = y - yhat_q`.
pub(crate) fn pinball(levels: &[f64], quantiles: &[f64], y: f64) -> f64 {
    let terms = levels.iter().zip(quantiles).map(|(q, yhat)| {
        let e = y - yhat;
        (q * e).max((q - 1.0) * e)
    });
    terms.sum()
}

pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn gaussian(mu: f64, sigma: f64, y: f64) -> f64 {
    sigma.ln() + 0.5 * ((y - mu) / sigma).powi(2)
}

/// `2 Φ(x) - 1 = erf(x / √2)` by its power series.
fn twice_phi(x: f64) -> f64 {
    assert!(x.abs() < 6.0, "the series is for small arguments, found {x}");
    let z = x / 2f64.sqrt();
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    2.0 / PI.sqrt() * sum
}

/// The loss called `name`.
pub(crate) fn loss(name: &str, out: &[f64], labels: &Labels) -> f64 {
    let answers = Answers { out, labels };
    let softplus_sigma = |row: &[f64]| softplus(row[2]) + 1e-6;
    match name {
        "class_and_quantiles" => answers.class_and_quantiles(),
        "pinball_sum" => answers.mean(0, |row, y| pinball(&LEVELS_3, row, y)),
        "pinball_doubled" => 2.0 * answers.mean(0, |row, y| pinball(&LEVELS_3, row, y)) / 3.0,
        "momentum_sharpe" => answers.sharpe(0),
        "position_sharpe" => answers.sharpe(BURN_IN),
        "gaussian_joint" => {
            let nll = answers.mean(BURN_IN, |row, y| gaussian(row[1], softplus_sigma(row), y));
            nll + answers.sharpe(BURN_IN)
        }
        "quantile_joint" => {
            let quantiles = answers.mean(BURN_IN, |row, y| pinball(&LEVELS_13, &row[1..], y));
            5.0 * quantiles / 13.0 + answers.sharpe(BURN_IN)
        }
        "last_step_sharpe" => answers.last_sharpe(|row| row[0].tanh()),
        "shared_joint" => {
            let sigma = |row: &[f64]| row[2].exp().max(1e-6);
            let nll = answers.mean(0, |row, y| gaussian(row[1], sigma(row), y));
            0.1 * nll + answers.last_sharpe(|row| twice_phi(row[1] / sigma(row)))
        }
        other => panic!("no loss `{other}`"),
    }
}

/// `dL/dout` by central differences.
pub(crate) fn slopes(out: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut moved = out.to_vec();
    let mut slope = |k: usize| {
        let step = 1e-5 * out[k].abs().max(1.0);
        moved[k] = out[k] + step;
        let above = loss(&moved);
        moved[k] = out[k] - step;
        let below = loss(&moved);
        moved[k] = out[k];
        (above - below) / (2.0 * step)
    };
    (0..out.len()).map(&mut slope).collect()
}
