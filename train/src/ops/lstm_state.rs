//! The state an LSTM layer ends with, `h_n` and `c_n` of each row at its own length: what a decoder starts from.
//!
//! A row of length 0 ends with its initial state. Backward: the gradients are laid into the layer's node, and enter its way
//! back at each row's last step.

use super::lstm::{CELLS, FINAL_C, FINAL_H};
use super::real::Real;
use super::reverse::check_lengths;
use crate::tape::{Backward, Grad, Node, Pass, Tape, Var};

struct FinalState {
    layer: Var,
    place: usize,
}

impl<R: Real> Tape<R> {
    /// `(h, c)`, each `[B, H]`, behind the last step of each row of `layer`, an answer of [`Tape::lstm`] with the
    /// same lengths.
    ///
    /// # Panics
    /// When `layer` is no answer of an LSTM layer.
    pub fn lstm_state(&mut self, layer: Var, lengths: Option<&[usize]>) -> (Var, Var) {
        let &[steps, batch, width] = self.shape(layer) else {
            panic!(
                "lstm_state: expected [steps, batch, width], found {:?}",
                self.shape(layer)
            )
        };
        check_lengths(lengths, steps, batch);
        let [h, c] = [FINAL_H, FINAL_C].map(|place| {
            let mut out = self.pool.take(batch * width);
            let states = self.lstm_states(layer, place);
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let slot = lengths.map_or(steps, |lengths| lengths[row]);
                out.copy_from_slice(&states[(slot * batch + row) * width..][..width]);
            }
            self.push(Node::new(&[batch, width], out).with_op(true, FinalState { layer, place }))
        });
        (h, c)
    }

    /// All hidden or cell states of a layer, the initial one first.
    fn lstm_states(&self, layer: Var, place: usize) -> &[R] {
        let node = self.node(layer);
        assert!(
            node.saved.len() > FINAL_C,
            "lstm_state: expected the answer of an LSTM layer"
        );
        if place == FINAL_H {
            &node.buffer
        } else {
            &node.saved[CELLS]
        }
    }
}

impl<R: Real> Backward<R> for FinalState {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let tape = &mut *pass.tape;
        let mut sum = std::mem::take(&mut tape.node_mut(self.layer).saved[self.place]);
        if sum.is_empty() {
            sum = tape.pool.take_zeroed(grad.data.len());
        }
        sum.iter_mut().zip(&grad.data).for_each(|(sum, &x)| *sum += x);
        tape.node_mut(self.layer).saved[self.place] = sum;
        tape.ensure_grad(self.layer);
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::ops::lstm::LstmParams;
    use crate::tape::params::{Init, Layout, ParamId};
    use crate::tape::{Mode, Tape};
    use std::sync::Arc;

    const T: usize = 4;
    const B: usize = 3;
    const H: usize = 3;

    fn layer(layout: &mut Layout, name: &str, n_in: usize) -> LstmParams {
        let all = Init::Uniform(0.8);
        let mut declare = |part: &str, shape: &[usize]| layout.declare(format!("{name}.{part}"), shape, all);
        LstmParams {
            weight_ih: declare("weight_ih", &[4 * H, n_in]),
            weight_hh: declare("weight_hh", &[4 * H, H]),
            bias_ih: declare("bias_ih", &[4 * H]),
            bias_hh: declare("bias_hh", &[4 * H]),
        }
    }

    struct Setup {
        layout: Arc<Layout>,
        x: ParamId,
        start: [ParamId; 2],
        encoder: LstmParams,
        decoder: LstmParams,
    }

    fn setup() -> Setup {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[T, B, 2], Init::Uniform(1.0));
        let start = ["h0", "c0"].map(|name| layout.declare(name, &[B, H], Init::Uniform(1.0)));
        let encoder = layer(&mut layout, "encoder", 2);
        let decoder = layer(&mut layout, "decoder", 2);
        Setup {
            layout: Arc::new(layout),
            x,
            start,
            encoder,
            decoder,
        }
    }

    const LENGTHS: [Option<&[usize]>; 3] = [None, Some(&[4, 0, 2]), Some(&[1, 3, 3])];

    #[test]
    fn a_decoder_that_starts_where_the_encoder_ends_matches_central_differences() {
        let s = setup();
        let weights: Vec<f64> = (0..2 * T * B * H).map(|i| (i as f64 * 0.7).sin()).collect();
        for lengths in LENGTHS {
            let check = check_gradients(&s.layout, 4, Mode::default(), |tape, params| {
                let x = tape.param(params, s.x);
                let [h, c] = s.start.map(|id| tape.param(params, id));
                let encoded = tape.lstm(params, x, s.encoder, Some((h, c)), lengths);
                let state = tape.lstm_state(encoded, lengths);
                let decoded = tape.lstm(params, x, s.decoder, Some(state), None);
                let both = tape.concat_steps(&[encoded, decoded]);
                tape.weighted_sum(both, &weights)
            });
            assert_gradients(&check, 1e-7);
        }
    }

    #[test]
    fn final_states_alone_match_central_differences() {
        let s = setup();
        let weights: Vec<f64> = (0..B * H).map(|i| (i as f64 * 0.7).sin()).collect();
        for lengths in LENGTHS {
            let check = check_gradients(&s.layout, 4, Mode::default(), |tape, params| {
                let x = tape.param(params, s.x);
                let [h, c] = s.start.map(|id| tape.param(params, id));
                let y = tape.lstm(params, x, s.encoder, Some((h, c)), lengths);
                let (h, c) = tape.lstm_state(y, lengths);
                let y = tape.mul(h, c);
                tape.weighted_sum(y, &weights)
            });
            assert!(check.worst < 1e-7, "{}: {}", check.worst, check.place);
            assert_eq!(
                check.untouched.len(),
                4,
                "the decoder alone: {:?}",
                check.untouched
            );
        }
    }

    #[test]
    fn a_short_row_is_that_row_alone() {
        let s = setup();
        let params = crate::tape::params::Params::<f64>::init(&s.layout, 2);
        let mut tape = Tape::default();
        tape.begin(Mode::default());
        let x = tape.param(&params, s.x);
        let y = tape.lstm(&params, x, s.encoder, None, Some(&[4, 2, 0]));
        let (h, _) = tape.lstm_state(y, Some(&[4, 2, 0]));
        let short = tape.steps(x, 0..2);
        let alone = tape.lstm(&params, short, s.encoder, None, None);
        let last = tape.take_last(alone);
        let row = |v: &[f64], b: usize| v[b * H..][..H].to_vec();
        assert_eq!(row(tape.value(h), 1), row(tape.value(last), 1));
        assert_eq!(row(tape.value(h), 2), [0.0; H]);
        assert_eq!(tape.value(y)[(2 * B + 1) * H..][..H], [0.0; H]);
    }
}
