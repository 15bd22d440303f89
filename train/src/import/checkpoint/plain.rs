//! Pickled values in JSON's types, and objects by the class they are of.

use crate::import::pickle::{Kind, Object, Value, ValueError};
use serde_json::{Map, Value as Json, json};

/// An error about a value that says more of what was found than its kind.
pub(super) fn refused(
    value: &Value<'_>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> ValueError {
    ValueError {
        path: value.path(),
        expected: expected.into(),
        found: found.into(),
    }
}

/// The value in JSON's types; infinite numbers are the texts `inf` and `-inf`.
pub(super) fn plain(value: &Value<'_>) -> Result<Json, ValueError> {
    Ok(match value.kind() {
        Kind::None => Json::Null,
        Kind::Bool => json!(value.as_bool()?),
        Kind::Int => json!(value.as_int()?),
        Kind::Float => plain_float(value)?,
        Kind::Str => json!(value.as_str()?),
        Kind::Array => json!(text(value)?),
        Kind::List | Kind::Tuple => Json::Array(each(value, plain)?),
        Kind::Dict => Json::Object(plain_entries(value)?),
        _ => return Err(value.error("a number, a text or a list of them")),
    })
}

fn plain_float(value: &Value<'_>) -> Result<Json, ValueError> {
    let v = value.as_float()?;
    match v {
        _ if v.is_nan() => Err(value.error("a number")),
        f64::INFINITY => Ok(json!("inf")),
        f64::NEG_INFINITY => Ok(json!("-inf")),
        v => Ok(json!(v)),
    }
}

/// A dict with texts as keys.
fn plain_entries(value: &Value<'_>) -> Result<Map<String, Json>, ValueError> {
    let entries = value.entries()?;
    entries
        .iter()
        .map(|(key, value)| Ok((text(key)?, plain(value)?)))
        .collect()
}

/// Every element of a list or tuple through `f`.
pub(super) fn each<'a, T>(
    value: &Value<'a>,
    f: impl Fn(&Value<'a>) -> Result<T, ValueError>,
) -> Result<Vec<T>, ValueError> {
    value.items()?.iter().map(f).collect()
}

/// A text, or numpy's scalar of one: characters as numbers of 32 bits.
pub(super) fn text(value: &Value<'_>) -> Result<String, ValueError> {
    if value.kind() != Kind::Array {
        return Ok(value.as_str()?.to_owned());
    }
    let array = value.as_array()?;
    let refuse = || value.error("a text");
    if array.dtype().kind != 'U' || array.dtype().big_endian || !array.shape().is_empty() {
        return Err(refuse());
    }
    let (characters, rest) = array.raw()?.as_chunks::<4>();
    let decoded = characters
        .iter()
        .map(|bytes| char::from_u32(u32::from_le_bytes(*bytes)));
    let decoded: String = decoded.collect::<Option<_>>().ok_or_else(refuse)?;
    if !rest.is_empty() {
        return Err(refuse());
    }
    Ok(decoded.trim_end_matches('\0').to_owned())
}

/// Texts of a list or tuple.
pub(super) fn texts(value: &Value<'_>) -> Result<Vec<String>, ValueError> {
    each(value, text)
}

/// A finite number: a float, an integer, or a tensor or array of one element.
pub(super) fn number(value: &Value<'_>) -> Result<f64, ValueError> {
    let found = match value.kind() {
        Kind::Tensor => single(value, value.as_tensor()?.n_elements(), || {
            Ok(value.as_tensor()?.to_f64())
        })?,
        Kind::Array => {
            let array = value.as_array()?;
            single(value, array.shape().iter().product(), || array.to_f64())?
        }
        _ => value.as_float()?,
    };
    if !found.is_finite() {
        return Err(refused(value, "a finite number", found.to_string()));
    }
    Ok(found)
}

fn single(
    value: &Value<'_>,
    n: usize,
    elements: impl FnOnce() -> Result<Vec<f64>, ValueError>,
) -> Result<f64, ValueError> {
    match n {
        1 => Ok(elements()?[0]),
        _ => Err(value.error("one number")),
    }
}

/// Whether Python takes the value for false: nothing, or an empty container.
pub(super) fn is_nothing(value: &Value<'_>) -> bool {
    match value.kind() {
        Kind::None => true,
        Kind::List | Kind::Tuple | Kind::Set => value.items().is_ok_and(|items| items.is_empty()),
        Kind::Dict => value.entries().is_ok_and(|entries| entries.is_empty()),
        _ => false,
    }
}

/// An object of a class that `package` has, by the class's own name; `expected` is for messages.
pub(super) fn instance<'a>(
    value: &Value<'a>,
    package: &str,
    expected: &str,
) -> Result<(Object<'a>, &'a str), ValueError> {
    let object = value.as_object().map_err(|_| value.error(expected))?;
    let is_within = object.module().split('.').next() == Some(package);
    if !is_within {
        return Err(value.error(expected));
    }
    let name = object.name();
    Ok((object, name))
}

/// The same of one class only.
pub(super) fn instance_of<'a>(
    value: &Value<'a>,
    package: &str,
    class: &str,
) -> Result<Object<'a>, ValueError> {
    let expected = format!("an object of `{class}` of {package}");
    let (object, name) = instance(value, package, &expected)?;
    if name != class {
        return Err(value.error(&expected));
    }
    Ok(object)
}

/// The arguments of an object, as many as expected.
pub(super) fn args<'a, const N: usize>(
    object: &Object<'a>,
    expected: &str,
) -> Result<[Value<'a>; N], ValueError> {
    let args = object.args();
    let found: Result<[Value<'a>; N], _> = args.items()?.try_into();
    found.map_err(|_| args.error(expected))
}
