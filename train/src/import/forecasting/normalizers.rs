//! The library's normalisers as those of a model file.
//!
//! A table of a model file has a row for every combination of its inputs' codes, the last input's running fastest; the library's
//! has the combinations that occurred, and one row for all others.

use super::description::{
    CenterScale, Description, EncoderNormalizer, GroupNormalizer, Method, OneOrMany, Scaling, TableRow,
};
use super::error::{ForecastingError, value};
use super::labels::{of_labels, text};
use serde_json::Value;
use std::collections::HashMap;
use tickfuse_core::bundle::{Categories, NormalizerSource, Transform};

/// Rows of a table at most; the file's header holds them as text.
const MAX_ROWS: usize = 65_536;

type Rows = Vec<[f64; 2]>;
/// Rows by the keys of the groups.
type Keyed = HashMap<Vec<String>, [f64; 2]>;

/// Where centre and scale of a column as an input come from.
pub(super) fn of_column(
    description: &Description,
    column: &str,
    key: &str,
    scaling: &Scaling,
) -> Result<NormalizerSource, ForecastingError> {
    Ok(match scaling {
        Scaling::GroupNormalizer(by_group) => of_groups(description, key, by_group)?,
        Scaling::EncoderNormalizer(by_window) => of_window(description, column, key, by_window)?,
        Scaling::TorchNormalizer(fixed) => of_all(fixed.fitted),
        Scaling::StandardScaler(fixed) | Scaling::RobustScaler(fixed) => of_all(*fixed),
        Scaling::NaNLabelEncoder(_) => return Err(value(key, "a normaliser of numbers", "NaNLabelEncoder")),
    })
}

/// The transform in front of centre and scale.
pub(super) fn transform(scaling: &Scaling) -> Transform {
    let named = match scaling {
        Scaling::GroupNormalizer(n) => n.transformation,
        Scaling::EncoderNormalizer(n) => n.transformation,
        Scaling::TorchNormalizer(n) => n.transformation,
        Scaling::StandardScaler(_) | Scaling::RobustScaler(_) | Scaling::NaNLabelEncoder(_) => None,
    };
    named.unwrap_or_default()
}

fn of_all(fitted: CenterScale) -> NormalizerSource {
    NormalizerSource::Fixed {
        center: fitted.center,
        scale: fitted.scale,
    }
}

fn of_window(
    description: &Description,
    column: &str,
    key: &str,
    found: &EncoderNormalizer,
) -> Result<NormalizerSource, ForecastingError> {
    let longest = description.preprocessing.max_encoder_length;
    let shortest = found.max_length.as_ref().and_then(|n| n.as_slice().iter().min());
    if shortest.is_some_and(|n| *n < longest) {
        return Err(value(
            format!("{key}.max_length"),
            format!("null or the whole encoder of {longest} steps"),
            format!(
                "{:?}",
                found.max_length.as_ref().map_or(&[][..], OneOrMany::as_slice)
            ),
        ));
    }
    match found.method {
        Method::Identity => Ok(NormalizerSource::Fixed {
            center: 0.0,
            scale: 1.0,
        }),
        Method::Standard => Ok(NormalizerSource::Encoder {
            input: column.into(),
            epsilon: found.epsilon,
            center: found.center,
        }),
        Method::Robust => Err(value(
            format!("{key}.method"),
            "standard or identity where statistics are of each window",
            "robust",
        )),
    }
}

fn of_groups(
    description: &Description,
    key: &str,
    found: &GroupNormalizer,
) -> Result<NormalizerSource, ForecastingError> {
    let fitted = Fitted::of(key, found)?;
    if let Fitted::All(fitted) = fitted {
        return Ok(of_all(fitted));
    }
    let columns = group_columns(description, key, found)?;
    let row = |codes: &[usize]| {
        let keys: Vec<Value> = codes.iter().zip(&columns).map(|(code, c)| c.key(*code)).collect();
        fitted.row(&found.groups, &keys)
    };
    Ok(NormalizerSource::Table {
        inputs: found.groups.clone(),
        rows: every_row(key, columns.iter().map(|c| c.categories.n_codes()), row)?,
    })
}

