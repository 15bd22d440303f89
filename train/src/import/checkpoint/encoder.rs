//! Encoders of categories: the code of each label.

use super::plain::{instance_of, plain};
use crate::import::pickle::{Object, Value, ValueError};
use serde_json::{Value as Json, json};

/// The class that turns labels into codes.
pub(super) const CLASS: &str = "NaNLabelEncoder";

/// An encoder of a column.
pub(super) fn describe(encoder: &Value<'_>) -> Result<Json, ValueError> {
    describe_object(&instance_of(encoder, "pytorch_forecasting", CLASS)?)
}

/// Codes in ascending order; code 0 is the label null where the encoder reserves it for missing and unknown ones.
pub(super) fn describe_object(encoder: &Object<'_>) -> Result<Json, ValueError> {
    let add_nan = encoder.attr("add_nan")?.as_bool()?;
    let class = |(label, code): &(Value<'_>, Value<'_>)| -> Result<Json, ValueError> {
        let code = code.as_usize()?;
        let label = if add_nan && code == 0 {
            Json::Null
        } else {
            plain(label)?
        };
        Ok(json!({"label": label, "code": code}))
    };
    let classes = encoder.attr("classes_")?.entries()?;
    let classes: Vec<Json> = classes.iter().map(class).collect::<Result<_, _>>()?;
    Ok(json!({"class": CLASS, "add_nan": add_nan, "classes": classes}))
}
