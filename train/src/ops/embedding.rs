//! Embedding of codes: `y = Σ_c table[x[.., c]]` over some columns of `x` that hold codes as numbers; one column is the
//! ordinary lookup, several are a bag.
//!
//! Backward: `dtable[code] += dy`; with a padding, code 0 is the zero vector and receives no gradient.

use super::linear::matrix_shape;
use super::real::Real;
use crate::tape::params::{ParamId, Params};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// A table of vectors and how it is read.
#[derive(Debug, Clone, Copy)]
pub struct TableParams {
    /// `[n_categories, width]`.
    pub weight: ParamId,
    /// Whether code 0 is the zero vector, whatever the table says.
    pub padding: bool,
}

struct Embedding {
    x: Var,
    columns: Vec<usize>,
    table: TableParams,
}

impl TableParams {
    /// The row a cell names, or nothing for padding.
    fn row<R: Real>(&self, cell: R, n_categories: usize) -> Option<usize> {
        let code = cell.to_f64();
        let is_code = code >= 0.0 && code < n_categories as f64 && code.fract() == 0.0;
        assert!(
            is_code,
            "embedding: expected a code below {n_categories}, found {code}"
        );
        (code > 0.0 || !self.padding).then_some(code as usize)
    }
}

impl<R: Real> Tape<R> {
    /// The sum of the table's vectors for the codes in `columns`.
    ///
    /// # Panics
    /// When a cell is not a code of the table, or there is no such column.
    pub fn embedding(&mut self, params: &Params<R>, x: Var, columns: &[usize], table: TableParams) -> Var {
        let (n, width) = matrix_shape(params, table.weight);
        let (mut shape, stride) = (self.shape(x).to_vec(), self.width(x));
        *shape.last_mut().expect("a value has an axis") = width;
        let mut out = self.pool.take_zeroed(self.value(x).len() / stride * width);
        let values = params.values(table.weight);
        for (out, x) in out
            .chunks_exact_mut(width)
            .zip(self.value(x).chunks_exact(stride))
        {
            for row in columns.iter().filter_map(|&c| table.row(x[c], n)) {
                let vector = &values[row * width..][..width];
                out.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += x);
            }
        }
        let op = Embedding {
            x,
            columns: columns.to_vec(),
            table,
        };
        self.push(Node::new(&shape, out).with_op(true, op))
    }
}

impl<R: Real> Backward<R> for Embedding {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let (n, width) = matrix_shape(pass.params, self.table.weight);
        let stride = pass.tape.width(self.x);
        let sums = pass.grads.add_to(self.table.weight);
        let cells = pass.tape.value(self.x).chunks_exact(stride);
        for (dy, x) in grad.data.chunks_exact(width).zip(cells) {
            for row in self.columns.iter().filter_map(|&c| self.table.row(x[c], n)) {
                let sum = sums[row * width..][..width].iter_mut();
                sum.zip(dy).for_each(|(sum, &dy)| *sum += dy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Gradients, Init, Layout};
    use std::sync::Arc;

    const CODES: [f64; 8] = [0.0, 2.0, 1.0, 1.0, 2.0, 0.0, 0.0, 0.0];

    fn table(padding: bool) -> (Arc<Layout>, TableParams) {
        let mut layout = Layout::default();
        let weight = layout.declare("table", &[3, 2], Init::Uniform(1.0));
        (Arc::new(layout), TableParams { weight, padding })
    }

    #[test]
    fn a_bag_matches_central_differences() {
        let (layout, table) = table(false);
        let check = check_gradients(&layout, 1, Mode::default(), |tape, params| {
            let x = tape.input(&[2, 2, 2], &CODES);
            let y = tape.embedding(params, x, &[1, 0], table);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &[1.0, -2.0, 0.5, 3.0, 1.5, -0.5, 0.7, 2.0])
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn padding_is_zero_and_receives_nothing() {
        let (layout, table) = table(true);
        let params = Params::<f64>::init(&layout, 1);
        let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(&layout));
        tape.begin(Mode::default());
        let x = tape.input(&[4, 2], &CODES);
        let y = tape.embedding(&params, x, &[0, 1], table);
        assert_eq!(tape.value(y)[6..], [0.0, 0.0]);
        assert_eq!(tape.value(y)[..2], params.values(table.weight)[4..]);
        let loss = tape.weighted_sum(y, &[1.0; 8]);
        tape.backward(loss, &params, &mut grads);
        assert_eq!(grads.data(), [0.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "expected a code below 3, found 1.5")]
    fn a_number_that_is_no_code_panics_with_it() {
        let (layout, table) = table(false);
        let params = Params::<f64>::init(&layout, 1);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.input(&[1, 1], &[1.5]);
        tape.embedding(&params, x, &[0], table);
    }
}
