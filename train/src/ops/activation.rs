//! Elementwise activations: relu, elu, sigmoid, tanh, softplus. Each derivative comes from the output.
//!
//! `relu: dx = dy [y > 0]` (0 at the kink) · `elu: dx = dy (y > 0 ? 1 : y + 1)` · `sigmoid: dx = dy y (1 - y)` · `tanh: dx = dy (1 - y²)` ·
//! `softplus + floor: dx = dy (1 - e^(floor - y))`.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

#[derive(Debug, Clone, Copy)]
enum Kind {
    Relu,
    Elu,
    Sigmoid,
    Tanh,
    Softplus { floor: f64 },
}

struct Activation {
    x: Var,
    kind: Kind,
}

impl<R: Real> Tape<R> {
    /// `max(0, x)`; NaN stays NaN.
    pub fn relu(&mut self, x: Var) -> Var {
        self.activation(x, Kind::Relu)
    }

    /// `x` where positive, else `e^x - 1`.
    pub fn elu(&mut self, x: Var) -> Var {
        self.activation(x, Kind::Elu)
    }

    /// `1 / (1 + e^-x)`.
    pub fn sigmoid(&mut self, x: Var) -> Var {
        self.activation(x, Kind::Sigmoid)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&mut self, x: Var) -> Var {
        self.activation(x, Kind::Tanh)
    }

    /// `ln(1 + e^x) + floor`, as `max(x, 0) + ln(1 + e^-|x|) + floor`: a positive deviation.
    pub fn softplus(&mut self, x: Var, floor: f64) -> Var {
        self.activation(x, Kind::Softplus { floor })
    }

    fn activation(&mut self, x: Var, kind: Kind) -> Var {
        let mut out = self.pool.take(self.value(x).len());
        out.copy_from_slice(self.value(x));
        match kind {
            Kind::Relu => out
                .iter_mut()
                .for_each(|x| *x = if *x < R::ZERO { R::ZERO } else { *x }),
            Kind::Elu => R::elu(&mut out),
            Kind::Sigmoid => R::sigmoid(&mut out),
            Kind::Tanh => R::tanh(&mut out),
            Kind::Softplus { floor } => {
                let floor = R::from_f64(floor);
                out.iter_mut().for_each(|x| *x = softplus(*x) + floor);
            }
        }
        let node = Node::new(self.shape(x), out).with_op(self.needs_grad(x), Activation { x, kind });
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Activation {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let slope = |y: R| match self.kind {
            Kind::Relu if y > R::ZERO => R::ONE,
            Kind::Relu => R::ZERO,
            Kind::Elu => elu_slope(y),
            Kind::Sigmoid => y * (R::ONE - y),
            Kind::Tanh => R::ONE - y * y,
            Kind::Softplus { floor } => R::ONE - (R::from_f64(floor) - y).exp(),
        };
        let dx = grad.data.iter().zip(node.value()).map(|(&dy, &y)| dy * slope(y));
        pass.tape.add_grad(self.x, dx);
    }
}

fn softplus<R: Real>(x: R) -> R {
    let hinge = if x < R::ZERO { R::ZERO } else { x };
    hinge + (-x.abs()).exp().ln_1p()
}

/// Derivative of elu from its output.
#[inline(always)]
pub(super) fn elu_slope<R: Real>(y: R) -> R {
    if y > R::ZERO { R::ONE } else { y + R::ONE }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape, Var};
    use std::sync::Arc;

    fn check(apply: impl Fn(&mut Tape<f64>, Var) -> Var) {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3, 5], Init::Uniform(2.0));
        let weights: Vec<f64> = (0..15).map(|i| f64::from(i) * 0.3 - 2.0).collect();
        let check = check_gradients(&Arc::new(layout), 5, Mode::default(), |tape, params| {
            let x = tape.param(params, x);
            let y = apply(tape, x);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn relu_matches_central_differences() {
        check(Tape::relu);
    }

    #[test]
    fn elu_matches_central_differences() {
        check(Tape::elu);
    }

    #[test]
    fn sigmoid_matches_central_differences() {
        check(Tape::sigmoid);
    }

    #[test]
    fn tanh_matches_central_differences() {
        check(Tape::tanh);
    }

    #[test]
    fn softplus_matches_central_differences() {
        check(|tape, x| tape.softplus(x, 0.3));
    }

    #[test]
    fn relu_keeps_nan_and_drops_negatives() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[3], &[-1.0, 2.0, f32::NAN]);
        let y = tape.relu(x);
        assert_eq!(tape.value(y)[..2], [0.0, 2.0]);
        assert!(tape.value(y)[2].is_nan());
    }
}
