//! The C interface: translation of the core to `include/tickfuse.h`, which is the authority and the document.
//!
//! One file per C noun; none holds logic of its own. Every function checks its pointers (`pointer.rs`), catches
//! panics (`guard.rs`), and leaves the reason of a failure with its thread (`last_error.rs`). The functions are
//! public to Rust for this package's tests alone: Rust programs use `tickfuse-core`.

mod error;
mod guard;
mod last_error;
mod model;
mod options;
mod pointer;
mod session;
mod status;

#[cfg(test)]
#[path = "../../core/tests/common/mod.rs"]
mod test_models;

pub use last_error::tickfuse_last_error;
pub use model::{
    HASH_SIZE, ModelHandle, tickfuse_model_free, tickfuse_model_hash, tickfuse_model_level,
    tickfuse_model_lookback, tickfuse_model_n_features, tickfuse_model_n_outputs, tickfuse_model_n_rows,
    tickfuse_model_open, tickfuse_model_open_memory, tickfuse_model_schema_json,
};
pub use options::{CallerOptions, OPEN_COPIED, OPEN_DECLINE_GOLDEN, OPEN_DECLINE_HASH};
pub use session::{
    MAX_BATCH, SessionHandle, tickfuse_session_free, tickfuse_session_new, tickfuse_session_run,
    tickfuse_session_run_batch, tickfuse_session_run_batch_f64, tickfuse_session_run_f64,
};
pub use status::{Status, tickfuse_status_text};

/// `TICKFUSE_ABI_VERSION`.
pub const ABI_VERSION: u32 = 0x0001_0000;

/// `tickfuse_abi_version` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn tickfuse_abi_version() -> u32 {
    ABI_VERSION
}

/// The header's promise on threads, kept by the compiler.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    const fn may_move<T: Send>() {}
    is_shared::<ModelHandle>();
    may_move::<SessionHandle>();
};
