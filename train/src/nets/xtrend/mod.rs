//! X-Trend (Wood, Kessler, Roberts and Zohren 2023, "Few-shot learning patterns in financial time-series"): a target window
//! attends to contexts, each a stretch of another or an earlier series.
//!
//! Rows of `x`: the target's `lookback`, then `context_lookback * n_contexts` of the contexts, step by step (row `lookback + k *
//! n_contexts + c` is step `k` of context `c`). Columns: the features, the next day's scaled return (read in contexts of the
//! paper's form alone), the entity's code (read in the first row of the target and of each context).
//!
//! Answers, position first. Form `separate`, every target step, `[lookback, batch, n]`: `[z]`, `[z, mu, s]` or `[z, q_1 ..]`.
//! Form `shared`, the last step, `[batch, 3]`: `[z, mu, s]`, all its heads. The position is `tanh(z)`; the deviation is
//! `softplus(s) + 1e-6` in the paper's form and `e^s` in the shared one. Which columns train is the loss's choice.

mod ffn;
mod separate;
mod shared;

use super::Net;
use super::blocks::declare::Declare;
use crate::ops::embedding::TableParams;
use crate::tape::engine::Engine;
use crate::tape::params::Layout;
use separate::Separate;
use shared::Shared;
use std::sync::Arc;
use tickfuse_core::bundle::{ContextMode, XtrendConfig, XtrendForm, XtrendHead};

/// The net; its parameters live in [`crate::tape::params::Params`].
#[derive(Debug, Clone)]
pub struct XtrendNet {
    config: XtrendConfig,
    n_features: usize,
    p: f64,
    layout: Arc<Layout>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Shared(Box<Shared>),
    Separate(Box<Separate>),
}

/// Rows of one or more series side by side, `[steps, n, n_features + 2]`.
#[derive(Debug, Clone, Copy)]
struct Series<V> {
    rows: V,
    n_features: usize,
}

impl<V: Copy> Series<V> {
    /// Features alone, or with the next day's return behind them.
    fn features<E: Engine<Var = V>>(&self, engine: &mut E, with_return: bool) -> V {
        let columns: Vec<usize> = (0..self.n_features + usize::from(with_return)).collect();
        engine.columns(self.rows, &columns)
    }

    /// The entity's vector per series, `[n, d]`.
    fn entity<E: Engine<Var = V>>(&self, engine: &mut E, table: TableParams) -> V {
        let first = engine.step(self.rows, 0);
        engine.embedding(first, &[self.n_features + 1], table)
    }
}

impl XtrendNet {
    /// Declares the parameters for rows of `n_features` reals.
    ///
    /// # Errors
    /// When a size is out of range, or the dropout is no probability.
    pub fn new(config: XtrendConfig, n_features: usize, dropout: f64) -> Result<Self, String> {
        validate(&config, n_features)?;
        let mut declare = Declare::new(dropout)?;
        let form = match config.form {
            XtrendForm::Shared => Form::Shared(Box::new(Shared::new(&mut declare, &config, n_features))),
            XtrendForm::Separate => {
                Form::Separate(Box::new(Separate::new(&mut declare, &config, n_features)))
            }
        };
        Ok(Self {
            config,
            n_features,
            p: dropout,
            layout: declare.finish(),
            form,
        })
    }

    /// Sizes and form.
    #[must_use]
    pub fn config(&self) -> &XtrendConfig {
        &self.config
    }
}

