//! From a description to the schema of a model file.
//!
//! Inputs are the columns of the library's tensors that the network reads, the columns that choose rows of a table, and behind
//! them the columns that the library adds itself. A target enters and leaves through the same transform.

use super::description::{Description, Scaling};
use super::error::{ForecastingError, value};
use super::layout::{self, Layout};
use super::normalizers::{self, table_categories};
use super::outputs::outputs;
use super::{ImportOptions, agreement};
use serde_json::{Map, Value, json};
use tickfuse_core::bundle::{
    Arrival, Derived, FORMAT, Input, Normalizer, NormalizerSource, Role, Scaler, Schema, TftConfig, Variable,
};

/// Suffix of the normalizer that undoes an answer, where it is not that of the input.
const ANSWERS: &str = " of answers";
const RELATIVE_TIME: &str = "relative_time_idx";
const ENCODER_LENGTH: &str = "encoder_length";

/// The schema; its golden tolerance is set where the file is assembled.
pub(super) fn schema(description: &Description, options: &ImportOptions) -> Result<Schema, ForecastingError> {
    let columns = Columns {
        description,
        net: agreement::network(description)?,
    };
    let mut inputs = columns.reals()?;
    inputs.extend(columns.categoricals()?);
    let mut normalizers = columns.normalizers(&inputs)?;
    let outputs = outputs(description, |target| columns.undo(target, &mut normalizers))?;
    let extra = columns.chosen_by(&normalizers, &inputs)?;
    inputs.extend(extra);
    inputs.sort_by_key(|i| i.derived.is_some());
    let reads_windows = |n: &Normalizer| matches!(n.source, NormalizerSource::Encoder { .. });
    let arrival = match normalizers.iter().any(reads_windows) {
        true => Arrival::WholeWindow,
        false => description.net.arrival(),
    };
    let schema = Schema {
        format: FORMAT,
        name: options.name.clone(),
        net: description.net.clone(),
        precision: options.precision,
        inputs,
        bar_interval_ns: None,
        normalizers,
        outputs,
        target: None,
        arrival,
        tables: None,
        golden_tolerance: 1.0,
        provenance: provenance(description)?,
    };
    schema.validate()?;
    Ok(schema)
}

fn provenance(description: &Description) -> Result<Map<String, Value>, ForecastingError> {
    let entries = [
        ("imported_from", json!("pytorch-forecasting")),
        ("checkpoint", serde_json::to_value(&description.checkpoint)?),
        ("loss", serde_json::to_value(&description.loss)?),
        (layout::KEY, serde_json::to_value(Layout::described(description))?),
    ];
    Ok(entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect())
}

/// The columns of the tensors, as the network reads them.
struct Columns<'a> {
    description: &'a Description,
    net: &'a TftConfig,
}

