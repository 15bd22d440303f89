//! Scaled dot-product attention of several heads: `A_h = softmax(Q_h K_hᵀ / √d)`, `Y_h = A_h V_h`, heads side by side.
//!
//! `Q [Tq, B, m d]`, `K [Tk, B, m d]`, `V [Tk, B, m d]`, or `[Tk, B, d]`, one value head that all heads share (the interpretable
//! attention of Lim et al. 2021); `Y [Tq, B, m d]`. Keys that a query does not see weigh exactly zero. A query that sees none
//! weighs all keys equally, as a mask that overwrites scores with a large negative number does, and its scores receive no
//! gradient. Dropout, where asked for, falls on the weights.
//!
//! Backward per head: `dV = Aᵀ dY`, `dA = dY Vᵀ`, `dS = A ⊙ (dA - rowsum(dA ⊙ A))`, `dQ = dS K / √d`, `dK = dSᵀ Q / √d`.
//! Heads are copied out of their rows, so that the products read contiguous matrices.

use super::dropout::Mask;
use super::mat::Mat;
use super::real::Real;
use super::reverse::check_lengths;
use super::softmax::{softmax_row_without, softmax_rows_back};
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};
use std::ops::Range;
use tickfuse_core::bundle::MaskRule;

/// Lengths of the rows of a batch that may end early, in the two parts of its steps.
#[derive(Debug, Clone, Copy)]
pub struct Lengths<'a> {
    /// Steps of the encoder, which begin at step 0.
    pub encoder: &'a [usize],
    /// Steps of the decoder, which begin behind the longest encoder.
    pub decoder: &'a [usize],
}

/// Which keys a query sees: all before step `first`, where the first query stands, and some from there on.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    /// Which of the steps from `first` on.
    pub rule: MaskRule,
    /// The step of the first query.
    pub first: usize,
    /// Steps behind a row's length are never seen, except that a causal rule lets a query behind the length see steps there.
    pub lengths: Option<Lengths<'a>>,
}

impl Visible<'_> {
    /// Every key.
    pub const ALL: Self = Self {
        rule: MaskRule::Open,
        first: 0,
        lengths: None,
    };
}

/// [`Visible`] with its own lengths: what one row's queries see.
#[derive(Debug, Clone)]
struct Seen {
    rule: MaskRule,
    first: usize,
    lengths: Option<[Vec<usize>; 2]>,
    n_keys: usize,
}

impl Seen {
    fn new(visible: Visible<'_>, n_keys: usize, batch: usize) -> Self {
        let lengths = visible.lengths.map(|l| [l.encoder.to_vec(), l.decoder.to_vec()]);
        let n_ahead = n_keys - visible.first;
        if let Some([encoder, decoder]) = &lengths {
            check_lengths(Some(encoder), visible.first, batch);
            check_lengths(Some(decoder), n_ahead, batch);
        }
        Self {
            rule: visible.rule,
            first: visible.first,
            lengths,
            n_keys,
        }
    }

    /// The two stretches of keys that query `i` of row `b` sees.
    fn stretches(&self, b: usize, i: usize) -> [Range<usize>; 2] {
        let (first, all) = (self.first, self.n_keys - self.first);
        let [past, ahead] = match &self.lengths {
            Some([encoder, decoder]) => [encoder[b], decoder[b]],
            None => [first, all],
        };
        let ahead = match self.rule {
            MaskRule::Open => ahead,
            MaskRule::CausalSelf => all.min(i + 1),
            MaskRule::CausalStrict => all.min(i),
        };
        [0..past, first..first + ahead]
    }

    /// Scores of row `b` become weights.
    fn weigh<R: Real>(&self, scores: &mut [R], b: usize) {
        for (i, row) in scores.chunks_exact_mut(self.n_keys).enumerate() {
            let [past, ahead] = self.stretches(b, i);
            if past.is_empty() && ahead.is_empty() {
                row.fill(R::from_f64(1.0 / self.n_keys as f64));
                continue;
            }
            let any = row[if past.is_empty() { ahead.start } else { 0 }];
            softmax_row_without(row, [past.end..ahead.start, ahead.end..self.n_keys], any);
        }
    }

