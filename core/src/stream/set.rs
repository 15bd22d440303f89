//! Many series of one model: one stream each, and the products of stacks shared by up to six of them.

use super::way::Way;
use super::{Step, Stream};
use crate::error::{RunError, StreamError};
use crate::features::Bar;
use crate::model::Model;
use crate::nets::{Contexts, LstmBanks, LstmNet, Members, OpenNet};
use crate::session::{Sample, expect_input, expect_output};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::slice::ChunksExact;

/// The streams of many symbols, numbered from 0. One per thread.
///
/// Each is as a [`Stream`] of its own: whatever happens to the others, its answers have the same bits. After construction nothing
/// allocates, locks, calls the system or panics, whatever the input.
pub struct StreamSet {
    model: Arc<Model>,
    streams: Vec<Stream>,
    /// To take several stacks on together.
    banks: Option<LstmBanks>,
}

/// Streams that are due an answer and taken on together.
struct Group<'a> {
    members: Members<'a>,
    places: [usize; N_TOGETHER],
    n: usize,
    /// Where the next group begins.
    end: usize,
}

/// Rows in one product.
const N_TOGETHER: usize = LstmBanks::N_MEMBERS;

/// The next streams from `at` on that are due an answer.
fn group(streams: &mut [Stream], at: usize) -> Group<'_> {
    let mut group = Group {
        members: [const { None }; N_TOGETHER],
        places: [0; N_TOGETHER],
        n: 0,
        end: streams.len(),
    };
    for (place, stream) in streams.iter_mut().enumerate().skip(at) {
        if group.n == N_TOGETHER {
            group.end = place;
            break;
        }
        if stream.remaining() > 1 {
            continue;
        }
        if let Way::Bank(bank) = &mut stream.way {
            group.members[group.n] = Some(bank.member());
            group.places[group.n] = place;
            group.n += 1;
        }
    }
    group
}

