//! Whether different windows get different answers.
//!
//! A net whose inputs are squeezed to the same values by a common scaler answers all symbols alike, to the last printed digit,
//! while every score may still look usual.

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Share of different inputs with an answer that another got too, above which answers count as degenerate.
///
/// Chance alone makes a single f32 between 0.45 and 0.55 the same for about one in a thousand of a few thousand windows.
pub const SHARED_ABOVE: f64 = 0.1;

/// How many different inputs got how many different answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sameness {
    /// Different inputs.
    pub n_inputs: usize,
    /// Different answers.
    pub n_answers: usize,
    /// Share of the different inputs whose answer another input got too; 0 without inputs.
    pub shared: f64,
}

impl Sameness {
    /// Whether more inputs than [`SHARED_ABOVE`] share their answer.
    #[must_use]
    pub fn is_degenerate(&self) -> bool {
        self.shared > SHARED_ABOVE
    }
}

/// Collects windows with their answers; keeps hashes only.
#[derive(Debug, Clone, Default)]
pub struct Compare {
    /// Decimals to which answers are compared; absent for their bits.
    digits: Option<i32>,
    by_answer: HashMap<u64, HashSet<u64>>,
}

impl Compare {
    /// Compares the bits of answers.
    #[must_use]
    pub fn bits() -> Self {
        Self::default()
    }

    /// Compares answers to so many decimals, as people read them.
    #[must_use]
    pub fn decimals(digits: i32) -> Self {
        Self {
            digits: Some(digits),
            ..Self::default()
        }
    }

    /// Takes a window and its answer.
    pub fn add(&mut self, input: &[f32], answer: &[f32]) {
        let unit = self.digits.map(|digits| 10f64.powi(digits));
        let value = |x: &f32| match unit {
            Some(unit) => (f64::from(*x) * unit).round() + 0.0,
            None => f64::from(*x) + 0.0,
        };
        let answer = hash(answer.iter().map(value));
        let input = hash(input.iter().map(|x| f64::from(*x) + 0.0));
        self.by_answer.entry(answer).or_default().insert(input);
    }

    /// What was found so far.
    #[must_use]
    pub fn sameness(&self) -> Sameness {
        let groups = || self.by_answer.values().map(HashSet::len);
        let (n_inputs, shared): (usize, usize) = (groups().sum(), groups().filter(|n| *n > 1).sum());
        Sameness {
            n_inputs,
            n_answers: self.by_answer.len(),
            shared: shared as f64 / n_inputs.max(1) as f64,
        }
    }
}

/// Hash of values; callers add zero, which makes the two zeros one.
fn hash(values: impl Iterator<Item = f64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.for_each(|x| x.to_bits().hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mut compare: Compare, rows: &[(f32, f32)]) -> Sameness {
        rows.iter().for_each(|(x, y)| compare.add(&[*x], &[*y]));
        compare.sameness()
    }

    #[test]
    fn different_inputs_with_different_answers_are_fine() {
        let same = of(Compare::bits(), &[(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]);
        assert_eq!((same.n_inputs, same.n_answers, same.shared), (3, 3, 0.0));
        assert!(!same.is_degenerate());
    }

    #[test]
    fn answers_equal_to_six_digits_for_other_inputs_are_found() {
        let rows = [(1.0, 0.7), (2.0, 0.700_000_06), (3.0, 0.5), (4.0, 0.6)];
        let same = of(Compare::decimals(6), &rows);
        assert_eq!((same.n_answers, same.shared), (3, 0.5));
        assert!(same.is_degenerate());
        assert!(!of(Compare::bits(), &rows).is_degenerate());
    }

    #[test]
    fn equal_inputs_may_have_equal_answers() {
        let same = of(Compare::bits(), &[(1.0, 0.7), (1.0, 0.7), (2.0, 0.5)]);
        assert_eq!((same.n_inputs, same.shared), (2, 0.0));
        assert_eq!(of(Compare::bits(), &[(0.0, 0.7), (-0.0, 0.7)]).n_inputs, 1);
        assert_eq!(Compare::bits().sameness().shared, 0.0);
    }
}
