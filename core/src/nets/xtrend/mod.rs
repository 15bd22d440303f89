//! The `xtrend` family: a target window attends to a set of contexts (Wood et al. 2023, and seed 002's relative).
//!
//! Contexts are encoded once, when the model is opened: their keys and mixed values stay, projected for the cross
//! attention. Output columns: position first; mean and deviation, or quantiles, behind it.

mod encoder;
mod open;
mod pack;
mod separate;
mod shared;

use crate::bundle::{Bundle, CONTEXTS_PREFIX, Schema, View, XtrendConfig, n_blocks};
use crate::error::OpenError;
use crate::interpretation::Interpretation;
use crate::kernels::{Kernels, Keys};
use crate::layers::{Attention, Rows};
use crate::simd::Lane;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use separate::Separate;
use shared::Shared;

pub(crate) use pack::pack;

/// The opened net.
pub(crate) struct XtrendNet {
    lookback: usize,
    context_lookback: usize,
    n_contexts: usize,
    n_features: usize,
    lanes: usize,
    n_columns: usize,
    entities: View<Lane>,
    form: Form,
    contexts: Contexts,
}

#[allow(
    clippy::large_enum_variant,
    reason = "one per model or session, and it stays where it is"
)]
enum Form {
    Shared(Shared),
    Separate(Separate),
}

/// Contexts as the cross attention reads them.
pub(crate) struct Contexts {
    /// `[steps, contexts, row lanes]`.
    keys: Vec<Lane>,
    values: Vec<Lane>,
    n: usize,
    n_steps: usize,
}

/// Buffers of one window.
pub(crate) struct XtrendWork {
    rows: [Vec<Lane>; 3],
    pair: Vec<Lane>,
    head: Vec<Lane>,
    scratch: Vec<Lane>,
    weights: [Vec<Lane>; 2],
    attention: Vec<f32>,
}

/// One series to encode.
#[derive(Clone, Copy)]
struct Job<'a> {
    rows: Rows<'a>,
    n_rows: usize,
    entity: usize,
    entity_row: &'a [Lane],
}

impl Contexts {
    const NONE: Self = Self {
        keys: Vec::new(),
        values: Vec::new(),
        n: 0,
        n_steps: 1,
    };

    /// Projects states `[steps, contexts, lanes]`.
    fn new(kernels: &Kernels, attention: &Attention, keys: &[Lane], values: &[Lane], n_steps: usize) -> Self {
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
    fn of_step(&self, attention: &Attention, step: usize) -> Keys<'_> {
        let size = self.n * attention.row_lanes();
        let part = step * size..(step + 1) * size;
        attention.keys(&self.keys[part.clone()], &self.values[part], self.n)
    }
}

impl XtrendNet {
    /// Takes the net's tensors out of the bundle and encodes its contexts.
    pub(crate) fn open(bundle: &Bundle, config: &XtrendConfig, kernels: &Kernels) -> Result<Self, OpenError> {
        let (form, entities) = open::open(bundle, config)?;
        let mut net = Self {
            lookback: config.lookback,
            context_lookback: config.context_lookback,
            n_contexts: config.n_contexts,
            n_features: open::n_features(bundle.schema()),
            lanes: n_blocks(config.n_hidden),
            n_columns: config.n_columns(),
            entities,
            form,
            contexts: Contexts::NONE,
        };
        net.contexts = net.read_contexts(bundle, kernels)?;
        Ok(net)
    }

    /// Buffers for one window.
    pub(crate) fn work(&self) -> XtrendWork {
        let rows = self.lookback.max(self.context_lookback);
        let block = || vec![Lane::ZERO; rows * self.lanes];
        let weights = || vec![Lane::ZERO; rows * n_blocks(self.n_features + 1)];
        let (scratch, heads) = match &self.form {
            Form::Shared(net) => (net.n_scratch(rows, self.n_contexts), net.cross_attention.n_heads),
            Form::Separate(net) => (net.n_scratch(rows, self.n_contexts), net.cross_attention.n_heads),
        };
        XtrendWork {
            rows: [block(), block(), block()],
            pair: vec![Lane::ZERO; (2 * self.lanes).max(n_blocks(self.n_columns))],
            head: vec![Lane::ZERO; n_blocks(self.n_columns)],
            scratch: vec![Lane::ZERO; scratch],
            weights: [weights(), weights()],
            attention: vec![0.0; rows * heads * self.n_contexts],
        }
    }

    /// Weights of the last run: variable selection of the target, and attention to the contexts.
    pub(crate) fn interpret(&self, work: &XtrendWork) -> Vec<Interpretation> {
        let (queries, heads) = match &self.form {
            Form::Shared(net) => (1, net.cross_attention.n_heads),
            Form::Separate(net) => (self.lookback, net.cross_attention.n_heads),
        };
        let shape = [queries, heads, self.n_contexts];
        vec![
            Interpretation::of_lanes(
                "encoder_weights",
                &work.weights[0],
                self.lookback,
                self.n_features,
            ),
            Interpretation::of_attention("attention", &work.attention, shape),
        ]
    }

