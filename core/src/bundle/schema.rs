//! The JSON document inside a model file: what goes in, what the network is, what comes out.
//!
//! Normative description: `core/docs/format.md`. Unknown keys are errors; [`Schema::validate`] states every rule
//! that types cannot.

use super::input::{Derived, Input};
use super::net::Net;
use super::normalizer::{Normalizer, NormalizerSource, Transform};
use super::output::Output;
use super::tables::Tables;
use crate::error::OpenError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Highest format version this build reads and the one it writes.
pub const FORMAT: u32 = 1;

/// Everything a model file says about itself besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Format version, 1 to [`FORMAT`].
    pub format: u32,
    /// Model name, for people and for the registry.
    pub name: String,
    /// Network family and its sizes.
    pub net: Net,
    /// Type of the weights; statistics and biases are always f32 or f64.
    pub precision: Precision,
    /// Input columns in order; their number is `n_features`.
    pub inputs: Vec<Input>,
    /// Time between two bars in ns, when the model was made for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar_interval_ns: Option<i64>,
    /// Normalizers that inputs and outputs refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normalizers: Vec<Normalizer>,
    /// Output groups in the order of the head's columns.
    pub outputs: Vec<Output>,
    /// What the outputs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Networks of single reals that are interpolated; nothing is unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Tables>,
    /// Whether the sliding window may be pre-rolled.
    pub arrival: Arrival,
    /// Largest absolute deviation from the golden outputs that opening accepts, per level of rounding.
    pub golden_tolerance: f32,
    /// Where the model comes from: snapshot, seed, split, metrics with baselines. Free form, never needed to run.
    #[serde(default)]
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

/// Type of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// bfloat16 with f32 accumulation.
    Bf16,
    /// 16-bit integers in units of their output; activations as integers in units of their row; exact sums.
    I16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::I16];

    /// Of a layer that reads scaled inputs among which other layers have theirs: a row of those has no unit that suits them all.
    #[must_use]
    pub const fn of_columns(self) -> Self {
        match self {
            Self::F32 | Self::I16 => Self::F32,
            Self::Bf16 => Self::Bf16,
        }
    }

    /// Name as in a file and on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::I16 => "i16",
        }
    }
}

/// What the outputs are about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Bars between the last row of the window and the predicted one.
    pub horizon: usize,
    /// The label in words or formula, such as `close[t+5] > close[t]`.
    pub label: String,
}

/// How a window that slides by one row may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// The recurrence over the older rows may be computed before the newest row arrives.
    PreRolled,
    /// Every answer needs the whole window.
    WholeWindow,
}

const MAX_WIDTH: usize = 8192;

