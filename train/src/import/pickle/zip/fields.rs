//! Little-endian fields of the container's records, and the errors that name record and byte.

use super::super::error::{Fault, Problem};

pub(super) fn container(entry: &str, offset: usize, fault: Fault) -> Problem {
    Problem::Container {
        entry: entry.into(),
        offset: offset as u64,
        fault,
    }
}

/// Reads little-endian fields in order; past the end it reports the record they belong to.
pub(super) struct Fields<'a> {
    pub(super) file: &'a [u8],
    pub(super) record: &'a str,
    pub(super) at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(file: &'a [u8], record: &'a str, at: usize) -> Self {
        Self { file, record, at }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        Ok(self.slice(N)?.try_into().expect("a slice of N bytes"))
    }

    pub(super) fn slice(&mut self, n: usize) -> Result<&'a [u8], Problem> {
        let rest = self.file.get(self.at..).unwrap_or(&[]);
        let slice = rest
            .get(..n)
            .ok_or_else(|| self.refuse(format!("{n} bytes"), format!("{}", rest.len())))?;
        self.at += n;
        Ok(slice)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Problem> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Problem> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Problem> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn signature(&mut self, expected: u32) -> Result<(), Problem> {
        let found = self.u32()?;
        if found != expected {
            return Err(self.refuse(format!("signature {expected:08x}"), format!("{found:08x}")));
        }
        Ok(())
    }

    pub(super) fn check(&self, what: &str, expected: u64, found: u64) -> Result<(), Problem> {
        if expected == found {
            return Ok(());
        }
        Err(self.refuse(format!("{what} {expected}"), found))
    }

    pub(super) fn refuse(&self, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Problem {
        container(self.record, self.at, Fault::new(expected, found))
    }
}
