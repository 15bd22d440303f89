//! The raw rows of a model from bars: features in their columns, and the categories of the series, such as its symbol.

use crate::bundle::{Categories, Input, Role, Schema};
use crate::error::{FeatureError, RunError, StateError};
use crate::features::{Bar, FeatureDef, FeatureOp, FeatureSet, Ready};
use crate::saved::{Reader, Writer};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Makes a model's input rows from bars, exactly as training did. One per series.
#[derive(Debug, Clone)]
pub struct BarRows {
    set: FeatureSet,
    /// Columns of the features.
    columns: Vec<usize>,
    /// What tells series apart, and its column.
    categories: Vec<(String, usize, Categories)>,
    /// Columns that are known in advance, and their features.
    known: Vec<(usize, FeatureOp)>,
    features: Vec<f64>,
    row: Vec<f64>,
}

impl BarRows {
    /// For a schema whose inputs are features of bars, and categories of the series beside them, which start as unknown ones.
    ///
    /// # Errors
    /// The name of the first input that is neither.
    pub fn new(schema: &Schema) -> Result<Self, String> {
        let (mut defs, mut columns, mut categories) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = Vec::new();
        for (column, input) in schema.inputs.iter().filter(|i| i.derived.is_none()).enumerate() {
            match (&input.feature, of_series(input)) {
                (Some(op), _) => {
                    columns.push(column);
                    if input.role == Role::Known {
                        known.push((column, op.clone()));
                    }
                    defs.push(FeatureDef {
                        name: input.name.clone(),
                        op: op.clone(),
                    });
                }
                (None, Some(found)) => categories.push((input.name.clone(), column, found.clone())),
                (None, None) => return Err(input.name.clone()),
            }
        }
        let set = FeatureSet::new(&defs).map_err(|e| format!("{e}"))?;
        let mut row = vec![0.0; schema.n_features()];
        for (_, column, categories) in &categories {
            row[*column] = categories.unknown.unwrap_or(0) as f64;
        }
        Ok(Self {
            features: vec![0.0; set.n_features()],
            set,
            columns,
            categories,
            known,
            row,
        })
    }

    /// Names of the categories that tell series apart.
    pub fn categories(&self) -> impl Iterator<Item = &str> {
        self.categories.iter().map(|(name, ..)| name.as_str())
    }

    /// Says which series this is: `label` of the category `name`, such as `BTCUSDT` of `symbol`. Whether the model knows it; a
    /// label that it does not know becomes the unknown one.
    ///
    /// # Errors
    /// [`RunError::NoCategory`] for a name the model does not have, or a label without an unknown one to stand for it.
    pub fn set_category(&mut self, name: &str, label: &str) -> Result<bool, RunError> {
        let found = self.categories.iter().find(|(own, ..)| own == name);
        let (_, column, categories) = found.ok_or(RunError::NoCategory)?;
        let code = categories.code(label).ok_or(RunError::NoCategory)?;
        self.row[*column] = code as f64;
        Ok(categories.labels.iter().any(|own| own == label))
    }

    /// The features.
    #[must_use]
    pub fn features(&self) -> &FeatureSet {
        &self.set
    }

    /// Takes a bar; where that is ready, [`BarRows::row`] is its row.
    ///
    /// # Errors
    /// As [`FeatureSet::push`].
    pub fn push(&mut self, bar: &Bar) -> Result<Ready, FeatureError> {
        let ready = self.set.push(bar, &mut self.features)?;
        self.lay(ready);
        Ok(ready)
    }

    /// The same without keeping the bar.
    ///
    /// # Errors
    /// As [`FeatureSet::peek`].
    pub fn peek(&mut self, bar: &Bar) -> Result<Ready, FeatureError> {
        let ready = self.set.peek(bar, &mut self.features)?;
        self.lay(ready);
        Ok(ready)
    }

    fn lay(&mut self, ready: Ready) {
        if ready == Ready::Row {
            for (column, value) in self.columns.iter().zip(&self.features) {
                self.row[*column] = *value;
            }
        }
    }

    /// The last row.
    #[must_use]
    pub fn row(&self) -> &[f64] {
        &self.row
    }

    /// The first column that is known in advance and does not follow from the times of bars: then rows of the future are for the
    /// caller to bring.
    #[must_use]
    pub fn unforeseen(&self) -> Option<usize> {
        let mut known = self.known.iter();
        known.find(|(_, op)| !op.is_of_time()).map(|(column, _)| *column)
    }

    /// What is known of the bars behind one that opens at `ts_ns`, each `interval_ns` after the one before: `future [n, n_features]`, in
    /// which other columns than those stay as they are; nothing reads them.
    pub fn foresee(&self, ts_ns: i64, interval_ns: i64, future: &mut [f64]) {
        let mut ts_ns = ts_ns;
        for row in future.chunks_exact_mut(self.row.len()) {
            ts_ns = ts_ns.saturating_add(interval_ns);
            for (column, op) in &self.known {
                row[*column] = op.at(ts_ns).unwrap_or(f64::NAN);
            }
        }
    }

    /// Forgets every bar, not the categories.
    pub fn reset(&mut self) {
        self.set.reset();
    }

    /// Time of the last bar taken.
    pub(crate) fn last_ns(&self) -> Option<i64> {
        self.set.last_ns()
    }

    /// Writes the series' categories and what its bars left behind, always as many bytes.
    pub(crate) fn save(&self, to: &mut Writer<'_>) {
        for (_, column, _) in &self.categories {
            to.count(self.row[*column] as usize);
        }
        self.set.save(to);
    }

    /// Reads what rows of the same model wrote; after an error a mixture of both remains.
    pub(crate) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        for (_, column, categories) in &self.categories {
            let last = categories.n_codes().saturating_sub(1);
            self.row[*column] = from.count("code of a series' category", last)? as f64;
        }
        self.set.restore(from)
    }

    /// Bars before a row no longer depends on where the series began.
    #[must_use]
    pub fn history(&self) -> usize {
        self.set.history()
    }

    /// Bars before the first row.
    #[must_use]
    pub fn warm_up(&self) -> usize {
        self.set.warm_up()
    }
}

/// The categories of an input that tells series apart.
fn of_series(input: &Input) -> Option<&Categories> {
    input.categories.as_ref().filter(|_| input.role == Role::Static)
}
