//! Labels and codes of categorical columns.

use super::description::{Classes, Description, Encoder, Scaling};
use super::error::{ForecastingError, value};
use serde_json::Value;
use tickfuse_core::bundle::Categories;

/// Label of the code that stands for missing and unknown ones; the library's own word.
const UNKNOWN: &str = "nan";

/// The categories of encoded labels, whose codes must count up from 0.
pub(super) fn categories(key: &str, classes: &Classes) -> Result<Categories, ForecastingError> {
    let label = |(place, class): (usize, &super::description::Class)| {
        if class.code != place {
            return Err(value(
                format!("{key}.classes[{place}].code"),
                format!("{place}, codes in ascending order from 0"),
                class.code,
            ));
        }
        match (&class.label, classes.add_nan && place == 0) {
            (Value::Null, true) => Ok(UNKNOWN.into()),
            (found, true) => Err(value(
                format!("{key}.classes[0].label"),
                "null, the label of missing and unknown ones",
                found,
            )),
            (found, false) => {
                text(found).ok_or_else(|| value(format!("{key}.classes[{place}].label"), "a label", found))
            }
        }
    };
    Ok(Categories {
        labels: classes
            .classes
            .iter()
            .enumerate()
            .map(label)
            .collect::<Result<_, _>>()?,
        unknown: classes.add_nan.then_some(0),
    })
}

/// A label as a file of bars shows it, where it is one.
#[must_use]
pub fn text(label: &Value) -> Option<String> {
    match label {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        // As Python writes truth values.
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        _ => None,
    }
}

impl Description {
    /// The categories of a categorical column: of its own encoder, of its bag's, or of the target.
    pub(super) fn categories(&self, column: &str) -> Result<Categories, ForecastingError> {
        let data = &self.preprocessing;
        if let Some(Scaling::NaNLabelEncoder(classes)) = data.normalizers.get(column) {
            return categories(&format!("preprocessing.normalizers.{column}"), classes);
        }
        let bag = data
            .bags
            .iter()
            .find(|(_, members)| members.iter().any(|m| m == column));
        let name = bag.map_or(column, |(name, _)| name);
        let key = format!("preprocessing.encoders.{name}");
        match data.encoders.get(name) {
            Some(Encoder::NaNLabelEncoder(classes)) => categories(&key, classes),
            None => Err(value(key, format!("an encoder for column `{column}`"), "none")),
        }
    }

    /// The labels by which the library tells series apart, by their code.
    pub(super) fn group_labels(&self, column: &str) -> Result<Vec<String>, ForecastingError> {
        let key = format!("preprocessing.group_encoders.{column}");
        match self.preprocessing.group_encoders.get(column) {
            Some(Encoder::NaNLabelEncoder(classes)) => Ok(categories(&key, classes)?.labels),
            None => Err(value(key, "the codes of a column of group_ids", "none")),
        }
    }

    /// Whether the library replaces the labels of a column by codes before it fits scalers.
    pub(super) fn is_encoded(&self, column: &str) -> bool {
        let data = &self.preprocessing;
        let by_group = |s: &Scaling| matches!(s, Scaling::GroupNormalizer(_));
        let encodes_groups = data.normalizers.len() > 1 || data.normalizers.values().any(by_group);
        let is = |names: &[String]| names.iter().any(|name| name == column);
        is(&data.categoricals) || (encodes_groups && is(&data.group_ids))
    }
}

/// Categories of a column that tables name by label: an unknown label has a code of its own behind the others.
pub(super) fn of_labels(mut labels: Vec<String>) -> Categories {
    let unknown = labels.len();
    labels.push(UNKNOWN.into());
    Categories {
        labels,
        unknown: Some(unknown),
    }
}