    /// Gradients of the weights of row `b` become gradients of scores.
    fn weigh_back<R: Real>(&self, weights: &[R], d: &mut [R], b: usize) {
        softmax_rows_back(weights, d, self.n_keys);
        for (i, row) in d.chunks_exact_mut(self.n_keys).enumerate() {
            if self.stretches(b, i).iter().all(Range::is_empty) {
                row.fill(R::ZERO);
            }
        }
    }
}

/// How an attention is computed.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Heads.
    pub n_heads: usize,
    /// What a query sees.
    pub visible: Visible<'a>,
    /// Probability and site of the dropout on the weights.
    pub dropout: Option<(f64, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    n_queries: usize,
    n_keys: usize,
    batch: usize,
    n_heads: usize,
    d: usize,
    /// Columns of the values.
    d_values: usize,
}

impl Sizes {
    fn width(self) -> usize {
        self.n_heads * self.d
    }

    /// First column of a head's values.
    fn value_column(self, head: usize) -> usize {
        if self.d_values == self.d { 0 } else { head * self.d }
    }

    fn scale<R: Real>(self) -> R {
        R::from_f64((self.d as f64).sqrt().recip())
    }
}

struct Attend {
    q: Var,
    k: Var,
    v: Var,
    sizes: Sizes,
    seen: Seen,
    mask: Option<Mask>,
}

/// Copies the columns of one head of row `b` at every step into `[steps, d]`.
fn copy_head<R: Copy>(x: &[R], [batch, width]: [usize; 2], b: usize, from: usize, out: &mut [R], d: usize) {
    for (t, out) in out.chunks_exact_mut(d).enumerate() {
        out.copy_from_slice(&x[(t * batch + b) * width + from..][..d]);
    }
}

/// Adds `[steps, d]` to the columns of one head of row `b`.
fn add_head<R: Real>(part: &[R], [batch, width]: [usize; 2], b: usize, from: usize, out: &mut [R], d: usize) {
    for (t, part) in part.chunks_exact(d).enumerate() {
        let out = &mut out[(t * batch + b) * width + from..][..d];
        out.iter_mut().zip(part).for_each(|(out, &x)| *out += x);
    }
}

fn scaled<R: Real>(x: &mut [R], factor: R) {
    x.iter_mut().for_each(|x| *x *= factor);
}

impl<R: Real> Tape<R> {
    /// Attention of `q` over `k` and `v`; see the module.
    ///
    /// # Panics
    /// When the shapes do not meet.
    pub fn attention(&mut self, q: Var, k: Var, v: Var, how: Attention<'_>) -> Var {
        let sizes = self.attention_sizes(q, k, v, how.n_heads);
        let mask = how.dropout.and_then(|(p, site)| Mask::of(&self.mode, p, site));
        let op = Attend {
            q,
            k,
            v,
            sizes,
            seen: Seen::new(how.visible, sizes.n_keys, sizes.batch),
            mask,
        };
        let (n, keys) = (sizes.n_queries, sizes.n_keys);
        let mut weights = self.pool.take(sizes.batch * sizes.n_heads * n * keys);
        let mut out = self.pool.take_zeroed(n * sizes.batch * sizes.width());
        let mut used = self.pool.take(n * keys);
        let mut answer = self.pool.take(n * sizes.d);
        let mut factors = mask.map(Mask::factors::<R>);
        let mut heads = op.buffers(self);
        for (at, weights) in weights.chunks_exact_mut(n * keys).enumerate() {
            let (b, head) = (at / sizes.n_heads, at % sizes.n_heads);
            op.load(self, b, head, &mut heads);
            let [q, k, v] = op.matrices(&heads);
            self.products.gemm(q, k.t(), false, weights);
            op.seen.weigh(weights, b);
            used.copy_from_slice(weights);
            if let Some(factors) = &mut factors {
                used.iter_mut().zip(factors.by_ref()).for_each(|(a, m)| *a *= m);
            }
            self.products
                .gemm(Mat::new(&used, n, keys), v, false, &mut answer);
            let layout = [sizes.batch, sizes.width()];
            add_head(&answer, layout, b, head * sizes.d, &mut out, sizes.d);
        }
        for buffer in heads.into_iter().chain([used, answer]) {
            self.pool.give(buffer);
        }
        let needs_grad = [q, k, v].into_iter().any(|x| self.needs_grad(x));
        let shape = [n, sizes.batch, sizes.width()];
        self.push(Node::behind(&shape, out, 0, vec![weights]).with_op(needs_grad, op))
    }

