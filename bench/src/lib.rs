//! Inputs of the benches: random models of the measured shapes, windows, and the oracle's answers to them.
//!
//! Everything is made from fixed seeds, so that two machines time the same file; its hash is [`Prepared::hash`].
#![forbid(unsafe_code)]

mod case;
pub mod memory;
mod noise;
mod prepared;

pub use case::{Case, Family};
pub use prepared::{N_WINDOWS, Prepared};

/// Fails unless every answer lies within `tolerance` of the oracle's.
///
/// # Panics
/// With the place of the first answer that does not, so that nothing wrong is ever timed.
pub fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of answers");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let deviation = (f64::from(*found) - expected).abs();
        assert!(
            deviation <= tolerance,
            "{what}, answer {i}: expected {expected} within {tolerance:e}, found {found}"
        );
    }
}
