//! What a loss looks at, `answers [steps, batch, columns]` beside `labels [batch, steps, label columns]`, and the loss as one
//! value of a tape.
//!
//! Losses are computed in f64 whatever the tape's type: a batch has few answers, and a statistic such as a Sharpe ratio loses
//! digits early. Value and slope come from one pass, so the way back only scales the slope.

use crate::ops::real::Real;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

/// Answers of a net with their labels; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    out: Vec<f64>,
    labels: Vec<f64>,
    n_steps: usize,
    n_windows: usize,
    n_columns: usize,
    n_labels: usize,
}

impl Answers {
    /// Takes answers of shape `[batch, columns]` or `[steps, batch, columns]`, and labels window after window.
    ///
    /// # Panics
    /// When the shape is another, or the labels are not the same number for every window and step.
    #[must_use]
    pub fn new(shape: &[usize], out: Vec<f64>, labels: Vec<f64>) -> Self {
        let [n_steps, n_windows, n_columns] = match *shape {
            [batch, columns] => [1, batch, columns],
            [steps, batch, columns] => [steps, batch, columns],
            _ => panic!("answers: expected [batch, columns] or [steps, batch, columns], found {shape:?}"),
        };
        assert_eq!(out.len(), n_steps * n_windows * n_columns, "answers {shape:?}");
        let n_rows = n_steps * n_windows;
        assert!(
            n_rows > 0 && labels.len().is_multiple_of(n_rows),
            "labels of {n_windows} windows with {n_steps} steps: found {}",
            labels.len()
        );
        let n_labels = labels.len() / n_rows;
        Self {
            out,
            labels,
            n_steps,
            n_windows,
            n_columns,
            n_labels,
        }
    }

    /// Takes answers and labels window after window, `[batch, steps, columns]` and `[batch, steps, label columns]`.
    ///
    /// # Panics
    /// As [`Answers::new`].
    #[must_use]
    pub fn from_windows(n_steps: usize, n_columns: usize, out: &[f32], labels: &[f32]) -> Self {
        let wide = |x: &f32| f64::from(*x);
        let n_windows = out.len() / (n_steps * n_columns);
        let row =
            |step: usize, window: usize| out[(window * n_steps + step) * n_columns..][..n_columns].iter();
        let steps = (0..n_steps).flat_map(|step| (0..n_windows).map(move |window| (step, window)));
        let by_step = steps.flat_map(|(step, window)| row(step, window)).map(wide);
        Self::new(
            &[n_steps, n_windows, n_columns],
            by_step.collect(),
            labels.iter().map(wide).collect(),
        )
    }

    /// Answered steps of a window.
    #[must_use]
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Windows.
    #[must_use]
    pub fn n_windows(&self) -> usize {
        self.n_windows
    }

    /// Columns of an answer.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Label columns of a step.
    #[must_use]
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    /// Every answer, step after step.
    #[must_use]
    pub fn out(&self) -> &[f64] {
        &self.out
    }

    /// Every label, window after window.
    #[must_use]
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// Where the answer of a step and window starts in [`Answers::out`].
    #[must_use]
    pub fn at(&self, step: usize, window: usize) -> usize {
        (step * self.n_windows + window) * self.n_columns
    }

    /// The answer of a step and window.
    #[must_use]
    pub fn answer(&self, step: usize, window: usize) -> &[f64] {
        let at = self.at(step, window);
        &self.out[at..at + self.n_columns]
    }

    /// A label of a step and window.
    #[must_use]
    pub fn label(&self, step: usize, window: usize, column: usize) -> f64 {
        assert!(column < self.n_labels, "label {column} of {}", self.n_labels);
        self.labels[(window * self.n_steps + step) * self.n_labels + column]
    }

    /// Every step from `first` on with every window, step after step.
    pub fn rows(&self, first: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let n_windows = self.n_windows;
        (first..self.n_steps).flat_map(move |step| (0..n_windows).map(move |window| (step, window)))
    }

    /// The answers of some steps alone, with their labels.
    ///
    /// # Panics
    /// When `first` is no step.
    #[must_use]
    pub fn from_step(&self, first: usize) -> Self {
        assert!(first < self.n_steps, "step {first} of {}", self.n_steps);
        let width = self.n_steps * self.n_labels;
        let labels = self.labels.chunks_exact(width.max(1));
        Self {
            out: self.out[self.at(first, 0)..].to_vec(),
            labels: labels
                .flat_map(|l| l[first * self.n_labels..].iter().copied())
                .collect(),
            n_steps: self.n_steps - first,
            ..*self
        }
    }
}