fn validate(config: &XtrendConfig, n_features: usize) -> Result<(), String> {
    let layers = if config.form == XtrendForm::Separate { 1 } else { 4 };
    let sizes = [
        ("lookback", config.lookback, usize::MAX),
        ("context_lookback", config.context_lookback, usize::MAX),
        ("n_contexts", config.n_contexts, 8192),
        ("n_features", n_features, 8192),
        ("n_hidden / 2", config.n_hidden / 2, 4096),
        ("n_heads", config.n_heads, config.n_hidden),
        ("n_layers", config.n_layers, layers),
        ("n_entities", config.n_entities, 1 << 24),
    ];
    for (key, found, limit) in sizes {
        if !(1..=limit).contains(&found) {
            return Err(format!("{key}: expected 1 to {limit}, found {found}"));
        }
    }
    if !config.n_hidden.is_multiple_of(config.n_heads) {
        return Err(format!(
            "n_heads: expected a divisor of {}, found {}",
            config.n_hidden, config.n_heads
        ));
    }
    if (config.head == XtrendHead::Quantile) != (config.n_quantiles > 0) {
        return Err(format!(
            "n_quantiles: expected some with the quantile head alone, found {}",
            config.n_quantiles
        ));
    }
    let stepwise = config.context_mode == ContextMode::TimeEquivalent;
    match config.form {
        XtrendForm::Shared if stepwise || config.head == XtrendHead::Quantile || config.zero_shot => {
            Err("form: the shared one has final states, entities, and no quantiles".into())
        }
        XtrendForm::Separate if stepwise && config.context_lookback != config.lookback => Err(format!(
            "context_lookback: expected the lookback, {} (time_equivalent), found {}",
            config.lookback, config.context_lookback
        )),
        _ => Ok(()),
    }
}

impl Net for XtrendNet {
    fn n_rows(&self) -> usize {
        self.config.lookback + self.config.context_lookback * self.config.n_contexts
    }

    fn n_features(&self) -> usize {
        self.n_features + 2
    }

    fn n_outputs(&self) -> usize {
        self.config.n_columns()
    }

    fn n_answers(&self) -> usize {
        match self.config.form {
            XtrendForm::Shared => 1,
            XtrendForm::Separate => self.config.lookback,
        }
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn description(&self) -> serde_json::Value {
        serde_json::json!({
            "family": "xtrend", "config": self.config, "n_features": self.n_features, "dropout": self.p,
        })
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        let (batch, width) = (engine.shape(x)[1], self.n_features());
        let (lookback, steps, n) = (
            self.config.lookback,
            self.config.context_lookback,
            self.config.n_contexts,
        );
        let series = |rows| Series {
            rows,
            n_features: self.n_features,
        };
        let target = series(engine.steps(x, 0..lookback));
        let contexts = engine.steps(x, lookback..self.n_rows());
        // Context c of row b is series c * batch + b.
        let contexts = series(engine.reshape(contexts, &[steps, n * batch, width]));
        match &self.form {
            Form::Shared(net) => net.forward(engine, target, contexts),
            Form::Separate(net) => net.forward(engine, target, contexts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> XtrendConfig {
        XtrendConfig {
            lookback: 6,
            context_lookback: 4,
            n_contexts: 3,
            n_hidden: 8,
            n_heads: 2,
            n_layers: 1,
            n_entities: 5,
            form: XtrendForm::Separate,
            head: XtrendHead::Gaussian,
            n_quantiles: 0,
            context_mode: ContextMode::FinalState,
            zero_shot: false,
        }
    }

    #[test]
    fn rows_hold_the_target_and_all_contexts() {
        let net = XtrendNet::new(config(), 4, 0.0).unwrap();
        assert_eq!((net.n_rows(), net.n_features()), (6 + 3 * 4, 6));
        assert_eq!((net.n_answers(), net.n_outputs()), (6, 3));
    }

    #[test]
    fn contradictions_are_named() {
        let stepwise = XtrendConfig {
            context_mode: ContextMode::TimeEquivalent,
            ..config()
        };
        let error = XtrendNet::new(stepwise, 4, 0.0).unwrap_err();
        assert!(
            error.contains("context_lookback: expected the lookback, 6"),
            "{error}"
        );
        let deep = XtrendConfig {
            n_layers: 2,
            ..config()
        };
        assert_eq!(
            XtrendNet::new(deep, 4, 0.0).unwrap_err(),
            "n_layers: expected 1 to 1, found 2"
        );
        let quantiles = XtrendConfig {
            head: XtrendHead::Quantile,
            ..config()
        };
        assert!(
            XtrendNet::new(quantiles, 4, 0.0)
                .unwrap_err()
                .contains("n_quantiles")
        );
    }
}
