//! LSTM layers, gates i, f, g, o: Hochreiter and Schmidhuber 1997 with the forget gate, as PyTorch computes it.

use super::{Part, add, dense, sigmoid, tanh};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Output state `h` and cell state `c`, `[n_hidden]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct LstmState {
    /// Output state.
    pub h: Vec<f64>,
    /// Cell state.
    pub c: Vec<f64>,
}

impl LstmState {
    /// Zeros.
    #[must_use]
    pub fn zero(n_hidden: usize) -> Self {
        Self {
            h: vec![0.0; n_hidden],
            c: vec![0.0; n_hidden],
        }
    }
}

/// One step: `z = W x + b + R h`, `c' = s(f) c + s(i) tanh(g)`, `h' = s(o) tanh(c')`. `W [4H, n_in]`, `R [4H, H]`.
pub fn lstm_step(w: &[f64], r: &[f64], b: &[f64], x: &[f64], state: &mut LstmState) {
    let n = state.h.len();
    let recurrent = dense(r, &vec![0.0; 4 * n], &state.h);
    let z: Vec<f64> = dense(w, b, x)
        .iter()
        .zip(&recurrent)
        .map(|(a, b)| a + b)
        .collect();
    for u in 0..n {
        state.c[u] = sigmoid(z[n + u]) * state.c[u] + sigmoid(z[u]) * tanh(z[2 * n + u]);
        state.h[u] = sigmoid(z[3 * n + u]) * tanh(state.c[u]);
    }
}

/// All steps of `x [steps, n_in]` from a zero state; the outputs `[steps][n_hidden]`.
#[must_use]
pub fn lstm(w: &[f64], r: &[f64], b: &[f64], x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    lstm_from(w, r, b, x, &mut LstmState::zero(b.len() / 4))
}

/// All steps of `x [steps, n_in]` from a state, which becomes that behind the last step.
#[must_use]
pub fn lstm_from(w: &[f64], r: &[f64], b: &[f64], x: &[Vec<f64>], state: &mut LstmState) -> Vec<Vec<f64>> {
    let mut step = |row: &Vec<f64>| {
        lstm_step(w, r, b, row, state);
        state.h.clone()
    };
    x.iter().map(&mut step).collect()
}

/// The stack `weight_ih_l{k}`, `weight_hh_l{k}`, `bias_ih_l{k}`, `bias_hh_l{k}` from a state per layer; these become the
/// states behind the last step. The outputs are those of the top layer.
#[must_use]
pub fn lstm_stack(part: &Part<'_>, x: &[Vec<f64>], states: &mut [LstmState]) -> Vec<Vec<f64>> {
    let mut rows = x.to_vec();
    for (k, state) in states.iter_mut().enumerate() {
        rows = layer(part, &format!("l{k}"), &rows, state);
    }
    rows
}

/// A bidirectional stack, `..._l{k}` and `..._l{k}_reverse`, from zero states; outputs `[forward | backward]` of the top
/// layer, `[steps][2H]`. Each layer above the first reads both directions of the one below.
#[must_use]
pub fn lstm_bidirectional(part: &Part<'_>, n_layers: usize, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n_hidden = part.shape("weight_hh_l0")[1];
    let mut rows = x.to_vec();
    for k in 0..n_layers {
        let zero = || LstmState::zero(n_hidden);
        let forward = layer(part, &format!("l{k}"), &rows, &mut zero());
        rows.reverse();
        let mut backward = layer(part, &format!("l{k}_reverse"), &rows, &mut zero());
        backward.reverse();
        rows = forward
            .into_iter()
            .zip(backward)
            .map(|(f, b)| [f, b].concat())
            .collect();
    }
    rows
}

fn layer(part: &Part<'_>, suffix: &str, x: &[Vec<f64>], state: &mut LstmState) -> Vec<Vec<f64>> {
    let values = |name: &str| part.values(&format!("{name}_{suffix}"));
    let bias = add(values("bias_ih"), values("bias_hh"));
    lstm_from(values("weight_ih"), values("weight_hh"), &bias, x, state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_weights_halves_the_cell() {
        let mut state = LstmState {
            h: vec![9.0],
            c: vec![2.0],
        };
        lstm_step(&[0.0; 4], &[0.0; 4], &[0.0; 4], &[5.0], &mut state);
        assert_eq!(state.c, [1.0]);
        assert_eq!(state.h, [0.5 * tanh(1.0)]);
    }

    #[test]
    fn gates_come_in_the_order_i_f_g_o() {
        let shut = -1e3;
        let after = |bias: [f64; 4]| {
            let mut state = LstmState {
                h: vec![0.0],
                c: vec![0.5],
            };
            lstm_step(&[0.0; 4], &[0.0; 4], &bias, &[0.0], &mut state);
            (state.h[0], state.c[0])
        };
        assert_eq!(after([shut, -shut, 1.0, -shut]), (tanh(0.5), 0.5));
        assert_eq!(after([-shut, shut, -shut, shut]), (0.0, 1.0));
    }

    #[test]
    fn no_steps_leave_the_state_alone() {
        let mut state = LstmState {
            h: vec![3.0],
            c: vec![4.0],
        };
        let kept = state.clone();
        assert!(lstm_from(&[0.0; 4], &[0.0; 4], &[0.0; 4], &[], &mut state).is_empty());
        assert_eq!(state, kept);
    }
}
