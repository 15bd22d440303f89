//! The `xtrend` family: a target window attends to a set of contexts (Wood et al. 2023, and seed 002's relative).
//!
//! Contexts are encoded once, when the model is opened: their keys and mixed values stay, projected for the cross
//! attention. Output columns: position first; mean and deviation, or quantiles, behind it.

mod contexts;
mod encoder;
mod open;
mod pack;
mod separate;
mod shared;

use crate::bundle::{Bundle, View, XtrendConfig, n_blocks};
use crate::error::OpenError;
use crate::interpretation::Interpretation;
use crate::kernels::{Kernels, Keys};
use crate::layers::{Attention, Rows};
use crate::simd::Lane;
use alloc::vec;
use alloc::vec::Vec;
use contexts::FileContexts;
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
        net.contexts = net.encode(kernels, &FileContexts::read(bundle, config)?);
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

    /// Weights of the last run: the target's selection in front of the queries and, in the paper's form, in the decoder;
    /// attention to the contexts.
    pub(crate) fn interpret(&self, work: &XtrendWork) -> Vec<Interpretation> {
        let (queries, heads) = match &self.form {
            Form::Shared(net) => (1, net.cross_attention.n_heads),
            Form::Separate(net) => (self.lookback, net.cross_attention.n_heads),
        };
        let shape = [queries, heads, self.n_contexts];
        let selected =
            |name, i: usize| Interpretation::of_lanes(name, &work.weights[i], self.lookback, self.n_features);
        let mut found = vec![selected("encoder_weights", 0)];
        if let Form::Separate(_) = self.form {
            found.push(selected("decoder_weights", 1));
        }
        found.push(Interpretation::of_attention("attention", &work.attention, shape));
        found
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

    fn encode(&self, kernels: &Kernels, contexts: &FileContexts) -> Contexts {
        let mut work = self.work();
        let n_steps = match &self.form {
            Form::Shared(_) => 1,
            Form::Separate(net) => net.n_steps(self.context_lookback),
        };
        let size = n_steps * self.lanes;
        let mut states = [0, 1].map(|_| vec![Lane::ZERO; self.n_contexts * size]);
        let mut one = vec![Lane::ZERO; size];
        for (c, (rows, entity)) in contexts.each().enumerate() {
            let job = self.job(rows, self.context_lookback, entity);
            for (which, states) in states.iter_mut().enumerate() {
                match &self.form {
                    Form::Shared(net) => net.encode(kernels, job, &mut work, &mut one),
                    Form::Separate(net) => net.encode(kernels, job, which == 1, &mut work, &mut one),
                }
                for (step, state) in one.chunks_exact(self.lanes).enumerate() {
                    let at = (step * self.n_contexts + c) * self.lanes;
                    states[at..at + self.lanes].copy_from_slice(state);
                }
            }
        }
        let [keys, values] = &states;
        match &self.form {
            Form::Shared(net) => net.mix(kernels, values, &mut work),
            Form::Separate(net) => net.mix(kernels, keys, values, n_steps, &mut work),
        }
    }
}