    fn attention_sizes(&self, q: Var, k: Var, v: Var, n_heads: usize) -> Sizes {
        let shape = |x| match self.shape(x) {
            &[steps, batch, width] => [steps, batch, width],
            other => panic!("attention: expected [steps, batch, width], found {other:?}"),
        };
        let ([n_queries, batch, width], [n_keys, ..], [.., d_values]) = (shape(q), shape(k), shape(v));
        assert!(
            width.is_multiple_of(n_heads),
            "attention: width {width}, {n_heads} heads"
        );
        assert_eq!(shape(k), [n_keys, batch, width], "attention: keys");
        assert_eq!(shape(v), [n_keys, batch, d_values], "attention: values");
        let d = width / n_heads;
        assert!(
            [d, width].contains(&d_values),
            "attention: {d_values} columns of values"
        );
        Sizes {
            n_queries,
            n_keys,
            batch,
            n_heads,
            d,
            d_values,
        }
    }
}

impl Attend {
    /// Room for one head of queries, keys and values.
    fn buffers<R: Real>(&self, tape: &mut Tape<R>) -> [Vec<R>; 3] {
        let s = self.sizes;
        [s.n_queries, s.n_keys, s.n_keys].map(|steps| tape.pool.take(steps * s.d))
    }

    /// One head of row `b`; queries are scaled.
    fn load<R: Real>(&self, tape: &Tape<R>, b: usize, head: usize, [q, k, v]: &mut [Vec<R>; 3]) {
        let s = self.sizes;
        let layout = [s.batch, s.width()];
        copy_head(tape.value(self.q), layout, b, head * s.d, q, s.d);
        copy_head(tape.value(self.k), layout, b, head * s.d, k, s.d);
        let column = s.value_column(head);
        copy_head(tape.value(self.v), [s.batch, s.d_values], b, column, v, s.d);
        scaled(q, s.scale());
    }

    fn matrices<'a, R: Real>(&self, [q, k, v]: &'a [Vec<R>; 3]) -> [Mat<'a, R>; 3] {
        let s = self.sizes;
        [
            Mat::new(q, s.n_queries, s.d),
            Mat::new(k, s.n_keys, s.d),
            Mat::new(v, s.n_keys, s.d),
        ]
    }
}

impl<R: Real> Backward<R> for Attend {
    fn backward(&self, node: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let (s, tape) = (self.sizes, &mut *pass.tape);
        let (n, keys, d) = (s.n_queries, s.n_keys, s.d);
        let layout = [s.batch, s.width()];
        let vars = [self.q, self.k, self.v];
        let mut sums = vars.map(|x| tape.pool.take_zeroed(tape.value(x).len()));
        let mut parts = self.buffers(tape);
        let mut heads = self.buffers(tape);
        let mut dy = tape.pool.take(n * d);
        let [mut used, mut dw] = [(); 2].map(|()| tape.pool.take(n * keys));
        let mut factors = self.mask.map(Mask::factors::<R>);
        for (at, weights) in node.saved[0].chunks_exact(n * keys).enumerate() {
            let (b, head) = (at / s.n_heads, at % s.n_heads);
            self.load(tape, b, head, &mut heads);
            copy_head(&grad.data, layout, b, head * d, &mut dy, d);
            let [q, k, v] = self.matrices(&heads);
            let dy = Mat::new(&dy, n, d);
            tape.products.gemm(dy, v.t(), false, &mut dw);
            used.copy_from_slice(weights);
            if let Some(factors) = &mut factors {
                for ((a, dw), m) in used.iter_mut().zip(&mut dw).zip(factors.by_ref()) {
                    *a *= m;
                    *dw *= m;
                }
            }
            self.seen.weigh_back(weights, &mut dw, b);
            let (used, ds) = (Mat::new(&used, n, keys), Mat::new(&dw, n, keys));
            tape.products.gemm(ds, k, false, &mut parts[0]);
            scaled(&mut parts[0], s.scale());
            tape.products.gemm(ds.t(), q, false, &mut parts[1]);
            tape.products.gemm(used.t(), dy, false, &mut parts[2]);
            add_head(&parts[0], layout, b, head * d, &mut sums[0], d);
            add_head(&parts[1], layout, b, head * d, &mut sums[1], d);
            let column = s.value_column(head);
            add_head(&parts[2], [s.batch, s.d_values], b, column, &mut sums[2], d);
        }
        for (v, d) in vars.into_iter().zip(sums) {
            tape.give_grad(v, d);
        }
        for buffer in parts.into_iter().chain(heads).chain([dy, used, dw]) {
            tape.pool.give(buffer);
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

    const LENGTHS: Lengths<'_> = Lengths {
        encoder: &[1, 0],
        decoder: &[3, 2],
    };

    /// Every rule, with the first query at step 0 and 2, and with rows that end early.
    fn all() -> Vec<Visible<'static>> {
        let rules = [MaskRule::Open, MaskRule::CausalSelf, MaskRule::CausalStrict];
        let each = rules.map(|rule| {
            let visible = |first, lengths| Visible { rule, first, lengths };
            [visible(0, None), visible(2, None), visible(2, Some(LENGTHS))]
        });
        each.concat()
    }

