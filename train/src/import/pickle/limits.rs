//! How much a file may ask of the reader; every limit is an error of its own, before memory is taken.

/// Limits of one file. The defaults hold for checkpoints far larger than the networks of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file; it is read into memory as a whole.
    pub file_bytes: u64,
    /// Entries of the zip container.
    pub entries: u64,
    /// Bytes of the pickle in it.
    pub pickle_bytes: u64,
    /// Bytes of one text or byte string.
    pub text_bytes: u64,
    /// Values the pickle makes, each element of a copied list counted again.
    pub nodes: u64,
    /// Values the pickle keeps for later reference.
    pub memo: u64,
    /// Nesting of values.
    pub depth: u64,
    /// Values a walk meets that visits a shared value once per reference to it.
    pub walk: u64,
    /// Dimensions of a tensor or array.
    pub rank: u64,
    /// Elements of all tensors together, per byte of the file: views and aliases may repeat storages, but not without
    /// end.
    pub elements_per_byte: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 4 << 30,
            entries: 1 << 20,
            pickle_bytes: 256 << 20,
            text_bytes: 64 << 20,
            nodes: 4 << 20,
            memo: 4 << 20,
            depth: 200,
            walk: 32 << 20,
            rank: 16,
            elements_per_byte: 16,
        }
    }
}
