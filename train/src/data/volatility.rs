//! Ex-ante volatility: exponentially weighted deviation of returns, the unit of scaled labels.
//!
//! pandas `ewm(span, min_periods=span).std()`: weights `(1 - α)^(t - i)`, `α = 2/(span + 1)`,
//! `var = Σw(x - m)²/Σw · (Σw)²/((Σw)² - Σw²)`, here by a weighted Welford recursion. The value of a row knows the returns up to
//! that row and none after it.

/// Span of the momentum papers.
pub const SPAN: usize = 60;

/// Exponentially weighted deviation, one value after another.
#[derive(Debug, Clone)]
pub struct Volatility {
    keep: f64,
    min_periods: usize,
    count: usize,
    mean: f64,
    /// `Σw`, `Σw²`, `Σw(x - m)²`.
    weights: f64,
    squares: f64,
    spread: f64,
}

impl Volatility {
    /// With `α = 2/(span + 1)`, silent before `span` values.
    #[must_use]
    pub fn new(span: usize) -> Self {
        Self {
            keep: 1.0 - 2.0 / (span as f64 + 1.0),
            min_periods: span.max(2),
            count: 0,
            mean: 0.0,
            weights: 0.0,
            squares: 0.0,
            spread: 0.0,
        }
    }

    /// Takes the next value; the deviation with it, once there are enough and they vary.
    pub fn push(&mut self, x: f64) -> Option<f64> {
        self.count += 1;
        self.weights = self.keep * self.weights + 1.0;
        self.squares = self.keep * self.keep * self.squares + 1.0;
        let d = x - self.mean;
        self.mean += d / self.weights;
        self.spread = self.keep * self.spread + d * (x - self.mean);
        if self.count < self.min_periods {
            return None;
        }
        let unbiased = self.weights / (self.weights * self.weights - self.squares);
        let deviation = (self.spread * unbiased).sqrt();
        (deviation > 0.0 && deviation.is_finite()).then_some(deviation)
    }
}

/// Volatility of every row from the closing prices of one stretch of bars; absent where returns are too few or do not vary.
#[must_use]
pub fn of_closes(closes: &[f64], span: usize) -> Vec<Option<f64>> {
    let mut volatility = Volatility::new(span);
    let returns = closes.windows(2).map(|pair| pair[1] / pair[0] - 1.0);
    let first = (!closes.is_empty()).then_some(None);
    first
        .into_iter()
        .chain(returns.map(|r| volatility.push(r)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_the_formula(x: &[f64], span: usize) -> f64 {
        let alpha = 2.0 / (span as f64 + 1.0);
        let w: Vec<f64> = (0..x.len())
            .rev()
            .map(|age| (1.0 - alpha).powi(age as i32))
            .collect();
        let sum: f64 = w.iter().sum();
        let mean = w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() / sum;
        let spread = w.iter().zip(x).map(|(w, x)| w * (x - mean).powi(2)).sum::<f64>() / sum;
        let squares: f64 = w.iter().map(|w| w * w).sum();
        (spread * sum * sum / (sum * sum - squares)).sqrt()
    }

    #[test]
    fn values_are_those_of_pandas() {
        // pandas.Series([0.01, -0.02, 0.015, 0.0, 0.03]).ewm(span=3, min_periods=3).std()
        let mut volatility = Volatility::new(3);
        let found: Vec<_> = [0.01, -0.02, 0.015, 0.0, 0.03]
            .map(|r| volatility.push(r))
            .to_vec();
        let expected = [None, None, Some(PANDAS[0]), Some(PANDAS[1]), Some(PANDAS[2])];
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.is_some(), expected.is_some());
            assert!(
                (found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-15,
                "{found:?} {expected:?}"
            );
        }
    }

    const PANDAS: [f64; 3] = [
        0.020_441_554_316_077_408,
        0.013_653_884_847_491_993,
        0.019_760_664_740_026_888,
    ];

    #[test]
    fn prices_that_stand_still_have_none() {
        assert_eq!(of_closes(&[5.0; 10], 3), vec![None; 10]);
        assert_eq!(of_closes(&[], 3), vec![]);
        assert_eq!(
            of_closes(&[5.0, 6.0], 1),
            [None, None],
            "one return has no deviation"
        );
    }

    proptest! {
        #[test]
        fn the_recursion_is_the_formula(x in prop::collection::vec(-0.1..0.1f64, 4..80), span in 2..30usize) {
            let mut volatility = Volatility::new(span);
            for (i, x_i) in x.iter().enumerate() {
                let found = volatility.push(*x_i);
                prop_assert_eq!(found.is_some(), i + 1 >= span);
                if let Some(found) = found {
                    let expected = by_the_formula(&x[..=i], span);
                    prop_assert!((found - expected).abs() <= 1e-9 * expected + 1e-15, "{} {}", found, expected);
                }
            }
        }

        #[test]
        fn a_row_knows_nothing_of_later_closes(at in 5..30usize, factor in 0.5..2.0f64) {
            let closes: Vec<f64> = (0..40).map(|i| 100.0 + f64::from(i * 7 % 11)).collect();
            let mut later = closes.clone();
            later[at + 1..].iter_mut().for_each(|c| *c *= factor);
            prop_assert_eq!(&of_closes(&closes, 4)[..=at], &of_closes(&later, 4)[..=at]);
        }
    }
}
