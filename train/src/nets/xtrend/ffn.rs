//! The paper's network of two layers: `FFN(x, e) = W3 dropout(ELU(W1 x + b1 + W2 e)) + b3`, without `W2 e` where there is no
//! entity. The paper states a rate of dropout and not its places; here it falls on hidden layers.

use super::super::blocks::Dropout;
use super::super::blocks::declare::{Declare, DenseInit};
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;

#[derive(Debug, Clone)]
pub(super) struct Ffn {
    linear1: DenseParams,
    entity: Option<DenseParams>,
    linear3: DenseParams,
    dropout: Dropout,
}

impl Ffn {
    /// `{name}.{linear1, linear2.weight, linear3}`.
    pub(super) fn new(
        declare: &mut Declare,
        name: &str,
        [n_in, n_hidden, n_out]: [usize; 3],
        entity: bool,
    ) -> Self {
        let init = DenseInit::Torch;
        let linear2 = format!("{name}.linear2");
        Self {
            linear1: declare.dense(&format!("{name}.linear1"), n_in, n_hidden, init),
            entity: entity.then(|| declare.dense_without_bias(&linear2, n_hidden, n_hidden, init)),
            linear3: declare.dense(&format!("{name}.linear3"), n_hidden, n_out, init),
            dropout: declare.dropout(),
        }
    }

    /// `x [steps, n, n_in]` or `[n, n_in]`, `entity [n, n_hidden]`.
    pub(super) fn forward<E: Engine>(&self, engine: &mut E, x: E::Var, entity: Option<E::Var>) -> E::Var {
        let h = engine.linear(x, self.linear1);
        let h = match (entity, self.entity) {
            (Some(entity), Some(layer)) => {
                let term = engine.linear(entity, layer);
                if engine.shape(h).len() == 2 {
                    engine.add(h, term)
                } else {
                    engine.add_steps(h, term)
                }
            }
            _ => h,
        };
        self.behind_hidden(engine, h)
    }

    /// The network on one column of `x`.
    pub(super) fn on_column<E: Engine>(&self, engine: &mut E, x: E::Var, column: usize) -> E::Var {
        let h = engine.affine_column(x, column, self.linear1);
        self.behind_hidden(engine, h)
    }

    fn behind_hidden<E: Engine>(&self, engine: &mut E, h: E::Var) -> E::Var {
        let h = engine.elu(h);
        let h = self.dropout.apply(engine, h);
        engine.linear(h, self.linear3)
    }
}
