//! The `xtrend` family: a target window attends to a set of contexts (Wood et al. 2023, and seed 002's relative).
//!
//! Contexts are encoded once, a file's own when the model is opened: their keys and mixed values stay, projected for the
//! cross attention. Output columns: position first; mean and deviation, or quantiles, behind it.

mod contexts;
mod encoder;
mod open;
mod pack;
mod separate;
mod shared;
mod side_by_side;

use crate::bundle::{Bundle, CONTEXTS_PREFIX, View, XtrendConfig, n_blocks};
use crate::columns::Intake;
use crate::error::{OpenError, RunError};
use crate::interpretation::Interpretation;
use crate::kernels::Kernels;
use crate::layers::Rows;
use crate::simd::Lane;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use contexts::{Encoded, Scaled, Shape};
use separate::Separate;
use shared::Shared;

pub use contexts::Contexts;
pub(crate) use pack::pack;
pub(crate) use side_by_side::XtrendNeighbours;

/// The opened net.
pub(crate) struct XtrendNet {
    lookback: usize,
    n_features: usize,
    lanes: usize,
    n_columns: usize,
    shape: Shape,
    entities: View<Lane>,
    form: Form,
    /// What the contexts of this net, and of no other, are known by.
    marker: Arc<()>,
    /// The file's own.
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

/// What a session has of the net.
pub(crate) struct XtrendWork {
    contexts: Contexts,
    buffers: Buffers,
    /// Of the last window.
    entity: usize,
}

/// Buffers of one window.
struct Buffers {
    rows: [Vec<Lane>; 3],
    pair: Vec<Lane>,
    head: Vec<Lane>,
    scratch: Vec<Lane>,
    weights: [Vec<Lane>; 2],
    attention: Vec<f32>,
    /// LSTM states of encoder and decoder.
    states: [Vec<Lane>; 2],
    /// The same before the last row, where the rows before it were run ahead.
    rolled: [Vec<Lane>; 2],
    /// Contexts that the last window attended to.
    n_attended: usize,
}

impl XtrendWork {
    /// Becomes what `source`, of the same net, is as far as rows were run ahead; attends to the same contexts.
    pub(crate) fn copy_from(&mut self, source: &Self) {
        let Self {
            contexts,
            buffers,
            entity,
        } = self;
        *entity = source.entity;
        contexts.clone_from(&source.contexts);
        buffers.copy_from(&source.buffers);
    }
}

impl Buffers {
    fn copy_from(&mut self, source: &Self) {
        let Self {
            rows,
            pair: _,
            head: _,
            scratch: _,
            weights,
            attention,
            states,
            rolled,
            n_attended,
        } = self;
        let of = source.rows.iter().chain(&source.weights).chain(&source.states);
        let to = rows.iter_mut().chain(weights).chain(states).chain(rolled);
        for (to, from) in to.zip(of.chain(&source.rolled)) {
            to.copy_from_slice(from);
        }
        attention.copy_from_slice(&source.attention);
        *n_attended = source.n_attended;
    }
}

/// One series to encode.
#[derive(Clone, Copy)]
struct Job<'a> {
    rows: Rows<'a>,
    n_rows: usize,
    entity: usize,
    entity_row: &'a [Lane],
}

impl XtrendNet {
    /// Takes the net's tensors out of the bundle and encodes its contexts.
    pub(crate) fn open(
        bundle: &Bundle,
        config: &XtrendConfig,
        intake: &Intake,
        kernels: &Kernels,
    ) -> Result<Self, OpenError> {
        let (form, entities) = open::open(bundle, config)?;
        let marker = Arc::new(());
        let mut net = Self {
            lookback: config.lookback,
            n_features: open::n_features(bundle.schema()),
            lanes: n_blocks(config.n_hidden),
            n_columns: config.n_columns(),
            shape: Shape::new(bundle.schema(), config),
            entities,
            form,
            contexts: Contexts::new(Encoded::NONE, &marker),
            marker,
        };
        let (rows, entities) = contexts::of_file(bundle, net.shape)?;
        let own = net.encode_contexts(kernels, intake, &rows, &entities);
        net.contexts = own.map_err(|e| OpenError::Schema(format!("{CONTEXTS_PREFIX}input: {e}")))?;
        Ok(net)
    }

    /// The file's own contexts.
    pub(crate) fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// Contexts at most, rows, columns.
    pub(crate) fn context_shape(&self) -> [usize; 3] {
        [self.shape.limit, self.shape.n_rows, self.shape.n_columns]
    }

    /// Encodes raw rows `[contexts, rows, columns]`.
    pub(crate) fn encode_contexts<S: Copy + Into<f64>>(
        &self,
        kernels: &Kernels,
        intake: &Intake,
        rows: &[S],
        entities: &[u32],
    ) -> Result<Contexts, RunError> {
        let scaled = Scaled::new(intake, self.shape, rows, entities)?;
        Ok(Contexts::new(self.encode(kernels, &scaled), &self.marker))
    }

    /// Answers with these contexts from the next window on.
    pub(crate) fn set_contexts(&self, work: &mut XtrendWork, contexts: &Contexts) -> Result<(), RunError> {
        if !contexts.belongs_to(&self.marker) {
            return Err(RunError::ForeignContexts);
        }
        work.contexts = contexts.clone();
        Ok(())
    }

