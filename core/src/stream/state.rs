//! What a stream remembers, as bytes and as a copy.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `TFSTREAM` |
//! | 8 | form of the state, 1 |
//! | 32 | content hash of the model |
//! | 8 | bytes in all |
//! | 8 | rows |
//! | .. | the rows that windows under way still need, oldest first; of a stack scaled, in f32, otherwise raw, in f64 |
//! | .. | where bars are taken: missing bars accepted, categories of the series, what each feature remembers |
//! | 16 | the first bytes of the SHA-256 of all before |
//!
//! Recurrent states are not among them: they follow from the rows, on whatever level the state is restored, with the bits that
//! level gives.

use super::Stream;
use super::bars::Bars;
use super::way::Way;
use crate::error::StateError;
use crate::saved::{Reader, Writer};
use alloc::sync::Arc;
use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"TFSTREAM";
const FORM: u64 = 1;
const N_SUM: usize = 16;

/// The first bytes of the SHA-256.
fn sum(bytes: &[u8]) -> [u8; N_SUM] {
    let whole: [u8; 32] = Sha256::digest(bytes).into();
    core::array::from_fn(|i| whole[i])
}

impl Stream {
    /// Bytes that [`Stream::save`] writes now. It grows with every row until windows are full, and then stays.
    #[must_use]
    pub fn saved_len(&self) -> usize {
        let mut to = Writer::counting();
        self.write(0, &mut to);
        to.n_bytes() + N_SUM
    }

    /// Writes what this stream remembers to `to`, [`Stream::saved_len`] bytes, little-endian. Contexts are not among it. Neither
    /// allocates nor changes anything.
    ///
    /// # Errors
    /// [`StateError::Room`]; then nothing was written.
    pub fn save(&self, to: &mut [u8]) -> Result<(), StateError> {
        let (expected, found) = (self.saved_len(), to.len());
        if expected != found {
            return Err(StateError::Room { expected, found });
        }
        let (body, end) = to.split_at_mut(found - N_SUM);
        self.write(found, &mut Writer::new(body));
        end.copy_from_slice(&sum(body));
        Ok(())
    }

    fn write(&self, n_bytes: usize, to: &mut Writer<'_>) {
        let n_rows = self.n_kept();
        to.bytes(&MAGIC);
        to.u64(FORM);
        to.bytes(self.model.bundle().hash());
        to.count(n_bytes);
        to.count(n_rows);
        self.way.save(&self.model, n_rows, to);
        if let Some(bars) = &self.bars {
            bars.save(to);
        }
    }

    /// Rows of the past that windows still need.
    fn n_kept(&self) -> usize {
        self.n_rows.min(self.lookback() - 1)
    }

    /// Becomes the stream that was saved, by a stream of this model on whatever level or machine. Every answer from here on has the
    /// bits it would have had; contexts stay those of this stream. What had been prepared is to be prepared again, all windows of a
    /// stack from their first row on: about half a lookback's worth of [`Stream::prepare`], or one window where an answer
    /// is asked for at once.
    ///
    /// # Errors
    /// [`StateError`]; then this stream is as it was.
    pub fn restore(&mut self, from: &[u8]) -> Result<(), StateError> {
        let (mut reader, n_rows) = self.open(from)?;
        self.way.check(&self.model, n_rows, &mut reader.clone())?;
        let mut bars = reader;
        bars.skip(self.way.n_bytes(&self.model, n_rows))?;
        if let Some(own) = &mut self.bars {
            own.restore(&mut bars)?;
        }
        self.n_rows = n_rows;
        self.way.restore(&self.model, n_rows, &mut reader)
    }

    /// Checks all that stands around the content, down to its number of rows.
    fn open<'a>(&self, from: &'a [u8]) -> Result<(Reader<'a>, usize), StateError> {
        let mut reader = Reader::new(from);
        expect(MAGIC, reader.array()?, |expected, found| StateError::Magic {
            expected,
            found,
        })?;
        expect(FORM, reader.u64()?, |expected, found| StateError::Version {
            expected,
            found,
        })?;
        let hash = *self.model.bundle().hash();
        expect(hash, reader.array()?, |expected, found| StateError::Model {
            expected,
            found,
        })?;
        let length = |expected, found| StateError::Length { expected, found };
        expect(reader.u64()?, from.len() as u64, length)?;
        let body = from.len().saturating_sub(N_SUM);
        let stated = Reader::new(&from[body..]).array()?;
        expect(sum(&from[..body]), stated, |expected, found| {
            StateError::Changed { expected, found }
        })?;
        let n_rows = reader.count("rows", self.lookback() - 1)?;
        let expected = self.way.n_bytes(&self.model, n_rows) + self.bars.as_ref().map_or(0, Bars::n_bytes);
        expect((expected + N_SUM) as u64, reader.n_left() as u64, length)?;
        Ok((reader, n_rows))
    }
}

fn expect<T: PartialEq>(expected: T, found: T, error: impl Fn(T, T) -> StateError) -> Result<(), StateError> {
    match expected == found {
        true => Ok(()),
        false => Err(error(expected, found)),
    }
}

impl Clone for Stream {
    fn clone(&self) -> Self {
        let mut copy = Self {
            model: Arc::clone(&self.model),
            way: Way::new(&self.model),
            n_rows: 0,
            bars: self
                .bars
                .as_ref()
                .map(|bars| Bars::new(bars.rows.clone(), self.model.schema())),
        };
        copy.clone_from(self);
        copy
    }

    /// Becomes a copy of `source`, with all that was prepared: the stream to ask "what if". Between streams of the same opened model
    /// nothing is allocated.
    fn clone_from(&mut self, source: &Self) {
        if !Arc::ptr_eq(&self.model, &source.model) {
            *self = source.clone();
            return;
        }
        self.n_rows = source.n_rows;
        self.way.copy_from(&source.way);
        if let (Some(bars), Some(source)) = (&mut self.bars, &source.bars) {
            bars.copy_from(source);
        }
    }
}