    /// One window to head values.
    pub(crate) fn run<'w>(&self, kernels: &Kernels, work: &'w mut XtrendWork, rows: Rows<'_>) -> &'w [Lane] {
        let job = self.job(rows, self.lookback, rows.codes[0] as usize);
        match &self.form {
            Form::Shared(net) => net.run(kernels, job, &self.contexts, work),
            Form::Separate(net) => net.run(kernels, job, &self.contexts, work),
        }
        &work.head
    }

    fn job<'a>(&'a self, rows: Rows<'a>, n_rows: usize, entity: usize) -> Job<'a> {
        Job {
            rows,
            n_rows,
            entity,
            entity_row: &self.entities[entity * self.lanes..][..self.lanes],
        }
    }

    /// The file's contexts, scaled as windows are; the return column stays as it is.
    fn read_contexts(&self, bundle: &Bundle, kernels: &Kernels) -> Result<Contexts, OpenError> {
        let extra = usize::from(matches!(self.form, Form::Separate(_)));
        let columns = self.n_features + extra;
        let shape = [self.n_contexts, self.context_lookback, columns];
        let raw = bundle.tensor::<f32>(&format!("{CONTEXTS_PREFIX}input"), &shape)?;
        let codes = bundle.tensor::<f32>(&format!("{CONTEXTS_PREFIX}entity"), &[self.n_contexts])?;
        let entities = self.entity_codes(&codes)?;
        let scaled = scaled_rows(bundle.schema(), &raw, columns);
        let mut work = self.work();
        let per_context = self.context_lookback * stride(columns);
        let jobs = scaled
            .chunks_exact(per_context)
            .zip(&entities)
            .map(|(reals, entity)| {
                let rows = Rows {
                    reals,
                    stride: stride(columns),
                    codes: &[],
                    n_codes: 0,
                };
                self.job(rows, self.context_lookback, *entity)
            });
        Ok(self.encode(kernels, jobs, &mut work))
    }

    fn entity_codes(&self, codes: &[f32]) -> Result<Vec<usize>, OpenError> {
        let n_entities = self.entities.len() / self.lanes;
        let code = |code: &f32| {
            let at = *code as usize;
            if at < n_entities && at as f32 == *code {
                return Ok(at);
            }
            let text = format!("contexts.entity: expected codes below {n_entities}, found {code}");
            Err(OpenError::Schema(text))
        };
        codes.iter().map(code).collect()
    }

    fn encode<'a>(
        &self,
        kernels: &Kernels,
        jobs: impl Iterator<Item = Job<'a>>,
        work: &mut XtrendWork,
    ) -> Contexts {
        let n_steps = match &self.form {
            Form::Shared(_) => 1,
            Form::Separate(net) => net.n_steps(self.context_lookback),
        };
        let size = n_steps * self.lanes;
        let mut states = [0, 1].map(|_| vec![Lane::ZERO; self.n_contexts * size]);
        let mut one = vec![Lane::ZERO; size];
        for (c, job) in jobs.enumerate() {
            for (which, states) in states.iter_mut().enumerate() {
                match &self.form {
                    Form::Shared(net) => net.encode(kernels, job, work, &mut one),
                    Form::Separate(net) => net.encode(kernels, job, which == 1, work, &mut one),
                }
                for (step, state) in one.chunks_exact(self.lanes).enumerate() {
                    let at = (step * self.n_contexts + c) * self.lanes;
                    states[at..at + self.lanes].copy_from_slice(state);
                }
            }
        }
        let [keys, values] = &states;
        match &self.form {
            Form::Shared(net) => net.mix(kernels, values, work),
            Form::Separate(net) => net.mix(kernels, keys, values, n_steps, work),
        }
    }
}

fn stride(columns: usize) -> usize {
    columns.next_multiple_of(2)
}

fn scaled_rows(schema: &Schema, raw: &[f32], columns: usize) -> Vec<f32> {
    let scalers: Vec<_> = schema.inputs.iter().filter_map(|i| i.scaler).collect();
    let mut out = Vec::with_capacity(raw.len() / columns * stride(columns));
    for row in raw.chunks_exact(columns) {
        let scaled = row
            .iter()
            .enumerate()
            .map(|(column, value)| match scalers.get(column) {
                Some(scaler) => scaler.apply(f64::from(*value)),
                None => *value,
            });
        out.extend(scaled);
        out.resize(out.len() + stride(columns) - columns, 0.0);
    }
    out
}
