//! Gradient check: the tape's gradient of a scalar against central differences in f64.
//!
//! `dL/dp ≈ (L(p + s) - L(p - s)) / 2s`. Inputs are checked as parameters ([`Tape::param`]).

use crate::tape::params::{Gradients, Layout, Params};
use crate::tape::{Mode, Tape, Var};
use std::sync::Arc;

/// Outcome of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientCheck {
    /// Largest difference, relative to the largest gradient of the same parameter.
    pub worst: f64,
    /// Where: parameter, index, tape's gradient, central difference.
    pub place: String,
    /// Parameters that received no gradient.
    pub untouched: Vec<String>,
}

/// Checks every value of every parameter of `layout`, drawn from `seed`, for the scalar that `build` puts on the tape.
///
/// # Panics
/// When `build` does not return a scalar.
pub fn check_gradients(
    layout: &Arc<Layout>,
    seed: u64,
    mode: Mode,
    build: impl Fn(&mut Tape<f64>, &Params<f64>) -> Var,
) -> GradientCheck {
    let mut params = Params::<f64>::init(layout, seed);
    let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(layout));
    tape.begin(mode);
    let loss = build(&mut tape, &params);
    tape.backward(loss, &params, &mut grads);
    let mut result = GradientCheck {
        worst: 0.0,
        place: String::new(),
        untouched: grads.untouched().map(str::to_owned).collect(),
    };
    let mut evaluate = |params: &Params<f64>| {
        tape.begin(mode);
        let loss = build(&mut tape, params);
        tape.value(loss)[0]
    };
    for spec in layout.specs() {
        let analytic = &grads.data()[spec.range()];
        let largest = analytic.iter().fold(1e-6f64, |m, g| m.max(g.abs()));
        for (k, index) in spec.range().enumerate() {
            let numeric = central_difference(&mut params, index, &mut evaluate);
            let error = (numeric - analytic[k]).abs() / largest;
            if error > result.worst || error.is_nan() {
                result.worst = error;
                result.place = format!("{}[{k}]: {} against {numeric}", spec.name, analytic[k]);
            }
        }
    }
    result
}

fn central_difference(
    params: &mut Params<f64>,
    index: usize,
    evaluate: &mut impl FnMut(&Params<f64>) -> f64,
) -> f64 {
    let value = params.data()[index];
    let step = 1e-5 * value.abs().max(1.0);
    params.data_mut()[index] = value + step;
    let above = evaluate(params);
    params.data_mut()[index] = value - step;
    let below = evaluate(params);
    params.data_mut()[index] = value;
    (above - below) / (2.0 * step)
}

/// Passes when the worst relative error is at most `bound` and every parameter received a gradient.
///
/// # Panics
/// Otherwise, with the place.
pub fn assert_gradients(check: &GradientCheck, bound: f64) {
    assert!(
        check.worst <= bound,
        "gradient error {}: {}",
        check.worst,
        check.place
    );
    assert!(
        check.untouched.is_empty(),
        "no gradient for {:?}",
        check.untouched
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::params::Init;

    #[test]
    fn a_parameter_outside_the_loss_fails_the_check() {
        let mut layout = Layout::default();
        let used = layout.declare("used", &[3], Init::Uniform(1.0));
        layout.declare("forgotten", &[2], Init::Uniform(1.0));
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let x = tape.param(params, used);
            tape.weighted_sum(x, &[1.0, -2.0, 3.0])
        });
        assert!(check.worst < 1e-9);
        assert_eq!(check.untouched, ["forgotten"]);
        assert!(std::panic::catch_unwind(|| assert_gradients(&check, 1e-6)).is_err());
    }

    #[test]
    fn a_wrong_gradient_fails_the_check() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[3], Init::Uniform(1.0));
        let calls = std::cell::Cell::new(0);
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            calls.set(calls.get() + 1);
            let weight = if calls.get() == 1 { 1.1 } else { 1.0 };
            let x = tape.param(params, x);
            tape.weighted_sum(x, &[weight; 3])
        });
        assert!(check.worst > 0.05, "{}", check.worst);
    }
}
