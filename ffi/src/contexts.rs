//! `tickfuse_contexts`: what the answers of an X-Trend attend to, encoded beside the thread that answers.

use crate::error::UseError;
use crate::guard;
use crate::model::ModelHandle;
use crate::pointer::{self, Out};
use tickfuse_core::error::RunError;
use tickfuse_core::{Contexts, Model, Sample};

/// `tickfuse_contexts` of the header.
///
/// Immutable: a panic while a session takes it poisons the session.
#[derive(Debug)]
pub struct ContextsHandle(pub(crate) Contexts);

/// The caller's contexts; none where the pointer is NULL.
///
/// # Safety
/// A pointer that is neither NULL nor misaligned leads to contexts that live during `'a`.
pub(crate) unsafe fn read<'a>(contexts: *const ContextsHandle) -> Result<Option<&'a Contexts>, UseError> {
    if contexts.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise is passed on.
    let handle = unsafe { pointer::borrow(contexts, "contexts") }?;
    Ok(Some(&handle.0))
}

/// These contexts, or those of the model's file where there are none.
pub(crate) fn or_own<'a>(contexts: Option<&'a Contexts>, model: &'a Model) -> Result<&'a Contexts, RunError> {
    contexts.or_else(|| model.contexts()).ok_or(RunError::NoContexts)
}

/// Both `tickfuse_contexts_encode*` of the header.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn encode<S: Sample>(
    model: *const ModelHandle,
    (rows, n_values): (*const S, usize),
    (entities, n_contexts): (*const u32, usize),
    out: *mut *mut ContextsHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let rows = unsafe { pointer::slice(rows, n_values, "rows") }?;
        // SAFETY: the caller's promise is passed on.
        let entities = unsafe { pointer::slice(entities, n_contexts, "entities") }?;
        // SAFETY: the caller's promise is passed on.
        let out = unsafe { Out::new(out, "out") }?;
        let contexts = model.with(|model| model.encode_contexts(rows, entities))??;
        out.write(Box::into_raw(Box::new(ContextsHandle(contexts))));
        Ok(())
    })
}

/// `tickfuse_contexts_encode` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_contexts_encode(
    model: *const ModelHandle,
    rows: *const f32,
    n_values: usize,
    entities: *const u32,
    n_contexts: usize,
    out: *mut *mut ContextsHandle,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { encode(model, (rows, n_values), (entities, n_contexts), out) }
}

/// `tickfuse_contexts_encode_f64` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_contexts_encode_f64(
    model: *const ModelHandle,
    rows: *const f64,
    n_values: usize,
    entities: *const u32,
    n_contexts: usize,
    out: *mut *mut ContextsHandle,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { encode(model, (rows, n_values), (entities, n_contexts), out) }
}

/// `tickfuse_contexts_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_contexts_free(contexts: *mut ContextsHandle) {
    // SAFETY: made by `encode`, and not freed before by the caller's promise.
    unsafe { guard::free(contexts) };
}