impl StreamSet {
    /// `n_symbols` streams without rows.
    ///
    /// # Errors
    /// As [`Stream::new`].
    pub fn new(model: &Arc<Model>, n_symbols: usize) -> Result<Self, StreamError> {
        let streams = (0..n_symbols).map(|_| Stream::new(model));
        Ok(Self {
            streams: streams.collect::<Result<_, _>>()?,
            banks: match &model.net {
                OpenNet::Lstm(net) => Some(net.banks()),
                OpenNet::Rows(_) => None,
            },
            model: Arc::clone(model),
        })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Symbols.
    #[must_use]
    pub fn n_symbols(&self) -> usize {
        self.streams.len()
    }

    /// The stream of a symbol: to ask, to save or to copy.
    #[must_use]
    pub fn stream(&self, symbol: usize) -> Option<&Stream> {
        self.streams.get(symbol)
    }

    fn of(&mut self, symbol: usize) -> Result<&mut Stream, StreamError> {
        let n_symbols = self.streams.len();
        let found = symbol;
        let stream = self.streams.get_mut(symbol);
        stream.ok_or(StreamError::Symbol { n_symbols, found })
    }

    /// [`Stream::push`] of one symbol.
    ///
    /// # Errors
    /// [`StreamError::Symbol`], and [`StreamError::Run`] as there.
    pub fn push<S: Sample>(
        &mut self,
        symbol: usize,
        row: &[S],
        out: &mut [f32],
    ) -> Result<Step, StreamError> {
        Ok(self.of(symbol)?.push(row, out)?)
    }

    /// [`Stream::peek`] of one symbol.
    ///
    /// # Errors
    /// As [`StreamSet::push`].
    pub fn peek<S: Sample>(
        &mut self,
        symbol: usize,
        row: &[S],
        out: &mut [f32],
    ) -> Result<Step, StreamError> {
        Ok(self.of(symbol)?.peek(row, out)?)
    }

    /// [`Stream::push_bar`] of one symbol.
    ///
    /// # Errors
    /// [`StreamError::Symbol`], and as there.
    pub fn push_bar(&mut self, symbol: usize, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        self.of(symbol)?.push_bar(bar, out)
    }

    /// [`Stream::peek_bar`] of one symbol.
    ///
    /// # Errors
    /// [`StreamError::Symbol`], and as there.
    pub fn peek_bar(&mut self, symbol: usize, bar: &Bar, out: &mut [f32]) -> Result<Step, StreamError> {
        self.of(symbol)?.peek_bar(bar, out)
    }

    /// Takes a raw row of every symbol, `rows [n_symbols, n_features]`, and writes to `out [n_symbols, n_outputs]` and `steps
    /// [n_symbols]` what [`Stream::push`] would have given for each. Rows of stacks share their products. Of a
    /// model that reads rows of the future all `n_ahead` of them lie behind each row: `rows [n_symbols, 1 + n_ahead, n_features]`.
    ///
    /// # Errors
    /// Lengths, and [`StreamError::Row`] with the first symbol whose row is refused. Then no row is taken, no
    /// symbol disturbed, and what stands in `out` and `steps` is of no use.
    pub fn push_all<S: Sample>(
        &mut self,
        rows: &[S],
        out: &mut [f32],
        steps: &mut [Step],
    ) -> Result<(), StreamError> {
        self.peek_all(rows, out, steps)?;
        self.streams.iter_mut().for_each(Stream::take);
        Ok(())
    }

    /// The answers that [`StreamSet::push_all`] would give; nothing is kept.
    ///
    /// # Errors
    /// As there.
    pub fn peek_all<S: Sample>(
        &mut self,
        rows: &[S],
        out: &mut [f32],
        steps: &mut [Step],
    ) -> Result<(), StreamError> {
        let (n, schema) = (self.streams.len(), self.model.schema());
        let (n_row, n_outputs) = (
            (1 + schema.net.n_ahead()) * schema.n_features(),
            schema.n_outputs(),
        );
        expect_input(n * n_row, rows.len())?;
        expect_output(n * n_outputs, out.len())?;
        if steps.len() != n {
            return Err(StreamError::Steps {
                expected: n,
                found: steps.len(),
            });
        }
        let Self {
            model,
            streams,
            banks,
        } = self;
        match (&model.net, banks) {
            (OpenNet::Lstm(net), Some(banks)) => {
                lay_all(model, net, streams, rows.chunks_exact(n_row))?;
                answer_all(model, net, streams, banks, out, steps);
                Ok(())
            }
            _ => answer_each(streams, rows.chunks_exact(n_row), out, steps),
        }
    }

    /// [`Stream::prepare`] of every symbol.
    pub fn prepare(&mut self) {
        self.prepare_some(usize::MAX);
    }

    /// Does some of it: what the very next answer of each symbol needs, then about `budget` steps of one window of each. Whether
    /// nothing is left.
    pub fn prepare_some(&mut self, budget: usize) -> bool {
        if let (OpenNet::Lstm(net), Some(banks)) = (&self.model.net, &mut self.banks) {
            let mut at = 0;
            while at < self.streams.len() {
                let mut group = group(&mut self.streams, at);
                banks.make_ready(net, self.model.kernels, &mut group.members);
                at = group.end;
            }
        }
        // All have the same weights: one rehearsal, by the last that can, is for all of them.
        let last = self.streams.iter().rposition(|stream| stream.remaining() == 1);
        let each = self.streams.iter_mut().enumerate();
        each.fold(true, |all, (i, stream)| {
            all & stream.prepare_part(budget, last == Some(i))
        })
    }

    /// [`Stream::set_category`] of one symbol.
    ///
    /// # Errors
    /// [`StreamError::Symbol`], and [`StreamError::Run`] as there.
    pub fn set_category(&mut self, symbol: usize, name: &str, label: &str) -> Result<bool, StreamError> {
        Ok(self.of(symbol)?.set_category(name, label)?)
    }

    /// [`Stream::set_max_missing_bars`] of every symbol.
    pub fn set_max_missing_bars(&mut self, max_missing_bars: u32) {
        for stream in &mut self.streams {
            stream.set_max_missing_bars(max_missing_bars);
        }
    }

    /// [`Stream::set_contexts`] of every symbol.
    ///
    /// # Errors
    /// As there; then no symbol attends to them.
    pub fn set_contexts(&mut self, contexts: &Contexts) -> Result<(), RunError> {
        let mut each = self.streams.iter_mut();
        each.try_for_each(|stream| stream.set_contexts(contexts))
    }

    /// [`Stream::reset`] of one symbol.
    ///
    /// # Errors
    /// [`StreamError::Symbol`].
    pub fn reset(&mut self, symbol: usize) -> Result<(), StreamError> {
        self.of(symbol)?.reset();
        Ok(())
    }

    /// [`Stream::reset`] of every symbol.
    pub fn reset_all(&mut self) {
        self.streams.iter_mut().for_each(Stream::reset);
    }

    /// [`Stream::restore`] of one symbol. It is saved through [`StreamSet::stream`].
    ///
    /// # Errors
    /// [`StreamError::Symbol`], and [`StreamError::State`] as there.
    pub fn restore(&mut self, symbol: usize, from: &[u8]) -> Result<(), StreamError> {
        let stream = self.of(symbol)?;
        Ok(stream.restore(from)?)
    }
}

/// Lays every row, or names the symbol whose row no window could hold.
fn lay_all<S: Sample>(
    model: &Model,
    net: &LstmNet,
    streams: &mut [Stream],
    rows: ChunksExact<'_, S>,
) -> Result<(), StreamError> {
    for (symbol, (stream, row)) in streams.iter_mut().zip(rows).enumerate() {
        if let Way::Bank(bank) = &mut stream.way {
            let laid = bank.lay(model, net, row);
            laid.map_err(|error| StreamError::Row { symbol, error })?;
        }
    }
    Ok(())
}

/// Answers for the rows that were laid.
fn answer_all(
    model: &Model,
    net: &LstmNet,
    streams: &mut [Stream],
    banks: &mut LstmBanks,
    out: &mut [f32],
    steps: &mut [Step],
) {
    for (stream, step) in streams.iter().zip(&mut *steps) {
        let remaining = stream.remaining() - 1;
        *step = Step::WarmingUp { remaining };
    }
    let n_outputs = model.schema().n_outputs();
    let mut at = 0;
    while at < streams.len() {
        let Group {
            mut members,
            places,
            n,
            end,
        } = group(streams, at);
        let mut answers = (n > 1).then(|| banks.answer(net, model.kernels, &mut members));
        for place in places.into_iter().take(n) {
            let out = &mut out[place * n_outputs..][..n_outputs];
            let Way::Bank(bank) = &mut streams[place].way else {
                continue;
            };
            // What is alone has nobody to share with.
            let flags = match &mut answers {
                Some(answers) => answers.next().map(|z| bank.write(model, z, out)),
                None => bank.answer_laid(model, net, out),
            };
            if let Some(flags) = flags {
                steps[place] = Step::Answer(flags);
            }
        }
        at = end;
    }
}

/// Answers one after the other.
fn answer_each<S: Sample>(
    streams: &mut [Stream],
    rows: ChunksExact<'_, S>,
    out: &mut [f32],
    steps: &mut [Step],
) -> Result<(), StreamError> {
    let n_outputs = out.len().checked_div(streams.len()).unwrap_or(0);
    let each = streams.iter_mut().zip(rows).enumerate();
    for ((symbol, (stream, row)), step) in each.zip(steps) {
        let out = &mut out[symbol * n_outputs..][..n_outputs];
        let answer = stream.peek(row, out);
        *step = answer.map_err(|error| StreamError::Row { symbol, error })?;
    }
    Ok(())
}

impl Clone for StreamSet {
    fn clone(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            streams: self.streams.clone(),
            banks: match &self.model.net {
                OpenNet::Lstm(net) => Some(net.banks()),
                OpenNet::Rows(_) => None,
            },
        }
    }

    /// As [`Stream::clone_from`], symbol by symbol: sets of as many symbols of the same opened model allocate nothing.
    fn clone_from(&mut self, source: &Self) {
        if !Arc::ptr_eq(&self.model, &source.model) {
            *self = source.clone();
            return;
        }
        self.streams.clone_from(&source.streams);
    }
}

impl fmt::Debug for StreamSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSet")
            .field("model", &self.model)
            .field("n_symbols", &self.streams.len())
            .finish_non_exhaustive()
    }
}
