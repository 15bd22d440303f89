//! The contexts that an X-Trend attends to: raw rows of a file or of a caller, scaled, then encoded into a handle.
//!
//! Both ways are one: a file's contexts are handed in when it is opened.

use super::open::n_features;
use crate::bundle::{Bundle, CONTEXTS_PREFIX, Categories, Schema, XtrendConfig, XtrendForm};
use crate::columns::Intake;
use crate::error::{OpenError, RunError};
use crate::kernels::{Kernels, Keys};
use crate::layers::{Attention, Rows};
use crate::simd::Lane;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Contexts of an X-Trend model, encoded: what its answers attend to.
///
/// A handle: cloning it copies nothing, and any number of sessions and threads may use the same one. It belongs to the
/// opened model that encoded it.
#[derive(Clone)]
pub struct Contexts {
    pub(super) encoded: Arc<Encoded>,
    /// The opened net.
    of: Arc<()>,
}

impl Contexts {
    pub(super) fn new(encoded: Encoded, of: &Arc<()>) -> Self {
        Self {
            encoded: Arc::new(encoded),
            of: Arc::clone(of),
        }
    }

    /// How many they are.
    #[must_use]
    pub fn n_contexts(&self) -> usize {
        self.encoded.n
    }

    pub(super) fn belongs_to(&self, net: &Arc<()>) -> bool {
        Arc::ptr_eq(&self.of, net)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts")
            .field("n_contexts", &self.n_contexts())
            .finish_non_exhaustive()
    }
}

/// Contexts as the cross attention reads them.
pub(super) struct Encoded {
    /// `[steps, contexts, row lanes]`.
    keys: Vec<Lane>,
    values: Vec<Lane>,
    pub(super) n: usize,
    pub(super) n_steps: usize,
}

impl Encoded {
    pub(super) const NONE: Self = Self {
        keys: Vec::new(),
        values: Vec::new(),
        n: 0,
        n_steps: 1,
    };

    /// Projects states `[steps, contexts, lanes]`.
    pub(super) fn new(
        kernels: &Kernels,
        attention: &Attention,
        keys: &[Lane],
        values: &[Lane],
        n_steps: usize,
    ) -> Self {
        let lanes = attention.output.n_lanes();
        let n_rows = keys.len() / lanes;
        let mut projected = [0, 1].map(|_| vec![Lane::ZERO; n_rows * attention.row_lanes()]);
        let [k, v] = &mut projected;
        attention.project(kernels, keys, values, k, v);
        let [keys, values] = projected;
        Self {
            keys,
            values,
            n: n_rows / n_steps,
            n_steps,
        }
    }

    /// What a step attends to.
    pub(super) fn of_step(&self, attention: &Attention, step: usize) -> Keys<'_> {
        let size = self.n * attention.row_lanes();
        let part = step * size..(step + 1) * size;
        attention.keys(&self.keys[part.clone()], &self.values[part], self.n)
    }
}

/// What a model takes as contexts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Contexts at most.
    pub(super) limit: usize,
    pub(super) n_rows: usize,
    /// Features, and in the paper's form the return behind them.
    pub(super) n_columns: usize,
    /// Codes of entities.
    n_entities: usize,
}

impl Shape {
    pub(super) fn new(schema: &Schema, config: &XtrendConfig) -> Self {
        let categories = schema.inputs.iter().find_map(|i| i.categories.as_ref());
        Self {
            limit: config.n_contexts,
            n_rows: config.context_lookback,
            n_columns: n_features(schema) + usize::from(config.form == XtrendForm::Separate),
            n_entities: categories.map_or(0, Categories::n_codes),
        }
    }

    fn check(self, n_values: usize, entities: &[u32]) -> Result<(), RunError> {
        if !(1..=self.limit).contains(&entities.len()) {
            return Err(RunError::ContextCount {
                limit: self.limit,
                found: entities.len(),
            });
        }
        let expected = entities.len() * self.n_rows * self.n_columns;
        if n_values != expected {
            return Err(RunError::ContextLength {
                expected,
                found: n_values,
            });
        }
        match entities.iter().position(|e| *e as usize >= self.n_entities) {
            Some(context) => Err(RunError::ContextEntity {
                context,
                n_entities: self.n_entities,
                found: entities[context],
            }),
            None => Ok(()),
        }
    }
}

/// Contexts, scaled.
pub(super) struct Scaled<'a> {
    /// `[contexts, rows, stride]`.
    reals: Vec<f32>,
    stride: usize,
    entities: &'a [u32],
}

impl<'a> Scaled<'a> {
    /// Raw rows `[contexts, rows, columns]`: features are scaled as a window's are, the return behind them is not.
    pub(super) fn new<S: Copy + Into<f64>>(
        intake: &Intake,
        shape: Shape,
        raw: &[S],
        entities: &'a [u32],
    ) -> Result<Self, RunError> {
        shape.check(raw.len(), entities)?;
        let Shape {
            n_rows, n_columns, ..
        } = shape;
        let stride = n_columns.next_multiple_of(2);
        let mut reals = vec![0.0; entities.len() * n_rows * stride];
        let each = raw
            .chunks_exact(n_rows * n_columns)
            .zip(reals.chunks_exact_mut(n_rows * stride));
        for ((raw, scaled), entity) in each.zip(entities) {
            intake.read_context(raw, n_columns, *entity, scaled, stride);
        }
        match reals.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(RunError::ContextNonFinite {
                context: at / (n_rows * stride),
                row: at / stride % n_rows,
                column: at % stride,
            }),
            None => Ok(Self {
                reals,
                stride,
                entities,
            }),
        }
    }

    pub(super) fn n(&self) -> usize {
        self.entities.len()
    }

    /// Every context's rows with its entity.
    pub(super) fn each(&self) -> impl Iterator<Item = (Rows<'_>, usize)> {
        let size = self.reals.len() / self.entities.len();
        let rows = self.reals.chunks_exact(size).map(|reals| Rows {
            reals,
            stride: self.stride,
            codes: &[],
            n_codes: 0,
        });
        rows.zip(self.entities.iter().map(|e| *e as usize))
    }
}

