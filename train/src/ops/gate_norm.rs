//! The end of every gated block: `y = LN(a ⊙ σ(g) + skip)`, `[a | g] = x`, in one pass over the rows.
//!
//! Tricks: 1. the way back overwrites the kept gates with their gradient; 2. the gradient before the norm is that of the
//! skip as it is. The composed form, [`Tape::glu`], [`Tape::add`], [`Tape::layer_norm`], is its oracle.

use super::glu::{gate_rows, gate_rows_back};
use super::layer_norm::NormParams;
use super::real::Real;
use super::rows::vectorised;
use crate::tape::params::Params;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct GateNorm {
    x: Var,
    skip: Var,
    norm: NormParams,
}

/// `a ⊙ σ(g) + skip` per row; the gate half of `x` becomes `σ(g)`.
pub(super) fn gate_and_add<R: Real>(x: &mut [R], skip: &[R], out: &mut [R], n: usize) {
    gate_rows(x, out, n);
    vectorised(
        #[inline(always)]
        || {
            for (out, &skip) in out.iter_mut().zip(skip) {
                *out += skip;
            }
        },
    );
}

impl<R: Real> Tape<R> {
    /// `LN(a ⊙ σ(g) + skip)`, `x = [a | g] [.., 2n]`, `skip [.., n]`.
    ///
    /// # Panics
    /// When the widths do not meet.
    pub fn gate_norm(&mut self, params: &Params<R>, x: Var, skip: Var, norm: NormParams) -> Var {
        let shape = self.shape(skip).to_vec();
        let n = params.values(norm.weight).len();
        let widths = (shape.last(), self.shape(x).last());
        assert_eq!(
            widths,
            (Some(&n), Some(&(2 * n))),
            "gate_norm: widths of skip and gates"
        );
        let mut gates = self.pool.take(self.value(x).len());
        gates.copy_from_slice(self.value(x));
        let mut v = self.pool.take(gates.len() / 2);
        gate_and_add(&mut gates, self.value(skip), &mut v, n);
        let (out, normal) = norm.forward(self, params, v);
        let saved = vec![normal.values, normal.scales, gates];
        self.push(Node::behind(&shape, out, 0, saved).with_op(true, GateNorm { x, skip, norm }))
    }
}

impl<R: Real> Backward<R> for GateNorm {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut gates = node.saved.pop().expect("forward saves the gates");
        let dv = self.norm.backward(&grad.data, &node.saved, pass);
        gate_rows_back(&mut gates, &dv, node.shape.last().map_or(1, |&n| n));
        pass.tape.give_grad(self.x, gates);
        pass.tape.give_grad(self.skip, dv);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Gradients, Init, Layout, ParamId};
    use std::sync::Arc;

    struct Setup {
        layout: Arc<Layout>,
        x: ParamId,
        skip: ParamId,
        norm: NormParams,
    }

    fn setup(rows: usize, n: usize) -> Setup {
        let mut layout = Layout::default();
        let all = Init::Uniform(1.0);
        let x = layout.declare("x", &[rows, 2 * n], all);
        let skip = layout.declare("skip", &[rows, n], all);
        let norm = NormParams {
            weight: layout.declare("weight", &[n], all),
            bias: layout.declare("bias", &[n], all),
            eps: 1e-5,
        };
        Setup {
            layout: Arc::new(layout),
            x,
            skip,
            norm,
        }
    }

    fn weights(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * 0.37).cos()).collect()
    }

    #[test]
    fn gates_skip_and_norm_match_central_differences() {
        let s = setup(5, 3);
        let check = check_gradients(&s.layout, 2, Mode::default(), |tape, params| {
            let (x, skip) = (tape.param(params, s.x), tape.param(params, s.skip));
            let y = tape.gate_norm(params, x, skip, s.norm);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights(15))
        });
        assert_gradients(&check, 1e-6);
    }

    #[test]
    fn the_fused_pass_equals_the_composed_one() {
        let s = setup(9, 21);
        let params = Params::<f64>::init(&s.layout, 5);
        let run = |fused: bool| {
            let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(&s.layout));
            tape.begin(Mode::default());
            let (x, skip) = (tape.param(&params, s.x), tape.param(&params, s.skip));
            let y = if fused {
                tape.gate_norm(&params, x, skip, s.norm)
            } else {
                let gated = tape.glu(x);
                let sum = tape.add(gated, skip);
                tape.layer_norm(&params, sum, s.norm)
            };
            let value = tape.value(y).to_vec();
            let loss = tape.weighted_sum(y, &weights(9 * 21));
            tape.backward(loss, &params, &mut grads);
            (value, grads.data().to_vec())
        };
        assert_eq!(run(true), run(false));
    }
}
