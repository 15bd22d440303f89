//! The loss: class and parameters, which also say how the outputs are read.

use super::plain::{each, instance, number};
use crate::import::pickle::{Value, ValueError};
use serde_json::{Value as Json, json};

const POINT_LOSSES: [&str; 5] = ["MAE", "RMSE", "SMAPE", "MAPE", "CrossEntropy"];

/// The section `loss`.
pub(super) fn describe(metric: &Value<'_>) -> Result<Json, ValueError> {
    let expected = format!("a QuantileLoss, MultiLoss or one of {}", POINT_LOSSES.join(", "));
    let (object, class) = instance(metric, "pytorch_forecasting", &expected)?;
    Ok(match class {
        "MultiLoss" => json!({
            "class": class,
            "weights": each(&object.attr("weights")?, number)?,
            "metrics": each(&object.attr("metrics")?, describe)?,
        }),
        "QuantileLoss" => json!({"class": class, "quantiles": each(&object.attr("quantiles")?, number)?}),
        _ if POINT_LOSSES.contains(&class) => json!({"class": class}),
        _ => return Err(metric.error(&expected)),
    })
}
