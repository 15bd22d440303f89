//! The bytes of a saved state: little-endian numbers one behind the other, written and read by the same types.
//!
//! What remembers something has a `save` and a `restore` that name its numbers in one order. A count is read with the limit that
//! its owner can bear, so that no state, however made, leads outside a buffer.

use crate::error::StateError;

/// Writes numbers, or only counts their bytes.
pub(crate) struct Writer<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Writes to `to`; what does not fit is counted alone.
    pub(crate) fn new(to: &'a mut [u8]) -> Self {
        Self { to, at: 0 }
    }

    /// Writes nothing.
    pub(crate) fn counting() -> Self {
        Self::new(&mut [])
    }

    /// Bytes so far.
    pub(crate) fn n_bytes(&self) -> usize {
        self.at
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if let Some(to) = self.to.get_mut(self.at..end) {
            to.copy_from_slice(bytes);
        }
        self.at = end;
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A number of things.
    pub(crate) fn count(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn f64s(&mut self, values: &[f64]) {
        values.iter().for_each(|value| self.f64(*value));
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    from: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(from: &'a [u8]) -> Self {
        Self { from }
    }

    /// Bytes that were not read yet.
    pub(crate) fn n_left(&self) -> usize {
        self.from.len()
    }

    /// Passes over some bytes.
    pub(crate) fn skip(&mut self, n: usize) -> Result<(), StateError> {
        self.from = self.from.get(n..).ok_or(StateError::Length {
            expected: n as u64,
            found: self.from.len() as u64,
        })?;
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (first, rest) = self.from.split_first_chunk().ok_or(StateError::Length {
            expected: N as u64,
            found: self.from.len() as u64,
        })?;
        self.from = rest;
        Ok(*first)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StateError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things, at most `limit`.
    pub(crate) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, StateError> {
        let found = self.u64()?;
        let value = usize::try_from(found).ok().filter(|value| *value <= limit);
        value.ok_or(StateError::Content {
            what,
            limit: limit as u64,
            found,
        })
    }

    pub(crate) fn f32(&mut self) -> Result<f32, StateError> {
        self.array().map(f32::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, StateError> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn f64s(&mut self, to: &mut [f64]) -> Result<(), StateError> {
        to.iter_mut().try_for_each(|value| {
            *value = self.f64()?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_their_bytes_are_counted() {
        let write = |mut to: Writer<'_>| {
            to.bytes(b"ab");
            to.count(3);
            to.f32(-0.0);
            to.f64s(&[1.5, f64::MIN_POSITIVE]);
            to.n_bytes()
        };
        let mut bytes = [0; 30];
        assert_eq!(
            (write(Writer::counting()), write(Writer::new(&mut bytes))),
            (30, 30)
        );
        let mut from = Reader::new(&bytes);
        assert_eq!(from.array(), Ok(*b"ab"));
        assert_eq!(from.count("rows", 3), Ok(3));
        assert_eq!(from.f32().map(f32::to_bits), Ok((-0.0_f32).to_bits()));
        let mut pair = [0.0; 2];
        assert_eq!((from.f64s(&mut pair), from.n_left()), (Ok(()), 0));
        assert_eq!(pair, [1.5, f64::MIN_POSITIVE]);
    }

    #[test]
    fn a_count_beyond_its_limit_and_an_end_too_early_are_named() {
        let bytes = 4_u64.to_le_bytes();
        let error = Reader::new(&bytes).count("rows", 3).unwrap_err();
        assert_eq!(
            error,
            StateError::Content {
                what: "rows",
                limit: 3,
                found: 4
            }
        );
        assert_eq!(
            Reader::new(&bytes[..7]).f64(),
            Err(StateError::Length {
                expected: 8,
                found: 7
            })
        );
    }
}
