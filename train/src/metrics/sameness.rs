//! Whether different windows get different answers.
//!
//! A net whose inputs are squeezed to the same values by a common scaler answers all symbols alike, to the last printed digit,
//! while every score may still look usual.

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Share of windows with an answer that other inputs got too, above which answers count as degenerate.
pub const SHARED_ABOVE: f64 = 0.01;

/// How many different inputs got how many different answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sameness {
    /// Windows.
    pub n: usize,
    /// Different inputs.
    pub n_inputs: usize,
    /// Different answers, rounded to the digits asked for.
    pub n_answers: usize,
    /// Share of the different inputs whose answer another input got too.
    pub shared: f64,
}

impl Sameness {
    /// Compares `inputs [n, ..]` with `answers [n, ..]`; answers count as equal when they agree to `digits` decimals.
    ///
    /// # Panics
    /// When there are no windows, or `n` does not divide both.
    #[must_use]
    pub fn of(n: usize, inputs: &[f32], answers: &[f32], digits: i32) -> Self {
        assert!(
            n > 0 && inputs.len().is_multiple_of(n) && answers.len().is_multiple_of(n),
            "{n} windows with {} inputs and {} answers",
            inputs.len(),
            answers.len()
        );
        let (width, columns) = (inputs.len() / n, answers.len() / n);
        let unit = 10f64.powi(digits);
        let rounded = |x: &f32| (f64::from(*x) * unit).round().to_bits();
        let mut by_answer: HashMap<Vec<u64>, HashSet<Vec<u32>>> = HashMap::new();
        for i in 0..n {
            let answer = answers[i * columns..(i + 1) * columns]
                .iter()
                .map(rounded)
                .collect();
            // Adding zero makes the two zeros one.
            let input = inputs[i * width..(i + 1) * width]
                .iter()
                .map(|x| (x + 0.0).to_bits())
                .collect();
            by_answer.entry(answer).or_default().insert(input);
        }
        let n_inputs: usize = by_answer.values().map(HashSet::len).sum();
        let shared: usize = by_answer.values().map(HashSet::len).filter(|n| *n > 1).sum();
        Self {
            n,
            n_inputs,
            n_answers: by_answer.len(),
            shared: shared as f64 / n_inputs as f64,
        }
    }

    /// Whether more inputs than [`SHARED_ABOVE`] share their answer.
    #[must_use]
    pub fn is_degenerate(&self) -> bool {
        self.shared > SHARED_ABOVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_inputs_with_different_answers_are_fine() {
        let same = Sameness::of(3, &[1.0, 2.0, 3.0], &[0.1, 0.2, 0.3], 6);
        assert_eq!((same.n_inputs, same.n_answers, same.shared), (3, 3, 0.0));
        assert!(!same.is_degenerate());
    }

    #[test]
    fn answers_equal_to_six_digits_for_other_inputs_are_found() {
        let same = Sameness::of(4, &[1.0, 2.0, 3.0, 4.0], &[0.7, 0.700_000_06, 0.5, 0.6], 6);
        assert_eq!((same.n_answers, same.shared), (3, 0.5));
        assert!(same.is_degenerate());
    }

    #[test]
    fn equal_inputs_may_have_equal_answers() {
        let same = Sameness::of(3, &[1.0, 1.0, 2.0], &[0.7, 0.7, 0.5], 6);
        assert_eq!((same.n_inputs, same.shared), (2, 0.0));
        let zeros = Sameness::of(2, &[0.0, -0.0], &[0.7, 0.7], 6);
        assert_eq!(zeros.n_inputs, 1);
    }
}
