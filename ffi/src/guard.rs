//! What every call runs inside: panics end here, and a handle that met one answers no more.

use crate::error::Failure;
use crate::last_error;
use crate::status::Status;
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// The call's result, a failure or panic recorded and reduced to its number.
fn caught<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, i32> {
    // What a panic leaves half-done stays behind the poison of its handle.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(last_error::record(&failure)),
        Err(payload) => Err(last_error::record_panic(&*payload)),
    }
}

/// Whether a handle met a panic.
#[derive(Debug, Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    /// Runs `work` unless poisoned; poisons if it panics.
    pub(crate) fn watch<T>(&self, work: impl FnOnce() -> T) -> Result<T, Failure> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Failure::Poisoned);
        }
        let on_panic = PoisonOnDrop(self);
        let value = work();
        core::mem::forget(on_panic);
        Ok(value)
    }
}

struct PoisonOnDrop<'a>(&'a Poison);

impl Drop for PoisonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
