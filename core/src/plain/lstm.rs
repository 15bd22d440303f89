//! An LSTM layer, gates i, f, g, o: Hochreiter and Schmidhuber 1997 with the forget gate, as PyTorch computes it.

use super::{dense, sigmoid, tanh};
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
    let mut state = LstmState::zero(b.len() / 4);
    let mut step = |row: &Vec<f64>| {
        lstm_step(w, r, b, row, &mut state);
        state.h.clone()
    };
    x.iter().map(&mut step).collect()
}
