//! `tickfuse_model`: opening, asking, letting go.

use crate::error::{Failure, UseError};
use crate::guard::{self, Poison};
use crate::options::{self, CallerOptions};
use crate::pointer::{self, Out};
use core::ffi::{CStr, c_char};
use core::ptr;
use std::path::Path;
use std::sync::Arc;
use tickfuse_core::bundle::Schema;
use tickfuse_core::error::{OpenError, RunError};
use tickfuse_core::{Level, Model};

/// `TICKFUSE_HASH_SIZE`.
pub const HASH_SIZE: usize = 65;

/// `tickfuse_model` of the header.
#[derive(Debug)]
pub struct ModelHandle {
    model: Arc<Model>,
    poison: Poison,
}

impl ModelHandle {
    /// Runs `work` on the model unless the handle is poisoned.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Arc<Model>) -> T) -> Result<T, Failure> {
        self.poison.watch(|| work(&self.model))
    }
}

/// Opens with `open` and hands the handle out.
///
/// # Safety
/// `out` as [`Out::new`] asks.
unsafe fn hand_out(
    out: *mut *mut ModelHandle,
    open: impl FnOnce() -> Result<Arc<Model>, Failure>,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise is passed on.
    let out = unsafe { Out::new(out, "out") }?;
    let handle = ModelHandle {
        model: open()?,
        poison: Poison::default(),
    };
    out.write(Box::into_raw(Box::new(handle)));
    Ok(())
}

/// `tickfuse_model_open` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_open(
    path: *const c_char,
    options: *const CallerOptions,
    out: *mut *mut ModelHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let path = unsafe { pointer::text(path, "path") }?;
        // SAFETY: the caller's promise is passed on.
        let options = unsafe { options::read(options) }?;
        let open = || {
            let path = system_path(path)?;
            let open = if options.copied {
                Model::open_copied
            } else {
                Model::open
            };
            Ok(open(path, options.core)?)
        };
        // SAFETY: the caller's promise is passed on.
        unsafe { hand_out(out, open) }
    })
}

/// `tickfuse_model_open_memory` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_open_memory(
    bytes: *const u8,
    len: usize,
    options: *const CallerOptions,
    out: *mut *mut ModelHandle,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let bytes = unsafe { pointer::slice(bytes, len, "bytes") }?;
        // SAFETY: the caller's promise is passed on.
        let options = unsafe { options::read(options) }?;
        // SAFETY: the caller's promise is passed on.
        unsafe { hand_out(out, || Ok(Model::from_bytes(bytes, options.core)?)) }
    })
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere not every text is a path")]
fn system_path(path: &CStr) -> Result<&Path, UseError> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())))
}

#[cfg(not(unix))]
fn system_path(path: &CStr) -> Result<&Path, UseError> {
    path.to_str().map(Path::new).map_err(|_| UseError::Path)
}

/// `tickfuse_model_free` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_free(model: *mut ModelHandle) {
    // SAFETY: made by `hand_out`, and not freed before by the caller's promise.
    unsafe { guard::free(model) };
}

/// A value of the model, `on_failure` where the handle cannot answer.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn ask<T>(model: *const ModelHandle, on_failure: T, question: impl FnOnce(&Model) -> T) -> T {
    guard::value(on_failure, || {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(model, "model") }?;
        handle.with(|model| question(model))
    })
}

/// `tickfuse_model_lookback` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_lookback(model: *const ModelHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, 0, |model| model.schema().lookback()) }
}

/// `tickfuse_model_n_rows` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_n_rows(model: *const ModelHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, 0, |model| model.schema().n_rows()) }
}

/// `tickfuse_model_n_features` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_n_features(model: *const ModelHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, 0, |model| model.schema().n_features()) }
}

/// `tickfuse_model_n_outputs` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_n_outputs(model: *const ModelHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, 0, |model| model.schema().n_outputs()) }
}

/// `tickfuse_model_n_bars` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_n_bars(model: *const ModelHandle) -> usize {
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, 0, |model| model.n_bars().unwrap_or(0)) }
}

/// `tickfuse_model_context_shape` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_context_shape(
    model: *const ModelHandle,
    n_contexts: *mut usize,
    n_rows: *mut usize,
    n_columns: *mut usize,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let contexts = unsafe { Out::new(n_contexts, "n_contexts") }?;
        // SAFETY: the caller's promise is passed on.
        let rows = unsafe { Out::new(n_rows, "n_rows") }?;
        // SAFETY: the caller's promise is passed on.
        let columns = unsafe { Out::new(n_columns, "n_columns") }?;
        let shape = model.with(|model| model.context_shape())?;
        let shape = shape.ok_or(RunError::NoContexts)?;
        contexts.write(shape[0]);
        rows.write(shape[1]);
        columns.write(shape[2]);
        Ok(())
    })
}

/// `tickfuse_model_level` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_level(model: *const ModelHandle) -> *const c_char {
    // SAFETY: the caller's promise is passed on.
    unsafe { ask(model, ptr::null(), |model| level_name(model.level()).as_ptr()) }
}

/// [`Level::name`] with a terminating zero.
fn level_name(level: Level) -> &'static CStr {
    match level {
        Level::Portable => c"portable",
        Level::Avx2 => c"avx2",
        Level::Avx512 => c"avx512",
        Level::Avx512Bf16 => c"avx512bf16",
        _ => c"unnamed",
    }
}

/// `tickfuse_model_hash` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_hash(model: *const ModelHandle, buf: *mut c_char, len: usize) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(model, "model") }?;
        let hash = handle.with(|model| model.hash())?;
        // SAFETY: the caller's promise is passed on.
        unsafe { pointer::write_text(&hash, buf, len) }?;
        Ok(())
    })
}

/// A text about the model, in the way of `tickfuse_model_schema_json`.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn text(
    model: *const ModelHandle,
    (buf, len): (*mut c_char, usize),
    needed: *mut usize,
    text_of: impl FnOnce(&Schema) -> Result<String, OpenError>,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise is passed on.
        let handle = unsafe { pointer::borrow(model, "model") }?;
        // SAFETY: the caller's promise is passed on.
        let needed = unsafe { Out::new(needed, "needed") }?;
        let text = handle.with(|model| text_of(model.schema()))??;
        if !buf.is_null() || len != 0 {
            // SAFETY: the caller's promise is passed on.
            unsafe { pointer::write_text(&text, buf, len) }?;
        }
        needed.write(text.len() + 1);
        Ok(())
    })
}

/// `tickfuse_model_schema_json` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_schema_json(
    model: *const ModelHandle,
    buf: *mut c_char,
    len: usize,
    needed: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { text(model, (buf, len), needed, Schema::to_json) }
}

/// `tickfuse_model_inputs_json` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_inputs_json(
    model: *const ModelHandle,
    buf: *mut c_char,
    len: usize,
    needed: *mut usize,
) -> i32 {
    // SAFETY: the caller's promise is passed on.
    unsafe { text(model, (buf, len), needed, Schema::inputs_json) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_the_name_the_core_gives_it() {
        for level in Level::ALL {
            assert_eq!(level_name(level).to_str(), Ok(level.name()));
        }
    }
}
