//! The standard normal distribution: density, distribution function, and the position `2Φ(u) - 1`.
//!
//! `2Φ(u) - 1 = erf(u/√2)`; the error function is libm's (FreeBSD's msun), accurate to 1 ulp of f64.

use core::f64::consts::{FRAC_1_SQRT_2, PI};

/// `e^{-u²/2} / √(2π)`.
#[must_use]
pub fn density(u: f64) -> f64 {
    libm::exp(-0.5 * u * u) / libm::sqrt(2.0 * PI)
}

/// `Φ(u)`; accurate in both tails.
#[must_use]
pub fn distribution(u: f64) -> f64 {
    0.5 * libm::erfc(-u * FRAC_1_SQRT_2)
}

/// `2Φ(u) - 1`, between -1 and 1, odd in u, NaN for NaN.
#[must_use]
pub fn position(u: f64) -> f64 {
    libm::erf(u * FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_tables() {
        for (u, mass) in [
            (0.0, 0.0),
            (1.0, 0.682_689_492_137_085_9),
            (2.0, 0.954_499_736_103_641_6),
            (3.0, 0.997_300_203_936_739_8),
        ] {
            assert!((position(u) - mass).abs() < 1e-15, "{u}");
            assert!((distribution(u) - f64::midpoint(1.0, mass)).abs() < 1e-15, "{u}");
        }
        assert!(
            (distribution(-10.0) / 7.619_853_024_160_527e-24 - 1.0).abs() < 1e-13,
            "the far tail"
        );
        assert!((density(0.0) - 0.398_942_280_401_432_7).abs() < 1e-16);
    }

    #[test]
    fn ends_are_reached_and_nan_stays() {
        assert_eq!(
            [position(f64::INFINITY), position(f64::NEG_INFINITY)],
            [1.0, -1.0]
        );
        assert_eq!(
            [density(f64::INFINITY), distribution(f64::NEG_INFINITY)],
            [0.0, 0.0]
        );
        assert!(position(f64::NAN).is_nan() && distribution(f64::NAN).is_nan());
    }

    #[test]
    fn the_density_is_the_slope_of_the_distribution() {
        for i in -40..=40 {
            let u = f64::from(i) * 0.1;
            let slope = (distribution(u + 1e-5) - distribution(u - 1e-5)) / 2e-5;
            assert!((slope - density(u)).abs() < 1e-9, "{u}");
        }
    }
}
