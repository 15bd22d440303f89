//! From columns to vectors: prescalers of reals, `Linear(1 -> width)`, and embedding tables of categoricals.
//!
//! A variable has one prescaler and one table, whoever reads it; several variables may share a table by its name. Start
//! values: tables `N(0, 1)`, prescalers as `PyTorch` starts a dense layer.

use super::super::blocks::declare::{Declare, DenseInit};
use crate::ops::embedding::TableParams;
use crate::ops::linear::DenseParams;
use crate::tape::engine::Engine;
use std::collections::HashMap;
use tickfuse_core::bundle::{TftConfig, Variable};

/// How one variable is read.
#[derive(Debug, Clone)]
enum Source {
    Real { column: usize, prescaler: DenseParams },
    Codes { columns: Vec<usize>, table: TableParams },
}

/// How every variable of a net is read, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs(HashMap<String, Source>);

/// A block of rows of `x` with the way its variables are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Embedded<'a, V>(pub(super) &'a Inputs, pub(super) V);

impl<V: Copy> Embedded<'_, V> {
    /// The vector of a variable, `[.., width]`.
    pub(super) fn vector<E: Engine<Var = V>>(&self, engine: &mut E, variable: &str) -> V {
        match &self.0.0[variable] {
            Source::Real { column, prescaler } => engine.affine_column(self.1, *column, *prescaler),
            Source::Codes { columns, table } => engine.embedding(self.1, columns, *table),
        }
    }
}

impl Inputs {
    /// Declares `prescalers.{name}.*` and `input_embeddings.embeddings.{table}.weight`, each once.
    pub(super) fn new(declare: &mut Declare, config: &TftConfig, inputs: &[String]) -> Result<Self, String> {
        let mut sources = Self::default();
        let mut tables = HashMap::new();
        let encoder_and_decoder = config.encoder_variables.iter().chain(&config.decoder_variables);
        for v in config.static_variables.iter().chain(encoder_and_decoder) {
            if !sources.0.contains_key(&v.name) {
                let source = Source::new(declare, v, inputs, &mut tables)?;
                sources.0.insert(v.name.clone(), source);
            }
        }
        Ok(sources)
    }
}

impl Source {
    fn new(
        declare: &mut Declare,
        v: &Variable,
        inputs: &[String],
        tables: &mut HashMap<String, TableParams>,
    ) -> Result<Self, String> {
        let column = |name: &String| {
            let at = inputs.iter().position(|input| input == name);
            at.ok_or_else(|| {
                format!(
                    "variable `{}`: expected an input `{name}`, found {inputs:?}",
                    v.name
                )
            })
        };
        let columns: Vec<usize> = v.columns.iter().map(column).collect::<Result<_, _>>()?;
        match (v.n_categories, &columns[..]) {
            (None, &[column]) => {
                let name = format!("prescalers.{}", v.name);
                Ok(Self::Real {
                    column,
                    prescaler: declare.dense(&name, 1, v.width, DenseInit::Torch),
                })
            }
            (Some(n), [_, ..]) => {
                let name = format!("input_embeddings.embeddings.{}", v.table());
                let weight = tables
                    .entry(name.clone())
                    .or_insert_with(|| declare.table(&name, n, v.width, v.padding))
                    .weight;
                let padding = v.padding;
                let table = TableParams { weight, padding };
                Ok(Self::Codes { columns, table })
            }
            (_, found) => Err(format!(
                "variable `{}`: expected one column, found {}",
                v.name,
                found.len()
            )),
        }
    }
}