impl Schema {
    /// Number of input columns that are handed in: all but the derived ones.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.inputs.iter().filter(|i| i.derived.is_none()).count()
    }

    /// Rows of a window that lie in the past.
    #[must_use]
    pub fn lookback(&self) -> usize {
        self.net.lookback()
    }

    /// Rows of a whole window: the past, and the future where the network reads known values there.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.net.lookback() + self.net.n_ahead()
    }

    /// Steps that an answer speaks of.
    #[must_use]
    pub fn n_steps(&self) -> usize {
        self.net.n_ahead().max(1)
    }

    /// Number of output columns of one step over all groups.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.outputs.iter().map(|o| o.labels.len()).sum()
    }

    /// Numbers of a whole answer, `[n_steps, n_columns]`.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        self.n_steps() * self.n_columns()
    }

    /// Names of the answer's numbers in order: `group.label`, or the group's name where it has one column, with `@k`
    /// for step k (from 1) where there are several.
    #[must_use]
    pub fn output_names(&self) -> Vec<String> {
        let column = |o: &Output, label: &String| match o.labels.len() {
            1 => o.name.clone(),
            _ => format!("{}.{label}", o.name),
        };
        let columns: Vec<String> = self
            .outputs
            .iter()
            .flat_map(|o| o.labels.iter().map(move |l| column(o, l)))
            .collect();
        if self.n_steps() == 1 {
            return columns;
        }
        let at_step = |k| columns.iter().map(move |name| format!("{name}@{k}"));
        (1..=self.n_steps()).flat_map(at_step).collect()
    }

    /// Checks every rule of `format.md` section "Schema" that the types do not already enforce.
    ///
    /// # Errors
    /// The first rule broken, with what was expected and what was found.
    pub fn validate(&self) -> Result<(), OpenError> {
        if self.format == 0 || self.format > FORMAT {
            return Err(OpenError::UnknownVersion {
                supported: FORMAT,
                found: self.format,
            });
        }
        self.validate_net()?;
        self.validate_inputs()?;
        self.validate_outputs()?;
        self.tables.as_ref().map_or(Ok(()), |t| t.validate(&self.net))?;
        if !(self.golden_tolerance.is_finite() && self.golden_tolerance > 0.0) {
            return Err(schema(format!(
                "golden_tolerance: expected > 0, found {}",
                self.golden_tolerance
            )));
        }
        Ok(())
    }

    fn validate_net(&self) -> Result<(), OpenError> {
        self.net.validate(&self.inputs)?;
        let (columns, found) = (self.net.n_columns(), self.n_columns());
        if columns != found {
            return Err(schema(format!(
                "outputs: expected labels for the head's {columns} columns, found {found}"
            )));
        }
        Ok(())
    }

    fn validate_inputs(&self) -> Result<(), OpenError> {
        in_range("inputs", self.inputs.len(), MAX_WIDTH)?;
        unique("inputs", self.inputs.iter().map(|i| &i.name))?;
        self.inputs.iter().try_for_each(Input::validate)?;
        if !self.inputs.is_sorted_by_key(|i| i.derived.is_some()) || self.n_features() == 0 {
            return Err(schema(
                "inputs: expected derived columns behind all others".into(),
            ));
        }
        for input in &self.inputs {
            let derived = match &input.derived {
                Some(Derived::NormalizerCenter(name) | Derived::NormalizerScale(name)) => Some(name),
                _ => input.scaled_by.as_ref(),
            };
            self.check_normalizer(&format!("inputs.{}", input.name), derived)?;
        }
        unique("normalizers", self.normalizers.iter().map(|n| &n.name))?;
        self.normalizers.iter().try_for_each(|n| n.validate(&self.inputs))
    }

    fn validate_outputs(&self) -> Result<(), OpenError> {
        in_range("outputs", self.outputs.len(), MAX_WIDTH)?;
        unique("outputs", self.outputs.iter().map(|o| &o.name))?;
        self.outputs.iter().try_for_each(|o| {
            let what = format!("outputs.{}", o.name);
            self.check_normalizer(&what, o.normalizer.as_ref())?;
            self.check_transform(&what, o)?;
            o.validate()
        })?;
        self.check_stack()
    }

    /// A deviation cannot go back through a transform.
    fn check_transform(&self, what: &str, output: &Output) -> Result<(), OpenError> {
        let named = self
            .normalizers
            .iter()
            .find(|n| Some(&n.name) == output.normalizer.as_ref());
        match named {
            Some(n) if output.kind.is_gaussian() && n.transform != Transform::Identity => {
                Err(schema(format!(
                    "{what}.normalizer: expected no transform for a Gaussian, found {:?}",
                    n.transform
                )))
            }
            _ => Ok(()),
        }
    }

    /// An LSTM stack scales its columns by scalers alone, and its answers by what does not depend on the window.
    fn check_stack(&self) -> Result<(), OpenError> {
        if !matches!(self.net, Net::Lstm(_)) {
            return Ok(());
        }
        if let Some(input) = self
            .inputs
            .iter()
            .find(|i| i.scaled_by.is_some() || i.derived.is_some())
        {
            return Err(schema(format!(
                "inputs.{}: expected a scaler alone for this family, found a normalizer or a derived column",
                input.name
            )));
        }
        let is_fixed = |n: &Normalizer| matches!(n.source, NormalizerSource::Fixed { .. });
        match self.normalizers.iter().find(|n| !is_fixed(n)) {
            None => Ok(()),
            Some(n) => Err(schema(format!(
                "normalizers.{}: expected a fixed one for this family",
                n.name
            ))),
        }
    }

    fn check_normalizer(&self, what: &str, name: Option<&String>) -> Result<(), OpenError> {
        match name {
            Some(name) if !self.normalizers.iter().any(|n| n.name == *name) => {
                Err(schema(format!("{what}: no normalizer `{name}`")))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn schema(text: String) -> OpenError {
    OpenError::Schema(text)
}

pub(super) fn in_range(what: &str, found: usize, limit: usize) -> Result<(), OpenError> {
    if (1..=limit).contains(&found) {
        return Ok(());
    }
    Err(schema(format!("{what}: expected 1 to {limit}, found {found}")))
}

pub(super) fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), OpenError> {
    let mut seen = alloc::collections::BTreeSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(schema(format!(
                "{what}: expected distinct, non-empty names, found `{name}` again or empty"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::TINY;
    use super::super::net::LstmConfig;
    use super::super::output::OutputKind;
    use super::*;

    fn refused(edit: impl Fn(&mut Schema)) -> String {
        let mut schema = Schema::from_json(TINY).unwrap();
        edit(&mut schema);
        match schema.validate() {
            Err(OpenError::Schema(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn net(edit: impl Fn(&mut LstmConfig)) -> String {
        refused(|s| {
            if let Net::Lstm(config) = &mut s.net {
                edit(config);
            }
        })
    }

    #[test]
    fn sizes_of_the_net_keep_their_limits() {
        assert_eq!(
            net(|n| n.lookback = 0),
            "net.lookback: expected 1 to 65536, found 0"
        );
        assert_eq!(
            net(|n| n.lookback = 65_537),
            "net.lookback: expected 1 to 65536, found 65537"
        );
        assert!(net(|n| n.n_hidden = MAX_WIDTH + 1).starts_with("net.n_hidden"));
        assert!(net(|n| n.n_layers = 5).starts_with("net.n_layers"));
        assert!(net(|n| n.head.clear()).starts_with("net.head length"));
        assert!(net(|n| n.head[0].n_out = 0).starts_with("net.head[0].n_out"));
    }

    #[test]
    fn labels_must_be_as_many_as_the_head_has_columns() {
        let text = net(|n| n.head[0].n_out = 2);
        assert_eq!(text, "outputs: expected labels for the head's 2 columns, found 1");
    }

    #[test]
    fn names_must_be_distinct_and_not_empty() {
        assert!(refused(|s| s.inputs[1].name = "a".into()).starts_with("inputs: "));
        assert!(refused(|s| s.inputs[1].name.clear()).starts_with("inputs: "));
        assert!(refused(|s| s.outputs[0].name.clear()).starts_with("outputs: "));
        assert!(refused(|s| s.outputs[0].labels[0].clear()).starts_with("outputs.p_up.labels: "));
        assert!(refused(|s| s.inputs.clear()).starts_with("inputs: "));
    }

    #[test]
    fn a_softmax_of_one_column_and_a_tolerance_of_zero_are_refused() {
        assert!(refused(|s| s.outputs[0].kind = OutputKind::Softmax).contains("two or more"));
        for tolerance in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(refused(|s| s.golden_tolerance = tolerance).starts_with("golden_tolerance"));
        }
    }

    #[test]
    fn output_columns_are_named_by_group_and_label() {
        let mut schema = Schema::from_json(TINY).unwrap();
        assert_eq!(schema.output_names(), ["p_up"]);
        schema.outputs[0].labels.push("down".into());
        assert_eq!(schema.output_names(), ["p_up.up", "p_up.down"]);
        assert_eq!(
            (schema.n_features(), schema.n_outputs(), schema.lookback()),
            (2, 2, 3)
        );
    }
}