impl Columns<'_> {
    /// When a column is known, by the selections that read it; none where no selection does.
    fn role(&self, column: &str) -> Result<Option<Role>, ForecastingError> {
        let reads = |variables: &[Variable]| variables.iter().any(|v| v.columns.iter().any(|c| c == column));
        let fixed = reads(&self.net.static_variables);
        let (past, future) = (
            reads(&self.net.encoder_variables),
            reads(&self.net.decoder_variables),
        );
        match (fixed, past, future) {
            (true, false, false) => Ok(Some(Role::Static)),
            (false, _, true) => Ok(Some(Role::Known)),
            (false, true, false) => Ok(Some(Role::Observed)),
            (false, false, false) => Ok(None),
            (true, ..) => Err(value(
                format!("net.static_variables.{column}"),
                "a column that no other selection reads",
                "one of encoder or decoder, too",
            )),
        }
    }

    fn reals(&self) -> Result<Vec<Input>, ForecastingError> {
        let mut inputs = Vec::new();
        for column in &self.description.preprocessing.reals {
            if let Some(role) = self.role(column)? {
                let input = self.real(column)?;
                inputs.push(Input { role, ..input });
            }
        }
        Ok(inputs)
    }

    fn real(&self, column: &str) -> Result<Input, ForecastingError> {
        let data = &self.description.preprocessing;
        let derived = self.derived(column);
        if matches!(derived, Some(Derived::RelativeTime | Derived::EncoderLength)) {
            // The library writes these two over whatever their scaler made of them.
            let input = Input::real(column, Scaler::IDENTITY);
            return Ok(Input { derived, ..input });
        }
        let normalized = Input {
            scaler: None,
            scaled_by: Some(column.into()),
            ..Input::real(column, Scaler::IDENTITY)
        };
        if data.normalizers.contains_key(column) {
            return Ok(normalized);
        }
        let key = format!("preprocessing.scalers.{column}");
        match data.scalers.get(column) {
            None => Err(value(key, "a scaler, or null", "neither")),
            Some(None) => Ok(Input {
                derived,
                ..Input::real(column, Scaler::IDENTITY)
            }),
            Some(Some(Scaling::StandardScaler(by) | Scaling::RobustScaler(by))) => {
                let (center, scale) = (by.center, by.scale);
                let scaler = Scaler {
                    center,
                    scale,
                    fitted_ns: None,
                };
                Ok(Input {
                    derived,
                    ..Input::real(column, scaler)
                })
            }
            Some(Some(_)) if derived.is_some() => Err(value(
                key,
                "StandardScaler, RobustScaler or null for a column that the library adds",
                "a normaliser",
            )),
            Some(Some(_)) => Ok(normalized),
        }
    }

    /// How the library makes a column that is in no frame.
    fn derived(&self, column: &str) -> Option<Derived> {
        let data = &self.description.preprocessing;
        match column {
            RELATIVE_TIME if data.add_relative_time_idx => return Some(Derived::RelativeTime),
            ENCODER_LENGTH if data.add_encoder_length => return Some(Derived::EncoderLength),
            _ => {}
        }
        let target = |suffix: &str| {
            let name = column.strip_suffix(suffix).filter(|_| data.add_target_scales)?;
            data.normalizers.contains_key(name).then(|| name.to_owned())
        };
        let center = target("_center").map(Derived::NormalizerCenter);
        center.or_else(|| target("_scale").map(Derived::NormalizerScale))
    }

    fn categoricals(&self) -> Result<Vec<Input>, ForecastingError> {
        let mut inputs = Vec::new();
        for column in &self.description.preprocessing.categoricals {
            if let Some(role) = self.role(column)? {
                let input = Input::categorical(column, self.description.categories(column)?);
                inputs.push(Input { role, ..input });
            }
        }
        Ok(inputs)
    }

    /// What scales inputs, or is an input itself.
    fn normalizers(&self, inputs: &[Input]) -> Result<Vec<Normalizer>, ForecastingError> {
        let mut all: Vec<Normalizer> = Vec::new();
        for input in inputs {
            let named = match &input.derived {
                Some(Derived::NormalizerCenter(name) | Derived::NormalizerScale(name)) => Some(name),
                _ => input.scaled_by.as_ref(),
            };
            if let Some(name) = named.filter(|name| !all.iter().any(|n| n.name == **name)) {
                all.push(self.normalizer(name)?);
            }
        }
        Ok(all)
    }

    fn normalizer(&self, column: &str) -> Result<Normalizer, ForecastingError> {
        let (key, scaling) = self.scaling(column)?;
        let source = normalizers::of_column(self.description, column, &key, scaling)?;
        Ok(Normalizer {
            name: column.into(),
            source,
            transform: normalizers::transform(scaling),
        })
    }

    fn scaling(&self, column: &str) -> Result<(String, &Scaling), ForecastingError> {
        let data = &self.description.preprocessing;
        let of_target = data.normalizers.get(column);
        let found = of_target.or_else(|| data.scalers.get(column).and_then(Option::as_ref));
        let section = if of_target.is_some() {
            "normalizers"
        } else {
            "scalers"
        };
        let key = format!("preprocessing.{section}.{column}");
        found
            .map(|scaling| (key.clone(), scaling))
            .ok_or_else(|| value(key, "a normaliser", "none"))
    }

    /// The name of the normalizer that undoes a target's answers, which is that of the input where both are alike.
    fn undo(&self, target: &str, all: &mut Vec<Normalizer>) -> Result<String, ForecastingError> {
        let (key, scaling) = self.scaling(target)?;
        let source = normalizers::of_answers(self.description, target, &key, scaling)?;
        let of_input = all.iter().find(|n| n.name == target);
        let name = match of_input {
            Some(own) if own.source == source => return Ok(target.into()),
            Some(_) => format!("{target}{ANSWERS}"),
            None => target.into(),
        };
        all.push(Normalizer {
            name: name.clone(),
            source,
            transform: normalizers::transform(scaling),
        });
        Ok(name)
    }

    /// Columns that normalizers look at, where the network reads none of this name.
    fn chosen_by(&self, all: &[Normalizer], inputs: &[Input]) -> Result<Vec<Input>, ForecastingError> {
        let mut extra: Vec<Input> = Vec::new();
        for normalizer in all {
            let (columns, raw) = match &normalizer.source {
                NormalizerSource::Fixed { .. } => continue,
                NormalizerSource::Table { inputs, .. } => (inputs.as_slice(), false),
                NormalizerSource::Encoder { input, .. } => (std::slice::from_ref(input), true),
            };
            for column in columns {
                if inputs.iter().chain(&extra).any(|i| i.name == *column) {
                    continue;
                }
                extra.push(match raw {
                    true => Input::real(column, Scaler::IDENTITY),
                    false => Input::categorical(column, table_categories(self.description, column)?),
                });
            }
        }
        Ok(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tickfuse_core::bundle::Precision;

    /// The schema of a fixture's edited description, whose tensors no longer matter.
    fn edited(edit: impl FnOnce(&mut Value)) -> Schema {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/nets/pf_auto/model.json");
        let mut document = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        edit(&mut document);
        let options = ImportOptions {
            name: "edited".into(),
            precision: Precision::F32,
        };
        schema(&Description::from_value(document).unwrap(), &options).unwrap()
    }

    /// Takes a name out of lists of names, and its variable out of the network.
    fn without(document: &mut Value, name: &str, lists: &[&str], variables: &str) {
        for list in lists {
            let names = document.pointer_mut(list).and_then(Value::as_array_mut).unwrap();
            names.retain(|listed| listed != name);
        }
        let variables = document["net"][variables].as_array_mut().unwrap();
        variables.retain(|variable| variable["name"] != name);
    }

    fn input<'a>(schema: &'a Schema, name: &str) -> &'a Input {
        schema.inputs.iter().find(|i| i.name == name).unwrap()
    }

    #[test]
    fn statistics_of_the_window_need_the_raw_target_even_if_no_net_reads_it() {
        let lists = [
            "/hyper_parameters/time_varying_reals_encoder",
            "/hyper_parameters/x_reals",
            "/preprocessing/reals",
        ];
        let schema = edited(|d| without(d, "close", &lists, "encoder_variables"));
        let close = input(&schema, "close");
        assert_eq!(
            (close.role, close.scaler),
            (Role::Observed, Some(Scaler::IDENTITY))
        );
        assert_eq!(schema.outputs[0].normalizer.as_deref(), Some("close"));
    }

    #[test]
    fn a_table_by_labels_knows_unknown_ones_as_missing() {
        let lists = [
            "/hyper_parameters/static_categoricals",
            "/hyper_parameters/x_categoricals",
            "/preprocessing/categoricals",
        ];
        let schema = edited(|d| {
            without(d, "symbol", &lists, "static_variables");
            d["preprocessing"]["scalers"]["volume"] = json!({
                "class": "GroupNormalizer", "method": "standard", "center": true, "transformation": "sqrt",
                "method_kwargs": {}, "epsilon": 0.0, "groups": ["symbol"], "scale_by_group": false,
                "table": [{ "key": ["BBB"], "center": 2.0, "scale": 3.0 }], "missing": { "center": 9.0, "scale": 0.5 },
            });
        });
        let normalizer = schema.normalizers.iter().find(|n| n.name == "volume").unwrap();
        let missing = [9.0, 0.5];
        let rows = vec![missing, [2.0, 3.0], missing, missing, missing, missing];
        let inputs = vec!["symbol".to_owned()];
        assert_eq!(normalizer.source, NormalizerSource::Table { inputs, rows });
        let symbols = input(&schema, "symbol").categories.as_ref().unwrap();
        assert_eq!(
            (symbols.code("BBB"), symbols.code("elsewhere")),
            (Some(1), Some(5))
        );
    }
}
