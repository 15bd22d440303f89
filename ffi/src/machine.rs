//! What a caller asks of the machine and its system beforehand: pages of the weights, and denormal numbers.

use crate::error::Failure;
use crate::guard;
use crate::model::ModelHandle;
use crate::pointer::{self, Out};
use core::mem::MaybeUninit;
use std::io;
use tickfuse_core::Model;
use tickfuse_core::simd::FlushDenormals;

/// `tickfuse_model_prefault` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_prefault(model: *const ModelHandle) -> usize {
    guard::value(0, || {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        model.with(|model| model.prefault())
    })
}

/// Asks the system for something.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn ask(model: *const ModelHandle, question: impl FnOnce(&Model) -> io::Result<()>) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        model.with(|model| question(model))?.map_err(Failure::System)
    })
}

/// `tickfuse_model_lock` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_lock(model: *const ModelHandle) -> i32 {
    #[cfg(unix)]
    let question = Model::lock_in_memory;
    #[cfg(not(unix))]
    let question = |_: &Model| Err(io::ErrorKind::Unsupported.into());
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, question) }
}

/// `tickfuse_model_advise_huge_pages` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_advise_huge_pages(model: *const ModelHandle) -> i32 {
    #[cfg(target_os = "linux")]
    let question = Model::advise_huge_pages;
    #[cfg(not(target_os = "linux"))]
    let question = |_: &Model| Err(io::ErrorKind::Unsupported.into());
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, question) }
}

/// A guard in the place that C keeps for it.
#[repr(C)]
union Kept {
    word: u64,
    guard: core::mem::ManuallyDrop<MaybeUninit<FlushDenormals>>,
}

const _: () = assert!(size_of::<Kept>() == size_of::<u64>() && align_of::<Kept>() == align_of::<u64>());

/// `tickfuse_flush_denormals_begin` of the header.
///
/// # Safety
/// The header's rules for pointers, and its condition on numbers between this call and the one that ends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_flush_denormals_begin(before: *mut u64) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(before, "before") }?;
        let mut kept = Kept { word: 0 };
        // SAFETY: the caller's promise is passed on.
        let guard = unsafe { FlushDenormals::new() };
        kept.guard = core::mem::ManuallyDrop::new(MaybeUninit::new(guard));
        // SAFETY: all bytes are initialised: by the word, and some again by the guard.
        out.write(unsafe { kept.word });
        Ok(())
    })
}

/// `tickfuse_flush_denormals_end` of the header.
///
/// # Safety
/// `before` is what the last call of `begin` on this thread that was not ended gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_flush_denormals_end(before: u64) {
    let kept = Kept { word: before };
    // SAFETY: `begin` made the word of a guard, by the caller's promise.
    let guard = unsafe { kept.guard };
    // SAFETY: as above; the word is given back once.
    drop(unsafe { core::mem::ManuallyDrop::into_inner(guard).assume_init() });
}
