//! Answers for batches that are scaled and encoded already: the network of a model alone, its answers taken to the targets' units by
//! the centres and scales that the batch brings along.

use super::{Answers, PredictError};
use crate::arrays::Array;
use crate::assemble::{AssembleError, assemble};
use crate::import::forecasting::{Batch, Layout};
use std::sync::Arc;
use tickfuse_core::bundle::{Input, Role, Scaler, Schema};
use tickfuse_core::plain::CenterScale;
use tickfuse_core::{Model, OpenOptions, Session, nets};

/// Every window of a batch. Steps behind a window's own length are NaN.
///
/// # Errors
/// [`PredictError`].
pub fn batch(model: &Arc<Model>, batch: &Batch) -> Result<Answers, PredictError> {
    let layout = Layout::of(model.schema()).ok_or(PredictError::NoFrame)?;
    let batch = Checked::new(model.schema(), batch, &layout)?;
    let network = network(model)?;
    let mut session = Session::new(&network, 1);
    let mut answers = Answers {
        names: model.schema().output_names(),
        ..Answers::default()
    };
    for i in 0..batch.n {
        let [n_encoder, n_decoder] = batch.lengths(i)?;
        let window = batch.window(network.schema(), i, [n_encoder, n_decoder]);
        let n_columns = model.schema().n_columns();
        let mut out = vec![0.0; n_decoder.max(1) * n_columns];
        let flags = session.run_lengths(&window, n_encoder, n_decoder, &mut out);
        let flags = flags.map_err(|error| PredictError::Run {
            what: format!("window {i}"),
            error,
        })?;
        answers.note(flags);
        for row in out.chunks_exact_mut(n_columns) {
            batch.undo(model.schema(), i, row);
        }
        out.resize(model.schema().n_outputs(), f32::NAN);
        answers.values.extend(out);
    }
    Ok(answers)
}

/// The model without scaling: every column that the network reads is handed in as it is read.
fn network(model: &Arc<Model>) -> Result<Arc<Model>, AssembleError> {
    let whole = model.schema();
    let tensors = nets::unpack(model.bundle())?;
    let inputs = whole.inputs.iter().map(|input| Input {
        derived: None,
        scaled_by: None,
        scaler: input.categories.is_none().then_some(Scaler::IDENTITY),
        ..input.clone()
    });
    let mut schema = Schema {
        inputs: inputs.collect(),
        normalizers: Vec::new(),
        ..whole.clone()
    };
    schema.outputs.iter_mut().for_each(|o| o.normalizer = None);
    let options = OpenOptions {
        level: Some(model.level()),
        ..OpenOptions::default()
    };
    Ok(Model::from_bytes(&assemble(&schema, &tensors)?, options)?)
}

/// A batch whose shapes fit a model.
struct Checked<'a> {
    batch: &'a Batch,
    layout: &'a Layout,
    n: usize,
    /// Steps at most, of encoder and decoder.
    limits: [usize; 2],
}

impl<'a> Checked<'a> {
    fn new(schema: &Schema, batch: &'a Batch, layout: &'a Layout) -> Result<Self, PredictError> {
        let n = batch.lengths[0].shape.first().copied().unwrap_or(0);
        for (part, name) in ["encoder", "decoder"].into_iter().enumerate() {
            let steps = batch.reals[part].shape.get(1).copied().unwrap_or(0);
            let shapes = [
                ("cont", &batch.reals[part], vec![n, steps, layout.reals.len()]),
                (
                    "cat",
                    &batch.codes[part],
                    vec![n, steps, layout.categoricals.len()],
                ),
                ("lengths", &batch.lengths[part], vec![n]),
            ];
            for (suffix, array, expected) in shapes {
                expect(&format!("{name}_{suffix}"), &expected, array)?;
            }
        }
        for (name, array) in &batch.scales {
            expect(name, &[n, 2], array)?;
        }
        Ok(Self {
            batch,
            layout,
            n,
            limits: [schema.lookback(), schema.net.n_ahead()],
        })
    }

    /// Steps of window `i`, which both model and arrays must have room for.
    fn lengths(&self, i: usize) -> Result<[usize; 2], PredictError> {
        let mut found = [0; 2];
        for (part, name) in ["encoder", "decoder"].into_iter().enumerate() {
            let limit = self.limits[part].min(self.batch.reals[part].shape[1]);
            let length = self.batch.lengths[part].values[i];
            if length.fract() != 0.0 || !(0.0..=limit as f64).contains(&length) {
                return Err(PredictError::Batch {
                    array: format!("{name}_lengths"),
                    expected: format!("a length up to {limit} of window {i}"),
                    found: length.to_string(),
                });
            }
            found[part] = length as usize;
        }
        Ok(found)
    }

    /// Rows of window `i` in the order of the network's inputs.
    fn window(&self, network: &Schema, i: usize, lengths: [usize; 2]) -> Vec<f64> {
        let steps = (0..2).flat_map(|part| (0..lengths[part]).map(move |row| (part, row)));
        let value = |input: &Input, part: usize, row: usize| {
            let (array, names) = match input.categories {
                Some(_) => (&self.batch.codes[part], &self.layout.categoricals),
                None => (&self.batch.reals[part], &self.layout.reals),
            };
            // A column that only chooses rows of a table is in no tensor, and the network does not read it.
            let place = names.iter().position(|name| *name == input.name);
            let [steps, width] = [array.shape[1], array.shape[2]];
            let is_future = part == 1 && input.role == Role::Observed;
            place.map_or(0.0, |place| match is_future {
                true => 0.0,
                false => array.values[(i * steps + row) * width + place],
            })
        };
        let row = |(part, row)| network.inputs.iter().map(move |input| value(input, part, row));
        steps.flat_map(row).collect()
    }

    /// Answers of one step of window `i` in the targets' units.
    fn undo(&self, model: &Schema, i: usize, row: &mut [f32]) {
        let mut rest = row;
        for (output, (_, scales)) in model.outputs.iter().zip(&self.batch.scales) {
            let (own, others) = rest.split_at_mut(output.labels.len());
            rest = others;
            let normalizer = output.normalizer.as_ref();
            let Some(by) = normalizer.and_then(|name| model.normalizers.iter().find(|n| n.name == *name))
            else {
                continue;
            };
            let (center, scale) = (scales.values[2 * i], scales.values[2 * i + 1]);
            for value in own {
                *value = CenterScale { center, scale }.undone(by.transform, f64::from(*value)) as f32;
            }
        }
    }
}

fn expect(name: &str, expected: &[usize], array: &Array) -> Result<(), PredictError> {
    if array.shape == expected {
        return Ok(());
    }
    Err(PredictError::Batch {
        array: name.into(),
        expected: format!("shape {expected:?}"),
        found: format!("{:?}", array.shape),
    })
}
