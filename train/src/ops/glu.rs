//! Gated linear unit on a pre-activation of twice the width: `y = a ⊙ σ(g)`, `[a | g] = x`, value half first.
//!
//! Backward: `da = dy σ`, `dg = dy a σ (1 - σ)`. (Dauphin et al. 2017.)

use super::real::Real;
use super::rows::vectorised;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// `out = a ⊙ σ(g)` per row of `x = [a | g]`, whose gate half becomes `σ(g)`.
pub(super) fn gate_rows<R: Real>(x: &mut [R], out: &mut [R], n: usize) {
    for row in x.chunks_exact_mut(2 * n) {
        R::sigmoid(&mut row[n..]);
    }
    vectorised(
        #[inline(always)]
        || {
            for (x, out) in x.chunks_exact(2 * n).zip(out.chunks_exact_mut(n)) {
                let (a, gate) = x.split_at(n);
                for k in 0..n {
                    out[k] = a[k] * gate[k];
                }
            }
        },
    );
}

/// Overwrites what [`gate_rows`] left in `x` with the gradient of its input, from that of its answer.
pub(super) fn gate_rows_back<R: Real>(x: &mut [R], dy: &[R], n: usize) {
    vectorised(
        #[inline(always)]
        || {
            for (x, dy) in x.chunks_exact_mut(2 * n).zip(dy.chunks_exact(n)) {
                let (a, gate) = x.split_at_mut(n);
                for k in 0..n {
                    let da = dy[k] * gate[k];
                    gate[k] = da * a[k] * (R::ONE - gate[k]);
                    a[k] = da;
                }
            }
        },
    );
}

struct Glu(Var);

impl<R: Real> Tape<R> {
    /// `a ⊙ σ(g)` with `[a | g] = x` over the last axis.
    ///
    /// # Panics
    /// When the last axis is odd.
    pub fn glu(&mut self, x: Var) -> Var {
        let mut shape = self.shape(x).to_vec();
        let n = shape.last().map_or(1, |&n| n);
        assert!(
            n.is_multiple_of(2),
            "glu: expected an even width, found {shape:?}"
        );
        let mut gates = self.pool.take(self.value(x).len());
        gates.copy_from_slice(self.value(x));
        let mut out = self.pool.take(gates.len() / 2);
        gate_rows(&mut gates, &mut out, n / 2);
        *shape.last_mut().expect("checked above") = n / 2;
        let node = Node::behind(&shape, out, 0, vec![gates]).with_op(self.needs_grad(x), Glu(x));
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Glu {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let mut dx = node.saved.pop().expect("forward saves the gates");
        let n = node.shape.last().map_or(1, |&n| n);
        gate_rows_back(&mut dx, &grad.data, n);
        pass.tape.give_grad(self.0, dx);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn both_halves_match_central_differences() {
        for n in [1, 3, 17] {
            let mut layout = Layout::default();
            let x = layout.declare("x", &[4, 2, 2 * n], Init::Uniform(2.0));
            let weights: Vec<f64> = (0..8 * n).map(|i| i as f64 * 0.1 - 1.0).collect();
            let check = check_gradients(&Arc::new(layout), 3, Mode::default(), |tape, params| {
                let x = tape.param(params, x);
                let y = tape.glu(x);
                tape.weighted_sum(y, &weights)
            });
            assert_gradients(&check, 1e-8);
        }
    }

    #[test]
    fn the_value_comes_first_and_the_gate_second() {
        let mut tape = Tape::<f64>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[1, 4], &[3.0, 5.0, 0.0, 1e3]);
        let y = tape.glu(x);
        assert_eq!(tape.value(y), [1.5, 5.0]);
        assert_eq!(tape.shape(y), [1, 2]);
    }
}
