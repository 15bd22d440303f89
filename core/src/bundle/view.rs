//! Typed windows into a model file that keep the file alive: the one place where bytes become numbers.

use super::storage::Storage;
use alloc::sync::Arc;
use bytemuck::Pod;
use core::fmt;
use core::ops::{Deref, Range};
use core::ptr::NonNull;

/// A `&[T]` into a [`Storage`] without a lifetime: it owns a share of the storage.
///
/// Cheap to clone, free to dereference (no check, no branch), usable from any number of threads at once.
pub struct View<T> {
    slice: NonNull<[T]>,
    storage: Arc<Storage>,
}

impl<T: Pod> View<T> {
    /// The bytes `range` of `storage` as values of `T`.
    ///
    /// `None` if the range leaves the storage, is not a whole number of values or does not start at a multiple of
    /// `T`'s alignment.
    #[must_use]
    pub fn new(storage: &Arc<Storage>, range: Range<usize>) -> Option<Self> {
        let bytes = storage.bytes().get(range)?;
        let slice: &[T] = bytemuck::try_cast_slice(bytes).ok()?;
        Some(Self {
            slice: NonNull::from(slice),
            storage: Arc::clone(storage),
        })
    }

    /// The same bytes as values of `U`.
    ///
    /// `None` if they are not a whole number of values or do not start at a multiple of `U`'s alignment.
    #[must_use]
    pub fn cast<U: Pod>(&self) -> Option<View<U>> {
        let slice: &[U] = bytemuck::try_cast_slice(self).ok()?;
        Some(View {
            slice: NonNull::from(slice),
            storage: Arc::clone(&self.storage),
        })
    }

    /// The storage the values lie in.
    #[must_use]
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }
}

impl<T> Deref for View<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `slice` was a valid, aligned `&[T]` into `storage.bytes()` when `new` made it. The bytes neither
        // move nor change while the storage lives, `storage` keeps it alive at least as long as `self`, and nobody
        // has mutable access: `Storage` offers none.
        unsafe { self.slice.as_ref() }
    }
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            slice: self.slice,
            storage: Arc::clone(&self.storage),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

// SAFETY: a view gives shared access only, to values that never change and that belong to an `Arc` of a `Send` and
// `Sync` storage; sending it is sending a `&[T]` and an `Arc`, which `T: Sync` allows.
unsafe impl<T: Sync> Send for View<T> {}

// SAFETY: a shared view gives out `&[T]` and clones of itself; both may be used from several threads if `T: Sync`.
unsafe impl<T: Sync> Sync for View<T> {}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Storage>();
    is_send_and_sync::<View<f32>>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use half::bf16;

    fn floats() -> Arc<Storage> {
        let values: Vec<f32> = (0..32_u8).map(f32::from).collect();
        Arc::new(Storage::from_bytes(bytemuck::must_cast_slice(&values)).unwrap())
    }

    #[test]
    fn a_view_shows_the_values_of_its_range() {
        let storage = floats();
        let view = View::<f32>::new(&storage, 64..72).unwrap();
        assert_eq!(*view, [16.0, 17.0]);
        assert_eq!(view.as_ptr().addr(), storage.bytes().as_ptr().addr() + 64);
        let halves = View::<bf16>::new(&storage, 4..8).unwrap();
        assert_eq!(*halves, [bf16::ZERO, bf16::ONE]);
        assert!(View::<f64>::new(&storage, 8..8).unwrap().is_empty());
    }

    #[test]
    fn bounds_size_and_alignment_are_checked() {
        let storage = floats();
        let len = storage.bytes().len();
        assert!(View::<f32>::new(&storage, 0..len).is_some());
        assert!(View::<f32>::new(&storage, 4..len + 4).is_none());
        assert!(View::<f32>::new(&storage, 0..6).is_none());
        assert!(View::<f32>::new(&storage, 2..6).is_none());
        assert!(View::<f64>::new(&storage, 4..12).is_none());
        #[allow(
            clippy::reversed_empty_ranges,
            reason = "the reversed range is the case under test"
        )]
        let reversed = View::<f32>::new(&storage, 8..4);
        assert!(reversed.is_none());
    }

    #[test]
    fn a_view_outlives_every_other_handle_and_crosses_threads() {
        let storage = floats();
        let view = View::<f32>::new(&storage, 0..128).unwrap();
        drop(storage);
        let clone = view.clone();
        drop(view);
        assert_eq!(clone.iter().sum::<f32>(), 496.0);
        #[cfg(feature = "std")]
        std::thread::scope(|scope| {
            let sums: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| clone.iter().sum::<f32>()))
                .collect();
            assert!(sums.into_iter().all(|s| s.join().unwrap() == 496.0));
        });
    }
}
