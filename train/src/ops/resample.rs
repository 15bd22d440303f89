//! Resampling along the features with a learned gain: `y = lerp(x) ⊙ 2 σ(mask)`; `x [.., m]`, `y [.., n]`, `mask [n]`.
//!
//! Output `i` reads position `p = i (m - 1) / (n - 1)` of the inputs: `(1 - φ) x[⌊p⌋] + φ x[⌊p⌋ + 1]`, `φ = p - ⌊p⌋`; ends are
//! aligned, one output reads input 0, equal widths copy. Narrowing samples without a filter (pytorch-forecasting's
//! `TimeDistributedInterpolation`). Backward: `dx[l] += g dy (1 - φ)`, `dx[l + 1] += g dy φ`, `dmask += Σ dy lerp 2 σ (1 - σ)`.

use super::real::Real;
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// Where one output reads: the input to its left and the share of the one to its right.
#[derive(Clone, Copy)]
struct Place<R> {
    left: usize,
    right: usize,
    share: R,
}

struct Resample<R> {
    x: Var,
    mask: ParamId,
    places: Vec<Place<R>>,
    gains: Vec<R>,
}

fn places<R: Real>(m: usize, n: usize) -> Vec<Place<R>> {
    let place = |i: usize| {
        let (at, parts) = (i * (m - 1), (n - 1).max(1));
        let left = at / parts;
        Place {
            left,
            right: (left + 1).min(m - 1),
            share: R::from_f64((at % parts) as f64 / parts as f64),
        }
    };
    (0..n).map(place).collect()
}

impl<R: Real> Place<R> {
    fn read(self, x: &[R]) -> R {
        x[self.left] * (R::ONE - self.share) + x[self.right] * self.share
    }
}

impl<R: Real> Tape<R> {
    /// `x` interpolated at as many points as `mask` has values, times `2 σ(mask)`.
    pub fn resample(&mut self, params: &Params<R>, x: Var, mask: ParamId) -> Var {
        let (mut shape, m) = (self.shape(x).to_vec(), self.width(x));
        let mut gains = params.values(mask).to_vec();
        R::sigmoid(&mut gains);
        gains.iter_mut().for_each(|g| *g = *g + *g);
        let n = gains.len();
        *shape.last_mut().expect("a value has an axis") = n;
        let places = places::<R>(m, n);
        let mut out = self.pool.take(self.value(x).len() / m * n);
        for (out, x) in out.chunks_exact_mut(n).zip(self.value(x).chunks_exact(m)) {
            for ((out, place), &gain) in out.iter_mut().zip(&places).zip(&gains) {
                *out = place.read(x) * gain;
            }
        }
        let op = Resample {
            x,
            mask,
            places,
            gains,
        };
        self.push(Node::new(&shape, out).with_op(true, op))
    }
}

impl<R: Real> Backward<R> for Resample<R> {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let (n, m) = (self.gains.len(), pass.tape.width(self.x));
        let mut sums = vec![R::ZERO; n];
        let rows = grad.data.chunks_exact(n);
        for (dy, x) in rows.clone().zip(pass.tape.value(self.x).chunks_exact(m)) {
            for ((sum, place), &dy) in sums.iter_mut().zip(&self.places).zip(dy) {
                *sum += dy * place.read(x);
            }
        }
        let half = R::from_f64(0.5);
        let slopes = self.gains.iter().map(|&g| g * (R::ONE - half * g));
        for ((dmask, sum), slope) in pass.grads.add_to(self.mask).iter_mut().zip(sums).zip(slopes) {
            *dmask += sum * slope;
        }
        if let Some((mut dx, fresh)) = pass.tape.open_grad(self.x) {
            if fresh {
                dx.fill(R::ZERO);
            }
            for (dx, dy) in dx.chunks_exact_mut(m).zip(rows) {
                for ((place, &gain), &dy) in self.places.iter().zip(&self.gains).zip(dy) {
                    dx[place.left] += gain * dy * (R::ONE - place.share);
                    dx[place.right] += gain * dy * place.share;
                }
            }
            pass.tape.close_grad(self.x, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    #[test]
    fn widening_narrowing_and_copying_match_central_differences() {
        for (m, n) in [(3, 8), (8, 3), (4, 4), (1, 5), (5, 1), (2, 3)] {
            let mut layout = Layout::default();
            let x = layout.declare("x", &[2, 3, m], Init::Uniform(1.0));
            let mask = layout.declare("mask", &[n], Init::Uniform(1.0));
            let weights: Vec<f64> = (0..6 * n).map(|i| (i as f64 * 0.9).sin()).collect();
            let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
                let x = tape.param(params, x);
                let y = tape.resample(params, x, mask);
                let y = tape.tanh(y);
                tape.weighted_sum(y, &weights)
            });
            assert_gradients(&check, 1e-8);
        }
    }

    fn resampled(x: &[f64], n: usize) -> Vec<f64> {
        let mut layout = Layout::default();
        let mask = layout.declare("mask", &[n], Init::Constant(0.0));
        let params = Params::<f64>::init(&Arc::new(layout), 0);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.input(&[1, x.len()], x);
        let y = tape.resample(&params, x, mask);
        tape.value(y).to_vec()
    }

    #[test]
    fn ends_are_aligned_and_a_mask_of_zero_changes_nothing() {
        assert_eq!(resampled(&[1.0, 3.0], 5), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(resampled(&[1.0, 2.0, 3.0, 4.0, 5.0], 3), [1.0, 3.0, 5.0]);
        assert_eq!(resampled(&[1.0, 2.0, 3.0], 1), [1.0]);
        assert_eq!(resampled(&[7.0], 3), [7.0; 3]);
    }
}
