//! Every error the core can report: one enum per phase, one variant per rule, the text in one place.
//!
//! Opening a model may allocate for its message (it names the tensor or key); running never does.

mod file;
mod make;
mod run;
mod state;

pub use file::{OpenError, WriteError};
pub use make::{DecideError, FeatureError};
pub use run::{RunError, StreamError};
pub use state::StateError;