    fn check(how: Attention<'_>, d_values: usize, mode: Mode) {
        let (queries, keys, batch, width) = (3, 5, 2, 4);
        let mut layout = Layout::default();
        let ids = [(queries, width), (keys, width), (keys, d_values)];
        let ids = ids.map(|(steps, n)| {
            let name = layout.specs().len().to_string();
            layout.declare(name, &[steps, batch, n], Init::Uniform(1.5))
        });
        let weights: Vec<f64> = (0..queries * batch * width)
            .map(|i| (i as f64 * 0.9).sin())
            .collect();
        let check = check_gradients(&Arc::new(layout), 8, mode, |tape, params| {
            let [q, k, v] = ids.map(|id| tape.param(params, id));
            let y = tape.attention(q, k, v, how);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-7);
    }

    #[test]
    fn own_and_shared_values_match_central_differences_under_every_mask() {
        for visible in all() {
            for (n_heads, d_values) in [(1, 4), (2, 4), (2, 2), (4, 1)] {
                let how = Attention {
                    n_heads,
                    visible,
                    dropout: None,
                };
                check(how, d_values, Mode::default());
            }
        }
    }

    #[test]
    fn dropped_weights_match_central_differences() {
        let training = Mode {
            training: true,
            dropout_key: 3,
            ..Mode::default()
        };
        for visible in all() {
            let how = Attention {
                n_heads: 2,
                visible,
                dropout: Some((0.4, 1)),
            };
            check(how, 4, training);
        }
    }

    /// Values of two queries over three keys, all scores zero.
    fn means(rule: MaskRule, first: usize, lengths: Option<Lengths<'_>>) -> Vec<f32> {
        let mut tape = Tape::<f32>::default();
        tape.begin(Mode::default());
        let q = tape.input(&[2, 1, 1], &[0.0; 2]);
        let k = tape.input(&[3, 1, 1], &[5.0, 6.0, 7.0]);
        let v = tape.input(&[3, 1, 1], &[1.0, 2.0, 6.0]);
        let how = Attention {
            n_heads: 1,
            visible: Visible { rule, first, lengths },
            dropout: None,
        };
        let y = tape.attention(q, k, v, how);
        tape.value(y).to_vec()
    }

    #[test]
    fn masks_let_through_what_they_say() {
        let close = |found: Vec<f32>, expected: [f32; 2]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        };
        close(means(MaskRule::Open, 0, None), [3.0, 3.0]);
        close(means(MaskRule::CausalSelf, 1, None), [1.5, 3.0]);
        close(means(MaskRule::CausalStrict, 1, None), [1.0, 1.5]);
        close(means(MaskRule::CausalStrict, 0, None), [3.0, 1.0]);
        let lengths = |encoder, decoder| Some(Lengths { encoder, decoder });
        close(means(MaskRule::Open, 1, lengths(&[1], &[1])), [1.5, 1.5]);
        close(means(MaskRule::CausalSelf, 1, lengths(&[0], &[2])), [2.0, 4.0]);
        close(means(MaskRule::CausalStrict, 1, lengths(&[0], &[2])), [3.0, 2.0]);
    }
}
