//! Columns of the last axis: some of them, `y[.., k] = x[.., columns[k]]`, and several values side by side, `y = [a | b | ..]`.
//!
//! Backward: gradients return to the columns they came from; a column taken twice receives both.

use super::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct Columns {
    x: Var,
    columns: Vec<usize>,
}

struct Concat(Vec<Var>);

impl<R: Real> Tape<R> {
    /// The columns `columns` of the last axis, in their order.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn columns(&mut self, x: Var, columns: &[usize]) -> Var {
        let (mut shape, width) = (self.shape(x).to_vec(), self.width(x));
        assert!(
            columns.iter().all(|&c| c < width),
            "columns {columns:?} of {width}"
        );
        *shape.last_mut().expect("a value has an axis") = columns.len();
        let mut out = self.pool.take(self.value(x).len() / width * columns.len());
        let rows = self.value(x).chunks_exact(width);
        for (out, x) in out.chunks_exact_mut(columns.len()).zip(rows) {
            out.iter_mut().zip(columns).for_each(|(out, &c)| *out = x[c]);
        }
        let columns = columns.to_vec();
        let node = Node::new(&shape, out).with_op(self.needs_grad(x), Columns { x, columns });
        self.push(node)
    }

    /// `[a | b | ..]` over the last axis.
    ///
    /// # Panics
    /// When there are no parts or their other axes differ.
    pub fn concat_columns(&mut self, parts: &[Var]) -> Var {
        let mut shape = self.shape(parts[0]).to_vec();
        let leading = shape.len() - 1;
        for &part in parts {
            let found = self.shape(part);
            assert_eq!(
                found[..found.len() - 1],
                shape[..leading],
                "rows of concatenated columns"
            );
        }
        let width = parts.iter().map(|&p| self.width(p)).sum();
        *shape.last_mut().expect("a value has an axis") = width;
        let mut out = self.pool.take(shape.iter().product());
        let mut from = 0;
        for &part in parts {
            let n = self.width(part);
            let rows = self.value(part).chunks_exact(n);
            for (out, x) in out.chunks_exact_mut(width).zip(rows) {
                out[from..from + n].copy_from_slice(x);
            }
            from += n;
        }
        let needs_grad = parts.iter().any(|&p| self.needs_grad(p));
        self.push(Node::new(&shape, out).with_op(needs_grad, Concat(parts.to_vec())))
    }
}

impl<R: Real> Backward<R> for Columns {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let width = pass.tape.width(self.x);
        let Some((mut dx, fresh)) = pass.tape.open_grad(self.x) else {
            return;
        };
        if fresh {
            dx.fill(R::ZERO);
        }
        let rows = grad.data.chunks_exact(self.columns.len());
        for (dx, dy) in dx.chunks_exact_mut(width).zip(rows) {
            self.columns.iter().zip(dy).for_each(|(&c, &dy)| dx[c] += dy);
        }
        pass.tape.close_grad(self.x, dx);
    }
}

impl<R: Real> Backward<R> for Concat {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let width = node.shape.last().map_or(1, |&n| n);
        let mut from = 0;
        for &part in &self.0 {
            let n = pass.tape.width(part);
            if let Some((mut dx, fresh)) = pass.tape.open_grad(part) {
                let rows = dx.chunks_exact_mut(n).zip(grad.data.chunks_exact(width));
                for (dx, dy) in rows {
                    for (dx, &dy) in dx.iter_mut().zip(&dy[from..from + n]) {
                        *dx = if fresh { dy } else { *dx + dy };
                    }
                }
                pass.tape.close_grad(part, dx);
            }
            from += n;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    #[test]
    fn columns_taken_twice_and_concatenated_match_central_differences() {
        let mut layout = Layout::default();
        let a = layout.declare("a", &[2, 3, 4], Init::Uniform(1.0));
        let b = layout.declare("b", &[2, 3, 1], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..48).map(|i| (f64::from(i) * 0.9).sin()).collect();
        let check = check_gradients(&Arc::new(layout), 1, Mode::default(), |tape, params| {
            let (a, b) = (tape.param(params, a), tape.param(params, b));
            let a = tape.tanh(a);
            let some = tape.columns(a, &[3, 0, 3]);
            let all = tape.concat_columns(&[some, b, a]);
            tape.weighted_sum(all, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn the_order_of_columns_is_that_of_the_list() {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let x = tape.input(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let y = tape.columns(x, &[2, 0]);
        assert_eq!(
            (tape.value(y), tape.shape(y)),
            (&[3.0, 1.0, 6.0, 4.0][..], &[2, 2][..])
        );
        let z = tape.concat_columns(&[y, x]);
        assert_eq!(tape.value(z)[..5], [3.0, 1.0, 1.0, 2.0, 3.0]);
        assert_eq!(tape.shape(z), [2, 5]);
    }
}
