//! What a caller of a model relies on, without what training fitted: equal texts, interchangeable models.

use super::document::json_error;
use super::input::Role;
use super::output::OutputKind;
use super::schema::Schema;
use crate::error::OpenError;
use crate::features::FeatureOp;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// One value of a row, as its maker must know it.
#[derive(Serialize)]
struct RowColumn<'a> {
    name: &'a str,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<&'a FeatureOp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<&'a [String]>,
}

/// One group of an answer, as its reader must know it.
#[derive(Serialize)]
struct AnswerGroup<'a> {
    name: &'a str,
    kind: OutputKind,
    labels: &'a [String],
    #[serde(skip_serializing_if = "<[f64]>::is_empty")]
    levels: &'a [f64],
    unit: &'a str,
}

impl Schema {
    /// The columns that are handed in, in order, as a JSON array: name, role, feature, labels of categories. Models of equal texts
    /// take the same rows.
    ///
    /// # Errors
    /// Those of writing JSON.
    pub fn inputs_json(&self) -> Result<String, OpenError> {
        let handed_in = self.inputs.iter().filter(|i| i.derived.is_none());
        let columns = handed_in.map(|input| RowColumn {
            name: &input.name,
            role: input.role,
            feature: input.feature.as_ref(),
            categories: input.categories.as_ref().map(|c| c.labels.as_slice()),
        });
        serde_json::to_string(&columns.collect::<Vec<_>>()).map_err(json_error)
    }

    /// The groups of an answer, in order, as a JSON array: name, kind, labels, quantile levels, unit. Answers of models of equal
    /// texts and lengths are read alike.
    ///
    /// # Errors
    /// Those of writing JSON.
    pub fn outputs_json(&self) -> Result<String, OpenError> {
        let groups = self.outputs.iter().map(|output| AnswerGroup {
            name: &output.name,
            kind: output.kind,
            labels: &output.labels,
            levels: &output.levels,
            unit: &output.unit,
        });
        serde_json::to_string(&groups.collect::<Vec<_>>()).map_err(json_error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::TINY;
    use super::*;

    #[test]
    fn what_training_fits_is_left_out_and_what_callers_rely_on_is_told() {
        let first = Schema::from_json(TINY).unwrap();
        let mut second = first.clone();
        second.inputs[0].scaler.as_mut().unwrap().scale *= 2.0;
        second.name.push('2');
        assert_eq!(first.inputs_json(), second.inputs_json());
        assert_eq!(first.outputs_json(), second.outputs_json());
        second.inputs[0].feature = Some(FeatureOp::Ret { lag: 2 });
        second.outputs[0].unit.push('s');
        assert_ne!(first.inputs_json(), second.inputs_json());
        assert_ne!(first.outputs_json(), second.outputs_json());
    }

    #[test]
    fn the_texts_name_columns_and_groups_in_order() {
        let schema = Schema::from_json(TINY).unwrap();
        let inputs = r#"[{"name":"a","role":"observed"},{"name":"b","role":"observed"}]"#;
        assert_eq!(schema.inputs_json().unwrap(), inputs);
        let outputs = r#"[{"name":"p_up","kind":"sigmoid","labels":["up"],"unit":"probability"}]"#;
        assert_eq!(schema.outputs_json().unwrap(), outputs);
    }
}
