//! Genuine checkpoints with parts of their pickle exchanged, written as containers again.

use crate::fixture;
use crate::writer::{Entry, Zip};
use std::fs;
use std::path::Path;
use tickfuse_train::import::checkpoint;
use tickfuse_train::import::pickle::{Limits, TorchFile};

/// The entries of a checkpoint.
pub(crate) struct Patched(Zip);

impl Patched {
    /// A committed checkpoint.
    pub(crate) fn new(name: &str) -> Self {
        let file = fs::read(fixture(name)).unwrap();
        let entries = directory(&file).into_iter();
        let entries = entries.map(|(name, data)| Entry::new(&name, data));
        Self(Zip {
            entries: entries.collect(),
            has_descriptors: false,
            is_zip64: false,
        })
    }

    /// The pickle.
    pub(crate) fn pickle(&mut self) -> &mut Vec<u8> {
        let found = self
            .0
            .entries
            .iter_mut()
            .find(|entry| entry.name.ends_with("/data.pkl"));
        &mut found.unwrap().data
    }

    /// Exchanges every occurrence of some opcodes for others.
    pub(crate) fn with(mut self, old: &[u8], new: &[u8]) -> Self {
        let pickle = self.pickle();
        let mut patched = Vec::with_capacity(pickle.len());
        let mut at = 0;
        while let Some(found) = pickle[at..].windows(old.len()).position(|part| part == old) {
            patched.extend([&pickle[at..at + found], new].concat());
            at += found + old.len();
        }
        assert!(at > 0, "{old:?} is not there");
        patched.extend(&pickle[at..]);
        *pickle = patched;
        self
    }

    /// Exchanges the opcodes of a dict's value, wherever the key stands the first time with that value.
    pub(crate) fn with_value(mut self, key: &str, old: &[u8], new: &[u8]) -> Self {
        let (key, pickle) = (text(key), self.pickle());
        let ends = (key.len()..pickle.len()).filter(|at| pickle[..*at].ends_with(&key));
        // the key is memoised by BINPUT or LONG_BINPUT
        let values = ends.map(|at| at + if pickle[at] == b'q' { 2 } else { 5 });
        let at = values.into_iter().find(|at| pickle[*at..].starts_with(old));
        let at = at.expect("a key with this value");
        pickle.splice(at..at + old.len(), new.iter().copied());
        self
    }

    /// The file.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let anew = |entry: Entry| Entry::new(&entry.name, &entry.data);
        let entries = self.0.entries.into_iter().map(anew).collect();
        Zip { entries, ..self.0 }.bytes()
    }

    /// Why the checkpoint is refused; nothing where it is read.
    pub(crate) fn refusal(self) -> Option<String> {
        refusal(self.bytes())
    }
}

/// Why the bytes of a checkpoint are refused.
pub(crate) fn refusal(bytes: Vec<u8>) -> Option<String> {
    match TorchFile::from_bytes(Path::new("patched.ckpt"), bytes, &Limits::default()) {
        Err(error) => Some(error.to_string()),
        Ok(file) => checkpoint::describe(&file).err().map(|error| error.to_string()),
    }
}

/// Text, as protocol 2 writes it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// A class.
pub(crate) fn class(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// Names and data of the entries of a container whose sizes fit into 32 bits.
fn directory(file: &[u8]) -> Vec<(String, &[u8])> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([file[at], file[at + 1]]));
    let u32_at = |at: usize| u16_at(at) + (u16_at(at + 2) << 16);
    let end = file.windows(4).rposition(|part| part == b"PK\x05\x06").unwrap();
    let mut at = u32_at(end + 16);
    let mut entries = Vec::new();
    for _ in 0..u16_at(end + 10) {
        let (size, header) = (u32_at(at + 24), u32_at(at + 42));
        let data = header + 30 + u16_at(header + 26) + u16_at(header + 28);
        let name = file[at + 46..at + 46 + u16_at(at + 28)].to_vec();
        entries.push((String::from_utf8(name).unwrap(), &file[data..data + size]));
        at += 46 + u16_at(at + 28) + u16_at(at + 30) + u16_at(at + 32);
    }
    entries
}
