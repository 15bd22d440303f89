//! A small reverse-mode tape over whole layers, with recycled buffers.
//!
//! An operation of [`crate::ops`] computes its value at once and leaves a `Backward` on the tape; [`Tape::backward`] walks the
//! nodes in reverse. A node owns its value, its gradient and what the operation saved; [`Tape::begin`] returns all of them to
//! the [`pool`]. One tape belongs to one thread. Nets are written against [`engine::Engine`], not against the tape.

pub mod engine;
pub mod params;
pub mod pool;

use crate::ops::product::{Compute, Products};
use crate::ops::real::Real;
use params::{Gradients, ParamId, Params};
use pool::Pool;

/// A value on a tape; valid until the tape's next [`Tape::begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(usize);

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mode {
    /// Training: dropout is active.
    pub training: bool,
    /// Representation of the operands of products.
    pub compute: Compute,
    /// Key of the dropout masks of this pass (see [`crate::ops::dropout`]).
    pub dropout_key: u64,
}

/// A gradient whose first `from` values are zero and not stored.
#[derive(Debug, Default)]
pub(crate) struct Grad<R> {
    pub(crate) data: Vec<R>,
    pub(crate) from: usize,
}

/// One value on the tape. The value may start inside its buffer: a layer may keep its initial state in front.
pub(crate) struct Node<R> {
    pub(crate) shape: Vec<usize>,
    pub(crate) buffer: Vec<R>,
    pub(crate) start: usize,
    pub(crate) saved: Vec<Vec<R>>,
    pub(crate) grad: Option<Grad<R>>,
    pub(crate) needs_grad: bool,
    op: Option<Box<dyn Backward<R>>>,
}

impl<R: Real> Node<R> {
    /// A node that owns `buffer` from its first value on.
    pub(crate) fn new(shape: &[usize], buffer: Vec<R>) -> Self {
        Self::behind(shape, buffer, 0, Vec::new())
    }

    /// A node whose value starts at `start` of its buffer, with what the way back needs saved.
    pub(crate) fn behind(shape: &[usize], buffer: Vec<R>, start: usize, saved: Vec<Vec<R>>) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), buffer.len() - start);
        Self {
            shape: shape.to_vec(),
            buffer,
            start,
            saved,
            grad: None,
            needs_grad: false,
            op: None,
        }
    }

    /// Adds the way back.
    pub(crate) fn with_op(mut self, needs_grad: bool, op: impl Backward<R> + 'static) -> Self {
        self.needs_grad = needs_grad;
        self.op = Some(Box::new(op));
        self
    }

    pub(crate) fn value(&self) -> &[R] {
        &self.buffer[self.start..]
    }
}

/// The way back through one operation.
pub(crate) trait Backward<R: Real>: Send {
    /// Adds to the gradients of the inputs, given the operation's own node with its gradient.
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>);

    /// Whether the operation reads a gradient whose leading zeros are not stored.
    fn takes_tail(&self) -> bool {
        false
    }
}

/// What a [`Backward`] works with.
pub(crate) struct Pass<'a, R: Real> {
    pub(crate) tape: &'a mut Tape<R>,
    pub(crate) params: &'a Params<R>,
    pub(crate) grads: &'a mut Gradients<R>,
}

/// Values and the way back through them; see the module.
#[derive(Default)]
pub struct Tape<R: Real> {
    nodes: Vec<Node<R>>,
    pub(crate) pool: Pool<R>,
    pub(crate) products: Products<R>,
    pub(crate) packed: R::Packed,
    pub(crate) mode: Mode,
}

impl<R: Real> Tape<R> {
    /// Starts a pass: forgets all values and keeps their buffers.
    pub fn begin(&mut self, mode: Mode) {
        self.mode = mode;
        self.products.set_compute(mode.compute);
        while let Some(node) = self.nodes.pop() {
            self.recycle(node);
        }
    }