/// A scalar whose slope by one input is known already.
struct Sloped(Var);

impl<R: Real> Tape<R> {
    /// Puts the value of `loss` on the tape; `loss` adds its slope by every answer to the zeros it is given.
    ///
    /// # Panics
    /// As [`Answers::new`].
    pub fn scored(&mut self, out: Var, labels: &[R], loss: impl FnOnce(&Answers, &mut [f64]) -> f64) -> Var {
        let wide = |values: &[R]| values.iter().map(|x| x.to_f64()).collect();
        let answers = Answers::new(self.shape(out), wide(self.value(out)), wide(labels));
        let mut slope = vec![0.0; answers.out.len()];
        let value = loss(&answers, &mut slope);
        let mut buffer = self.pool.take(1);
        buffer[0] = R::from_f64(value);
        let mut saved = self.pool.take(slope.len());
        for (saved, slope) in saved.iter_mut().zip(slope) {
            *saved = R::from_f64(slope);
        }
        let mut node = Node::new(&[1], buffer).with_op(self.needs_grad(out), Sloped(out));
        node.saved.push(saved);
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Sloped {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let scale = grad.data[0];
        pass.tape
            .add_grad(self.0, node.saved[0].iter().map(|&slope| slope * scale));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::losses::Loss;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::Mode;
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    /// Checks the slope of `loss` against central differences of its value at answers drawn from [-2, 2].
    pub(in super::super) fn check_slope(loss: &Loss, shape: &[usize], labels: &[f64]) {
        let mut layout = Layout::default();
        let z = layout.declare("answers", shape, Init::Uniform(2.0));
        let n_windows = shape[shape.len() - 2];
        let check = check_gradients(&Arc::new(layout), 8, Mode::default(), |tape, params| {
            let z = tape.param(params, z);
            loss.apply(tape, z, labels, n_windows)
        });
        assert_gradients(&check, 2e-7);
    }

    /// Value and slope of `loss` for answers of one step.
    pub(in super::super) fn value_and_slope(
        loss: &Loss,
        shape: &[usize],
        out: &[f64],
        labels: &[f64],
    ) -> (f64, Vec<f64>) {
        let answers = Answers::new(shape, out.to_vec(), labels.to_vec());
        let mut slope = vec![0.0; out.len()];
        let value = loss.add_slope(&answers, answers.n_windows(), &mut slope);
        (value, slope)
    }

    #[test]
    fn answers_go_by_step_and_labels_by_window() {
        let out: Vec<f64> = (0..12).map(f64::from).collect();
        let labels: Vec<f64> = (0..6).map(f64::from).collect();
        let answers = Answers::new(&[3, 2, 2], out, labels);
        assert_eq!(answers.answer(2, 1), [10.0, 11.0]);
        assert_eq!(answers.label(2, 0, 0), 2.0);
        assert_eq!(answers.label(0, 1, 0), 3.0);
        let tail = answers.from_step(1);
        assert_eq!((tail.n_steps(), tail.answer(1, 1)), (2, &[10.0, 11.0][..]));
        assert_eq!(tail.labels(), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(tail.label(0, 1, 0), answers.label(1, 1, 0));
    }

    #[test]
    fn windows_after_one_another_become_steps_after_one_another() {
        let answers = Answers::from_windows(2, 1, &[1.0, 2.0, 3.0, 4.0], &[0.1, 0.2, 0.3, 0.4]);
        assert_eq!(answers.out(), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(
            (answers.answer(1, 0), answers.label(1, 0, 0)),
            (&[2.0][..], f64::from(0.2f32))
        );
    }

    #[test]
    fn one_step_has_labels_of_its_own_width() {
        let answers = Answers::new(&[2, 1], vec![5.0, 6.0], vec![1.0, 0.1, 2.0, 0.2]);
        assert_eq!((answers.n_labels(), answers.label(0, 1, 1)), (2, 0.2));
    }

    #[test]
    #[should_panic(expected = "labels of 2 windows with 2 steps: found 3")]
    fn labels_that_do_not_divide_panic_with_the_shape() {
        let _ = Answers::new(&[2, 2, 1], vec![0.0; 4], vec![0.0; 3]);
    }
}
