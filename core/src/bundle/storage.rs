//! The bytes of a model file in memory: a read-only mapping shared between processes, or an own aligned copy.
//!
//! A mapping shows the file as it is *now*. If another process shortens a mapped file, the next read of a lost
//! page ends this process with `SIGBUS`; if it overwrites the file, the weights change under the model. Published
//! files are therefore written once and read-only, replaced by rename only. Whoever cannot rely on that takes
//! [`Storage::read`], which keeps an own copy that nothing outside can touch.

use crate::error::OpenError;
use alloc::format;
use alloc::vec::Vec;
use bytemuck::{Pod, Zeroable};
use core::fmt;

/// Alignment in bytes that every [`Storage`] guarantees for its first byte.
pub const ALIGNMENT: usize = 64;

/// One cache line: the unit that gives a `Vec` its alignment.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// Owned bytes whose first one lies at a multiple of [`ALIGNMENT`].
pub struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBytes {
    /// `len` zero bytes.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the memory cannot be had.
    pub fn zeroed(len: usize) -> Result<Self, OpenError> {
        let n_lines = len.div_ceil(ALIGNMENT);
        let mut lines = Vec::new();
        lines
            .try_reserve_exact(n_lines)
            .map_err(|e| OpenError::Io(format!("no memory for {len} bytes: {e}")))?;
        lines.resize(n_lines, Line::zeroed());
        Ok(Self { lines, len })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::must_cast_slice(&self.lines)[..self.len]
    }

    /// The bytes, for filling them.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::must_cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// The bytes of one model file; they never change and never move while the value lives.
pub struct Storage(Kind);

enum Kind {
    Owned(AlignedBytes),
    /// Pages of this process alone.
    #[cfg(feature = "std")]
    Copied(memmap2::Mmap),
    #[cfg(feature = "std")]
    Mapped(memmap2::Mmap),
}

/// The smallest page of any target that is run.
const PAGE_BYTES: usize = 4096;

impl Storage {
    /// A copy of `bytes`.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the memory cannot be had.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        let mut copy = AlignedBytes::zeroed(bytes.len())?;
        copy.bytes_mut().copy_from_slice(bytes);
        Ok(copy.into())
    }

    /// The bytes, the first one at a multiple of [`ALIGNMENT`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Owned(copy) => copy.bytes(),
            #[cfg(feature = "std")]
            Kind::Copied(map) | Kind::Mapped(map) => map,
        }
    }

    /// Reads a byte of every page, so that none is missing when it is needed; the number of bytes that lie on them.
    pub fn prefault(&self) -> usize {
        for line in self.bytes().iter().step_by(PAGE_BYTES) {
            core::hint::black_box(*line);
        }
        self.bytes().len()
    }

    /// Whether the bytes are the file's own pages instead of a copy.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        match &self.0 {
            Kind::Owned(_) => false,
            #[cfg(feature = "std")]
            Kind::Copied(_) => false,
            #[cfg(feature = "std")]
            Kind::Mapped(_) => true,
        }
    }
}

impl From<AlignedBytes> for Storage {
    fn from(bytes: AlignedBytes) -> Self {
        Self(Kind::Owned(bytes))
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("len", &self.bytes().len())
            .field("is_mapped", &self.is_mapped())
            .finish()
    }
}

#[cfg(feature = "std")]
mod files {
    use super::{Kind, OpenError, Storage};
    use alloc::format;
    use std::fs::{self, File};
    use std::io::{self, Read};
    use std::path::Path;

    impl Storage {
        /// Maps the file read-only. Nobody may shorten or overwrite it while the value lives: see the module's text.
        ///
        /// # Errors
        /// [`OpenError::Io`] with path and the system's reason; also for anything but a regular file.
        pub fn map(path: &Path) -> Result<Self, OpenError> {
            let file = open_regular(path).map_err(|e| io_error(path, &e))?;
            let mut options = memmap2::MmapOptions::new();
            // SAFETY: the file must not change while it is mapped. That is the documented contract of this
            // function, kept by whoever publishes files; the mapping itself is read-only.
            let map = unsafe { options.populate().map(&file) }.map_err(|e| io_error(path, &e))?;
            Ok(Self(Kind::Mapped(map)))
        }

