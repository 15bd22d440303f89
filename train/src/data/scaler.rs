//! Mean and deviation of every feature over the rows that training windows read, and over no other row.
//!
//! Welford's update in f64, population deviation: `mean += d / n`, `m2 += d * (x - mean)`, `scale = sqrt(m2 / n)`.
//! A row counts once however many windows read it; rows go table by table in order of time, so that the same
//! training part gives the same bits.

use super::error::DataError;
use super::split::Part;
use super::table::Panel;
use super::window::WindowIndex;
use tickfuse_core::bundle::Scaler;

/// Fits one scaler per feature on the training part.
///
/// # Errors
/// [`DataError::ConstantFeature`] for a feature whose deviation is zero or too small to divide by.
pub fn fit(panel: &Panel, index: &WindowIndex, train: &Part) -> Result<Vec<Scaler>, DataError> {
    let mut moments = vec![Moments::default(); panel.n_features()];
    let mut fitted_ns: Option<[i64; 2]> = None;
    for (table, used) in panel.tables.iter().zip(rows_used(panel, index, train)) {
        for (row, _) in used.into_iter().enumerate().filter(|&(_, used)| used) {
            let time = table.ts_ns[row];
            fitted_ns = Some(fitted_ns.map_or([time; 2], |[a, b]| [a.min(time), b.max(time)]));
            for (moments, &x) in moments.iter_mut().zip(table.row(row)) {
                moments.add(x);
            }
        }
    }
    let scaler = |(moments, name): (&Moments, &String)| moments.scaler(name, fitted_ns);
    moments.iter().zip(&panel.names).map(scaler).collect()
}

/// Per table and row: whether a window of the part reads it.
fn rows_used(panel: &Panel, index: &WindowIndex, part: &Part) -> Vec<Vec<bool>> {
    let mut used: Vec<Vec<bool>> = panel
        .tables
        .iter()
        .map(|table| vec![false; table.ts_ns.len()])
        .collect();
    for &position in &part.samples {
        let sample = &index.samples[position];
        let end = sample.end_row as usize + 1;
        used[sample.series as usize][end - index.lookback..end].fill(true);
    }
    used
}

#[derive(Debug, Clone, Default)]
struct Moments {
    n: u64,
    mean: f64,
    m2: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.n += 1;
        let d = x - self.mean;
        self.mean += d / self.n as f64;
        self.m2 += d * (x - self.mean);
    }

    fn scaler(&self, name: &str, fitted_ns: Option<[i64; 2]>) -> Result<Scaler, DataError> {
        let scale = (self.m2 / self.n as f64).sqrt();
        if scale > 0.0 && scale.is_finite() && scale.recip().is_finite() {
            return Ok(Scaler {
                center: self.mean,
                scale,
                fitted_ns,
            });
        }
        Err(DataError::ConstantFeature {
            feature: name.to_owned(),
            rows: self.n,
            value: self.mean,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::{Cut, Split};
    use super::super::table::tests::{panel, series};
    use super::*;

    fn fitted(panel: &Panel, lookback: usize) -> (Result<Vec<Scaler>, DataError>, Split) {
        let index = WindowIndex::new(panel, lookback, 2).unwrap();
        let cut = Cut::Times {
            validation_ns: 100,
            test_ns: None,
        };
        let split = Split::new(panel, &index, &cut).unwrap();
        (fit(panel, &index, &split.train), split)
    }

    #[test]
    fn every_row_a_training_window_reads_counts_once() {
        let times: Vec<i64> = (0..30).collect();
        let panel = panel(&[series("A", 100.0, &times), series("B", 100.0, &times)]);
        let (scalers, split) = fitted(&panel, 3);
        assert_eq!(split.train.decisions_ns, Some([30, 70]));
        let volume = scalers.unwrap()[1];
        let values: Vec<f64> = (2..=8).map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / 7.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 7.0;
        approx::assert_relative_eq!(volume.center, mean, max_relative = 1e-15);
        approx::assert_relative_eq!(volume.scale, variance.sqrt(), max_relative = 1e-15);
        assert_eq!(volume.fitted_ns, Some([10, 70]));
    }

    #[test]
    fn rows_of_a_gap_between_windows_do_not_count() {
        let panel = panel(&[series("A", 100.0, &[0, 1, 2, 3, 4, 6, 7, 12, 13, 14, 15, 16])]);
        let (scalers, _) = fitted(&panel, 2);
        assert_eq!(
            scalers.unwrap()[1].center,
            2.5,
            "rows 2 and 3 of the only training window"
        );
    }

    #[test]
    fn a_large_mean_does_not_swallow_the_deviation() {
        let mut moments = Moments::default();
        (0..1000).for_each(|i| moments.add(1e9 + f64::from(i % 2)));
        approx::assert_relative_eq!(moments.scaler("x", None).unwrap().scale, 0.5, max_relative = 1e-9);
    }

    #[test]
    fn a_constant_feature_is_refused_by_name() {
        let times: Vec<i64> = (0..30).collect();
        let mut constant = series("A", 100.0, &times);
        constant.bars.iter_mut().for_each(|bar| bar.volume = 0.1);
        let (scalers, _) = fitted(&panel(&[constant]), 3);
        assert_eq!(
            scalers.unwrap_err().to_string(),
            "feature `volume`: expected some variance over the 7 training rows, found the constant 0.1"
        );
    }
}
