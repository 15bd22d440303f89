//! What the rows of a model are, without what training fitted: equal texts, equal rows.

use super::document::json_error;
use super::input::Role;
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
        second.inputs[0].feature = Some(FeatureOp::Ret { lag: 2 });
        assert_ne!(first.inputs_json(), second.inputs_json());
    }

    #[test]
    fn the_text_names_columns_in_order() {
        let schema = Schema::from_json(TINY).unwrap();
        let inputs = r#"[{"name":"a","role":"observed"},{"name":"b","role":"observed"}]"#;
        assert_eq!(schema.inputs_json().unwrap(), inputs);
    }
}
