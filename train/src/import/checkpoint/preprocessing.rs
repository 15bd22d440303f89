//! The data set: how raw columns become the input tensors, and outputs become answers.

use super::plain::{is_nothing, plain, refused, text, texts};
use super::{encoder, normalizer, scaler};
use crate::import::pickle::{Kind, Value, ValueError};
use serde_json::{Map, Value as Json, json};

const FLAGS: [&str; 11] = [
    "time_idx",
    "target",
    "max_encoder_length",
    "min_encoder_length",
    "max_prediction_length",
    "min_prediction_length",
    "min_prediction_idx",
    "add_relative_time_idx",
    "add_encoder_length",
    "add_target_scales",
    "allow_missing_timesteps",
];
/// Encoders of the series' own keys stand beside those of the columns under this prefix.
const GROUP_PREFIX: &str = "__group_id__";

type Named = Map<String, Json>;

/// The section `preprocessing`.
pub(super) fn describe(hyper: &Value<'_>, dataset: &Value<'_>) -> Result<Json, ValueError> {
    let lags = dataset.find("lags")?.filter(|lags| !is_nothing(lags));
    if let Some(lags) = lags {
        return Err(lags.error("None: lagged columns cannot be described"));
    }
    let group_ids = texts(&dataset.get("group_ids")?)?;
    let [groups, columns] = encoders(&dataset.get("categorical_encoders")?, &group_ids)?;
    let bags = dict(&hyper.get("categorical_groups")?, |members| {
        Ok(json!(texts(members)?))
    })?;
    let mut section = json!({
        "reals": texts(&hyper.get("x_reals")?)?,
        "categoricals": texts(&hyper.get("x_categoricals")?)?,
        "bags": bags,
        "group_ids": group_ids,
    });
    for name in FLAGS {
        section[name] = plain(&dataset.get(name)?)?;
    }
    section["normalizers"] = Json::Object(normalizers(hyper, dataset)?);
    section["scalers"] = Json::Object(dict(&dataset.get("scalers")?, scaler::describe)?);
    section["encoders"] = Json::Object(columns);
    section["group_encoders"] = Json::Object(groups);
    let fill = dataset.get("constant_fill_strategy")?;
    section["constant_fill"] = if is_nothing(&fill) {
        json!({})
    } else {
        Json::Object(dict(&fill, plain)?)
    };
    Ok(section)
}

/// Each value of a dict with texts as keys.
fn dict<'a>(
    value: &Value<'a>,
    f: impl Fn(&Value<'a>) -> Result<Json, ValueError>,
) -> Result<Named, ValueError> {
    let entries = value.entries()?;
    entries
        .iter()
        .map(|(key, value)| Ok((text(key)?, f(value)?)))
        .collect()
}

/// The normaliser of each target.
fn normalizers(hyper: &Value<'_>, dataset: &Value<'_>) -> Result<Named, ValueError> {
    let target = dataset.get("target")?;
    let targets = match target.kind() {
        Kind::List | Kind::Tuple => texts(&target)?,
        _ => vec![text(&target)?],
    };
    let transformer = hyper.get("output_transformer")?;
    let found = match transformer.as_object() {
        Ok(object) if object.name() == "MultiNormalizer" => object.attr("normalizers")?.items()?,
        _ => vec![transformer.clone()],
    };
    if found.len() != targets.len() {
        let expected = format!("a normaliser for each of {} targets", targets.len());
        return Err(refused(&transformer, expected, found.len().to_string()));
    }
    let described = found.iter().map(normalizer::describe);
    targets
        .into_iter()
        .zip(described)
        .map(|(t, n)| Ok((t, n?)))
        .collect()
}

/// Encoders of the series' keys in the order of `group_ids`, and those of columns.
fn encoders(stored: &Value<'_>, group_ids: &[String]) -> Result<[Named; 2], ValueError> {
    let mut columns = dict(stored, encoder::describe)?;
    let mut groups = Map::new();
    for name in group_ids {
        let key = format!("{GROUP_PREFIX}{name}");
        let found = columns.get(&key).cloned();
        let refuse = || refused(stored, format!("an encoder `{key}`"), "none");
        groups.insert(name.clone(), found.ok_or_else(refuse)?);
    }
    columns.retain(|name, _| !name.starts_with(GROUP_PREFIX));
    Ok([groups, columns])
}
