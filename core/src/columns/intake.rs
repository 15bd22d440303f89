//! From the raw values of a window to what a net reads: scaled reals and category codes, row by row.
//!
//! Used by every family but `lstm`, whose inputs are all observed reals and go through one kernel. Static columns are
//! read in row 0, observed ones in encoder rows alone; derived columns follow from the window.

use super::normalize::{CenterScale, Scaling};
use crate::bundle::{Derived, Input, Missing, Role, Scaler, Schema};
use crate::error::RunError;
use crate::flags::Flags;
use crate::kernels::keep_normal;
use crate::layers::Rows;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// How a window becomes a net's rows.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(super) columns: Vec<Column>,
    /// The schema's normalizers.
    pub(crate) scalings: Vec<Scaling>,
    n_features: usize,
    pub(super) n_reals: usize,
    pub(super) n_codes: usize,
    pub(super) lookback: usize,
    n_ahead: usize,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) role: Role,
    pub(super) missing: Missing,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Code {
        place: usize,
        n: usize,
        unknown: Option<usize>,
    },
    Real {
        place: usize,
        scale: Scale,
    },
    Derived {
        place: usize,
        scale: CenterScale,
        what: What,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    Affine {
        center: f64,
        recip: f64,
    },
    /// By the normalizer of this place.
    Normalizer(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    RelativeTime,
    EncoderLength,
    Center(usize),
    Scale(usize),
}

/// The rows of one window.
#[derive(Debug)]
pub(crate) struct IntakeWork {
    pub(super) reals: Vec<f32>,
    pub(super) codes: Vec<u32>,
    /// Per normalizer, of the last window.
    pub(crate) targets: Vec<CenterScale>,
}

impl IntakeWork {
    /// Becomes what `source`, of the same intake, is.
    pub(crate) fn copy_from(&mut self, source: &Self) {
        let Self {
            reals,
            codes,
            targets,
        } = self;
        reals.copy_from_slice(&source.reals);
        codes.copy_from_slice(&source.codes);
        targets.copy_from_slice(&source.targets);
    }
}

/// A window of raw values: columns of the schema, oldest row first.
#[derive(Clone, Copy)]
pub(crate) struct RawWindow<'a, S> {
    pub(crate) values: &'a [S],
    pub(crate) n_encoder: usize,
    pub(crate) n_decoder: usize,
    /// Its place in a batch, for errors.
    pub(crate) index: usize,
}

impl Intake {
    pub(crate) fn new(schema: &Schema) -> Self {
        let scalings = Scaling::of(schema);
        let named = |name: &str| {
            schema
                .normalizers
                .iter()
                .position(|n| n.name == name)
                .unwrap_or(0)
        };
        let (mut n_reals, mut n_codes) = (0, 0);
        let mut column = |input: &Input| {
            let next = if input.categories.is_some() {
                &mut n_codes
            } else {
                &mut n_reals
            };
            *next += 1;
            Column {
                role: input.role,
                missing: input.missing,
                kind: kind(input, *next - 1, &named),
            }
        };
        let columns = schema.inputs.iter().map(&mut column).collect();
        Self {
            columns,
            n_features: schema.n_features(),
            n_reals,
            n_codes,
            lookback: schema.lookback(),
            n_ahead: schema.net.n_ahead(),
            scalings,
        }
    }

    /// Columns of a row of reals, even.
    pub(super) fn stride(&self) -> usize {
        self.n_reals.next_multiple_of(2).max(2)
    }

    /// Buffers for one window.
    pub(crate) fn work(&self) -> IntakeWork {
        self.work_of(self.lookback + self.n_ahead)
    }

    /// Buffers for so many rows.
    pub(crate) fn work_of(&self, rows: usize) -> IntakeWork {
        let unit = CenterScale {
            center: 0.0,
            scale: 1.0,
        };
        IntakeWork {
            reals: vec![0.0; rows * self.stride()],
            codes: vec![0; rows * self.n_codes],
            targets: vec![unit; self.scalings.len()],
        }
    }

    /// Centre and scale of normalizers that do not depend on the window.
    pub(crate) fn fixed_targets(&self) -> Vec<CenterScale> {
        let fixed = |scaling: &Scaling| scaling.of_window(&[], 0, |_, _| 0.0);
        self.scalings.iter().map(fixed).collect()
    }

