//! Whether probabilities mean what they say: Brier score and expected calibration error.

/// Mean of `(p - y)²` over windows, the one-class form.
#[must_use]
pub fn brier(p: &[f64], labels: &[f32]) -> f64 {
    let squares = p.iter().zip(labels).map(|(p, &y)| (p - f64::from(y)).powi(2));
    squares.sum::<f64>() / p.len() as f64
}

/// Expected calibration error `Σ n_b / n |mean(y) - mean(p)|` over `n_bins` bins of equal mass.
///
/// Bins are cut in the order of `p`; equal probabilities are never separated, so a constant forecaster has one bin.
///
/// # Panics
/// When `n_bins` is 0.
#[must_use]
pub fn ece(p: &[f64], labels: &[f32], n_bins: usize) -> f64 {
    assert!(n_bins > 0, "calibration error of no bins");
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut error, mut start) = (0.0, 0);
    for bin in 1..=n_bins {
        let mut end = (bin * p.len() / n_bins).max(start);
        while end > start && end < p.len() && p[order[end]] == p[order[end - 1]] {
            end += 1;
        }
        let gap: f64 = order[start..end]
            .iter()
            .map(|&i| f64::from(labels[i]) - p[i])
            .sum();
        error += gap.abs();
        start = end;
    }
    error / p.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_forecaster_errs_by_its_distance_from_the_rate() {
        let labels = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        assert!((ece(&[0.4; 8], &labels, 4) - 0.15).abs() < 1e-12);
        assert!(ece(&[0.25; 8], &labels, 4) < 1e-12);
    }

    #[test]
    fn bins_hold_equal_shares() {
        let p = [0.1, 0.1, 0.3, 0.3, 0.8, 0.8];
        let labels = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let expected = (0.2 + 0.4 + 0.4) / 6.0;
        assert!((ece(&p, &labels, 3) - expected).abs() < 1e-12);
    }

    #[test]
    fn more_bins_than_windows_is_one_window_per_bin() {
        assert!((ece(&[0.2, 0.7], &[0.0, 1.0], 50) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn the_brier_score_is_the_mean_square() {
        assert!((brier(&[0.5, 1.0], &[1.0, 0.0]) - 0.625).abs() < 1e-15);
    }
}