/// The raw rows and entities that a file brings along.
pub(super) fn of_file(bundle: &Bundle, shape: Shape) -> Result<(Vec<f32>, Vec<u32>), OpenError> {
    let (n, name) = (shape.limit, |part: &str| format!("{CONTEXTS_PREFIX}{part}"));
    let rows = bundle.tensor::<f32>(&name("input"), &[n, shape.n_rows, shape.n_columns])?;
    let entities = bundle.tensor::<f32>(&name("entity"), &[n])?;
    Ok((
        rows.to_vec(),
        codes(&name("entity"), &entities, shape.n_entities)?,
    ))
}

/// Codes below `n`, which a file has as f32.
fn codes(name: &str, values: &[f32], n: usize) -> Result<Vec<u32>, OpenError> {
    let code = |(i, value): (usize, &f32)| {
        let code = *value as u32;
        if (code as usize) < n && code as f32 == *value {
            return Ok(code);
        }
        Err(OpenError::Schema(format!(
            "{name}[{i}]: expected the code of one of {n} entities, found {value}"
        )))
    };
    values.iter().enumerate().map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Net;

    const XTREND: &str = r#"{"format":1,"name":"x","net":{"family":"xtrend","lookback":2,"context_lookback":2,
        "n_contexts":2,"n_hidden":2,"n_heads":1,"n_layers":1,"n_entities":9,"form":"separate","head":"position",
        "n_quantiles":0,"context_mode":"final_state","zero_shot":false},"precision":"f32",
        "inputs":[{"name":"s","role":"static","categories":{"labels":["a","b","c"]}},
        {"name":"u","scaled_by":"n"},{"name":"v","scaler":{"center":1.0,"scale":4.0}}],
        "normalizers":[{"name":"n","source":{"table":{"inputs":["s"],"rows":[[0.0,1.0],[10.0,2.0],[20.0,4.0]]}}}],
        "outputs":[{"name":"y","kind":"tanh","labels":["y"],"unit":"one"}],"arrival":"whole_window",
        "golden_tolerance":1.0}"#;

    /// The message, or nothing where the contexts are taken.
    fn refusal(raw: &[f64], entities: &[u32]) -> Option<RunError> {
        let schema = Schema::from_json(XTREND).unwrap();
        let Net::Xtrend(config) = &schema.net else {
            panic!("an X-Trend");
        };
        let shape = Shape::new(&schema, config);
        Scaled::new(&Intake::new(&schema), shape, raw, entities).err()
    }

    #[test]
    fn features_are_scaled_by_their_own_inputs_and_by_the_contexts_entity() {
        let raw = [14.0, 9.0, 0.5, 8.0, 1.0, -0.5];
        let mut scaled = [7.0; 8];
        let intake = Intake::new(&Schema::from_json(XTREND).unwrap());
        intake.read_context(&raw, 3, 1, &mut scaled, 4);
        assert_eq!(scaled, [2.0, 2.0, 0.5, 7.0, -1.0, 0.0, -0.5, 7.0]);
    }

    #[test]
    fn refusals_name_what_was_expected_and_found() {
        assert_eq!(refusal(&[0.0; 6], &[2]), None);
        assert_eq!(refusal(&[0.0; 12], &[2, 0]), None);
        let count = |found| Some(RunError::ContextCount { limit: 2, found });
        assert_eq!(refusal(&[], &[]), count(0));
        assert_eq!(refusal(&[0.0; 18], &[0, 1, 2]), count(3));
        let (expected, found) = (12, 11);
        let length = RunError::ContextLength { expected, found };
        assert_eq!(refusal(&[0.0; 11], &[0, 1]), Some(length));
        let entity = RunError::ContextEntity {
            context: 1,
            n_entities: 3,
            found: 3,
        };
        assert_eq!(refusal(&[0.0; 12], &[0, 3]), Some(entity));
    }

    #[test]
    fn a_value_that_is_not_finite_once_scaled_is_refused_with_its_place() {
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            let mut raw = [0.0; 12];
            raw[10] = bad;
            let place = RunError::ContextNonFinite {
                context: 1,
                row: 1,
                column: 1,
            };
            assert_eq!(refusal(&raw, &[0, 1]), Some(place));
        }
    }

    #[test]
    fn entities_of_a_file_are_codes() {
        let read = |values: &[f32]| codes("contexts.entity", values, 3);
        assert_eq!(read(&[0.0, 2.0]), Ok([0, 2].to_vec()));
        for wrong in [3.0, -1.0, 0.5, 1e30] {
            let text = match read(&[0.0, wrong]) {
                Err(OpenError::Schema(text)) => text,
                other => panic!("{other:?}"),
            };
            assert!(
                text.starts_with("contexts.entity[1]: expected the code of one of 3"),
                "{text}"
            );
        }
    }
}
