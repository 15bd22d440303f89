//! Unbiased draws from a keyed stream.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::HashSet;

/// Uniform below `n` without bias (Lemire 2019).
pub(crate) fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    let threshold = n.wrapping_neg() % n;
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(n);
        if wide as u64 >= threshold {
            return (wide >> 64) as u64;
        }
    }
}

/// Fisher-Yates shuffle.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, values: &mut [T]) {
    for i in (1..values.len()).rev() {
        values.swap(i, below(rng, i as u64 + 1) as usize);
    }
}

/// `wanted` different numbers below `total` in random order; each set is equally likely (Floyd's method).
///
/// # Panics
/// When there are not so many.
pub(crate) fn distinct(rng: &mut ChaCha8Rng, total: usize, wanted: usize) -> Vec<usize> {
    assert!(wanted <= total, "{wanted} different numbers below {total}");
    let (mut seen, mut drawn) = (HashSet::with_capacity(wanted), Vec::with_capacity(wanted));
    for limit in total - wanted..total {
        let number = below(rng, limit as u64 + 1) as usize;
        let number = if seen.contains(&number) { limit } else { number };
        seen.insert(number);
        drawn.push(number);
    }
    shuffle(rng, &mut drawn);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn distinct_numbers_are_distinct_and_every_one_is_as_likely() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0usize; 10];
        for _ in 0..20_000 {
            let drawn = distinct(&mut rng, 10, 4);
            assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 4);
            drawn.iter().for_each(|&n| counts[n] += 1);
        }
        // 8000 expected, deviation √(20000 · 0.4 · 0.6) = 69.
        assert!(counts.iter().all(|n| n.abs_diff(8000) < 350), "{counts:?}");
    }

    #[test]
    fn all_numbers_are_drawn_when_all_are_wanted() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut drawn = distinct(&mut rng, 6, 6);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1, 2, 3, 4, 5]);
        assert!(distinct(&mut rng, 3, 0).is_empty());
    }
}
