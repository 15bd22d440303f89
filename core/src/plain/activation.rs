//! Activations in f64.

/// `e^x`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// `1 / (1 + e^{-x})`.
#[must_use]
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        libm::exp(x) / (1.0 + libm::exp(x))
    }
}

/// Hyperbolic tangent.
#[must_use]
pub fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}

/// `x` where positive, else `e^x - 1`.
#[must_use]
pub fn elu(x: f64) -> f64 {
    if x > 0.0 { x } else { libm::expm1(x) }
}

/// `max(0, x)`, NaN for NaN.
#[must_use]
pub fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// `ln(1 + e^x)`, and `x` itself above 20 as in PyTorch.
#[must_use]
pub fn softplus(x: f64) -> f64 {
    if x > 20.0 { x } else { libm::log1p(libm::exp(x)) }
}

/// The probability that a standard normal number lies within `x` of zero, with the sign of `x`: `2 Phi(x) - 1`.
#[must_use]
pub fn two_phi_minus_one(x: f64) -> f64 {
    libm::erf(x / core::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_is_smooth_below_twenty_and_the_identity_above() {
        assert!((softplus(0.0) - core::f64::consts::LN_2).abs() < 1e-16);
        assert!((softplus(20.0) - 20.0 - 2.061_153_62e-9).abs() < 1e-15);
        assert_eq!(softplus(20.5), 20.5);
        assert_eq!(softplus(-800.0), 0.0);
    }

    #[test]
    fn one_deviation_holds_68_percent_of_a_normal_distribution() {
        assert!((two_phi_minus_one(1.0) - 0.682_689_492_137_085_9).abs() < 1e-15);
        assert_eq!(two_phi_minus_one(-40.0), -1.0);
    }
}