    /// Buffers for one window, and the file's own contexts.
    pub(crate) fn work(&self) -> XtrendWork {
        XtrendWork {
            contexts: self.contexts.clone(),
            buffers: self.buffers(),
            entity: 0,
        }
    }

    fn buffers(&self) -> Buffers {
        let (rows, n_contexts) = (self.lookback.max(self.shape.n_rows), self.shape.limit);
        let block = || vec![Lane::ZERO; rows * self.lanes];
        let weights = || vec![Lane::ZERO; rows * n_blocks(self.n_features + 1)];
        let (scratch, heads) = match &self.form {
            Form::Shared(net) => (net.n_scratch(rows, n_contexts), net.cross_attention.n_heads),
            Form::Separate(net) => (net.n_scratch(rows, n_contexts), net.cross_attention.n_heads),
        };
        Buffers {
            rows: [block(), block(), block()],
            pair: vec![Lane::ZERO; self.n_pair()],
            head: vec![Lane::ZERO; self.n_head()],
            scratch: vec![Lane::ZERO; scratch],
            weights: [weights(), weights()],
            attention: vec![0.0; rows * heads * n_contexts],
            states: self.states(),
            rolled: self.states(),
            n_attended: 0,
        }
    }

    fn n_pair(&self) -> usize {
        (2 * self.lanes).max(self.n_head())
    }

    /// Lanes of head values.
    fn n_head(&self) -> usize {
        n_blocks(self.n_columns)
    }

    fn states(&self) -> [Vec<Lane>; 2] {
        let sizes = match &self.form {
            Form::Shared(net) => [net.lstm.n_state(), 0],
            Form::Separate(net) => [net.query.block.lstm.n_state(), net.decoder.lstm.n_state()],
        };
        sizes.map(|n| vec![Lane::ZERO; n])
    }

    /// Weights of the last run: the target's selection in front of the queries and, in the paper's form, in the decoder;
    /// attention to the contexts.
    pub(crate) fn interpret(&self, work: &XtrendWork) -> Vec<Interpretation> {
        let work = &work.buffers;
        let (queries, heads) = match &self.form {
            Form::Shared(net) => (1, net.cross_attention.n_heads),
            Form::Separate(net) => (self.lookback, net.cross_attention.n_heads),
        };
        let shape = [queries, heads, work.n_attended];
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
        work.entity = rows.codes[0] as usize;
        let XtrendWork {
            contexts,
            buffers,
            entity,
        } = work;
        let (job, part) = (self.job(rows, self.lookback, *entity), 0..self.lookback);
        self.start(*entity, buffers);
        match &self.form {
            Form::Shared(net) => net.advance(kernels, job, part, buffers),
            Form::Separate(net) => net.advance(kernels, job, &contexts.encoded, part, buffers),
        }
        self.answer(kernels, work)
    }

    /// The states before the first row.
    fn start(&self, entity: usize, buffers: &mut Buffers) {
        match &self.form {
            Form::Shared(net) => net.lstm.start(entity, &mut buffers.states[0]),
            Form::Separate(net) => net.start(entity, buffers),
        }
    }

    /// The answer of a window whose rows were run.
    fn answer<'w>(&self, kernels: &Kernels, work: &'w mut XtrendWork) -> &'w [Lane] {
        let job = self.job(Rows::NONE, self.lookback, work.entity);
        let (encoded, buffers) = (&work.contexts.encoded, &mut work.buffers);
        match &self.form {
            Form::Shared(net) => net.answer(kernels, job, encoded, buffers),
            Form::Separate(net) => net.answer(kernels, job, buffers),
        }
        buffers.n_attended = encoded.n;
        &buffers.head
    }

    fn job<'a>(&'a self, rows: Rows<'a>, n_rows: usize, entity: usize) -> Job<'a> {
        Job {
            rows,
            n_rows,
            entity,
            entity_row: &self.entities[entity * self.lanes..][..self.lanes],
        }
    }

    fn encode(&self, kernels: &Kernels, contexts: &Scaled<'_>) -> Encoded {
        let (mut work, n) = (self.buffers(), contexts.n());
        let n_steps = match &self.form {
            Form::Shared(_) => 1,
            Form::Separate(net) => net.n_steps(self.shape.n_rows),
        };
        let size = n_steps * self.lanes;
        let mut states = [0, 1].map(|_| vec![Lane::ZERO; n * size]);
        let mut one = vec![Lane::ZERO; size];
        for (c, (rows, entity)) in contexts.each().enumerate() {
            let job = self.job(rows, self.shape.n_rows, entity);
            for (which, states) in states.iter_mut().enumerate() {
                match &self.form {
                    Form::Shared(net) => net.encode(kernels, job, &mut work, &mut one),
                    Form::Separate(net) => net.encode(kernels, job, which == 1, &mut work, &mut one),
                }
                for (step, state) in one.chunks_exact(self.lanes).enumerate() {
                    let at = (step * n + c) * self.lanes;
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

fn copy(from: &[Vec<Lane>; 2], to: &mut [Vec<Lane>; 2]) {
    from.iter()
        .zip(to)
        .for_each(|(from, to)| to.copy_from_slice(from));
}
