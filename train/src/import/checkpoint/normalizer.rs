//! Normalisers of targets, also used as scalers: method, transform by name, and the numbers that were fitted.

use super::encoder;
use super::frame::{self, Row};
use super::plain::{instance, is_nothing, number, plain, text, texts};
use crate::import::pickle::{Object, Value, ValueError};
use serde_json::{Map, Value as Json, json};

const EXPECTED: &str = "a GroupNormalizer, EncoderNormalizer, TorchNormalizer or NaNLabelEncoder";
/// What is added to a fitted scale: the epsilon of float16 where numpy fits, of float32 where torch does per window.
const EPSILON: f64 = 1.0 / 1024.0;
const EPSILON_OF_WINDOWS: f64 = f32::EPSILON as f64;

/// A normaliser; `epsilon` is what was (or, per window, will be) added to each scale.
pub(super) fn describe(normalizer: &Value<'_>) -> Result<Json, ValueError> {
    let (object, class) = instance(normalizer, "pytorch_forecasting", EXPECTED)?;
    let own = match class {
        encoder::CLASS => return encoder::describe_object(&object),
        "GroupNormalizer" => group_tables(&object)?,
        "EncoderNormalizer" => json!({"max_length": plain(&object.attr("max_length")?)?}),
        "TorchNormalizer" => json!({"fitted": {
            "center": number(&object.attr("center_")?)?,
            "scale": number(&object.attr("scale_")?)?,
        }}),
        _ => return Err(normalizer.error(EXPECTED)),
    };
    let mut described = method(&object, class)?;
    if let (Some(all), Json::Object(own)) = (described.as_object_mut(), own) {
        all.extend(own);
    }
    Ok(described)
}

fn method(normalizer: &Object<'_>, class: &str) -> Result<Json, ValueError> {
    let epsilon = match class {
        "EncoderNormalizer" => EPSILON_OF_WINDOWS,
        _ => EPSILON,
    };
    let kwargs = normalizer.attr("method_kwargs")?;
    Ok(json!({
        "class": class,
        "method": text(&normalizer.attr("method")?)?,
        "center": normalizer.attr("center")?.as_bool()?,
        "transformation": transformation(&normalizer.attr("transformation")?)?,
        "method_kwargs": if is_nothing(&kwargs) { json!({}) } else { plain(&kwargs)? },
        "epsilon": epsilon,
    }))
}

fn transformation(value: &Value<'_>) -> Result<Json, ValueError> {
    if value.is_none() {
        return Ok(Json::Null);
    }
    let name =
        text(value).map_err(|_| value.error("a transform known by name, not by functions, or None"))?;
    Ok(Json::String(name))
}

/// One table of all groups together, one per group with `scale_by_group`, or one pair of numbers without groups.
fn group_tables(normalizer: &Object<'_>) -> Result<Json, ValueError> {
    let groups = normalizer.attr("groups")?;
    let groups = if is_nothing(&groups) {
        Vec::new()
    } else {
        texts(&groups)?
    };
    let scale_by_group = normalizer.attr("scale_by_group")?.as_bool()?;
    let norm = normalizer.attr("norm_")?;
    if groups.is_empty() {
        return Ok(json!({"groups": groups, "scale_by_group": scale_by_group, "fitted": pair(&norm)?}));
    }
    let missing = normalizer.attr("missing_")?;
    if !scale_by_group {
        return Ok(json!({
            "groups": groups,
            "scale_by_group": scale_by_group,
            "table": table(&norm, groups.len())?,
            "missing": pair(&missing)?,
        }));
    }
    let mut tables = Map::new();
    for group in &groups {
        let table = json!({"table": table(&norm.get(group)?, 1)?, "missing": pair(&missing.get(group)?)?});
        tables.insert(group.clone(), table);
    }
    Ok(json!({"groups": groups, "scale_by_group": scale_by_group, "tables": tables}))
}

fn pair(value: &Value<'_>) -> Result<Json, ValueError> {
    Ok(json!({"center": number(&value.get("center")?)?, "scale": number(&value.get("scale")?)?}))
}

/// A row per group: its key has one entry per column that the groups come from.
fn table(norm: &Value<'_>, n_columns: usize) -> Result<Vec<Json>, ValueError> {
    let rows = frame::rows(norm)?;
    if let Some(row) = rows.iter().find(|row| row.key.len() != n_columns) {
        let found = format!("{} in {:?}", row.key.len(), row.key);
        return Err(super::plain::refused(
            norm,
            format!("{n_columns} labels per row"),
            found,
        ));
    }
    let told = |Row { key, center, scale }: Row| json!({"key": key, "center": center, "scale": scale});
    Ok(rows.into_iter().map(told).collect())
}