        /// Reads the whole file into own pages.
        ///
        /// # Errors
        /// [`OpenError::Io`] with path and the system's reason; also for anything but a regular file.
        pub fn read(path: &Path) -> Result<Self, OpenError> {
            let mut file = open_regular(path).map_err(|e| io_error(path, &e))?;
            let len = file.metadata().map_err(|e| io_error(path, &e))?.len();
            let len = usize::try_from(len).map_err(|e| io_error(path, &io::Error::other(e)))?;
            let mut copy = memmap2::MmapMut::map_anon(len).map_err(|e| io_error(path, &e))?;
            file.read_exact(&mut copy).map_err(|e| io_error(path, &e))?;
            let copy = copy.make_read_only().map_err(|e| io_error(path, &e))?;
            Ok(Self(Kind::Copied(copy)))
        }

        /// Asks the system for large pages under the bytes: a copy can have them, a mapping where the file system can.
        ///
        /// # Errors
        /// The system's reason; [`io::ErrorKind::Unsupported`] where it is not asked.
        #[cfg(target_os = "linux")]
        pub fn advise_huge_pages(&self) -> io::Result<()> {
            self.pages()?.advise(memmap2::Advice::HugePage)
        }

        /// Keeps the bytes in memory for as long as the value lives.
        ///
        /// # Errors
        /// The system's reason, such as its limit of locked memory; [`io::ErrorKind::Unsupported`] where it is not asked.
        #[cfg(unix)]
        pub fn lock_in_memory(&self) -> io::Result<()> {
            self.pages()?.lock()
        }

        /// The pages that hold these bytes alone.
        #[cfg(unix)]
        fn pages(&self) -> io::Result<&memmap2::Mmap> {
            match &self.0 {
                Kind::Copied(map) | Kind::Mapped(map) => Ok(map),
                Kind::Owned(_) => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "expected bytes of a file, found a copy of bytes in memory, which shares its pages",
                )),
            }
        }
    }

    /// Opens `path` only if it is a regular file: a pipe would block, a directory cannot be read.
    fn open_regular(path: &Path) -> io::Result<File> {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("expected a regular file"));
        }
        File::open(path)
    }

    fn io_error(path: &Path, e: &io::Error) -> OpenError {
        OpenError::Io(format!("{}: {e}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_aligned(bytes: &[u8]) -> bool {
        bytes.as_ptr().addr().is_multiple_of(ALIGNMENT)
    }

    #[test]
    fn a_copy_is_aligned_and_equal_at_every_small_length() {
        let source: Vec<u8> = (0..200).collect();
        for len in 0..source.len() {
            let storage = Storage::from_bytes(&source[..len]).unwrap();
            assert_eq!(storage.bytes(), &source[..len]);
            assert!(is_aligned(storage.bytes()), "length {len}");
            assert!(!storage.is_mapped());
        }
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        let error = AlignedBytes::zeroed(usize::MAX).err().unwrap();
        assert!(matches!(error, OpenError::Io(_)), "{error}");
    }

    #[cfg(feature = "std")]
    #[test]
    fn mapping_and_reading_show_the_same_aligned_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0_usize, 1, 63, 64, 65, 5000] {
            let path = dir.path().join("file");
            let content: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let mapped = Storage::map(&path).unwrap();
            let copied = Storage::read(&path).unwrap();
            assert!(mapped.is_mapped() && !copied.is_mapped());
            assert_eq!(mapped.bytes(), content);
            assert_eq!(copied.bytes(), content);
            assert!(is_aligned(mapped.bytes()) && is_aligned(copied.bytes()));
        }
    }

    #[cfg(all(feature = "std", target_os = "linux"))]
    #[test]
    fn pages_of_files_can_be_touched_and_asked_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [1; 3 * PAGE_BYTES + 5]).unwrap();
        for storage in [
            Storage::map(file.path()).unwrap(),
            Storage::read(file.path()).unwrap(),
        ] {
            assert_eq!(storage.prefault(), 3 * PAGE_BYTES + 5);
            // A system may say no, and then says why.
            for asked in [storage.advise_huge_pages(), storage.lock_in_memory()] {
                assert!(asked.err().is_none_or(|reason| reason.raw_os_error().is_some()));
            }
        }
        let shared = Storage::from_bytes(&[1; 9]).unwrap();
        assert_eq!(shared.prefault(), 9);
        let reason = shared.lock_in_memory().unwrap_err();
        assert_eq!(reason.kind(), std::io::ErrorKind::Unsupported);
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_missing_file_and_a_directory_are_errors_that_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("absent.safetensors");
        for path in [missing.as_path(), dir.path()] {
            for result in [Storage::map(path), Storage::read(path)] {
                let text = format!("{}", result.err().unwrap());
                assert!(text.contains(path.to_str().unwrap()), "{text}");
            }
        }
    }
}
