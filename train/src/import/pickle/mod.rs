//! Files of PyTorch and Python pickles, read without Python and without executing anything.
//!
//! [`TorchFile`] reads what `torch.save` and Lightning write: a zip container with a pickle and the tensors' storages.
//! [`PickleFile`] reads a bare pickle without tensors, as `pickle.dump` writes it, or `joblib.dump` of values without
//! arrays. Both give a [`Value`]: plain data where the class is known to be data, and for every other class an
//! [`Object`] that only remembers its class's name, arguments and state. A pickle is a program; here it can build
//! values and nothing else.
//!
//! A file is refused whole, with the byte and opcode or the entry, when any part of it does not add up; what was opened
//! can be walked by recursion without looking out for cycles, depth or size. [`Limits`] says how much it may hold.
//!
//! ```
//! # use tickfuse_train::import::pickle::{TorchFile, ValueError};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/seeds/simple.pt");
//! let file = TorchFile::open(path.as_ref())?;
//! let root = file.root();
//! for (name, value) in root.entries()? {
//!     println!("{} {:?}", name.as_str()?, value.as_tensor()?.shape());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Files, lowest first: [`limits`](Limits), [`error`](PickleError), `zip` the container, `opcode` names, `tensor` and
//! `array` elements, `tree` the values, `machine` the opcodes, `literal` those
//! with their own bytes, `construct` what calls stand for, `value` access.

mod array;
mod construct;
mod error;
mod limits;
mod literal;
mod machine;
mod opcode;
mod tensor;
mod tree;
mod value;
mod zip;

pub use array::ArrayType;
pub use error::{Fault, PickleError, Problem, ValueError};
pub use limits::Limits;
pub use tensor::{Tensor, TensorType};
pub use value::{Array, Kind, Object, Value};

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use tree::Tree;
use zip::Archive;

/// A file of `torch.save`: any value, with tensors.
#[derive(Debug)]
pub struct TorchFile(Tree);

impl TorchFile {
    /// Reads a file with the default [`Limits`].
    ///
    /// # Errors
    /// The file cannot be read, or is not what `torch.save` writes since PyTorch 1.6.
    pub fn open(path: &Path) -> Result<Self, PickleError> {
        Self::open_within(path, &Limits::default())
    }

    /// Reads a file with other limits.
    ///
    /// # Errors
    /// Like [`Self::open`].
    pub fn open_within(path: &Path, limits: &Limits) -> Result<Self, PickleError> {
        Self::from_bytes(path, read_file(path, limits)?, limits)
    }

    /// Reads the bytes of a file; `name` is for messages.
    ///
    /// # Errors
    /// Like [`Self::open`].
    pub fn from_bytes(name: &Path, file: Vec<u8>, limits: &Limits) -> Result<Self, PickleError> {
        let read = || {
            let archive = Archive::new(file, limits)?;
            let pickle = archive.entry("data.pkl")?;
            machine::read(&archive.file()[pickle], Some(&archive), limits)
        };
        read().map(Self).map_err(|problem| problem.at(name))
    }

    /// The value that was saved.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::root(&self.0)
    }
}

/// A bare pickle: any value without tensors.
#[derive(Debug)]
pub struct PickleFile(Tree);

impl PickleFile {
    /// Reads a file with the default [`Limits`].
    ///
    /// # Errors
    /// The file cannot be read, or is not one uncompressed pickle of protocol 2 to 5 without tensors.
    pub fn open(path: &Path) -> Result<Self, PickleError> {
        Self::open_within(path, &Limits::default())
    }

    /// Reads a file with other limits.
    ///
    /// # Errors
    /// Like [`Self::open`].
    pub fn open_within(path: &Path, limits: &Limits) -> Result<Self, PickleError> {
        Self::from_bytes(path, &read_file(path, limits)?, limits)
    }

    /// Reads the bytes of a file; `name` is for messages.
    ///
    /// # Errors
    /// Like [`Self::open`].
    pub fn from_bytes(name: &Path, pickle: &[u8], limits: &Limits) -> Result<Self, PickleError> {
        machine::read(pickle, None, limits)
            .map(Self)
            .map_err(|problem| problem.at(name))
    }

    /// The value that was pickled.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::root(&self.0)
    }
}

fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, PickleError> {
    let io = |reason: io::Error| Problem::Io(reason).at(path);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(limits.file_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Fault::above("bytes of file", bytes.len() as u64, limits.file_bytes)
        .map_err(|fault| Problem::Whole(fault).at(path))?;
    Ok(bytes)
}
