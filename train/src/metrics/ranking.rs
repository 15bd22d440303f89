//! Area under the ROC curve, exact, by ranks: `AUC = (R₊ - n₊(n₊ + 1)/2) / (n₊ n₋)` with mean ranks for ties (Mann-Whitney).

/// Probability that a random positive scores above a random negative, ties counted half; nothing when a class is missing or
/// a score is NaN.
///
/// # Panics
/// When there is not one label per score.
#[must_use]
pub fn auc(scores: &[f64], labels: &[f32]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "labels of the scores");
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let n_positive = labels.iter().filter(|&&y| y >= 0.5).count();
    let n_negative = labels.len() - n_positive;
    if n_positive == 0 || n_negative == 0 || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let (mut rank_sum, mut first) = (0.0, 0);
    for ties in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let mean_rank = first as f64 + (ties.len() + 1) as f64 / 2.0;
        rank_sum += mean_rank * ties.iter().filter(|&&i| labels[i] >= 0.5).count() as f64;
        first += ties.len();
    }
    let (p, q) = (n_positive as f64, n_negative as f64);
    Some((rank_sum - p * (p + 1.0) / 2.0) / (p * q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_pairs(scores: &[f64], labels: &[f32]) -> f64 {
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (a, _) in labels.iter().enumerate().filter(|(_, y)| **y == 1.0) {
            for (b, _) in labels.iter().enumerate().filter(|(_, y)| **y == 0.0) {
                pairs += 1.0;
                wins += f64::from(u8::from(scores[a] > scores[b]))
                    + 0.5 * f64::from(u8::from(scores[a] == scores[b]));
            }
        }
        wins / pairs
    }

    #[test]
    fn perfect_reversed_and_constant_scores() {
        let labels = [0.0, 0.0, 1.0, 1.0];
        assert_eq!(auc(&[0.1, 0.2, 0.3, 0.4], &labels), Some(1.0));
        assert_eq!(auc(&[0.4, 0.3, 0.2, 0.1], &labels), Some(0.0));
        assert_eq!(auc(&[0.5; 4], &labels), Some(0.5));
        assert_eq!(auc(&[0.5, f64::NAN], &[0.0, 1.0]), None);
    }

    proptest! {
        #[test]
        fn ranks_agree_with_counting_pairs(rows in prop::collection::vec((0u8..6, any::<bool>()), 2..60)) {
            let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
            let labels: Vec<f32> = rows.iter().map(|r| f32::from(r.1)).collect();
            if let Some(found) = auc(&scores, &labels) {
                prop_assert!((found - by_pairs(&scores, &labels)).abs() < 1e-12);
            }
        }
    }
}
