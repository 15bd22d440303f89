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
            return normalizers[place].scaled(&self.schema.normalizers[place], x);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{
        Arrival, FORMAT, LstmConfig, Net, Normalizer, NormalizerSource, Precision, Transform,
    };
    use alloc::string::ToString;
    use alloc::vec;

    const LOOKBACK: usize = 4;

    fn schema(inputs: Vec<Input>) -> Schema {
        let rows = vec![[0.0, 1.0], [10.0, 2.0]];
        let table = NormalizerSource::Table {
            inputs: vec!["entity".into()],
            rows,
        };
        Schema {
            format: FORMAT,
            name: "intake".into(),
            net: Net::Lstm(LstmConfig {
                lookback: LOOKBACK,
                n_hidden: 1,
                n_layers: 1,
                head: Vec::new(),
            }),
            precision: Precision::F32,
            inputs,
            bar_interval_ns: None,
            normalizers: vec![Normalizer {
                name: "by entity".into(),
                source: table,
                transform: Transform::Sqrt,
            }],
            outputs: Vec::new(),
            target: None,
            arrival: Arrival::WholeWindow,
            tables: None,
            golden_tolerance: 1.0,
            provenance: serde_json::Map::new(),
        }
    }

    fn scaler(center: f64, scale: f64) -> Scaler {
        Scaler {
            center,
            scale,
            fitted_ns: None,
        }
    }

    fn entity() -> Input {
        let categories = Categories {
            labels: vec!["a".into(), "b".into()],
            unknown: None,
        };
        Input::categorical("entity", categories)
    }

    #[test]
    fn contexts_are_scaled_as_inputs_of_their_own_entity_but_for_the_return() {
        let by_entity = Input {
            scaler: None,
            scaled_by: Some("by entity".into()),
            ..Input::real("y", Scaler::IDENTITY)
        };
        let schema = schema(vec![Input::real("x", scaler(1.0, 0.5)), by_entity, entity()]);
        let mut weights = Weights::default();
        weights.insert(
            "contexts.input",
            &[2, 1, 3],
            vec![2.0, 16.0, 0.25, 1.0, 16.0, -0.5],
        );
        weights.insert("contexts.entity", &[2], vec![1.0, 0.0]);
        let found = Intake::new(&schema).contexts(&weights);
        assert_eq!(found[0].rows, [[2.0, -3.0, 0.25]]);
        assert_eq!(found[1].rows, [[0.0, 4.0, -0.5]]);
        assert_eq!((found[0].entity, found[1].entity), (1, 0));
    }

    #[test]
    fn missing_values_take_the_centre_where_the_schema_says_so() {
        let x = Input {
            missing: Missing::Center,
            ..Input::real("x", scaler(7.0, 2.0))
        };
        let mut schema = schema(vec![x]);
        schema.normalizers.clear();
        let (window, _) = Intake::new(&schema).read(&[f64::NAN, 9.0, 1e300, 7.0], LOOKBACK, 0);
        assert_eq!(window.reals, [[0.0], [1.0], [0.0], [0.0]]);
    }

    #[test]
    fn derived_columns_follow_the_lengths_of_the_window() {
        let derived = |name: &str, derived| Input {
            role: Role::Known,
            derived: Some(derived),
            ..Input::real(name, scaler(0.0, 0.5))
        };
        let by_entity = "by entity".to_string();
        let schema = schema(vec![
            entity(),
            derived("time", Derived::RelativeTime),
            derived("length", Derived::EncoderLength),
            derived("center", Derived::NormalizerCenter(by_entity.clone())),
            derived("scale", Derived::NormalizerScale(by_entity)),
        ]);
        let (window, normalizers) = Intake::new(&schema).read(&[1.0; 3], 1, 2);
        assert_eq!(
            window.reals,
            [
                [-0.5, -1.0, 20.0, 4.0],
                [0.0, -1.0, 20.0, 4.0],
                [0.5, -1.0, 20.0, 4.0]
            ]
        );
        assert_eq!(window.codes, [[1], [UNREAD], [UNREAD]]);
        assert_eq!((normalizers[0].center, normalizers[0].scale), (10.0, 2.0));
    }
}
