//! Scalers of input columns: scikit-learn's, whose fitted arrays have one element, or a normaliser.

use super::normalizer;
use super::plain::{instance, is_nothing, number};
use crate::import::pickle::{Object, Value, ValueError};
use serde_json::{Value as Json, json};

const EXPECTED: &str = "a StandardScaler, a RobustScaler, a normaliser or None";

/// The scaler of a column; null where the column enters as it is.
pub(super) fn describe(scaler: &Value<'_>) -> Result<Json, ValueError> {
    if scaler.is_none() {
        return Ok(Json::Null);
    }
    let object = scaler.as_object().map_err(|_| scaler.error(EXPECTED))?;
    if object.module().starts_with("pytorch_forecasting.") && object.name() != super::encoder::CLASS {
        return normalizer::describe(scaler);
    }
    let (scaler_object, class) = instance(scaler, "sklearn", EXPECTED)?;
    let center = match class {
        "StandardScaler" => mean(&scaler_object)?,
        "RobustScaler" => fitted(&scaler_object, "center_", 0.0)?,
        _ => return Err(scaler.error(EXPECTED)),
    };
    let scale = fitted(&scaler_object, "scale_", 1.0)?;
    Ok(json!({"class": class, "center": center, "scale": scale}))
}

/// Fitted also where it is not subtracted.
fn mean(scaler: &Object<'_>) -> Result<f64, ValueError> {
    match scaler.attr("with_mean")?.as_bool()? {
        true => fitted(scaler, "mean_", 0.0),
        false => Ok(0.0),
    }
}

fn fitted(scaler: &Object<'_>, name: &str, absent: f64) -> Result<f64, ValueError> {
    let found = scaler.attr(name)?;
    if is_nothing(&found) {
        return Ok(absent);
    }
    number(&found)
}