/// Where centre and scale of a target's answers come from.
///
/// The library looks them up by codes of the encoders of `group_ids`, which know no code for missing labels, in the order of
/// `group_ids`, whatever the codes and the order of the table. A label that is unknown takes the code behind the last
/// known one there; here it stands for every unknown label.
pub(super) fn of_answers(
    description: &Description,
    column: &str,
    key: &str,
    scaling: &Scaling,
) -> Result<NormalizerSource, ForecastingError> {
    let Scaling::GroupNormalizer(found) = scaling else {
        return of_column(description, column, key, scaling);
    };
    let fitted = Fitted::of(key, found)?;
    let ids = &description.preprocessing.group_ids;
    let asked: Vec<&String> = ids.iter().filter(|id| found.groups.contains(id)).collect();
    if asked.len() != found.groups.len() {
        return Err(value(
            format!("{key}.groups"),
            format!("columns of group_ids ({})", ids.join(", ")),
            found.groups.join(", "),
        ));
    }
    let n_codes = match fitted {
        Fitted::All(fitted) => return Ok(of_all(fitted)),
        Fitted::PerGroup(_) => asked.len(),
        Fitted::Joint(..) if asked.len() == ids.len() => asked.len(),
        // The library takes the second code for the name of a column that the table does not have.
        Fitted::Joint(_, missing) if ids.len() == 2 => return Ok(of_all(missing)),
        Fitted::Joint(..) => {
            return Err(value(
                format!("{key}.groups"),
                format!("all of group_ids ({})", ids.join(", ")),
                found.groups.join(", "),
            ));
        }
    };
    let named: Vec<String> = match fitted {
        Fitted::PerGroup(_) => asked.into_iter().cloned().collect(),
        _ => found.groups.clone(),
    };
    let looked_up = ids[..n_codes].iter().map(|id| GroupCodes::of(description, id));
    let looked_up: Vec<GroupCodes> = looked_up.collect::<Result<_, _>>()?;
    let row = |codes: &[usize]| {
        let keys: Vec<Value> = codes
            .iter()
            .zip(&looked_up)
            .map(|(code, g)| g.0[*code].into())
            .collect();
        fitted.row(&named, &keys)
    };
    Ok(NormalizerSource::Table {
        inputs: ids[..n_codes].to_vec(),
        rows: every_row(key, looked_up.iter().map(|g| g.0.len()), row)?,
    })
}

/// Code of the encoders of `group_ids` by the column's own code.
struct GroupCodes(Vec<usize>);

impl GroupCodes {
    fn of(description: &Description, column: &str) -> Result<Self, ForecastingError> {
        let known = description.group_labels(column)?;
        let own = table_categories(description, column)?;
        let code = |(code, label): (usize, &String)| match own.unknown == Some(code) {
            true => known.len(),
            false => known.iter().position(|l| l == label).unwrap_or(known.len()),
        };
        Ok(Self(own.labels.iter().enumerate().map(code).collect()))
    }
}

/// The categories of a column that chooses rows.
pub(super) fn table_categories(
    description: &Description,
    column: &str,
) -> Result<Categories, ForecastingError> {
    match description.is_encoded(column) {
        true => description.categories(column),
        false => Ok(of_labels(description.group_labels(column)?)),
    }
}

/// A column that chooses rows, and how the table names its categories.
struct GroupColumn {
    categories: Categories,
    by_code: bool,
}

impl GroupColumn {
    fn key(&self, code: usize) -> Value {
        match self.by_code {
            true => code.into(),
            false => self.categories.labels[code].clone().into(),
        }
    }
}

fn group_columns(
    description: &Description,
    key: &str,
    found: &GroupNormalizer,
) -> Result<Vec<GroupColumn>, ForecastingError> {
    let column = |name: &String| {
        let categories = table_categories(description, name);
        let categories = categories.map_err(|e| match e {
            ForecastingError::Value { found, .. } => value(
                format!("{key}.groups"),
                format!("columns with an encoder; of `{name}`"),
                found,
            ),
            other => other,
        })?;
        Ok(GroupColumn {
            categories,
            by_code: description.is_encoded(name),
        })
    };
    found.groups.iter().map(column).collect()
}