    /// A value that needs no gradient.
    ///
    /// # Panics
    /// When `data` does not fill `shape`.
    pub fn input(&mut self, shape: &[usize], data: &[R]) -> Var {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "input {shape:?}");
        let mut buffer = self.pool.take(data.len());
        buffer.copy_from_slice(data);
        self.push(Node::new(shape, buffer))
    }

    /// Zeros that need no gradient.
    pub fn zeros(&mut self, shape: &[usize]) -> Var {
        let buffer = self.pool.take_zeroed(shape.iter().product());
        self.push(Node::new(shape, buffer))
    }

    /// The value of `v`, row-major.
    #[must_use]
    pub fn value(&self, v: Var) -> &[R] {
        self.nodes[v.0].value()
    }

    /// The shape of `v`.
    #[must_use]
    pub fn shape(&self, v: Var) -> &[usize] {
        &self.nodes[v.0].shape
    }

    /// Length of the last axis of `v`.
    #[must_use]
    pub fn width(&self, v: Var) -> usize {
        self.shape(v).last().map_or(1, |&n| n)
    }

    /// Number of buffers ever allocated by this tape.
    #[must_use]
    pub fn n_allocated(&self) -> usize {
        self.pool.n_allocated()
    }

    /// Adds the gradient of the scalar `loss` to `grads`. Saved values are used up: once per pass.
    ///
    /// # Panics
    /// When `loss` is not a scalar.
    pub fn backward(&mut self, loss: Var, params: &Params<R>, grads: &mut Gradients<R>) {
        assert_eq!(self.value(loss).len(), 1, "the loss must be a scalar");
        let mut seed = self.pool.take(1);
        seed[0] = R::ONE;
        self.nodes[loss.0].grad = Some(Grad { data: seed, from: 0 });
        for index in (0..=loss.0).rev() {
            self.step_back(index, params, grads);
        }
    }

    fn step_back(&mut self, index: usize, params: &Params<R>, grads: &mut Gradients<R>) {
        let node = &mut self.nodes[index];
        let Some(op) = node.op.take() else { return };
        let Some(mut grad) = node.grad.take() else { return };
        let mut node = std::mem::replace(node, Node::new(&[0], Vec::new()));
        if !op.takes_tail() {
            self.fill_head(&mut grad);
        }
        let mut pass = Pass {
            tape: self,
            params,
            grads,
        };
        op.backward(&mut node, &grad, &mut pass);
        self.pool.give(grad.data);
        self.nodes[index] = node;
    }

    pub(crate) fn push(&mut self, node: Node<R>) -> Var {
        self.nodes.push(node);
        Var(self.nodes.len() - 1)
    }

    pub(crate) fn node(&self, v: Var) -> &Node<R> {
        &self.nodes[v.0]
    }

    pub(crate) fn node_mut(&mut self, v: Var) -> &mut Node<R> {
        &mut self.nodes[v.0]
    }

    /// Sees to it that the way back passes `v`, with a gradient of zero when no other arrives.
    pub(crate) fn ensure_grad(&mut self, v: Var) {
        if self.nodes[v.0].grad.is_none() {
            let from = self.value(v).len();
            let data = Vec::new();
            self.nodes[v.0].grad = Some(Grad { data, from });
        }
    }

    pub(crate) fn needs_grad(&self, v: Var) -> bool {
        self.nodes[v.0].needs_grad
    }

    /// The value of `v` beside the products that read it.
    pub(crate) fn value_and_products(&mut self, v: Var) -> (&[R], &mut Products<R>) {
        (self.nodes[v.0].value(), &mut self.products)
    }

    /// The gradient of `v` to add to, taken out of its node, or nothing when `v` needs none. The flag says that the buffer
    /// is new: its content is arbitrary and to be overwritten.
    pub(crate) fn open_grad(&mut self, v: Var) -> Option<(Vec<R>, bool)> {
        if !self.needs_grad(v) {
            return None;
        }
        let len = self.value(v).len();
        match self.nodes[v.0].grad.take() {
            Some(mut grad) => {
                self.fill_head(&mut grad);
                Some((grad.data, false))
            }
            None => Some((self.pool.take(len), true)),
        }
    }

    /// Puts back what [`Tape::open_grad`] gave.
    pub(crate) fn close_grad(&mut self, v: Var, data: Vec<R>) {
        self.nodes[v.0].grad = Some(Grad { data, from: 0 });
    }

    /// Adds `values`, a buffer of this tape's pool, to the gradient of `v`; the first one becomes the gradient itself.
    pub(crate) fn give_grad(&mut self, v: Var, values: Vec<R>) {
        if self.needs_grad(v) && self.nodes[v.0].grad.is_none() {
            return self.close_grad(v, values);
        }
        self.add_grad(v, values.iter().copied());
        self.pool.give(values);
    }

    /// Adds `values` to the gradient of `v`.
    pub(crate) fn add_grad(&mut self, v: Var, values: impl Iterator<Item = R>) {
        let Some((mut grad, fresh)) = self.open_grad(v) else {
            return;
        };
        for (grad, x) in grad.iter_mut().zip(values) {
            *grad = if fresh { x } else { *grad + x };
        }
        self.close_grad(v, grad);
    }

    /// Adds `tail` to the last values of the gradient of `v`; the zeros before it are not stored while nothing else arrives.
    pub(crate) fn add_grad_tail(&mut self, v: Var, tail: &[R]) {
        let from = self.value(v).len() - tail.len();
        if self.needs_grad(v) && self.nodes[v.0].grad.is_none() {
            let mut data = self.pool.take(tail.len());
            data.copy_from_slice(tail);
            self.nodes[v.0].grad = Some(Grad { data, from });
            return;
        }
        let head = std::iter::repeat_n(R::ZERO, from);
        self.add_grad(v, head.chain(tail.iter().copied()));
    }

    fn fill_head(&mut self, grad: &mut Grad<R>) {
        if grad.from == 0 {
            return;
        }
        let mut data = self.pool.take(grad.from + grad.data.len());
        data[..grad.from].fill(R::ZERO);
        data[grad.from..].copy_from_slice(&grad.data);
        grad.from = 0;
        self.pool.give(std::mem::replace(&mut grad.data, data));
    }

    fn recycle(&mut self, node: Node<R>) {
        self.pool.give(node.buffer);
        for buffer in node.saved {
            self.pool.give(buffer);
        }
        if let Some(grad) = node.grad {
            self.pool.give(grad.data);
        }
    }
}

