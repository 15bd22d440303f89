//! What every call runs inside: panics end here, a handle that met one answers no more, and one that serves a single
//! call at a time refuses the second.

use crate::error::{Failure, UseError};
use crate::last_error;
use crate::memory::Block;
use crate::status::Status;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A failure whose text its thread keeps, as the number that it gave: what a hot call carries in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded(i32);

impl<E> From<E> for Recorded
where
    Failure: From<E>,
{
    #[cold]
    #[inline(never)]
    fn from(error: E) -> Self {
        Self(last_error::record(&error.into()))
    }
}

/// Runs a hot call that returns a status.
#[inline(always)]
pub(crate) fn hot(call: impl FnOnce() -> Result<Status, Recorded>) -> i32 {
    // What a panic leaves half-done stays behind the poison of its handle.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(status)) => status.number(),
        Ok(Err(Recorded(number))) => number,
        Err(payload) => last_error::record_panic(payload),
    }
}

/// Runs a call that returns a status.
pub(crate) fn status(call: impl FnOnce() -> Result<(), Failure>) -> i32 {
    match caught(call) {
        Ok(()) => Status::Ok.number(),
        Err(number) => number,
    }
}

/// Runs a call that returns a value, `on_failure` where it fails.
pub(crate) fn value<T>(on_failure: T, call: impl FnOnce() -> Result<T, Failure>) -> T {
    caught(call).unwrap_or(on_failure)
}

/// Lets go of a handle; nothing where there is none.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned was made by `Box::into_raw`, and the object has not been freed.
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if handle.is_null() || !handle.is_aligned() {
        return;
    }
    value((), || {
        // SAFETY: the caller's promise is passed on.
        drop(unsafe { Box::from_raw(handle) });
        Ok(())
    });
}

/// The call's result, a failure or panic recorded and reduced to its number.
fn caught<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, i32> {
    // What a panic leaves half-done stays behind the poison of its handle.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(last_error::record(&failure)),
        Err(payload) => Err(last_error::record_panic(payload)),
    }
}

/// Whether a handle met a panic.
#[derive(Debug, Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    /// Runs `work` unless poisoned; poisons if it panics.
    #[inline(always)]
    pub(crate) fn watch<T>(&self, work: impl FnOnce() -> T) -> Result<T, Failure> {
        let on_panic = self.begin()?;
        let value = work();
        core::mem::forget(on_panic);
        Ok(value)
    }

    /// What poisons where it is dropped, unless poisoned.
    #[inline(always)]
    fn begin(&self) -> Result<PoisonOnDrop<'_>, Failure> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Failure::Poisoned),
            false => Ok(PoisonOnDrop(self)),
        }
    }
}

struct PoisonOnDrop<'a>(&'a Poison);

impl Drop for PoisonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Working memory that belongs to one call at a time, whichever thread it comes from.
pub(crate) struct Exclusive<W> {
    /// Touched by the holder of [`Turn`] only.
    work: UnsafeCell<W>,
    busy: AtomicBool,
    poison: Poison,
    /// The handle's name in the header.
    name: &'static str,
    /// Where it lives, if not on the heap.
    block: Option<Block>,
}

impl<W> Exclusive<W> {
    pub(crate) fn new(work: W, name: &'static str) -> Self {
        Self {
            work: UnsafeCell::new(work),
            busy: AtomicBool::new(false),
            poison: Poison::default(),
            name,
            block: None,
        }
    }

    /// The right to use the memory until the value is dropped.
    #[inline(always)]
    pub(crate) fn turn(&self) -> Result<Turn<'_, W>, UseError> {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(UseError::Busy(self.name));
        }
        Ok(Turn(self))
    }

    pub(crate) fn move_in(&mut self, block: Block) {
        self.block = Some(block);
    }

    pub(crate) fn block(&self) -> Option<Block> {
        self.block
    }

    #[cfg(test)]
    pub(crate) fn into_inner(self) -> W {
        self.work.into_inner()
    }
}

impl<W> fmt::Debug for Exclusive<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive")
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

/// The one call that the memory serves.
pub(crate) struct Turn<'a, W>(&'a Exclusive<W>);

impl<W> Turn<'_, W> {
    /// Runs `work` on the memory unless the handle is poisoned.
    #[inline(always)]
    pub(crate) fn with<T>(&mut self, work: impl FnOnce(&mut W) -> T) -> Result<T, Failure> {
        let on_panic = self.0.poison.begin()?;
        // SAFETY: unique: there is one turn at a time, and this borrow ends before that of `self`.
        let value = work(unsafe { &mut *self.0.work.get() });
        core::mem::forget(on_panic);
        Ok(value)
    }
}

impl<W> Drop for Turn<'_, W> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_excludes_another_until_it_ends_also_by_a_panic() {
        let memory = Exclusive::new(1, "stream");
        let turn = memory.turn().unwrap();
        assert_eq!(memory.turn().err(), Some(UseError::Busy("stream")));
        drop(turn);
        let panicking = status(|| memory.turn()?.with(|_| panic!("made for this test")));
        assert_eq!(panicking, 900);
        assert_eq!(status(|| memory.turn()?.with(|_| ())), 901, "poisoned, not busy");
        assert_eq!(memory.into_inner(), 1);
    }

    #[test]
    fn a_panic_becomes_a_status_and_poisons_its_handle_only() {
        let (struck, other) = (Poison::default(), Poison::default());
        let call = |poison: &Poison, panics: bool| {
            status(|| poison.watch(|| assert!(!panics, "made for this test")))
        };
        assert_eq!(call(&struck, false), 0);
        assert_eq!(call(&struck, true), 900);
        assert_eq!(call(&struck, false), 901);
        assert_eq!(call(&other, false), 0);
    }

    #[test]
    fn a_value_call_that_panics_gives_the_value_of_failure() {
        assert_eq!(value(0, || Ok(7)), 7);
        assert_eq!(value(0, || Err(Failure::Poisoned)), 0);
        assert_eq!(
            value(0, || -> Result<i32, Failure> { panic!("made for this test") }),
            0
        );
    }
}
