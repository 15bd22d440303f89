//! Clipping by the norm over all parameters: `g *= min(1, max / (|g| + 1e-6))`, as `PyTorch`'s `clip_grad_norm_`.

/// Scales `gradients` to a norm of at most `max_norm` and returns the norm before. A norm that is not finite changes nothing.
pub fn clip_norm(gradients: &mut [f32], max_norm: Option<f64>) -> f64 {
    let norm = norm(gradients);
    let factor = max_norm.map_or(1.0, |max| max / (norm + 1e-6));
    if factor < 1.0 {
        gradients.iter_mut().for_each(|g| *g *= factor as f32);
    }
    norm
}

/// Euclidean norm, summed in f64.
#[must_use]
pub fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|&x| f64::from(x) * f64::from(x));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gradient_is_shortened_and_a_short_one_left() {
        let mut g = [3.0, 4.0];
        assert_eq!(clip_norm(&mut g, Some(1.0)), 5.0);
        assert!((norm(&g) - 1.0).abs() < 1e-6);
        let mut g = [0.3, 0.4];
        clip_norm(&mut g, Some(1.0));
        assert_eq!(g, [0.3, 0.4]);
        let mut g = [3.0, 4.0];
        assert_eq!(clip_norm(&mut g, None), 5.0);
        assert_eq!(g, [3.0, 4.0]);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_returned() {
        assert!(clip_norm(&mut [1.0, f32::NAN], Some(1.0)).is_nan());
    }
}
