//! From the raw values of a window to what a net reads: scaled reals and category codes, row by row.
//!
//! What must not be read is made unusable: a real is NaN, a code has no row in any table. Nothing is rounded to f32.

use super::normalize::center_scale;
use super::{CenterScale, Weights};
use crate::bundle::{CONTEXTS_PREFIX, Categories, Derived, Input, Missing, Role, Scaler, Schema};
use alloc::string::String;
use alloc::vec::Vec;

/// The code of a cell that no net reads.
const UNREAD: usize = usize::MAX;

/// A window as a net reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaledWindow {
    /// `[rows][reals]`, real inputs in the order of the schema, derived ones behind.
    pub reals: Vec<Vec<f64>>,
    /// `[rows][categoricals]`, categorical inputs in the order of the schema.
    pub codes: Vec<Vec<usize>>,
    /// Rows of the past; all others are decoder rows.
    pub n_encoder: usize,
}

/// A past segment of a series that an X-Trend attends to, as the net reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// `[steps][columns]`: features, in the paper's form then the next-day scaled return.
    pub rows: Vec<Vec<f64>>,
    /// Code of its entity.
    pub entity: usize,
}

/// Reads windows by a schema.
#[derive(Debug, Clone, Copy)]
pub struct Intake<'a> {
    schema: &'a Schema,
}

/// A window of raw values, oldest row first.
#[derive(Clone, Copy)]
struct Raw<'a> {
    values: &'a [f64],
    n_features: usize,
    n_encoder: usize,
}

impl Raw<'_> {
    fn value(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n_features + column]
    }

    /// Whether a column of this role is read in `row`.
    fn reads(&self, role: Role, row: usize) -> bool {
        match role {
            Role::Static => row == 0,
            Role::Observed => row < self.n_encoder,
            Role::Known => true,
        }
    }
}

impl<'a> Intake<'a> {
    /// The intake of a valid schema.
    #[must_use]
    pub fn new(schema: &'a Schema) -> Self {
        Self { schema }
    }

    /// A window `[n_encoder + n_decoder, n_features]` with the centre and scale of each normalizer.
    ///
    /// # Panics
    /// When the window has another size, a code is unknown, or a value is missing where the schema refuses that.
    #[must_use]
    pub fn read(
        &self,
        values: &[f64],
        n_encoder: usize,
        n_decoder: usize,
    ) -> (ScaledWindow, Vec<CenterScale>) {
        let n_features = self.schema.n_features();
        let n_rows = n_encoder + n_decoder;
        assert_eq!(values.len(), n_rows * n_features, "values of a window");
        let raw = Raw {
            values,
            n_features,
            n_encoder,
        };
        let normalizers = self.normalizers(&raw);
        let window = ScaledWindow {
            reals: (0..n_rows)
                .map(|row| self.reals(&raw, row, &normalizers))
                .collect(),
            codes: (0..n_rows).map(|row| self.codes(&raw, row)).collect(),
            n_encoder,
        };
        (window, normalizers)
    }

    /// The contexts of an X-Trend file: `contexts.input [n, steps, columns]` raw, `contexts.entity [n]`. Features are
    /// scaled by their inputs' scalers, the return behind them is not.
    ///
    /// # Panics
    /// When the tensors are missing.
    #[must_use]
    pub fn contexts(&self, weights: &Weights) -> Vec<Context> {
        let part = weights.root().at(CONTEXTS_PREFIX.trim_end_matches('.'));
        let shape = part.shape("input");
        let each = part.values("input").chunks_exact(shape[1] * shape[2]);
        let entities = part.values("entity").iter().map(|code| *code as usize);
        each.zip(entities)
            .map(|(values, entity)| self.context(values, shape[2], entity))
            .collect()
    }

    fn context(&self, values: &[f64], n_columns: usize, entity: usize) -> Context {
        let features: Vec<&Input> = self.real_inputs().map(|(_, input)| input).collect();
        let code = |name: &str| (entity, self.n_codes(name));
        let column = |name: &str| {
            let place = features.iter().position(|input| input.name == name);
            let place = place.unwrap_or_else(|| panic!("no feature `{name}`"));
            values.chunks_exact(n_columns).map(|row| row[place]).collect()
        };
        let normalizers = self.schema.normalizers.iter();
        let normalizers: Vec<CenterScale> = normalizers.map(|n| center_scale(n, code, column)).collect();
        let scaled = |(j, x): (usize, &f64)| match features.get(j) {
            Some(input) => self.scaled(input, *x, &normalizers),
            None => *x,
        };
        let rows = values.chunks_exact(n_columns);
        Context {
            rows: rows
                .map(|row| row.iter().enumerate().map(scaled).collect())
                .collect(),
            entity,
        }
    }

