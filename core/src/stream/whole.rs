//! Nets that read a window at once: all of it is run when its last row arrives.

use super::past::Past;
use crate::error::{RunError, StateError};
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::Contexts;
use crate::saved::{Reader, Writer};
use crate::session::{Sample, Session};
use alloc::sync::Arc;

/// The rows of the window, and what runs it.
pub(super) struct Whole {
    session: Session,
    past: Past,
    /// What the session attends to, of an X-Trend.
    contexts: Option<Contexts>,
}

impl Whole {
    /// No rows.
    pub(super) fn new(model: &Arc<Model>) -> Self {
        Self {
            session: Session::new(model, 1),
            past: Past::new(model),
            contexts: model.contexts().cloned(),
        }
    }

    /// The answer for the window that `row` ends, if that `is_due`.
    pub(super) fn answer<S: Sample>(
        &mut self,
        model: &Model,
        row: &[S],
        is_due: bool,
        out: &mut [f32],
    ) -> Result<Option<Flags>, RunError> {
        self.lay(model, row)?;
        match is_due {
            true => self.session.run(self.past.values(), out).map(Some),
            false => Ok(None),
        }
    }

    /// Lays a row ready to be kept, without an answer.
    pub(super) fn lay<S: Sample>(&mut self, model: &Model, row: &[S]) -> Result<(), RunError> {
        self.past.lay(model, row)
    }

    /// Keeps the row of the last answer.
    pub(super) fn take(&mut self) {
        self.past.take();
    }

    /// Makes room for the next row; nothing else can be done before it is known.
    pub(super) fn prepare(&mut self) -> bool {
        self.past.move_up();
        true
    }

    /// Forgets every row.
    pub(super) fn reset(&mut self) {
        self.past.reset();
    }

    /// Attends to these contexts from the next answer on.
    pub(super) fn set_contexts(&mut self, contexts: &Contexts) -> Result<(), RunError> {
        self.session.set_contexts(contexts)?;
        self.contexts = Some(contexts.clone());
        Ok(())
    }

    /// Writes the last `n` rows taken.
    pub(super) fn save(&self, n: usize, to: &mut Writer<'_>) {
        self.past.save(n, to);
    }

    /// Whether a window could hold each of `n` saved rows.
    pub(super) fn check(&mut self, model: &Model, n: usize, from: &mut Reader<'_>) -> Result<(), StateError> {
        self.past.check(model, n, from)
    }

    /// Takes `n` saved rows that were checked.
    pub(super) fn restore(
        &mut self,
        model: &Model,
        n: usize,
        from: &mut Reader<'_>,
    ) -> Result<(), StateError> {
        self.reset();
        for row in 0..n {
            let laid = self.past.lay_saved(model, from)?;
            laid.map_err(|_| StateError::Row { row })?;
            self.take();
        }
        Ok(())
    }

    /// Becomes what `source`, of the same model, is.
    pub(super) fn copy_from(&mut self, source: &Self) {
        self.past.copy_from(&source.past);
        if let Some(contexts) = &source.contexts {
            // Contexts of the same model: nothing to refuse.
            let _ = self.set_contexts(contexts);
        }
    }
}
