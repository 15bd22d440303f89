//! The caller's pointers: checked for NULL, alignment and length, then borrowed or kept for writing.
//!
//! Output memory may be uninitialised and may overlap inputs, so no reference to it is ever made: it is written
//! through [`Out`] and [`OutSlice`], which exist only if their checks passed.

use crate::error::UseError;
use core::ffi::{CStr, c_char};

/// Refuses NULL and what is not aligned.
pub(crate) fn check<T>(pointer: *const T, parameter: &'static str) -> Result<(), UseError> {
    if pointer.is_null() {
        return Err(UseError::Null(parameter));
    }
    if !pointer.is_aligned() {
        return Err(UseError::Alignment {
            parameter,
            expected: align_of::<T>(),
            found: pointer.addr(),
        });
    }
    Ok(())
}

/// Refuses what [`check`] does, and a length that no memory can have.
pub(crate) fn check_slice<T>(pointer: *const T, len: usize, parameter: &'static str) -> Result<(), UseError> {
    check(pointer, parameter)?;
    let limit = isize::MAX as usize / size_of::<T>();
    if len > limit {
        return Err(UseError::Length {
            parameter,
            limit,
            found: len,
        });
    }
    Ok(())
}

/// The object behind a pointer.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned leads to a `T` that nobody writes during `'a`.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const T, parameter: &'static str) -> Result<&'a T, UseError> {
    check(pointer, parameter)?;
    // SAFETY: not NULL and aligned by the check; valid and unwritten during 'a by the caller's promise.
    Ok(unsafe { &*pointer })
}

/// The elements behind a pointer.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned leads to `len` initialised `T` that nobody writes during `'a`.
pub(crate) unsafe fn slice<'a, T>(
    pointer: *const T,
    len: usize,
    parameter: &'static str,
) -> Result<&'a [T], UseError> {
    check_slice(pointer, len, parameter)?;
    // SAFETY: not NULL, aligned and within isize::MAX bytes by the check; the rest is the caller's promise.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// The text behind a pointer.
///
/// # Safety
/// A pointer that is not NULL leads to bytes that end with a zero and that nobody writes during `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, parameter: &'static str) -> Result<&'a CStr, UseError> {
    check(pointer, parameter)?;
    // SAFETY: not NULL by the check; ended by a zero and unwritten during 'a by the caller's promise.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// A place for one output.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// A pointer that is neither NULL nor misaligned stays writable for one `T` while the value lives.
    pub(crate) unsafe fn new(pointer: *mut T, parameter: &'static str) -> Result<Self, UseError> {
        check(pointer, parameter)?;
        Ok(Self(pointer))
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: aligned by the check in `new`, writable by the promise given to it.
        unsafe { self.0.write(value) };
    }
}

/// A place for several outputs.
pub(crate) struct OutSlice<T> {
    pointer: *mut T,
    len: usize,
}

impl<T: Copy> OutSlice<T> {
    /// # Safety
    /// A pointer that is neither NULL nor misaligned stays writable for `len` elements while the value lives.
    pub(crate) unsafe fn new(pointer: *mut T, len: usize, parameter: &'static str) -> Result<Self, UseError> {
        check_slice(pointer, len, parameter)?;
        Ok(Self { pointer, len })
    }

    /// Places that there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies to the beginning. Values beyond the place are not written.
    #[inline(always)]
    pub(crate) fn write(self, values: &[T]) {
        if let ([value], true) = (values, self.len == 1) {
            // Most answers; no call of a copying function.
            // SAFETY: one place, writable by the promise given to `new` and aligned by its check.
            return unsafe { self.pointer.write(*value) };
        }
        let n = values.len().min(self.len);
        // SAFETY: readable: a slice of at least n; writable: n is at most the length promised to `new`; aligned: by
        // type and by the check; apart: `values` is the library's own memory, which no caller may name as output.
        unsafe { core::ptr::copy_nonoverlapping(values.as_ptr(), self.pointer, n) };
    }
}

impl<T: Copy> OutSlice<T> {
    /// Copies to places from `at` on, all of which the place has.
    pub(crate) fn write_at(&self, at: usize, values: &[T]) {
        assert!(at <= self.len && values.len() <= self.len - at);
        let to = Self {
            pointer: self.pointer.wrapping_add(at),
            len: values.len(),
        };
        to.write(values);
    }
}

impl OutSlice<u8> {
    /// Copies a text and its terminating zero if both fit; else writes nothing.
    pub(crate) fn write_text(self, text: &str) {
        if text.len() >= self.len {
            return;
        }
        // SAFETY: the index is below the length promised to `new`.
        let end = unsafe { self.pointer.add(text.len()) };
        // SAFETY: writable, because it lies inside the place.
        unsafe { end.write(0) };
        self.write(text.as_bytes());
    }
}

/// Copies a text with its terminating zero to the caller's buffer of `len` bytes.
///
/// # Safety
/// A `buf` that is not NULL stays writable for `len` bytes during the call.
pub(crate) unsafe fn write_text(text: &str, buf: *mut c_char, len: usize) -> Result<(), UseError> {
    // SAFETY: the caller's promise is passed on.
    let out = unsafe { OutSlice::new(buf.cast::<u8>(), len, "buf") }?;
    let needed = text.len() + 1;
    if len < needed {
        return Err(UseError::Buffer { needed, found: len });
    }
    out.write_text(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_refused_before_alignment_and_alignment_before_length() {
        let odd = core::ptr::without_provenance::<f64>(12);
        assert_eq!(
            check_slice::<f64>(core::ptr::null(), usize::MAX, "x"),
            Err(UseError::Null("x"))
        );
        let expected = UseError::Alignment {
            parameter: "x",
            expected: align_of::<f64>(),
            found: 12,
        };
        assert_eq!(check_slice(odd, usize::MAX, "x"), Err(expected));
    }

    #[test]
    fn the_longest_slice_memory_can_have_is_the_limit() {
        let at = core::ptr::dangling::<f64>();
        let limit = isize::MAX as usize / 8;
        assert_eq!(check_slice(at, limit, "x"), Ok(()));
        let expected = UseError::Length {
            parameter: "x",
            limit,
            found: limit + 1,
        };
        assert_eq!(check_slice(at, limit + 1, "x"), Err(expected));
    }

    #[test]
    fn a_text_needs_room_for_its_zero_and_is_not_written_without() {
        let mut buffer = [7_u8; 5];
        let buf = buffer.as_mut_ptr().cast::<c_char>();
        for len in 0..4 {
            // SAFETY: `len` is at most the buffer's.
            let written = unsafe { write_text("abc", buf, len) };
            assert_eq!(
                written,
                Err(UseError::Buffer {
                    needed: 4,
                    found: len
                })
            );
        }
        assert_eq!(buffer, [7; 5]);
        // SAFETY: the buffer has five bytes.
        unsafe { write_text("abc", buffer.as_mut_ptr().cast(), 4) }.unwrap();
        assert_eq!(&buffer, b"abc\0\x07");
    }
}