    fn real_inputs(&self) -> impl Iterator<Item = (usize, &'a Input)> {
        let inputs = self.schema.inputs.iter().enumerate();
        inputs.filter(|(_, input)| input.categories.is_none())
    }

    fn column(&self, name: &str) -> usize {
        let found = self.schema.inputs.iter().position(|input| input.name == name);
        found.unwrap_or_else(|| panic!("no input `{name}`"))
    }

    fn n_codes(&self, name: &str) -> usize {
        let categories = &self.schema.inputs[self.column(name)].categories;
        categories.as_ref().map_or(1, Categories::n_codes)
    }

    fn normalizers(&self, raw: &Raw<'_>) -> Vec<CenterScale> {
        let code = |name: &str| (self.code(raw, 0, self.column(name)), self.n_codes(name));
        let column = |name: &str| {
            let column = self.column(name);
            (0..raw.n_encoder).map(|row| raw.value(row, column)).collect()
        };
        let all = self.schema.normalizers.iter();
        all.map(|n| center_scale(n, code, column)).collect()
    }

    fn codes(&self, raw: &Raw<'_>, row: usize) -> Vec<usize> {
        let categorical = (0..raw.n_features).filter(|i| self.schema.inputs[*i].categories.is_some());
        categorical
            .map(|column| match raw.reads(self.schema.inputs[column].role, row) {
                true => self.code(raw, row, column),
                false => UNREAD,
            })
            .collect()
    }

    fn code(&self, raw: &Raw<'_>, row: usize, column: usize) -> usize {
        let input = &self.schema.inputs[column];
        let (n, unknown) = match &input.categories {
            Some(categories) => (categories.n_codes(), categories.unknown),
            None => panic!("expected `{}` to be categorical", input.name),
        };
        let value = raw.value(row, column);
        let known = (0..n).find(|code| *code as f64 == value);
        known.or(unknown).unwrap_or_else(|| {
            panic!(
                "row {row}, column `{}`: expected a code below {n}, found {value}",
                input.name
            )
        })
    }

    fn reals(&self, raw: &Raw<'_>, row: usize, normalizers: &[CenterScale]) -> Vec<f64> {
        let real = |(column, input): (usize, &Input)| {
            if let Some(derived) = &input.derived {
                return self.scaled(input, self.derive(derived, raw, row, normalizers), normalizers);
            }
            if !raw.reads(input.role, row) {
                return f64::NAN;
            }
            let scaled = self.scaled(input, raw.value(row, column), normalizers);
            // What f32 cannot hold is missing, too.
            if (scaled as f32).is_finite() {
                return scaled;
            }
            assert!(
                input.missing == Missing::Center,
                "row {row}, column `{}`: expected a finite value, found {}",
                input.name,
                raw.value(row, column)
            );
            0.0
        };
        self.real_inputs().map(real).collect()
    }

    fn scaled(&self, input: &Input, x: f64, normalizers: &[CenterScale]) -> f64 {
        if let Some(name) = &input.scaled_by {
            let place = self.normalizer(name);
            return normalizers[place].scaled(self.schema.normalizers[place].transform, x);
        }
        let scaler = input.scaler.unwrap_or(Scaler::IDENTITY);
        (x - scaler.center) / scaler.scale
    }

    fn normalizer(&self, name: &String) -> usize {
        let found = self.schema.normalizers.iter().position(|n| n.name == *name);
        found.unwrap_or_else(|| panic!("no normalizer `{name}`"))
    }

    fn derive(&self, derived: &Derived, raw: &Raw<'_>, row: usize, normalizers: &[CenterScale]) -> f64 {
        let (longest, n) = (self.schema.lookback() as f64, raw.n_encoder as f64);
        match derived {
            Derived::RelativeTime => (row as f64 - n) / longest,
            Derived::EncoderLength => 2.0 * (n - longest / 2.0) / longest,
            Derived::NormalizerCenter(name) => normalizers[self.normalizer(name)].center,
            Derived::NormalizerScale(name) => normalizers[self.normalizer(name)].scale,
        }
    }
}
