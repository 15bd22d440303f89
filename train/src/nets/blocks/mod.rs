//! What several nets are made of: a block declares its parameters when it is made and is run on an [`Engine`].

pub mod declare;
pub mod gate;
pub mod grn;
pub mod lstm;
pub mod multihead;

use crate::tape::engine::Engine;

/// One place where values are dropped while training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability.
    pub p: f64,
    /// Tells the dropouts of a net apart.
    pub site: u32,
}

impl Dropout {
    /// Drops values of `x`.
    pub fn apply<E: Engine>(self, engine: &mut E, x: E::Var) -> E::Var {
        engine.dropout(x, self.p, self.site)
    }
}
