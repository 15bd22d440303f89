//! The C interface: translation of the core to `include/tickfuse.h`, which is the authority and the document.
//!
//! One file per C noun; none holds logic of its own. Every function checks its pointers (`pointer.rs`), catches
//! panics (`guard.rs`), and leaves the reason of a failure with its thread (`last_error.rs`). The functions are
//! public to Rust for this package's tests alone: Rust programs use `tickfuse-core`.

mod contexts;
mod error;
mod fast;
mod guard;
mod interpretation;
mod last_error;
mod machine;
mod memory;
mod model;
mod options;
mod pointer;
mod replay;
mod schema;
mod session;
mod sized;
mod sliding;
mod state;
mod status;
mod step;
mod stream;
mod streams;
mod strided;

#[cfg(test)]
#[path = "../../core/tests/common/mod.rs"]
mod test_models;

pub use contexts::{
    ContextsHandle, tickfuse_contexts_encode, tickfuse_contexts_encode_f64, tickfuse_contexts_free,
};
pub use fast::{
    FAST_F64, FAST_PEEK, FAST_PUSH, FAST_RUN, FastHandle, tickfuse_fast_call, tickfuse_fast_flags,
    tickfuse_fast_free, tickfuse_fast_of_session, tickfuse_fast_of_stream,
};
pub use interpretation::{
    CallerInterpretation, MAX_DIMS, NAME_SIZE, tickfuse_session_interpretation,
    tickfuse_session_n_interpretations,
};
pub use last_error::tickfuse_last_error;
pub use machine::{
    tickfuse_flush_denormals_begin, tickfuse_flush_denormals_end, tickfuse_model_advise_huge_pages,
    tickfuse_model_lock, tickfuse_model_prefault,
};
#[doc(hidden)]
pub use memory::n_heap_calls;
pub use model::{
    HASH_SIZE, ModelHandle, tickfuse_model_context_shape, tickfuse_model_free, tickfuse_model_hash,
    tickfuse_model_inputs_json, tickfuse_model_level, tickfuse_model_lookback, tickfuse_model_n_bars,
    tickfuse_model_n_features, tickfuse_model_n_outputs, tickfuse_model_n_rows, tickfuse_model_open,
    tickfuse_model_open_memory, tickfuse_model_schema_json,
};
pub use options::{CallerOptions, OPEN_COPIED, OPEN_DECLINE_GOLDEN, OPEN_DECLINE_HASH};
pub use replay::{tickfuse_stream_replay, tickfuse_stream_replay_bar, tickfuse_stream_replay_f64};
pub use schema::{
    ARRIVAL_NONE, ARRIVAL_PREPARED, ARRIVAL_WHOLE_WINDOW, CallerInput, CallerOutput, LABEL_SIZE,
    MISSING_IMPUTED, MISSING_REFUSED, OUTPUT_DEVIATION, OUTPUT_MEAN, OUTPUT_POSITION, OUTPUT_PROBABILITY,
    OUTPUT_QUANTILE, OUTPUT_VALUE, ROLE_KNOWN, ROLE_OBSERVED, ROLE_STATIC, tickfuse_model_arrival,
    tickfuse_model_input, tickfuse_model_output,
};
pub use session::{
    MAX_BATCH, SessionHandle, tickfuse_session_align, tickfuse_session_free, tickfuse_session_init,
    tickfuse_session_new, tickfuse_session_run, tickfuse_session_run_batch, tickfuse_session_run_batch_f64,
    tickfuse_session_run_f64, tickfuse_session_run_lengths, tickfuse_session_run_lengths_f64,
    tickfuse_session_set_contexts, tickfuse_session_size,
};
pub use sliding::{
    SlidingHandle, tickfuse_sliding_free, tickfuse_sliding_n_windows, tickfuse_sliding_new,
    tickfuse_sliding_run, tickfuse_sliding_run_f64, tickfuse_sliding_set_contexts,
};
pub use state::{
    tickfuse_stream_clone, tickfuse_stream_clone_from, tickfuse_stream_restore, tickfuse_stream_save,
    tickfuse_stream_saved_len,
};
pub use status::{Status, tickfuse_status_text};
pub use step::{CallerBar, CallerStep, STEP_ANSWER, STEP_WARMING_UP};
pub use stream::{
    StreamHandle, tickfuse_stream_align, tickfuse_stream_free, tickfuse_stream_init,
    tickfuse_stream_max_missing_bars, tickfuse_stream_new, tickfuse_stream_peek, tickfuse_stream_peek_bar,
    tickfuse_stream_peek_f64, tickfuse_stream_prepare, tickfuse_stream_prepare_some, tickfuse_stream_push,
    tickfuse_stream_push_bar, tickfuse_stream_push_f64, tickfuse_stream_remaining, tickfuse_stream_reset,
    tickfuse_stream_set_category, tickfuse_stream_set_contexts, tickfuse_stream_set_max_missing_bars,
    tickfuse_stream_size,
};

pub use streams::*;
pub use strided::{tickfuse_session_run_strided, tickfuse_session_run_strided_f64};

/// `TICKFUSE_ABI_VERSION`.
pub const ABI_VERSION: u32 = 0x0001_0003;

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
    is_shared::<ContextsHandle>();
    may_move::<SessionHandle>();
    may_move::<StreamHandle>();
    may_move::<StreamsHandle>();
    may_move::<FastHandle>();
    may_move::<SlidingHandle>();
};