/// One row per combination of codes.
fn every_row(
    key: &str,
    sizes: impl Iterator<Item = usize>,
    row: impl Fn(&[usize]) -> [f64; 2],
) -> Result<Rows, ForecastingError> {
    let sizes: Vec<usize> = sizes.collect();
    let n = sizes.iter().try_fold(1_usize, |n, size| n.checked_mul(*size));
    let Some(n) = n.filter(|n| *n <= MAX_ROWS) else {
        return Err(value(
            format!("{key}.groups"),
            format!("at most {MAX_ROWS} combinations of categories"),
            format!("{sizes:?} categories"),
        ));
    };
    let codes = |mut at: usize| {
        let mut codes = vec![0; sizes.len()];
        for (code, size) in codes.iter_mut().zip(&sizes).rev() {
            (*code, at) = (at % size, at / size);
        }
        codes
    };
    Ok((0..n).map(|at| row(&codes(at))).collect())
}

/// The numbers of a `GroupNormalizer`.
enum Fitted {
    /// Without groups.
    All(CenterScale),
    /// By the keys of all groups together, and for all others.
    Joint(Keyed, CenterScale),
    /// By the key of each group, multiplied.
    PerGroup(HashMap<String, (Keyed, CenterScale)>),
}

impl Fitted {
    fn of(key: &str, found: &GroupNormalizer) -> Result<Self, ForecastingError> {
        let GroupNormalizer {
            groups,
            scale_by_group,
            fitted,
            table,
            missing,
            tables,
            ..
        } = found;
        match (fitted, table, missing, tables) {
            (Some(fitted), None, None, None) if groups.is_empty() => Ok(Self::All(*fitted)),
            (None, Some(rows), Some(missing), None) if !groups.is_empty() && !scale_by_group => {
                Ok(Self::Joint(by_key(key, rows, groups.len())?, *missing))
            }
            (None, None, None, Some(tables))
                if *scale_by_group && tables.keys().all(|g| groups.contains(g)) =>
            {
                let mut named = HashMap::new();
                for group in groups {
                    let place = format!("{key}.tables.{group}");
                    let table = tables
                        .get(group)
                        .ok_or_else(|| value(&place, "a table", "none"))?;
                    named.insert(group.clone(), (by_key(&place, &table.table, 1)?, table.missing));
                }
                Ok(Self::PerGroup(named))
            }
            _ => Err(value(
                key,
                "`fitted` without groups, `table` and `missing` with them, or `tables` with scale_by_group",
                format!("{} groups with another choice", groups.len()),
            )),
        }
    }

    /// Centre and scale for the keys of these groups.
    fn row(&self, groups: &[String], keys: &[Value]) -> [f64; 2] {
        let shown: Vec<String> = keys.iter().map(shown).collect();
        match self {
            Self::All(fitted) => [fitted.center, fitted.scale],
            Self::Joint(rows, missing) => found_or(rows, &shown, *missing),
            Self::PerGroup(tables) => {
                let each = groups.iter().zip(shown).map(|(group, key)| {
                    let (rows, missing) = &tables[group];
                    found_or(rows, &[key], *missing)
                });
                let product = each.fold([1.0, 1.0], |a, b| [a[0] * b[0], a[1] * b[1]]);
                product.map(|x: f64| x.powf(1.0 / groups.len() as f64))
            }
        }
    }
}

fn found_or(rows: &Keyed, key: &[String], missing: CenterScale) -> [f64; 2] {
    rows.get(key).copied().unwrap_or([missing.center, missing.scale])
}

fn by_key(key: &str, rows: &[TableRow], n_groups: usize) -> Result<Keyed, ForecastingError> {
    let mut named = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let place = || format!("{key}.table[{at}].key");
        if row.key.len() != n_groups || row.key.iter().any(|part| text(part).is_none()) {
            let found = Value::from(row.key.clone());
            return Err(value(
                place(),
                format!("codes or labels of {n_groups} groups"),
                found,
            ));
        }
        let shown = row.key.iter().map(shown).collect();
        if named.insert(shown, [row.center, row.scale]).is_some() {
            return Err(value(place(), "a key of its own", "one that is there already"));
        }
    }
    Ok(named)
}

/// A key such that the code 1 and the label "1" stay apart.
fn shown(key: &Value) -> String {
    key.to_string()
}