/// A parameter as a value: its gradient goes to the parameter.
struct ParamOp(ParamId);

impl<R: Real> Backward<R> for ParamOp {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        for (sum, &x) in pass.grads.add_to(self.0).iter_mut().zip(&grad.data) {
            *sum += x;
        }
    }
}

impl<R: Real> Tape<R> {
    /// A parameter as a value, such as a learned initial state.
    pub fn param(&mut self, params: &Params<R>, id: ParamId) -> Var {
        let values = params.values(id);
        let mut buffer = self.pool.take(values.len());
        buffer.copy_from_slice(values);
        self.push(Node::new(params.shape(id), buffer).with_op(true, ParamOp(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::params::{Init, Layout};
    use super::*;
    use std::sync::Arc;

    fn setup() -> (Arc<Layout>, ParamId, ParamId) {
        let mut layout = Layout::default();
        let a = layout.declare("a", &[4], Init::Uniform(1.0));
        let unused = layout.declare("unused", &[2], Init::Uniform(1.0));
        (Arc::new(layout), a, unused)
    }

    #[test]
    fn a_value_used_twice_collects_both_gradients_and_an_unused_one_none() {
        let (layout, a, _) = setup();
        let params = Params::<f64>::init(&layout, 1);
        let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(&layout));
        tape.begin(Mode::default());
        let x = tape.param(&params, a);
        let twice = tape.add(x, x);
        let loss = tape.weighted_sum(twice, &[1.0, 2.0, 3.0, 4.0]);
        tape.backward(loss, &params, &mut grads);
        assert_eq!(&grads.data()[..4], [2.0, 4.0, 6.0, 8.0]);
        assert_eq!(grads.untouched().collect::<Vec<_>>(), ["unused"]);
    }

    #[test]
    fn the_second_pass_allocates_nothing() {
        let (layout, a, _) = setup();
        let params = Params::<f32>::init(&layout, 1);
        let (mut tape, mut grads) = (Tape::default(), Gradients::zeros(&layout));
        let mut counts = Vec::new();
        for _ in 0..3 {
            tape.begin(Mode::default());
            let x = tape.param(&params, a);
            let y = tape.tanh(x);
            let sum = tape.add(x, y);
            let loss = tape.weighted_sum(sum, &[1.0; 4]);
            tape.backward(loss, &params, &mut grads);
            counts.push(tape.n_allocated());
        }
        assert_eq!(counts[0], counts[2]);
    }
}
