//! Labels of pandas' axes: plain indices, ranges, categories, and several levels at once.
//!
//! An index is stored as a call of `_new_Index(class, {"data": ..., ...})`; a label becomes what JSON has for it.

use super::arrow;
use super::plain::{args, each, instance_of, plain, refused};
use crate::import::pickle::{Kind, Value, ValueError};
use serde_json::{Value as Json, json};

/// Class of an index, and what it is made of.
struct Index<'a> {
    class: String,
    parts: Value<'a>,
}

impl<'a> Index<'a> {
    fn read(value: &Value<'a>) -> Result<Self, ValueError> {
        let object = instance_of(value, "pandas", "_new_Index")?;
        let [class, parts] = args(&object, "a class and its parts")?;
        let name = class.as_class()?;
        let class = name.rsplit('.').next().unwrap_or_default().to_owned();
        Ok(Self { class, parts })
    }
}

/// The label of each column.
pub(super) fn labels(value: &Value<'_>) -> Result<Vec<Json>, ValueError> {
    let index = Index::read(value)?;
    match &*index.class {
        // the numeric ones until pandas 2
        "Index" | "Int64Index" | "UInt64Index" | "Float64Index" => elements(&index.parts.get("data")?),
        "CategoricalIndex" => categories(&index.parts.get("data")?),
        class => Err(refused(value, "an Index or CategoricalIndex", class)),
    }
}

/// The key of each of `n` rows: one label per level.
pub(super) fn keys(value: &Value<'_>, n: usize) -> Result<Vec<Vec<Json>>, ValueError> {
    let index = Index::read(value)?;
    Ok(match &*index.class {
        "MultiIndex" => levels(&index.parts)?,
        "RangeIndex" => range(&index.parts, n)?
            .into_iter()
            .map(|i| vec![json!(i)])
            .collect(),
        _ => labels(value)?.into_iter().map(|label| vec![label]).collect(),
    })
}

/// As many numbers from `start` in steps of `step` as there are rows.
fn range(parts: &Value<'_>, n: usize) -> Result<Vec<i64>, ValueError> {
    let part = |name| parts.get(name)?.as_int();
    let (start, stop, step) = (part("start")?, part("stop")?, part("step")?);
    let ends = (0..=n as i64).map_while(|i| start.checked_add(step.checked_mul(i)?));
    let numbers: Vec<i64> = ends
        .take_while(|at| if step > 0 { *at < stop } else { *at > stop })
        .collect();
    if numbers.len() != n {
        return Err(refused(
            parts,
            format!("a range of {n} numbers"),
            format!("{start} to {stop} by {step}"),
        ));
    }
    Ok(numbers)
}

/// Keys of a `MultiIndex`: per level the labels, and the number of the label in each row.
fn levels(parts: &Value<'_>) -> Result<Vec<Vec<Json>>, ValueError> {
    let levels = each(&parts.get("levels")?, labels)?;
    let stored = parts.get("codes")?;
    let codes = stored.items()?;
    let n_rows = codes
        .first()
        .map_or(Ok(0), |codes| Ok(codes.as_array()?.to_i64()?.len()))?;
    if codes.len() != levels.len() {
        return Err(stored.error(&format!("codes of {} levels", levels.len())));
    }
    let mut keys = vec![Vec::with_capacity(levels.len()); n_rows];
    for (codes, labels) in codes.iter().zip(&levels) {
        let level = coded(codes, labels)?;
        if level.len() != n_rows {
            return Err(codes.error(&format!("{n_rows} codes, as in the first level")));
        }
        for (key, label) in keys.iter_mut().zip(level) {
            key.push(label);
        }
    }
    Ok(keys)
}

/// Labels of a `Categorical`: its categories and a code for each element.
fn categories(value: &Value<'_>) -> Result<Vec<Json>, ValueError> {
    let [dtype, codes] = arrow::backed(value, "Categorical")?;
    let dtype = instance_of(&dtype, "pandas", "CategoricalDtype")?;
    coded(&codes, &labels(&dtype.attr("categories")?)?)
}

fn coded(codes: &Value<'_>, labels: &[Json]) -> Result<Vec<Json>, ValueError> {
    let found = codes.as_array()?.to_i64()?;
    let label = |code: &i64| {
        let place = usize::try_from(*code).ok();
        place.and_then(|place| labels.get(place)).cloned().ok_or(*code)
    };
    let told: Result<Vec<Json>, i64> = found.iter().map(label).collect();
    told.map_err(|code| {
        refused(
            codes,
            format!("codes of {} labels", labels.len()),
            format!("code {code}"),
        )
    })
}

/// Elements of an index's data: an array of numpy or texts of pandas.
fn elements(value: &Value<'_>) -> Result<Vec<Json>, ValueError> {
    if value.kind() != Kind::Array {
        return Ok(arrow::texts(value)?.into_iter().map(Json::from).collect());
    }
    let array = value.as_array()?;
    if array.shape().len() != 1 {
        return Err(value.error("an array of one dimension"));
    }
    match array.dtype().kind {
        'O' => array.items()?.iter().map(plain).collect(),
        'b' => Ok(array.to_i64()?.into_iter().map(|v| json!(v != 0)).collect()),
        'i' | 'u' => Ok(array.to_i64()?.into_iter().map(|v| json!(v)).collect()),
        'f' => floats(value, array.to_f64()?),
        _ => Err(value.error("labels that are numbers or texts")),
    }
}

fn floats(value: &Value<'_>, labels: Vec<f64>) -> Result<Vec<Json>, ValueError> {
    match labels.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(refused(value, "finite labels", v.to_string())),
        None => Ok(labels.into_iter().map(Json::from).collect()),
    }
}
