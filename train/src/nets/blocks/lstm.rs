//! LSTM layers on top of one another with dropout between them, in one direction or in both.

use super::Dropout;
use super::declare::Declare;
use crate::ops::lstm::LstmParams;
use crate::tape::engine::Engine;

/// One hidden and one cell state, each `[batch, n_hidden]`.
pub type State<V> = (V, V);

/// Layers in one direction.
#[derive(Debug, Clone)]
pub struct LstmStack {
    layers: Vec<LstmParams>,
    dropouts: Vec<Dropout>,
}

impl LstmStack {
    /// `{name}.{weight,bias}_{ih,hh}_l{k}`.
    pub fn new(declare: &mut Declare, name: &str, n_in: usize, n_hidden: usize, n_layers: usize) -> Self {
        let layer = |k| {
            let n_in = if k == 0 { n_in } else { n_hidden };
            declare.lstm(name, &format!("l{k}"), n_in, n_hidden)
        };
        Self {
            layers: (0..n_layers).map(layer).collect(),
            dropouts: (1..n_layers).map(|_| declare.dropout()).collect(),
        }
    }

    /// The top layer's answer; layer `k` starts from `initial[k]`, from zero where there is none.
    pub fn forward<E: Engine>(
        &self,
        engine: &mut E,
        x: E::Var,
        initial: &[State<E::Var>],
        lengths: Option<&[usize]>,
    ) -> E::Var {
        let layers = self.all_layers(engine, x, initial, lengths);
        *layers.last().expect("a stack has a layer")
    }

    /// The top layer's answer, and the state each layer ends with.
    pub fn forward_with_states<E: Engine>(
        &self,
        engine: &mut E,
        x: E::Var,
        initial: &[State<E::Var>],
        lengths: Option<&[usize]>,
    ) -> (E::Var, Vec<State<E::Var>>) {
        let layers = self.all_layers(engine, x, initial, lengths);
        let states = layers.iter().map(|&y| engine.lstm_state(y, lengths));
        let states = states.collect();
        (*layers.last().expect("a stack has a layer"), states)
    }

    fn all_layers<E: Engine>(
        &self,
        engine: &mut E,
        x: E::Var,
        initial: &[State<E::Var>],
        lengths: Option<&[usize]>,
    ) -> Vec<E::Var> {
        let mut answers: Vec<E::Var> = Vec::new();
        for (k, &layer) in self.layers.iter().enumerate() {
            let input = match answers.last() {
                Some(&below) => self.dropouts[k - 1].apply(engine, below),
                None => x,
            };
            answers.push(engine.lstm(input, layer, initial.get(k).copied(), lengths));
        }
        answers
    }
}

/// Layers in both directions from a zero state, their answers side by side.
#[derive(Debug, Clone)]
pub struct BiLstm {
    layers: Vec<[LstmParams; 2]>,
    dropouts: Vec<Dropout>,
}

impl BiLstm {
    /// `{name}.{weight,bias}_{ih,hh}_l{k}` and the same with `_reverse`.
    pub fn new(declare: &mut Declare, name: &str, n_in: usize, n_hidden: usize, n_layers: usize) -> Self {
        let layer = |k| {
            let n_in = if k == 0 { n_in } else { 2 * n_hidden };
            [format!("l{k}"), format!("l{k}_reverse")]
                .map(|suffix| declare.lstm(name, &suffix, n_in, n_hidden))
        };
        Self {
            layers: (0..n_layers).map(layer).collect(),
            dropouts: (1..n_layers).map(|_| declare.dropout()).collect(),
        }
    }

    /// `x [steps, batch, n_in]` to `[steps, batch, 2 n_hidden]`, forwards half first.
    pub fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let mut y = x;
        for (k, &[forwards, backwards]) in self.layers.iter().enumerate() {
            if k > 0 {
                y = self.dropouts[k - 1].apply(engine, y);
            }
            let ahead = engine.lstm(y, forwards, None, None);
            let turned = engine.reverse_steps(y, None);
            let turned = engine.lstm(turned, backwards, None, None);
            let back = engine.reverse_steps(turned, None);
            y = engine.concat_columns(&[ahead, back]);
        }
        y
    }
}
