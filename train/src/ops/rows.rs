//! Sums and normalisation of one row: the inner loops of the row-wise operations, in both float types.
//!
//! Sums run in 16 lanes that are added up in order, so that a compiler may use registers of any width and the bits stay the
//! same. Callers put their loop over rows into [`vectorised`].

use super::real::Real;

const LANES: usize = 16;

/// Runs `work` compiled for the instruction set found at run time. The closure and everything it calls must be
/// `#[inline(always)]`: what is not inlined is compiled without the features.
#[inline(always)]
pub(super) fn vectorised(work: impl FnOnce()) {
    pulp::Arch::new().dispatch(work);
}

/// `Σ x_i`.
#[inline(always)]
pub(super) fn sum<R: Real>(x: &[R]) -> R {
    lanes(x, x, |x, _| x)
}

/// `Σ x_i y_i`.
#[inline(always)]
pub(super) fn dot<R: Real>(x: &[R], y: &[R]) -> R {
    lanes(x, y, |x, y| x * y)
}

#[inline(always)]
fn lanes<R: Real>(x: &[R], y: &[R], term: impl Fn(R, R) -> R) -> R {
    let mut sums = [R::ZERO; LANES];
    let (x_blocks, x_tail) = x.as_chunks::<LANES>();
    let (y_blocks, y_tail) = y.as_chunks::<LANES>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for l in 0..LANES {
            sums[l] += term(x[l], y[l]);
        }
    }
    let mut total = R::ZERO;
    for (&x, &y) in x_tail.iter().zip(y_tail) {
        total += term(x, y);
    }
    sums.into_iter().fold(total, |total, s| total + s)
}

/// Turns `v` into `(v - mean) / sqrt(variance + eps)` with the biased variance; answers `1 / sqrt(variance + eps)`.
#[inline(always)]
pub(super) fn normalise<R: Real>(v: &mut [R], eps: R) -> R {
    let n = R::from_f64(v.len() as f64);
    let mean = sum(v) / n;
    for v in v.iter_mut() {
        *v = *v - mean;
    }
    let scale = R::ONE / (dot(v, v) / n + eps).sqrt();
    for v in v.iter_mut() {
        *v *= scale;
    }
    scale
}

/// The way back through [`normalise`]: `d` comes as the gradient of its answer `x̂` and leaves as that of its input,
/// `scale (d - mean(d) - x̂ mean(d x̂))`.
#[inline(always)]
pub(super) fn normalise_back<R: Real>(d: &mut [R], normal: &[R], scale: R) {
    let n = R::from_f64(d.len() as f64);
    let (mean, along) = (sum(d) / n, dot(d, normal) / n);
    for (d, &x) in d.iter_mut().zip(normal) {
        *d = scale * (*d - mean - x * along);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_plain_ones_around_a_register() {
        for n in [0, 1, 15, 16, 17, 33] {
            let x: Vec<f64> = (0..n).map(f64::from).collect();
            assert_eq!(sum(&x), x.iter().sum::<f64>());
            assert_eq!(dot(&x, &x), x.iter().map(|x| x * x).sum::<f64>());
        }
    }

    #[test]
    fn a_normalised_row_has_mean_zero_and_variance_one() {
        let mut v: Vec<f64> = (0..19).map(|i| f64::from(i * i)).collect();
        normalise(&mut v, 0.0);
        assert!(sum(&v).abs() < 1e-12);
        assert!((dot(&v, &v) / 19.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_constant_row_becomes_zero() {
        let mut v = [3.0f32; 5];
        let scale = normalise(&mut v, 1e-4);
        assert_eq!(v, [0.0; 5]);
        assert!((scale - 100.0).abs() < 1e-3, "{scale}");
    }
}
