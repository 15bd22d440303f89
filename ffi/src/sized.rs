//! Structures that lead with their size: an older caller's is shorter, a newer one's longer.

use crate::error::UseError;
use crate::pointer;
use core::fmt;

/// Larger structures are taken for a mistake.
const MAX_SIZE: usize = 4096;

/// Why a structure is not understood; written behind its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Size {
        known: usize,
        limit: usize,
        found: usize,
    },
    Tail {
        offset: usize,
    },
    /// Structures of one array differ.
    Uneven {
        expected: usize,
        found: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { known, limit, found } => {
                write!(f, ".size: expected sizeof, {known} to {limit}, found {found}")
            }
            Self::Uneven { expected, found } => {
                write!(f, ".size: expected that of the first, {expected}, found {found}")
            }
            Self::Tail { offset } => write!(
                f,
                ": byte {offset} is not zero and belongs to a field this library does not know"
            ),
        }
    }
}

/// A structure of C whose first field is its size, a `usize`, and which has no padding.
pub(crate) trait SizeLed: Copy {}

/// The size a structure states, if it is one that `T` can have.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned leads to a structure whose first field is initialised.
unsafe fn size_of_caller<T: SizeLed>(pointer: *const T, parameter: &'static str) -> Result<usize, UseError> {
    pointer::check(pointer, parameter)?;
    // SAFETY: the size is the structure's first field in every version; the rest is the caller's promise.
    let found = *unsafe { pointer::borrow(pointer.cast::<usize>(), parameter) }?;
    let known = size_of::<T>();
    if (known..=MAX_SIZE).contains(&found) {
        return Ok(found);
    }
    let fault = Fault::Size {
        known,
        limit: MAX_SIZE,
        found,
    };
    Err(UseError::Structure { parameter, fault })
}

/// The structure behind a pointer. Fields that this library does not know must be zero.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned leads to a structure of the size it states, which nobody writes
/// during `'a`.
pub(crate) unsafe fn read<'a, T: SizeLed>(
    pointer: *const T,
    parameter: &'static str,
) -> Result<&'a T, UseError> {
    // SAFETY: the caller's promise is passed on.
    let size = unsafe { size_of_caller(pointer, parameter) }?;
    let known = size_of::<T>();
    let tail = pointer.cast::<u8>().wrapping_add(known);
    // SAFETY: inside the `size` bytes that the caller promises, because `size` is not below `known`.
    let tail = unsafe { pointer::slice(tail, size - known, parameter) }?;
    if let Some(i) = tail.iter().position(|byte| *byte != 0) {
        let fault = Fault::Tail { offset: known + i };
        return Err(UseError::Structure { parameter, fault });
    }
    // SAFETY: the structure is at least as long as the fields of this version.
    unsafe { pointer::borrow(pointer, parameter) }
}

/// A place for a structure, of which only the size need be initialised.
pub(crate) struct OutSized<T> {
    out: pointer::Out<T>,
    size: usize,
}

impl<T: SizeLed> OutSized<T> {
    /// # Safety
    /// A pointer that is neither NULL nor misaligned leads to a structure whose size is initialised and which stays
    /// writable for that size while the value lives.
    pub(crate) unsafe fn new(pointer: *mut T, parameter: &'static str) -> Result<Self, UseError> {
        // SAFETY: the caller's promise is passed on.
        let size = unsafe { size_of_caller(pointer, parameter) }?;
        // SAFETY: writable for `size` bytes, which is not below the size of `T`.
        let out = unsafe { pointer::Out::new(pointer, parameter) }?;
        Ok(Self { out, size })
    }

    /// What the caller's structure says of its size.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Writes the fields that this library knows; others stay as they are.
    pub(crate) fn write(self, fields: T) {
        self.out.write(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    #[repr(C)]
    struct Pair {
        size: usize,
        value: u64,
    }

    impl SizeLed for Pair {}

    /// A newer caller's structure.
    #[repr(C)]
    struct Longer {
        pair: Pair,
        more: u64,
    }

    fn longer(size: usize, more: u64) -> Longer {
        Longer {
            pair: Pair { size, value: 7 },
            more,
        }
    }

    #[test]
    fn a_longer_structure_is_read_where_what_is_not_known_is_zero() {
        for (more, expected) in [(0, Ok(7)), (1 << 8, Err(Fault::Tail { offset: 17 }))] {
            let found = longer(size_of::<Longer>(), more);
            let at = (&raw const found).cast::<Pair>();
            // SAFETY: a structure of the size it states.
            let value = unsafe { read(at, "pair") }.map(|pair| pair.value);
            let parameter = "pair";
            assert_eq!(
                value,
                expected.map_err(|fault| UseError::Structure { parameter, fault })
            );
        }
    }

    #[test]
    fn sizes_below_the_first_version_and_beyond_reason_are_refused() {
        for size in [0, 15, 4097, usize::MAX] {
            let mut found = longer(size, 0);
            let at = (&raw mut found).cast::<Pair>();
            let fault = Fault::Size {
                known: 16,
                limit: 4096,
                found: size,
            };
            let expected = UseError::Structure {
                parameter: "pair",
                fault,
            };
            // SAFETY: the size is refused before anything behind it is read.
            assert_eq!(unsafe { read(at, "pair") }.err(), Some(expected));
            // SAFETY: as above.
            assert_eq!(unsafe { OutSized::new(at, "pair") }.err(), Some(expected));
        }
    }

    #[test]
    fn an_output_keeps_its_size_and_what_is_not_known_of_it() {
        let mut found = longer(size_of::<Longer>(), 5);
        let at = (&raw mut found).cast::<Pair>();
        // SAFETY: a structure of the size it states.
        let out = unsafe { OutSized::new(at, "pair") }.ok().unwrap();
        let size = out.size();
        out.write(Pair { size, value: 8 });
        assert_eq!((found.pair, found.more), (Pair { size: 24, value: 8 }, 5));
    }
}
