//! The contexts that an X-Trend file brings along: raw rows and codes of entities, as the encoders read them.

use super::open::n_features;
use crate::bundle::{Bundle, CONTEXTS_PREFIX, Categories, Schema, XtrendConfig, XtrendForm};
use crate::columns::Intake;
use crate::error::OpenError;
use crate::layers::Rows;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Contexts, scaled.
pub(super) struct FileContexts {
    /// `[contexts, rows, stride]`.
    reals: Vec<f32>,
    stride: usize,
    entities: Vec<usize>,
}

impl FileContexts {
    /// Features are scaled as a window's are; the return behind them stays as it is.
    pub(super) fn read(bundle: &Bundle, config: &XtrendConfig) -> Result<Self, OpenError> {
        let schema = bundle.schema();
        let n_columns = n_features(schema) + usize::from(config.form == XtrendForm::Separate);
        let (n, n_rows) = (config.n_contexts, config.context_lookback);
        let name = |part: &str| format!("{CONTEXTS_PREFIX}{part}");
        let raw = bundle.tensor::<f32>(&name("input"), &[n, n_rows, n_columns])?;
        let entities = codes(
            schema,
            &name("entity"),
            &bundle.tensor::<f32>(&name("entity"), &[n])?,
        )?;
        let stride = n_columns.next_multiple_of(2);
        let mut reals = vec![0.0; n * n_rows * stride];
        let intake = Intake::new(schema);
        let each = raw
            .chunks_exact(n_rows * n_columns)
            .zip(reals.chunks_exact_mut(n_rows * stride));
        for ((raw, scaled), entity) in each.zip(&entities) {
            intake.read_context(raw, n_columns, *entity as u32, scaled, stride);
        }
        match reals.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(OpenError::Schema(format!(
                "{}[{}]: expected a value that is finite once scaled, found {}",
                name("input"),
                at / stride * n_columns + at % stride,
                raw[at / stride * n_columns + at % stride]
            ))),
            None => Ok(Self {
                reals,
                stride,
                entities,
            }),
        }
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
        rows.zip(self.entities.iter().copied())
    }
}

/// Codes of the schema's one categorical input.
fn codes(schema: &Schema, name: &str, values: &[f32]) -> Result<Vec<usize>, OpenError> {
    let categories = schema.inputs.iter().find_map(|i| i.categories.as_ref());
    let n = categories.map_or(0, Categories::n_codes);
    let code = |(i, value): (usize, &f32)| {
        let code = *value as usize;
        if code < n && code as f32 == *value {
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

    const XTREND: &str = r#"{"format":1,"name":"x","net":{"family":"xtrend","lookback":2,"context_lookback":2,
        "n_contexts":2,"n_hidden":2,"n_heads":1,"n_layers":1,"n_entities":9,"form":"separate","head":"position",
        "n_quantiles":0,"context_mode":"final_state","zero_shot":false},"precision":"f32",
        "inputs":[{"name":"s","role":"static","categories":{"labels":["a","b","c"]}},
        {"name":"u","scaled_by":"n"},{"name":"v","scaler":{"center":1.0,"scale":4.0}}],
        "normalizers":[{"name":"n","source":{"table":{"inputs":["s"],"rows":[[0.0,1.0],[10.0,2.0],[20.0,4.0]]}}}],
        "outputs":[{"name":"y","kind":"tanh","labels":["y"],"unit":"one"}],"arrival":"whole_window",
        "golden_tolerance":1.0}"#;

    fn schema() -> Schema {
        Schema::from_json(XTREND).unwrap()
    }

    #[test]
    fn features_are_scaled_by_their_own_inputs_and_by_the_contexts_entity() {
        let raw = [14.0, 9.0, 0.5, 8.0, 1.0, -0.5];
        let mut scaled = [7.0; 8];
        Intake::new(&schema()).read_context(&raw, 3, 1, &mut scaled, 4);
        assert_eq!(scaled, [2.0, 2.0, 0.5, 7.0, -1.0, 0.0, -0.5, 7.0]);
    }

    #[test]
    fn entities_are_codes_of_the_categorical_input() {
        let read = |values: &[f32]| codes(&schema(), "contexts.entity", values);
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