    /// The rows of the last window.
    pub(crate) fn rows<'w>(&self, work: &'w IntakeWork) -> Rows<'w> {
        Rows {
            reals: &work.reals,
            stride: self.stride(),
            codes: &work.codes,
            n_codes: self.n_codes,
        }
    }

    /// Reads a window of as many rows as it says.
    ///
    /// # Errors
    /// [`RunError::NonFinite`], [`RunError::Category`], [`RunError::EncoderLength`].
    pub(crate) fn read<S: Copy + Into<f64>>(
        &self,
        window: RawWindow<'_, S>,
        work: &mut IntakeWork,
    ) -> Result<Flags, RunError> {
        self.read_first(window, window.n_encoder + window.n_decoder, work)
    }

    /// Reads the first `n` rows of a window.
    ///
    /// # Errors
    /// As [`Intake::read`].
    pub(crate) fn read_first<S: Copy + Into<f64>>(
        &self,
        window: RawWindow<'_, S>,
        n: usize,
        work: &mut IntakeWork,
    ) -> Result<Flags, RunError> {
        let mut flags = Flags::NONE;
        work.codes.fill(0);
        self.read_codes(window, 0..n, work, &mut flags)?;
        self.read_targets(window, work)?;
        self.read_reals(window, 0..n, work, &mut flags)?;
        Ok(flags)
    }

    /// Whether no number of a window depends on its last row but those of that row.
    pub(crate) fn pre_rolls(&self) -> bool {
        self.lookback > 1 && !self.reads_windows()
    }

    /// Whether a normalizer reads the rows of a window.
    pub(super) fn reads_windows(&self) -> bool {
        self.scalings.iter().any(|scaling| scaling.min_encoder() > 0)
    }

    /// Whether a window could hold this row, in whatever place; `row` is the number an error names.
    ///
    /// # Errors
    /// [`RunError::NonFinite`], [`RunError::Category`].
    pub(crate) fn check_row(&self, values: &[f64], row: usize) -> Result<(), RunError> {
        let mut columns = self.columns.iter().zip(values).enumerate();
        columns.try_for_each(|(at, (column, value))| self.check_value(column, *value, [row, at]))
    }

    /// The same of a row of the future, of which only what is known in advance is read.
    ///
    /// # Errors
    /// As [`Intake::check_row`].
    pub(crate) fn check_ahead(&self, values: &[f64], row: usize) -> Result<(), RunError> {
        let columns = self.columns.iter().zip(values).enumerate();
        let mut known = columns.filter(|(_, (column, _))| column.role == Role::Known);
        known.try_for_each(|(at, (column, value))| self.check_value(column, *value, [row, at]))
    }

    fn check_value(&self, column: &Column, value: f64, [row, at]: [usize; 2]) -> Result<(), RunError> {
        match column.kind {
            Kind::Code { n, unknown: None, .. } if code(value, n).is_none() => Err(RunError::Category {
                window: 0,
                row,
                column: at,
                n_categories: n,
            }),
            Kind::Real { scale, .. } if column.missing == Missing::Reject => {
                let is_usable = match scale {
                    Scale::Affine { center, recip } => (((value - center) * recip) as f32).is_finite(),
                    Scale::Normalizer(place) => self.scalings[place].accepts(value),
                };
                match is_usable {
                    true => Ok(()),
                    false => Err(RunError::NonFinite {
                        window: 0,
                        row,
                        column: at,
                    }),
                }
            }
            _ => Ok(()),
        }
    }

    /// Rows in which a column of this role is read.
    fn rows_of(&self, role: Role, n_encoder: usize, n_decoder: usize) -> usize {
        match role {
            Role::Static => 1,
            Role::Observed => n_encoder,
            Role::Known => n_encoder + n_decoder,
        }
    }

    fn read_codes<S: Copy + Into<f64>>(
        &self,
        window: RawWindow<'_, S>,
        part: Range<usize>,
        work: &mut IntakeWork,
        flags: &mut Flags,
    ) -> Result<(), RunError> {
        for (at, column) in self.columns.iter().enumerate() {
            let Kind::Code { place, n, unknown } = column.kind else {
                continue;
            };
            let read = self.rows_of(column.role, window.n_encoder, window.n_decoder);
            for row in part.start..part.end.min(read) {
                let value: f64 = window.values[row * self.n_features + at].into();
                let at = Place {
                    window: window.index,
                    row,
                    column: at,
                };
                let code = code_at(value, (n, unknown), at, flags)?;
                work.codes[row * self.n_codes + place] = code;
            }
        }
        Ok(())
    }

    fn read_targets<S: Copy + Into<f64>>(
        &self,
        window: RawWindow<'_, S>,
        work: &mut IntakeWork,
    ) -> Result<(), RunError> {
        for (scaling, target) in self.scalings.iter().zip(&mut work.targets) {
            if window.n_encoder < scaling.min_encoder() {
                return Err(RunError::EncoderLength {
                    expected: scaling.min_encoder(),
                    limit: self.lookback,
                    found: window.n_encoder,
                });
            }
            let raw = |row: usize, column: usize| window.values[row * self.n_features + column].into();
            *target = scaling.of_window(&work.codes, window.n_encoder, raw);
        }
        Ok(())
    }

    fn read_reals<S: Copy + Into<f64>>(
        &self,
        window: RawWindow<'_, S>,
        part: Range<usize>,
        work: &mut IntakeWork,
        flags: &mut Flags,
    ) -> Result<(), RunError> {
        let mut columns = self.columns.iter().enumerate();
        columns.try_for_each(|column| self.read_column(window, part.clone(), work, column, flags))
    }

    fn read_column<S: Copy + Into<f64>>(
        &self,
        window: RawWindow<'_, S>,
        part: Range<usize>,
        work: &mut IntakeWork,
        (at, column): (usize, &Column),
        flags: &mut Flags,
    ) -> Result<(), RunError> {
        let n_rows = window.n_encoder + window.n_decoder;
        let stride = self.stride();
        match column.kind {
            Kind::Code { .. } => {}
            Kind::Derived { place, scale, what } => {
                for row in part {
                    let value = self.derive(what, row, window.n_encoder, &work.targets);
                    work.reals[row * stride + place] = ((value - scale.center) / scale.scale) as f32;
                }
            }
            Kind::Real { place, scale } => {
                let read = self
                    .rows_of(column.role, window.n_encoder, window.n_decoder)
                    .min(n_rows);
                for row in part {
                    let to = &mut work.reals[row * stride + place];
                    if row >= read {
                        *to = 0.0;
                        continue;
                    }
                    let raw = window.values[row * self.n_features + at].into();
                    let at = Place {
                        window: window.index,
                        row,
                        column: at,
                    };
                    *to = column.real_at(self.scaled(raw, scale, &work.targets), at, flags)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn scaled(&self, raw: f64, scale: Scale, targets: &[CenterScale]) -> f32 {
        match scale {
            Scale::Affine { center, recip } => keep_normal(((raw - center) * recip) as f32),
            Scale::Normalizer(place) => keep_normal(self.scalings[place].scaled(raw, targets[place])),
        }
    }

    pub(super) fn derive(&self, what: What, row: usize, n_encoder: usize, targets: &[CenterScale]) -> f64 {
        let (longest, n) = (self.lookback as f64, n_encoder as f64);
        match what {
            What::RelativeTime => (row as f64 - n) / longest,
            What::EncoderLength => 2.0 * (n - 0.5 * longest) / longest,
            What::Center(place) => targets[place].center,
            What::Scale(place) => targets[place].scale,
        }
    }
}

/// Where a value stands, for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) window: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Column {
    /// A scaled value, or what stands for one that is missing.
    pub(super) fn real_at(&self, scaled: f32, at: Place, flags: &mut Flags) -> Result<f32, RunError> {
        if scaled.is_finite() {
            return Ok(scaled);
        }
        if self.missing == Missing::Reject {
            return Err(RunError::NonFinite {
                window: at.window,
                row: at.row,
                column: at.column,
            });
        }
        flags.insert(Flags::IMPUTED);
        Ok(0.0)
    }
}

/// The code of a value, or the unknown one; of `n` categories.
pub(super) fn code_at(
    value: f64,
    (n, unknown): (usize, Option<usize>),
    at: Place,
    flags: &mut Flags,
) -> Result<u32, RunError> {
    match (code(value, n), unknown) {
        (Some(code), _) => Ok(code),
        (None, Some(code)) => {
            flags.insert(Flags::UNKNOWN_CATEGORY);
            Ok(code as u32)
        }
        (None, None) => Err(RunError::Category {
            window: at.window,
            row: at.row,
            column: at.column,
            n_categories: n,
        }),
    }
}

/// The code a value is, of `n` categories.
pub(super) fn code(value: f64, n: usize) -> Option<u32> {
    let listed = value >= 0.0 && value < n as f64 && value == libm::trunc(value);
    listed.then_some(value as u32)
}

fn kind(input: &Input, place: usize, named: &impl Fn(&str) -> usize) -> Kind {
    if let Some(categories) = &input.categories {
        return Kind::Code {
            place,
            n: categories.n_codes(),
            unknown: categories.unknown,
        };
    }
    let scaler = input.scaler.unwrap_or(Scaler::IDENTITY);
    let Some(derived) = &input.derived else {
        let scale = match &input.scaled_by {
            Some(name) => Scale::Normalizer(named(name)),
            None => Scale::Affine {
                center: scaler.center,
                recip: scaler.scale.recip(),
            },
        };
        return Kind::Real { place, scale };
    };
    Kind::Derived {
        place,
        scale: CenterScale {
            center: scaler.center,
            scale: scaler.scale,
        },
        what: match derived {
            Derived::RelativeTime => What::RelativeTime,
            Derived::EncoderLength => What::EncoderLength,
            Derived::NormalizerCenter(name) => What::Center(named(name)),
            Derived::NormalizerScale(name) => What::Scale(named(name)),
        },
    }
}
