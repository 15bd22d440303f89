//! Rows that neighbouring windows share: what is read of them is the same wherever they stand behind a window's first row.
//!
//! That first row says the rest: its static columns, and by them the normalizers.

use super::intake::{Intake, IntakeWork, Kind, Place, RawWindow, What, code, code_at};
use super::normalize::{CenterScale, Scaling};
use crate::bundle::{Missing, Role};
use crate::error::RunError;
use crate::flags::Flags;
use crate::layers::Rows;
use alloc::vec::Vec;

/// What the first row of a window says of all its rows.
#[derive(Debug)]
pub(crate) struct Head {
    /// The row that was kept, and the one that was read last.
    last: IntakeWork,
    now: IntakeWork,
    is_known: bool,
}

impl Head {
    /// Of no window yet.
    pub(crate) fn new(intake: &Intake) -> Self {
        Self {
            last: intake.work_of(1),
            now: intake.work_of(1),
            is_known: false,
        }
    }

    /// Reads a window's first row; whether it says something else than the one that was kept last.
    ///
    /// # Errors
    /// As [`Intake::read`].
    pub(crate) fn read<S: Copy + Into<f64>>(
        &mut self,
        intake: &Intake,
        window: RawWindow<'_, S>,
    ) -> Result<(Flags, bool), RunError> {
        let flags = intake.read_first(window, 1, &mut self.now)?;
        Ok((flags, !self.is_known || !self.is_same(intake)))
    }

    /// Keeps what the row that was read last says.
    pub(crate) fn keep(&mut self) {
        core::mem::swap(&mut self.last, &mut self.now);
        self.is_known = true;
    }

    fn is_same(&self, intake: &Intake) -> bool {
        let Self { last, now, .. } = self;
        let mut statics = intake.columns.iter().filter(|c| c.role == Role::Static);
        last.targets == now.targets
            && statics.all(|column| match column.kind {
                Kind::Code { place, .. } => last.codes[place] == now.codes[place],
                Kind::Real { place, .. } => last.reals[place].to_bits() == now.reals[place].to_bits(),
                Kind::Derived { .. } => true,
            })
    }

    /// Becomes what `source`, of the same intake, is.
    pub(crate) fn copy_from(&mut self, source: &Self) {
        self.last.copy_from(&source.last);
        self.is_known = source.is_known;
    }

    /// The row that was kept.
    pub(crate) fn row(&self, intake: &Intake) -> Rows<'_> {
        intake.rows(&self.last)
    }

    /// Centre and scale of every normalizer, as that row has them.
    pub(crate) fn targets(&self) -> &[CenterScale] {
        &self.last.targets
    }
}

/// Whether a row is sound wherever a window holds it, for models whose normalizers are the same for all windows.
#[derive(Debug)]
pub(crate) struct RowChecks {
    targets: Vec<CenterScale>,
}

impl Intake {
    /// Whether what is read of a row behind the first is the same in all whole windows whose first rows say the same.
    pub(crate) fn shares_rows(&self) -> bool {
        let is_placed = |kind: &Kind| {
            matches!(
                kind,
                Kind::Derived {
                    what: What::RelativeTime,
                    ..
                }
            )
        };
        !self.reads_windows() && !self.columns.iter().any(|c| is_placed(&c.kind))
    }

    /// Reads a row behind the first of whole windows to row `to` of `work`; `place` is what an error names.
    ///
    /// # Errors
    /// As [`Intake::read`].
    pub(crate) fn read_behind<S: Copy + Into<f64>>(
        &self,
        values: &[S],
        place: [usize; 2],
        head: &Head,
        work: &mut IntakeWork,
        to: usize,
    ) -> Result<Flags, RunError> {
        let is_read = |role| role != Role::Static;
        self.read_row(values, place, head, work, to, is_read)
    }

    /// The same of a row of the future, of which only what is known in advance is read.
    ///
    /// # Errors
    /// As [`Intake::read`].
    pub(crate) fn read_ahead<S: Copy + Into<f64>>(
        &self,
        values: &[S],
        place: [usize; 2],
        head: &Head,
        work: &mut IntakeWork,
        to: usize,
    ) -> Result<Flags, RunError> {
        self.read_row(values, place, head, work, to, |role| role == Role::Known)
    }

    fn read_row<S: Copy + Into<f64>>(
        &self,
        values: &[S],
        place: [usize; 2],
        head: &Head,
        work: &mut IntakeWork,
        to: usize,
        is_read: impl Fn(Role) -> bool,
    ) -> Result<Flags, RunError> {
        let mut flags = Flags::NONE;
        let [window, row] = place;
        let reals = &mut work.reals[to * self.stride()..];
        let codes = &mut work.codes[to * self.n_codes..];
        for (column, about) in self.columns.iter().enumerate() {
            let at = Place { window, row, column };
            let is_read = is_read(about.role);
            match about.kind {
                Kind::Code { place, n, unknown } if is_read => {
                    let value = values[column].into();
                    codes[place] = code_at(value, (n, unknown), at, &mut flags)?;
                }
                Kind::Code { place, .. } => codes[place] = 0,
                Kind::Real { place, scale } if is_read => {
                    let scaled = self.scaled(values[column].into(), scale, head.targets());
                    reals[place] = about.real_at(scaled, at, &mut flags)?;
                }
                Kind::Real { place, .. } => reals[place] = 0.0,
                // Behind the columns that are handed in.
                Kind::Derived { place, scale, what } => {
                    let value = self.derive(what, row, self.lookback, head.targets());
                    reals[place] = ((value - scale.center) / scale.scale) as f32;
                }
            }
        }
        Ok(flags)
    }

    /// Columns that are handed in and known in advance.
    pub(crate) fn known_columns(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().enumerate();
        let known = columns
            .filter(|(_, about)| about.role == Role::Known && !matches!(about.kind, Kind::Derived { .. }));
        known.map(|(column, _)| column)
    }

    /// Checks of single rows; none where a normalizer depends on the window.
    pub(crate) fn row_checks(&self) -> Option<RowChecks> {
        let targets: Option<_> = self.scalings.iter().map(Scaling::fixed).collect();
        Some(RowChecks { targets: targets? })
    }

    /// Whether no window refuses this row, in whatever place.
    pub(crate) fn is_sound<S: Copy + Into<f64>>(&self, checks: &RowChecks, values: &[S]) -> bool {
        let mut columns = values.iter().zip(&self.columns);
        columns.all(|(value, column)| match column.kind {
            Kind::Real { scale, .. } if column.missing == Missing::Reject => {
                self.scaled((*value).into(), scale, &checks.targets).is_finite()
            }
            Kind::Code { n, unknown: None, .. } => code((*value).into(), n).is_some(),
            _ => true,
        })
    }
}
