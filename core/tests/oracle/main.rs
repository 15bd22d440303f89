//! The f64 oracle against foreign programs in float64: layers, nets with everything in between, intake and answers.
//!
//! `fixtures/README.md` tells what the goldens are and who made them. A deviation is a share of the largest value of its
//! array, or of one where that is less.

#[path = "../common/mod.rs"]
mod common;
#[path = "../families/fixture.rs"]
#[allow(dead_code, reason = "the program of the packed nets uses the rest")]
mod fixture;
mod forecasting;
mod intake;
mod layers;
mod own;

/// Largest deviation as a share of the range of `expected`.
fn deviation(what: &str, found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let range = expected.iter().fold(1.0_f64, |top, v| top.max(v.abs()));
    let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    apart.fold(
        0.0_f64,
        |worst, v| if v.is_nan() { f64::INFINITY } else { worst.max(v) },
    ) / range
}

/// The worst deviations met, by what they were met in.
#[derive(Default)]
struct Worst {
    found: f64,
    at: String,
}

impl Worst {
    /// Compares an array and requires `bound`.
    fn check(&mut self, what: &str, found: &[f64], expected: &[f64], bound: f64) {
        let apart = deviation(what, found, expected);
        assert!(
            apart <= bound,
            "{what}: expected up to {bound:e}, found {apart:e}"
        );
        if apart >= self.found {
            (self.found, self.at) = (apart, what.into());
        }
    }

    /// For the log.
    fn report(&self, name: &str) {
        eprintln!("{name}: {:.1e} of the range, in {}", self.found, self.at);
    }
}
